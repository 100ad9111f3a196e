"""The tables of the data folder, checked against `data/datapackage.json` and against what figures can mean."""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from itertools import repeat
from pathlib import Path

import numpy as np
import pandas as pd

from iapt.data import periods, schema, writing
from iapt.data.memory import remember
from iapt.data.schema import Problem, find
from iapt.paths import data_folder as folder

COUNTS = ("flow", "stock", "difference")
NAMES = {"flow": "a count", "stock": "a count", "difference": "a difference", "rate": "a rate", "average": "an average"}

UNITS = {"england": 1, "areas": 5, "groups": 1, "partnerships": 5}
"""The tables of figures, and what their counts are rounded to."""

BEGAN, ENDS = 2008, 2099
"""The first and last year that a figure or a target can be about."""

PARTS = (
    ("at_caseness", "finished_course"),
    ("recovered", "at_caseness"),
    ("recovered", "eligible_for_recovery"),
    ("reliably_improved", "finished_course"),
    ("reliably_recovered", "recovered"),
)
"""Counts of outcomes and what they are part of: none can be larger, but for rounding."""


class DataError(ValueError):
    """The tables cannot be used; the message lists what has to be mended, one problem a line."""

    def __init__(self, problems: list[Problem]) -> None:
        shown = "\n".join(f"  {problem}" for problem in problems[:10])
        more = f"\n  and {len(problems) - 10} more" if len(problems) > 10 else ""
        count = f"{len(problems)} problem" + ("s" if len(problems) > 1 else "")
        super().__init__(f"the data cannot be used, {count}:\n{shown}{more}\nMend the rows, then run: iapt check")
        self.problems = problems


def check(where: Path | None = None) -> list[Problem]:
    """All problems in the tables of the data folder, or of another; an empty list when they can be used."""
    return _read(where or folder())[1]


@remember
def load() -> dict[str, pd.DataFrame]:
    """The tables of the data folder by name, checked and typed; read once in the life of a process.

    Raises DataError, naming file, row and column, where a table breaks its description.
    """
    tables, problems = _read(folder())
    if problems:
        raise DataError(problems)
    return tables


def find_unread() -> pd.DataFrame:
    """The lines of the table of publications for whose period there is no figure."""
    listed, held = load()["publications"], load()["england"]
    keys = ["frequency", "period"]
    return listed[~pd.MultiIndex.from_frame(listed[keys]).isin(pd.MultiIndex.from_frame(held[keys]))]


def _read(where: Path) -> tuple[dict[str, pd.DataFrame], list[Problem]]:
    try:
        writing.recover(where)
        tables, problems = schema.read(where)
        return tables, problems or list(_check_meaning(tables))
    except OSError as error:
        return {}, [Problem(str(where), None, None, f"cannot be read: {error.strerror}")]
    except (KeyError, AttributeError) as error:
        message = f"does not describe the tables as they are needed: there is no {error}; restore the file"
        return {}, [Problem("datapackage.json", None, None, message)]


# ---------------------------------------------------------------- what a description cannot state


def _check_meaning(tables: dict[str, pd.DataFrame]) -> Iterator[Problem]:
    measures = tables["measures"]
    kinds, days = measures.set_index("measure")["kind"], tables["sources"].set_index("id")["published"]
    yield from _check_measures(measures, measures["measure"].map(kinds), kinds)
    yield from _check_sources(tables["sources"])
    yield from _check_places(tables["places"], tables["successions"])
    for name, unit in UNITS.items():
        rows = tables[name]
        yield from _check_figures(f"{name}.csv", rows, rows["measure"].map(kinds), rows["source"].map(days), unit)
        yield from _check_parts(f"{name}.csv", rows, measures, unit)
    yield from _check_rates(tables, kinds)
    for name, column, frequency in (("targets", "year", "year"), ("breaks", "period", "month")):
        faults = _date_periods(tables[name][column], repeat(frequency))[1]
        yield from find(f"{name}.csv", tables[name], faults.ne(""), column, lambda row: faults[row.Index])
    claims = tables["claims_2020"]
    unread = ~claims["unit"].isin(["", "quarter"]) & ~claims["stated"].str.fullmatch(r"[0-9]+(\.[0-9]+)?")
    say = lambda row: f"{row.stated!r} is not a number; the claim is in {row.unit}"
    yield from find("claims_2020.csv", claims, unread, "stated", say)


