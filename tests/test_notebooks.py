"""The committed notebooks: outputs that are there, stable and true; parameters; prose and code in proportion."""

import ast
import io
import json
import re
from itertools import pairwise

import pandas as pd
import pytest
from conftest import evaluate, execute, read_notebooks, tags_of
from iapt.show import charts, words
from papermill import inspect_notebook

from iapt import data, parameters
from iapt.paths import NOTEBOOKS

NOTEBOOKS_BY_NAME = read_notebooks()
QUIET = {"setup", "parameters", "ask"}
"""Tags of cells that may show nothing."""
PAGE = ("01_access", "02_finishing", "03_recovery", "04_claims")
"""The notebooks whose every output is made again here; pytest --nbval does so for all, pictures left out."""

each = pytest.mark.parametrize("name", NOTEBOOKS_BY_NAME)


def code_of(name: str) -> list[dict]:
    return [cell for cell in NOTEBOOKS_BY_NAME[name]["cells"] if cell["cell_type"] == "code"]


def prose_of(name: str) -> list[str]:
    return ["".join(cell["source"]) for cell in NOTEBOOKS_BY_NAME[name]["cells"] if cell["cell_type"] == "markdown"]


def lines_of(cell: dict) -> list[str]:
    return [line for line in "".join(cell["source"]).splitlines() if line.strip()]


def test_the_notebooks_of_the_page_are_there():
    assert set(PAGE) <= set(NOTEBOOKS_BY_NAME) and len(NOTEBOOKS_BY_NAME) >= 7
    assert all(re.fullmatch(r"\d\d_[a-z_]+", name) for name in NOTEBOOKS_BY_NAME)


# ---------------------------------------------------------------- committed outputs


@each
def test_every_cell_that_shows_something_has_its_output(name):
    empty = [cell["id"] for cell in code_of(name) if not cell["outputs"] and not QUIET & tags_of(cell)]
    assert empty == []


@each
def test_cells_were_run_in_order_in_one_go(name):
    assert [cell["execution_count"] for cell in code_of(name)] == list(range(1, len(code_of(name)) + 1))


@each
def test_no_output_is_an_error_a_warning_or_a_stray_print(name):
    kinds = {output["output_type"] for cell in code_of(name) for output in cell["outputs"]}
    assert kinds <= {"execute_result", "display_data"}


@each
def test_a_notebook_is_normalised(name):
    notebook = NOTEBOOKS_BY_NAME[name]
    assert set(notebook) == {"cells", "metadata", "nbformat", "nbformat_minor"} and (
        notebook["nbformat"],
        notebook["nbformat_minor"],
    ) == (4, 5)
    assert notebook["metadata"] == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert [cell["id"] for cell in notebook["cells"]] == [
        f"cell-{position:02d}" for position in range(len(notebook["cells"]))
    ]
    assert all(set(cell["metadata"]) <= {"tags"} for cell in notebook["cells"])
    assert all(isinstance(cell["source"], list) for cell in notebook["cells"])
    assert not re.search(
        r"papermill|\"execution\"|\d{2}:\d{2}:\d{2}|0x[0-9a-f]{8,}",
        json.dumps([{k: v for k, v in cell.items() if k != "outputs"} for cell in notebook["cells"]]),
    )


@each
def test_outputs_hold_no_time_address_or_path(name):
    texts = [
        text
        for cell in code_of(name)
        for output in cell["outputs"]
        for kind, text in output["data"].items()
        if kind.startswith("text/")
    ]
    assert [
        hit
        for text in texts
        for hit in re.findall(r"\d{2}:\d{2}:\d{2}|at 0x[0-9a-f]+|/(?:home|Users|tmp)/\S+", "".join(text))
    ] == []


@each
def test_a_notebook_is_under_a_megabyte(name):
    assert (NOTEBOOKS / f"{name}.ipynb").stat().st_size < 1_000_000


@pytest.mark.parametrize("name", PAGE)
def test_committed_outputs_are_what_the_package_makes_now(name):
    """Sentences, tables, and of charts the data, the words and the picture."""
    again = [cell for cell in execute(name)["cells"] if cell["cell_type"] == "code"]
    for cell, new in zip(code_of(name), again, strict=True):
        committed, made_now = ([output["data"] for output in one["outputs"]] for one in (cell, new))
        assert len(committed) == len(made_now), cell["id"]
        for kept, made in zip(committed, made_now):
            for kind in (charts.MIME, words.TABLE_MIME, "text/markdown", "text/html", "image/svg+xml"):
                kept_text = "".join(kept[kind]) if isinstance(kept.get(kind), list) else kept.get(kind)
                assert kept_text == made.get(kind), (cell["id"], kind)


