"""Publications are read as they are published, and refused where they are damaged."""

import codecs
import datetime
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from publishing import (
    ANNUAL,
    AUGUST_2025,
    JULY_2022,
    MARCH_2021,
    MONTHS,
    SAMPLES,
    annual,
    change,
    copy_data,
    digest,
    read_rows,
    workbook,
    write_csv,
    zip_files,
)  # fmt: skip

from iapt import cli
from iapt.data import publications
from iapt.data.publications import Refusal, read

SOUND = AUGUST_2025.read_bytes()
FIGURES = {"referrals_received": "132762", "started_treatment": "88146", "finished_course": "51569", "at_caseness": "49181", "recovered": "24499", "reliably_improved": "34847", "reliably_recovered": "23084", "recovery_rate": "49.8", "waited_under_6_weeks_rate": "89.7", "waited_under_18_weeks_rate": "98.9", "waiting_for_treatment": "108077"}  # fmt: skip


def read_bytes(folder, content: bytes, name: str = "file.csv") -> publications.Publication:
    path = folder / name
    path.write_bytes(content)
    return read(path)


def texts(publication) -> dict[str, str]:
    return {measure: str(value) for measure, value in publication.figures.items()}


def test_a_sample_gives_its_month_figures_and_suppressed_values():
    publication = read(AUGUST_2025)
    assert (publication.frequency, publication.period, publication.layout.kind) == ("month", "2025-08", "monthly")
    assert texts(publication) == FIGURES
    assert publication.hidden == sum(row[9] == "*" for row in read_rows()) > 0
    assert not publication.doubts and not publication.suppressed


@pytest.mark.parametrize("path", MONTHS)
def test_no_sample_is_doubtful_whatever_its_names_and_dates(path):
    publication = read(path)
    assert publication.period == MONTHS[path]
    assert len(publication.figures) == 11 and not publication.doubts


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
    "in a zip": (zip_files({"a/notes.txt": b"x", "a/month.csv": SOUND}), "file.zip"),
    "in a workbook": (workbook(("iapt-month ", read_rows())), "file.xlsx"),
    "in a workbook with dates and numbers": (
        workbook(
            ("Notes", [["Read me"]]),
            (
                "Data",
                [
                    read_rows()[0],
                    *(
                        [
                            datetime.datetime(2025, 8, 1),
                            datetime.date(2025, 8, 31),
                            *row[2:9],
                            float(row[9]) if row[9] != "*" else "*",
                        ]
                        for row in read_rows()[1:]
                    ),
                ],
            ),
        ),
        "file.xlsx",
    ),
    "in a workbook in a zip": (zip_files({"month.xlsx": workbook(("Data", read_rows()))}), "file.zip"),
    "under the wrong name": (zip_files({"month.csv": SOUND}), "file.csv"),
}


@pytest.mark.parametrize("form", AS_IT_COMES)
def test_the_figures_are_the_same_however_the_file_comes(tmp_path, form):
    publication = read_bytes(tmp_path, *AS_IT_COMES[form])
    assert {measure: float(value) for measure, value in publication.figures.items()} == {
        measure: float(value) for measure, value in FIGURES.items()
    }
    assert publication.period == "2025-08" and not publication.doubts


@pytest.mark.parametrize("mark", ["*", "-", "NULL", "N/A", " * "])
def test_a_suppressed_value_is_missing_and_counted_and_never_zero(tmp_path, mark):
    publication = read_bytes(tmp_path, change(M031=mark, M179=mark))
    assert publication.suppressed == ("started_treatment", "at_caseness")
    assert not {"started_treatment", "at_caseness"} & publication.figures.keys()
    assert publication.hidden == read(AUGUST_2025).hidden + (0 if mark == " * " else 2)


def test_measures_are_joined_by_id_and_a_name_out_of_its_months_is_doubted(tmp_path):
    renamed = SOUND.replace(b"Count_AccessingServices", b"Count_FirstAssessment")
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
    assert texts(publication) == {
        measure: value for measure, value in FIGURES.items() if measure != "waiting_for_treatment"
    }
    assert ["M038" in doubt for doubt in publication.doubts] == [True]


# ---------------------------------------------------------------- annual reports


