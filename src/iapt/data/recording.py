"""Additions written into the tables: figures, source cards, digests, and the list of what changed.

Rows go to the place where the order of the table puts them, so that what is taken out and added again gives the same
bytes.
"""

import csv
import io
import shutil
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from iapt import data
from iapt.data import writing
from iapt.data.publications import PLACES, Refusal

if TYPE_CHECKING:
    from iapt.data.additions import Addition, Change

Row = dict[str, str]

ORDER: dict[str, Callable[[Row], tuple]] = {
    "england": lambda row: (
        ["year", "quarter", "month"].index(row["frequency"]), row["measure"], row["period"], row["source"],
    ),
    "areas": lambda row: (row["area"], row["measure"], row["year"], row["source"]),
    "groups": lambda row: (row["dimension"], row["group"], row["measure"], row["year"], row["source"]),
    "published_rates": lambda row: (row["dimension"], row["group"], row["measure"], row["year"], row["source"]),
    "sources": lambda row: (row["sha256"] != "", row["id"] if row["sha256"] else ""),
    "changes": lambda row: (row["added"], row["frequency"], row["period"], row["what"], row["card"]),
}  # fmt: skip
"""The order of the rows of a table. Source cards written by hand come first, as they stand."""


def write(additions: list["Addition"], digests: dict[str, str], today: date | None = None) -> list[str]:
    """Write the figures, their source cards, and the SHA-256 of files by address; the names of the changed tables.

    The caller holds the lock of the folder. Either all tables change or none.
    Raises DataError where the tables would break their description, Refusal where they cannot be written.
    """
    folder, additions = data.folder(), [addition for addition in additions if addition.card]
    cards = [addition.card for addition in additions if addition.card["id"] not in set(data.load()["sources"]["id"])]
    rows = {"sources": cards, **{table: [] for table in PLACES}}
    for addition in additions:
        for change in addition.moved:
            rows[change.key[0]].append(_write_figure(addition, change))
    rows["changes"] = [row for addition in additions for row in _list_changes(addition, today or date.today())]
    old = {f"{name}.csv": _read_text(folder / f"{name}.csv") for name in (*rows, "publications")}
    texts = {f"{name}.csv": _insert(old[f"{name}.csv"], name, new) for name, new in rows.items() if new}
    texts["publications.csv"] = _write_digests(old["publications.csv"], digests)
    texts = {name: text for name, text in texts.items() if text != old[name]}
    if texts:
        _rehearse(folder, texts)
        try:
            writing.replace(folder, texts)
        except OSError as error:
            raise Refusal(str(folder), "room to write the tables", f"{error.strerror}; they are as they were") from None
        data.forget()
    return list(texts)


def _write_figure(addition: "Addition", change: "Change") -> Row:
    publication, (table, *place, measure) = addition.publication, change.key
    row = {"measure": measure, "value": f"{change.value.normalize():f}", "source": addition.card["id"]}
    if table == "england":
        return row | {"frequency": publication.frequency, "period": publication.period}
    return row | dict(zip(PLACES[table], place), year=publication.period)


def _list_changes(addition: "Addition", today: date) -> list[Row]:
    """A row on the new figures of a publication, and one on those it revises, with its largest revisions."""
    publication, new = addition.publication, [change for change in addition.moved if change.kind == "new"]
    revised = [change for change in addition.moved if change.kind == "revised"]
    revised.sort(key=lambda change: -abs(change.value / change.held.value - 1) if change.held.value else 0)
    details = {
        "added": ", ".join(
            f"{number} in {table}"
            for table in PLACES
            if (number := sum(change.key[0] == table for change in new))
        ),
        "revised": "; ".join(f"{change.name} {change.size}" for change in revised[:3]),
    }
    return [
        {"added": str(today), "frequency": publication.frequency, "period": publication.period, "what": what,
         "figures": str(len(changes)), "detail": details[what], "card": addition.card["id"]}
        for what, changes in (("added", new), ("revised", revised)) if changes
    ]  # fmt: skip


def _read_text(path: Path) -> str:
    with path.open(encoding="utf-8", newline="") as handle:
        return handle.read()


def _insert(old: str, name: str, new: list[Row]) -> str:
    """The text of a table with new rows in their places; a change that is listed already is not listed again."""
    rows = list(csv.DictReader(io.StringIO(old.removeprefix("\ufeff"))))
    if name == "changes":
        same = [ORDER[name](row)[1:] for row in rows]
        new = [row for row in new if ORDER[name](row)[1:] not in same]
    return _write_rows(old, sorted([*rows, *new], key=ORDER[name]))


def _write_rows(old: str, rows: list[Row]) -> str:
    """Rows as the text of a table, with the byte order mark, the columns and the ends of line of the old one."""
    mark = "\ufeff" if old.startswith("\ufeff") else ""
    header = next(csv.reader(io.StringIO(old.removeprefix(mark))))
    text = io.StringIO()
    writer = csv.DictWriter(text, header, restval="", lineterminator="\r\n" if "\r\n" in old else "\n")
    writer.writeheader()
    writer.writerows(rows)
    return mark + text.getvalue()


def _write_digests(old: str, digests: dict[str, str]) -> str:
    if not digests:
        return old
    rows = list(csv.DictReader(io.StringIO(old.removeprefix("\ufeff"))))
    return _write_rows(old, [{**row, "sha256": row["sha256"] or digests.get(row["address"], "")} for row in rows])


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
