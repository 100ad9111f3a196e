"""New publications against the figures held: what is new, what is revised, what is doubtful.

A revision never touches the figure it revises. It is a figure of its own, from a source of its own that counts as
known from a later day, so that reports of earlier vintages stay as they are.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import chain, count
from urllib.parse import unquote

import pandas as pd

from iapt import data
from iapt.data import periods
from iapt.data.publications import PLACES, Key, Publication, Refusal

RUN = {"month": 12, "year": 3}
"""How many figures make the recent run that a new one is compared with, in a series by month and by year."""

MARGIN = 1.25
"""How far beyond all that a series has shown, up or down, a figure is doubted. Of 3,399 figures by month from June 2022
to March 2026, taken one after another, 6 would have been."""

SHORT = 24
"""A series that has shown less than so many runs is given a factor of 2."""

REVISION = Decimal("0.05")
"""The share of a figure above which its revision is doubted. Where two official sources held give the same month they
differ by 1.0 per cent at most."""


@dataclass(frozen=True)
class Held:
    """A figure that the data hold: its value, its source, and the day from which it counts as known."""

    value: Decimal
    source: str
    available: date


@dataclass(frozen=True)
class Change:
    """A figure of a publication beside the one held for its period, where there is one."""

    key: Key
    value: Decimal
    held: Held | None

    @property
    def kind(self) -> str:
        return "new" if self.held is None else "stays" if self.held.value == self.value else "revised"

    @property
    def name(self) -> str:
        """The measure for people, with the area or group where it is not about England."""
        return ", ".join([data.label(self.key[-1]), *self.key[1:-1]])

    @property
    def size(self) -> str:
        """How far a revision goes, for people."""
        size = self.value - self.held.value
        return f"{size:+,}" + (f", {100 * size / self.held.value:+.2f}%" if self.held.value else "")


@dataclass(frozen=True)
class Addition:
    """What a publication would change. `moved` are the figures that are new or revised.

    `card` is its source card; None where all its figures are held already.
    """

    publication: Publication
    changes: list[Change]
    moved: list[Change]
    doubts: list[str]
    card: dict[str, str] | None


# ---------------------------------------------------------------- comparing


def plan(publications: list[Publication], published: date | None = None, today: date | None = None) -> list[Addition]:
    """What each publication would change, given the data and the publications of earlier periods.

    They are taken in the order of their periods, whatever the order in which they are given.
    `published` is the day on which they came out, where it is known. Raises Refusal where it cannot be.
    """
    publications = sorted(publications, key=lambda publication: (publication.frequency, publication.period))
    known, cards, today = Known(publications), data.load()["sources"], today or date.today()
    additions, ids, digests = [], set(cards["id"]), set(cards["sha256"])
    for publication in publications:
        again = publication.sha256 in digests
        changes = [
            Change(key, value, _find(known.figures[_place(publication, key)], value, again))
            for key, value in publication.figures.items()
        ]
        moved = [change for change in changes if change.kind != "stays"]
        card = _find_card(publication) if moved and again else None
        if moved and not card:
            card = _write_card(publication, moved, ids, published, today)
        doubts = list(_find_doubts(publication, moved, known, today)) if moved else []
        additions.append(Addition(publication, changes, moved, doubts, card))
        if card:
            known.take(publication, moved, card["id"], date_card(card, publication))
            ids.add(card["id"])
        digests.add(publication.sha256)
    return additions


class Known:
    """The exact official figures, by frequency, period and key, the one in use first; those of a batch join them.

    `lines` holds those in use for England, by frequency and measure; `files` the last file of the batch about a period.
    """

    def __init__(self, publications: list[Publication]) -> None:
        self.figures: dict[Key, list[Held]] = defaultdict(list)
        self.lines: dict[Key, dict[pd.Period, float]] = defaultdict(dict)
        self.files: dict[Key, str] = {}
        asked = {publication.when for publication in publications}
        for table in PLACES:
            for place, held in _read_held(table, asked):
                self.figures[place].append(held)
        for place, figures in self.figures.items():
            figures.sort(key=lambda held: (-held.available.toordinal(), held.source))
            self._draw(place)

    def take(self, publication: Publication, moved: list[Change], source: str, available: date) -> None:
        """Count the new and revised figures of a publication as known."""
        for change in moved:
            place = _place(publication, change.key)
            self.figures[place].insert(0, Held(change.value, source, available))
            self._draw(place)
        self.files[publication.frequency, publication.period] = publication.file

    def _draw(self, place: Key) -> None:
        frequency, period, table, *_, measure = place
        if table == "england":
            self.lines[frequency, measure][periods.parse(period, frequency)] = float(self.figures[place][0].value)


def _place(publication: Publication, key: Key) -> Key:
    return (publication.frequency, publication.period, *key)


def _read_held(table: str, asked: set[pd.Period]) -> Iterator[tuple[Key, Held]]:
    rows = data.known(table=table)
    if table == "england":
        exact = [0 if measure.endswith("_rate") else data.EXACT_TO for measure in rows["measure"]]
        rows = rows[(rows["standing"] == "official") & ~(rows["rounded_to"] > exact)]
    else:
        rows = rows[rows["period"].isin(asked)]
    for row in rows.to_dict("records"):
        place = (table, *(row[name] for name in PLACES[table]), row["measure"])
        key = (row.get("frequency", "year"), periods.write(row["period"]), *place)
        yield key, Held(Decimal(f"{row['value']:.12g}"), row["source"], row["available"].date())


def _find(held: list[Held], value: Decimal, again: bool) -> Held | None:
    """The figure to compare with: the one in use, or of a file that was added before the one that it gave."""
    same = [figure for figure in held if figure.value == value] if again else []
    return next(iter(same + held), None)


def _find_doubts(publication: Publication, moved: list[Change], known: Known, today: date) -> Iterator[str]:
    """What a person has to confirm before the new and revised figures of a publication are taken."""
    yield from publication.doubts
    period, name = publication.when, f"{publication.file}: {periods.label(publication.when)}"
    if (end := period.end_time.date()) >= today:
        yield f"{name} ends on {end}; today is {today}"
    if other := known.files.get((publication.frequency, publication.period)):
        yield f"{name} is what {other} is about too, with other figures; add them one by one, the older first"
    yield from _find_copies(publication, moved, known)
    for change in moved:
        if change.key[0] == "england":
            line = pd.Series(known.lines[publication.frequency, change.key[-1]], dtype=float).sort_index()
            if jump := _describe_jump(line, period, change.value, RUN[publication.frequency]):
                yield f"{change.name} in {publication.period} is {change.value:,}, {jump}"
        if change.kind == "revised":
            yield from _doubt_revision(change, known.figures[_place(publication, change.key)], publication.period)


def _find_copies(publication: Publication, moved: list[Change], known: Known) -> Iterator[str]:
    """Another period whose counts are for the most part those that are new here."""
    shared, equal = Counter(), Counter()
    for change in moved:
        if change.key[0] == "england" and change.kind == "new" and change.value > 100:
            line = known.lines[publication.frequency, change.key[-1]]
            shared.update(line.keys())
            equal.update(period for period, value in line.items() if value == change.value)
    for period, number in equal.items():
        if shared[period] >= 5 and 2 * number > shared[period]:
            yield (
                f"{publication.file}: {number} of {shared[period]} counts for {publication.period} are those of "
                f"{periods.write(period)}"
            )


def _doubt_revision(change: Change, figures: list[Held], period: str) -> Iterator[str]:
    name, old = f"{change.name} in {period}", change.held.value
    if again := next((figure for figure in figures[1:] if figure.value == change.value), None):
        yield (
            f"{name} goes back from {old:,} to {change.value:,}, which {again.source} gave before; "
            "is this the older file?"
        )
    elif abs(change.value - old) > max(REVISION * old, 10 if change.key[0] == "areas" else 0):
        yield f"{name} is revised from {old:,} to {change.value:,} ({change.size}); so large a revision is unusual"


def _describe_jump(series: pd.Series, period: pd.Period, value: Decimal, run: int) -> str:
    """How far a figure is from the median of the run before it, where the series never was as far; else nothing."""
    history = series.drop(period, errors="ignore")
    before = history[history.index < period].iloc[-run:]
    seen = (history / history.rolling(run).median().shift(1)).dropna()
    if len(before) < run or seen.empty:
        return ""
    ratio = float(value) / before.median()
    widest = max(seen.max(), 1 / seen.min() if seen.min() > 0 else 1, 2 if len(seen) < SHORT else 1) * MARGIN
    if 1 / widest <= ratio <= widest:
        return ""
    return (
        f"{ratio:.2f} times the median of the {run} figures before, {before.median():,.6g}; "
        f"so far it has been {seen.min():.2f} to {seen.max():.2f} times that"
    )


# ---------------------------------------------------------------- source cards


def _find_card(publication: Publication) -> dict[str, str] | None:
    """The card of the same file where it was added before and figures of it were taken out."""
    cards = data.load()["sources"].astype({"lag_days": "Int64"}).astype(str).replace("<NA>", "")
    return next(iter(cards[cards["sha256"] == publication.sha256].to_dict("records")), None)


def _write_card(
    publication: Publication, moved: list[Change], ids: set[str], published: date | None, today: date
) -> dict[str, str]:
    layout, end = publication.layout, publication.when.end_time.date()
    revised = [change.held for change in moved if change.held]
    latest = max((figure.available for figure in revised), default=end)
    note = f"revises figures of {', '.join(sorted({figure.source for figure in revised}))}" if revised else ""
    if published and published > today:
        raise Refusal(publication.file, f"a day of publication up to today, {today}", str(published))
    if published and published <= latest:
        what = f"the figures that it revises, known from {latest}" if revised else f"the end of its period, {end}"
        raise Refusal(publication.file, f"a day of publication after {what}", str(published))
    if not published and revised:
        published = max(today, latest + timedelta(days=1))
        note += "; the day of publication is not stated: known here from the day it was added"
    elif not published and today <= end + timedelta(days=int(layout.text("lag_days"))):
        published = max(today, end + timedelta(days=1))
    stem = f"nhs-{layout.kind}-{publication.period}"
    versions = (f"{stem}-v{number}" for number in count(2))
    return {
        "id": next(name for name in chain([stem], versions) if name not in ids),
        "title": f"{layout.text('title')}, {periods.label(publication.when)}" + ("" if layout.wide else ", England"),
        "publisher": "NHS England", "published": str(published or ""),
        "lag_days": "" if published else layout.text("lag_days"), "standing": "official",
        "collection": layout.text("collection"), "url": _find_address(publication), "via": publication.file,
        "sha256": publication.sha256, "licence": "Open Government Licence v3.0", "note": note,
    }  # fmt: skip


def _find_address(publication: Publication) -> str:
    addresses = data.load()["publications"]["address"]
    return next(
        (address for address in addresses if unquote(address.rpartition("/")[2]) == publication.file),
        publication.layout.text("page"),
    )


def date_card(card: dict[str, str], publication: Publication) -> date:
    """The day from which the figures of a publication count as known by its card."""
    if card["published"]:
        return date.fromisoformat(card["published"])
    return publication.when.end_time.date() + timedelta(days=int(card["lag_days"]))


# ---------------------------------------------------------------- showing


def describe(addition: Addition) -> str:
    """What a publication would change, for people: figure by figure for England, counted for areas and groups."""
    publication = addition.publication
    lines = [
        f"{publication.file}: {periods.label(publication.when)}: "
        f"{_count_kinds(addition.changes)}; {publication.hidden:,} suppressed in the whole file"
    ]
    for change in addition.moved:
        if change.kind == "revised":
            was = f", was {change.held.value:,} ({change.size}; {change.held.source})"
            lines.append(f"  revised  {change.name:<40} {change.value:>11,}{was}")
        elif change.key[0] == "england":
            lines.append(f"  new      {change.name:<40} {change.value:>11,}")
    for table in PLACES:
        changes = [change for change in addition.changes if change.key[0] == table != "england"]
        lines += [f"  {table.replace('_', ' ')}: {_count_kinds(changes)}"] * bool(changes)
    hidden = [key for key in publication.suppressed if key[0] == "england"]
    lines += [f"  missing  {data.label(key[-1]):<40} suppressed" for key in hidden]
    if addition.card:
        lag = f", {addition.card['lag_days']} days after the end of the period; no day of publication was given"
        known = date_card(addition.card, publication)
        lines.append(f"  known    from {known}{lag if addition.card['lag_days'] else ''}")
    lines += [f"  note     {note}" for note in publication.notes]
    return "\n".join(lines + [f"  doubt    {doubt}" for doubt in addition.doubts])


def _count_kinds(changes: list[Change]) -> str:
    kinds = [change.kind for change in changes]
    words = (("new", "new"), ("revised", "revised"), ("stays", "as held"))
    return ", ".join(f"{kinds.count(kind)} {word}" for kind, word in words)
