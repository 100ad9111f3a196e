"""The site as its readers meet it: in a real browser, at three widths, light and dark, without a network."""

import functools
import http.server
import os
import shutil
import threading
from pathlib import Path

import html5lib
import pytest
import tiny

from iapt import runs
from iapt.running import runner
from iapt.site import booklet, indexes

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(
    BROWSER is None, reason="no chromium or google-chrome is installed; apt-get install chromium"
)
WIDTHS = (360, 768, 1440)


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    """The site with every kind of page on it."""
    known = runs.load()
    names = [name for name in ("access", "claims-2020", "target-2020", "areas-compared", "groups") if name in known]
    chosen = [known[name] for name in names] + (runs.spread(known["areas"])[:12] if "areas" in known else [])
    out = tmp_path_factory.mktemp("site")
    results = list(runner.make_all(chosen, out))
    assert {result.state for result in results} == {"made"}, [result.message for result in results]
    tiny.write_site([(run, "up to date") for run in chosen], out)
    return out


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="session")
def address(made):
    """The site served on this machine; every other host is out of reach."""
    handler = functools.partial(QuietHandler, directory=made)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=BROWSER, args=list(booklet.QUIET))
        yield chromium
        chromium.close()


def list_pages(made: Path) -> list[str]:
    return sorted(str(page.relative_to(made)) for page in made.rglob("index.html"))


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_opens_at_three_widths_without_error_overflow_or_foreign_request(made, address, browser, scheme):
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    troubles = []
    page.on(
        "console",
        lambda message: troubles.append(f"console: {message.text}") if message.type in ("error", "warning") else None,
    )
    page.on("pageerror", lambda error: troubles.append(f"script: {error}"))
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith((address, "data:")) else troubles.append(f"request: {request.url}")
        ),
    )
    for path in list_pages(made):
        page.goto(f"{address}/{path}")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            if (over := page.evaluate("document.documentElement.scrollWidth - window.innerWidth")) > 0:
                troubles.append(f"{path} at {width} px is {over} px too wide")
        assert page.locator("h1").count() == 1, path
    context.close()
    assert not troubles, "\n".join(troubles[:10])


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_meet_wcag_22_aa(made, address, browser, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    context = browser.new_context(color_scheme=scheme, bypass_csp=True, viewport={"width": 1000, "height": 900})
    page = context.new_page()
    found = []
    for path in list_pages(made)[:14]:
        page.goto(f"{address}/{path}")
        result = axe.run(
            page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
        )
        assert len(result.response["passes"]) > 10, "axe found nothing to check"
        found += [
            f"{path}: {violation['id']}: {violation['nodes'][0]['html'][:150]}"
            for violation in result.response["violations"]
        ]
    context.close()
    assert not found, "\n".join(found[:15])


@needs_browser
def test_navigation_leads_to_every_report_and_back(made, address, browser):
    page = browser.new_page()
    page.goto(f"{address}/index.html")
    links = page.locator("main a").evaluate_all("links => links.map(link => link.href)")
    assert len(links) >= 3
    for link in links:
        assert page.goto(link).status == 200, link
        page.locator("header a").first.click()
        assert page.url == f"{address}/index.html"
    page.close()


@needs_browser
def test_downloads_are_there_and_the_keyboard_reaches_the_text(address, browser):
    page = browser.new_page()
    page.goto(f"{address}/access/index.html")
    for kind in ("data (CSV)", "picture (PNG)", "picture (SVG)", "code (notebook)"):
        with page.expect_download() as download:
            page.get_by_role("link", name=kind).first.click()
        assert os.path.getsize(download.value.path()) > 200, kind
    page.keyboard.press("Tab")
    page.goto(f"{address}/access/index.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the text"
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")
    page.close()


@needs_browser
def test_a_table_sorts_by_a_click_on_its_head(address, browser):
    page = browser.new_page()
    page.goto(f"{address}/claims-2020/index.html")
    cells = lambda: page.locator("table").first.locator("tbody tr td:nth-child(4)").all_inner_texts()
    before = cells()
    page.locator("thead button").nth(3).click()
    assert cells() == sorted(before, key=str.lower) != before
    page.close()


@needs_browser
def test_the_search_narrows_the_areas(made, address, browser):
    if not (made / "areas" / "index.html").exists():
        pytest.skip("there is no run for each area")
    page = browser.new_page()
    page.goto(f"{address}/areas/index.html")
    shown = lambda: page.locator(".small li:visible").count()
    everything = shown()
    page.locator("#search").fill("london")
    assert 0 < shown() < everything
    assert page.locator("#found").inner_text().startswith(f"{shown()} of {everything}")
    page.locator("#search").fill("zzz")
    assert shown() == 0
    page.close()


@needs_browser
def test_text_can_be_read_without_javascript(address, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/access/index.html")
    assert page.locator("table").first.is_visible() and page.locator("figure img").first.is_visible()
    context.close()


def test_html_is_valid(made):
    for path in list_pages(made):
        html5lib.HTMLParser(strict=True).parse((made / path).read_text(encoding="utf-8"))
