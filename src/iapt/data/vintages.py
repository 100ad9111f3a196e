"""The published figures, chosen as they could be known on a given day: side by side, in one long table, or with why."""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

import pandas as pd

from iapt.data import periods
from iapt.data.memory import remember
from iapt.data.geography import find_place
from iapt.data.tables import load

PAGE = "qualitywatch-2020"
"""The source card of the indicator page of 1 May 2020."""

EXACT_TO = 10
"""A figure rounded to this or less counts as exact: the rounding is smaller than the conflicts between sources."""

IDENTITY = ("type", "area", "partnership", "dimension", "group", "id", "ages", "period", "measure")
"""The columns that say what a figure is about, whatever its table; two figures with the same ones are revisions."""


# ---------------------------------------------------------------- vintages


def day(as_of: str | None) -> pd.Timestamp | None:
    """The day on which figures have to be known; None for the newest vintage (`None` or `latest`).

    Raises ValueError for anything else that is not a date written as 2020-05-01.
    """
    if as_of in (None, "latest"):
        return None
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", as_of):
            raise ValueError
        return pd.Timestamp(as_of)
    except (TypeError, ValueError):
        raise ValueError(f"as_of is {as_of!r}; expected a date such as 2020-05-01, or latest") from None


def known(as_of: str | None = None, table: str = "england") -> pd.DataFrame:
    """All published figures of a table (such as england, areas, groups, need or population) that were known on a day.

    With the standing and collection of their source; outside the table of England the newest value of each. A figure
    is known from the day its source was published; where the card states a lag, from that many days after the end of
    its period. `available` holds that day.
    """
    dated, limit = _date(table), day(as_of)
    seen = dated if limit is None else dated[dated["available"] <= limit]
    keys = [key for key in IDENTITY if key in seen]
    return seen if table == "england" else seen.sort_values("available").drop_duplicates(keys, keep="last").sort_index()


@remember
def _codebook() -> pd.DataFrame:
    return load()["measures"].set_index("measure")


@remember
def _date(name: str) -> pd.DataFrame:
    tables = load()
    cards = tables["sources"].set_index("id")[["published", "lag_days", "standing", "collection"]]
    table = tables[name].rename(columns={"year": "period", "day": "period"}).join(cards, on="source")
    written = pd.MultiIndex.from_arrays([table["period"], table["frequency"] if "frequency" in table else table["period"]])
    read = periods.parse if "frequency" in table else lambda text, _: periods.parse_any(text)
    held = {pair: read(*pair) for pair in written.unique()}
    ends = {pair: period.end_time.normalize() for pair, period in held.items()}
    table["period"] = written.map(held).astype(object)
    lagged = pd.DatetimeIndex(written.map(ends)) + pd.to_timedelta(table["lag_days"], unit="D")
    published = pd.to_datetime(table["published"].replace("", None))
    return table.assign(available=lagged.where(table["lag_days"].notna(), published))


def newest_month(as_of: str | None = None) -> pd.Period:
    """The last month for which people starting treatment are known."""
    return figures("started_treatment", "month", as_of).index[-1]


# ---------------------------------------------------------------- tables


def table(
    measures: str | Sequence[str], frequency: str, as_of: str | None = None, *, area: str = "England"
) -> pd.DataFrame:
    """The figures side by side: one row a period, one column a measure, gaps as NaN.

    `frequency` is year, quarter or month (areas other than England have years). Counts are referrals, rates per
    cent. The table remembers in `.attrs` what charts and models need: vintage, area, measures, and `cuts`, the
    months in which another collection begins, across which values are not to be compared (see `comparable_from`).
    Raises ValueError for an unknown measure, frequency, date or area.
    """
    code, measures = find_place(area), [measures] if isinstance(measures, str) else measures
    _require(frequency, periods.FREQUENCIES, "frequency")
    if code == ENGLAND:
        columns = {name: figures(name, frequency, as_of)["value"] for name in measures}
    elif frequency != "year":
        raise ValueError(f"figures by {frequency} are held for England alone; for {area} choose the frequency year")
    else:
        held = areas(measures, as_of)
        if code not in held.index:
            raise ValueError(f"no figures of {area} were known on {as_of or 'that day'}; choose a later as_of")
        columns = held.loc[code]
    wide = pd.DataFrame(columns).astype(float)
    whole = pd.period_range(wide.index.min(), wide.index.max()) if len(wide) else []
    wide = wide.reindex(periods.index(whole, frequency))
    wide.attrs = _remember_origin(measures, as_of, code)
    return wide


