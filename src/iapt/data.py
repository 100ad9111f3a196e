"""The published figures: read, checked, and chosen as they could be known on a given day.

`series` is what notebooks and models use; `figures` adds where each value comes from and why.
The tables and their rules are described in `data/datapackage.json`.
"""

import csv
import difflib
import json
import re
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

import pandas as pd

from iapt import periods, writing
from iapt.places import data_folder as folder

PAGE = "qualitywatch-2020"
"""The source card of the indicator page of 1 May 2020."""

EXACT_TO = 10
"""A figure rounded to this or less counts as exact: the rounding is smaller than the conflicts between sources."""


@dataclass(frozen=True)
class Problem:
    """Something wrong in a table: which file, row (the header is row 1) and column, and what was expected."""

    file: str
    row: int | None
    column: str | None
    message: str

    def __str__(self) -> str:
        place = [self.file, f"row {self.row}" if self.row else "", f"column {self.column}" if self.column else ""]
        return f"{', '.join(filter(None, place))}: {self.message}"


class DataError(ValueError):
    """The tables cannot be used; the message lists what has to be mended, one problem a line."""

    def __init__(self, problems: list[Problem]) -> None:
        shown = "\n".join(f"  {problem}" for problem in problems[:10])
        more = f"\n  and {len(problems) - 10} more" if len(problems) > 10 else ""
        count = f"{len(problems)} problem" + ("s" if len(problems) > 1 else "")
        super().__init__(f"the data cannot be used, {count}:\n{shown}{more}\nMend the rows, then run: iapt check")
        self.problems = problems


# ---------------------------------------------------------------- reading and checking


def check(where: Path | None = None) -> list[Problem]:
    """All problems in the tables of the data folder, or of another; an empty list when they can be used."""
    return _read(where or folder())[1]


def load() -> dict[str, pd.DataFrame]:
    """The tables of the data folder by name, checked and typed; read once in the life of a process.

    Raises DataError, naming file, row and column, where a table breaks its description.
    """
    return _load(folder())


def forget() -> None:
    """Read the tables anew when they are next asked for: they have changed."""
    for cached in (_load, _date, _choose):
        cached.cache_clear()


@cache
def _load(where: Path) -> dict[str, pd.DataFrame]:
    tables, problems = _read(where)
    if problems:
        raise DataError(problems)
    return tables


def _read(where: Path) -> tuple[dict[str, pd.DataFrame], list[Problem]]:
    try:
        writing.recover(where)
        resources = json.loads((where / "datapackage.json").read_text(encoding="utf-8"))["resources"]
        files = {resource["name"]: (where / resource["path"], resource["schema"]) for resource in resources}
    except (OSError, ValueError) as error:
        return {}, [Problem("datapackage.json", None, None, f"cannot be read from {where}: {error}")]
    except (KeyError, TypeError) as error:
        return {}, [Problem("datapackage.json", None, None, f"describes no tables; expected resources, each with name, path and schema ({error})")]
    rows, problems = {}, []
    for name, (path, schema) in files.items():
        rows[name], found = _read_rows(path, schema)
        problems += found
    if not problems:
        for resource in resources:
            problems += _check_references(resource, rows)
        problems += _check_figures(rows) + _check_periods(rows)
    return {name: _type(rows[name], schema) for name, (_, schema) in files.items()} if not problems else {}, problems


