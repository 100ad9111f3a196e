"""Parameters of notebooks: defined once, in the tagged cell of the notebook, and checked before anything runs.

`check` is called by each notebook on its own names; `validate` by the runner before it starts a kernel.
"""

import ast
import difflib
import re
import tokenize
from collections.abc import Callable, Collection
from dataclasses import dataclass
from io import StringIO

KINDS = {str: "text", int: "a whole number", float: "a number", bool: "True or False"}
TYPES = {kind.__name__: kind for kind in KINDS}


class ParameterError(ValueError):
    """A parameter that a notebook cannot run with; the message names it, its value and what is allowed."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows: the message alone."""
        return [f"ParameterError: {self}"]


@dataclass(frozen=True)
class Parameter:
    """A parameter as the notebook's cell defines it: name, type, default and the comment that explains it."""

    name: str
    type: type
    default: object
    help: str


def read(notebook: dict) -> dict[str, Parameter]:
    """The parameters that a notebook defines in its cell tagged `parameters`, by name.

    Raises ParameterError where the notebook has no such cell, or the cell holds more than annotated scalars.
    """
    tagged = [cell for cell in notebook["cells"] if "parameters" in cell["metadata"].get("tags", [])]
    if len(tagged) != 1:
        raise ParameterError(f"the notebook has {len(tagged)} cells tagged parameters; expected one")
    source = "".join(tagged[0]["source"])
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    found = {}
    for node in ast.parse(source).body:
        if not isinstance(node, ast.AnnAssign) or getattr(node.annotation, "id", None) not in TYPES:
            raise ParameterError(
                f"the parameters cell has {ast.unparse(node)!r}; expected lines such as: year: int = 2024  # what it is"
            )
        name = node.target.id
        found[name] = Parameter(
            name, TYPES[node.annotation.id], ast.literal_eval(node.value), comments.get(node.lineno, "")
        )
    return found


def read_days(notebook: dict) -> dict[str, str]:
    """The days that a notebook names where it calls `check`, such as `first`; empty where it names none."""
    for source in ("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"):
        if "parameters.check(" in source:
            keywords = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.keyword)]
            return {node.arg: ast.literal_eval(node.value) for node in keywords if node.arg in ("first", "looks_at")}
    return {}


def validate(
    defined: dict[str, Parameter], given: dict[str, object], *, first: str = "", looks_at: str = ""
) -> dict[str, object]:
    """All values that a notebook will run with: what is given, the defaults for the rest.

    `first` and `looks_at` are as for `check`. Raises ParameterError for an unknown name, a wrong type, a value that its
    rule refuses, or a vintage before `first`.
    """
    for name in given:
        find(name, defined)
    values = {name: given.get(name, parameter.default) for name, parameter in defined.items()}
    for name, value in values.items():
        kind = defined[name].type
        if type(value) is not kind and (kind, type(value)) != (float, int):
            raise ParameterError(f"{name} is {value!r} ({type(value).__name__}); expected {KINDS[kind]}")
    for name, rule in RULES.items():
        if name in values:
            try:
                rule(values | {"as_of": looks_at} if looks_at and name != "as_of" else values)
            except ValueError as error:
                text = str(error)
                raise ParameterError(text if text.startswith(name) else f"{name}: {text}") from None
            if first and values["as_of"] < first:  # before other rules, whose days may be earlier ones
                raise ParameterError(f"as_of is {values['as_of']}; this notebook runs from {first} on, or take latest")
    return values


def find(name: str, defined: dict[str, Parameter]) -> Parameter:
    """The parameter of this name. Raises ParameterError, with the nearest known one, where there is none."""
    if name not in defined:
        raise ParameterError(f"unknown parameter {name!r}; {suggest(name, defined)}")
    return defined[name]


def suggest(name: str, known: Collection[str]) -> str:
    """What could have been meant by a name that is not known: `did you mean access? Known: access, areas`."""
    near = difflib.get_close_matches(name, known, 1)
    return f"{f'did you mean {near[0]}? ' if near else ''}Known: {', '.join(known)}"


def check(namespace: dict, *, first: str = "", looks_at: str = "") -> None:
    """Check the parameters among the global names of a notebook; called as `parameters.check(globals())`.

    The notebook's annotated names are its parameters; any other plain value set before this call is an unknown one.
    Annotations are kept as text: IPython on Python 3.14 keeps no others.
    `first` is the first vintage with enough figures for this notebook, such as 2020-01-15, and `looks_at` the vintage
    that its forecasts look at where that is not `as_of`. The command reads both here, before it starts a kernel.
    """
    kinds = {name: TYPES[kind] for name, kind in namespace.get("__annotations__", {}).items() if kind in TYPES}
    if not kinds:
        raise ParameterError("no annotated parameter is found; begin the notebook with: from __future__ import annotations")
    defined = {name: Parameter(name, kind, namespace[name], "") for name, kind in kinds.items()}
    plain = {
        name: value
        for name, value in namespace.items()
        if isinstance(value, (str, int, float, list, dict, tuple)) and not re.match("_|(In|Out)$", name)
    }
    validate(defined, plain, first=first, looks_at=looks_at)


