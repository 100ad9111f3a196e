"""The committed notebooks: outputs that are there and normalised, parameters that work, prose and code in proportion.

That the outputs are those of today's code and figures is what `pytest --nbval notebooks` holds, cell by cell.
"""

import ast
import io
import random
import re
from inspect import signature
from itertools import pairwise

import notebook
import pandas as pd
import pytest
from bench import sweep
from conftest import bundle_of, read_notebooks, tags_of
from papermill import inspect_notebook

from iapt import charts, data, models, parameters, runs
from iapt.paths import NOTEBOOKS

NAMES = tuple(read_notebooks())
each = pytest.mark.parametrize("name", NAMES)


def code_of(name: str) -> list[dict]:
    return [cell for cell in read_notebooks()[name]["cells"] if cell["cell_type"] == "code"]


def prose_of(name: str) -> list[str]:
    return ["".join(cell["source"]) for cell in read_notebooks()[name]["cells"] if cell["cell_type"] == "markdown"]


def outputs_of(name: str) -> list[dict]:
    return [output for cell in code_of(name) for output in cell["outputs"]]


# ---------------------------------------------------------------- committed outputs


@each
def test_every_cell_was_run_in_one_go_and_shows_what_it_ends_with(name):
    """nbval passes over cells that were never run, so a notebook without outputs fails here."""
    assert [cell["execution_count"] for cell in code_of(name)] == list(range(1, len(code_of(name)) + 1))
    for cell in code_of(name):
        shows = isinstance(ast.parse("".join(cell["source"])).body[-1], ast.Expr) and "setup" not in tags_of(cell)
        assert len(cell["outputs"]) == shows, cell["id"]
    assert {output["output_type"] for output in outputs_of(name)} <= {"execute_result", "display_data"}


@each
def test_a_notebook_is_normalised(name):
    made = read_notebooks()[name]
    assert set(made) == {"cells", "metadata", "nbformat", "nbformat_minor"}
    assert (made["nbformat"], made["nbformat_minor"]) == (4, 5)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    assert made["metadata"] == {"kernelspec": kernel, "language_info": {"name": "python"}}
    assert [cell["id"] for cell in made["cells"]] == [f"cell-{place:02d}" for place in range(len(made["cells"]))]
    assert all(set(cell["metadata"]) <= {"tags"} and isinstance(cell["source"], list) for cell in made["cells"])
    assert (NOTEBOOKS / f"{name}.ipynb").stat().st_size < 1_000_000


@each
def test_outputs_hold_no_time_address_or_path(name):
    texts = ("".join(text) for out in outputs_of(name) for kind, text in out["data"].items() if kind.startswith("text/"))
    strange = re.compile(r"\d{2}:\d{2}:\d{2}|at 0x[0-9a-f]+|/(?:home|Users|tmp)/\S+")
    assert [hit for text in texts for hit in strange.findall(text)] == []


@each
def test_every_chart_carries_its_data_and_its_alternative_text(name):
    for output in outputs_of(name):
        card = output["data"].get(charts.MIME)
        if card or "image/png" in output["data"] or "image/svg+xml" in output["data"]:
            assert len(card["alt"]) > 40 and card["caption"]
            assert len(pd.read_csv(io.StringIO(card["csv"]))) > 0
            assert output["metadata"]["image/png"]["alt"] == card["alt"]


# ---------------------------------------------------------------- parameters


@each
def test_papermill_sees_every_parameter_with_its_type_and_help(name):
    seen = inspect_notebook(str(NOTEBOOKS / f"{name}.ipynb"))
    defined = parameters.read(read_notebooks()[name])
    assert list(seen) == list(defined) and "as_of" in defined
    for key, parameter in defined.items():
        assert seen[key]["inferred_type_name"] == parameter.type.__name__
        assert seen[key]["help"] == parameter.help and len(parameter.help) > 8
        assert ast.literal_eval(seen[key]["default"]) == parameter.default
    assert parameters.validate(defined, {})["as_of"] == ("2020-05-01" if name == "05_target" else "latest")


@each
def test_a_notebook_checks_its_parameters_before_it_does_anything(name):
    before, setup, check = code_of(name)[:3]
    first, *imports = filter(None, "".join(before["source"]).splitlines())
    assert first == "from __future__ import annotations" and all(re.match("import |from ", line) for line in imports)
    assert tags_of(setup) == {"parameters"} and "".join(check["source"]).startswith("parameters.check(globals()")
    with pytest.raises(parameters.ParameterError, match="2020-02-30"):
        notebook.run(name, as_of="2020-02-30")


@pytest.mark.parametrize("run", sweep.list_notebooks(), ids=lambda run: run.notebook.stem)
def test_what_is_allowed_works(run):
    """One of the sets of values that `make sweep` makes reports of, the same each time, with no hole in any text."""
    sets = sweep.list_sets(run)
    taken = next(part for part in random.Random(run.name).sample(sets, len(sets)) if sweep.is_taken(part))
    shown = notebook.run(run.notebook.stem, **taken.values()).shown
    for bundle in (bundle_of(value) for value in shown if value is not None):
        text = "\n".join(str(bundle.get(kind, "")) for kind in ("text/markdown", charts.MIME))
        assert not re.search(r"\b(?:nan|NaN|NaT|None|inf)\b", text), text


