"""NHS publications, read as they are published: the figures for England in one file, checked against each other.

How the files are laid out, and what changed when, is in the table `layouts`. Everything a file can be (CSV, zip,
workbook) becomes the bytes of one CSV first; the counts of providers serve to check those of England.
"""

import calendar
import csv
import hashlib
import io
import re
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from iapt import data
from iapt.data import periods

LIMIT = 300_000_000
"""Bytes that a publication may have when unpacked; a full monthly CSV has 30 million."""

ROUNDING = Decimal("0.05")
"""How far a published percentage for England can be from the exact one."""

STRANGERS = {
    b"<": "a web page", b"%PDF": "a PDF", b"\xd0\xcf\x11\xe0": "an Excel file in the old format .xls", b"Rar!": "a .rar archive",
    b"\x1f\x8b": "a .gz file", b"7z": "a .7z archive", b"\xff\xfe": "text in UTF-16", b"\xfe\xff": "text in UTF-16", b"{": "JSON",
}  # fmt: skip


class Refusal(ValueError):
    """A file that cannot be taken: where the fault is, what was expected there and what was found."""

    def __init__(self, where: str, expected: str, found: str) -> None:
        super().__init__(f"{where}: expected {expected}; found {found}")


@dataclass(frozen=True)
class Layout:
    """What is known of one kind of publication. `names` holds, for an item, each name with its first and last period."""

    kind: str
    names: dict[str, dict[str, tuple[str, str]]]
    uses: dict[str, str]

    def text(self, item: str) -> str:
        """The first wording of an item, such as the title of the publication."""
        return next(iter(self.names[item]))

    def measures(self, *uses: str) -> list[str]:
        """The items that are measures: MEASURE_IDs where the form is long, measures of the codebook where it is wide."""
        return [item for item, use in self.uses.items() if use in (uses or ("figure", "check"))]

    @property
    def wide(self) -> bool:
        return self.text("form") == "wide"

    def columns(self, header: list[str]) -> dict[str, str]:
        """The column of the header that holds each item; items without one are left out."""
        items = [item for item, use in self.uses.items() if use == "column"] + (self.measures() if self.wide else [])
        folded = {fold(name): name for name in reversed(header)}
        found = {item: [folded[fold(name)] for name in self.names[item] if fold(name) in folded] for item in items}
        return {item: names[0] for item, names in found.items() if names}

    def knows(self, item: str, name: str, period: str) -> bool:
        """Whether an item went by this name in a period."""
        known = {fold(text): limits for text, limits in self.names[item].items()}
        since, until = known.get(fold(name), ("9999", ""))
        return since <= period <= (until or "9999")


@dataclass(frozen=True)
class Publication:
    """What one file says about England.

    `figures` are the values to keep, by measure; `suppressed` names the measures without one. `hidden` counts the
    suppressed values of all organisations. `doubts` have to be confirmed by a person; `notes` are good to know.
    """

    file: str
    sha256: str
    layout: Layout
    frequency: str
    period: str
    figures: dict[str, Decimal]
    suppressed: tuple[str, ...]
    hidden: int
    doubts: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """A published value as text, the place where it stands, and the name that its measure goes by there."""

    text: str
    place: str
    name: str


@dataclass(frozen=True)
class Content:
    """What the rows of a file say: the values for England and for providers by item, and how many are suppressed."""

    period: str
    columns: dict[str, str]
    england: dict[str, Cell]
    providers: dict[str, list[Cell]]
    hidden: int


def fold(name: str) -> str:
    """A name as it is compared: without case, spaces and underscores."""
    return re.sub(r"[\s_\ufeff]", "", name).lower()


def load_layouts() -> list[Layout]:
    """The layouts of all kinds of publications."""
    layouts: dict[str, Layout] = {}
    for row in data.load()["layouts"].itertuples():
        layout = layouts.setdefault(row.publication, Layout(row.publication, {}, {}))
        layout.names.setdefault(row.item, {})[row.name] = (row.since, row.until)
        layout.uses[row.item] = row.use
    return list(layouts.values())


