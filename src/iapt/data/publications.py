"""NHS publications, read as they are published: the figures of one file, checked against each other.

A file in the long form (monthly) gives England; one in the wide form (annual) gives England, its regions and boards,
and groups of people in England. The counts of providers serve to check those of England.
"""

import calendar
import hashlib
import re
import stat
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from iapt import data
from iapt.data import periods, tables
from iapt.data.layouts import Layout, Refusal, fold
from iapt.data.unpacking import LIMIT, gunzip, parse, read_header, unpack

__all__ = ["LIMIT", "Publication", "Refusal", "read"]

Key = tuple[str, ...]
"""What a figure is about: its table, its place there (an area, or a dimension and a group), its measure."""

PLACES = {
    "england": (),
    "areas": ("area",),
    "groups": ("dimension", "group"),
    "published_rates": ("dimension", "group"),
}
"""The columns of each table of figures that say where, or about whom, a figure is."""

RATES = (("reliably_recovered", "reliably_improved"), ("waited_under_6_weeks_rate", "waited_under_18_weeks_rate"))
"""What is part of what in publications, beside the counts that the tables are checked for."""

ENGLAND = ("england",)

COUNTRY = "E92000001"
"""The code of England in the table of published rates."""

WHOLE = ("", "null", "all", "total")
"""What the finer of two columns says in a row about all of the coarser, folded."""


@dataclass(frozen=True)
class Publication:
    """What one file says.

    `figures` are the values to keep; `suppressed` names those that are not published. `hidden` counts the
    suppressed values of all organisations. `doubts` have to be confirmed by a person; `notes` are good to know.
    """

    file: str
    sha256: str
    layout: Layout
    frequency: str
    period: str
    figures: dict[Key, Decimal]
    suppressed: tuple[Key, ...]
    hidden: int
    doubts: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """A published value as text, the place where it stands, and the name that its measure goes by there."""

    text: str
    place: str
    name: str


@dataclass
class Content:
    """What the rows of a file say: cells by place and item; those of the parts of England, by kind and item."""

    period: str
    columns: dict[str, str]
    hidden: int
    notes: list[str]
    cells: dict[Key, dict[str, Cell]] = field(default_factory=lambda: defaultdict(dict))
    parts: dict[tuple[str, str], dict[Key, Cell]] = field(default_factory=lambda: defaultdict(dict))
    twice: dict[str, str] = field(default_factory=dict)

    def add(self, place: Key, item: str, cell: Cell) -> None:
        """Take a cell to keep. Raises Refusal where there is one for the same already."""
        if (before := self.cells[place].setdefault(item, cell)) is not cell:
            expected = f"one row of {' '.join(place[1:]) or 'England'} for {item}"
            raise Refusal(cell.place, expected, f"a second one, after {before.place}")

    def add_part(self, kind: str, code: str, item: str, cell: Cell) -> None:
        """Take a cell to compare England with; an organisation listed twice with the same count counts once."""
        before = self.parts[kind, item].setdefault((code, cell.text), cell)
        if before is not cell:
            self.twice.setdefault(code, cell.place)


def read(path: Path) -> Publication:
    """Read one publication: a CSV or workbook, or a zip or .gz that holds one of them.

    Raises Refusal where the file is something else, is damaged, or contradicts itself.
    """
    try:
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):
            raise Refusal(str(path), "a file", "a folder" if path.is_dir() else "something else")
        if state.st_size > LIMIT:
            raise Refusal(path.name, f"at most {LIMIT:,} bytes", f"{state.st_size:,}")
        with path.open("rb") as handle:
            raw = handle.read(state.st_size)  # of one that grows or never ends, such as /proc/kmsg, no more
    except OSError as error:
        raise Refusal(str(path), "a file that can be read", error.strerror or str(error)) from None
    file, raw = gunzip(path.name, raw)
    with ThreadPoolExecutor(1) as pool:
        digest = pool.submit(lambda: hashlib.sha256(raw).hexdigest())
        name, text, layout = unpack(file, raw)
        content = (_read_wide if layout.wide else _read_long)(name, text, layout)
        if not content.cells[ENGLAND]:
            raise Refusal(name, _describe_england(layout, content.columns), "none")
        known = _interpret(name, layout, content)
        doubts = _find_doubts(name, layout, content)
        if not text.endswith((b"\n", b"\r")):
            doubts.append(f"{name}: the last row has no end of line, as if the file were cut off; compare its size")
        notes = [*_compare_parts(layout, content), *content.notes]
        return Publication(
            file, digest.result(), layout, "year" if layout.wide else "month", content.period,
            figures={key: value for key, value in known.items() if value is not None},
            suppressed=tuple(key for key, value in known.items() if value is None),
            hidden=content.hidden, doubts=tuple(doubts), notes=tuple(notes),
        )  # fmt: skip


