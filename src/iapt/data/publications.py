"""NHS publications, read as they are published: the figures of one file, checked against each other.

A file in the long form (monthly) gives England; one in the wide form (annual) gives England, its regions and boards,
and groups of people in England. The counts of providers serve to check those of England.
"""

import calendar
import hashlib
import re
import stat
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path

import pandas as pd

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

    @property
    def when(self) -> pd.Period:
        """The month or year that the figures are about."""
        return periods.parse(self.period, self.frequency)


@dataclass(frozen=True)
class Content:
    """What the rows of a file say, one row of `cells` for each value that is taken.

    Its columns are kind (england, area or provider), of (the name of that kind here), code, place (where the value is
    kept, None where it only serves to compare England with), item, text, at (where it stands in the file) and name
    (what its measure is called there).
    """

    period: str
    columns: dict[str, str]
    hidden: int
    notes: list[str]
    cells: pd.DataFrame

    @cached_property
    def england(self) -> dict[str, tuple]:
        """The cells of all of England by item."""
        own = self.cells[self.cells["place"].isin([ENGLAND])]
        return {cell.item: cell for cell in own.itertuples()}


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
    name, text, layout = unpack(file, raw)
    content = (_read_wide if layout.wide else _read_long)(name, text, layout)
    if not content.england:
        raise Refusal(name, _describe_england(layout, content.columns), "none")
    _refuse_twice(content.cells)
    known = _interpret(name, layout, content)
    doubts = _find_doubts(name, layout, content)
    if not text.endswith((b"\n", b"\r")):
        doubts.append(f"{name}: the last row has no end of line, as if the file were cut off; compare its size")
    notes = [*_compare_parts(layout, content), *content.notes]
    return Publication(
        file, hashlib.sha256(raw).hexdigest(), layout, "year" if layout.wide else "month", content.period,
        figures={key: value for key, value in known.items() if value is not None},
        suppressed=tuple(key for key, value in known.items() if value is None),
        hidden=content.hidden, doubts=tuple(doubts), notes=tuple(notes),
    )  # fmt: skip


# ---------------------------------------------------------------- from the table to the cells


def _read_long(name: str, text: bytes, layout: Layout) -> Content:
    columns = layout.columns(read_header(name, text))
    table = parse(name, text, columns)
    measures, kinds = layout.items("figure", "check"), {layout.text(kind): kind for kind in ("england", "provider")}
    other = [("rows of", set(table["group"].unique()) - kinds.keys())]
    other += [("measures", set(table["id"].unique()) - set(measures))]
    hidden = int(table["value"].isin(list(layout.names["suppressed"])).sum())
    taken = table[table["id"].isin(measures) & table["group"].isin(list(kinds))]
    cells = taken.rename(columns={"id": "item", "value": "text"}).assign(kind=taken["group"].map(kinds))
    cells["of"], cells["at"] = cells["kind"], _describe_place(name, cells["row"], columns["value"])
    cells["place"] = [ENGLAND if kind == "england" else None for kind in cells["kind"]]
    return Content(_read_month(name, table, columns, layout), columns, hidden, _list_untaken(other), cells)


def _describe_place(name: str, rows: pd.Series, columns: str | pd.Series) -> pd.Series:
    return f"{name}, row " + rows.astype(str) + ", column " + columns


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