def parse(text: str, parameter: Parameter) -> object:
    """A value from the command line as its parameter's type; text stays as it was written, but 2028/29 is 2028-29."""
    if parameter.type is bool:
        if text not in ("true", "false"):
            raise ParameterError(f"{parameter.name} is {text!r}; allowed: true, false")
        return text == "true"
    try:
        return parameter.type(re.sub(r"^([0-9]{4})/([0-9]{2})$", r"\1-\2", text))
    except ValueError:
        raise ParameterError(f"{parameter.name} is {text!r}; expected {KINDS[parameter.type]}") from None


# ---------------------------------------------------------------- rules: each raises ValueError

FIRST_VINTAGE = "2015-01-31"
"""Before this day less than a year of the data set's first full years is known, too little for the charts."""
LONGEST = 10
"""Years ahead that a forecast may look."""
MOST_STARTS = 9
"""Financial years, from 2013-14 on, with which a forecast may begin to look back."""
FEWEST_QUARTERS = 12
"""Quarters that a forecast needs to look back on."""


def _check_as_of(values: dict) -> None:
    from iapt import data

    end = f"{data.known()['available'].max():%Y-%m-%d}"
    if data.day(values["as_of"]) is not None and not FIRST_VINTAGE <= values["as_of"] <= end:
        raise ValueError(
            f"as_of is {values['as_of']}; allowed: {FIRST_VINTAGE} to {end}, or latest; before {FIRST_VINTAGE} less "
            "than a year of comparable figures was known"
        )


def _check_measure(values: dict) -> None:
    allowed = ("started_treatment", "finished_course")
    if values["measure"] not in allowed:
        raise ValueError(f"measure is {values['measure']!r}; allowed: {', '.join(allowed)}")


def _check_target(values: dict) -> None:
    if not 0 < values["target"] < 100_000_000:
        raise ValueError(f"target is {values['target']}; expected a number of referrals a year above 0")


def _check_target_year(values: dict) -> None:
    from iapt import data
    from iapt.data import periods

    year = periods.parse(values["target_year"].replace("/", "-"), "year")
    known = data.series(values.get("measure", "finished_course"), "year", values["as_of"]).dropna().index[-1]
    if not known < year <= known + LONGEST:
        raise ValueError(
            f"target_year is {values['target_year']}; allowed: {periods.write(known + 1)} to "
            f"{periods.write(known + LONGEST)}, the years ahead of the vintage {values['as_of']}"
        )


def _check_start(values: dict) -> None:
    from iapt import data, models
    from iapt.data import periods

    year = periods.parse(values["start"].replace("/", "-"), "year")
    quarters = data.series(values.get("measure", "started_treatment"), "quarter", values["as_of"])
    starts = [periods.parse("2013-14", "year") + number for number in range(MOST_STARTS)]
    allowed = [start for start in starts if len(models.unbroken(quarters[start:])) >= FEWEST_QUARTERS]
    why = f"at least {FEWEST_QUARTERS} quarters without a gap from it to the last known on {values['as_of']}"
    if not allowed:
        raise ValueError(f"as_of is {values['as_of']}; no year has {why}; take another day, or latest")
    if year not in allowed:
        near = " to ".join(dict.fromkeys(periods.write(start) for start in (allowed[0], allowed[-1])))
        raise ValueError(f"start is {values['start']}; allowed: {near}, with {why}")


def _check_area(values: dict) -> None:
    from iapt import data

    code = data.find_place(values["area"], values["as_of"])
    if code == data.ENGLAND:
        return
    held, limit = data.known("latest", "areas"), data.day(values["as_of"])
    if not (held["area"] == code).any():
        before = data.places().loc[data.predecessors(code), "name"]
        raise ValueError(f"area is {values['area']!r}; no figures are held for it yet; before it: {'; '.join(before)}")
    if limit is not None and limit < (first := held[held["area"].str.startswith("Q")]["available"].min()):
        raise ValueError(f"as_of is {values['as_of']}; figures for areas are held from {first:%Y-%m-%d}")


RULES: dict[str, Callable[[dict], None]] = {
    "as_of": _check_as_of,
    "measure": _check_measure,
    "target": _check_target,
    "target_year": _check_target_year,
    "start": _check_start,
    "area": _check_area,
}
