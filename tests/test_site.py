"""The pages around the reports, and that what the repository shows is what its code computes."""

import re
import tomllib
from pathlib import Path

import pandas as pd
import pytest
import tiny
from iapt.answers import access
from iapt.show import words

from iapt import data, runs
from iapt.paths import REPORTS, ROOT
from iapt.running import runner
from iapt.site import booklet, indexes

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_gives_the_answer_that_the_code_computes():
    assert indexes.headline() in README
    assert f"Figures to {words.vintage('latest').partition(', to ')[2]}" in README


def test_the_readme_shows_the_current_figure():
    shown = re.search(r"!\[[^]]+\]\(([^)]+\.svg)\)", README).group(1)
    assert (ROOT / shown).read_bytes() == access.plot_years("latest").render("svg")


def test_every_notebook_stands_in_the_readme_and_in_the_runs():
    named = set(re.findall(r"\]\(notebooks/(\w+)\.ipynb\)", README))
    there = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert named == there == {run.notebook.stem for run in runs.load().values()}


def test_links_of_the_documents_lead_somewhere():
    for document in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "reports/README.md"):
        text = (ROOT / document).read_text(encoding="utf-8")
        for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
            assert ((ROOT / document).parent / link).exists(), f"{document} links to {link}"


def test_the_committed_figures_are_of_runs_that_exist():
    known = runs.load()
    for folder in REPORTS.glob("*/figures"):
        assert folder.parent.name in known, f"{folder.parent.name} is no run any more; delete its figures"


def test_make_offers_what_the_readme_names():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"(?:`|^)make (\w+)", README + (ROOT / "CONTRIBUTING.md").read_text(), re.M)) <= targets


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("site")
    known = runs.load()
    chosen = [known["access"], known["claims-2020"]]
    assert {result.state for result in runner.make_all(chosen, out)} == {"made"}
    tiny.write_site([(chosen[0], "up to date"), (chosen[1], "older than the data")], out)
    return out


def test_the_front_page_leads_with_the_answer_and_marks_what_is_old(made):
    front = (made / "index.html").read_text(encoding="utf-8")
    outturn = words.count(access.outcomes("latest").at["access-2024", "outturn"])
    assert front.index(outturn) < front.index('class="cards"')
    access_card, claims_card = front.split("<h3>")[1:3]
    assert "older than the data" not in access_card and "older than the data" in claims_card


def test_the_method_page_holds_every_source_measure_and_break(made):
    method = (made / "method" / "index.html").read_text(encoding="utf-8")
    tables = data.load()
    for text in [*tables["sources"]["url"], *tables["measures"]["label"], *tables["breaks"]["label"]]:
        assert text.replace("&", "&amp;") in method, text


def test_the_gallery_has_the_answers_and_figures_that_exist(made):
    gallery = (made / "README.md").read_text(encoding="utf-8")
    assert indexes.headline() in gallery
    for link in re.findall(r"\]\(([^)]+\.svg)\)", gallery):
        assert (made / link).exists()


def test_the_document_to_print_has_each_notebook_once_and_the_sources_at_its_end(made):
    page = booklet.fill_booklet(made)
    assert re.findall(r'<article id="([^"]+)"', page) == ["access", "claims-2020", "sources"]
    assert not re.search(r'src="(?!data:)', page)


def test_printing_without_a_browser_says_what_to_install(made, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(booklet.BrowserError, match="chromium"):
        booklet.print_booklet(made)


def test_versions_agree():
    import iapt

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == iapt.__version__ and f"## {iapt.__version__}" in (ROOT / "CHANGELOG.md").read_text()


# ---------------------------------------------------------------- the index of the areas


def test_the_index_of_areas_shows_what_their_reports_hold(tmp_path):
    """Made for another vintage it shows that one's figures, not the newest."""
    (devon,) = runs.select(runs.load(), ["areas/qjk"], ["as_of=2022-06-01"])
    report = tmp_path / devon.name
    (report / "figures").mkdir(parents=True)
    (report / "notebook.ipynb").write_text('{"cells": []}')
    rows = [("QJK", "Devon", 40.0, None, 41.0), ("E92000001", "England", 50.0, 51.0, 52.0)]
    table = [
        (code, name, year, rate)
        for code, name, *rates in rows
        for year, rate in zip(("2018/19", "2019/20", "2020/21"), rates)
    ]
    pd.DataFrame(table, columns=["area", "name", "period", "recovery_value"]).to_csv(
        report / indexes.TREND, index=False
    )
    tiny.write_site([(devon, "up to date")], tmp_path)
    page = (tmp_path / "areas" / "index.html").read_text()
    assert "As known on 1 June 2022" in page and "from 40% to 52%" in page
    assert "41.0% in 2020/21" in page and 'aria-label="Recovery rate 40.0% in 2018/19, 41.0% in 2020/21"' in page


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ([1.0, 3.0, 2.0], "M0.0,36.0h0L50.0,0.0L100.0,18.0"),
        ([None, 3.0, 1.0], "M50.0,0.0h0L100.0,36.0"),
        ([1.0, None, 3.0], "M0.0,36.0h0M100.0,0.0h0"),
        ([None, None, None], ""),
    ],
)
def test_a_small_line_stops_at_gaps(values, path):
    assert indexes._draw_path(pd.Series(values, dtype=float), (1, 3)) == path