def _read_month(name: str, table: pd.DataFrame, columns: dict[str, str], layout: Layout) -> str:
    row, days = table["row"].iloc[0], []
    for item in ("start", "end"):
        first = table[item].iloc[0]
        other = table[table[item] != first]
        if len(other):
            place = f"{name}, row {other['row'].iloc[0]}, column {columns[item]}"
            raise Refusal(place, f"one month in the file, {first}", other[item].iloc[0])
        days.append(_read_day(f"{name}, row {row}, column {columns[item]}", first, layout))
    start, end = days
    if start.day != 1 or end != start.replace(day=calendar.monthrange(start.year, start.month)[1]):
        place = f"{name}, row {row}, columns {columns['start']} and {columns['end']}"
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
    columns, period = layout.columns(read_header(name, text)), _read_year(name)
    table = parse(name, text, columns)
    kinds, bands, dimensions = (layout.wordings(use) for use in ("kind", "row", "dimension"))
    group, variable, first, second = (table[item].map(fold) for item in ("group", "variable", "first", "second"))
    kind, total = group.map(kinds), variable == fold(layout.text("total"))
    band = (variable + "/" + first + "/" + second.replace("", "null")).map(bands)
    dimension = variable.map(dimensions).where((kind == "england") & second.isin(WHOLE))
    banded = variable.isin({wording.split("/")[0] for wording in bands})
    rows = table.assign(kind=kind, of=table["group"], band=band, dimension=dimension)
    rows = rows[(kind == "england") | total | ((kind == "area") & banded)]
    called = rows[["kind", "of"]].dropna().drop_duplicates()
    known = {of for kind, of in called.itertuples(index=False) if layout.knows(kind, period, of)}
    strange = ~rows["of"].isin(known)
    away = ~strange & (rows["kind"] == "area") & ~rows["code"].isin(data.load()["places"]["area"])
    other = ~strange & ~away & ~total[rows.index] & rows["band"].isna() & rows["dimension"].isna()
    untaken = [("rows of", rows["of"][strange]), ("areas", rows["code"][away])]
    untaken += [("breakdowns by", rows["variable"][other & ~variable[rows.index].isin(dimensions)])]
    measures = [item for item in layout.items("figure", "check") if item in columns]
    return Content(
        period, columns, hidden=int(table[measures].isin(list(layout.names["suppressed"])).sum().sum()),
        notes=_list_untaken([(what, set(names)) for what, names in untaken]),
        cells=_list_cells(name, rows[~strange & ~away & ~other], measures, columns),
    )  # fmt: skip


def _list_cells(name: str, rows: pd.DataFrame, measures: list[str], columns: dict[str, str]) -> pd.DataFrame:
    """The cells of rows in the wide form: of a band of waits one, of others one for each measure."""

    def place(row: tuple) -> Key | None:
        if isinstance(row.dimension, str):
            return "groups", row.dimension, row.first
        return {"area": ("areas", row.code), "england": ENGLAND}.get(row.kind)

    rows = rows.assign(place=list(map(place, rows.itertuples())))
    about, waits = ["kind", "of", "code", "place", "row"], rows[rows["band"].notna()]
    cells = [rows[rows["band"].isna()].melt(about, measures, "item", "text")]
    cells += [waits.assign(item=waits["band"], text=waits["finished_course"])]
    cells[0]["name"], cells[1]["name"] = cells[0]["item"].map(columns), columns["finished_course"]
    table = pd.concat(cells)
    return table.assign(text=table["text"].replace("", "NULL"), at=_describe_place(name, table["row"], table["name"]))


# ---------------------------------------------------------------- from the cells to figures, checked against each other


def _interpret(name: str, layout: Layout, content: Content) -> dict[Key, Decimal | None]:
    """The values to keep, None where suppressed; those of each place checked against each other."""
    codebook, held = data.load()["measures"], _list_held()
    named = dict(zip(codebook["measure" if layout.wide else "nhs_id"], codebook["measure"]))
    rules = [*codebook.itertuples()], [*tables.list_parts(codebook), *RATES]
    kept = content.cells.assign(measure=content.cells["item"].map(named)).dropna(subset=["place", "measure"])
    found: dict[Key, Decimal | None] = {}
    for (table, *where), cells in kept.groupby("place", sort=False):
        group = {"england": ["area", COUNTRY], "areas": ["area", *where]}.get(table, where)
        values = {cell.measure: _read_value(layout, cell) for cell in cells.itertuples()}
        for measure, item in zip(cells["measure"], cells["item"]):
            if layout.uses[item] != "check" and (table == "england" or (table, measure) in held):
                found[table, *where, measure] = values[measure]
            if layout.wide and (group[0], group[1] == COUNTRY, measure) in held:
                found["published_rates", *group, measure] = values[measure]
        _check_values(values, dict(zip(cells["measure"], cells["at"])), *rules, tables.UNITS[table])
    if not any(value is not None for key, value in found.items() if key[:1] == ENGLAND):
        raise Refusal(name, "figures for England", "suppressed values alone")
    return found


