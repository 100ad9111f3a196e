"""The list of runs: which notebook makes which report, with which parameters, and what it depends on.

This module imports nothing heavy, so that listing runs and finding nothing to do stay fast.
"""

import csv
import hashlib
import io
import json
import os
import re
import stat
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from pathlib import Path

from iapt import parameters
from iapt.paths import NOTEBOOKS, PACKAGE, ROOT, data_folder, read_file

CORE_TABLES = ("datapackage", "england", "measures", "sources", "targets", "breaks")
"""Tables of data/ that every report may use; a run names the others it needs under `data`."""

ENTRY = {"notebook": str, "title": str, "parameters": dict, "data": list, "each": str, "group": str}
"""What an entry of the list of runs may say, with the type of each."""

LONGEST = 100
"""Characters that settings add to the name of a run at most, since it is the name of a folder."""


class RunError(ValueError):
    """A run that cannot be made as asked; the message says what is wrong and what is allowed."""


@dataclass(frozen=True)
class Run:
    """One report: a notebook, the parameters it differs by, and the tables it declares beside the core ones.

    `group` is the part of the menu it stands in; `asked` are the arguments of `iapt report` that make this report alone.
    """

    name: str
    notebook: Path
    title: str
    parameters: dict[str, object] = field(default_factory=dict)
    data: tuple[str, ...] = ()
    each: str = ""
    group: str = ""
    asked: tuple[str, ...] = ()

    def values(self) -> dict[str, object]:
        """All parameters that the notebook runs with, checked. Raises ParameterError."""
        try:
            notebook = read_notebook(self.notebook)
            return parameters.validate(parameters.read(notebook), self.parameters, **parameters.read_days(notebook))
        except parameters.ParameterError as error:
            raise parameters.ParameterError(f"{self.name}: {error}") from None

    def fingerprint(self) -> dict[str, str]:
        """A digest of each thing that the outputs depend on: code cells, parameters, package, data, lock file."""
        code = [
            ("".join(cell["source"]), "parameters" in cell["metadata"].get("tags", []))
            for cell in read_notebook(self.notebook)["cells"]
            if cell["cell_type"] == "code"
        ]
        tables = [
            data_folder() / f"{name}{'.json' if name == 'datapackage' else '.csv'}"
            for name in (*CORE_TABLES, *self.data)
        ]
        if absent := [table.name for table in tables[len(CORE_TABLES) :] if not table.exists()]:
            raise RunError(f"{self.name} needs {absent[0]}, which is not in {data_folder()}")
        return {
            "code": digest(code),
            "parameters": digest(self.parameters),
            "package": digest_package(),
            "data": digest([digest_file(table) for table in tables]),
            "lock file": digest_file(ROOT / "requirements.lock"),
        }

    def prose_fingerprint(self) -> str:
        """A digest of what only the page depends on: prose and its place, tags, templates, the list of runs."""
        cells = [
            cell["metadata"].get("tags", []) if cell["cell_type"] == "code" else "".join(cell["source"])
            for cell in read_notebook(self.notebook)["cells"]
        ]
        return digest([cells, self.title, digest_templates(), digest_file(NOTEBOOKS / "runs.toml")])


def digest_package() -> str:
    """A digest of the package's source."""
    return digest([digest_file(file) for file in sorted(PACKAGE.rglob("*.py"))])


def digest_templates() -> str:
    """A digest of what all pages show: their templates, who made them, and the address of the site."""
    folder = digest_folder(PACKAGE / "site" / "templates")
    return digest([folder, digest_file(ROOT / "CITATION.cff"), os.environ.get("IAPT_SITE", "")])


def digest_folder(folder: Path) -> str:
    """A digest of the files in a folder, hidden ones left out."""
    return digest([[file.name, digest_file(file)] for file in sorted(folder.glob("[!.]*")) if file.is_file()])


def digest_file(path: Path) -> str:
    """A digest of a file's content; `missing` where there is none, or no plain file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return "missing"
    plain = stat.S_ISREG(status.st_mode)
    return _digest_content(path, status.st_mtime_ns, status.st_size) if plain else "missing"


@cache
def _digest_content(path: Path, modified: int, size: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digest(value: object) -> str:
    """A digest of anything that JSON can write."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def read_notebook(path: Path) -> dict:
    """A notebook as plain JSON. Raises RunError where the file is missing or no notebook."""
    try:
        return json.loads(read_file(path))
    except FileNotFoundError:
        known = ", ".join(sorted(file.stem for file in path.parent.glob("[!.]*.ipynb")))
        raise RunError(f"there is no notebook {path.name}; known: {known}") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path.name} is not a notebook: {error}") from None


def load(path: Path = NOTEBOOKS / "runs.toml") -> dict[str, Run]:
    """All runs by name, in the order of the file.

    Raises RunError where the file cannot be read, or an entry lacks notebook or title or has an unknown key.
    """
    try:
        entries = tomllib.loads(read_file(path).decode())
    except (OSError, ValueError) as error:
        raise RunError(f"{path.name} cannot be read: {error}") from None
    return {name: _read_entry(path.name, name, entry) for name, entry in entries.items()}


def _read_entry(file: str, name: str, entry: object) -> Run:
    keys = set(entry) if isinstance(entry, dict) else set()
    if not {"notebook", "title"} <= keys <= set(ENTRY):
        raise RunError(
            f"{file}: [{name}] needs notebook and title, and may have parameters, data, each and group; found "
            f"{', '.join(sorted(keys)) or entry!r}"
        )
    for key, value in entry.items():
        if not isinstance(value, ENTRY[key]):
            raise RunError(f"{file}: [{name}] has {key} = {value!r}; expected {ENTRY[key].__name__}")
    for part in (name, entry["notebook"], *entry.get("data", ())):
        _check_name(part, f"{file}: [{name}]")
    given = entry.get("parameters", {})
    days = {key: value.isoformat() for key, value in given.items() if isinstance(value, date)}
    more = {key: entry[key] for key in ("each", "group") if key in entry}
    return Run(name, path_of(entry["notebook"]), entry["title"], given | days, tuple(entry.get("data", ())), **more)


