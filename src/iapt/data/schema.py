"""Tables in CSV files, read and checked against their description: a data package in the form of Frictionless."""

import csv
import difflib
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path

import pandas as pd

from iapt.paths import read_file

FORMS = {
    "string": (r"(?![=+@\t]|-.)[^\r\n]*", "plain text in one line; a spreadsheet might run it"),
    "number": (r"-?[0-9]+(\.[0-9]+)?", "a number"),
    "integer": (r"-?[0-9]+", "a whole number"),
    "date": (r"[0-9]{4}-[0-9]{2}-[0-9]{2}", "a date such as 2020-05-01"),
}
"""How values of each type are written, and what to call one."""


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


def find(file: str, rows: pd.DataFrame, wrong: pd.Series, column: str, say: Callable[[tuple], str]) -> list[Problem]:
    """A problem for each row that is wrong; `say` gives the message for one of them."""
    wrong = wrong.astype(bool)
    return [Problem(file, row.Index + 2, column, say(row)) for row in rows[wrong].itertuples()] if wrong.any() else []


def read(folder: Path) -> tuple[dict[str, pd.DataFrame], list[Problem]]:
    """The described tables of a folder by name, their numbers as numbers, and all that is wrong with their form.

    Where something is, there may be no tables.
    """
    name = "datapackage.json"
    try:
        described = json.loads(read_file(folder / name))["resources"]
        resources = {resource["name"]: resource for resource in described}
        files = {table: folder / Path(resource["path"]).name for table, resource in resources.items()}
        found = {table: _read_table(file, resources[table]["schema"]) for table, file in files.items()}
        tables = {table: rows for table, (rows, _) in found.items()}
        problems = [problem for _, problems in found.values() for problem in problems]
        for resource in [] if problems else described:
            problems += _check_references(resource, tables)
        return tables, problems
    except (OSError, ValueError) as error:
        return {}, [Problem(name, None, None, f"cannot be read from {folder}: {error}")]
    except (KeyError, TypeError, AttributeError, re.error) as error:
        message = f"does not describe the tables as they are needed ({type(error).__name__}: {error}); restore the file"
        return {}, [Problem(name, None, None, message)]


def _read_table(path: Path, schema: dict) -> tuple[pd.DataFrame, list[Problem]]:
    try:
        return _parse_table(path.name, read_file(path).decode("utf-8-sig"), json.dumps(schema))
    except FileNotFoundError:
        fault = f"is missing; expected at {path}"
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        fault = f"cannot be read as a CSV file in UTF-8: {error}"
    return pd.DataFrame(), [Problem(path.name, None, None, fault)]


@lru_cache(maxsize=64)
def _parse_table(file: str, text: str, described: str) -> tuple[pd.DataFrame, list[Problem]]:
    """Remembered, as nearly all tables are as before when `iapt add` looks at them again."""
    schema = json.loads(described)
    fields = {field["name"]: field for field in schema["fields"]}
    complain = lambda row, message: (pd.DataFrame(), [Problem(file, row, None, message)])
    header, *records = list(csv.reader(io.StringIO(text, newline=""), strict=True)) or [[]]
    if header != list(fields):
        return complain(1, f"the columns are {', '.join(header) or 'missing'}; expected {', '.join(fields)}")
    if not records:
        return complain(None, "has no rows; expected at least one")
    uneven = [(row, len(record)) for row, record in enumerate(records, 2) if len(record) != len(header)]
    if uneven:
        problems = [Problem(file, row, None, f"has {length} values; expected {len(header)}") for row, length in uneven]
        return pd.DataFrame(), problems
    columns = dict(zip(header, zip(*records)))
    rows, problems = pd.DataFrame(columns), []
    for name, field in fields.items():
        problems += _check_column(file, columns[name], field)
    unique = [(name,) for name, field in fields.items() if field.get("constraints", {}).get("unique")]
    for key in {tuple(schema["primaryKey"]), *unique}:
        problems += _check_key(file, key, list(zip(*(columns[name] for name in key))))
    for name, field in fields.items():
        if not problems and field["type"] in ("number", "integer"):
            rows[name] = pd.to_numeric(rows[name].replace("", None))
    return rows, sorted(problems, key=lambda problem: problem.row)


def _check_column(file: str, values: tuple[str, ...], field: dict) -> list[Problem]:
    name, held = field["name"], set(values)
    faults = {text: fault for text in held if (fault := _find_fault(text, field))}
    wrong = enumerate(values, 2) if faults else []
    problems = [Problem(file, row, name, faults[text]) for row, text in wrong if text in faults]
    lacking = sorted(set(field.get("relied_on", [])) - held)
    return problems + [Problem(file, 1, name, f"lacks {text}, on which pages rely") for text in lacking]


def _find_fault(text: str, field: dict) -> str | None:
    rules, (form, what) = field.get("constraints", {}), FORMS[field["type"]]
    if text == "":
        return "is empty; a value is required" if rules.get("required") else None
    shown = text if len(text) <= 40 else f"{text[:40]}…"
    if not re.fullmatch(form, text):
        return f"{shown!r} is not {what}"
    if field["type"] == "date":
        try:
            date.fromisoformat(text)
        except ValueError:
            return f"{shown!r} is not {what}"
    value = float(text) if field["type"] in ("number", "integer") else text
    if "minimum" in rules and value < rules["minimum"]:
        return f"{shown} is below {rules['minimum']}"
    if "maximum" in rules and value > rules["maximum"]:
        return f"{shown} is above {rules['maximum']}"
    if "enum" in rules and text not in rules["enum"]:
        return f"{shown!r} is not one of {', '.join(rules['enum'])}"
    if "pattern" in rules and not re.fullmatch(rules["pattern"], text):
        return f"{shown!r} does not have the form {rules['pattern']}"
    return None


def _check_key(file: str, key: tuple[str, ...], values: list[tuple[str, ...]]) -> list[Problem]:
    if len(set(values)) == len(values):
        return []
    first = {value: row for row, value in reversed(list(enumerate(values, 2)))}
    return [
        Problem(file, row, key[0], f"repeats row {first[value]} ({', '.join(value)})")
        for row, value in enumerate(values, 2)
        if any(value) and first[value] != row
    ]


def _check_references(resource: dict, tables: dict[str, pd.DataFrame]) -> list[Problem]:
    problems, rows = [], tables[resource["name"]]
    for key in resource["schema"].get("foreignKeys", []):
        column, table = key["fields"], key["reference"]["resource"] or resource["name"]
        known = set(tables[table][key["reference"]["fields"]])

        def say(row: tuple) -> str:
            near = difflib.get_close_matches(text := getattr(row, column), known, 1)
            hint = f"did you mean {near[0]}?" if near else f"add it to {table}.csv first"
            return f"unknown {column} {text!r}; {hint}"

        problems += find(resource["path"], rows, rows[column].ne("") & ~rows[column].isin(known), column, say)
    return problems
