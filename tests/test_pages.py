"""Pages: self-contained, readable without a pointer or a picture, and safe with whatever an output holds."""

import base64
import hashlib
import html
import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest
import tiny
from conftest import execute, read_notebooks, run_of
from iapt.show import charts, words

from iapt.site import indexes, pages

NAMES = ("01_access", "02_finishing", "03_recovery", "04_claims")
NASTY = "<script>alert('x')</script> & \"quoted\" <img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """A page taken apart: elements with their attributes, headings, and what was left open."""

    VOID = {"meta", "link", "img", "br", "hr", "input"}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def all(self, *tags: str) -> list[dict]:
        return [attributes for tag, attributes in self.elements if tag in tags]


def render(name: str, as_of: str = "latest") -> str:
    return pages.render(run_of(name, as_of), execute(name, as_of))


def notebook_with(*bundles: dict) -> dict:
    """An executed notebook with a title and one code cell for every output."""
    cells = [{"cell_type": "markdown", "metadata": {}, "source": ["# A title?"]}]
    for bundle in bundles:
        output = (
            bundle if "output_type" in bundle else {"output_type": "execute_result", "metadata": {}, "data": bundle}
        )
        cells.append({"cell_type": "code", "metadata": {}, "source": ["show('<b>')"], "outputs": [output]})
    return {"cells": cells}


@pytest.fixture(
    scope="module",
    params=[(name, "latest") for name in NAMES] + [("04_claims", "2020-05-01"), ("01_access", "2020-05-01")],
    ids=" ".join,
)
def text(request) -> str:
    name, as_of = request.param
    runs_ = [
        run
        for run in pages.runs.load().values()
        if run.notebook.stem == name and run.parameters.get("as_of", "latest") == as_of
    ]
    if not runs_:
        runs_ = [pages.runs.Run(name, pages.runs.path_of(name), name, {"as_of": as_of})]
    return pages.render(runs_[0], execute(name, as_of))


@pytest.fixture(scope="module")
def page(text) -> Page:
    return Page(text)


# ---------------------------------------------------------------- self-contained


def test_a_page_loads_nothing_from_anywhere(text, page):
    loaded = [
        value
        for tag, attributes in page.elements
        for key, value in attributes.items()
        if key in ("src", "srcset", "data", "poster", "action") or (key == "href" and tag == "link")
    ]
    assert loaded and [value[:60] for value in loaded if not value.startswith("data:")] == []
    assert not re.search(r"@import|url\((?!['\"]?data:)", text)
    assert not page.all("iframe", "object", "embed", "base", "form")


def test_links_inside_a_page_stay_inside_the_reports(page):
    inside = [attributes["href"] for attributes in page.all("a")]
    assert len(inside) > 5 and not [href for href in inside if href.startswith(("/", "file:", "javascript:"))]


def test_a_policy_forbids_all_but_what_is_in_the_page(text, page):
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy and "http" not in policy and "unsafe-eval" not in policy
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(scripts) == len(page.all("script")) <= 1
    allowed = re.search(r"script-src ([^;]*)", policy)
    for script in scripts:
        assert allowed[1] == f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
    if not scripts:
        assert allowed is None


def test_a_page_is_small(text):
    assert len(text.encode()) < 1_500_000


# ---------------------------------------------------------------- readable


def test_a_page_is_well_formed_and_says_its_language_and_width(text, page):
    assert page.wrong == [] and page.open == [] and text.startswith("<!DOCTYPE html>")
    assert page.all("html") == [{"lang": "en-GB"}]
    assert {"charset": "utf-8"} in page.all("meta")
    assert any(meta.get("name") == "viewport" and "width=device-width" in meta["content"] for meta in page.all("meta"))


def test_every_picture_has_alternative_text_and_a_size(page):
    pictures = page.all("img")
    assert all(
        len(picture["alt"]) > 40 and int(picture["width"]) > 100 and int(picture["height"]) > 100
        for picture in pictures
    )


def test_headings_are_in_order_with_one_at_the_top(page):
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_code_is_folded_and_machinery_left_out(text, page):
    assert page.all("details") and all("open" not in details for details in page.all("details"))
    assert text.count("<code>") - len(re.findall(r"(?<!<pre tabindex=\"0\">)<code>", text)) == len(page.all("details"))
    assert "parameters.check" not in text and "from iapt import" not in text


def test_the_answer_comes_first(text):
    body = text[text.index("<main") :]
    assert body.index('class="answer"') < min(body.find("<figure"), body.find("<table")) or "<figure" not in body
    assert "<strong>" in body[body.index('class="answer"') :][:400]


def test_tables_can_be_reached_and_have_headers(text, page):
    regions = [attributes for attributes in page.all("div") if attributes.get("class") == "table"]
    assert len(regions) == len(page.all("table")) >= 2
    assert all(region["role"] == "region" and region["tabindex"] == "0" and region["aria-label"] for region in regions)
    assert all(head.get("scope") == "col" for head in page.all("th"))


def test_ids_are_their_own(page):
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_a_page_says_its_vintage():
    assert "As known on 1 May 2020" in render("04_claims", "2020-05-01")
    assert "Newest figures, to September 2025" in render("01_access")


def test_pictures_in_a_page_are_those_of_the_notebook():
    svg = [
        output["data"]["image/svg+xml"]
        for cell in execute("01_access")["cells"]
        for output in cell.get("outputs", [])
        if charts.MIME in output["data"]
    ]
    shown = [
        base64.b64decode(source).decode()
        for source in re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', render("01_access"))
    ]
    assert shown == svg and len(svg) >= 2


def test_the_same_notebook_gives_the_same_page():
    assert render("03_recovery") == render("03_recovery")


# ---------------------------------------------------------------- safe


@pytest.mark.parametrize(
    "bundle",
    [
        pytest.param({"text/markdown": NASTY}, id="a sentence"),
        pytest.param({"text/markdown": f"**{NASTY}** [x](javascript:alert(1))"}, id="markdown"),
        pytest.param({"text/plain": NASTY}, id="text"),
        pytest.param({"output_type": "stream", "name": "stdout", "text": NASTY}, id="printed text"),
        pytest.param({"output_type": "error", "ename": "E", "evalue": NASTY, "traceback": [NASTY]}, id="an error"),
        pytest.param({"text/html": NASTY, "text/plain": "x"}, id="foreign HTML"),
        pytest.param({"image/png": "aGk=", "text/plain": f'"{NASTY}'}, id="the text beside a picture"),
    ],
)
def test_what_an_output_holds_is_shown_and_never_run(bundle):
    text = pages.render(run_of("01_access"), notebook_with(bundle))
    main = text[text.index("<main") : text.index("</main>")]
    assert "<script" not in main and "<img src=x" not in main and "javascript:" not in main


def test_a_cell_of_a_table_is_escaped():
    import pandas as pd

    table = words.Table("t", NASTY, pd.DataFrame({NASTY: [NASTY, "1"]}))
    text = pages.render(run_of("01_access"), notebook_with(table._repr_mimebundle_()))
    main = text[text.index("<main") : text.index("</main>")]
    assert "<script" not in main and "<img src=x" not in main
    assert main.count(html.escape("<script>")) >= 4


def test_the_words_of_a_chart_and_the_title_of_a_run_are_escaped():
    bundle = {
        "image/svg+xml": '<svg width="10pt" height="10pt"></svg>',
        charts.MIME: {"name": "x", "title": NASTY, "alt": f'"{NASTY}', "caption": NASTY, "csv": ""},
    }
    run = pages.runs.Run("x", pages.runs.path_of("01_access"), NASTY)
    text = pages.render(run, notebook_with(bundle))
    assert "<script>alert" not in text and "<img src=x" not in text


def test_markdown_and_code_of_a_notebook_are_escaped():
    notebook = notebook_with({"text/plain": "x"})
    notebook["cells"][0]["source"] = [f"# {NASTY}\n"]
    text = pages.render(run_of("01_access"), notebook)
    assert "<script>alert" not in text and "show(&#39;&lt;b&gt;&#39;)" in text


def test_colours_of_a_terminal_are_taken_out():
    text = pages.render(
        run_of("01_access"),
        notebook_with({"output_type": "error", "ename": "E", "evalue": "x", "traceback": ["\x1b[0;31mBad\x1b[0m"]}),
    )
    assert "Bad" in text and "\x1b" not in text


# ---------------------------------------------------------------- the front page


@pytest.fixture(scope="module")
def front(tmp_path_factory) -> tuple[str, str]:
    """The front page and the gallery over two reports."""
    out = tmp_path_factory.mktemp("reports")
    made = []
    for name in ("01_access", "03_recovery"):
        run = run_of(name)
        (out / run.name).mkdir()
        (out / run.name / "notebook.ipynb").write_text(json.dumps(execute(name)), encoding="utf-8")
        made.append((run, "up to date"))
    made.append((run_of("02_finishing"), "missing"))
    tiny.write_site(made, out)
    assert not list(out.glob(".*"))
    return (out / "index.html").read_text(encoding="utf-8"), (out / "README.md").read_text(encoding="utf-8")


def test_the_front_page_leads_with_the_answer(front):
    text = front[0]
    assert text.index("622,282") < text.index("<h2")
    assert "1,257,718" in text[: text.index("<h2")]


def test_the_front_page_shows_the_reports_that_are_there_and_no_other(front):
    page = Page(front[0])
    cards = re.findall(r'<h3><a href="([^"]+)">', front[0])
    assert cards == ["access/index.html", "recovery/index.html"]
    assert (
        page.wrong == []
        and all(len(picture["alt"]) > 40 for picture in page.all("img"))
        and len(front[0].encode()) < 1_500_000
    )
    assert [picture["src"][:5] for picture in page.all("img")] == ["data:"] * len(page.all("img"))


def test_the_gallery_shows_each_figure_with_its_alternative_text(front):
    pictures = re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", front[1])
    assert [source for _, source in pictures] == [
        "access/figures/access_by_year.svg",
        "recovery/figures/recovery_rate.svg",
    ]
    assert all(len(alt) > 40 for alt, _ in pictures)


def test_every_committed_notebook_is_in_the_list_of_runs():
    assert {run.notebook.stem for run in pages.runs.load().values()} >= set(read_notebooks())
