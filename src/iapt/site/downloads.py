"""What readers take away: all figures as a workbook and as CSV, and the changes to them in words."""

import io
import re
import zipfile

import openpyxl
import pandas as pd

from iapt import data, words
from iapt.data import periods
from iapt.data.memory import remember
from iapt.site import about

COLUMNS = {"area": "Of", "measure": "Measure", "frequency": "Frequency", "period": "Period", "value": "Value"}
COLUMNS |= {"unit": "Unit", "basis": "Basis", "source": "Source"}
SOURCE = {"id": "Source", "title": "Title", "publisher": "Publisher", "published": "Published", "url": "Address"}
SOURCE |= {"via": "Read in", "licence": "Licence", "note": "Note"}
NOTES = (
    "One row is one figure. Where sources differ, it is the one in use: see the page on data and method.",
    "Basis says whether a figure was published, is a sum of published months, or is a rate worked out from counts.",
    "Counts are of referrals, so one person can be counted more than once. Rates are in per cent.",
    "NHS England rounds the figures of areas to the nearest 5.",
    "Financial years run from April to March. 2023-24 is a year, 2023-24 Q3 a quarter, 2023-04 a month.",
    "Each figure has the licence of its source. The last sheet lists the sources. Please name the source.",
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


@remember
def write() -> dict[str, bytes]:
    """The workbook and the CSV files of all figures and sources, by name: the same bytes for the same figures."""
    figures, sources = list_figures(), data.load()["sources"][list(SOURCE)].rename(columns=SOURCE)
    measures = data.load()["measures"][["label", "unit", "definition"]]
    sheets = {
        "Notes": pd.DataFrame({about.citation()["title"]: [*NOTES, f"Figures to {about.dates()['figures_to']}."]}),
        "Figures": figures,
        "Measures": measures.set_axis(["Measure", "Unit", "Definition"], axis=1),
        "Sources": sources,
    }
    tables = {"figures.csv": figures, "sources.csv": sources}
    csv = {name: words.write_csv(table, 15).encode() for name, table in tables.items()}
    return {"figures.xlsx": write_workbook(sheets)} | csv


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
        for row in table.astype(object).where(table.notna(), None).map(words.neutralise).itertuples(index=False):
            sheet.append(row)
    written, fixed = io.BytesIO(), io.BytesIO()
    book.save(written)
    with zipfile.ZipFile(written) as source, zipfile.ZipFile(fixed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in sorted(source.namelist()):
            content = source.read(name)
            if name == "docProps/core.xml":
                content = re.sub(rb"\d{4}-\d\d-\d\dT[\d:]+Z", b"%d-%02d-%02dT%02d:%02d:%02dZ" % EPOCH, content)
            target.writestr(zipfile.ZipInfo(name, EPOCH), content, zipfile.ZIP_DEFLATED)
    return fixed.getvalue()


def list_changes() -> list[dict]:
    """The days on which figures changed, newest first, each with its `date`, `day` for people, and `lines` of text."""
    days = data.load()["changes"].groupby("added")
    return [{"date": day, "day": about.write_day(day), "lines": describe_changes(rows)} for day, rows in days][::-1]


def describe_changes(rows: pd.DataFrame) -> list[str]:
    """The changes to the figures on one day as lines of text, months that were added alike put together."""
    written = []
    for (what, number, detail), alike in rows.groupby(["what", "figures", "detail"], sort=False):
        held = alike[alike["period"] != ""]
        when = [periods.label(periods.parse(row.period, row.frequency)) for row in held.itertuples()]
        text = f"{words.count(number)} figures{' each' if len(when) > 1 else ''} {what}"
        text += f" for {words.listed(when)}" if when else ""
        written.append(f"{text}: {detail}." if detail else f"{text}.")
    return written
