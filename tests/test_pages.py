"""Pages: self-contained, readable without a pointer or a picture, and safe with whatever an output holds."""

import base64
import hashlib
import html
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from conftest import execute, run_of

from iapt import charts, runs, words
from iapt.site import about, links, pages

NASTY = "<script>alert('x')</script> & \"quoted\" <img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """A page taken apart: elements with their attributes, headings, and what was left open."""

    VOID = {"meta", "link", "img", "br", "hr", "input", "source", "wbr"}

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


@pytest.fixture(scope="module", params=[("01_access", "latest"), ("04_claims", "2020-05-01")], ids=" ".join)
def text(request) -> str:
    return render(*request.param)


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
    folded = [details for details in page.all("details") if details.get("class") == "code"]
    assert folded and all("open" not in details for details in page.all("details"))
    assert "parameters.check" not in text and "from iapt import" not in text


def test_headings_figures_and_tables_have_addresses_and_the_contents_lead_to_them(text, page):
    named = lambda *tags: [attributes.get("id") for attributes in page.all(*tags)]
    assert all(named("h2", "h3", "figure"))
    contents = re.search(r'<nav class="contents".*?</nav>', text, re.S)
    assert re.findall(r'href="#([^"]+)"', contents[0]) == named("h2") if contents else len(named("h2")) < 3
    assert len([name for name in named("div", "details") if name and name.startswith("table_")]) == text.count("<table")


def test_a_chart_has_a_citation_with_its_address(text, page):
    figures = [figure["id"] for figure in page.all("figure")]
    cited = re.findall(r'<details class="cite">.*?<p>(.*?)</p>', text, re.S)
    assert len(cited) == len(figures) and all(cite.startswith(about.citation()["authors"]) for cite in cited)
    assert [re.search(r"#(\w+)</span>", cite)[1] for cite in cited] == figures


def test_the_title_names_the_site_and_shared_links_are_described(text, page):
    assert re.search(rf"<title>[^<]+ – {about.SITE}</title>", text)
    told = {meta.get("name") or meta.get("property"): meta.get("content") for meta in page.all("meta")}
    assert len(told["description"]) > 40 and told["og:title"] and told["og:description"] == told["description"]


def test_terms_are_linked_once_at_their_first_use_and_never_in_headings(text):
    body = text[text.index("<main") : text.index("</main>")]
    linked = re.findall(r'<a class="term" href="../glossary/index.html#(\w+)">', body)
    assert len(linked) > 3 and len(linked) == len(set(linked))
    assert {term["id"] for term in links.terms().values()} >= set(linked)
    assert not re.search(r"<(h[1-6]|code|summary)[^>]*>[^<]*<a class=\"term\"", body)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<p>The recovery rate, and recovery.</p>", '<p>The <a class="term" href="../glossary/index.html#recovery">recovery rate</a>, and recovery.</p>'),
        ("<h2>Recovery</h2>", "<h2>Recovery</h2>"),
        ('<a href="x">recovery</a> <code>recovery</code>', '<a href="x">recovery</a> <code>recovery</code>'),
        ('<img alt="recovery">', '<img alt="recovery">'),
        ("recoveryish discovery", "recoveryish discovery"),
    ],
)  # fmt: skip
def test_terms_in_prose(before, after):
    assert links.link_terms(before, "../", set()) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('<a href="../waits/index.html#x">w</a>', '<a href="../../waits/index.html#x">w</a>'),
        ('<a href="../finishing/index.html">f</a>', "f"),
        ('<a href="../method/index.html">m</a>', '<a href="../../method/index.html">m</a>'),
        ('<a href="https://example.org/index.html">e</a>', '<a href="https://example.org/index.html">e</a>'),
    ],
)
def test_links_to_other_reports_fit_the_page_or_go(before, after):
    assert links.mend_links(before, ["waits"], "../../") == after


def test_sources_come_last_folded_with_their_address_and_route(text):
    body = text[text.index("<main") : text.index("</main>")]
    sources = body[body.index('<details class="sources"') :]
    assert "Read in" in sources and 'href="https://' in sources
    assert "<figure" not in sources and "<h2" not in sources and sources.count("<table") == 1


def test_the_page_of_an_area_is_headed_by_its_name():
    run = next(run for run in runs.spread(runs.load()["areas"]) if run.name == "areas/qwo")
    text = pages.render(run, {"cells": [{"cell_type": "markdown", "metadata": {}, "source": "# A question?"}]})
    assert "<h1>West Yorkshire</h1>" in text and '<p class="question">A question?</p>' in text and "to 2024/25" in text


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
    assert f"Newest figures, to {about.dates()['figures_to']}" in render("01_access")


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
    assert render("01_access") == render("01_access")


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
        charts.MIME: {"name": "x", "title": NASTY, "alt": f'"{NASTY}', "caption": NASTY, "csv": "", "narrow": "<svg/>"},
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