def _remember_origin(measures: Sequence[str], as_of: str | None, code: str = "") -> dict:
    cuts = load()["breaks"].query("cut == 'yes'")["period"].tolist()
    return {"as_of": as_of or "latest", "area": code, "measures": list(measures), "cuts": cuts}


def areas(measures: Sequence[str], as_of: str | None = None, *, partnerships: bool = False) -> pd.DataFrame:
    """The figures of all areas side by side: index (area, year), one column a measure, gaps as NaN.

    Areas are codes, as in `places`; England is among them. Counts of boards and regions are rounded to 5. With
    `partnerships` those of 2017/18 to 2019/20 too, under the code of the board with the same borders or else their own.
    Raises ValueError for an unknown measure or date, or where none were known.
    """
    return _spread("areas", ["area"], measures, as_of, partnerships)


def groups(measures: Sequence[str], as_of: str | None = None) -> pd.DataFrame:
    """The figures of groups of people in England: index (dimension, group, year), one column a measure.

    Raises ValueError for an unknown measure or date, or where none were known.
    """
    return _spread("groups", ["dimension", "group"], measures, as_of)


def _spread(
    name: str, keys: list[str], measures: Sequence[str], as_of: str | None, partnerships: bool = False
) -> pd.DataFrame:
    codebook = _codebook()
    for measure in measures:
        _require(measure, codebook.index, "measure")
    held = known(as_of, name)
    if partnerships:
        earlier = known(as_of, "partnerships")
        earlier["area"] = earlier["board"].where(earlier["board"] != "", earlier["partnership"])
        held = pd.concat([held, earlier])
    if held.empty:
        first = known("latest", name)["available"].min()
        raise ValueError(f"no figures of {name} were known on {as_of}; the first are held from {first:%Y-%m-%d}")
    if name == "areas":
        held = pd.concat([_stack(held["measure"].unique(), ["year"], as_of), held])
    wide = held.pivot(index=[*keys, "period"], columns="measure", values="value").astype(float)
    result = pd.DataFrame({measure: _derive(measure, wide, codebook) for measure in measures})
    years = periods.FinancialIndex(result.index.levels[-1])
    result.index = result.index.set_names([*keys, "year"]).set_levels(years, level="year")
    result.attrs = _remember_origin(measures, as_of)
    return result


def _stack(measures: Iterable[str], frequencies: Collection[str], as_of: str | None) -> pd.DataFrame:
    """The figures in use for England, one a row."""
    rows = [
        (measure, frequency, periods.parse(text, frequency), *found[0])
        for measure in measures
        for frequency in frequencies
        for text, found in sorted(_rank(measure, frequency, day(as_of), ()).items())
    ]
    return pd.DataFrame(rows, columns=["measure", "frequency", "period", *Figure._fields]).assign(area=ENGLAND)


def _derive(measure: str, wide: pd.DataFrame, codebook: pd.DataFrame) -> pd.Series:
    if measure in wide:
        return wide[measure]
    row = codebook.loc[measure]
    if not row["numerator"] or not row["denominator"]:
        raise ValueError(f"{measure} is not held here; held are {', '.join(wide)} and rates of them")
    parts = (_derive(row[part], wide, codebook) for part in ("numerator", "denominator"))
    return combine(row["kind"], *parts)


def tidy(as_of: str | None = None) -> pd.DataFrame:
    """Every figure in one long table: area, measure, frequency, period, value, unit, basis and source.

    Periods are written as the NHS writes them (2023-24, 2023-24 Q3, 2023-04). For England one value a period is
    chosen among its sources as `figures` does; areas are named as in `places`.
    """
    national, local = _stack(_codebook().index, periods.FREQUENCIES, as_of), known(as_of, "areas")
    every = pd.concat([national, local.assign(frequency="year", basis="published")], ignore_index=True)
    every["area"] = every["area"].map(load()["places"].set_index("area")["name"])
    every["unit"] = every["measure"].map(_codebook()["unit"])
    every["period"] = every["period"].map(periods.write)
    return every[["area", "measure", "frequency", "period", "value", "unit", "basis", "source"]]


def comparable_from(frequency: str = "year") -> pd.Period:
    """The first period of the collection that still runs: earlier values were counted in another way.

    The start-up year of the data set, 2012/13, is known to undercount and comes before it.
    """
    cuts = load()["breaks"].query("cut == 'yes'")["period"]
    return periods.parse(max(cuts), "month").asfreq(periods.FREQUENCIES[frequency])