def _read_rows(path: Path, schema: dict) -> tuple[list[dict[str, str]], list[Problem]]:
    names = [field["name"] for field in schema["fields"]]
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            header, *records = list(csv.reader(handle, strict=True)) or [[]]
    except FileNotFoundError:
        return [], [Problem(path.name, None, None, f"is missing; expected at {path}")]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return [], [Problem(path.name, None, None, f"cannot be read as a CSV file in UTF-8: {error}")]
    if header != names:
        return [], [Problem(path.name, 1, None, f"the columns are {', '.join(header) or 'missing'}; expected {', '.join(names)}")]
    problems, rows, seen = [], [], {}
    for number, record in enumerate(records, start=2):
        if len(record) != len(names):
            problems.append(Problem(path.name, number, None, f"has {len(record)} values; expected {len(names)}"))
            continue
        row = dict(zip(names, record))
        rows.append(row)
        for field in schema["fields"]:
            if message := _find_fault(row[field["name"]], field):
                problems.append(Problem(path.name, number, field["name"], message))
        key = tuple(row[name] for name in schema["primaryKey"])
        if key in seen:
            problems.append(Problem(path.name, number, schema["primaryKey"][0], f"repeats row {seen[key]} ({', '.join(key)})"))
        seen.setdefault(key, number)
    return rows, problems


def _find_fault(text: str, field: dict) -> str | None:
    rules = field.get("constraints", {})
    if text == "":
        return "is empty; a value is required" if rules.get("required") else None
    if field["type"] in ("number", "integer"):
        kind = r"-?[0-9]+(\.[0-9]+)?" if field["type"] == "number" else r"-?[0-9]+"
        if not re.fullmatch(kind, text):
            return f"{text!r} is not {'a number' if field['type'] == 'number' else 'a whole number'}"
        if "minimum" in rules and float(text) < rules["minimum"]:
            return f"{text} is below {rules['minimum']}"
    if field["type"] == "date":
        try:
            if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
                raise ValueError
            date.fromisoformat(text)
        except ValueError:
            return f"{text!r} is not a date such as 2020-05-01"
    if "enum" in rules and text not in rules["enum"]:
        return f"{text!r} is not one of {', '.join(rules['enum'])}"
    if "pattern" in rules and not re.fullmatch(rules["pattern"], text):
        return f"{text!r} does not have the form {rules['pattern']}"
    return None


def _check_references(resource: dict, rows: dict[str, list[dict[str, str]]]) -> list[Problem]:
    problems = []
    for key in resource["schema"].get("foreignKeys", []):
        column, reference = key["fields"], key["reference"]
        table = reference["resource"] or resource["name"]
        known = {row[reference["fields"]] for row in rows[table]}
        for number, row in enumerate(rows[resource["name"]], start=2):
            if row[column] and row[column] not in known:
                near = difflib.get_close_matches(row[column], known, 1)
                hint = f"; did you mean {near[0]}?" if near else f"; add it to {table}.csv first"
                problems.append(Problem(resource["path"], number, column, f"unknown {column} {row[column]!r}{hint}"))
    return problems


def _check_figures(rows: dict[str, list[dict[str, str]]]) -> list[Problem]:
    """The rules that Table Schema cannot state: a period fits its frequency, a rate is at most 100, a count is whole."""
    problems = []
    rates = {row["measure"] for row in rows["measures"] if row["kind"] == "rate"}
    for number, row in enumerate(rows["england"], start=2):
        try:
            periods.parse(row["period"], row["frequency"])
        except ValueError as error:
            problems.append(Problem("england.csv", number, "period", str(error)))
        if row["measure"] in rates and float(row["value"]) > 100:
            problems.append(Problem("england.csv", number, "value", f"{row['value']} per cent is above 100"))
        if row["measure"] not in rates and "." in row["value"]:
            problems.append(Problem("england.csv", number, "value", f"{row['value']} is not a whole number; {row['measure']} is a count"))
    for name, unit in (("areas", 5), ("groups", 1)):
        problems += _check_counts(f"{name}.csv", rows[name], rates, unit)
    regions = {row["area"] for row in rows["places"] if row["type"] == "region"}
    for number, row in enumerate(rows["places"], start=2):
        if row["region"] not in (regions if row["type"] == "icb" else {""}):
            problems.append(Problem("places.csv", number, "region", f"{row['region']!r} is not {'the code of a region' if row['type'] == 'icb' else 'empty; only a board has a region'}"))
    for number, row in enumerate(rows["sources"], start=2):
        if not row["published"] and not row["lag_days"]:
            problems.append(Problem("sources.csv", number, "published", "is empty, and so is lag_days; state one of them"))
    return problems