def _check_name(name: object, where: str) -> None:
    """Raises RunError for what may not become the name of a file or folder."""
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w.-]*", name):
        raise RunError(f"{where}: {name!r} cannot be a name; use letters, digits, _, - and .")


def path_of(notebook: str) -> Path:
    """The file of a notebook that is named without its folder and ending."""
    return NOTEBOOKS / f"{notebook}.ipynb"


def spread(run: Run, each: str = "") -> list[Run]:
    """A run with `each` as one run for every value that its table lists; any other run as it is.

    `each` spreads a run by a parameter of which its own entry says nothing.
    """
    if not run.each and not each:
        return [run]
    by = run.each or each
    folder = run.name if run.each else f"{run.name}-by-{each}"
    return [
        replace(run, name=f"{folder}/{code.lower()}", title=name, parameters={**run.parameters, by: code}, each="")
        for code, name in list_values(by)
    ]


def list_all(known: dict[str, Run]) -> list[Run]:
    """Every run of the list, those for each value of a parameter spread out."""
    return [part for run in known.values() for part in spread(run)]


def list_values(parameter: str) -> list[tuple[str, str]]:
    """The values a parameter takes when a notebook runs for each, with their names: the areas with figures, by code.

    England comes first. Raises RunError for a parameter without such a table, and where the table cannot be read.
    """
    if parameter != "area":
        raise RunError(f"no table lists the values of {parameter!r}; allowed: area")
    held = {row["area"] for row in _read_table("areas")}
    places = [row for row in _read_table("places") if row["type"] != "icb" or row["area"] in held]
    for row in places:
        _check_name(row["area"], "places.csv")
    return [(row["area"], row["name"]) for row in places]


def _read_table(name: str) -> list[dict[str, str]]:
    path = data_folder() / f"{name}.csv"
    try:
        return list(csv.DictReader(io.StringIO(read_file(path).decode("utf-8-sig"), newline="")))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}; run: iapt check") from None


def select(known: dict[str, Run], names: list[str], settings: list[str], each: str = "") -> list[Run]:
    """The runs of these names (all where none is given), spread out, with settings such as `as_of=2020-05-01` applied.

    A name such as `areas/qe1` or `areas/Devon` picks one of a run for each; so does a setting of the parameter that it
    is spread by. With `each`, the runs named are spread by this parameter; where none is named, those of which the
    list of runs says so. Raises RunError for a name that does not exist, and ParameterError for a setting that the
    notebook refuses.
    """
    chosen = []
    for name in names or [name for name, run in known.items() if not each or run.each == each]:
        base, _, part = name.partition("/")
        if base not in known:
            raise RunError(f"unknown run {name!r}; {parameters.suggest(name, known)}")
        if each and (part or known[base].each not in ("", each)):
            raise RunError(f"{name} cannot be made for each {each}; a run without a value of its own can")
        if part:
            runs = _pick(spread(known[base]), base, part)
        elif known[base].each in {setting.partition("=")[0] for setting in settings}:
            runs = [replace(known[base], each="")]
        else:
            runs = spread(known[base], each)
        chosen += [replace(run, asked=_ask(base, run, each)) for run in runs]
    if not chosen:
        raise RunError(f"no run is made for each {each}; name one, such as: iapt report RUN --each {each}")
    return [_apply(run, settings) for run in chosen] if settings else chosen


def _pick(runs: list[Run], base: str, part: str) -> list[Run]:
    """Of a run that was spread out the one with this value, or with any name that `data.find_place` takes for it."""
    found = [run for run in runs if part.lower() in (run.name.partition("/")[2], run.title.lower())]
    if not found and "area" in runs[0].parameters:
        from iapt import data

        try:
            code = data.find_place(part)
        except ValueError as error:
            raise RunError(f"unknown run {f'{base}/{part}'!r}; {error}; all are listed by: iapt runs") from None
        found = [run for run in runs if run.parameters["area"] == code]
    if not found:
        why = "no figures are held for this area yet" if len(runs) > 1 else f"{base} is one run"
        raise RunError(f"unknown run {f'{base}/{part}'!r}; {why}")
    return found


def _ask(base: str, run: Run, each: str) -> tuple[str, ...]:
    """The arguments that select one run: its name, or that of its notebook's run with the value it is spread by."""
    return (base, "--set", f"{each}={run.parameters[each]}") if run.name.startswith(f"{base}-by-") else (run.name,)


def _apply(run: Run, settings: Iterable[str]) -> Run:
    defined = parameters.read(read_notebook(run.notebook))
    given = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise RunError(f"--set takes name=value; found {setting!r}")
        given[name] = parameters.parse(text, parameters.find(name, defined))
        if "/" in run.name and name in run.parameters and given[name] != run.parameters[name]:
            said = f"{run.name} is made for {name}={run.parameters[name]}"
            raise RunError(f"{said}; name the run without it to set another")
    suffix = re.sub(r"[^\w.-]+", "-", "-".join(f"{name}-{value}" for name, value in given.items()))
    if len(suffix) > LONGEST:
        suffix = f"{suffix[:LONGEST]}-{digest(suffix)[:8]}"
    asked = [argument for setting in settings for argument in ("--set", setting)]
    return replace(run, name=f"{run.name}-{suffix}", parameters=run.parameters | given, asked=(*run.asked, *asked))
