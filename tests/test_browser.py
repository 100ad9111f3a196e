"""The site as its readers meet it: in a real browser, on a telephone and a screen, light and dark, offline."""

import functools
import http.server
import os
import shutil
import threading
from pathlib import Path

import pytest

from iapt.running import booklet

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no chromium or google-chrome is installed; apt-get install chromium"
)
NARROW, WIDE = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
KINDS = ("", "access/", "areas/qwo/", "areas/", "areas/compare/", "areas/map/", "method/", "glossary/", "downloads/")
"""One page of each kind; those that are left out have only parts that these have too."""


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(site):
    """The site served on this machine; every other host is out of reach."""
    handler = functools.partial(QuietHandler, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=BROWSER, args=list(booklet.QUIET))
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def opened(browser):
    return browser.new_context(permissions=["clipboard-read", "clipboard-write"]).new_page()


@pytest.fixture
def page(opened):
    """The one page of all tests, at its usual size."""
    opened.set_viewport_size(WIDE)
    return opened


@pytest.fixture(scope="module")
def plain(browser):
    """A page without JavaScript."""
    return browser.new_context(java_script_enabled=False).new_page()


def test_every_page_opens_without_error_overflow_or_foreign_request(site, address, page):
    troubles = []
    watch = {
        "console": lambda told: troubles.append(told.text) if told.type in ("error", "warning") else None,
        "pageerror": lambda error: troubles.append(f"script: {error}"),
        "request": lambda asked: None if asked.url.startswith((address, "data:")) else troubles.append(asked.url),
    }
    for event, note in watch.items():
        page.on(event, note)
    for path in sorted(str(path.relative_to(site)) for path in site.rglob("index.html")):
        page.goto(f"{address}/{path}")
        for size in (NARROW, WIDE):
            page.set_viewport_size(size)
            over, cut = page.evaluate(
                "[document.documentElement.scrollWidth - innerWidth, [...document.querySelectorAll('caption span')]"
                ".filter(c => c.checkVisibility() && c.getBoundingClientRect().right > innerWidth).length]"
            )
            if over > 0 or cut:
                troubles.append(f"{path} at {size['width']} px: {over} px too wide, {cut} captions cut")
    for event, note in watch.items():
        page.remove_listener(event, note)
    assert not troubles, "\n".join(troubles[:15])