def _check_periods(rows: dict[str, list[dict[str, str]]]) -> list[Problem]:
    """Periods outside the table of figures exist, and claims that state a quantity state a number."""
    problems = []
    for table, column, frequency in (("targets", "year", "year"), ("breaks", "period", "month")):
        for number, row in enumerate(rows[table], start=2):
            try:
                if row[column]:
                    periods.parse(row[column], frequency)
            except ValueError as error:
                problems.append(Problem(f"{table}.csv", number, column, str(error)))
    for number, row in enumerate(rows["claims_2020"], start=2):
        if row["unit"] not in ("", "quarter") and not re.fullmatch(r"[0-9]+(\.[0-9]+)?", row["stated"]):
            problems.append(Problem("claims_2020.csv", number, "stated", f"{row['stated']!r} is not a number; the claim is in {row['unit']}"))
    return problems


WHOLES = {"at_caseness": "finished_course", "recovered": "at_caseness", "reliably_improved": "finished_course", "reliably_recovered": "recovered"}
"""What a count is part of: it cannot be larger, but for rounding."""


def _check_counts(file: str, rows: list[dict[str, str]], rates: set[str], unit: int) -> list[Problem]:
    """Rules of the tables by area and by group: years, counts to the unit they are rounded to, parts within their whole."""
    problems = []
    place = lambda row: tuple(row[name] for name in row if name not in ("measure", "value", "source"))
    values = {(*place(row), row["measure"]): int(row["value"]) for row in rows}
    for number, row in enumerate(rows, start=2):
        try:
            periods.parse(row["year"], "year")
        except ValueError as error:
            problems.append(Problem(file, number, "year", str(error)))
        if row["measure"] in rates:
            problems.append(Problem(file, number, "measure", f"{row['measure']} is a rate; this table holds counts"))
        if int(row["value"]) % unit:
            problems.append(Problem(file, number, "value", f"{row['value']} is not rounded to {unit}"))
        whole = WHOLES.get(row["measure"])
        if whole and int(row["value"]) > values.get((*place(row), whole), float("inf")) + unit - 1:
            problems.append(Problem(file, number, "value", f"{row['measure']} {row['value']} is above {whole} {values[(*place(row), whole)]}, which it is part of"))
    return problems


def _type(rows: list[dict[str, str]], schema: dict) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=[field["name"] for field in schema["fields"]], dtype=str)
    for field in schema["fields"]:
        if field["type"] in ("number", "integer"):
            table[field["name"]] = pd.to_numeric(table[field["name"]].replace("", None))
    return table


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
    """All published figures of a table (england, areas or groups) that were known on a day, with the standing and collection of their source.

    A figure is known from the day its source was published; where the card states a lag, from that many
    days after the end of its period. `available` holds that day.
    """
    dated = _date(folder(), table)
    limit = day(as_of)
    return dated.copy() if limit is None else dated[dated["available"] <= limit]


@cache
def _date(where: Path, name: str) -> pd.DataFrame:
    tables = _load(where)
    table = tables[name].rename(columns={"year": "period"}).merge(
        tables["sources"][["id", "published", "lag_days", "standing", "collection"]].rename(columns={"id": "source"}), on="source"
    )
    frequencies = table["frequency"] if "frequency" in table else ["year"] * len(table)
    table["period"] = [periods.parse(text, frequency) for text, frequency in zip(table["period"], frequencies)]
    ends = pd.to_datetime([period.end_time.normalize() for period in table["period"]])
    lagged = ends + pd.to_timedelta(table["lag_days"], unit="D")
    table["available"] = lagged.where(table["lag_days"].notna(), pd.to_datetime(table["published"].replace("", None)))
    return table


def newest_month(as_of: str | None = None) -> pd.Period:
    """The last month for which people starting treatment are known."""
    return figures("started_treatment", "month", as_of).index[-1]


