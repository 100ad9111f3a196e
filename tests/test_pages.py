"""Pages: self-contained, readable without a pointer or a picture, and safe with whatever an output holds."""

import base64
import hashlib
import html
import re
from itertools import pairwise
from xml.etree.ElementTree import Element

import html5lib
import pandas as pd
import pytest
from conftest import run_of

from iapt import charts, runs, words
from iapt.site import about, links, pages

NASTY = "<script>alert('x')</script> & \"quoted\" <img src=x onerror=alert(1)>"
HEADINGS = [f"h{level}" for level in range(1, 7)]


def notebook_with(*bundles: dict) -> dict:
    """An executed notebook with a title and one code cell for every output."""
    cells = [{"cell_type": "markdown", "metadata": {}, "source": ["# A title?"]}]
    for bundle in bundles:
        shown = {"output_type": "execute_result", "metadata": {}, "data": bundle}
        outputs = [bundle if "output_type" in bundle else shown]
        cells.append({"cell_type": "code", "metadata": {}, "source": ["show('<b>')"], "outputs": outputs})
    return {"cells": cells}


def main_of(text: str) -> str:
    return text[text.index("<main") : text.index("</main>")]


@pytest.fixture(scope="module", params=["access", "claims-2020"])
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def text(site, name) -> str:
    return (site / name / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text) -> Element:
    return html5lib.parse(text, namespaceHTMLElements=False)


def find(page: Element, *tags: str) -> list[Element]:
    """The elements with these tags, in the order of the page."""
    return [element for element in page.iter() if element.tag in tags]


# ---------------------------------------------------------------- self-contained


def test_a_page_loads_nothing_and_its_links_stay_inside_the_reports(text, page):
    loaded = [
        value
        for element in page.iter()
        for key, value in element.attrib.items()
        if key in ("src", "srcset", "data", "poster", "action") or (key == "href" and element.tag == "link")
    ]
    assert loaded and not [value[:60] for value in loaded if not value.startswith("data:")]
    assert not re.search(r"@import|url\((?!['\"]?(?:data:|#))", text)
    assert not find(page, "iframe", "object", "embed", "base", "form") and len(text.encode()) < 1_500_000
    inside = [link.get("href") for link in find(page, "a")]
    assert len(inside) > 5 and not [href for href in inside if href.startswith(("/", "file:", "javascript:"))]


