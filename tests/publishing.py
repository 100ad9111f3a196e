"""Publications to test with: the samples, changed one way or another, and copies of the data to add them to."""

import csv
import hashlib
import io
import shutil
import zipfile
from pathlib import Path

from iapt import data

SAMPLES = Path(__file__).parent / "samples"
MARCH_2021 = SAMPLES / "iapt-month-march-2021-final-data.csv"
JULY_2022 = SAMPLES / "iapt_month_jul_22_activity_updated.csv"
AUGUST_2025 = SAMPLES / "nhstalkingtherapies_month_aug_2025_activity_performance.csv"
MONTHS = {MARCH_2021: "2021-03", JULY_2022: "2022-07", AUGUST_2025: "2025-08"}

ANNUAL = {
    "OrgType": "England", "OrgCode": "England", "OrgName": "England", "VariableType": "Total", "VariableA": "Total", "VariableB": "NULL",
    "Count_ReferralsReceived": "1813432", "Count_AccessingServices": "1196000", "Count_FinishedCourseTreatment": "670419",
    "Count_AtCaseness": "634248", "Count_NotAtCaseness": "36171", "Count_Improvement": "452284", "Percentage_Improvement": "67.5",
    "Count_Recovery": "321061", "Percentage_Recovery": "50.6", "Count_ReliableRecovery": "301815", "Percentage_ReliableRecovery": "47.6",
}  # fmt: skip


def annual(**changes: str) -> bytes:
    """The main CSV of the annual report in its form: England, England by gender, and a provider."""
    england = ANNUAL | changes
    women = england | {"VariableType": "Gender", "VariableA": "Female", "Count_ReferralsReceived": "1100000"}
    provider = (
        england
        | {"OrgType": "Provider", "OrgName": "A provider"}
        | {name: "*" for name in england if name.startswith(("Count", "Percentage"))}
    )
    return write_csv([list(england), *(list(row.values()) for row in (women, england, provider))])


def write_csv(rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def read_rows(path: Path = AUGUST_2025) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.reader(handle))


def change(path: Path = AUGUST_2025, *, group: str = "England", month: str = "", **values: str) -> bytes:
    """A sample with other values for some MEASURE_IDs, or about another month (of 31 days)."""
    header, *rows = read_rows(path)
    for row in rows:
        if row[2] == group:
            row[9] = values.get(row[7], row[9])
        if month:
            row[0], row[1] = f"{month}-01", f"{month}-31"
    return write_csv([header, *rows])


def zip_files(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def workbook(*sheets: tuple[str, list[list]]) -> bytes:
    import openpyxl

    book, packed = openpyxl.Workbook(write_only=True), io.BytesIO()
    for title, rows in sheets:
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(packed)
    return packed.getvalue()


def copy_data(folder: Path, monkeypatch, *, empty: bool = False) -> Path:
    """A copy of the data that `iapt` uses from now on; with `empty` it holds no figures for England."""
    copy = folder / "data"
    shutil.copytree(data.folder(), copy)
    if empty:
        header = (copy / "england.csv").read_text(encoding="utf-8").split("\n", 1)[0]
        (copy / "england.csv").write_text(header + "\n", encoding="utf-8")
    monkeypatch.setenv("IAPT_DATA", str(copy))
    return copy


def digest(folder: Path) -> dict[str, str]:
    """All that is in a folder."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def figures(folder: Path, **where: str) -> list[dict[str, str]]:
    """Rows of the table of figures with these values."""
    with (folder / "england.csv").open(encoding="utf-8", newline="") as handle:
        return [row for row in csv.DictReader(handle) if all(row[name] == value for name, value in where.items())]