# ---------------------------------------------------------------- choosing


def series(measure: str, frequency: str, as_of: str | None = None) -> pd.Series:
    """The figures of one measure for England: one value a period, gaps as NaN.

    `frequency` is year, quarter or month; the index is a PeriodIndex (`Y-MAR`, `Q-MAR`, `M`) without holes.
    Counts are referrals, rates are per cent. `figures` says where each value comes from.
    Raises ValueError for an unknown measure, frequency or date.
    """
    return figures(measure, frequency, as_of)["value"].rename(measure)


def figures(measure: str, frequency: str, as_of: str | None = None, *, without: tuple[str, ...] = ()) -> pd.DataFrame:
    """The figures of one measure with their origin: value, basis, source, collection, rounded_to and why.

    Where several figures exist for a period the first of these is used: official statistics; the sum of the
    official months where all of them exist (or a rate from official counts); official statistics printed
    rounded; a statement quoting them; somebody else quoting them. Within one kind the latest published
    counts, so that revisions replace what they revise. `basis` is `published`, `sum of months` or
    `from counts`; `without` leaves out sources, to ask what is known independently of them.
    """
    return _choose(measure, frequency, as_of, without, folder()).copy()


@cache
def _choose(measure: str, frequency: str, as_of: str | None, without: tuple[str, ...], where: Path) -> pd.DataFrame:
    codebook = _load(where)["measures"].set_index("measure")
    _require(measure, codebook.index, "measure")
    _require(frequency, periods.FREQUENCIES, "frequency")
    candidates = pd.concat(
        [_published(measure, frequency, as_of, without), _derived(codebook.loc[measure], frequency, as_of, without)]
    )
    if candidates.empty:
        index = pd.PeriodIndex([], freq=periods.FREQUENCIES[frequency], name="period")
        return pd.DataFrame(columns=["value", "basis", "source", "collection", "rounded_to", "why"], index=index)
    candidates = _rank(candidates)
    chosen = candidates.drop_duplicates("period").set_index("period")
    chosen["why"] = {period: _explain(group) for period, group in candidates.groupby("period")}
    chosen.index = pd.PeriodIndex(chosen.index, freq=periods.FREQUENCIES[frequency], name="period")
    whole = pd.period_range(chosen.index[0], chosen.index[-1], name="period")
    return chosen.reindex(whole)[["value", "basis", "source", "collection", "rounded_to", "why"]]


def _rank(candidates: pd.DataFrame) -> pd.DataFrame:
    return candidates.sort_values(["period", "rank", "available", "source"], ascending=[True, True, False, True])


