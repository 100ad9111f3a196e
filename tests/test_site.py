"""The pages around the reports, and that what the repository shows is what its code computes."""

import html
import io
import os
import re
import tomllib
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import html5lib
import openpyxl
import pandas as pd
import psutil
import pytest
import small_site
import tiny
import yaml

from iapt import data, runs, words
from iapt.paths import REPORTS, ROOT
from iapt.running import booklet
from iapt.site import about, areas, downloads, indexes, links, pages

README = (ROOT / "README.md").read_text(encoding="utf-8")
ADDRESS = "https://example.org/therapies/"


# ---------------------------------------------------------------- the repository


def test_the_readme_gives_the_answer_that_the_code_computes():
    assert indexes.headline() in README


def test_every_notebook_stands_in_the_readme_and_in_the_runs():
    named = set(re.findall(r"\]\(notebooks/(\w+)\.ipynb\)", README))
    there = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert named == there >= {run.notebook.stem for run in runs.load().values()}


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


def test_versions_agree():
    import iapt

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == iapt.__version__ == about.citation()["version"]


def test_workflows_run_only_what_the_readme_tells_people_to_run():
    commands = []
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        for job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values():
            commands += [line for step in job["steps"] for line in step.get("run", "").splitlines()]
    told = re.sub(r" +", " ", README)
    assert len(commands) >= 8 and not [line for line in commands if line not in told]


# ---------------------------------------------------------------- the site


def read(site: Path, page: str) -> str:
    return (site / page / "index.html").read_text(encoding="utf-8")


def anchors_and_links(page: Path) -> tuple[set[str], list[str]]:
    """The addresses that a page has, and those to which it links; its HTML must be valid."""
    tree = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page.read_text(encoding="utf-8"))
    return {each.get("id") for each in tree.iter()}, [each.get("href") for each in tree.iter("a")]


def test_html_is_valid_no_link_is_dead_and_every_anchor_exists(site):
    found = {path.resolve(): anchors_and_links(path) for path in site.rglob("index.html")}
    assert len(found) == len(small_site.NAMES) + 6 + 3
    for page, (_, targets) in found.items():
        for target in targets:
            if target.startswith(("http://", "https://")):
                continue
            path, _, anchor = target.partition("#")
            file = (page.parent / unquote(path)).resolve() if path else page
            assert file.is_file(), f"{page.relative_to(site)} links to {target}"
            assert not anchor or anchor in found[file][0], f"{page.relative_to(site)} links to {target}"


def test_the_front_page_says_who_for_whom_and_when_before_five_figures_with_their_standards(site):
    front, dates = read(site, ""), about.dates()
    assert "people who work on health policy" in front and about.citation()["authors"] in front
    assert dates["changed"] in front and f"to {dates['figures_to']}" in front and front.count('class="value"') == 5
    assert not re.search(r"<img|\b(CRPS|caseness|slope index|99\.8%)\b", front[front.index("<main") :])


def test_the_headline_figures_are_the_sums_of_the_published_months():
    starts, *_, finished, recovery = indexes.list_headlines()
    months = data.series("finished_course", "month").iloc[-12:]
    assert finished["value"] == words.million(months.sum()) and "915,000 in 2028/29" in finished["standard"]
    parts = [data.series(measure, "month").iloc[-12:].sum() for measure in ("recovered", "eligible_for_recovery")]
    assert recovery["value"] == words.percent(100 * parts[0] / parts[1], 1) and "50%" in recovery["standard"]
    assert "1.88 million in 2023/24 was missed" in starts["standard"]


def test_no_two_reports_have_one_heading_on_the_front_page(tmp_path):
    made = [(runs.load()[name], "up to date") for name in ("access", "access-2020")]
    for run, _ in made:
        (tmp_path / run.name).mkdir()
        (tmp_path / run.name / "notebook.ipynb").write_bytes(run.notebook.read_bytes())
    tiny.write_site(made, tmp_path)
    headings = re.findall(r'<h3><a href="access[^>]*>(.*?)</a>', read(tmp_path, ""))
    assert len(headings) == 2 and headings[1] == "Starting treatment, as known in May 2020" != headings[0]


def test_the_front_page_marks_what_is_old(site):
    front = read(site, "")
    card = lambda name: front[front.index(f'href="{name}/index.html">', front.index("<h3>")) :].partition("</li>")[0]
    assert "older than the data" in card("waits") and "older than the data" not in card("claims-2020")


def test_a_folder_of_ones_own_reports_shows_what_is_in_it(tmp_path):
    """Not the newest answer, no dead link, and nothing of the reports that are elsewhere."""
    (run,) = runs.select(runs.load(), ["access"], ["as_of=2018-06-30"])
    (tmp_path / run.name).mkdir()
    (tmp_path / run.name / "notebook.ipynb").write_text('{"cells": []}')
    tiny.write_site([(run, "up to date")], tmp_path)
    front = read(tmp_path, "")
    assert "Reports made here" in front and "As known on 30 June 2018" in front
    assert f'href="{run.name}/index.html"' in front and 'href="access/index.html"' not in front
    assert 'class="value"' not in front and not (tmp_path / "areas").exists() and not (tmp_path / "README.md").exists()
    for page in tmp_path.rglob("*/index.html"):
        targets = {link.partition("#")[0] for link in anchors_and_links(page)[1] if not link.startswith("http")}
        assert not [path for path in targets if "downloads" in path or not (page.parent / path).exists()], page