@each
def test_every_chart_carries_its_data_and_its_alternative_text(name):
    for cell in code_of(name):
        for output in cell["outputs"]:
            card = output["data"].get(charts.MIME)
            if card or "image/png" in output["data"] or "image/svg+xml" in output["data"]:
                assert len(card["alt"]) > 40 and card["caption"] and card["csv"].count("\n") > 1
                assert output["metadata"]["image/png"]["alt"] == card["alt"]


# ---------------------------------------------------------------- parameters


@each
def test_papermill_sees_every_parameter_with_its_type_and_help(name):
    seen = inspect_notebook(str(NOTEBOOKS / f"{name}.ipynb"))
    defined = parameters.read(NOTEBOOKS_BY_NAME[name])
    assert list(seen) == list(defined) and "as_of" in defined
    for key, parameter in defined.items():
        assert seen[key]["inferred_type_name"] == parameter.type.__name__
        assert seen[key]["help"] == parameter.help and len(parameter.help) > 8
        assert ast.literal_eval(seen[key]["default"]) == parameter.default


@each
def test_a_notebook_checks_its_parameters_before_it_does_anything(name):
    cells = [("".join(cell["source"]), tags_of(cell)) for cell in code_of(name)]
    place = next(i for i, (_, tags) in enumerate(cells) if "parameters" in tags)
    assert all(
        "setup" in tags and source.startswith(("from iapt.answers import", "import")) for source, tags in cells[:place]
    )
    assert cells[place + 1][0].startswith("parameters.check(globals())")


@each
def test_defaults_are_good_and_the_newest_vintage_or_the_day_of_the_question(name):
    defined = parameters.read(NOTEBOOKS_BY_NAME[name])
    values = parameters.validate(defined, {})
    assert values["as_of"] in ("latest", "2020-05-01")
    assert values["as_of"] == "latest" or name == "05_target"


@pytest.mark.parametrize("name", PAGE)
def test_the_page_can_be_made_again_as_known_on_its_day(name):
    shown = [output["data"] for cell in execute(name, "2020-05-01")["cells"] for output in cell.get("outputs", [])]
    texts = [bundle.get("text/markdown", bundle["text/plain"]) for bundle in shown]
    assert len(shown) >= 3 and [hole for text in texts for hole in re.findall(r"\bnan\b|\bNaN\b|\bNone\b", text)] == []
    assert any("as known on 1 May 2020" in json.dumps(bundle) for bundle in shown)


@each
def test_a_bad_day_stops_a_notebook_at_its_second_cell(name):
    with pytest.raises(parameters.ParameterError, match="2020-02-30"):
        evaluate(NOTEBOOKS_BY_NAME[name], as_of="2020-02-30")


# ---------------------------------------------------------------- prose and code


@each
def test_code_is_short_and_defines_nothing(name):
    for cell in code_of(name):
        tree = ast.parse("".join(cell["source"]))
        assert len(lines_of(cell)) <= 12, cell["id"]
        assert not any(
            isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.For, ast.While, ast.If, ast.Try))
            for node in ast.walk(tree)
        ), cell["id"]
        assert not any(
            line.lstrip().startswith(("#", "%", "!")) or line.rstrip().endswith(";") for line in lines_of(cell)
        ), cell["id"]
    assert sum(any(line.startswith(("import", "from")) for line in lines_of(cell)) for cell in code_of(name)) == 1


@each
def test_there_are_at_least_four_words_of_prose_for_every_line_of_code(name):
    prose = sum(len(text.split()) for text in prose_of(name))
    assert prose >= 4 * sum(len(lines_of(cell)) for cell in code_of(name))


@each
def test_a_notebook_asks_answers_and_ends_with_its_limits_and_sources(name):
    cells = NOTEBOOKS_BY_NAME[name]["cells"]
    assert prose_of(name)[0].startswith("# ") and prose_of(name)[0].strip().endswith("?")
    first = next(cell for cell in cells if cell["cell_type"] == "code" and not QUIET & tags_of(cell))
    assert ".answer(" in "".join(first["source"])
    headings = [line for text in prose_of(name) for line in text.splitlines() if line.startswith("#")]
    assert [heading for heading in headings if heading.startswith("# ")] == headings[:1]
    assert "## What this does not show" in headings
    shown = [cell for cell in code_of(name) if not {"ask"} & tags_of(cell)]
    assert "".join(shown[-1]["source"]).startswith("provenance.show(")


