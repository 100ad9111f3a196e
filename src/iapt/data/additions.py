"""New publications against the figures held: what is new, what is revised, what is doubtful; and writing it down.

A revision never touches the figure it revises. It is a figure of its own, from a source of its own that counts as
known from a later day, so that reports of earlier vintages stay as they are.
"""

import csv
import io
import shutil
import tempfile
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import chain, count
from pathlib import Path
from urllib.parse import unquote

import pandas as pd

from iapt import data
from iapt.data import periods, writing
from iapt.data.publications import Publication, Refusal

RUN = {"M": 12, "Y-MAR": 3}
"""How many figures make the recent run that a new one is compared with, in a series by month and by year."""

MARGIN = 1.05
"""How far beyond all that a series has shown a figure is doubted. From June 2022 to September 2025 none would have been;
without the margin, 19 of 419."""


@dataclass(frozen=True)
class Held:
    """A figure that the data hold: its value, its source, and the day from which it counts as known."""

    value: Decimal
    source: str
    available: date


@dataclass(frozen=True)
class Change:
    """A figure of a publication beside the one held for its period, where there is one."""

    measure: str
    value: Decimal
    held: Held | None

    @property
    def kind(self) -> str:
        return "new" if self.held is None else "stays" if self.held.value == self.value else "revised"


@dataclass(frozen=True)
class Addition:
    """What a publication would change. `card` is its source card; None where all its figures are held already."""

    publication: Publication
    changes: list[Change]
    doubts: list[str]
    card: dict[str, str] | None

    def rows(self) -> list[dict[str, str]]:
        """The rows for the table of figures."""
        note = {} if self.publication.layout.wide else {"at_caseness": "finished_course minus not at caseness"}
        return [
            {"frequency": self.publication.frequency, "period": self.publication.period, "measure": change.measure, "value": f"{change.value.normalize():f}", "rounded_to": "", "source": self.card["id"], "note": note.get(change.measure, "")}
            for change in self.changes if change.kind != "stays"
        ]  # fmt: skip


# ---------------------------------------------------------------- comparing


def plan(publications: list[Publication], published: date | None = None, today: date | None = None) -> list[Addition]:
    """What each publication would change, in this order, given the data and the publications before it.

    `published` is the day on which they came out, where it is known. Raises Refusal where it cannot be.
    """
    held, cards, today = read_held(publications), data.load()["sources"], today or date.today()
    additions, ids, digests = [], set(cards["id"]), set(cards["sha256"])
    for publication in publications:
        key = (publication.frequency, publication.period)
        known = publication.sha256 in digests
        changes = [
            Change(measure, value, _find(held.get((*key, measure), []), value, known))
            for measure, value in publication.figures.items()
        ]
        moved = [change for change in changes if change.kind != "stays"]
        card = _write_card(publication, moved, ids, published, today) if moved else None
        doubts = find_doubts(publication, moved, held, today) if moved else []
        additions.append(Addition(publication, changes, doubts, card))
        for change in moved:
            held.setdefault((*key, change.measure), []).insert(
                0, Held(change.value, card["id"], _date_card(card, publication))
            )
        ids |= {card["id"]} if card else set()
        digests.add(publication.sha256)
    return additions


def read_held(publications: list[Publication]) -> dict[tuple[str, str, str], list[Held]]:
    """The exact official figures for the periods of publications, by frequency, period and measure, the one in use first."""
    table = data.known()
    table = table[
        table["period"].isin([periods.parse(publication.period, publication.frequency) for publication in publications])
    ]
    held: dict[tuple[str, str, str], list[Held]] = {}
    for row in sorted(table.itertuples(), key=lambda row: (-row.available.toordinal(), row.source)):
        rounded = row.rounded_to > (0 if row.measure.endswith("_rate") else data.EXACT_TO)
        if row.standing == "official" and not rounded:
            held.setdefault((row.frequency, periods.write(row.period), row.measure), []).append(
                Held(Decimal(f"{row.value:.12g}"), row.source, row.available.date())
            )
    return held