def test_pages_hold_every_measure_break_source_term_and_change(site):
    tables = data.load()
    for page, texts in {
        "method": [*tables["measures"]["label"], *tables["breaks"]["label"]],
        "sources": [*tables["sources"]["title"], *filter(None, tables["sources"]["via"])],
        "glossary": links.terms(),
        "changes": [about.write_day(day) for day in tables["changes"]["added"]],
    }.items():
        text = html.unescape(read(site, page).replace("<wbr>", ""))
        assert not [each for each in texts if each not in text], page


def test_the_glossary_explains_each_term_once():
    needed = {"Caseness", "Reliable improvement", "Reliable recovery", "Referral", "Vintage", "CRPS", "Funnel plot"}
    assert needed <= links.terms().keys() and all(len(term["meaning"]) > 40 for term in links.terms().values())
    used = [word.lower() for term in links.terms().values() for word in term["words"]]
    assert len(used) == len(set(used))


def test_no_name_of_the_files_is_on_the_page_of_changes(site):
    page = read(site, "changes")
    text = re.sub(r"<[^>]+>", " ", page[page.index("<main") : page.index("</main>")])
    assert not re.search(r"\b[a-z]+_[a-z_]+\b|\d in england", text) and "Changes in the data" not in text


def test_the_gallery_has_the_answers_and_figures_that_exist(site):
    gallery = (site / "README.md").read_text(encoding="utf-8")
    assert indexes.headline() in gallery
    pictures = re.findall(r"!\[([^\]]+)\]\(([^)]+\.svg)\)", gallery)
    assert len(pictures) == 2 and all(len(alt) > 40 and (site / link).exists() for alt, link in pictures)


def test_the_same_reports_give_the_same_bytes(site):
    again = indexes.render_site(small_site.list_states(), site)
    assert not [path for path, content in again.items() if (site / path).read_bytes() != content]


# ---------------------------------------------------------------- address, feed and map of the site


def test_an_address_gives_feed_site_map_and_pictures_for_shared_links(site, monkeypatch):
    assert "og:image" not in read(site, "access") and "no public address" in read(site, "changes")
    assert not (site / "feed.xml").exists()
    monkeypatch.setenv(about.ADDRESS, ADDRESS.rstrip("/"))
    run = runs.load()["access"]
    written = indexes.render_site([(run, "up to date")], site)
    places = ElementTree.fromstring(written["sitemap.xml"])
    addresses = [each.text for each in places.iter() if each.tag.endswith("loc")]
    assert ADDRESS in addresses and f"{ADDRESS}access/" in addresses and len(addresses) == len(set(addresses))
    feed = ElementTree.fromstring(written["feed.xml"])
    days = set(data.load()["changes"]["added"])
    assert len([each for each in feed if each.tag.endswith("entry")]) == len(days)
    page = pages.render(run, runs.read_notebook(site / "access" / "notebook.ipynb"))
    picture = re.search(rf'og:image" content="{ADDRESS}access/(figures/\w+\.png)"', page)[1]
    assert (site / "access" / picture).exists() and f"{ADDRESS}access/index.html#access_by_year" in page


def test_an_address_that_is_none_is_refused(monkeypatch):
    monkeypatch.setenv(about.ADDRESS, "javascript:alert(1)")
    with pytest.raises(runs.RunError, match="https://example.org"):
        about.address()


# ---------------------------------------------------------------- downloads


def test_workbook_and_csv_hold_every_figure_as_a_number(site):
    figures = downloads.list_figures()
    written = pd.read_csv(site / "downloads" / "figures.csv")
    assert len(figures) == len(data.tidy()) + len(data.load()["groups"]) == len(written)
    assert written["Value"].to_numpy() == pytest.approx(figures["Value"].to_numpy(), rel=1e-12)
    book = openpyxl.load_workbook(site / "downloads" / "figures.xlsx", read_only=True)
    assert book.sheetnames == ["Notes", "Figures", "Measures", "Sources"]
    rows = list(book["Figures"].values)
    assert len(rows) == len(figures) + 1 and all(isinstance(row[4], int | float) for row in rows[1:])
    assert {source for row in rows[1:] for source in row[7].split("; ")} <= {row[0] for row in book["Sources"].values}


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_text_that_begins_like_a_formula_does_not_run(cell):
    table = pd.DataFrame({"text": [cell], "number": [-2.5]})
    book = openpyxl.load_workbook(io.BytesIO(downloads.write_workbook({"S": table})))
    shown = book["S"]["A2"]
    assert shown.data_type == "s" and shown.value.startswith("'") and book["S"]["B2"].value == -2.5
    written = words.write_csv(table.rename(columns={"text": cell}))
    assert written.replace('"', "") == f"'{cell},number\n'{cell},-2.5\n"  # newer Pythons quote a carriage return