def read(path: Path) -> Publication:
    """Read one publication: a CSV, a workbook, or a zip that holds one of them.

    Raises Refusal where the file is something else, is damaged, or contradicts itself.
    """
    try:
        if path.stat().st_size > LIMIT:
            raise Refusal(path.name, f"at most {LIMIT:,} bytes", f"{path.stat().st_size:,}")
        raw = path.read_bytes()
    except OSError as error:
        raise Refusal(str(path), "a file that can be read", error.strerror) from None
    with ThreadPoolExecutor(1) as pool:
        digest = pool.submit(lambda: hashlib.sha256(raw).hexdigest())
        name, text, layout = _unpack(path.name, raw, load_layouts())
        content = (_read_wide if layout.wide else _read_long)(name, text, layout)
        known, kept = _interpret(name, layout, content)
        return Publication(
            path.name, digest.result(), layout, "year" if layout.wide else "month", content.period,
            figures={measure: known[measure] for measure in kept if known[measure] is not None},
            suppressed=tuple(measure for measure in kept if known[measure] is None),
            hidden=content.hidden,
            doubts=(*_find_doubts(name, layout, content), *_doubt_end(name, text)),
            notes=_compare_providers(layout, content),
        )  # fmt: skip


# ---------------------------------------------------------------- from a file to the bytes of one CSV


def _unpack(name: str, raw: bytes, layouts: list[Layout]) -> tuple[str, bytes, Layout]:
    if not raw.startswith(b"PK"):
        return name, raw, _recognise(name, read_header(name, raw), layouts)
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            _check_archive(name, archive)
            workbook = "xl/workbook.xml" in archive.namelist()
            parts = _open_workbook(name, raw) if workbook else _open_members(name, archive)
            fitting = [
                (part, layout, content) for part, head, content in parts if (layout := _fit(part, head, layouts))
            ]
            if len(fitting) != 1:
                every = ", ".join(part.removeprefix(f"{name}/") for part, _, _ in parts) or "nothing of the kind"
                raise Refusal(
                    name,
                    f"one {'sheet' if workbook else 'CSV or workbook'} with the columns of a publication",
                    f"{len(fitting)}, looking at {every}",
                )
            part, layout, content = fitting[0]
            return part, content(), layout
    except Refusal:
        raise
    except Exception as error:  # zipfile and openpyxl meet damage with errors of a dozen kinds
        raise Refusal(name, "an archive that can be opened", f"{type(error).__name__}: {error}") from None