# ---------------------------------------------------------------- from the table to the cells


def _count_hidden(table: pa.Table, items: list[str], layout: Layout) -> int:
    marks = pa.array(layout.names["suppressed"])
    return sum(pc.sum(pc.is_in(table[item], marks)).as_py() or 0 for item in items)


def _read_long(name: str, text: bytes, layout: Layout) -> Content:
    columns = layout.columns(read_header(name, text))
    table = parse(name, text, columns)
    measures, kinds = layout.items("figure", "check"), {layout.text(kind): kind for kind in ("england", "provider")}
    other = [("rows of", set(pc.unique(table["group"]).to_pylist()) - kinds.keys())]
    other += [("measures", set(pc.unique(table["id"]).to_pylist()) - set(measures))]
    period, hidden = _read_month(name, table, columns, layout), _count_hidden(table, ["value"], layout)
    content = Content(period, columns, hidden, _list_untaken(other))
    chosen = pc.and_(pc.is_in(table["id"], pa.array(measures)), pc.is_in(table["group"], pa.array(kinds)))
    for row in table.filter(chosen).to_pylist():
        cell = Cell(row["value"], f"{name}, row {row['row']}, column {columns['value']}", row["name"])
        if kinds[row["group"]] == "england":
            content.add(ENGLAND, row["id"], cell)
        else:
            content.add_part("provider", row["code"], row["id"], cell)
    return content


def _describe_england(layout: Layout, columns: dict[str, str]) -> str:
    """Which rows a file has to have, in the words of its own columns."""
    row = f"{columns['group']} {layout.text('england')}"
    if layout.wide:
        return f"a row with {row} and {columns['variable']} {layout.text('total')}"
    return f"rows of {row} and {columns['id']} {', '.join(layout.items('figure', 'check'))}"


def _list_untaken(others: list[tuple[str, set[str]]]) -> list[str]:
    """A note on what a file holds beside the figures that are taken."""
    more = lambda names: f" and {len(names) - 6} more" if len(names) > 6 else ""
    texts = [f"{what} {', '.join(sorted(names)[:6])}{more(names)}" for what, names in others if names]
    return [f"not taken: {'; '.join(texts)}"] if texts else []


def _read_month(name: str, table: pa.Table, columns: dict[str, str], layout: Layout) -> str:
    days = {}
    for item in ("start", "end"):
        first, number = table[item][0], table["row"][0]
        same = pc.equal(table[item], first)
        if not pc.all(same).as_py():
            at = pc.index(same, False).as_py()
            place = f"{name}, row {table['row'][at]}, column {columns[item]}"
            raise Refusal(place, f"one month in the file, {first}", str(table[item][at]))
        days[item] = _read_day(f"{name}, row {number}, column {columns[item]}", first.as_py(), layout)
    start, end = days["start"], days["end"]
    if start.day != 1 or end != start.replace(day=calendar.monthrange(start.year, start.month)[1]):
        place = f"{name}, row {table['row'][0]}, columns {columns['start']} and {columns['end']}"
        raise Refusal(place, "the first and last day of one month", f"{start} to {end}")
    return f"{start:%Y-%m}"


def _read_day(place: str, text: str, layout: Layout) -> date:
    for form in layout.names["date"]:
        try:
            return datetime.strptime(text.strip(), form).date()
        except ValueError:
            continue
    raise Refusal(place, "a date such as 31/03/2021 or 2021-03-31", repr(text))


def _read_year(name: str) -> str:
    years = re.findall(r"(?<!\d)20\d\d-\d\d(?!\d)", name)
    try:
        periods.parse(years[-1], "year")
    except (IndexError, ValueError):
        raise Refusal(name, "the financial year in the name of the file, such as 2024-25", "none") from None
    return years[-1]