@each
def test_no_more_than_two_code_cells_follow_each_other(name):
    kinds = "".join(
        "p" if cell["cell_type"] == "markdown" else "" if QUIET & tags_of(cell) else "c"
        for cell in NOTEBOOKS_BY_NAME[name]["cells"]
    )
    assert "cccc" not in kinds


TARGETS = data.load()["targets"]
FACTS = {
    *(
        f"{share:.0f}%" for share in TARGETS["share"].dropna()
    ),  # the targets as shares of need, and the standards: facts of policy
    *(f"{value:.0f}%" for value in TARGETS.loc[TARGETS["measure"].str.endswith("_rate"), "value"]),
    *(f"{value:,.0f}" for value in TARGETS.loc[~TARGETS["measure"].str.endswith("_rate"), "value"]),
    str(len(data.load()["claims_2020"])),  # how many claims the page of May 2020 makes
    *("80%", "95%", "99.8%", "5%"),  # nominal levels of intervals, limits and tests
    *("100", "1", "10"),  # per 100 referrals; deciles are numbered from 1 to 10
}
DATES = r"\b\d{1,2} (?:January|February|March|April|May|June|July|August|September|October|November|December) \d{4}|\b(?:19|20)\d{2}(?:[/-]\d{2}(?:-\d{2})?)?\b"
NUMBERS = r"\d[\d,.]*\d%?|\d%?"


def list_numbers(markdown: str) -> list[str]:
    """The numbers in prose that are neither dates nor facts; code, links and headings' numbers left out."""
    text = re.sub(r"`[^`]*`|\]\([^)]*\)", "", markdown)
    return [number for number in re.findall(NUMBERS, re.sub(DATES, "", text)) if number not in FACTS]


@each
def test_prose_holds_no_number_that_could_be_computed(name):
    assert [number for text in prose_of(name) for number in list_numbers(text)] == []


@each
def test_prose_holds_no_large_number_in_words(name):
    tens = r"\b(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)(?:-\w+)?\b|\b(?:hundred|dozen)\b"
    assert [hit for text in prose_of(name) for hit in re.findall(tens, text)] == []


@pytest.mark.parametrize(
    "text, found",
    [
        ("In 2018/19 it was 1,092,111.", ["1,092,111"]),
        ("grew by 8% to Q3", ["8%", "3"]),
        ("12 of 20", ["12", "20"]),
        ("The 15% and 50% of 1 May 2020, 2013-14", []),
        ("`--set as_of=2018-06-30` 1.5 million", ["1.5"]),
    ],
)
def test_a_number_in_prose_would_be_found(text, found):
    assert list_numbers(text) == found


def test_sums_of_months_and_published_quarters_differ_as_the_prose_says():
    """02_finishing: where both exist, the sum of months is up to one per cent higher."""
    published = data.figures("finished_course", "quarter").query("basis == 'published'")["value"].astype(float)
    months = data.series("finished_course", "month")
    sums = (
        months.groupby(months.index.asfreq("Q-MAR"))
        .agg(lambda part: part.sum(skipna=False) if len(part) == 3 else float("nan"))
        .dropna()
    )
    apart = (100 * (sums / published - 1)).dropna()
    assert len(apart) >= 1
    assert apart.between(-0.05, 1.05).all()


@each
def test_headings_go_down_one_step_at_a_time(name):
    levels = [
        len(line) - len(line.lstrip("#"))
        for text in prose_of(name)
        for line in text.splitlines()
        if re.match("#+ ", line)
    ]
    assert levels[0] == 1 and all(after - before <= 1 for before, after in pairwise(levels))


def test_csv_in_committed_charts_can_be_read():
    cards = [
        output["data"][charts.MIME]
        for name in NOTEBOOKS_BY_NAME
        for cell in code_of(name)
        for output in cell["outputs"]
        if charts.MIME in output["data"]
    ]
    assert len(cards) >= 7
    assert all(len(pd.read_csv(io.StringIO(card["csv"]))) > 1 for card in cards)
