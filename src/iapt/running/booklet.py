"""All main reports as one document to print, through a browser that is installed."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from iapt import runs, words
from iapt.running.child import end_family
from iapt.site import about, indexes, pages

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    *(
        rf"{os.environ.get(folder, '')}\{browser}"
        for folder in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA")
        for browser in (r"Google\Chrome\Application\chrome.exe", r"Microsoft\Edge\Application\msedge.exe")
    ),
)
"""Where browsers are that no search path names, on macOS and Windows."""
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
QUIET += ("--disable-sync", "--no-first-run")
"""Options with which a browser asks nothing and contacts nobody."""
PATIENCE = 120
"""Seconds that a browser may take."""


class BrowserError(ValueError):
    """No browser could print the document; the message says what to install."""


def print_booklet(out: Path) -> bytes:
    """The reports that are there, areas left out, as a PDF with contents and page numbers.

    It is printed twice: the first time to learn on which page each report begins.
    Raises BrowserError where no Chromium, Chrome or Edge is installed, or it fails or hangs.
    """
    browser = next(filter(None, map(shutil.which, (*BROWSERS, *PLACES))), None)
    if not browser:
        raise BrowserError(
            f"printing needs a browser; install one of {', '.join(BROWSERS)}, or print the pages from any other"
        )
    try:
        first = _print(browser, fill_booklet(out))
        return _print(browser, fill_booklet(out, find_pages(first)))
    except subprocess.TimeoutExpired:
        raise BrowserError(f"{browser} did not print within {PATIENCE} seconds; the reports are in {out}") from None


def _print(browser: str, text: str) -> bytes:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        page, printed = Path(folder) / "print.html", Path(folder) / "reports.pdf"
        page.write_text(text, encoding="utf-8")
        options = ["--headless", *QUIET, f"--user-data-dir={folder}/profile", "--no-pdf-header-footer"]
        options += ["--generate-pdf-document-outline", f"--print-to-pdf={printed}"]
        command, quiet = [browser, *options, page.as_uri()], {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        with subprocess.Popen(command, text=True, start_new_session=True, **quiet) as process:
            try:
                said = process.communicate(timeout=PATIENCE)[1]
            finally:
                end_family(process.pid)
        if process.returncode or not printed.exists():
            raise BrowserError(f"{browser} could not print: {said.strip()[-300:]}")
        return printed.read_bytes()


def find_pages(printed: bytes) -> dict[str, int]:
    """The page on which each address of a document begins, from a PDF as Chromium writes it: no object compressed."""
    pages = re.findall(rb"(\d+) 0 obj\s+<</Type /Page\b", printed)
    places = re.findall(rb"/([\w-]+) \[(\d+) 0 R /XYZ", printed)
    return {name.decode(): pages.index(page) + 1 for name, page in places if page in pages}


def fill_booklet(out: Path, numbers: dict[str, int] | None = None) -> str:
    """The document as one HTML page: each notebook once, and the sources once, at the end.

    `numbers` are the pages on which the reports begin, for the contents.

    Raises BrowserError where no report has been made yet.
    """
    made = [run for run in runs.load().values() if (out / run.name / "notebook.ipynb").exists()]
    if not made:
        raise BrowserError(f"there are no reports in {out} yet; run: iapt report")
    first = {run.notebook: run for run in reversed(made)}
    today = pages.capitalise(words.vintage("latest"))
    sources = [{"kind": "html", "html": f"<h1>Sources</h1>\n{indexes.show(indexes.list_sources())}"}]
    return pages.fill(
        "print.html.j2",
        about.citation()["title"],
        "",
        reports=[
            *(_read_report(run, out) for run in made if first[run.notebook] == run),
            {"name": "sources", "title": "Sources", "vintage": today, "parts": sources},
        ],
        numbers=numbers or {},
        answer=pages.to_html(indexes.headline()),
        vintage=today,
    )


def _read_report(run: runs.Run, out: Path) -> dict:
    parts = pages.collect_parts(runs.read_notebook(out / run.name / "notebook.ipynb"))
    kept = [part for part in parts if part.get("card", {}).get("name") != "sources"]
    return {"name": run.name, "title": run.title, "vintage": pages.describe_vintage(run), "parts": kept}
