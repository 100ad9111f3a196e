"""What readers take away: all figures as a workbook and as CSV, a feed of changes, a map of the site."""

import csv
import io
import re
import zipfile
from collections.abc import Iterable
from datetime import datetime
from html import escape

import openpyxl
import pandas as pd

from iapt import data, words
from iapt.data import periods
from iapt.data.memory import remember
from iapt.site import about

COLUMNS = {"area": "Of", "measure": "Measure", "frequency": "Frequency", "period": "Period", "value": "Value"}
COLUMNS |= {"unit": "Unit", "basis": "Basis", "source": "Source"}
NOTES = (
    "One row is one figure. Where sources differ it is the one in use, chosen as the page on data and method says.",
    "Basis says whether a figure was published, is a sum of published months, or is a rate worked out from counts.",
    "Counts are of referrals, not of people. Rates are in per cent. Figures of areas are rounded to 5 by NHS England.",
    "Financial years run from April to March. 2023-24 is a year, 2023-24 Q3 a quarter, 2023-04 a month.",
    "The licence of each figure is that of its source, in the sheet of sources. Please name the source.",
)
EPOCH = (2000, 1, 1, 0, 0, 0)
"""The date of every file in the workbook, so that the same figures give the same bytes."""


def list_figures() -> pd.DataFrame:
    """Every figure in use, of England, areas and groups of people, with its unit, basis and source card."""
    codebook, groups = data.load()["measures"].set_index("measure"), data.known("latest", "groups")
    whom = "England: " + groups["dimension"].str.replace("_", " ") + ", " + groups["group"]
    groups = groups.assign(area=whom, frequency="year", basis="published", unit=groups["measure"].map(codebook["unit"]))
    held = pd.concat([data.tidy(), groups.assign(period=groups["period"].map(periods.write))], ignore_index=True)
    held["measure"] = held["measure"].map(codebook["label"])
    return held[list(COLUMNS)].rename(columns=COLUMNS)


def list_sources() -> pd.DataFrame:
    """The source cards by the names that the figures give them."""
    cards = data.load()["sources"]
    columns = {"id": "Source", "title": "Title", "publisher": "Publisher", "published": "Published", "url": "Address"}
    columns |= {"via": "Read in", "licence": "Licence", "note": "Note"}
    return cards[list(columns)].rename(columns=columns)


@remember
def write() -> dict[str, bytes]:
    """The workbook and the CSV files of all figures and sources, by name: the same bytes for the same figures."""
    figures, sources = list_figures(), list_sources()
    measures = data.load()["measures"][["label", "unit", "definition"]].set_axis(
        ["Measure", "Unit", "Definition"], axis=1
    )
    notes = pd.DataFrame({f"{about.citation()['title']}": [*NOTES, f"Figures to {about.dates()['figures_to']}."]})
    sheets = {"Notes": notes, "Figures": figures, "Measures": measures, "Sources": sources}
    return {
        "figures.xlsx": write_workbook(sheets),
        "figures.csv": write_csv(figures),
        "sources.csv": write_csv(sources),
    }


def neutralise(cell: object) -> object:
    """A cell that a spreadsheet will not run: text that begins like a formula gets an apostrophe before it."""
    return f"'{cell}" if isinstance(cell, str) and re.match(r"[=+@\t\r-]", cell) else cell


def write_csv(table: pd.DataFrame) -> bytes:
    """A table as CSV, its numbers as numbers."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(map(neutralise, row) for row in _list_rows(table))
    return text.getvalue().encode()


def _list_rows(table: pd.DataFrame) -> Iterable[list]:
    columns = [column.astype(object).where(column.notna(), None).tolist() for _, column in table.items()]
    tidy = lambda cell: int(cell) if isinstance(cell, float) and cell == int(cell) else cell
    return ([tidy(cell) for cell in row] for row in zip(*columns))


def write_workbook(sheets: dict[str, pd.DataFrame]) -> bytes:
    """Tables as the sheets of an Excel workbook, each with its header frozen."""
    book = openpyxl.Workbook(write_only=True)
    for name, table in sheets.items():
        sheet = book.create_sheet(name)
        sheet.freeze_panes = "A2"
        for place, column in enumerate(table, start=1):
            widest = max(len(column), *(len(str(cell)) for cell in table[column].head(200)))
            sheet.column_dimensions[openpyxl.utils.get_column_letter(place)].width = min(60, widest + 2)
        sheet.append(list(table.columns))
        for row in _list_rows(table):
            sheet.append([neutralise(cell) for cell in row])
    written, fixed = io.BytesIO(), io.BytesIO()
    book.save(written)
    with zipfile.ZipFile(written) as source, zipfile.ZipFile(fixed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in sorted(source.namelist()):
            content = source.read(name)
            if name == "docProps/core.xml":
                content = re.sub(
                    rb"\d{4}-\d\d-\d\dT[\d:]+Z", datetime(*EPOCH).strftime("%Y-%m-%dT%H:%M:%SZ").encode(), content
                )
            target.writestr(zipfile.ZipInfo(name, EPOCH), content, zipfile.ZIP_DEFLATED)
    return fixed.getvalue()


# ---------------------------------------------------------------- changes


def describe_changes(rows: pd.DataFrame) -> list[str]:
    """The changes to the figures on one day as lines of text, months that were added alike put together."""
    lines: dict[tuple, list] = {}
    for row in rows.itertuples():
        when = [periods.label(periods.parse(row.period, row.frequency))] if row.period else []
        lines.setdefault((row.what, row.figures, row.detail), []).extend(when)
    written = []
    for (what, number, detail), when in lines.items():
        each = " each" if len(when) > 1 else ""
        text = f"{words.count(number)} figures{each} {what}{f' for {words.listed(when)}' if when else ''}"
        written.append(f"{text}: {detail}." if detail else f"{text}.")
    return written


def write_feed() -> str:
    """The changes to the figures as an Atom feed. The site needs an address."""
    site, days = about.address(), list(data.load()["changes"].groupby("added"))[::-1]
    entries = "".join(
        f"<entry><title>Figures changed on {about.write_day(day)}</title><id>{site}changes/index.html#{day}</id>"
        f'<link href="{site}changes/index.html#{day}"/><updated>{day}T00:00:00Z</updated>'
        f"<summary>{escape(' '.join(describe_changes(rows)))}</summary></entry>\n"
        for day, rows in days
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="en-GB">'
        f"<title>{about.SITE}: what changed</title><id>{site}</id>"
        f'<link rel="self" href="{site}feed.xml"/><link href="{site}changes/index.html"/>'
        f"<updated>{days[0][0]}T00:00:00Z</updated>"
        f"<author><name>{escape(about.citation()['authors'])}</name></author>\n"
        f"{entries}</feed>\n"
    )


def write_sitemap(paths: Iterable[str]) -> str:
    """The addresses of all pages, for search engines. The site needs an address."""
    addresses = sorted({path.removesuffix("index.html") for path in paths if path.endswith("index.html")})
    lines = "".join(f"<url><loc>{escape(about.address() + path)}</loc></url>\n" for path in addresses)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
        f"{lines}</urlset>\n"
    )