def test_a_day_before_the_first_of_a_notebook_is_refused_before_it_runs():
    (run,) = runs.select(runs.load(), ["areas-compared"], ["as_of=2018-06-30"])
    with pytest.raises(parameters.ParameterError, match="as_of is 2018-06-30; this notebook runs from 2023-01-15 on"):
        run.values()


def test_a_quarter_without_figures_is_not_what_growth_is_counted_from():
    chart = notebook.run("02_finishing", as_of="2021-09-30").named("finishing_by_quarter")
    assert chart.title == "170,600 finished a course in Q1 2021/22, 8.9% more than in Q4 2019/20"


# ---------------------------------------------------------------- prose and code


@each
def test_code_is_short_and_plain(name):
    for cell in code_of(name):
        lines = [line for line in "".join(cell["source"]).splitlines() if line.strip()]
        assert len(lines) <= 15, cell["id"]
        assert not [line for line in lines if line.lstrip().startswith(("#", "%", "!")) or line.endswith(";")], cell["id"]
        kinds = {type(node) for node in ast.walk(ast.parse("".join(cell["source"])))}
        assert not kinds & {ast.ClassDef, ast.While, ast.Try}, cell["id"]
    imports = [cell for cell in code_of(name) if re.search("^(?:import|from) ", "".join(cell["source"]), re.MULTILINE)]
    assert len(imports) == 1


@each
def test_a_notebook_asks_answers_and_ends_with_its_limits_and_sources(name):
    headings = [line for text in prose_of(name) for line in text.splitlines() if re.match("#+ ", line)]
    levels = [len(line.partition(" ")[0]) for line in headings]
    assert levels[0] == 1 and levels.count(1) == 1 and all(after - before <= 1 for before, after in pairwise(levels))
    if name != "00_start_here":
        assert headings[0].endswith("?") and "## What this does not show" in headings
        assert re.search(r"words\.provenance\(|words\.table\(.*[Ss]ources", "".join(code_of(name)[-1]["source"]), re.DOTALL)
        assert sum("headline" in tags_of(cell) for cell in code_of(name)) == 1


TARGETS = data.load()["targets"]
FACTS = {
    *(f"{share:.0f}%" for share in TARGETS["share"].dropna()),  # the targets: facts of policy
    *(f"{value:.0f}%" for value in TARGETS.loc[TARGETS["measure"].str.endswith("_rate"), "value"]),
    *(f"{value:,.0f}" for value in TARGETS.loc[~TARGETS["measure"].str.endswith("_rate"), "value"]),
    str(len(data.load()["claims_2020"])),  # how many claims the page of May 2020 makes
    f"{signature(models.forecast).parameters['draws'].default:,}",  # paths that a forecast draws
    *("80%", "90%", "95%", "99.8%", "5%"),  # nominal levels of intervals, limits and tests
    *("100", "1,000", "1", "10"),  # per 100 referrals, per 1,000 adults; deciles are numbered from 1 to 10
}
DATES = r"\b\d{1,2} (?:January|February|March|April|May|June|July|August|September|October|November|December) \d{4}|\b(?:19|20)\d{2}(?:[/-]\d{2}(?:-\d{2})?)?\b"
NUMBERS = r"\d[\d,.]*\d%?|\d%?"
TENS = r"\b(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)(?:-\w+)?\b|\b(?:hundred|dozen)\b"


def list_numbers(markdown: str, settings: set[str] = frozenset()) -> list[str]:
    """The numbers in prose that are no dates, facts or settings, large ones in words too; no quotations, code or links."""
    own = re.sub(r"^>.*|`[^`]*`|\]\([^)]*\)|\b[Oo]ne in \d+|\b(?:in|all) (?:twenty|fifty)", "", markdown, flags=re.MULTILINE)
    text = re.sub(DATES, "", own)
    return [found for found in re.findall(f"{NUMBERS}|{TENS}", text) if found not in FACTS | settings]


def list_settings(name: str) -> set[str]:
    """The numbers that the code of a notebook sets, such as limits and days, as prose would write them."""
    nodes = [node for cell in code_of(name) for node in ast.walk(ast.parse("".join(cell["source"])))]
    values = [node.value for node in nodes if isinstance(node, ast.Constant)]
    plain = [value for value in values if type(value) in (int, float)]
    named = [number for value in values if isinstance(value, str) for number in re.findall(r"\d+", value)]
    return {*named, *(form.format(value) for value in plain for form in ("{:,}", "{:g}%", "{:.0%}"))}


@each
def test_prose_holds_no_number_that_could_be_computed(name):
    settings = list_settings(name)
    assert [number for text in prose_of(name) for number in list_numbers(text, settings)] == []


@pytest.mark.parametrize(
    "text, found",
    [
        ("In 2018/19 it was 1,092,111.", ["1,092,111"]),
        ("grew by 8% to Q3", ["8%", "3"]),
        ("12 of 20, or some thirty-one", ["12", "20", "thirty-one"]),
        ("The 15% and 50% of 1 May 2020, 2013-14", []),
        ("`--set as_of=2018-06-30` 1.5 million", ["1.5"]),
        ("> the 1.88 million target\n\nIt was 1.26 million.", ["1.26"]),
    ],
)
def test_a_number_in_prose_would_be_found(text, found):
    assert list_numbers(text) == found