def test_changes_are_told_by_day_with_alike_months_together():
    rows = [("month", f"2025-{month}", "added", 83, "all for England") for month in (10, 11)]
    rows += [("", "", "corrected", 5, "a reason")]
    frame = pd.DataFrame(rows, columns=["frequency", "period", "what", "figures", "detail"])
    assert downloads.describe_changes(frame) == [
        "83 figures each added for October 2025 and November 2025: all for England.",
        "5 figures corrected: a reason.",
    ]


# ---------------------------------------------------------------- areas


def test_rates_of_areas_are_made_of_their_counts():
    held, raw = areas.compute("latest"), data.known("latest", "areas").set_index(["area", "measure", "period"])["value"]
    year = held.index.unique("year")[-1]
    adults = data.known("latest", "population").query("area == 'QWO' and ages == '18 and over' and type == 'icb'")
    finished, row = raw["QWO", "finished_course", year], held.loc["QWO", year]
    assert row["finished_per_1000"] == pytest.approx(1000 * finished / adults.sort_values("period")["value"].iloc[-1])
    assert row["finished_per_100"] == pytest.approx(100 * finished / raw["QWO", "referrals_received", year])
    assert areas.count_adults()["Y63"] == pytest.approx(areas.count_adults()[data.members("Y63")].sum())


def test_the_areas_show_the_vintage_of_their_reports(tmp_path):
    (devon,) = runs.select(runs.load(), ["areas/qjk"], ["as_of=2023-06-01"])
    page = areas.render([devon], [devon.name])["areas/index.html"]
    assert "As known on 1 June 2023" in page and "2022/23" not in page and "Areas in 2021/22" in page


def test_each_board_has_one_tile_that_leads_to_its_page(site):
    layout = pd.read_csv(Path(areas.__file__).parent / "templates" / "tiles.csv")
    held = set(data.known("latest", "areas")["area"])
    boards = {code for code, place in data.places().iterrows() if place["type"] == "icb" and code in held}
    assert set(layout["area"]) == boards and not layout.duplicated(["row", "column"]).any()
    page = read(site, "areas/map")
    assert page.count('<a href="../qwo/index.html" aria-label="West Yorkshire: ') == len(areas.MAPPED)


def test_boards_in_tables_link_to_their_pages_and_ended_ones_to_their_successors(site):
    west, beds = read(site, "areas/qwo"), read(site, "areas/qhg")
    assert '<td><a href="../../areas/e92000001/index.html">England</a></td>' in west
    assert 'href="../../areas/qwo/index.html"' not in west[west.index("<main") :]
    assert 'now part of <a href="../../areas/index.html#s1y5d">Central East</a>' in beds
    assert "This board ended" not in west


def test_the_index_of_areas_can_be_read_without_a_script(site):
    page = read(site, "areas")
    assert "leeds" in page and page.count("<tr data-find") == 3
    assert re.search(r'href="qwo/index.html">West Yorkshire</a></td><td class="number"[^>]*>[\d.]+%<', page)


# ---------------------------------------------------------------- the document to print


def test_the_document_to_print_has_each_notebook_once_and_the_sources_at_its_end(site):
    page = booklet.fill_booklet(site, {"access": 7})
    assert re.findall(r'<article id="([^"]+)"', page) == ["access", "waits", "claims-2020", "sources"]
    assert not re.search(r'src="(?!data:)', page) and "default-src 'none'" in page
    assert re.search(r'href="#access">.*<span>7</span>', page)


def test_pages_of_a_printed_document_are_found():
    printed = b"3 0 obj\n<</Type /Page\n>>\n9 0 obj\n<</Type /Pages\n>>\n5 0 obj\n<</Type /Page\n>>\n<</access-2020 [5 0 R /XYZ 0 8 0]\n/x [8 0 R /XYZ 0 0 0]>>"
    assert booklet.find_pages(printed) == {"access-2020": 2}


def test_a_browser_that_hangs_is_ended_with_all_that_it_started(tmp_path, monkeypatch):
    browser = tmp_path / "chromium"
    browser.write_text(f"#!/bin/sh\nsleep 987 & echo $! > {tmp_path}/started\nwait\n")
    browser.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(booklet, "PATIENCE", 0.3)
    monkeypatch.setattr(booklet, "fill_booklet", lambda *_: "a page")
    with pytest.raises(booklet.BrowserError, match="chromium did not print within 0.3 seconds; the reports are in"):
        booklet.print_booklet(tmp_path)
    left = int((tmp_path / "started").read_text())
    tiny.wait_until(lambda: not psutil.pid_exists(left) or psutil.Process(left).status() == psutil.STATUS_ZOMBIE)


def test_printing_without_a_browser_says_what_to_install(site, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(booklet.BrowserError, match="chromium"):
        booklet.print_booklet(site)