def _read_wide(name: str, text: bytes, layout: Layout) -> Content:
    """England, areas and groups. A row is about all of an organisation, a band of waits in it, or a group of people."""
    columns = layout.columns(read_header(name, text))
    table = parse(name, text, columns)
    measures = [item for item in layout.items("figure", "check") if item in columns]
    kinds, bands, dimensions = (layout.wordings(use) for use in ("kind", "row", "dimension"))
    content = Content(_read_year(name), columns, _count_hidden(table, measures, layout), [])
    total, known = fold(layout.text("total")), set(data.load()["places"]["area"])
    untaken: dict[str, set[str]] = {what: set() for what in ("rows of", "areas", "breakdowns by")}
    for row in _choose_rows(table, total, kinds, bands):
        kind, variable, second = kinds.get(fold(row["group"])), fold(row["variable"]), fold(row["second"])
        band = bands.get(f"{variable}/{fold(row['first'])}/{second or 'null'}")
        dimension = dimensions.get(variable) if kind == "england" and second in WHOLE else None
        if kind is None or not layout.knows(kind, content.period, row["group"]):
            untaken["rows of"].add(row["group"])
        elif kind == "area" and row["code"] not in known:
            untaken["areas"].add(row["code"])
        elif variable != total and not band and not dimension:
            untaken["breakdowns by"].update([] if variable in dimensions else [row["variable"]])
        else:
            area = ("areas", row["code"]) if kind == "area" else ENGLAND
            place = ("groups", dimension, row["first"]) if dimension else area
            for item in ["finished_course"] if band else measures:
                cell = Cell(row[item] or "NULL", f"{name}, row {row['row']}, column {columns[item]}", columns[item])
                if kind != "provider":
                    content.add(place, band or item, cell)
                if kind != "england" and not band:
                    content.add_part(row["group"], row["code"], item, cell)
    content.notes.extend(_list_untaken(list(untaken.items())))
    return content


def _choose_rows(table: pa.Table, total: str, kinds: dict[str, str], bands: dict[str, str]) -> list[dict]:
    """The rows about all of an organisation, those with bands of waits in England and areas, and all of England."""
    folded = lambda item: pc.utf8_lower(pc.replace_substring_regex(table[item], r"[\s_]", ""))
    group, variable = folded("group"), folded("variable")
    among = lambda column, names: pc.is_in(column, pa.array(list(names), pa.string()))
    england = among(group, [name for name, kind in kinds.items() if kind == "england"])
    areas = among(group, [name for name, kind in kinds.items() if kind == "area"])
    banded = among(variable, {band.split("/")[0] for band in bands})
    return table.filter(pc.or_(pc.or_(england, pc.equal(variable, total)), pc.and_(areas, banded))).to_pylist()


# ---------------------------------------------------------------- from the cells to figures, checked against each other


def _interpret(name: str, layout: Layout, content: Content) -> dict[Key, Decimal | None]:
    """The values to keep, None where suppressed; those of each place checked against each other."""
    codebook, held = data.load()["measures"], _list_held()
    named = dict(zip(codebook["measure" if layout.wide else "nhs_id"], codebook["measure"]))
    rules = [*codebook.itertuples()], [*tables.list_parts(codebook), *RATES]
    found: dict[Key, Decimal | None] = {}
    for (table, *where), cells in content.cells.items():
        group = {"england": ["area", COUNTRY], "areas": ["area", *where]}.get(table, where)
        values, places = {}, {}
        for item, cell in cells.items():
            if not (measure := named.get(item)):
                continue
            values[measure], places[measure] = _read_value(layout, item, cell), cell.place
            if layout.uses[item] != "check" and (table == "england" or (table, measure) in held):
                found[table, *where, measure] = values[measure]
            if layout.wide and (group[0], group[1] == COUNTRY, measure) in held:
                found["published_rates", *group, measure] = values[measure]
        _check_values(values, places, *rules, tables.UNITS[table])
    if not any(value is not None for key, value in found.items() if key[:1] == ENGLAND):
        raise Refusal(name, "figures for England", "suppressed values alone")
    return found


def _list_held() -> set[tuple]:
    """The measures that the tables of areas and groups hold, and the kinds of rates in the one of published rates."""
    held = {(table, measure) for table in ("areas", "groups") for measure in data.load()[table]["measure"].unique()}
    rates = data.load()["published_rates"]
    rates = rates.assign(group=rates["group"] == COUNTRY)[["dimension", "group", "measure"]].drop_duplicates()
    return held | set(rates.itertuples(index=False, name=None))


def _read_value(layout: Layout, item: str, cell: Cell) -> Decimal | None:
    """A published value; None where it is suppressed."""
    text, name = cell.text.strip(), layout.text(item)
    if text in layout.names["suppressed"]:
        return None
    kind = {"Perc": "a percentage up to 100", "Mean": "a number", "Medi": "a number"}.get(name[:4], "a count")
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,12})?", text):
        value = Decimal(text)
        if {"a percentage up to 100": value <= 100, "a count": value == value.to_integral_value()}.get(kind, True):
            return value
    raise Refusal(cell.place, f"{kind} for {name}, or one of {' '.join(layout.names['suppressed'])}", repr(text))