def _require(value: str, allowed: pd.Index | dict, what: str) -> None:
    if value not in allowed:
        near = difflib.get_close_matches(str(value), allowed, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ValueError(f"unknown {what} {value!r}; {hint}Known: {', '.join(allowed)}")


def _published(measure: str, frequency: str, as_of: str | None, without: tuple[str, ...]) -> pd.DataFrame:
    table = known(as_of)
    table = table[(table["measure"] == measure) & (table["frequency"] == frequency) & ~table["source"].isin(without)].copy()
    table["basis"] = "published"
    rounded = table["rounded_to"] > EXACT_TO
    if measure.endswith("_rate"):
        rounded = table["rounded_to"].notna()
    table["rank"] = table["standing"].map({"official": 0, "statement": 3, "secondary": 4}).where(
        ~((table["standing"] == "official") & rounded), 2
    )
    return table[["period", "value", "basis", "source", "collection", "rounded_to", "available", "rank", "standing"]]


def _derived(measure: pd.Series, frequency: str, as_of: str | None, without: tuple[str, ...]) -> pd.DataFrame:
    """Figures nobody published, made of figures that somebody did: complete sums of months, and rates from counts."""
    if measure["kind"] == "rate" and measure["numerator"]:
        top = figures(measure["numerator"], frequency, as_of, without=without)
        bottom = figures(measure["denominator"], frequency, as_of, without=without)
        both = top.join(bottom, suffixes=("", "_of"), how="inner").dropna(subset=["value", "value_of"])
        both["value"] = 100 * both["value"].astype(float) / both["value_of"].astype(float)
        return _mark_derived(both, "from counts")
    if measure["kind"] != "flow" or frequency == "month":
        return pd.DataFrame()
    months = _published(measure.name, "month", as_of, without)
    months = _rank(months[months["standing"] == "official"]).drop_duplicates("period")
    whole = pd.PeriodIndex(months["period"], freq="M").asfreq(periods.FREQUENCIES[frequency])
    groups = months.assign(period=whole).groupby("period")
    sums = groups.agg(value=("value", "sum"), months=("value", "size"), source=("source", _join), collection=("collection", _join))
    return _mark_derived(sums[sums["months"] == {"quarter": 3, "year": 12}[frequency]], "sum of months")


def _mark_derived(table: pd.DataFrame, basis: str) -> pd.DataFrame:
    table = table[["value", "source", "collection"]].rename_axis("period").reset_index()
    return table.assign(basis=basis, rounded_to=None, available=pd.NaT, rank=1, standing="official")


def _join(values: pd.Series) -> str:
    return "; ".join(dict.fromkeys(values))


def _explain(candidates: pd.DataFrame) -> str:
    used, *others = candidates.itertuples()
    kind = {0: "official statistics", 1: used.basis, 2: "official, rounded", 3: "statement", 4: "secondary source"}[used.rank]
    rest = [f"{other.source if other.rank != 1 else other.basis} {other.value:,.6g}" if other.value < 100 else f"{other.source if other.rank != 1 else other.basis} {other.value:,.0f}" for other in others if other.value != used.value]
    agree = sum(other.value == used.value for other in others)
    return kind + (f"; {agree} more agree" if agree else "") + (f"; not used: {', '.join(rest)}" if rest else "")


# ---------------------------------------------------------------- what goes with the figures


def label(measure: str) -> str:
    """The name of a measure for people."""
    return load()["measures"].set_index("measure").at[measure, "label"]


def targets(measure: str, as_of: str | None = None) -> pd.DataFrame:
    """National targets on a measure that were known on a day, indexed by id; `year` is a Period or missing."""
    table = load()["targets"].set_index("id")
    limit = day(as_of)
    seen = table["known_from"].map(lambda text: limit is None or not text or pd.Timestamp(text) <= limit)
    table = table[(table["measure"] == measure) & seen].copy()
    table["year"] = [periods.parse(text, "year") if text else None for text in table["year"]]
    return table


def breaks(measure: str, frequency: str) -> pd.DataFrame:
    """Breaks that concern a measure: `period` is the first one on the new basis, with label, cut and description."""
    table = load()["breaks"]
    outcomes = measure.startswith(("recover", "reliabl", "at_caseness"))
    table = table[(table["affects"] == "all") | outcomes].copy()
    table["period"] = [periods.parse(text, "month").asfreq(periods.FREQUENCIES[frequency]) for text in table["period"]]
    return table.reset_index(drop=True)


def find_place(text: str) -> str:
    """The code of an area given by its code or name; `NHS Devon ICB` is Devon.

    Raises ValueError with the nearest names for any other text.
    """
    names = load()["places"].set_index("area")["name"]
    short = re.sub(r"^nhs | (icb|integrated care board)$", "", " ".join(str(text).lower().split()))
    codes = {key.lower(): code for code, name in names.items() for key in (code, name)}
    if short in codes:
        return codes[short]
    within = [name for name in names if short and short in name.lower()]
    by_key = {name.lower(): name for name in names}
    near = within[:3] or [by_key[key] for key in difflib.get_close_matches(short, by_key, 3, 0.4)]
    hint = f"nearest: {'; '.join(near)}. " if near else ""
    raise ValueError(f"area is {text!r}; {hint}Allowed: England, a region or an integrated care board, by name or by code such as {names.index[-1]}")
