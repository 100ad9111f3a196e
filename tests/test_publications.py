"""Publications are read as they are published, and refused where they are damaged."""

import codecs
import csv
import datetime
import gzip
import os
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from publishing import (
    ANNUAL,
    ANNUAL_2024,
    ANNUAL_2025,
    AUGUST_2025,
    JULY_2022,
    MARCH_2021,
    MONTHS,
    NEXT,
    SAMPLES,
    change,
    change_annual,
    copy_data,
    digest,
    read_annual,
    read_rows,
    search,
    unzip,
    workbook,
    write_csv,
    zip_files,
)  # fmt: skip

from iapt import cli, data
from iapt.data import layouts, publications
from iapt.data.publications import Refusal, read

SOUND = AUGUST_2025.read_bytes()
FIGURES = {"referrals_received": "132762", "started_treatment": "88146", "finished_course": "51569", "not_at_caseness": "2388", "recovered": "24499", "reliably_improved": "34847", "reliably_recovered": "23084", "recovery_rate": "49.8", "waited_under_6_weeks_rate": "89.7", "waited_under_18_weeks_rate": "98.9", "waiting_for_treatment": "108077"}  # fmt: skip
COUNT = len(read(AUGUST_2025).figures)


def read_bytes(folder, content: bytes, name: str = "file.csv") -> publications.Publication:
    path = folder / name
    path.write_bytes(content)
    return read(path)


def texts(publication, names=FIGURES) -> dict[str, str]:
    """Some of the figures for England."""
    return {name: str(value) for (*_, name), value in publication.figures.items() if name in names}


def test_a_sample_gives_its_month_figures_and_suppressed_values():
    publication = read(AUGUST_2025)
    assert (publication.frequency, publication.period, publication.layout.kind) == ("month", "2025-08", "monthly")
    assert texts(publication) == FIGURES
    assert publication.hidden == sum(row[9] == "*" for row in read_rows()) > 0
    assert not publication.doubts and not publication.suppressed


@pytest.mark.parametrize("path", MONTHS)
def test_no_sample_is_doubtful_whatever_its_names_and_dates(path):
    publication = read(path)
    assert publication.period == MONTHS[path] and not publication.doubts
    monthly = {row.measure for row in data.load()["england"].itertuples() if row.period == publication.period}
    assert {key[-1] for key in publication.figures} == monthly


@pytest.mark.parametrize("name", ["cr_only.csv", "zip_with_cr_only_neighbour.zip", "trailing_commas.csv"])
def test_how_programs_save_a_file_does_not_matter(name):
    publication = read(SAMPLES / name)
    assert publication.period == "2025-10" and publication.figures["england", "referrals_received"] == 164279


def give_types(row: list[str]) -> list:
    """A row of the sample of August 2025 with dates and numbers in the place of text."""
    value = row[9] if row[9] == "*" else float(row[9])
    return [datetime.datetime(2025, 8, 1), datetime.date(2025, 8, 31), *row[2:9], value]


AS_IT_COMES = {
    "with a BOM": (codecs.BOM_UTF8 + SOUND, "file.csv"),
    "with Windows line ends": (SOUND.replace(b"\n", b"\r\n"), "file.csv"),
    "with names in an old encoding": (SOUND.replace(b"LGBT FOUNDATION", "CAFÉ – ".encode("cp1252")), "file.csv"),
    "with every value quoted": (
        "\n".join(",".join(f'"{value}"' for value in row) for row in read_rows()).encode() + b"\n",
        "file.csv",
    ),
    "with spaces after column names": (
        SOUND.replace(b"GROUP_TYPE,", b"GROUP_TYPE ,", 1).replace(b"MEASURE_ID,", b" MEASURE_ID,", 1),
        "file.csv",
    ),
    "with dates as in 2021": (
        write_csv([re.sub(r"(\d{4})-(\d\d)-(\d\d)", r"\3/\2/\1", cell) for cell in row] for row in read_rows()),
        "file.csv",
    ),
    "with a new column": (write_csv([*row, "new"] for row in read_rows()), "file.csv"),
    "with carriage returns alone": (SOUND.replace(b"\n", b"\r"), "file.csv"),
    "with rows of commas and blank lines at the end": (SOUND + b",,,,,,,,,\n" * 3 + b"\n\n", "file.csv"),
    "as a .gz": (gzip.compress(SOUND), "file.csv.gz"),
    "as a zip in a .gz": (gzip.compress(zip_files({"month.csv": SOUND})), "file.zip.gz"),
    "beside files that are damaged, encrypted or no text": (
        zip_files({"a.csv": b"\0\xff\r\r", "._month.csv": b"\0\5\x16\7", "old.xlsx": b"PK\3\4", "month.csv": SOUND}),
        "file.zip",
    ),
    "in a zip": (zip_files({"a/notes.txt": b"x", "a/month.csv": SOUND}), "file.zip"),
    "in a workbook": (workbook(("iapt-month ", read_rows())), "file.xlsx"),
    "in a workbook with dates and numbers": (
        workbook(("Notes", [["Read me"]]), ("Data", [read_rows()[0], *map(give_types, read_rows()[1:])])),
        "file.xlsx",
    ),
    "in a workbook in a zip": (zip_files({"month.xlsx": workbook(("Data", read_rows()))}), "file.zip"),
    "under the wrong name": (zip_files({"month.csv": SOUND}), "file.csv"),
}