def _date_periods(written: pd.Series, frequencies: Iterable[str]) -> tuple[pd.Series, pd.Series]:
    """The last day of each period, and what is wrong with those that are none; empty text where there is nothing."""

    def date_one(text: str, frequency: str) -> tuple[str, str]:
        if text and not BEGAN <= int(text[:4]) <= ENDS:
            return "", f"{text} is not between {BEGAN} and {ENDS}"
        try:
            return periods.parse(text, frequency).end_time.date().isoformat() if text else "", ""
        except ValueError as error:
            return "", str(error)

    pairs = list(zip(written, frequencies))
    dated = {pair: date_one(*pair) for pair in set(pairs)}
    return tuple(pd.Series([dated[pair][part] for pair in pairs], written.index, dtype=str) for part in (0, 1))


def _check_figures(
    file: str, rows: pd.DataFrame, kinds: pd.Series, published: pd.Series, unit: int
) -> Iterator[Problem]:
    """A period that has ended before its source came out, and a value of the kind and size of its measure."""
    column = "period" if "period" in rows else "year"
    ends, faults = _date_periods(rows[column], rows["frequency"] if "frequency" in rows else repeat("year"))
    yield from find(file, rows, faults.ne(""), column, lambda row: faults[row.Index])
    published = published.where(published.ne(""), date.today().isoformat())
    say = lambda row: (
        f"{getattr(row, column)} ends after {row.source} was published, {published[row.Index]}; name the source that has it"
    )
    yield from find(file, rows, ends > published, column, say)
    counts, values = kinds.isin(COUNTS), rows["value"]
    if file != "england.csv":
        say = lambda row: f"{row.measure} is {NAMES[kinds[row.Index]]}; this table holds counts"
        yield from find(file, rows, ~counts, "measure", say)
    say = lambda row: (
        f"{row.value} is not rounded to {unit}" if row.value % 1 == 0 else f"{row.value} is not a whole number; {row.measure} is a count"
    )
    yield from find(file, rows, counts & (values % unit != 0), "value", say)
    yield from find(file, rows, kinds.eq("rate") & (values > 100), "value", lambda row: f"{row.value} per cent is above 100")
    say = lambda row: f"{row.value:g} is too large for {row.measure}"
    yield from find(file, rows, kinds.eq("average") & (values > 1000), "value", say)


def list_parts(measures: pd.DataFrame) -> list[tuple[str, str]]:
    """Pairs of a count and one that it is part of: what is taken from it, what is a share of it, and `PARTS`."""
    differences, rates = measures[measures["kind"] == "difference"], measures[measures["kind"] == "rate"]
    shares = zip(rates["numerator"], rates["denominator"])
    return list(dict.fromkeys([*zip(differences["denominator"], differences["numerator"]), *PARTS, *shares]))