def test_the_annual_report_is_found_among_the_other_files_of_its_zip(tmp_path):
    others = write_csv(
        [
            ["OrgType", "OrgCode", "OrgName", "VariableType", "VariableA", "VariableB", "Measure", "EffectSize"],
            ["England", "", "", "Total", "", "", "x", "1"],
        ]
    )
    publication = read_bytes(
        tmp_path,
        zip_files({"effect-size-2024-25.csv": others, "psych-ther-ann-rep-csv-2024-25-main2.csv": annual()}),
        "annual.zip",
    )
    assert (publication.frequency, publication.period) == ("year", "2024-25")
    assert texts(publication) == {
        "referrals_received": "1813432", "started_treatment": "1196000", "finished_course": "670419", "at_caseness": "634248",
        "recovered": "321061", "reliably_improved": "452284", "reliably_recovered": "301815", "recovery_rate": "50.6",
    }  # fmt: skip
    assert publication.hidden == 10 and not publication.doubts


@pytest.mark.parametrize(
    ("old", "new", "year", "doubtful"),
    [
        ("AccessingServices", "FirstTreatment", "2021-22", 0),
        ("AccessingServices", "FirstTreatment", "2024-25", 1),
        ("Count_AccessingServices", "CountFirstTreatment", "2017-18", 0),
    ],
)
def test_older_names_of_columns_are_known_with_their_years(tmp_path, old, new, year, doubtful):
    content = annual().replace(old.encode(), new.encode())
    publication = read_bytes(
        tmp_path, content.replace(b"Count_", b"Count") if "_" in old else content, f"main-{year}.csv"
    )
    assert publication.figures["started_treatment"] == 1196000
    assert publication.period == year and len(publication.doubts) == doubtful


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


