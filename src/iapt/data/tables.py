"""The tables of the data folder, read and checked against `data/datapackage.json`, and the rules that it cannot state."""

import csv
import difflib
import json
import re
from dataclasses import dataclass
from datetime import date
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
        files = {resource["name"]: (where / resource["path"], resource["schema"]) for resource in resources}
    except (OSError, ValueError) as error:
        return {}, [Problem("datapackage.json", None, None, f"cannot be read from {where}: {error}")]
    except (KeyError, TypeError) as error:
        return {}, [
            Problem(
                "datapackage.json",
                None,
                None,
                f"describes no tables; expected resources, each with name, path and schema ({error})",
            )
        ]
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
        return [], [
            Problem(
                path.name, 1, None, f"the columns are {', '.join(header) or 'missing'}; expected {', '.join(names)}"
            )
        ]
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
            problems.append(
                Problem(path.name, number, schema["primaryKey"][0], f"repeats row {seen[key]} ({', '.join(key)})")
            )
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
            problems.append(
                Problem(
                    "england.csv", number, "value", f"{row['value']} is not a whole number; {row['measure']} is a count"
                )
            )
    for name, unit in (("areas", 5), ("groups", 1)):
        problems += _check_counts(f"{name}.csv", rows[name], rates, unit)
    regions = {row["area"] for row in rows["places"] if row["type"] == "region"}
    for number, row in enumerate(rows["places"], start=2):
        if row["region"] not in (regions if row["type"] == "icb" else {""}):
            problems.append(
                Problem(
                    "places.csv",
                    number,
                    "region",
                    f"{row['region']!r} is not "
                    f"{'the code of a region' if row['type'] == 'icb' else 'empty; only a board has a region'}",
                )
            )
    for number, row in enumerate(rows["sources"], start=2):
        if not row["published"] and not row["lag_days"]:
            problems.append(
                Problem("sources.csv", number, "published", "is empty, and so is lag_days; state one of them")
            )
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
            problems.append(
                Problem(
                    "claims_2020.csv",
                    number,
                    "stated",
                    f"{row['stated']!r} is not a number; the claim is in {row['unit']}",
                )
            )
    return problems


WHOLES = {
    "at_caseness": "finished_course",
    "recovered": "at_caseness",
    "reliably_improved": "finished_course",
    "reliably_recovered": "recovered",
}
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
            problems.append(
                Problem(
                    file,
                    number,
                    "value",
                    f"{row['measure']} {row['value']} is above {whole} {values[(*place(row), whole)]}, which it is "
                    "part of",
                )
            )
    return problems


def _type(rows: list[dict[str, str]], schema: dict) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=[field["name"] for field in schema["fields"]], dtype=str)
    for field in schema["fields"]:
        if field["type"] in ("number", "integer"):
            table[field["name"]] = pd.to_numeric(table[field["name"]].replace("", None))
    return table