def _check_values(
    values: dict[str, Decimal | None], places: dict[str, str], codebook: list, parts: list[tuple[str, str]], unit: int
) -> None:
    """Refuse a part that is larger than its whole, and a rate that its counts do not give.

    Counts rounded to 5 may differ by what rounding allows; percentages have one decimal, and none with such counts.
    """
    known = {measure: value for measure, value in values.items() if value is not None}
    for made in codebook:
        if made.kind == "difference" and {made.numerator, made.denominator} <= known.keys():
            known.setdefault(made.measure, known[made.numerator] - known[made.denominator])
            places.setdefault(made.measure, places[made.denominator])
    for part, of in parts:
        if part in known and of in known and known[part] > known[of] + (2 * unit if unit > 1 else 0):
            raise Refusal(places[part], f"{part} within {of}, which it is part of", f"{known[part]} of {known[of]}")
    for rate in codebook:
        above, below = known.get(rate.numerator), known.get(rate.denominator, 0)
        if rate.kind == "rate" and rate.measure in known and above is not None and below > unit:
            exact = 100 * above / below
            blur = Decimal(unit // 2 + 1) * (100 + 2 * exact) / (below - unit) if unit > 1 else 0
            if abs(exact - known[rate.measure]) > Decimal("0.5" if unit > 1 else "0.05") + blur:
                gives = f"as {rate.numerator} {above} over {rate.denominator} {below} gives"
                expected = f"{rate.measure} {exact:.2f} per cent, {gives}"
                raise Refusal(places[rate.measure], expected, str(known[rate.measure]))


def _compare_parts(layout: Layout, content: Content) -> list[str]:
    """What parts of England say beside it. Raises Refusal where they add up to more than rounding to 5 can explain."""
    notes = [
        f"{place}: {code} is listed twice with the same counts, and counted once"
        for code, place in content.twice.items()
    ]
    sums = {}
    for (kind, item), cells in content.parts.items():
        name, cell = layout.text(item), content.cells[ENGLAND].get(item)
        england = _read_value(layout, item, cell) if cell and name.startswith("Count") else None
        if england is None:
            continue
        total = sum(_read_value(layout, item, part) or 0 for part in cells.values())
        if total > england + Decimal("2.5") * len(cells):
            raise Refusal(cell.place, f"at least what the {len(cells)} of {kind} add up to, {total}", str(england))
        share = 100 * total / max(england, 1)
        sums.setdefault(kind, f"the {len(cells)} of {kind} add up to {share:.1f}% of {name} for England")
    return [*sums.values(), *notes]


def _find_doubts(name: str, layout: Layout, content: Content) -> list[str]:
    """Names that are not known from the period, and measures that were expected and are not there."""
    names = [(name, item, column) for item, column in content.columns.items() if layout.uses[item] == "column"]
    cells = content.cells[ENGLAND]
    names += [(cell.place, item, cell.name) for item, cell in cells.items() if layout.uses[item] != "row"]
    doubts = [
        f"{place}: {called} was not yet seen as a name of {item} ({layout.text(item)}) in {content.period}"
        for place, item, called in names
        if not layout.knows(item, content.period, called)
    ]
    lacking = [
        f"{item} ({list(layout.names[item])[-1]})"
        for item in layout.items("figure", "row")
        if item not in cells and layout.knows(item, content.period)
    ]
    doubts += [f"{name}: there is no value of England for {', '.join(lacking)}"] * bool(lacking)
    return doubts + (_doubt_areas(name, content) if layout.wide else [])


def _doubt_areas(name: str, content: Content) -> list[str]:
    """Areas that did not exist in the year of the file, and those that did and are not there."""
    year, places = periods.parse(content.period, "year"), data.load()["places"].set_index("area")
    ended = places["last_day"].ne("") & (places["last_day"] < str(year.start_time.date()))
    existing = places[~ended & (places["first_day"] <= str(year.end_time.date()))]
    there = places.loc[[place[1] for place in content.cells if place[0] == "areas"]]
    lacking = existing[existing["type"].isin(there["type"])].index.difference(there.index)
    return [
        f"{name}: {what} {', '.join(codes)} in {content.period}"
        for what, codes in (
            ("there are rows of areas that did not exist:", there.index.difference(existing.index)),
            ("there is no row of", lacking),
        )
        if len(codes)
    ]