def _find(held: list[Held], value: Decimal, known: bool) -> Held | None:
    """The figure to compare with: the one in use, or of a file that was added before the one that it gave."""
    same = [figure for figure in held if figure.value == value] if known else []
    return next(iter(same + held), None)


def find_doubts(publication: Publication, moved: list[Change], held: dict, today: date) -> list[str]:
    """What a person has to confirm before the new and revised figures of a publication are taken."""
    period = periods.parse(publication.period, publication.frequency)
    doubts = [*publication.doubts]
    if (end := period.end_time.date()) >= today:
        doubts.append(f"{publication.file} is about {publication.period}, which ends on {end}; today is {today}")
    for change in moved:
        name = f"{data.label(change.measure)} in {publication.period}"
        if jump := _describe_jump(data.series(change.measure, publication.frequency), period, change.value):
            doubts.append(f"{name} is {change.value:,}, {jump}")
        figures = held.get((publication.frequency, publication.period, change.measure), [])
        if again := next((figure for figure in figures[1:] if figure.value == change.value), None):
            doubts.append(
                f"{name} goes back from {change.held.value:,} to {change.value:,}, "
                f"which {again.source} gave before; is this the older file?"
            )
    return doubts


def _describe_jump(series: pd.Series, period: pd.Period, value: Decimal) -> str:
    """How far a figure is from the median of the run before it, where the series never was as far; else nothing."""
    history = series.drop(period, errors="ignore").dropna().astype(float)
    run = RUN[series.index.freqstr]
    before = history[history.index < period].iloc[-run:]
    seen = (history / history.rolling(run).median().shift(1)).dropna()
    if len(before) < run or seen.empty:
        return ""
    ratio = float(value) / before.median()
    if seen.min() / MARGIN <= ratio <= seen.max() * MARGIN:
        return ""
    return (
        f"{ratio:.2f} times the median of the {run} figures before, {before.median():,.6g}; "
        f"so far it has been {seen.min():.2f} to {seen.max():.2f} times that"
    )


def _write_card(
    publication: Publication, moved: list[Change], ids: set[str], published: date | None, today: date
) -> dict[str, str]:
    layout, period = publication.layout, periods.parse(publication.period, publication.frequency)
    end = period.end_time.date()
    revised = [change.held for change in moved if change.held]
    latest = max((figure.available for figure in revised), default=end)
    note = f"revises figures of {', '.join(sorted({figure.source for figure in revised}))}" if revised else ""
    if published:
        if published <= latest:
            what = f"the figures that it revises, known from {latest}" if revised else f"the end of its period, {end}"
            raise Refusal(publication.file, f"a day of publication after {what}", str(published))
    elif revised:
        published = max(today, latest + timedelta(days=1))
        note += "; the day of publication is not stated: known here from the day it was added"
    elif today <= end + timedelta(days=int(layout.text("lag_days"))):
        published = max(today, end + timedelta(days=1))
    stem = f"nhs-{layout.kind}-{publication.period}"
    versions = (f"{stem}-v{number}" for number in count(2))
    return {
        "id": next(name for name in chain([stem], versions) if name not in ids),
        "title": f"{layout.text('title')}, {periods.label(period)}, England", "publisher": "NHS England",
        "published": str(published or ""), "lag_days": "" if published else layout.text("lag_days"), "standing": "official",
        "collection": layout.text("collection"), "url": _find_address(publication), "via": publication.file,
        "sha256": publication.sha256, "licence": "Open Government Licence v3.0", "note": note,
    }  # fmt: skip


def _find_address(publication: Publication) -> str:
    addresses = data.load()["publications"]["address"]
    return next(
        (address for address in addresses if unquote(address.rpartition("/")[2]) == publication.file),
        publication.layout.text("page"),
    )


