"""The list of runs: which notebook makes which report, with which parameters, and whether it has to run again."""

import difflib
import hashlib
import json
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path

from iapt import data, parameters

ROOT = Path(__file__).parents[2]
NOTEBOOKS, REPORTS = ROOT / "notebooks", ROOT / "reports"


class RunError(ValueError):
    """A run that cannot be made as asked; the message says what is wrong and what is allowed."""


@dataclass(frozen=True)
class Run:
    """One report: a notebook and the parameters it differs by."""

    name: str
    notebook: Path
    title: str
    parameters: dict[str, object] = field(default_factory=dict)

    def values(self) -> dict[str, object]:
        """All parameters that the notebook runs with, checked."""
        return parameters.validate(parameters.read(read_notebook(self.notebook)), self.parameters)

    def fingerprint(self) -> str:
        """What the outputs depend on: code cells, parameters, package, data and lock file, as one digest."""
        cells = read_notebook(self.notebook)["cells"]
        digest = hashlib.sha256(json.dumps(["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]).encode())
        digest.update(json.dumps(self.parameters, sort_keys=True).encode())
        files = [*sorted((ROOT / "src" / "iapt").rglob("*.py")), *sorted(data.folder().glob("*")), ROOT / "requirements.lock"]
        for file in files:
            digest.update(file.name.encode() + file.read_bytes())
        return digest.hexdigest()


def read_notebook(path: Path) -> dict:
    """A notebook as plain JSON. Raises RunError where the file is missing or no notebook."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.ipynb")))
        raise RunError(f"there is no notebook {path.name}; known: {known}") from None
    except ValueError as error:
        raise RunError(f"{path.name} is not a notebook: {error}") from None


def load(path: Path = NOTEBOOKS / "runs.toml") -> dict[str, Run]:
    """All runs by name, in the order of the file.

    Raises RunError where the file cannot be read, or an entry has a key that is not notebook, title or parameters.
    """
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise RunError(f"{path.name} cannot be read: {error}") from None
    found = {}
    for name, entry in entries.items():
        unknown = set(entry) - {"notebook", "title", "parameters"} if isinstance(entry, dict) else {name}
        if unknown or "notebook" not in entry or "title" not in entry:
            raise RunError(f"{path.name}: [{name}] needs notebook and title and may have parameters; found {', '.join(entry) if isinstance(entry, dict) else entry}")
        found[name] = Run(name, NOTEBOOKS / f"{entry['notebook']}.ipynb", entry["title"], entry.get("parameters", {}))
    return found


def select(runs: dict[str, Run], names: list[str], settings: list[str]) -> list[Run]:
    """The runs of these names (all where none is given) with settings such as `as_of=2020-05-01` applied.

    Raises RunError for a name or setting that does not exist, with the nearest known one.
    """
    for name in names:
        if name not in runs:
            near = difflib.get_close_matches(name, runs, 1)
            raise RunError(f"unknown run {name!r}{f'; did you mean {near[0]}?' if near else ';'} known: {', '.join(runs)}")
    chosen = [runs[name] for name in names or runs]
    if settings:
        chosen = [_apply(run, settings) for run in chosen]
    return chosen


def _apply(run: Run, settings: list[str]) -> Run:
    defined = parameters.read(read_notebook(run.notebook))
    given = dict(run.parameters)
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise RunError(f"--set takes name=value; found {setting!r}")
        parameters.validate({name: defined[name]} if name in defined else defined, {name: defined[name].default} if name in defined else {name: text})
        given[name] = parameters.parse(text, defined[name])
    slug = "-".join(f"{name}-{value}" for name, value in given.items() if given[name] != run.parameters.get(name))
    return replace(run, name=f"{run.name}-{slug}" if slug else run.name, parameters=given)
