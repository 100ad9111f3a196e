"""Publications to test with: the samples, changed one way or another, and copies of the data to add them to."""

import calendar
import csv
import gzip
import hashlib
import io
import os
import shutil
import zipfile
from functools import cache
from pathlib import Path

from hypothesis import HealthCheck, settings

from iapt import data
from iapt.paths import ROOT

SAMPLES = Path(__file__).parent / "samples"
MARCH_2021 = SAMPLES / "iapt-month-march-2021-final-data.csv"
JULY_2022 = SAMPLES / "iapt_month_jul_22_activity_updated.csv"
AUGUST_2025 = SAMPLES / "nhstalkingtherapies_month_aug_2025_activity_performance.csv"
NEWEST = [
    SAMPLES / f"nhstalkingtherapies_month_{month}_activity_performance.csv.gz"
    for month in ("oct_2025", "nov_2025", "dec_2025", "jan_2026", "feb_2026", "mar_2026")
]
MARCH_2026 = NEWEST[-1]
MONTHS = {MARCH_2021: "2021-03", JULY_2022: "2022-07", AUGUST_2025: "2025-08"} | dict(
    zip(NEWEST, ("2025-10", "2025-11", "2025-12", "2026-01", "2026-02", "2026-03"))
)
ANNUAL_2024 = SAMPLES / "psych-ther-ann-rep-csvs-2023-24.zip"
ANNUAL_2025 = SAMPLES / "psych-ther-ann-rep-csv-2024-25-2.zip"
ANNUAL = {ANNUAL_2024: "2023-24", ANNUAL_2025: "2024-25"}

NEXT = "2026-05"
"""A month after the newest one in the data; April 2026 is left out, so that a gap is tested as well."""

Rows = list[list[str]]
EXAMPLES = int(os.environ.get("IAPT_EXAMPLES", "0"))


def search(examples: int) -> settings:
    """How long a test with random input looks: the same few examples each time, or as many new ones as IAPT_EXAMPLES."""
    slow = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    return settings(max_examples=EXAMPLES or examples, deadline=None, suppress_health_check=slow, derandomize=not EXAMPLES)


@cache
def read_table(name: str) -> list[dict[str, str]]:
    """The rows of a committed table, read once; nobody changes them."""
    with (ROOT / "data" / f"{name}.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def write_csv(rows: Rows, quoting: int = csv.QUOTE_MINIMAL) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=quoting).writerows(rows)
    return text.getvalue().encode()


def unzip(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def read_rows(path: Path = AUGUST_2025) -> Rows:
    return list(csv.reader(io.StringIO(unzip(path).decode(), newline="")))


def change(path: Path | None = None, *, group: str = "England", month: str = "", **values: str) -> bytes:
    """A sample with other values for some MEASURE_IDs, or a made file of another month.

    The counts of England in a made file are those of March 2026 and about one per cent, another one in each month.
    """
    header, *rows = read_rows(path or (MARCH_2026 if month else AUGUST_2025))
    for row in rows:
        if month:
            row[0], row[1] = f"{month}-01", f"{month}-{calendar.monthrange(*map(int, month.split('-')))[1]}"
            if row[2] == "England" and row[8].startswith("Count"):
                row[9] = str(round(int(row[9]) * (1 + int(month[-2:]) / 500)))
        if row[2] == group:
            row[9] = values.get(row[7], row[9])
    return write_csv([header, *rows])


def change_annual(path: Path = ANNUAL_2025, *, pick: dict[str, str] | None = None, **values: str) -> bytes:
    """The main CSV of an annual sample with other values in the rows that have those of `pick`; in England's total."""
    pick = pick or {"OrgType": "England", "VariableType": "Total"}
    header, *rows = read_annual(path)
    for row in rows:
        if all(row[header.index(column)] == value for column, value in pick.items()):
            for column, value in values.items():
                row[header.index(column)] = value
    return write_csv([header, *rows])


def read_annual(path: Path = ANNUAL_2025) -> Rows:
    with zipfile.ZipFile(path) as archive:
        main = next(name for name in archive.namelist() if "main" in name)
        return list(csv.reader(io.StringIO(archive.read(main).decode(), newline="")))


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


def copy_data(folder: Path, monkeypatch) -> Path:
    """A copy of the data that `iapt` uses from now on."""
    copy = folder / "data"
    shutil.copytree(data.folder(), copy, ignore=shutil.ignore_patterns(".*"))
    monkeypatch.setenv("IAPT_DATA", str(copy))
    return copy


def drop(folder: Path, table: str, **where: str) -> list[dict[str, str]]:
    """Take the rows with these values out of a table; the rows."""
    path = folder / f"{table}.csv"
    with path.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    gone, kept = [], []
    for row in rows:
        (gone if all(row[name] == value for name, value in where.items()) else kept).append(row)
    path.write_bytes(write_csv([list(rows[0]), *([*row.values()] for row in kept)]))
    data.forget()
    return gone


def digest(folder: Path) -> dict[str, str]:
    """All that is in a folder."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def figures(folder: Path, table: str = "england", **where: str) -> list[dict[str, str]]:
    """Rows of a table with these values."""
    with (folder / f"{table}.csv").open(encoding="utf-8", newline="") as handle:
        return [row for row in csv.DictReader(handle) if all(row[name] == value for name, value in where.items())]


def shrink_data(folder: Path, monkeypatch) -> Path:
    """A copy of the data with the figures of a few years, areas and groups alone, which `iapt` uses from now on."""
    copy = copy_data(folder, monkeypatch)
    for name, content in read_few().items():
        (copy / f"{name}.csv").write_bytes(content)
    return copy


@cache
def read_few() -> dict[str, bytes]:
    """The tables of the data that `shrink_data` cuts short."""
    kept = {
        "england": lambda row: row["period"] >= "2023-04" or row["frequency"] == "year" and row["period"] >= "2017",
        "areas": lambda row: row["year"] == "2024-25",
        "groups": lambda row: row["year"] == "2024-25",
        "published_rates": lambda row: row["year"] == "2024-25",
        "partnerships": lambda row: row["year"] == "2017-18",
        "population": lambda row: row["day"] == "2020-06-30" and row["type"] != "sub_icb",
        "benchmark": lambda row: row["metric"] == "mase" and row["model"] == "pool",
    }
    found = {}
    for name, keep in kept.items():
        rows = read_table(name)
        found[name] = write_csv([list(rows[0]), *([*row.values()] for row in rows if keep(row))])
    return found
