"""The tables of the data folder, read and checked against `data/datapackage.json` and the rules it cannot state."""

import csv
import difflib
import json
import re
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pandas as pd

from iapt.data import periods, writing
from iapt.data.memory import remember
from iapt.paths import data_folder as folder


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


@remember
def load() -> dict[str, pd.DataFrame]:
    """The tables of the data folder by name, checked and typed; read once in the life of a process.

    Raises DataError, naming file, row and column, where a table breaks its description.
    """
    tables, problems = _read(folder())
    if problems:
        raise DataError(problems)
    return tables


def _read(where: Path) -> tuple[dict[str, pd.DataFrame], list[Problem]]:
    try:
        writing.recover(where)
        resources = json.loads((where / "datapackage.json").read_text(encoding="utf-8"))["resources"]
        return _read_tables(where, resources)
    except (OSError, ValueError) as error:
        return {}, [Problem("datapackage.json", None, None, f"cannot be read from {where}: {error}")]
    except (KeyError, TypeError, AttributeError, re.error) as error:
        message = f"does not describe the tables as they are needed ({type(error).__name__}: {error}); restore the file"
        return {}, [Problem("datapackage.json", None, None, message)]


def _read_tables(where: Path, resources: list[dict]) -> tuple[dict[str, pd.DataFrame], list[Problem]]:
    files = {resource["name"]: (where / resource["path"], resource["schema"]) for resource in resources}
    rows, problems = {}, []
    for name, (path, schema) in files.items():
        rows[name], found = _read_rows(path, schema)
        problems += found
    if not problems:
        for resource in resources:
            problems += _check_references(resource, rows)
    if not problems:
        problems = _check_meaning(rows)
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
        return [], [
            Problem(
                path.name, 1, None, f"the columns are {', '.join(header) or 'missing'}; expected {', '.join(names)}"
            )
        ]
    problems, rows, seen = [], [], {}
    unique = [(field["name"],) for field in schema["fields"] if field.get("constraints", {}).get("unique")]
    keys = dict.fromkeys([tuple(schema["primaryKey"]), *unique])
    for number, record in enumerate(records, start=2):
        if len(record) != len(names):
            problems.append(Problem(path.name, number, None, f"has {len(record)} values; expected {len(names)}"))
            continue
        row = dict(zip(names, record))
        rows.append(row)
        for field in schema["fields"]:
            if message := _find_fault(row[field["name"]], field):
                problems.append(Problem(path.name, number, field["name"], message))
        for columns in keys:
            key = columns, tuple(row[name] for name in columns)
            if key in seen:
                message = f"repeats row {seen[key]} ({', '.join(key[1])})"
                problems.append(Problem(path.name, number, columns[0], message))
            seen.setdefault(key, number)
    if not rows and not problems:
        problems.append(Problem(path.name, None, None, "has no rows; expected at least one"))
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
        if "maximum" in rules and float(text) > rules["maximum"]:
            return f"{text} is above {rules['maximum']}"
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


WHOLES = {
    "at_caseness": "finished_course",
    "recovered": "eligible_for_recovery",
    "reliably_improved": "finished_course",
    "reliably_recovered": "recovered",
}
"""What a count of outcomes is part of: it cannot be larger, but for rounding."""

BEGAN, CEILING = 2008, 100_000_000
"""The first year that a figure can be about, and a count that none reaches: more than England has people."""


def _check_meaning(rows: dict[str, list[dict[str, str]]]) -> list[Problem]:
    """The rules that Table Schema cannot state, table by table."""
    kinds = {row["measure"]: row["kind"] for row in rows["measures"]}
    problems = _check_measures(rows["measures"], kinds) + _check_sources(rows["sources"]) + _check_places(rows)
    published = {row["id"]: row["published"] for row in rows["sources"]}
    for table, unit in (("england", 1), ("areas", 5), ("groups", 1), ("partnerships", 5)):
        problems += _check_figures(f"{table}.csv", rows[table], kinds, published, unit)
        problems += _check_parts(f"{table}.csv", rows[table], rows["measures"], unit)
    return problems + _check_rates(rows, kinds) + _check_targets(rows) + _check_claims(rows["claims_2020"])


