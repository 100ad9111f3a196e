"""Additions written into the tables: figures, source cards, digests, and the list of what changed.

Rows go to the place where the order of the table puts them, so that what is taken out and added again gives the same
bytes.
"""

import io
import shutil
import tempfile
from datetime import date
from pathlib import Path

import pandas as pd

from iapt import data
from iapt.data import periods, writing
from iapt.data.additions import Addition, Change
from iapt.data.publications import PLACES, Refusal

Row = dict[str, str]

ORDER = {table: (*place, "measure", "year", "source") for table, place in PLACES.items()} | {
    "england": ("frequency", "measure", "period", "source"),
    "changes": ("added", "frequency", "period", "what", "card"),
}
"""The columns by which the rows of a table are ordered. Source cards written by hand come first, as they stand."""

IN_WORDS = {
    "england": "for England",
    "areas": "for regions and boards",
    "groups": "for groups of people",
    "published_rates": "published rates",
}
"""What the list of changes calls the figures of each table."""


def write(additions: list[Addition], digests: dict[str, str], today: date | None = None) -> list[str]:
    """Write the figures, their source cards, and the SHA-256 of files by address; the names of the changed tables.

    The caller holds the lock of the folder. Either all tables change or none.
    Raises DataError where the tables would break their description, Refusal where they cannot be written.
    """
    folder, additions = data.folder(), [addition for addition in additions if addition.card]
    cards = [addition.card for addition in additions if addition.card["id"] not in set(data.load()["sources"]["id"])]
    new: dict[str, list[Row]] = {"sources": cards, **{table: [] for table in PLACES}, "changes": []}
    for addition in additions:
        for change in addition.moved:
            new[change.key[0]].append(_write_figure(addition, change))
        new["changes"] += _list_changes(addition, today or date.today())
    old = {name: (folder / f"{name}.csv").read_bytes().decode() for name in (*new, "publications")}
    texts = {name: _insert(old[name], name, rows) for name, rows in new.items() if rows}
    texts |= {"publications": _write_digests(old["publications"], digests)} if digests else {}
    texts = {f"{name}.csv": text for name, text in texts.items() if text != old[name]}
    if texts:
        try:
            rehearse(folder, texts)
            writing.replace(folder, texts)
        except OSError as error:
            room = "room to write the tables, there and for temporary files"
            raise Refusal(str(folder), room, f"{error.strerror}; they are as they were") from None
        data.forget()
    return list(texts)


def _write_figure(addition: Addition, change: Change) -> Row:
    publication, (table, *place, measure) = addition.publication, change.key
    row = {"measure": measure, "value": f"{change.value.normalize():f}", "source": addition.card["id"]}
    if table == "england":
        return row | {"frequency": publication.frequency, "period": publication.period}
    return row | dict(zip(PLACES[table], place), year=publication.period)


def _list_changes(addition: Addition, today: date) -> list[Row]:
    """A row on the new figures of a publication, and one on those it revises, with its largest revisions."""
    publication = addition.publication
    new, revised = ([change for change in addition.moved if change.kind == kind] for kind in ("new", "revised"))
    revised.sort(key=lambda change: -abs(change.value / change.held.value - 1) if change.held.value else 0)
    largest = "; ".join(f"{change.name} {change.size}" for change in revised[:3])
    row = {"added": str(today), "frequency": publication.frequency, "period": publication.period}
    return [
        row | {"what": what, "figures": str(len(changes)), "detail": detail, "card": addition.card["id"]}
        for what, changes, detail in (("added", new, _count_in_words(new)), ("revised", revised, largest))
        if changes
    ]


def _count_in_words(changes: list[Change]) -> str:
    tables = [change.key[0] for change in changes]
    counts = {name: tables.count(table) for table, name in IN_WORDS.items() if table in tables}
    if len(counts) == 1:
        return f"all {next(iter(counts))}"
    return ", ".join(f"{number:,} {name}" for name, number in counts.items())


def _parse(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text.removeprefix("\ufeff"), newline=""), dtype=str, keep_default_na=False)


def _insert(old: str, name: str, new: list[Row]) -> str:
    """The text of a table with new rows in their places; a change that is listed already is not listed again."""
    table = _parse(old)
    rows = pd.concat([table, pd.DataFrame(new, columns=table.columns, dtype=str).fillna("")], ignore_index=True)
    if name == "changes":
        rows = rows.drop_duplicates(list(ORDER[name][1:]))
    if name == "sources":  # those written by hand, without a digest, stay as they stand
        by_id = lambda digests: rows["id"].where(digests != "", "")
        return _write_rows(old, rows.sort_values("sha256", kind="stable", key=by_id))
    rank = lambda column: column.map(["", *periods.FREQUENCIES].index) if column.name == "frequency" else column
    return _write_rows(old, rows.sort_values(list(ORDER[name]), key=rank))


def _write_rows(old: str, rows: pd.DataFrame) -> str:
    """Rows as the text of a table, with the byte order mark and the ends of line of the old one."""
    mark, ending = "\ufeff" * old.startswith("\ufeff"), "\r\n" if "\r\n" in old else "\n"
    return mark + rows.to_csv(index=False, lineterminator=ending)


def _write_digests(old: str, digests: dict[str, str]) -> str:
    rows = _parse(old)
    new = rows["address"].map(digests).fillna("")
    return _write_rows(old, rows.assign(sha256=rows["sha256"].where(rows["sha256"] != "", new)))


def rehearse(folder: Path, texts: dict[str, str]) -> None:
    """Check the tables as they would be. Raises DataError where they would break their description."""
    with tempfile.TemporaryDirectory() as temporary:
        trial = Path(temporary)
        for path in filter(Path.is_file, folder.glob("[!.]*")):
            shutil.copyfile(path, trial / path.name)
        for name, text in texts.items():
            (trial / name).write_text(text, encoding="utf-8", newline="")
        if problems := data.check(trial):
            raise data.DataError(problems)