# ---------------------------------------------------------------- choosing


def series(measure: str, frequency: str, as_of: str | None = None) -> pd.Series:
    """The figures of one measure for England: one value a period, gaps as NaN.

    `frequency` is year, quarter or month; years and quarters are picked by the names the NHS gives them, such as
    `"2023-24"`. Counts are referrals, rates are per cent. `figures` says where each value comes from.
    Raises ValueError for an unknown measure, frequency or date.
    """
    return table([measure], frequency, as_of)[measure]


def figures(measure: str, frequency: str, as_of: str | None = None, *, without: tuple[str, ...] = ()) -> pd.DataFrame:
    """The figures of one measure with their origin: value, basis, source, collection, rounded_to and why.

    Where several figures exist for a period the first of these is used: official statistics; the sum of the
    official months where all of them exist (or a rate from official counts); official statistics printed
    rounded; a statement quoting them; somebody else quoting them. Within one kind the latest published
    counts, so that revisions replace what they revise. `basis` is `published`, `sum of months` or
    `from counts`; `without` leaves out sources, to ask what is known independently of them.
    """
    _require(measure, _codebook().index, "measure")
    _require(frequency, periods.FREQUENCIES, "frequency")
    return _explain_all(measure, frequency, day(as_of), without)


class Figure(NamedTuple):
    """A figure for one period. Of several the one with the lowest `rank` is used, then the latest `available`."""

    value: float
    basis: str
    source: str
    collection: str
    rounded_to: float
    rank: int
    available: pd.Timestamp


COLUMNS = {"value": float, "basis": "str", "source": "str", "collection": "str", "rounded_to": float}


@remember
def _explain_all(measure: str, frequency: str, limit: pd.Timestamp | None, without: tuple[str, ...]) -> pd.DataFrame:
    held = {periods.parse(text, frequency): found for text, found in _rank(measure, frequency, limit, without).items()}
    index = periods.index(pd.period_range(min(held), max(held)) if held else [], frequency)
    used = [held[period][0] if period in held else None for period in index]
    columns = {name: pd.Series([getattr(figure, name, None) for figure in used], index, kind) for name, kind in COLUMNS.items()}
    why = pd.Series([_explain(held[period]) if period in held else None for period in index], index, "str")
    return pd.DataFrame(columns | {"why": why}, index)


@remember
def _rank(measure: str, frequency: str, limit: pd.Timestamp | None, without: tuple[str, ...]) -> Mapping:
    """The figures of a measure that were known on a day, by period as the tables write it; the first is in use."""
    made = _codebook().loc[measure]
    held = {
        period: [figure for figure in found if (limit is None or figure.available <= limit) and figure.source not in without]
        for period, found in _published().get((measure, frequency), {}).items()
    }
    counted, summed = {}, {}
    if made["numerator"] and made["denominator"]:
        counted = _count(made["kind"], *(_rank(made[of], frequency, limit, without) for of in ("numerator", "denominator")))
    if made["kind"] in ("flow", "difference") and frequency != "month":
        summed = _sum_months(frequency, _rank(measure, "month", limit, without))
    for period, figure in (summed | counted if frequency == "year" else counted | summed).items():
        held.setdefault(period, []).append(figure)
    order = lambda figure: (figure.rank, -figure.available.value, figure.source)
    return MappingProxyType({period: sorted(found, key=order) for period, found in held.items() if found})


@remember
def _published() -> Mapping[tuple[str, str], dict[str, list[Figure]]]:
    """All published figures for England by measure and frequency, then by period."""
    table, kinds = known(), _codebook()["kind"]
    exact = table["measure"].map(kinds).isin(["rate", "average"]).map({True: 0, False: EXACT_TO})
    rank = table["standing"].map({"official": 0, "statement": 3, "secondary": 4})
    rank = rank.mask((rank == 0) & (table["rounded_to"] > exact), 2)
    table = table.assign(period=load()["england"]["period"], basis="published", rank=rank)
    held: dict = {}
    columns = (table[name].tolist() for name in ("measure", "frequency", "period", *Figure._fields))
    for measure, frequency, period, *figure in zip(*columns):
        held.setdefault((measure, frequency), {}).setdefault(period, []).append(Figure(*figure))
    return MappingProxyType(held)