def _check_figures(
    file: str, rows: list[dict[str, str]], kinds: dict[str, str], published: dict[str, str], unit: int
) -> list[Problem]:
    """A period that has ended before its source came out, and a value of the kind and size of its measure."""
    problems = []
    today, ends = date.today().isoformat(), {}
    for number, row in enumerate(rows, start=2):
        add = lambda column, message: problems.append(Problem(file, number, column, message))
        column, value, kind = "period" if "period" in row else "year", row["value"], kinds[row["measure"]]
        period = row[column], row.get("frequency", "year")
        if not BEGAN <= int(row[column][:4]) <= int(today[:4]):
            add(column, f"{row[column]} is not between {BEGAN} and this year; no such figure was collected")
            continue
        try:
            end = ends.get(period) or ends.setdefault(period, periods.parse(*period).end_time.date().isoformat())
        except ValueError as error:
            add(column, str(error))
            continue
        if end > (day := published[row["source"]] or today):
            add(column, f"{row[column]} ends after {row['source']} was published, {day}; name the source that has it")
        if file != "england.csv" and kind not in _COUNTS:
            add("measure", f"{row['measure']} is {_A[kind]}; this table holds counts")
        elif kind in _COUNTS and "." in value:
            add("value", f"{value} is not a whole number; {row['measure']} is a count")
        elif kind == "rate" and float(value) > 100:
            add("value", f"{value} per cent is above 100")
        elif len(value) > 20 or float(value) > (1000 if kind == "average" else CEILING):
            add("value", f"{value[:20]} is too large for {row['measure']}")
        elif unit > 1 and int(value) % unit:
            add("value", f"{value} is not rounded to {unit}")
    return problems


_COUNTS = ("flow", "stock", "difference")
_A = dict.fromkeys(("flow", "stock"), "a count") | {
    "difference": "the difference of two counts",
    "rate": "a rate",
    "average": "an average",
}


def _check_parts(file: str, rows: list[dict[str, str]], measures: list[dict[str, str]], unit: int) -> list[Problem]:
    """A count is at most what it is part of: what it is a share of, or what it is taken from, for the same place."""
    differences = [
        (row["measure"], row["numerator"], row["denominator"]) for row in measures if row["kind"] == "difference"
    ]
    pairs = [(less, total) for _, total, less in differences] + list(WHOLES.items())
    pairs += [(row["numerator"], row["denominator"]) for row in measures if row["kind"] == "rate"]
    apart = ("measure", "value", "note", "rounded_to")
    places: dict[tuple, dict[str, tuple[float, float, int]]] = {}
    for number, row in enumerate(rows, start=2):
        slack = float(row.get("rounded_to") or unit) - 1
        place = tuple(text for name, text in row.items() if name not in apart)
        places.setdefault(place, {})[row["measure"]] = (float(row["value"]), slack, number)
    problems = []
    for held in places.values():
        for measure, total, less in differences:
            if total in held and less in held and measure not in held:
                slack = held[total][1] + held[less][1]
                held[measure] = (held[total][0] - held[less][0], slack, held[less][2])
        for part, whole in dict.fromkeys(pairs):
            if part in held and whole in held and held[part][0] > held[whole][0] + held[part][1] + held[whole][1]:
                message = f"{part} {held[part][0]:.0f} is above {whole} {held[whole][0]:.0f}, which it is part of"
                problems.append(Problem(file, held[part][2], "value", message))
    return problems


def _check_measures(rows: list[dict[str, str]], kinds: dict[str, str]) -> list[Problem]:
    """Rates are made of counts, and differences of counts that are no differences, so that none leads in a circle."""
    problems = []
    for number, row in enumerate(rows, start=2):
        allowed = _COUNTS if row["kind"] == "rate" else ("flow", "stock") if row["kind"] == "difference" else ()
        for column in ("numerator", "denominator"):
            if row[column] and kinds[row[column]] not in allowed:
                message = f"{row[column]} cannot be the {column} of {row['measure']}, which is {_A[row['kind']]}"
                problems.append(Problem("measures.csv", number, column, message))
        if row["kind"] == "difference" and not (row["numerator"] and row["denominator"]):
            message = "a difference needs a numerator and a denominator"
            problems.append(Problem("measures.csv", number, "numerator", message))
    return problems