def _check_parts(file: str, rows: pd.DataFrame, measures: pd.DataFrame, unit: int) -> Iterator[Problem]:
    """A count is at most what it is part of: what it is a share of, or what it is taken from, for the same place."""
    differences, pairs = measures[measures["kind"] == "difference"], list_parts(measures)
    rows = rows[rows["measure"].isin({measure for pair in pairs for measure in pair})]
    place = [name for name in rows if name not in ("measure", "value", "note", "rounded_to")]
    slack = rows["rounded_to"].fillna(unit) - 1 if "rounded_to" in rows else unit - 1
    wide = rows.assign(slack=slack, row=rows.index).pivot(index=place, columns="measure", values=["value", "slack", "row"])
    value, slack, row = ({name: wide[part, name].to_numpy(float) for name in wide[part]} for part in ("value", "slack", "row"))
    for made in differences[differences[["numerator", "denominator"]].isin([*value]).all(axis="columns")].itertuples():
        for held, total in ((value, value[made.numerator] - value[made.denominator]),
                            (slack, slack[made.numerator] + slack[made.denominator])):  # fmt: skip
            own = held.get(made.measure, total)
            held[made.measure] = np.where(np.isnan(own), total, own)
    for part, whole in pairs:
        if part in row and whole in value:
            for case in np.flatnonzero(value[part] > value[whole] + slack[part] + slack[whole]):
                message = f"{part} {value[part][case]:.0f} is above {whole} {value[whole][case]:.0f}, which it is part of"
                yield Problem(file, int(row[part][case]) + 2, "value", message)


def _check_measures(rows: pd.DataFrame, kind: pd.Series, kinds: pd.Series) -> Iterator[Problem]:
    """Rates are made of counts, and differences of counts that are no differences, so that none leads in a circle."""
    for column in ("numerator", "denominator"):
        allowed = kind.eq("rate") & rows[column].map(kinds).isin(COUNTS)
        allowed |= kind.eq("difference") & rows[column].map(kinds).isin(["flow", "stock"])
        say = lambda row: f"{getattr(row, column)} cannot be the {column} of {row.measure}, which is {NAMES[row.kind]}"
        yield from find("measures.csv", rows, rows[column].ne("") & ~allowed, column, say)
    lacking = kind.eq("difference") & rows[["numerator", "denominator"]].eq("").any(axis="columns")
    yield from find("measures.csv", rows, lacking, "numerator", lambda _: "a difference needs a numerator and a denominator")


def _check_sources(rows: pd.DataFrame) -> Iterator[Problem]:
    stated, lagged, today = rows["published"].ne(""), rows["lag_days"].notna(), date.today().isoformat()
    say = lambda row: f"{'is stated' if row.published else 'is empty'}, and so is lag_days; state one of them"
    yield from find("sources.csv", rows, stated == lagged, "published", say)
    say = lambda row: f"{row.published} is after today, {today}"
    yield from find("sources.csv", rows, rows["published"] > today, "published", say)


def _check_places(rows: pd.DataFrame, successions: pd.DataFrame) -> Iterator[Problem]:
    board, regions = rows["type"] == "icb", rows.loc[rows["type"] == "region", "area"]
    wrong = ~rows["region"].isin(regions).where(board, rows["region"] == "")
    expected = lambda row: "the code of a region" if row.type == "icb" else "empty; only a board has a region"
    yield from find("places.csv", rows, wrong, "region", lambda row: f"{row.region!r} is not {expected(row)}")
    last = successions["predecessor"].map(rows.set_index("area")["last_day"])
    eves = successions["day"].map(lambda day: str(date.fromisoformat(day) - timedelta(days=1)))
    say = lambda row: f"{row.predecessor} ended on {last[row.Index] or 'no day'} in places.csv, not on {eves[row.Index]}"
    yield from find("successions.csv", successions, last != eves, "day", say)


def _check_rates(tables: dict[str, pd.DataFrame], kinds: pd.Series) -> Iterator[Problem]:
    rows, groups = tables["published_rates"], tables["groups"]
    say = lambda row: f"{row.measure} is {NAMES[kinds[row.measure]]}; this table holds rates"
    yield from find("published_rates.csv", rows, rows["measure"].map(kinds).ne("rate"), "measure", say)
    known = {("area", area) for area in tables["places"]["area"]} | set(zip(groups["dimension"], groups["group"]))
    unknown = pd.Series([pair not in known for pair in zip(rows["dimension"], rows["group"])], rows.index)
    say = lambda row: f"unknown group {row.group!r} of {row.dimension}"
    yield from find("published_rates.csv", rows, unknown, "group", say)