def _sum_months(frequency: str, months: Mapping[str, list[Figure]]) -> dict[str, Figure]:
    """Quarters or years of which all months are official statistics."""
    parts: dict[str, list[Figure]] = {}
    for month, found in sorted(months.items()):
        official = [figure for figure in found if figure.basis == "published" and figure.rank in (0, 2)]
        if official:
            parts.setdefault(_whole(month, frequency), []).append(official[0])
    return {
        period: _derive_figure(sum(month.value for month in found), "sum of months", found)
        for period, found in parts.items()
        if len(found) == {"quarter": 3, "year": 12}[frequency]
    }


@cache
def _whole(month: str, frequency: str) -> str:
    return periods.write(periods.parse(month, "month").asfreq(periods.FREQUENCIES[frequency]))


def _count(kind: str, top: Mapping[str, list[Figure]], bottom: Mapping[str, list[Figure]]) -> dict[str, Figure]:
    """Rates or differences of the counts in use for the same period."""
    both = sorted(top.keys() & bottom.keys())
    values = combine(kind, *(pd.Series([held[period][0].value for period in both]) for held in (top, bottom)))
    return {period: _derive_figure(value, "from counts", [top[period][0]]) for period, value in zip(both, values)}


def combine(kind: str, numerator: pd.Series, denominator: pd.Series) -> pd.Series:
    """A `rate` in per cent, or the `difference`, of two counts."""
    numerator, denominator = numerator.astype(float), denominator.astype(float)
    return numerator - denominator if kind == "difference" else 100 * numerator / denominator


def _derive_figure(value: float, basis: str, parts: Sequence[Figure]) -> Figure:
    sources, collections = ("; ".join(dict.fromkeys(held)) for held in zip(*(part[2:4] for part in parts)))
    return Figure(value, basis, sources, collections, float("nan"), 1, pd.NaT)


def _explain(candidates: Sequence[Figure]) -> str:
    used, *others = candidates
    kinds = {0: "official statistics", 1: used.basis, 2: "official, rounded", 3: "statement", 4: "secondary source"}
    rest = [
        f"{other.basis if other.rank == 1 else other.source} {other.value:,.{'6g' if other.value < 100 else '0f'}}"
        for other in others
        if other.value != used.value
    ]
    agree = len(others) - len(rest)
    why = kinds[used.rank] + (f"; {agree} more agree" if agree else "")
    return why + (f"; not used: {', '.join(rest)}" if rest else "")


def _require(value: str, allowed: Sequence[str] | dict, what: str) -> None:
    if value not in allowed:
        near = difflib.get_close_matches(str(value), allowed, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        known = ", ".join(allowed) if len(allowed) < 10 else f"the {len(allowed)} in data/{what}s.csv"
        raise ValueError(f"unknown {what} {value!r}; {hint}Known: {known}")


# ---------------------------------------------------------------- what goes with the figures


def label(measure: str) -> str:
    """The name of a measure for people. Raises KeyError for an unknown one."""
    return _codebook().at[measure, "label"]


@remember
def targets(measure: str, as_of: str | None = None) -> pd.DataFrame:
    """National targets on a measure that were known on a day, by the financial year each was set for.

    Columns id, name, target, share and base (of the need that it was set as), known_from, note and source.
    """
    held = _read_targets(measure, as_of).query("year != ''")
    held.index = periods.index([periods.parse(text, "year") for text in held.pop("year")], "year")
    return held.drop(columns=["measure", "unit"]).sort_index()


@remember
def standard(measure: str, as_of: str | None = None) -> float:
    """The standing national standard on a rate, in per cent: 50 for recovery. Raises ValueError where there is none."""
    held = _read_targets(measure, as_of).query("year == ''")["target"]
    if held.empty:
        raise ValueError(f"no national standard on {measure} was known")
    return float(held.iloc[-1])


def _read_targets(measure: str, as_of: str | None) -> pd.DataFrame:
    """Targets and standards on a measure that were known on a day; a standard has no year."""
    held, limit = load()["targets"].rename(columns={"value": "target"}), day(as_of)
    seen = held["known_from"].map(lambda text: limit is None or not text or pd.Timestamp(text) <= limit)
    return held[(held["measure"] == measure) & seen]


@remember
def breaks(measure: str, frequency: str) -> pd.DataFrame:
    """Breaks that concern a measure: `period` is the first one on the new basis, with label, cut and description."""
    table = load()["breaks"]
    table = table[(table["affects"] == "all") | (_codebook().at[measure, "topic"] == "outcomes")].copy()
    table["period"] = [periods.parse(text, "month").asfreq(periods.FREQUENCIES[frequency]) for text in table["period"]]
    return table.reset_index(drop=True)


ENGLAND = "E92000001"
"""The code of England."""