def _check_sources(rows: list[dict[str, str]]) -> list[Problem]:
    problems, today = [], date.today().isoformat()
    for number, row in enumerate(rows, start=2):
        if bool(row["published"]) == bool(row["lag_days"]):
            message = f"{'is stated' if row['published'] else 'is empty'}, and so is lag_days; state one of them"
            problems.append(Problem("sources.csv", number, "published", message))
        elif row["published"] and not "1900-01-01" <= row["published"] <= today:
            message = f"{row['published']} is not between 1900-01-01 and today, {today}"
            problems.append(Problem("sources.csv", number, "published", message))
    return problems


def _check_places(rows: dict[str, list[dict[str, str]]]) -> list[Problem]:
    problems = []
    regions = {row["area"] for row in rows["places"] if row["type"] == "region"}
    last = {row["area"]: row["last_day"] for row in rows["places"]}
    for number, row in enumerate(rows["places"], start=2):
        board = row["type"] == "icb"
        if row["region"] not in (regions if board else {""}):
            expected = "the code of a region" if board else "empty; only a board has a region"
            problems.append(Problem("places.csv", number, "region", f"{row['region']!r} is not {expected}"))
    for number, row in enumerate(rows["successions"], start=2):
        eve = (date.fromisoformat(row["day"]) - timedelta(days=1)).isoformat()
        if last[row["predecessor"]] != eve:
            stated = last[row["predecessor"]] or "no day"
            message = f"{row['predecessor']} ended on {stated} in places.csv, not on {eve}"
            problems.append(Problem("successions.csv", number, "day", message))
    return problems


def _check_rates(rows: dict[str, list[dict[str, str]]], kinds: dict[str, str]) -> list[Problem]:
    problems = []
    known = {("area", row["area"]) for row in rows["places"]}
    known |= {(row["dimension"], row["group"]) for row in rows["groups"]}
    for number, row in enumerate(rows["published_rates"], start=2):
        if kinds[row["measure"]] != "rate":
            message = f"{row['measure']} is {_A[kinds[row['measure']]]}; this table holds rates"
            problems.append(Problem("published_rates.csv", number, "measure", message))
        if (row["dimension"], row["group"]) not in known:
            message = f"unknown group {row['group']!r} of {row['dimension']}"
            problems.append(Problem("published_rates.csv", number, "group", message))
    return problems


def _check_targets(rows: dict[str, list[dict[str, str]]]) -> list[Problem]:
    problems = []
    for table, column, frequency in (("targets", "year", "year"), ("breaks", "period", "month")):
        for number, row in enumerate(rows[table], start=2):
            try:
                if row[column]:
                    periods.parse(row[column], frequency)
            except ValueError as error:
                problems.append(Problem(f"{table}.csv", number, column, str(error)))
    for number, row in enumerate(rows["targets"], start=2):
        if not 0 < float(row["value"]) <= CEILING:
            problems.append(Problem("targets.csv", number, "value", f"{row['value'][:20]} is not a target above 0"))
    return problems


def _check_claims(rows: list[dict[str, str]]) -> list[Problem]:
    problems = []
    for number, row in enumerate(rows, start=2):
        if row["unit"] not in ("", "quarter") and not re.fullmatch(r"[0-9]+(\.[0-9]+)?", row["stated"]):
            message = f"{row['stated']!r} is not a number; the claim is in {row['unit']}"
            problems.append(Problem("claims_2020.csv", number, "stated", message))
    return problems


def _type(rows: list[dict[str, str]], schema: dict) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=[field["name"] for field in schema["fields"]], dtype=str)
    for field in schema["fields"]:
        if field["type"] in ("number", "integer"):
            table[field["name"]] = pd.to_numeric(table[field["name"]].replace("", None))
    return table