DAMAGE = {
    "no file": (None, "x.csv", "expected a file that can be read; found No such file"),
    "an empty file": (b"", "x.csv", "found an empty file"),
    "blank lines": (b"\n\n \n", "x.csv", "found an empty file"),
    "a web page": (b"<!DOCTYPE html><html>404</html>", "x.csv", "expected a CSV.*found a web page"),
    "a web page after a BOM": (codecs.BOM_UTF8 + b"\r\n <html>", "x.csv", "found a web page"),
    "JSON": (b'{"error": 500}', "x.csv", "found JSON"),
    "a PDF": (b"%PDF-1.7 ...", "x.csv", "found a PDF"),
    "an old Excel file": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "x.xls", "found an Excel file in the old format"),
    "a rar": (b"Rar!\x1a\x07\x00", "x.rar", "found a .rar"),
    "UTF-16": (SOUND.decode().encode("utf-16"), "x.csv", "found text in UTF-16"),
    "noise": (bytes(range(128, 256)) * 8, "x.csv", "row 1: expected column names; found bytes"),
    "zero bytes": (b"GROUP_TYPE\0,x\n", "x.csv", "row 1: expected column names"),
    "another programme": (
        b"REPORTING_PERIOD_START,REPORTING_PERIOD_END,BREAKDOWN,PRIMARY_LEVEL,MEASURE_ID,MEASURE_NAME,MEASURE_VALUE\n",
        "x.csv",
        "row 1: expected the columns of the monthly publication, among them GROUP_TYPE; found REPORTING",
    ),
    "another programme, same columns": (
        SOUND.replace(b",M0", b",MHS0").replace(b",M1", b",MHS1"),
        "x.csv",
        "column GROUP_TYPE: expected rows of England with MEASURE_ID M001.*found none",
    ),
    "a column too few": (write_csv(row[:9] for row in read_rows()), "x.csv", "among them MEASURE_VALUE_SUPPRESSED"),
    "column names alone": (SOUND.split(b"\n")[0] + b"\n", "x.csv", "expected rows; found column names alone"),
    "no England": (SOUND.replace(b",England,", b",Scotland,"), "x.csv", "expected rows of England"),
    "cut off in a row": (
        SOUND[: len(SOUND) * 2 // 3].rsplit(b",", 2)[0] + b"\n",
        "x.csv",
        r"expected 10 values in every row; found Row #\d+",
    ),
    "a value too many": (
        SOUND.replace(b",M001,", b",M001,x,", 1),
        "x.csv",
        "expected 10 values in every row; found Row #2",
    ),
    "an open quote": (SOUND.replace(b",all,", b',"all,', 1), "x.csv", "expected 10 values in every row"),
    "two months": (
        SOUND + b"\n".join(change(month="2025-07").split(b"\n")[1:]),
        "x.csv",
        r"row 653, column REPORTING_PERIOD_START: expected one month in the file, 2025-08-01; found 2025-07-01",
    ),
    "a quarter": (
        SOUND.replace(b"2025-08-31", b"2025-10-31"),
        "x.csv",
        "the first and last day of one month; found 2025-08-01 to 2025-10-31",
    ),
    "no date": (
        SOUND.replace(b"2025-08-01", b"August 2025"),
        "x.csv",
        "row 2, column REPORTING_PERIOD_START: expected a date such as .*found 'August 2025'",
    ),
    "a day that does not exist": (
        SOUND.replace(b"2025-08-31", b"2025-08-32"),
        "x.csv",
        "column REPORTING_PERIOD_END: expected a date",
    ),
    "words for a count": (
        change(M001="many"),
        "x.csv",
        "row 2, column MEASURE_VALUE_SUPPRESSED: expected a count for Count_ReferralsReceived.*found 'many'",
    ),
    "an empty value": (change(M001=""), "x.csv", "row 2, column MEASURE_VALUE_SUPPRESSED: expected a count.*found ''"),
    "a negative count": (change(M031="-88146"), "x.csv", "expected a count.*found '-88146'"),
    "half a referral": (change(M031="88146.5"), "x.csv", "expected a count.*found '88146.5'"),
    "a count with separators": (change(M031="88,146"), "x.csv", "expected a count.*found '88,146'"),
    "a count with underscores": (change(M031="88_146"), "x.csv", "expected a count.*found '88_146'"),
    "a power of ten": (change(M031="9e4"), "x.csv", "expected a count.*found '9e4'"),
    "not a number": (change(M031="NaN"), "x.csv", "expected a count.*found 'NaN'"),
    "a share above 100": (change(M055="989"), "x.csv", "expected a percentage up to 100.*found '989'"),
    "a row twice": (
        SOUND + SOUND.split(b"\n")[1] + b"\n",
        "x.csv",
        "row 653, .*expected one row of England for M001; found a second one, after x.csv, row 2",
    ),
    "a rate that its counts do not give": (
        change(M192="51.8"),
        "x.csv",
        "expected recovery_rate 49.81 per cent, as recovered 24499 over at_caseness 49181 gives; found 51.8",
    ),
    "counts that their rate does not give": (
        change(M185="34547"),
        "x.csv",
        "expected reliable_improvement_rate 66.99 per cent",
    ),
    "a part above its whole": (
        change(M191="50000", M192="*"),
        "x.csv",
        "expected recovered within at_caseness, which it is part of; found 50000 of 49181",
    ),
    "fewer waiting 18 weeks than 6": (
        change(M053="99.9"),
        "x.csv",
        "expected waited_under_6_weeks_rate within waited_under_18_weeks_rate",
    ),
    "more not at caseness than finished": (
        change(M179="60000", M192="*", M191="*", M193="*", M195="*"),
        "x.csv",
        "expected fewer not at caseness",
    ),
    "providers above England": (
        change(group="Provider", M001="500000"),
        "x.csv",
        "row 2, .*expected at least what the 2 providers add up to, 1000000; found 132762",
    ),
    "suppressed values alone": (
        write_csv([*row[:9], row[9] if number == 0 else "*"] for number, row in enumerate(read_rows())),
        "x.csv",
        "expected figures for England; found suppressed values alone",
    ),
    "a cut-off zip": (zip_files({"month.csv": SOUND})[:5000], "x.zip", "expected an archive that can be opened"),
    "a zip with a changed byte": (
        zip_files({"month.csv": SOUND}).replace(b"month.csv", b"mouth.csv", 1),
        "x.zip",
        "expected an archive that can be opened",
    ),
    "a zip without a publication": (
        zip_files({"notes.csv": b"a,b\n1,2\n"}),
        "x.zip",
        "expected one CSV or workbook with the columns of a publication; found 0, looking at notes.csv",
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
    "an encrypted zip": (encrypt(), "x.zip", "expected an archive without password"),
    "a workbook with two such sheets": (
        workbook(("a", read_rows()[:300]), ("b", read_rows()[:300])),
        "x.xlsx",
        "expected one sheet.*found 2, looking at a, b",
    ),
    "a workbook of something else": (workbook(("Sheet1", [["a", "b"]])), "x.xlsx", "found 0, looking at Sheet1"),
    "a cut-off workbook": (workbook(("a", read_rows()))[:9000], "x.xlsx", "expected an archive that can be opened"),
    "an annual report without year": (annual(), "main.csv", "expected the financial year in the name of the file"),
    "an annual report of no year": (annual(), "main-2024-26.csv", "expected the financial year"),
    "an annual report with two totals": (
        annual() + annual().split(b"\n")[2] + b"\n",
        "main-2024-25.csv",
        "expected one row with OrgType England and VariableType Total; found 2",
    ),
    "an annual report without recovery": (
        annual().replace(b"Count_Recovery", b"Count_Other"),
        "main-2024-25.csv",
        "columns of the annual publication, among them Count_Recovery; found",
    ),
    "an annual rate that is wrong": (
        annual(Percentage_Recovery="60.6"),
        "main-2024-25.csv",
        "expected recovery_rate 50.62",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_refused_with_what_was_expected_and_found_and_the_data_stay(tmp_path, monkeypatch, capsys, kind):
    content, name, message = DAMAGE[kind]
    folder = copy_data(tmp_path, monkeypatch)
    before = digest(folder)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert cli.main(["add", "--accept", str(tmp_path / name)]) == 2
    shown = capsys.readouterr().err
    assert name in shown and re.search(message, shown), shown
    assert digest(folder) == before


def test_a_file_that_is_too_large_is_refused_before_it_is_read(monkeypatch):
    monkeypatch.setattr(publications, "LIMIT", 1000)
    with pytest.raises(Refusal, match="at most 1,000 bytes"):
        read(AUGUST_2025)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(SOUND) - 1))
def test_a_file_cut_off_anywhere_is_refused_or_doubted_or_lacks_nothing(tmp_path_factory, length):
    try:
        publication = read_bytes(tmp_path_factory.getbasetemp(), SOUND[:length])
    except Refusal:
        return
    assert publication.doubts or texts(publication) == FIGURES


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", b"PK\x03\x04", SOUND[:400], SOUND[:20000]]))
def test_noise_is_refused_and_nothing_else_goes_wrong(tmp_path_factory, noise, start):
    try:
        read_bytes(tmp_path_factory.getbasetemp(), start + noise)
    except Refusal as refusal:
        assert "expected" in str(refusal) and "found" in str(refusal)


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_and_columns_does_not_matter(tmp_path_factory, chance: random.Random):
    header, *rows = read_rows()
    order = chance.sample(range(len(header)), len(header))
    chance.shuffle(rows)
    shuffled = write_csv([[row[place] for place in order] for row in [header, *rows]])
    assert texts(read_bytes(tmp_path_factory.getbasetemp(), shuffled)) == FIGURES


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["M076", "M179", "M185", "M191", "M193", "M192", "M186", "M195"]),
    st.integers(-9000, 9000).filter(lambda step: abs(step) > 60),
)
def test_a_figure_that_its_rates_contradict_is_refused(tmp_path_factory, measure, step):
    old = next(row[9] for row in read_rows() if row[2] == "England" and row[7] == measure)
    new = f"{float(old) + step / 100:.1f}" if "." in old else str(int(old) + step)
    with pytest.raises(Refusal):
        read_bytes(tmp_path_factory.getbasetemp(), change(**{measure: new}))


def test_the_samples_are_in_the_form_of_the_annual_and_monthly_layouts():
    layouts = {layout.kind: layout for layout in publications.load_layouts()}
    assert set(layouts["annual"].columns(list(ANNUAL)).values()) < set(ANNUAL)
    assert all(
        layouts["monthly"].columns(read_rows(path)[0])["value"].startswith("MEASURE_VALUE")
        for path in SAMPLES.glob("*.csv")
    )