def _date_card(card: dict[str, str], publication: Publication) -> date:
    if card["published"]:
        return date.fromisoformat(card["published"])
    return periods.parse(publication.period, publication.frequency).end_time.date() + timedelta(
        days=int(card["lag_days"])
    )


# ---------------------------------------------------------------- showing


def describe(addition: Addition) -> str:
    """What a publication would change, for people, figure by figure."""
    publication, kinds = addition.publication, [change.kind for change in addition.changes]
    period = periods.label(periods.parse(publication.period, publication.frequency))
    counts = ", ".join(
        f"{kinds.count(kind)} {word}" for kind, word in (("new", "new"), ("revised", "revised"), ("stays", "as held"))
    )
    hidden = f"{len(publication.suppressed)} suppressed for England, {publication.hidden:,} in the whole file"
    lines = [f"{publication.file}: {period}: {counts}; {hidden}"]
    for change in addition.changes:
        if change.kind == "new":
            lines.append(f"  new      {data.label(change.measure):<40} {change.value:>11,}")
        elif change.kind == "revised":
            size = change.value - change.held.value
            share = f", {100 * size / change.held.value:+.2f} %" if change.held.value else ""
            lines.append(
                f"  revised  {data.label(change.measure):<40} {change.value:>11,}, was {change.held.value:,} "
                f"({size:+,}{share}; {change.held.source})"
            )
    lines += [f"  missing  {data.label(measure):<40} suppressed" for measure in publication.suppressed]
    lines += [f"  note     {note}" for note in publication.notes]
    return "\n".join(lines + [f"  doubt    {doubt}" for doubt in addition.doubts])


# ---------------------------------------------------------------- writing


def write(additions: list[Addition], digests: dict[str, str]) -> list[str]:
    """Write the figures, their source cards, and the SHA-256 of files by address; the names of the changed tables.

    The caller holds the lock of the folder. Either all tables change or none.
    Raises DataError where the tables would break their description, Refusal where they cannot be written.
    """
    folder = data.folder()
    cards = [addition.card for addition in additions if addition.card]
    figures = [row for addition in additions if addition.card for row in addition.rows()]
    texts = {
        "england.csv": _append(folder / "england.csv", figures),
        "sources.csv": _append(folder / "sources.csv", cards),
        "publications.csv": _write_digests(folder / "publications.csv", digests),
    }
    texts = {name: text for name, text in texts.items() if text != _read_text(folder / name)}
    if texts:
        _rehearse(folder, texts)
        try:
            writing.replace(folder, texts)
        except OSError as error:
            raise Refusal(str(folder), "room to write the tables", f"{error.strerror}; they are as they were") from None
        data.forget()
    return list(texts)


def _read_text(path: Path) -> str:
    with path.open(encoding="utf-8", newline="") as handle:
        return handle.read()


def _append(path: Path, rows: list[dict[str, str]]) -> str:
    old = _read_text(path)
    new = io.StringIO()
    csv.DictWriter(new, next(csv.reader([old.split("\n", 1)[0]])), lineterminator="\n").writerows(rows)
    return old + ("\n" if rows and not old.endswith("\n") else "") + new.getvalue()


def _write_digests(path: Path, digests: dict[str, str]) -> str:
    old = _read_text(path)
    if not digests:
        return old
    rows = list(csv.DictReader(io.StringIO(old)))
    new = io.StringIO()
    writer = csv.DictWriter(new, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "sha256": row["sha256"] or digests.get(row["address"], "")} for row in rows)
    return new.getvalue()


def _rehearse(folder: Path, texts: dict[str, str]) -> None:
    """Check the tables as they would be."""
    with tempfile.TemporaryDirectory() as temporary:
        for path in folder.iterdir():
            if path.is_file() and path.name not in texts:
                shutil.copyfile(path, Path(temporary) / path.name)
        for name, text in texts.items():
            (Path(temporary) / name).write_text(text, encoding="utf-8", newline="")
        if problems := data.check(Path(temporary)):
            raise data.DataError(problems)