@pytest.mark.parametrize("form", AS_IT_COMES)
def test_the_figures_are_the_same_however_the_file_comes(tmp_path, form):
    publication = read_bytes(tmp_path, *AS_IT_COMES[form])
    expected = read(AUGUST_2025).figures
    assert {key: float(value) for key, value in publication.figures.items()} == {
        key: float(value) for key, value in expected.items()
    }
    assert publication.period == "2025-08" and not publication.doubts


@pytest.mark.parametrize("mark", ["*", "-", "NULL", "N/A", " * "])
def test_a_suppressed_value_is_missing_and_counted_and_never_zero(tmp_path, mark):
    publication = read_bytes(tmp_path, change(M031=mark, M179=mark))
    keys = {("england", "started_treatment"), ("england", "not_at_caseness")}
    assert set(publication.suppressed) == keys and not keys & publication.figures.keys()
    assert publication.hidden == read(AUGUST_2025).hidden + (0 if mark == " * " else 2)


def test_measures_are_joined_by_id_and_a_name_out_of_its_months_is_doubted(tmp_path):
    renamed = SOUND.replace(b"Count_AccessingServices,", b"Count_FirstAssessment,")
    publication = read_bytes(tmp_path, renamed)
    assert texts(publication) == FIGURES
    assert [
        "Count_FirstAssessment" in doubt and "2025-08" in doubt and "row" in doubt for doubt in publication.doubts
    ] == [True]


def test_the_value_column_of_march_2021_is_doubted_in_other_months(tmp_path):
    assert "MEASURE_VALUE" in read_rows(MARCH_2021)[0] and "MEASURE_VALUE_SUPPRESSED" in read_rows(JULY_2022)[0]
    publication = read_bytes(tmp_path, SOUND.replace(b"MEASURE_VALUE_SUPPRESSED", b"MEASURE_VALUE"))
    assert texts(publication) == FIGURES and len(publication.doubts) == 1


def test_a_measure_without_a_row_is_doubted(tmp_path):
    publication = read_bytes(tmp_path, write_csv(row for row in read_rows() if row[7] != "M038"))
    assert len(publication.figures) == COUNT - 1 and ("england", "waiting_for_treatment") not in publication.figures
    assert ["no value of England for M038 (Count_Waiting" in doubt for doubt in publication.doubts] == [True]


def test_a_measure_is_not_missed_before_it_was_published():
    assert "M121" in {row[7] for row in read_rows()} - {row[7] for row in read_rows(JULY_2022)}
    assert not read(JULY_2022).doubts


def test_what_is_not_taken_is_said():
    assert any(note.startswith("not taken: measures M0") for note in read(AUGUST_2025).notes)
    (note,) = [note for note in read(ANNUAL_2025).notes if note.startswith("not taken")]
    assert "areas UNKNOWN; breakdowns by BME Group, Consultation Medium" in note


def test_a_file_after_boards_ended_and_began_is_read(tmp_path):
    header, *rows = csv.reader(change(month=NEXT).decode().splitlines())
    boards = [("Integrated Care Board (ICB)", "S1Y5D", "NHS CENTRAL EAST INTEGRATED CARE BOARD"), ("Sub ICB", "06K", "NHS CENTRAL EAST ICB - 06K"), ("Commissioning Region", "Y61", "EAST OF ENGLAND COMMISSIONING REGION")]  # fmt: skip
    new = [[*rows[0][:2], *board, "all", "all Providers", "M001", "Count_ReferralsReceived", "15"] for board in boards]
    publication = read_bytes(tmp_path, write_csv([header, *rows, *new]))
    assert publication.period == NEXT and len(publication.figures) == COUNT and not publication.doubts
    assert "rows of Commissioning Region, Integrated Care Board (ICB), Sub ICB" in publication.notes[-1]


