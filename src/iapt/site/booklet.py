"""All main reports as one document to print, through a browser that is installed."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from iapt import runs
from iapt import words
from iapt.site import indexes, pages

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
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
"""Options with which a browser asks nothing and contacts nobody."""
PATIENCE = 120
"""Seconds that a browser may take."""


class BrowserError(ValueError):
    """No browser could print the document; the message says what to install."""


def print_booklet(out: Path) -> bytes:
    """The reports that are there, areas left out, as a PDF with contents and page numbers.

    Raises BrowserError where no Chromium, Chrome or Edge is installed, or it fails or hangs.
    """
    browser = next(filter(None, map(shutil.which, (*BROWSERS, *PLACES))), None)
    if not browser:
        raise BrowserError(
            f"printing needs a browser; install one of {', '.join(BROWSERS)}, or print the pages from any other"
        )
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        page, printed = Path(folder) / "print.html", Path(folder) / "reports.pdf"
        page.write_text(fill_booklet(out), encoding="utf-8")
        options = [
            "--headless",
            *QUIET,
            f"--user-data-dir={folder}/profile",
            "--no-pdf-header-footer",
            "--generate-pdf-document-outline",
            f"--print-to-pdf={printed}",
        ]
        try:
            done = subprocess.run([browser, *options, page.as_uri()], capture_output=True, text=True, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            raise BrowserError(f"{browser} did not print within {PATIENCE} seconds; the reports are in {out}") from None
        if done.returncode or not printed.exists():
            raise BrowserError(f"{browser} could not print: {done.stderr.strip()[-300:]}")
        return printed.read_bytes()


def fill_booklet(out: Path) -> str:
    """The document as one HTML page: each notebook once, and the sources once, at the end.

    Raises BrowserError where no report has been made yet.
    """
    made = [run for run in runs.load().values() if (out / run.name / "notebook.ipynb").exists()]
    if not made:
        raise BrowserError(f"there are no reports in {out} yet; run: iapt report")
    first = {run.notebook: run for run in reversed(made)}
    reports = [_read_report(run, out) for run in made if first[run.notebook] == run]
    sources = [
        {"kind": "heading", "html": "<h1>Sources</h1>"},
        {"kind": "html", "html": indexes.list_sources()._repr_mimebundle_()["text/html"]},
    ]
    reports.append(
        {"name": "sources", "title": "Sources", "vintage": pages.capitalise(words.vintage("latest")), "parts": sources}
    )
    return pages.fill(
        "print.html.j2",
        "Access to NHS psychological therapies in England",
        "",
        "",
        reports=reports,
        answer=pages.to_html(indexes.headline()),
        vintage=pages.capitalise(words.vintage("latest")),
    )


def _read_report(run: runs.Run, out: Path) -> dict:
    parts = pages.collect_parts(runs.read_notebook(out / run.name / "notebook.ipynb"))
    kept = [part for part in parts if part.get("card", {}).get("name") != "sources"]
    return {"name": run.name, "title": run.title, "vintage": pages.describe_vintage(run), "parts": kept}
