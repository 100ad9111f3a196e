"""From a file as it was saved (CSV, .gz, zip, workbook) to the table of the one publication in it."""

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import PurePosixPath

import pandas as pd
import pyarrow as pa
import pyarrow.csv

from iapt import data
from iapt.data.layouts import Layout, Refusal, recognise

LIMIT = 300_000_000
"""Bytes that a publication may have when unpacked; a full monthly CSV has 30 million."""

HEAD = 1 << 16
"""Bytes in which the column names of a CSV end."""

STRANGERS = {
    b"<": "a web page", b"%PDF": "a PDF", b"\xd0\xcf\x11\xe0": "an Excel file in the old format .xls",
    b"Rar!": "a .rar archive, to be unpacked first", b"7z": "a .7z archive", b"\xff\xfe": "text in UTF-16", b"\xfe\xff": "text in UTF-16", b"{": "JSON",
}  # fmt: skip

def gunzip(name: str, raw: bytes) -> tuple[str, bytes]:
    """The name and bytes of a file, those inside where it is a .gz."""
    if not raw.startswith(b"\x1f\x8b"):
        return name, raw
    try:
        unpacker = zlib.decompressobj(wbits=31)
        inner = unpacker.decompress(raw, LIMIT + 1)
        if len(inner) <= LIMIT and not unpacker.eof:
            raise zlib.error("it is cut off")
    except zlib.error as error:
        raise Refusal(name, "a .gz file that can be unpacked", str(error)) from None
    _check_size(name, len(inner))
    return re.sub(r"\.gz$", "", name, flags=re.IGNORECASE), inner


def unpack(name: str, raw: bytes) -> tuple[str, bytes, Layout]:
    """The name, the bytes as a CSV and the layout of the one publication in a file.

    Other members of a zip and other sheets of a workbook do not matter, whatever they are.
    Raises Refusal where there is none, or more than one.
    """
    if not raw.startswith(b"PK"):
        return name, raw, recognise(name, read_header(name, raw))
    looked_at, fitting, faults = [], [], []
    try:
        for part, content in _open(name, raw, faults):
            looked_at.append(part.removeprefix(f"{name}/"))
            if layout := _fit(part, content):
                fitting.append((part, content, layout))
    except (Refusal, data.DataError):
        raise
    except Exception as error:  # zipfile and openpyxl meet damage with errors of a dozen kinds
        raise Refusal(name, "an archive that can be opened", f"{type(error).__name__}: {error}") from None
    if len(fitting) == 1:
        return fitting[0]
    if faults and not fitting:
        raise Refusal(name, "an archive that can be opened", "; ".join(faults))
    every = ", ".join(looked_at) or "nothing of the kind"
    expected = "one CSV, workbook or sheet with the columns of a publication"
    raise Refusal(name, expected, f"{len(fitting)}, looking at {every}")


def _check_size(name: str, size: int) -> None:
    if size > LIMIT:
        raise Refusal(name, f"at most {LIMIT:,} bytes when unpacked", f"{size:,}")


def _open(name: str, raw: bytes, faults: list[str]) -> Iterator[tuple[str, bytes]]:
    """The CSVs and sheets in an archive or workbook, one by one; `faults` takes what cannot be opened."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        if "xl/workbook.xml" in archive.namelist():
            _check_size(name, sum(member.file_size for member in archive.infolist()))
            import openpyxl

            book = openpyxl.load_workbook(io.BytesIO(raw), read_only=True, data_only=True)
            for sheet in book.worksheets:
                yield f"{name}/{sheet.title.strip()}", _write_rows(sheet.iter_rows(values_only=True))
            return
        for member in archive.infolist():
            path = PurePosixPath(member.filename.replace("\\", "/"))
            if path.is_absolute() or ".." in path.parts or ":" in member.filename:
                raise Refusal(name, "members inside the folder of the archive", member.filename)
            place, kind = f"{name}/{member.filename}", path.suffix.lower()
            try:
                if kind in (".csv", ".xlsx"):
                    _check_size(place, member.file_size)
                    content = archive.read(member)
                    yield from [(place, content)] if kind == ".csv" else _open(place, content, faults)
            except Exception as error:  # a member that cannot be opened matters only where no other one is found
                faults.append(f"{member.filename}: {type(error).__name__}: {error}")


def _write_rows(rows: Iterable[tuple]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        writer.writerow([cell.date().isoformat() if isinstance(cell, datetime) else cell for cell in row])
    return text.getvalue().encode()


def _fit(name: str, head: bytes) -> Layout | None:
    try:
        return recognise(name, read_header(name, head))
    except Refusal:
        return None


# ---------------------------------------------------------------- from the bytes of a CSV to its table


def read_header(name: str, raw: bytes) -> list[str]:
    """The column names of a CSV. Raises Refusal where the bytes are no CSV at all."""
    start = raw[:HEAD].removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start:
        raise Refusal(name, "a publication of NHS England", "an empty file")
    if stranger := next((what for mark, what in STRANGERS.items() if start.startswith(mark)), None):
        raise Refusal(name, "a CSV, a workbook (.xlsx), a zip or a .gz of one", stranger)
    line = re.split(rb"[\r\n]", raw[:HEAD], maxsplit=1)[0].decode("utf-8-sig", errors="replace")
    if "\0" in line or "\ufffd" in line:
        raise Refusal(f"{name}, row 1", "column names", "bytes that are no text")
    return next(csv.reader([line]), [])


def parse(name: str, raw: bytes, columns: dict[str, str]) -> pd.DataFrame:
    """The columns of a CSV as text, named by the items that they hold, with the number of each row in `row`.

    The header is row 1. Rows without any value, which spreadsheets leave behind, are left out.
    Raises Refusal where a row has another number of values than the header.
    """
    header = read_header(name, raw)
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        raw = raw.decode("cp1252", errors="replace").encode()
    names = {column: item for item, column in columns.items()}
    labels = [names.pop(column, f"{number} {column}") for number, column in enumerate(header)]
    text = pyarrow.csv.ConvertOptions(include_columns=list(columns), column_types=dict.fromkeys(columns, pa.string()))
    for threads in (True, False):  # only in one thread does the error name the row
        reading = pyarrow.csv.ReadOptions(column_names=labels, skip_rows=1, use_threads=threads)
        try:
            table = pyarrow.csv.read_csv(pa.BufferReader(raw), reading, convert_options=text).to_pandas()
            break
        except pa.ArrowInvalid as error:
            fault = str(error).removeprefix("CSV parse error: ")[:200]
    else:
        raise Refusal(name, f"{len(header)} values in every row", fault)
    table["row"] = range(2, len(table) + 2)
    blank = table
    for item in columns:
        blank = blank[blank[item].str.strip() == ""]
    table = table.drop(blank.index) if len(blank) else table
    if table.empty:
        raise Refusal(name, "rows", "column names alone")
    return table