# ---------------------------------------------------------------- annual reports


@pytest.mark.parametrize("path", ANNUAL)
def test_an_annual_report_gives_what_the_data_hold_on_england_areas_and_groups(path):
    publication = read(path)
    assert (publication.frequency, publication.period) == ("year", ANNUAL[path]) and not publication.doubts
    tables, year = data.load(), ANNUAL[path]
    for table, places in [(name, list(places)) for name, places in publications.PLACES.items() if name != "england"]:
        rows = tables[table][tables[table]["year"] == year]
        rows = rows.to_dict("records")
        held = {(table, *(row[name] for name in places), row["measure"]): row["value"] for row in rows}
        found = {key: value for key, value in publication.figures.items() if key[0] == table}
        assert len(held) > 150 and {key: float(value) for key, value in found.items()} == held
    rows = tables["england"][tables["england"]["period"] == year]
    official = rows[rows["source"].str.startswith("nhs-annual") & rows["rounded_to"].isna()]
    found = {key[-1]: float(value) for key, value in publication.figures.items() if key[0] == "england"}
    assert found == dict(zip(official["measure"], official["value"]))


def test_a_provider_listed_twice_with_the_same_counts_counts_once_with_a_word():
    notes = read(ANNUAL_2024).notes
    assert any("TAF90 is listed twice with the same counts, and counted once" in note for note in notes)
    assert any("the 3 of Provider add up to" in note for note in notes)


@pytest.mark.parametrize(
    ("old", "new", "year", "doubtful"),
    [
        ("Count_AccessingServices", "Count_FirstTreatment", "2021-22", 0),
        ("Count_AccessingServices", "Count_FirstTreatment", "2024-25", 1),
        ("Count_AccessingServices", "CountFirstTreatment", "2017-18", 0),
    ],
)
def test_older_names_of_columns_are_known_with_their_years(tmp_path, old, new, year, doubtful):
    content = change_annual(Count_AccessingServices="1196000").replace(old.encode(), new.encode())
    content = content if "_" in new else content.replace(b"Count_", b"Count").replace(b"Percentage_", b"Percentage")
    publication = read_bytes(tmp_path, content, f"main-{year}.csv")
    assert publication.figures["england", "started_treatment"] == 1196000
    assert publication.period == year and len(publication.doubts) == doubtful


def test_the_form_of_2019_20_and_before_is_read(tmp_path):
    """Partnerships under codes that are no boards, waits named after first treatment, empty cells for no value."""
    content = change_annual().replace(b"Count_", b"Count").replace(b"Percentage_", b"Percentage")
    content = content.replace(b"AccessingServices", b"FirstTreatment")
    content = content.replace(b",Accessing services,", b",First treatment,")
    content = content.replace(b"\nICB,Q", b"\nSTP,E540000").replace(b",NULL", b",").replace(b"Mean wait", b"Mean Wait")
    publication = read_bytes(tmp_path, content, "psych-ther-ann-rep-csv-2019-20-main-csv.csv")
    new = read(ANNUAL_2025)
    boards = {place["area"] for place in data.load()["places"].to_dict("records") if place["type"] == "icb"}
    assert {key: value for key, value in new.figures.items() if not boards & set(key)} == publication.figures
    assert publication.notes and not publication.doubts
    assert any("areas E540000" in note for note in publication.notes)


def merge_boards() -> list[list[str]]:
    """The rows of 2024-25 under the boards since April 2026: a new one has the counts of one that it followed."""
    last = {row.successor: row.predecessor for row in data.load()["successions"].itertuples() if row.successor != "QRL"}
    heirs = {old: new for new, old in last.items()}
    ended = set(data.load()["successions"]["predecessor"])
    header, *rows = read_annual()
    kept = [[row[0], heirs.get(row[1], row[1]), *row[2:]] for row in rows if row[1] not in ended - heirs.keys()]
    return [header, *kept]