def _check_archive(name: str, archive: zipfile.ZipFile) -> None:
    for member in archive.infolist():
        path = PurePosixPath(member.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in member.filename:
            raise Refusal(name, "members inside the folder of the archive", member.filename)
        if member.flag_bits & 1:
            raise Refusal(name, "an archive without password", f"{member.filename} is encrypted")
    size = sum(member.file_size for member in archive.infolist())
    if size > LIMIT:
        raise Refusal(name, f"at most {LIMIT:,} bytes when unpacked", f"{size:,}")


def _open_members(name: str, archive: zipfile.ZipFile) -> list[tuple]:
    parts = []
    for member in archive.namelist():
        if member.lower().endswith(".csv"):
            with archive.open(member) as handle:
                parts.append((f"{name}/{member}", handle.read(65536), lambda member=member: archive.read(member)))
        elif member.lower().endswith(".xlsx"):
            parts += _open_workbook(f"{name}/{member}", archive.read(member))
    return parts


def _open_workbook(name: str, raw: bytes) -> list[tuple]:
    import openpyxl

    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        _check_archive(name, archive)
    book = openpyxl.load_workbook(io.BytesIO(raw), read_only=True, data_only=True)
    return [
        (
            f"{name}/{sheet.title.strip()}",
            _write_rows(sheet.iter_rows(max_row=1, values_only=True)),
            lambda sheet=sheet: _write_rows(sheet.iter_rows(values_only=True)),
        )
        for sheet in book.worksheets
    ]


def _write_rows(rows) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        if any(cell is not None for cell in row):
            writer.writerow([cell.date().isoformat() if isinstance(cell, datetime) else cell for cell in row])
    return text.getvalue().encode()


def read_header(name: str, raw: bytes) -> list[str]:
    """The column names of a CSV. Raises Refusal where the bytes are no CSV at all."""
    raw = raw[:65536]
    start = raw.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start:
        raise Refusal(name, "a publication of NHS England", "an empty file")
    if stranger := next((what for mark, what in STRANGERS.items() if start.startswith(mark)), None):
        raise Refusal(name, "a CSV, a workbook (.xlsx) or a zip", stranger)
    line = raw.split(b"\n", 1)[0].decode("utf-8-sig", errors="replace").rstrip("\r")
    if "\0" in line or "\ufffd" in line:
        raise Refusal(f"{name}, row 1", "column names", "bytes that are no text")
    return next(csv.reader([line]), [])


def _fit(name: str, head: bytes, layouts: list[Layout]) -> Layout | None:
    try:
        return _recognise(name, read_header(name, head), layouts)
    except Refusal:
        return None


def _recognise(name: str, header: list[str], layouts: list[Layout]) -> Layout:
    def missing(layout: Layout) -> list[str]:
        found = layout.columns(header)
        return [
            next(iter(names))
            for item, names in layout.names.items()
            if item not in found and (layout.uses[item] == "column" or layout.wide and item in layout.measures())
        ]

    layout = min(layouts, key=lambda layout: len(missing(layout)))
    if lacking := missing(layout):
        shown = ", ".join(header)
        raise Refusal(
            f"{name}, row 1",
            f"the columns of the {layout.kind} publication, among them {', '.join(lacking)}",
            shown[:200] + ("…" if len(shown) > 200 else ""),
        )
    return layout


# ---------------------------------------------------------------- from the bytes to the rows of England and providers


def _parse(name: str, text: bytes, columns: dict[str, str]) -> pa.Table:
    """The columns of a CSV as text, renamed to the items that they hold."""
    header = read_header(name, text)
    names = {column: item for item, column in columns.items()}
    labels = [names.get(column, f"{number} {column}") for number, column in enumerate(header)]
    convert = pyarrow.csv.ConvertOptions(
        include_columns=list(columns), column_types=dict.fromkeys(columns, pa.string())
    )
    for threads in (True, False):  # only in one thread does the error name the row
        try:
            return pyarrow.csv.read_csv(
                pa.BufferReader(text),
                pyarrow.csv.ReadOptions(column_names=labels, skip_rows=1, use_threads=threads),
                convert_options=convert,
            )
        except pa.ArrowInvalid as error:
            fault = str(error).removeprefix("CSV parse error: ")[:200]
    raise Refusal(name, f"{len(header)} values in every row", fault)


def _pick(table: pa.Table, chosen: pa.ChunkedArray) -> list[tuple[int, dict[str, str]]]:
    """The chosen rows, each with its number in the file; the header is row 1."""
    return [
        (place + 2, row) for place, row in zip(pc.indices_nonzero(chosen).to_pylist(), table.filter(chosen).to_pylist())
    ]


def _count_hidden(values: pa.ChunkedArray, layout: Layout) -> int:
    return sum(pc.sum(pc.equal(values, mark)).as_py() or 0 for mark in layout.names["suppressed"])


def _read_long(name: str, text: bytes, layout: Layout) -> Content:
    columns = layout.columns(read_header(name, text))
    table = _parse(name, text, columns)
    if not len(table):
        raise Refusal(name, "rows", "column names alone")
    period = _read_month(name, table, columns, layout)
    wanted = pc.is_in(table["id"], pa.array(layout.measures()))
    cells: dict[str, dict[str, list[Cell]]] = {"england": {}, "provider": {}}
    for group, items in cells.items():
        for number, row in _pick(
            table.select(["id", "name", "value"]), pc.and_(wanted, pc.equal(table["group"], layout.text(group)))
        ):
            items.setdefault(row["id"], []).append(
                Cell(row["value"], f"{name}, row {number}, column {columns['value']}", row["name"])
            )
    if not cells["england"]:
        raise Refusal(
            f"{name}, column {columns['group']}",
            f"rows of {layout.text('england')} with {columns['id']} {', '.join(layout.measures())}",
            "none",
        )
    for item, (first, *others) in cells["england"].items():
        if others:
            raise Refusal(
                others[0].place, f"one row of {layout.text('england')} for {item}", f"a second one, after {first.place}"
            )
    return Content(
        period,
        columns,
        {item: found[0] for item, found in cells["england"].items()},
        cells["provider"],
        _count_hidden(table["value"], layout),
    )


def _read_month(name: str, table: pa.Table, columns: dict[str, str], layout: Layout) -> str:
    days = {}
    for item in ("start", "end"):
        first = table[item][0]
        same = pc.equal(table[item], first)
        if not pc.all(same).as_py():
            row = pc.index(same, False).as_py()
            raise Refusal(
                f"{name}, row {row + 2}, column {columns[item]}",
                f"one month in the file, {first}",
                str(table[item][row]),
            )
        days[item] = _read_day(f"{name}, row 2, column {columns[item]}", first.as_py(), layout)
    start, end = days["start"], days["end"]
    if start.day != 1 or end != start.replace(day=calendar.monthrange(start.year, start.month)[1]):
        raise Refusal(
            f"{name}, row 2, columns {columns['start']} and {columns['end']}",
            "the first and last day of one month",
            f"{start} to {end}",
        )
    return f"{start:%Y-%m}"


def _read_day(place: str, text: str, layout: Layout) -> date:
    for form in layout.names["date"]:
        try:
            return datetime.strptime(text.strip(), form).date()
        except ValueError:
            continue
    raise Refusal(place, "a date such as 31/03/2021 or 2021-03-31", repr(text))


def _read_wide(name: str, text: bytes, layout: Layout) -> Content:
    columns = layout.columns(read_header(name, text))
    table = _parse(name, text, columns)
    years = re.findall(r"(?<!\d)20\d\d-\d\d(?!\d)", name)
    try:
        periods.parse(years[-1], "year")
    except (IndexError, ValueError):
        raise Refusal(name, "the financial year in the name of the file, such as 2024-25", "none") from None
    total = pc.equal(table["variable"], layout.text("total"))
    rows = {
        group: _pick(table, pc.and_(total, pc.equal(table["group"], layout.text(group))))
        for group in ("england", "provider")
    }
    if len(rows["england"]) != 1:
        raise Refusal(
            name,
            f"one row with {columns['group']} {layout.text('england')} and {columns['variable']} "
            f"{layout.text('total')}",
            str(len(rows["england"])),
        )
    cells = {
        group: {
            item: [
                Cell(row[item], f"{name}, row {number}, column {columns[item]}", columns[item]) for number, row in found
            ]
            for item in layout.measures()
        }
        for group, found in rows.items()
    }
    return Content(
        years[-1],
        columns,
        {item: found[0] for item, found in cells["england"].items()},
        cells["provider"],
        sum(_count_hidden(table[item], layout) for item in layout.measures()),
    )


# ---------------------------------------------------------------- from the rows to figures, checked against each other


def _interpret(name: str, layout: Layout, content: Content) -> tuple[dict[str, Decimal | None], list[str]]:
    """The values of all measures, None where suppressed, and the names of those to keep; checked against each other."""
    values = {item: _read_value(layout, item, cell) for item, cell in content.england.items()}
    codebook = data.load()["measures"].to_dict("records")
    known, kept = {}, []
    for entry in codebook:
        measure, items = entry["measure"], [entry["measure"]] if layout.wide else entry["nhs_id"].split("-")
        if set(items) <= values.keys():
            parts = [values[item] for item in items]
            known[measure] = None if None in parts else parts[0] - sum(parts[1:])
            kept += [measure] * all(layout.uses[item] == "figure" for item in items)
    if not any(known[measure] is not None for measure in kept):
        raise Refusal(name, "figures for England", "suppressed values alone")
    _check_parts(name, known)
    _check_rates(name, known, codebook)
    return known, kept


def _read_value(layout: Layout, item: str, cell: Cell) -> Decimal | None:
    """A published value; None where it is suppressed."""
    text = cell.text.strip()
    if text in layout.names["suppressed"]:
        return None
    rate = layout.text(item).startswith("Percentage")
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        value = Decimal(text)
        if value <= 100 if rate else value == value.to_integral_value():
            return value
    raise Refusal(
        cell.place,
        f"{'a percentage up to 100' if rate else 'a count'} for {layout.text(item)}, or one of "
        f"{' '.join(layout.names['suppressed'])}",
        repr(text),
    )


def _check_parts(name: str, known: dict[str, Decimal | None]) -> None:
    parts = [
        *data.WHOLES.items(),
        ("reliably_recovered", "reliably_improved"),
        ("waited_under_6_weeks_rate", "waited_under_18_weeks_rate"),
    ]
    for part, of in parts:
        if known.get(part) is not None and known.get(of) is not None and known[part] > known[of]:
            raise Refusal(
                f"{name}, England", f"{part} within {of}, which it is part of", f"{known[part]} of {known[of]}"
            )
    if (known.get("at_caseness") or 0) < 0:
        raise Refusal(
            f"{name}, England", "fewer not at caseness than finished a course", f"{-known['at_caseness']} more"
        )


def _check_rates(name: str, known: dict[str, Decimal | None], codebook: list[dict[str, str]]) -> None:
    for entry in codebook:
        published, above, below = (known.get(entry[column]) for column in ("measure", "numerator", "denominator"))
        if None not in (published, above, below) and below and abs(100 * above / below - published) > ROUNDING:
            raise Refusal(
                f"{name}, England",
                f"{entry['measure']} {100 * above / below:.2f} per cent, as {entry['numerator']} {above} over "
                f"{entry['denominator']} {below} gives",
                f"{published}",
            )


def _compare_providers(layout: Layout, content: Content) -> tuple[str, ...]:
    """What providers say beside England. Raises Refusal where they add up to more than rounding to 5 can explain."""
    notes = []
    for item, cell in content.england.items():
        england, cells = _read_value(layout, item, cell), content.providers.get(item, [])
        if layout.text(item).startswith("Percentage") or england is None or not cells:
            continue
        total = sum(count for count in (_read_value(layout, item, cell) for cell in cells) if count is not None)
        if total > england + Decimal("2.5") * len(cells):
            raise Refusal(cell.place, f"at least what the {len(cells)} providers add up to, {total}", str(england))
        notes.append(
            f"{len(cells)} providers add up to {100 * total / max(england, 1):.1f} % of {layout.text(item)} for England"
        )
    return tuple(notes[:1])


def _find_doubts(name: str, layout: Layout, content: Content) -> list[str]:
    names = [(name, item, column) for item, column in content.columns.items() if layout.uses[item] == "column"]
    names += [(cell.place, item, cell.name) for item, cell in content.england.items()]
    doubts = [
        f"{place}: {called} was not yet seen as a name of {item} ({layout.text(item)}) in {content.period}"
        for place, item, called in names
        if not layout.knows(item, called, content.period)
    ]
    return doubts + [
        f"{name}: there is no row of England for {item}, {layout.text(item)}"
        for item in layout.measures("figure")
        if item not in content.england
    ]


def _doubt_end(name: str, text: bytes) -> list[str]:
    return (
        []
        if text.endswith(b"\n")
        else [
            f"{name}: the last row has no end of line, as if the file were cut off; compare its size with the one "
            "on the publication page"
        ]
    )