def test_a_policy_forbids_all_but_what_is_in_the_page(page):
    (policy,) = (meta.get("content") for meta in find(page, "meta") if meta.get("http-equiv"))
    (script,) = (element.text for element in find(page, "script"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'" in policy and "http" not in policy and "unsafe-eval" not in policy
    assert re.search(r"script-src ([^;]*)", policy)[1] == f"'sha256-{digest}'"


# ---------------------------------------------------------------- readable


def test_a_page_says_its_language_width_title_and_what_it_is(page):
    told = {meta.get("name") or meta.get("property"): meta.get("content") for meta in find(page, "meta")}
    assert page.get("lang") == "en-GB" and "width=device-width" in told["viewport"]
    assert find(page, "title")[0].text.endswith(f" – {about.SITE}")
    assert len(told["description"]) > 40 and told["og:title"] and told["og:description"] == told["description"]


def test_every_picture_has_alternative_text_and_a_size_and_charts_values_to_hover_over(text, page):
    wide = re.findall(r'<div class="wide"><svg [^>]*role="img" aria-label="([^"]{40,})".*?</svg>', text, re.S)
    assert len(wide) == len(find(page, "figure")) == len([each for each in find(page, "img") if each.get("class") == "narrow"])
    assert not wide or re.search(r"<title>(Q\d )?\d{4}/\d\d: [\d,.]+( million|%)?</title>", text)
    for picture in find(page, "img"):
        assert len(picture.get("alt")) > 40 and int(picture.get("width")) * int(picture.get("height")) > 1e4


def test_headings_are_in_order_and_the_contents_lead_to_them(text, page):
    levels = [int(heading.tag[1]) for heading in find(page, *HEADINGS)]
    assert levels[0] == 1 and levels.count(1) == 1 and all(after - before <= 1 for before, after in pairwise(levels))
    named = [heading.get("id") for heading in find(page, "h2")]
    contents = re.search(r'<nav class="contents".*?</nav>', text, re.S)
    assert re.findall(r'href="#([^"]+)"', contents[0]) == named if contents else len(named) < 3
    assert all(element.get("id") for element in find(page, "h2", "h3", "figure"))
    ids = [element.get("id") for element in page.iter() if "id" in element.attrib]
    assert len(ids) == len(set(ids)) and sum(each.startswith("table_") for each in ids) == text.count("<table")


def test_the_code_of_each_section_is_folded_at_its_end_and_machinery_left_out(text, page):
    folded = [details for details in find(page, "details") if details.get("class") == "code"]
    assert folded and not [details for details in find(page, "details") if "open" in details.attrib]
    assert len(folded) <= len(find(page, "h1", "h2"))
    after = re.findall(r'<details class="code">.*?</details>\s*<(\w+)', main_of(text), re.S)
    assert set(after) <= {"h2", "details", "div"}
    assert "parameters.check" not in text and "from iapt import" not in text


def test_a_chart_has_a_citation_with_its_address(text, page):
    cited = re.findall(r'<details class="cite">.*?<p>(.*?)</p>', text, re.S)
    assert all(cite.startswith(about.citation()["authors"]) for cite in cited)
    assert [re.search(r"#(\w+)</span>", cite)[1] for cite in cited] == [each.get("id") for each in find(page, "figure")]


def test_terms_are_linked_once_at_their_first_use_and_never_in_headings(text):
    linked = re.findall(r'<a class="term" href="../glossary/index.html#(\w+)">', main_of(text))
    assert len(linked) > 3 and len(linked) == len(set(linked))
    assert {term["id"] for term in links.terms().values()} >= set(linked)
    assert not re.search(r"<(h[1-6]|code|summary)[^>]*>[^<]*<a class=\"term\"", main_of(text))


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


def test_the_answer_comes_first_and_the_sources_last_folded_with_address_and_route(text):
    body = main_of(text)
    answer, sources = body.index('class="answer"'), body.index('<details class="sources"')
    assert answer < min(place for kind in ("<figure", "<table") if (place := body.find(kind)) >= 0)
    assert "<strong>" in body[answer:][:400]
    assert "Read in" in body[sources:] and 'href="https://' in body[sources:]
    assert not re.search("<figure|<h2", body[sources:]) and body[sources:].count("<table") == 1


def test_the_page_of_an_area_is_headed_by_its_name():
    run = next(run for run in runs.spread(runs.load()["areas"]) if run.name == "areas/qwo")
    text = pages.render(run, {"cells": [{"cell_type": "markdown", "metadata": {}, "source": "# A question?"}]})
    assert "<h1>West Yorkshire</h1>" in text and '<p class="question">A question?</p>' in text and "to 2024/25" in text


def test_tables_can_be_reached_and_have_headers(page):
    regions = [division.attrib for division in find(page, "div") if "table" in (division.get("class") or "").split()]
    assert len(regions) == len(find(page, "table")) >= 2
    assert all(region["role"] == "region" and region["tabindex"] == "0" and region["aria-label"] for region in regions)
    assert all(head.get("scope") == "col" for head in find(page, "th"))


def test_cells_of_a_table_with_long_texts_say_the_name_of_their_column():
    head = '<div class="table"><table><thead><tr><th scope=col>Name</th><th class=number scope=col>Count</th></tr></thead>'
    rows = [f"<tr><td>{text}</td><td class=number>1</td></tr>" for text in ("short", "long " * 25)]
    mended = pages.mend_table(f"{head}<tbody>{''.join(rows)}</tbody></table></div>")
    assert re.findall('<td data-head="(.*?)"( class=number)?>', mended) == [("Name", ""), ("Count", " class=number")] * 2
    assert 'class="table prose"' in mended and "data-head" not in pages.mend_table(f"{head}<tbody>{rows[0]}</tbody></table></div>")


def test_long_words_of_a_table_can_be_broken_and_dates_cannot():
    text = "<caption>c</caption><td>2026-02-28</td><td>https://example.org/a-long-address.html</td>"
    mended = pages.mend_table(text)
    assert "<td>2026\u201102\u201128</td>" in mended and "<caption><span>c</span></caption>" in mended
    assert "https:/<wbr>" not in mended and "example.<wbr>org/<wbr>a-<wbr>long-<wbr>address.<wbr>html" in mended


@pytest.mark.parametrize(
    ("before", "after"), [("2023-24 and 2028-29.", "2023/24 and 2028/29."), ("2025-10-24", "2025-10-24")]
)
def test_financial_years_are_written_with_a_slash(before, after):
    assert pages.write_years(before) == after


def test_a_page_says_its_vintage(name, text):
    expected = {"claims-2020": "As known on 1 May 2020", "access": f"Newest figures, to {about.dates()['figures_to']}"}
    assert expected[name] in text


def test_pictures_in_a_page_are_those_of_the_notebook(site, text, name):
    cells = runs.read_notebook(site / name / "notebook.ipynb")["cells"]
    bundles = [output["data"] for cell in cells for output in cell.get("outputs", [])]
    drawn = [bundle for bundle in bundles if charts.MIME in bundle]
    narrow = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', text)
    assert [base64.b64decode(source).decode() for source in narrow] == [each[charts.MIME]["narrow"] for each in drawn]
    assert all(each["image/svg+xml"] in text for each in drawn) and (drawn or name != "access")


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
        pytest.param(
            words.Table("t", NASTY, pd.DataFrame({NASTY: [NASTY, "1"]}))._repr_mimebundle_(), id="the cells of a table"
        ),
        pytest.param(
            {
                "image/svg+xml": '<svg width="10pt" height="10pt"></svg>',
                charts.MIME: {"name": "x", "title": NASTY, "alt": f'"{NASTY}', "csv": "", "narrow": '<svg width="9pt" height="9pt"/>'},
            },
            id="the words of a chart",
        ),
    ],
)
def test_what_an_output_holds_is_shown_and_never_run(bundle):
    run = runs.Run("x", runs.path_of("01_access"), NASTY)
    notebook = notebook_with(bundle)
    notebook["cells"][0]["source"] = [f"# {NASTY}\n"]
    text = pages.render(run, notebook)
    assert not re.search("<script>alert|<img src=x|javascript:", text)
    assert html.escape("<script>") in main_of(text) and "show(&#39;&lt;b&gt;&#39;)" in text


def test_colours_of_a_terminal_are_taken_out():
    output = {"output_type": "error", "ename": "E", "evalue": "x", "traceback": ["\x1b[0;31mBad\x1b[0m"]}
    text = pages.render(run_of("01_access"), notebook_with(output))
    assert "Bad" in text and "\x1b" not in text