def test_a_year_after_boards_ended_and_began_is_read(tmp_path):
    publication = read_bytes(tmp_path, write_csv(merge_boards()), "main-2026-27.csv")
    boards = {key[1] for key in publication.figures if key[0] == "areas" and not key[1].startswith("Y")}
    assert len(boards) == 36 and {"S1Y5D", "Z9B2Z", "QRL"} <= boards and "QHG" not in boards
    assert not publication.doubts


def test_areas_that_had_ended_or_are_not_there_are_doubted(tmp_path):
    publication = read_bytes(tmp_path, change_annual(), "main-2026-27.csv")
    assert [re.sub("^.*there", "there", doubt)[:60] for doubt in publication.doubts] == [
        "there are rows of areas that did not exist: QH8, QHG, QJG, Q",
        "there is no row of D7T5G, S0E4D, S1Y5D, S9B9J, T6Y0W, Z9B2Z ",
    ]


def test_measures_that_an_annual_report_lacks_are_named(tmp_path):
    header, *rows = read_annual()
    at, band = header.index("Count_ReferralsReceived"), header.index("VariableB")
    kept = [row[:at] + row[at + 1 :] for row in (header, *rows) if row[band] != ">90 days"]
    (doubt,) = read_bytes(tmp_path, write_csv(kept), "main-2024-25.csv").doubts
    assert "no value of England for referrals_received (Count_ReferralsReceived), finished_waited_over_90_days" in doubt
    assert "finished_second_treatment_over_90_days" in doubt


# ---------------------------------------------------------------- damage


def state_size(size: int) -> bytes:
    packed = bytearray(zip_files({"month.csv": SOUND}))
    at = packed.rindex(b"PK\x01\x02") + 24
    packed[at : at + 4] = size.to_bytes(4, "little")
    return bytes(packed)