def _list_held() -> set[tuple]:
    """The measures that the tables of areas and groups hold, and the kinds of rates in the one of published rates."""
    held = {(table, measure) for table in ("areas", "groups") for measure in data.load()[table]["measure"].unique()}
    rates = data.load()["published_rates"]
    rates = rates.assign(group=rates["group"] == COUNTRY)[["dimension", "group", "measure"]].drop_duplicates()
    return held | set(rates.itertuples(index=False, name=None))


def _read_value(layout: Layout, cell: tuple) -> Decimal | None:
    """The published value of a row of cells; None where it is suppressed."""
    text, name = cell.text.strip(), layout.text(cell.item)
    if text in layout.names["suppressed"]:
        return None
    kind = {"Perc": "a percentage up to 100", "Mean": "a number", "Medi": "a number"}.get(name[:4], "a count")
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,12})?", text):
        value = Decimal(text)
        if {"a percentage up to 100": value <= 100, "a count": value == value.to_integral_value()}.get(kind, True):
            return value
    raise Refusal(cell.at, f"{kind} for {name}, or one of {' '.join(layout.names['suppressed'])}", repr(text))


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


def _refuse_twice(cells: pd.DataFrame) -> None:
    kept = cells.dropna(subset="place")
    again = kept.duplicated(["place", "item"])
    if again.any():
        second = kept[again].iloc[0]
        first = kept[(kept["place"] == second["place"]) & (kept["item"] == second["item"])].iloc[0]
        expected = f"one row of {' '.join(second['place'][1:]) or 'England'} for {second['item']}"
        raise Refusal(second["at"], expected, f"a second one, after {first['at']}")


def _compare_parts(layout: Layout, content: Content) -> list[str]:
    """What parts of England say beside it. Raises Refusal where they add up to more than rounding to 5 can explain.

    An organisation listed twice with the same counts counts once.
    """
    parts = content.cells[(content.cells["kind"] != "england") & ~content.cells["item"].isin(layout.items("row"))]
    again, england, sums = parts.duplicated(["of", "item", "code", "text"]), content.england, {}
    counts = [item for item in england if layout.text(item).startswith("Count")]
    once = parts.loc[~again & parts["item"].isin(counts), ["of", "item", "text", "at"]]
    once = once.assign(value=[_read_value(layout, cell) or 0 for cell in once.itertuples()])
    for (kind, item), values in once.groupby(["of", "item"], sort=False)["value"]:
        whole, total = _read_value(layout, england[item]), sum(values)
        if whole is None:
            continue
        if total > whole + Decimal("2.5") * len(values):
            expected = f"at least what the {len(values)} of {kind} add up to, {total}"
            raise Refusal(england[item].at, expected, str(whole))
        share = f"{100 * total / max(whole, 1):.1f}% of {layout.text(item)} for England"
        sums.setdefault(kind, f"the {len(values)} of {kind} add up to {share}")
    twice = parts[again].drop_duplicates("code")
    same = "is listed twice with the same counts, and counted once"
    return [*sums.values(), *(f"{at}: {code} {same}" for at, code in zip(twice["at"], twice["code"]))]


def _find_doubts(name: str, layout: Layout, content: Content) -> list[str]:
    """Names that are not known from the period, and measures that were expected and are not there."""
    names = [(name, item, column) for item, column in content.columns.items() if layout.uses[item] == "column"]
    cells = content.england
    names += [(cell.at, item, cell.name) for item, cell in cells.items() if layout.uses[item] != "row"]
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
    there = places.loc[content.cells.loc[content.cells["kind"] == "area", "code"].unique()]
    lacking = existing[existing["type"].isin(there["type"])].index.difference(there.index)
    return [
        f"{name}: {what} {', '.join(codes)} in {content.period}"
        for what, codes in (
            ("there are rows of areas that did not exist:", there.index.difference(existing.index)),
            ("there is no row of", lacking),
        )
        if len(codes)
    ]