def test_each_kind_of_page_meets_wcag_22_aa_in_light_and_dark(address, browser):
    """In the dark only colours differ, so only these are looked at again."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    light = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    page, troubles = browser.new_context(bypass_csp=True, viewport=WIDE).new_page(), []
    for path in KINDS:
        page.goto(f"{address}/{path}index.html")
        for scheme, rules in (("light", light), ("dark", {"type": "rule", "values": ["color-contrast"]})):
            page.emulate_media(color_scheme=scheme)
            response = axe.run(page, options={"runOnly": rules, "resultTypes": ["violations"]}).response
            assert response["passes"], "axe found nothing to check"
            troubles += [f"{path}: {each['id']}: {each['nodes'][0]['html'][:150]}" for each in response["violations"]]
    assert not troubles, "\n".join(troubles[:15])


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["390", "1280"])
def test_the_menu_takes_one_line_and_leads_everywhere(address, page, plain, size, script):
    page = page if script else plain
    page.set_viewport_size(size)
    page.goto(f"{address}/access/index.html")
    assert page.locator("header.site").bounding_box()["height"] < 60
    if size is NARROW:
        page.locator("header .menu > summary").click()
    page.get_by_text("Data", exact=True).click()
    page.get_by_role("link", name="Glossary", exact=True).click()
    assert page.url == f"{address}/glossary/index.html"
    page.locator("header a").first.click()
    assert page.url == f"{address}/index.html"


def test_an_open_menu_closes_by_escape_and_by_a_click_beside_it(address, page):
    page.goto(f"{address}/glossary/index.html")
    menu = page.locator("header details details").first
    for close in (lambda: page.keyboard.press("Escape"), lambda: page.locator("h1").click()):
        menu.locator("summary").click()
        assert menu.locator("a").first.is_visible()
        close()
        assert not menu.locator("a").first.is_visible()


def test_a_newcomer_finds_leeds_its_wait_and_its_source(address, page):
    page.goto(f"{address}/index.html")
    page.get_by_role("link", name="How is each area doing?").click()
    page.locator("#search").fill("leeds")
    assert page.locator("#found").inner_text() == "1 of 3 areas"
    page.locator("#measure").select_option(label="First treatment within 6 weeks")
    row = page.locator("tbody tr:visible")
    assert row.count() == 1 and row.locator("td:visible").count() == 3
    assert row.locator("td:visible").nth(1).inner_text().endswith("%")
    row.get_by_role("link").click()
    assert page.locator("h1").inner_text() == "West Yorkshire"
    page.locator(".sources summary").click()
    assert page.locator(".sources table a[href^='https://']").first.is_visible()


def test_regions_filter_and_heads_sort(address, page):
    page.goto(f"{address}/areas/index.html")
    page.locator("#region").select_option("East of England")
    shown = page.locator("tbody tr:visible td:first-child").all_inner_texts()
    assert shown == ["Bedfordshire, Luton and Milton Keynes"]
    page.goto(f"{address}/sources/index.html")
    read = lambda: page.locator("tbody td:nth-child(2)").all_inner_texts()
    before = read()
    page.get_by_role("button", name="Publisher").click()
    assert read() == page.evaluate("texts => texts.sort((a, b) => a.localeCompare(b, 'en-GB'))", before) != before


@pytest.mark.parametrize("where", ["served", "file"])
def test_areas_are_compared_and_the_choice_can_be_shared(site, address, page, where):
    page.goto(f"{address if where == 'served' else site.as_uri()}/areas/compare/index.html")
    page.get_by_label("Measure").select_option(label="Finished courses per 1,000 adults")
    for number, name in enumerate(("West Yorkshire", "England", "Bedfordshire, Luton and Milton Keynes"), start=1):
        page.get_by_label(f"Area {number}").select_option(name)
    table = page.locator("#chosen tbody tr")
    assert table.count() == page.locator("#chosen path").count() == 3
    first = table.first.locator("td").all_inner_texts()
    newest = page.locator("tr[data-code=qwo] td[data-measure=finished_per_1000]").inner_text()
    assert first[0] == "West Yorkshire" and first[-1] == newest
    shared, texts = page.url, table.all_inner_texts()
    page.goto("about:blank")
    page.goto(shared)
    assert shared.endswith("#finished_per_1000:qwo,e92000001,qhg") and table.all_inner_texts() == texts


def test_a_tile_of_the_map_leads_to_its_board(address, page):
    page.goto(f"{address}/areas/map/index.html")
    page.get_by_role("link", name="West Yorkshire").first.click()
    assert page.url == f"{address}/areas/qwo/index.html"


def test_tables_can_be_read_and_pictures_seen_without_a_script(address, plain):
    seen = {"access": "figure .wide svg", "areas": "table.areas", "areas/compare": "table.areas", "areas/map": ".map svg"}
    for path, part in seen.items():
        plain.goto(f"{address}/{path}/index.html")
        assert plain.locator(part).first.is_visible()
        assert not plain.locator("form, #chosen").locator("visible=true").count()


@pytest.mark.parametrize(("size", "shown", "hidden"), [(NARROW, ".narrow", ".wide"), (WIDE, ".wide", ".narrow")])
def test_a_chart_is_drawn_for_the_width_and_says_its_values(address, page, size, shown, hidden):
    page.set_viewport_size(size)
    page.goto(f"{address}/access/index.html")
    figure = page.locator("figure").first
    assert figure.locator(shown).is_visible() and not figure.locator(hidden).is_visible()
    assert "2023/24: 1.26 million" in figure.locator(".wide title").all_text_contents()


def test_downloads_and_citations_are_there(address, page):
    page.goto(f"{address}/access/index.html")
    figure = page.locator("figure").first
    for kind in ("data (CSV)", "picture (PNG)", "picture (SVG)", "code (notebook)"):
        with page.expect_download() as download:
            figure.get_by_role("link", name=kind).click()
        assert os.path.getsize(download.value.path()) > 200, kind
    figure.get_by_text("cite", exact=True).click()
    figure.get_by_role("button", name="Copy").click()
    figure.get_by_role("button", name="Copied").wait_for()
    cited = page.evaluate("navigator.clipboard.readText()")
    assert cited.endswith(f"{address}/access/index.html#{figure.get_attribute('id')}")
    page.goto(f"{address}/downloads/index.html")
    with page.expect_download() as download:
        page.get_by_role("link", name="figures.xlsx").click()
    assert Path(download.value.path()).read_bytes()[:2] == b"PK"


def test_the_keyboard_reaches_the_text_and_anchors_their_headings(address, page):
    page.goto(f"{address}/access/index.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the text"
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")
    link = page.locator(".contents a").last
    link.click()
    assert page.locator("h2:target").inner_text() == link.inner_text()