def encrypt() -> bytes:
    packed = bytearray(zip_files({"month.csv": SOUND}))
    packed[packed.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(packed)


DAMAGED_MONTHS = {
    "no file": (None, "expected a file that can be read; found No such file"),
    "an empty file": (b"", "found an empty file"),
    "blank lines": (b"\n\n \n", "found an empty file"),
    "a web page": (b"<!DOCTYPE html><html>404</html>", "expected a CSV.*found a web page"),
    "a web page after a BOM": (codecs.BOM_UTF8 + b"\r\n <html>", "found a web page"),
    "JSON": (b'{"error": 500}', "found JSON"),
    "a PDF": (b"%PDF-1.7 ...", "found a PDF"),
    "UTF-16": (SOUND.decode().encode("utf-16"), "found text in UTF-16"),
    "noise": (bytes(range(128, 256)) * 8, "row 1: expected column names; found bytes"),
    "zero bytes": (b"GROUP_TYPE\0,x\n", "row 1: expected column names"),
    "another programme": (
        b"REPORTING_PERIOD_START,REPORTING_PERIOD_END,BREAKDOWN,PRIMARY_LEVEL,MEASURE_ID,MEASURE_NAME,MEASURE_VALUE\n",
        "row 1: expected the columns of the monthly publication, among them GROUP_TYPE, ORG_CODE2; found REPORTING",
    ),
    "another programme, same columns": (
        re.sub(rb",M(?=\d)", b",MHS", SOUND),
        "expected rows of GROUP_TYPE England and MEASURE_ID M001.*found none",
    ),
    "a column too few": (write_csv(row[:9] for row in read_rows()), "among them MEASURE_VALUE_SUPPRESSED"),
    "column names alone": (SOUND.split(b"\n")[0] + b"\n", "expected rows; found column names alone"),
    "no England": (SOUND.replace(b",England,", b",Scotland,"), "expected rows of GROUP_TYPE England"),
    "cut off in a row": (
        SOUND[: len(SOUND) * 2 // 3].rsplit(b",", 2)[0] + b"\n",
        r"expected 10 values in every row; found Row #\d+",
    ),
    "a value too many": (SOUND.replace(b",M001,", b",M001,x,", 1), "expected 10 values in every row; found Row #2"),
    "an open quote": (SOUND.replace(b",all,", b',"all,', 1), "expected 10 values in every row"),
    "two months": (
        SOUND + b"\n".join(change(month="2025-07").split(b"\n")[1:]),
        r"row 653, column REPORTING_PERIOD_START: expected one month in the file, 2025-08-01; found 2025-07-01",
    ),
    "a quarter": (
        SOUND.replace(b"2025-08-31", b"2025-10-31"),
        "the first and last day of one month; found 2025-08-01 to 2025-10-31",
    ),
    "no date": (
        SOUND.replace(b"2025-08-01", b"August 2025"),
        "row 2, column REPORTING_PERIOD_START: expected a date such as .*found 'August 2025'",
    ),
    "a day that does not exist": (
        SOUND.replace(b"2025-08-31", b"2025-08-32"),
        "column REPORTING_PERIOD_END: expected a date",
    ),
    "words for a count": (
        change(M001="many"),
        "row 2, column MEASURE_VALUE_SUPPRESSED: expected a count for Count_ReferralsReceived.*found 'many'",
    ),
    "an empty value": (change(M001=""), "row 2, column MEASURE_VALUE_SUPPRESSED: expected a count.*found ''"),
    "a negative count": (change(M031="-88146"), "expected a count.*found '-88146'"),
    "half a referral": (change(M031="88146.5"), "expected a count.*found '88146.5'"),
    "a count with separators": (change(M031="88,146"), "expected a count.*found '88,146'"),
    "a count with underscores": (change(M031="88_146"), "expected a count.*found '88_146'"),
    "a power of ten": (change(M031="9e4"), "expected a count.*found '9e4'"),
    "not a number": (change(M031="NaN"), "expected a count.*found 'NaN'"),
    "a share above 100": (change(M055="989"), "expected a percentage up to 100.*found '989'"),
    "a row twice": (
        SOUND + SOUND.split(b"\n")[1] + b"\n",
        "row 653, .*expected one row of England for M001; found a second one, after x.csv, row 2",
    ),
    "a rate that its counts do not give": (
        change(M192="51.8"),
        "expected recovery_rate 49.81 per cent, as recovered 24499 over eligible_for_recovery 49181 gives; found 51.8",
    ),
    "counts that their rate does not give": (change(M185="34547"), "expected reliable_improvement_rate 66.99 per cent"),
    "a part above its whole": (
        change(M191="50000", M192="*"),
        "expected recovered within eligible_for_recovery, which it is part of; found 50000 of 49181",
    ),
    "fewer waiting 18 weeks than 6": (
        change(M053="99.9"),
        "expected waited_under_6_weeks_rate within waited_under_18_weeks_rate",
    ),
    "more not at caseness than finished": (
        change(M179="60000", M192="*", M191="*", M193="*", M195="*"),
        "column MEASURE_VALUE_SUPPRESSED: expected not_at_caseness within finished_course",
    ),
    "providers above England": (
        change(group="Provider", M001="500000"),
        "row 2, .*expected at least what the 2 of provider add up to, 1000000; found 132762",
    ),
    "suppressed values alone": (
        write_csv([*row[:9], row[9] if number == 0 else "*"] for number, row in enumerate(read_rows())),
        "expected figures for England; found suppressed values alone",
    ),
    "a .gz of a web page": (gzip.compress(b"<html>"), "found a web page"),
}
DAMAGED_YEARS = {
    "an annual report with two totals": (
        write_csv([*read_annual(), *(row for row in read_annual() if row[0] == "England" and row[3] == "Total")]),
        "row 1377, column Count_ReferralsReceived: expected one row of England for referrals_received; found a second",
    ),
    "an annual report without England": (
        write_csv(row for row in read_annual() if row[0] != "England"),
        "expected a row with OrgType England and VariableType Total; found none",
    ),
    "an annual report without outcomes": (
        re.sub(rb"(Count|Percentage)_[A-Q]", b"Other_", change_annual()),
        "columns of the annual publication, among them Count_",
    ),
    "an annual rate that is wrong": (
        change_annual(Percentage_Recovery="60.5"),
        "column Percentage_Recovery: expected recovery_rate 50.55 per cent, as recovered 321061 over eligible",
    ),
    "a rate by the count at caseness": (
        change_annual(Percentage_Recovery="50.6", Count_Recovery="320900"),
        "expected recovery_rate 50.52 per cent",
    ),
    "a rate of a board that its counts do not give": (
        change_annual(pick={"OrgCode": "QHG", "VariableType": "Total"}, Percentage_Recovery="10"),
        "row .*, column Percentage_Recovery: expected recovery_rate",
    ),
    "a rate of a group that its counts do not give": (
        change_annual(pick={"OrgType": "England", "VariableA": "Female"}, Percentage_Recovery="10"),
        "row .*, column Percentage_Recovery: expected recovery_rate",
    ),
    "words for a count of a board": (
        change_annual(pick={"OrgCode": "QHG", "VariableType": "Total"}, Count_ReferralsReceived="many"),
        "row .*, column Count_ReferralsReceived: expected a count",
    ),
    "a board listed twice": (
        write_csv([*read_annual(), *(row for row in read_annual() if row[1] == "QHG" and row[3] == "Total")]),
        "expected one row of QHG for referrals_received; found a second one",
    ),
    "boards above England": (
        change_annual(pick={"OrgCode": "QHG", "VariableType": "Total"}, Count_ReferralsReceived="1700000"),
        "expected at least what the 42 of ICB add up to",
    ),
}
DAMAGE = {
    "an old Excel file": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "x.xls", "found an Excel file in the old format"),
    "a rar": (b"Rar!\x1a\x07\x00", "x.rar", "found a .rar archive, to be unpacked first"),
    "a cut-off zip": (zip_files({"month.csv": SOUND})[:5000], "x.zip", "expected an archive that can be opened"),
    "a zip with a changed byte": (
        zip_files({"month.csv": SOUND}).replace(b"month.csv", b"mouth.csv", 1),
        "x.zip",
        "expected an archive that can be opened",
    ),
    "a zip without a publication": (
        zip_files({"notes.csv": b"a,b\n1,2\n"}),
        "x.zip",
        "expected one CSV, workbook or sheet with the columns of a publication; found 0, looking at notes.csv",
    ),
    "a zip with two": (zip_files({"a.csv": SOUND, "b.csv": SOUND}), "x.zip", "found 2, looking at a.csv, b.csv"),
    "an empty zip": (zip_files({}), "x.zip", "found 0, looking at nothing"),
    "a path outside the zip": (
        zip_files({"../../evil.csv": SOUND}),
        "x.zip",
        r"expected members inside the folder of the archive; found ../../evil.csv",
    ),
    "a path from the root": (zip_files({"/etc/evil.csv": SOUND}), "x.zip", "found /etc/evil.csv"),
    "a path of Windows": (zip_files({"..\\evil.csv": SOUND}), "x.zip", "expected members inside"),
    "a zip bomb": (
        state_size(2_000_000_000),
        "x.zip",
        "expected at most 300,000,000 bytes when unpacked; found 2,000,000,000",
    ),
    "a zip that hides its size": (state_size(1000), "x.zip", "expected an archive that can be opened"),
    "an encrypted zip": (encrypt(), "x.zip", "an archive that can be opened.*month.csv: RuntimeError.*encrypted"),
    "a workbook with two such sheets": (
        workbook(("a", read_rows()[:300]), ("b", read_rows()[:300])),
        "x.xlsx",
        "expected one CSV, workbook or sheet.*found 2, looking at a, b",
    ),
    "a workbook of something else": (workbook(("Sheet1", [["a", "b"]])), "x.xlsx", "found 0, looking at Sheet1"),
    "a cut-off workbook": (workbook(("a", read_rows()))[:9000], "x.xlsx", "expected an archive that can be opened"),
    "a cut-off .gz": (gzip.compress(SOUND)[:3000], "x.csv.gz", "a .gz file that can be unpacked; found it is cut off"),
    "an annual report without year": (change_annual(), "main.csv", "expected the financial year in the name"),
    "an annual report of no year": (change_annual(), "main-2024-26.csv", "expected the financial year"),
}
DAMAGE |= {kind: (content, "x.csv", message) for kind, (content, message) in DAMAGED_MONTHS.items()}
DAMAGE |= {kind: (content, "main-2024-25.csv", message) for kind, (content, message) in DAMAGED_YEARS.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A copy of the data that all tests of damage use, since none changes it."""
    with pytest.MonkeyPatch.context() as patch:
        return copy_data(tmp_path_factory.mktemp("copy"), patch)


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_refused_with_what_was_expected_and_found_and_the_data_stay(
    tmp_path, monkeypatch, capsys, folder, kind
):
    content, name, message = DAMAGE[kind]
    monkeypatch.setenv("IAPT_DATA", str(folder))
    before = digest(folder)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert cli.main(["add", "--accept", str(tmp_path / name)]) == 2
    shown = capsys.readouterr().err
    assert name in shown and re.search(message, shown), shown
    assert digest(folder) == before


@pytest.mark.parametrize("path", ["pipe", "/dev/zero", "/proc/kmsg", "."])
def test_what_has_no_end_is_refused_at_once(tmp_path, path):
    """Also where the system calls it a file, as in `/proc`."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Refusal, match="expected a (file|publication of NHS England)"):
        read(tmp_path / path)


def test_a_file_that_is_too_large_is_refused_before_it_is_read(monkeypatch):
    monkeypatch.setattr(publications, "LIMIT", 1000)
    with pytest.raises(Refusal, match="at most 1,000 bytes"):
        read(AUGUST_2025)


@search(20)
@given(st.integers(0, len(SOUND) - 1))
def test_a_file_cut_off_anywhere_is_refused_or_doubted_or_lacks_nothing(tmp_path_factory, length):
    try:
        publication = read_bytes(tmp_path_factory.getbasetemp(), SOUND[:length])
    except Refusal:
        return
    assert publication.doubts or texts(publication) == FIGURES


@search(20)
@given(st.binary(max_size=300), st.sampled_from([b"", b"PK\x03\x04", SOUND[:400], SOUND[:20000]]))
def test_noise_is_refused_and_nothing_else_goes_wrong(tmp_path_factory, noise, start):
    try:
        read_bytes(tmp_path_factory.getbasetemp(), start + noise)
    except Refusal as refusal:
        assert "expected" in str(refusal) and "found" in str(refusal)


@search(8)
@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_and_columns_does_not_matter(tmp_path_factory, chance: random.Random):
    header, *rows = read_rows()
    order = chance.sample(range(len(header)), len(header))
    chance.shuffle(rows)
    shuffled = write_csv([[row[place] for place in order] for row in [header, *rows]])
    assert texts(read_bytes(tmp_path_factory.getbasetemp(), shuffled)) == FIGURES


@search(20)
@given(
    st.sampled_from(["M076", "M179", "M185", "M191", "M193", "M192", "M186", "M195"]),
    st.integers(-9000, 9000).filter(lambda step: abs(step) > 60),
)
def test_a_figure_that_its_rates_contradict_is_refused(tmp_path_factory, measure, step):
    old = next(row[9] for row in read_rows() if row[2] == "England" and row[7] == measure)
    new = f"{float(old) + step / 100:.1f}" if "." in old else str(int(old) + step)
    with pytest.raises(Refusal):
        read_bytes(tmp_path_factory.getbasetemp(), change(**{measure: new}))


@search(12)
@given(st.data())
def test_an_annual_report_with_one_other_cell_is_refused_or_differs_in_that_cell_alone(tmp_path_factory, draw):
    header, *rows = read_annual()
    row = draw.draw(st.sampled_from([row for row in rows if row[0] != "Provider" and row[3] == "Total"]))
    column = draw.draw(st.sampled_from([name for name in header if name in COLUMNS]))
    row[header.index(column)] = new = draw.draw(st.one_of(st.integers(0, 2_000_000).map(str), st.text(max_size=5)))
    try:
        changed = read_bytes(tmp_path_factory.getbasetemp(), write_csv([header, *rows]), "main-2024-25.csv")
    except Refusal as refusal:
        assert "row" in str(refusal) and "column" in str(refusal)
        return
    old = read(ANNUAL_2025).figures
    differing = {key for key in old | changed.figures if old.get(key) != changed.figures.get(key)}
    assert {key[-1] for key in differing} <= {COLUMNS[column]}
    assert all(str(changed.figures[key]) == new.strip() for key in differing if key in changed.figures)


COLUMNS = {
    "Count_ReferralsReceived": "referrals_received", "Count_FinishedCourseTreatment": "finished_course",
    "Count_NotAtCaseness": "not_at_caseness", "Count_Recovery": "recovered", "Count_Improvement": "reliably_improved",
    "Count_ReliableRecovery": "reliably_recovered", "Count_AtCaseness": "at_caseness",
}  # fmt: skip


def test_the_samples_are_in_the_form_of_the_annual_and_monthly_layouts():
    known = {layout.kind: layout for layout in layouts.load_layouts()}
    for path in MONTHS:
        header = next(csv.reader([unzip(path).decode().split("\n", 1)[0]]))
        assert not known["monthly"].lacking(header) and known["annual"].lacking(header)
    for path in ANNUAL:
        assert not known["annual"].lacking(read_annual(path)[0])
