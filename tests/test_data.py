"""The tables: bad rows, vintages, the choice among sources, sums, and checks against independent arithmetic."""

import csv
import os
import re
from collections import Counter
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from publishing import read_table, search

from iapt import cli, data
from iapt.data import periods
from iapt.paths import ROOT

ROWS, TARGETS = read_table("england"), read_table("targets")
CARDS = {row["id"]: row for row in read_table("sources")}
CODEBOOK = {row["measure"]: row for row in read_table("measures")}
MEASURES = list(dict.fromkeys(row["measure"] for row in ROWS))
UNSUMMED = [measure for measure in MEASURES if CODEBOOK[measure]["kind"] in ("rate", "stock", "average")]
MONTHLY = {card for card in CARDS if re.fullmatch(r"nhs-monthly-(activity|20\d\d-\d\d)", card)}
"""The sources of the months from January 2021 on."""
OUTCOMES = [measure for measure in MEASURES if CODEBOOK[measure]["topic"] in ("access", "outcomes")]


def months_of(period: pd.Period) -> pd.PeriodIndex:
    return pd.period_range(period.asfreq("M", "start"), period.asfreq("M", "end"))


def year(text: str) -> pd.Period:
    return periods.parse(text, "year")


def quarter(text: str) -> pd.Period:
    return periods.parse(text, "quarter")


def month(text: str) -> pd.Period:
    return periods.parse(text, "month")


# ---------------------------------------------------------------- bad rows

GOOD = {
    "frequency": "month", "period": "2012-01", "measure": "started_treatment", "value": "100000",
    "source": "nhs-monthly-activity",
}  # fmt: skip
BAD_FIGURES = {
    "an unknown measure": ({"measure": "started_treatmnt"}, "measure", "unknown measure 'started_treatmnt'; did you mean started_treatment?"),
    "a measure like no other": ({"measure": "zzz"}, "measure", "unknown measure 'zzz'; add it to measures.csv first"),
    "an unknown source": ({"source": "nhs-monthly-activty"}, "source", "unknown source 'nhs-monthly-activty'; did you mean nhs-monthly-activity?"),
    "an unknown frequency": ({"frequency": "week"}, "frequency", "'week' is not one of year, quarter, month"),
    "no period at all": ({"period": "spring"}, "period", "'spring' does not have the form"),
    "a month that does not exist": ({"period": "2012-13"}, "period", "'2012-13' is not a month; write it as 2018-10"),
    "a quarter where a month belongs": ({"period": "2012-13 Q1"}, "period", "'2012-13 Q1' is not a month"),
    "a month where a year belongs": ({"frequency": "year", "period": "2012-01"}, "period", "'2012-01' is not a year; write it as 2018-19"),
    "a year where a quarter belongs": ({"frequency": "quarter", "period": "2012-13"}, "period", "'2012-13' is not a quarter; write it as 2018-19 Q3"),
    "a negative count": ({"value": "-5"}, "value", "-5 is below 0"),
    "a rate above 100": ({"measure": "recovery_rate", "value": "100.1"}, "value", "100.1 per cent is above 100"),
    "text in a number": ({"value": "100,000"}, "value", "'100,000' is not a number"),
    "a suppressed value": ({"value": "*"}, "value", "'*' is not a number"),
    "no number": ({"value": "nan"}, "value", "'nan' is not a number"),
    "other digits": ({"value": "١٠٠"}, "value", "is not a number"),
    "an empty value": ({"value": ""}, "value", "is empty; a value is required"),
    "a fraction for a count": ({"value": "100000.5"}, "value", "100000.5 is not a whole number; started_treatment is a count"),
    "a value that no count reaches": ({"value": "9" * 400}, "value", "is above 100000000"),
    "an average that no wait reaches": ({"measure": "mean_wait_started", "value": "1001"}, "value", "1001 is too large for mean_wait_started"),
    "a month before there were figures": ({"period": "0000-01"}, "period", "0000-01 is not between 2008 and 2099"),
    "a month of the far future": ({"period": "9998-01"}, "period", "9998-01 is not between 2008 and 2099"),
    "a month that has not ended": ({"period": f"{date.today():%Y-%m}"}, "period", "ends after nhs-monthly-activity was published"),
    "a year later than its source": ({"frequency": "year", "period": "2022-23", "source": "hansard-2015-06-11"}, "period", "2022-23 ends after hansard-2015-06-11 was published, 2015-06-11"),
    "a unit of rounding that is no number": ({"rounded_to": "ten"}, "rounded_to", "'ten' is not a whole number"),
    "a unit of rounding of nothing": ({"rounded_to": "0"}, "rounded_to", "0 is below 1"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD_FIGURES)
def test_a_bad_figure_is_named_by_file_row_and_column(tables, fault):
    change, column, message = BAD_FIGURES[fault]
    row = tables.append("england", **(GOOD | change))
    (problem,) = data.check()
    assert str(problem).startswith(f"england.csv, row {row}, column {column}: ") and message in str(problem)


def test_a_good_row_is_accepted(tables):
    tables.append("england", **GOOD)
    assert data.check() == []


def test_a_table_saved_with_a_byte_order_mark_or_other_ends_of_line_is_read(tables):
    path = tables.folder / "england.csv"
    text = path.read_text(encoding="utf-8")
    for mark, ending in (("\ufeff", "\n"), ("", "\r\n"), ("\ufeff", "\r")):
        path.write_text(mark + text.replace("\n", ending), encoding="utf-8", newline="")
        assert data.check() == []


@pytest.mark.parametrize("name, number", [("targets", "access-2024"), ("need", "adults_with_cmd_nhs_england"), ("sources", data.PAGE), ("places", data.ENGLAND)])
def test_a_row_on_which_pages_rely_can_be_neither_renamed_nor_removed(tables, name, number):
    key = "area" if name == "places" else "id"
    tables.change(name, {key: "E99000001"}, **{key: number})
    assert data.Problem(f"{name}.csv", 1, key, f"lacks {number}, on which pages rely") in data.check()


def test_a_repeated_figure_names_the_row_it_repeats(tables):
    first = tables.read("england")[4]
    row = tables.append("england", **first)
    (problem,) = data.check()
    assert (problem.file, problem.row) == ("england.csv", row) and problem.message.startswith("repeats row 6 (")


BAD_ROWS = {
    "a source without a day": ("sources", {"published": "", "lag_days": ""}, {"id": "hansard-2015-06-11"}, "published"),
    "a source with a day and a lag": ("sources", {"lag_days": "75"}, {"id": "hansard-2015-06-11"}, "published"),
    "a source of the future": ("sources", {"published": "2999-01-01"}, {"id": "nuffield-trust-2022"}, "published"),
    "a source of long ago": ("sources", {"published": "1600-01-01"}, {"id": "nuffield-trust-2022"}, "published"),
    "a target of 0": ("targets", {"value": "0"}, {"id": "access-2024"}, "value"),
    "two places of one name": ("places", {"name": "Devon"}, {"area": "QSL"}, "name"),
    "a succession on another day": ("successions", {"day": "2026-05-01"}, {"predecessor": "QHG"}, "day"),
    "a rate of a rate": ("measures", {"numerator": "recovery_rate"}, {"measure": "reliable_recovery_rate"}, "numerator"),
    "a difference of a difference": ("measures", {"numerator": "eligible_for_recovery"}, {"measure": "eligible_for_recovery"}, "numerator"),
    "a difference of one count": ("measures", {"denominator": ""}, {"measure": "eligible_for_recovery"}, "numerator"),
    "a published rate of a group that is not held": ("published_rates", {"group": "81 to 90"}, {"dimension": "age_group"}, "group"),
    "a published count among rates": ("published_rates", {"measure": "recovered"}, {"dimension": "age_group"}, "measure"),
    "a share above 1": ("towns", {"share": "1.01"}, {"code": "E08000035"}, "share"),
    "a partnership in a year that does not exist": ("partnerships", {"year": "2017-19"}, {"partnership": "E54000037"}, "year"),
    "a day that does not exist": ("sources", {"published": "2015-02-30"}, {"id": "hansard-2015-06-11"}, "published"),
    "a lag that is no number": ("sources", {"lag_days": "soon"}, {"id": "nhs-annual-report"}, "lag_days"),
    "a standing that is not known": ("sources", {"standing": "hearsay"}, {"id": "nhs-annual-report"}, "standing"),
    "a target on an unknown measure": ("targets", {"measure": "started"}, {"id": "access-2024"}, "measure"),
    "a target of an unknown source": ("targets", {"source": "hearsay"}, {"id": "access-2024"}, "source"),
    "a target for a year that does not exist": ("targets", {"year": "2023-29"}, {"id": "access-2024"}, "year"),
    "a target known from a day that does not exist": ("targets", {"known_from": "2020-02-30"}, {"id": "access-2024"}, "known_from"),
    "a target that is no number": ("targets", {"value": "1.88m"}, {"id": "access-2024"}, "value"),
    "a break in a month that does not exist": ("breaks", {"period": "2013-14"}, {"period": "2013-04"}, "period"),
    "a measure of an unknown kind": ("measures", {"kind": "ratio"}, {"measure": "recovery_rate"}, "kind"),
    "a rate of an unknown numerator": ("measures", {"numerator": "recoverd"}, {"measure": "recovery_rate"}, "numerator"),
    "a rate of an unknown denominator": ("measures", {"denominator": "caseness"}, {"measure": "recovery_rate"}, "denominator"),
    "text that a spreadsheet would run": ("sources", {"note": "=HYPERLINK(A1)"}, {"id": "nhs-annual-report"}, "note"),
    "a claim that is no number": ("claims_2020", {"stated": "many"}, {"id": "referrals-2011-12"}, "stated"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD_ROWS)
def test_a_bad_row_in_any_table_is_named_by_file_row_and_column(tables, fault):
    name, new, match, column = BAD_ROWS[fault]
    row = tables.change(name, new, **match)
    problems = [problem for problem in data.check() if (problem.file, problem.row) == (f"{name}.csv", row)]
    assert column in [problem.column for problem in problems]


BAD_FILES = {
    "a missing file": (lambda path: path.unlink(), "is missing; expected at"),
    "an empty file": (lambda path: path.write_bytes(b""), "the columns are missing; expected frequency, period"),
    "a pipe": (lambda path: path.unlink() or os.mkfifo(path), "cannot be read as a CSV file in UTF-8: [Errno 22] not a file"),
    "a device without end": (lambda path: path.unlink() or path.symlink_to("/dev/zero"), "not a file"),
    "a folder": (lambda path: path.unlink() or path.mkdir(), "not a file"),
    "wrong columns": (lambda path: path.write_text(path.read_text("utf-8").replace("value", "number", 1), "utf-8"), "the columns are frequency, period, measure, number"),
    "columns in another order": (lambda path: path.write_text(path.read_text("utf-8").replace("frequency,period", "period,frequency", 1), "utf-8"), "expected frequency, period"),
    "too few values": (lambda path: path.write_text(path.read_text("utf-8") + "month,2012-01\n", "utf-8"), f"row {len(ROWS) + 2}: has 2 values; expected 7"),
    "too many values": (lambda path: path.write_text(path.read_text("utf-8") + "a,b,c,d,e,f,g,h\n", "utf-8"), f"row {len(ROWS) + 2}: has 8 values; expected 7"),
    "no rows": (lambda path: path.write_text(path.read_text("utf-8").split("\n")[0] + "\n", "utf-8"), "has no rows; expected at least one"),
    "not UTF-8": (lambda path: path.write_bytes(path.read_bytes() + "month,2012-01,x,1,,y,caf\u00e9\n".encode("latin-1")), "cannot be read as a CSV file in UTF-8"),
    "a quote that is not closed": (lambda path: path.write_text(path.read_text("utf-8") + 'month,2012-01,"x', "utf-8"), "cannot be read as a CSV file"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD_FILES)
def test_a_bad_file_is_named(tables, fault):
    damage, message = BAD_FILES[fault]
    damage(tables.folder / "england.csv")
    (problem,) = data.check()
    assert str(problem).startswith("england.csv") and message in str(problem)


def test_a_part_above_its_whole_is_named(tables):
    """Recovered is compared with those at caseness, and with those eligible: finished less not at caseness."""
    row = tables.change("england", {"value": "560000"}, frequency="year", period="2017-18", measure="recovered")
    place = ("england.csv", row, "value")
    assert data.check() == [
        data.Problem(*place, "recovered 560000 is above at_caseness 517393, which it is part of"),
        data.Problem(*place, "recovered 560000 is above eligible_for_recovery 517942, which it is part of"),
    ]


DAMAGE = {
    "a cut off pattern": ('"pattern": "^', '"pattern": "(^'),
    "a constraint that is no number": ('"minimum": 0', '"minimum": "none"'),
    "fields without names": ('"name": "frequency"', '"title": "frequency"'),
    "no key": ('"primaryKey"', '"key"'),
    "another name for a table": ('"name": "england"', '"name": "englnd"'),
    "a missing type": ('"type": "number"', '"kind": "number"'),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_description_is_named_without_a_traceback(tables, kind):
    path = tables.folder / "datapackage.json"
    old, new = DAMAGE[kind]
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
    problems = data.check()
    assert problems and problems[0].file == "datapackage.json"


def test_a_description_does_not_lead_out_of_its_folder(tables):
    (tables.folder / "england.csv").rename(tables.folder.parent / "others.csv")
    path = tables.folder / "datapackage.json"
    path.write_text(path.read_text("utf-8").replace('"path": "england.csv"', '"path": "../others.csv"'), "utf-8")
    (problem,) = data.check()
    assert str(problem) == f"others.csv: is missing; expected at {tables.folder / 'others.csv'}"


@pytest.mark.parametrize("text", [None, "{", "{}", "[]"], ids=["missing", "cut off", "without tables", "a list"])
def test_a_bad_description_is_named(tables, text):
    path = tables.folder / "datapackage.json"
    path.write_text(text, "utf-8") if text else path.unlink()
    (problem,) = data.check()
    assert problem.file == "datapackage.json"


def test_reports_are_refused_with_the_same_words_before_anything_is_made(tables, capsys, tmp_path):
    row = tables.append("england", **(GOOD | {"value": "-5"}))
    assert cli.main(["report", "access", "--out", str(tmp_path / "out")]) == 2
    heard = capsys.readouterr()
    assert f"england.csv, row {row}, column value: -5 is below 0" in heard.err and "iapt check" in heard.err
    assert "Traceback" not in heard.err
    assert not list((tmp_path / "out").glob("*/index.html"))


def test_all_problems_are_found_and_the_first_ten_shown(tables):
    for number in range(12):
        tables.append("england", **(GOOD | {"period": f"2012-{number + 1:02d}", "value": "-1"}))
    assert len(data.check()) == 12
    with pytest.raises(data.DataError) as caught:
        data.series("started_treatment", "year")
    assert "12 problems" in str(caught.value) and "and 2 more" in str(caught.value) and len(caught.value.problems) == 12


@pytest.mark.parametrize(
    "measure, frequency, as_of, message",
    [
        ("started_treatmnt", "year", None, "unknown measure 'started_treatmnt'; did you mean started_treatment?"),
        ("started_treatment", "years", None, "unknown frequency 'years'; did you mean year?"),
        ("started_treatment", "year", "1 May 2020", "expected a date such as 2020-05-01, or latest"),
        ("started_treatment", "year", "2020-02-30", "expected a date such as 2020-05-01, or latest"),
        ("started_treatment", "year", "2020-5-1", "expected a date such as 2020-05-01, or latest"),
    ],
)
def test_a_series_that_does_not_exist_is_refused_with_what_does(measure, frequency, as_of, message):
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        data.series(measure, frequency, as_of)


# ---------------------------------------------------------------- vintages


def known_from(row: dict[str, str]) -> date:
    """The first day on which a row of the table could be known, worked out without the package."""
    card = CARDS[row["source"]]
    if not card["lag_days"]:
        return date.fromisoformat(card["published"])
    first, rest = int(row["period"][:4]), row["period"][5:]
    if row["frequency"] == "month":
        end = date(first + (rest == "12"), int(rest) % 12 + 1, 1)
    else:
        ends = {"Q1": date(first, 7, 1), "Q2": date(first, 10, 1), "Q3": date(first + 1, 1, 1)}
        end = ends.get(rest[-2:], date(first + 1, 4, 1))
    return end - timedelta(days=1) + timedelta(days=int(card["lag_days"]))


DAYS = {(r["frequency"], r["period"], r["measure"], r["source"]): known_from(r) for r in ROWS}
MONTHLY_DAYS = {}
for (frequency_, period_, measure_, source_), day_ in DAYS.items():
    if frequency_ == "month":
        MONTHLY_DAYS[measure_, period_] = min(day_, MONTHLY_DAYS.get((measure_, period_), day_))


@search(4)
@given(st.dates(date(2012, 1, 1), date(2026, 12, 31)))
def test_no_figure_is_used_before_it_was_known(day):
    used = data.tidy(day.isoformat()).query("area == 'England'")
    there = set(zip(used["measure"], used["frequency"], used["period"]))
    for row in used.itertuples():
        if row.basis == "published":
            assert DAYS[row.frequency, row.period, row.measure, row.source] <= day
        elif row.basis == "sum of months":
            months = months_of(periods.parse(row.period, row.frequency))
            assert all(MONTHLY_DAYS[row.measure, str(month)] <= day for month in months)
        else:
            parts = (CODEBOOK[row.measure][part] for part in ("numerator", "denominator"))
            assert all((part, row.frequency, row.period) in there for part in parts)


@pytest.mark.parametrize(
    "day",
    ["2014-01-01", "2016-08-30", "2016-08-31", "2020-04-30", "2020-05-01", "2025-10-24", "2026-02-27", "2026-02-28"],
)
@pytest.mark.parametrize("measure", ["started_treatment", "finished_course"])
def test_a_target_is_known_from_its_day(measure, day):
    expected = {row["id"] for row in TARGETS if row["measure"] == measure and row["known_from"] <= day}
    assert set(data.targets(measure, day).reset_index()["id"]) == expected


def test_a_figure_is_known_on_its_day_and_not_the_day_before():
    """October 2019 from a source that appears 75 days after the end of the month."""
    assert data.series("finished_course", "month", "2020-01-14").index[-1] == month("2019-10")
    assert data.series("finished_course", "month", "2020-01-13").index[-1] < month("2019-10")


def test_later_vintages_only_add_periods():
    earlier, newest = (
        {(row.area, row.measure, row.frequency, row.period) for row in data.tidy(day).itertuples()}
        for day in ("2020-05-01", "latest")
    )
    assert earlier < newest


def test_a_planted_later_figure_reaches_the_newest_vintage_and_no_earlier_one(tables):
    then = data.series("started_treatment", "quarter", "2020-05-01")
    for frequency, period, value, source in (
        ("year", "2019-20", "99999999", "nhs-annual-report"),
        ("quarter", "2019-20 Q3", "88888888", "nuffield-trust-2024"),
    ):
        figure = {"frequency": frequency, "period": period, "value": value, "source": source}
        tables.append("england", measure="started_treatment", **figure)
    assert year("2019-20") not in data.series("started_treatment", "year", "2020-05-01").index
    pd.testing.assert_series_equal(data.series("started_treatment", "quarter", "2020-05-01"), then)
    assert data.series("started_treatment", "year")[year("2019-20")] == 99999999
    candidates = data.figures("started_treatment", "quarter")["why"]
    assert "88,888,888" in candidates[quarter("2019-20 Q3")]


@pytest.fixture
def spoilt(tables):
    """Every figure from after 1 May 2020 made absurd, and one absurd figure planted for a period long past."""
    rows = tables.read("england")
    for row in rows:
        if known_from(row) > date(2020, 5, 1):
            rate = CODEBOOK[row["measure"]]["kind"] == "rate"
            row["value"] = "99.9" if rate else str(9 * int(float(row["value"])) + 1)
    tables.write("england", rows)
    figure = {"frequency": "month", "period": "2019-10", "measure": "finished_course", "value": "7777777"}
    tables.append("england", **figure, source="nuffield-trust-2022")
    assert data.check() == []


def test_a_spoilt_future_changes_no_figure_of_an_earlier_vintage(spoilt, monkeypatch):
    asked = [(measure, frequency) for measure in OUTCOMES for frequency in periods.FREQUENCIES]
    then = [data.figures(*one, "2020-05-01") for one in asked]
    monkeypatch.delenv("IAPT_DATA")
    for one, table in zip(asked, then):
        pd.testing.assert_frame_equal(table, data.figures(*one, "2020-05-01"), obj=str(one))


def test_a_spoilt_future_does_reach_the_newest_vintage(spoilt):
    assert data.series("started_treatment", "year")[year("2023-24")] > 11_000_000
    assert "7,777,777" in data.figures("finished_course", "month")["why"][month("2019-10")]


# ---------------------------------------------------------------- the choice among sources


@pytest.mark.parametrize(
    "measure, frequency, period, value, basis, source",
    [
        ("referrals_received", "year", "2018-19", 1_603_643, "published", "nhs-annual-report"),
        ("referrals_received", "year", "2020-21", 1_456_446, "published", "nhs-annual-report"),
        ("referrals_received", "year", "2011-12", 887_452, "published", "qualitywatch-2020"),
        ("started_treatment", "year", "2018-19", 1_092_111, "sum of months", "fingertips-90592"),
        ("started_treatment", "year", "2020-21", 1_020_000, "published", "nhs-annual-report-pages"),
        ("started_treatment", "year", "2023-24", 1_257_718, "sum of months", "nhs-monthly-activity"),
        ("started_treatment", "year", "2012-13", 434_000, "published", "hscic-news-2014-01-15"),
        ("referrals_received", "month", "2020-09", 133_518, "published", "nhs-monthly-time-series-2021-03"),
    ],
)
def test_known_conflicts_between_sources_are_decided_as_stated(measure, frequency, period, value, basis, source):
    row = data.figures(measure, frequency).loc[periods.parse(period, frequency)]
    assert (row["value"], row["basis"], row["source"]) == (value, basis, source)


@pytest.mark.parametrize(
    "measure, frequency, period, other",
    [
        ("referrals_received", "year", "2018-19", "qualitywatch-2020 1,596,637"),
        ("started_treatment", "year", "2018-19", "qualitywatch-2020 1,092,291"),
        ("started_treatment", "year", "2020-21", "nuffield-trust-2022 1,025,210"),
        ("referrals_received", "month", "2020-09", "132,237"),
    ],
)
def test_what_was_not_used_is_named_with_its_value(measure, frequency, period, other):
    assert other in data.figures(measure, frequency)["why"][periods.parse(period, frequency)]


def test_official_comes_before_sums_before_rounded_before_statements_before_quotations(tables):
    """Starts of 2018/19 with a figure of each kind; each is taken away in turn."""
    tables.write("england", [row for row in ROWS if row["measure"] == "started_treatment"])
    figure = {"frequency": "year", "period": "2018-19", "measure": "started_treatment"}
    tables.append("england", **figure, value="1111111", source="nhs-annual-report")
    tables.append("england", **figure, value="1333333", source="written-answer-HL14334")
    ranked = [
        (1_111_111, "official statistics", {"source": "nhs-annual-report"}),
        (1_092_111, "sum of months", {"frequency": "month", "period": "2018-10"}),
        (1_090_000, "official, rounded", {"source": "nhs-annual-report-pages"}),
        (1_333_333, "statement", {"source": "written-answer-HL14334"}),
        (1_092_291, "secondary source", {"source": "qualitywatch-2020"}),
    ]
    for value, kind, match in ranked:
        row = data.figures("started_treatment", "year").loc[year("2018-19")]
        assert row["value"] == value and row["why"].startswith(kind)
        assert tables.drop("england", **(figure | match)) == 1


def test_a_source_left_out_is_not_used():
    alone = data.figures("referrals_received", "year", without=("qualitywatch-2020",))
    assert year("2011-12") not in alone.index
    assert "qualitywatch-2020" not in alone["why"][year("2018-19")]


def test_every_value_in_use_says_where_it_comes_from_and_why():
    everything = data.tidy()
    assert everything.notna().all(axis=None) and set(everything["unit"]) == {row["unit"] for row in CODEBOOK.values()}
    assert set(everything["basis"]) == {"published", "sum of months", "from counts"}
    for measure in OUTCOMES:
        assert data.figures(measure, "year").dropna(subset="value")["why"].notna().all(), measure


def test_asking_for_a_table_and_changing_it_changes_nothing_for_the_next():
    table, known = data.figures("started_treatment", "year"), data.known()
    table["value"], known["value"] = 0.0, 0.0
    assert data.series("started_treatment", "year")[year("2023-24")] == 1_257_718
    assert data.known()["value"].max() > 1_000_000


# ---------------------------------------------------------------- sums and gaps


def test_the_target_year_is_the_sum_of_its_published_months():
    figure = ("month", "started_treatment", "nhs-monthly-activity")
    held = [row for row in ROWS if (row["frequency"], row["measure"], row["source"]) == figure]
    monthly = [int(row["value"]) for row in held if "2023-04" <= row["period"] <= "2024-03"]
    assert len(monthly) == 12 and sum(monthly) == 1_257_718
    assert data.series("started_treatment", "year")[year("2023-24")] == sum(monthly)


def test_a_year_with_a_missing_month_is_not_summed(tables):
    tables.write("england", [row for row in ROWS if row["measure"] == "started_treatment"])
    assert tables.drop("england", frequency="month", period="2023-07", measure="started_treatment") == 1
    years, quarters = data.series("started_treatment", "year"), data.series("started_treatment", "quarter")
    assert np.isnan(years[year("2023-24")]) and years[year("2022-23")] == 1_216_341
    assert np.isnan(quarters[quarter("2023-24 Q2")]) and not np.isnan(quarters[quarter("2023-24 Q3")])


def test_a_revised_month_is_summed_once():
    """September 2020 was published twice: 132,237 and later 133,518."""
    parts = data.series("referrals_received", "month")["2020-07":"2020-09"]
    row = data.figures("referrals_received", "quarter", without=("fingertips-90747",)).loc[quarter("2020-21 Q2")]
    assert row["basis"] == "sum of months" and row["value"] == parts.sum()


@pytest.mark.parametrize("measure", UNSUMMED)
def test_rates_stocks_and_averages_are_never_summed(measure):
    for frequency in ("year", "quarter"):
        assert "sum of months" not in set(data.figures(measure, frequency)["basis"].dropna())


def test_every_sum_of_months_is_the_sum_of_all_its_months():
    checked = 0
    for measure in MEASURES:
        months = data.series(measure, "month")
        for frequency in ("year", "quarter"):
            table = data.figures(measure, frequency).query("basis == 'sum of months'")
            for period, value in table["value"].items():
                assert months.reindex(months_of(period)).sum(skipna=False) == value, (measure, period)
                checked += 1
    assert checked > 100


@pytest.mark.parametrize("frequency, code", periods.FREQUENCIES.items())
def test_a_series_has_every_period_once_and_its_own_name(frequency, code):
    for measure in MEASURES:
        y = data.series(measure, frequency)
        assert y.index.freqstr == code and y.name == measure
        if len(y):
            assert list(y.index) == list(pd.period_range(y.index[0], y.index[-1])), measure
            assert pd.notna(y.iloc[0]) and pd.notna(y.iloc[-1]), measure


def test_months_nobody_published_are_gaps():
    starts = data.series("started_treatment", "month")
    missing = [f"2020-{month:02d}" for month in (4, 5, 6, 7, 8, 10, 12)]
    assert starts[starts.isna()].index.astype(str).tolist() == missing
    quarters = data.series("started_treatment", "quarter")
    assert quarters[quarter("2020-21 Q1") : quarter("2020-21 Q3")].isna().all()


# ---------------------------------------------------------------- independent arithmetic


OFFICIAL = {
    "recovery_rate": ("recovered", ("finished_course", "not_at_caseness")),
    "reliable_recovery_rate": ("reliably_recovered", ("finished_course", "not_at_caseness")),
    "reliable_improvement_rate": ("reliably_improved", ("finished_course",)),
}
"""The official formulas: what is above the line, and what the denominator is, less what."""


def counts_of(year: str, dimension: str, group: str) -> dict[str, int]:
    """The counts that belong to a published rate."""
    if (dimension, group) == ("area", "E92000001"):
        held = [row for row in ROWS if (row["period"], row["source"]) == (year, "nhs-annual-report")]
    elif dimension == "area":
        held = [row for row in read_table("areas") if (row["year"], row["area"]) == (year, group)]
    else:
        key = (year, dimension, group)
        held = [row for row in read_table("groups") if (row["year"], row["dimension"], row["group"]) == key]
    return {row["measure"]: int(row["value"]) for row in held if "." not in row["value"]}


def test_the_official_formulas_give_every_published_rate_of_england_groups_and_areas():
    """To the printed decimal for England and its groups; within what rounding to 5 allows for areas."""
    keys = {(row["year"], row["dimension"], row["group"]) for row in read_table("published_rates")}
    places = {key: counts_of(*key) for key in keys}
    seen = dict.fromkeys(("england", "group", "area"), 0)
    for row in read_table("published_rates"):
        if row["measure"] not in OFFICIAL:
            continue
        held = places[row["year"], row["dimension"], row["group"]]
        top, (whole, *less) = OFFICIAL[row["measure"]]
        above, below = held[top], held[whole] - sum(held[name] for name in less)
        england = row["group"] == "E92000001"
        exact = england or row["dimension"] != "area"
        slack = 0 if exact else 2
        half = 0.0500001 if exact else 0.5000001
        low = 100 * (above - slack) / (below + slack * (1 + len(less))) - half
        high = 100 * (above + slack) / (below - slack * (1 + len(less))) + half
        assert low <= float(row["value"]) <= high, row
        seen["england" if england else "group" if exact else "area"] += row["measure"] == "recovery_rate"
    assert seen == {"england": 8, "group": 209, "area": 252}


def test_the_official_formula_gives_the_published_recovery_rate_of_every_month():
    """With the denominator published until 2019, and finished less not at caseness from 2021.

    Fingertips contradicts itself for March 2018: its counts give 53.1 where it prints 52.5.
    """
    held = {(r["period"], r["measure"], r["source"]): float(r["value"]) for r in ROWS if r["frequency"] == "month"}
    seen = Counter()
    for (period, measure, source), printed in held.items():
        if measure == "recovery_rate" and (source == "fingertips-90593" or source in MONTHLY):
            below = held.get((period, "eligible_for_recovery", source)) or (
                held[period, "finished_course", source] - held[period, "not_at_caseness", source]
            )
            rate = 100 * held[period, "recovered", source] / below
            assert (abs(rate - printed) <= 0.0501) == (period != "2018-03"), (period, source)
            seen[source in MONTHLY] += 1
    assert seen == {False: 75, True: 63}


def test_before_2017_18_the_official_formula_gives_the_rates_of_the_annual_reports():
    """45.0, 44.8, 46.3 and 49.3; and the denominator of 2014/15 is the one that HSCIC printed, 421,744."""
    annual = {(r["period"], r["measure"]): float(r["value"]) for r in ROWS if r["source"] == "nhs-annual-report-legacy"}
    years = [period for period, measure in annual if measure == "recovery_rate"]
    eligible = {period: annual[period, "finished_course"] - annual[period, "not_at_caseness"] for period in years}
    assert eligible["2014-15"] == 421_744 and 524_500 <= eligible["2016-17"] <= 525_500
    gaps = {p: 100 * annual[p, "recovered"] / below - annual[p, "recovery_rate"] for p, below in eligible.items()}
    assert len(gaps) == 4 and max(map(abs, gaps.values())) <= 0.0501


def test_waits_of_the_annual_reports():
    """The shares of those finishing that waited, by year, as NHS England prints them or as its counts give them."""
    annual = {(r["period"], r["measure"]): float(r["value"]) for r in ROWS if r["source"] == "nhs-annual-report"}
    years = [f"20{n}-{n + 1}" for n in range(17, 25)]
    share = lambda name: [round(100 * annual[y, name] / annual[y, "finished_course"], 1) for y in years]
    assert share("finished_waited_within_6_weeks") == [89.1, 89.4, 87.4, 90.0, 91.1, 89.3, 90.5, 91.6]
    assert share("finished_second_treatment_within_28_days") == [52.9, 49.8, 45.3, 50.2, 48.7, 42.7, 42.6, 40.1]
    assert share("finished_second_treatment_over_90_days") == [13.5, 16.2, 19.3, 17.7, 15.3, 22.3, 21.7, 23.7]


def test_bands_of_waits_add_up_to_those_who_waited():
    """In the annual reports up to 24 of those finishing have no wait; in the months every second treatment has one."""
    held = {(r["frequency"], r["period"], r["source"], r["measure"]): float(r["value"]) for r in ROWS}
    checked = 0
    for (*place, measure), whole in held.items():
        if measure == "finished_course" and place[2] == "nhs-annual-report":
            for wait in ("finished_waited", "finished_second_treatment"):
                bands = ("within_28_days", "29_to_56_days", "57_to_90_days", "over_90_days")
                assert 0 <= whole - sum(held[*place, f"{wait}_{band}"] for band in bands) <= 24, place
                checked += 1
        if measure == "second_treatments" and (*place, "second_treatment_within_28_days") in held:
            bands = ("within_28_days", "over_28_days")
            assert whole == sum(held[*place, f"second_treatment_{band}"] for band in bands), place
            checked += 1
        if measure == "waiting_for_treatment" and (*place, "waiting_over_18_weeks") in held:
            assert whole == held[*place, "waiting_up_to_18_weeks"] + held[*place, "waiting_over_18_weeks"], place
            checked += 1
    assert checked == 16 + 24 + 63


def test_ends_by_reason_add_up_to_all_ends():
    monthly = [row for row in ROWS if row["source"] in MONTHLY and "." not in row["value"]]
    held = {(row["period"], row["measure"]): int(row["value"]) for row in monthly}
    stages = ("ended_not_seen", "ended_seen_not_treated", "ended_treated_once", "ended_before_treatment")
    ends = [measure for measure, row in CODEBOOK.items() if (row["topic"], row["kind"]) == ("ends", "flow")]
    reasons = set(ends) - {*stages, "ended_referrals"}
    months = {period for period, measure in held if measure == "ended_referrals"}
    assert len(months) == 63 and len(reasons) == 16
    for period in months:
        assert sum(held[period, reason] for reason in reasons) == held[period, "ended_referrals"], period


def test_public_statements_on_waits_are_reproduced_on_their_own_bases():
    """Each statement with what the data give on the basis that it names."""
    with (ROOT / "tests" / "samples" / "statements_waiting.csv").open(encoding="utf-8", newline="") as handle:
        said = {(row["period"], row["what"]): float(row["value"]) for row in csv.DictReader(handle) if row["value"]}
    annual = {(r["period"], r["measure"]): float(r["value"]) for r in ROWS if r["source"] == "nhs-annual-report"}
    of_finishing = lambda y, name: 100 * annual[y, name] / annual[y, "finished_course"]
    over_28 = 100 - of_finishing("2018-19", "finished_second_treatment_within_28_days")
    over_90 = of_finishing("2018-19", "finished_second_treatment_over_90_days")
    assert abs(over_28 - said["2018-19", "second treatment after over 28 days"]) < 0.5
    assert round(100 / over_90) == round(100 / said["2018-19", "second treatment after over 90 days"]) == 6
    months = data.series("second_treatment_over_90_days", "month")["2021-12":"2022-11"]
    assert months.sum() == 154_413
    assert round(months.sum(), -3) == said["year to November 2022", "second treatment after over 90 days"]
    quarters = data.series("started_treatment", "quarter")[quarter("2008-09 Q3") : quarter("2010-11 Q3")]
    assert quarters.sum() == 492_142
    assert abs(quarters.sum() / said["October 2008 to December 2010", "started treatment"] - 1) < 0.003
    over_56 = sum(annual["2018-19", f"finished_second_treatment_{band}"] for band in ("57_to_90_days", "over_90_days"))
    assert over_56 == 168_462 != said["2018-19", "waited over eight weeks for a second appointment"]


def test_a_month_agrees_with_the_page_on_which_it_was_published():
    """NHS Talking Therapies monthly statistics, performance April 2025, introduction: the figures in its sentences."""
    printed = {
        "referrals_received": 133_908,
        "started_treatment": 98_889,
        "finished_course": 57_359,
        "eligible_for_recovery": 54_672,
        "reliably_recovered": 26_457,
        "waited_under_6_weeks_rate": 90.3,
        "waited_under_18_weeks_rate": 98.5,
    }
    assert {measure: data.series(measure, "month")["2025-04"] for measure in printed} == printed


def test_four_quarters_of_referrals_add_up_to_what_the_page_said():
    quarters = data.series("referrals_received", "quarter", "2020-05-01")[quarter("2018-19 Q1") : quarter("2018-19 Q4")]
    assert len(quarters) == 4 and quarters.sum() == 1_596_637


@pytest.mark.parametrize(
    "measure, tolerance",
    [("referrals_received", 0.036), ("finished_course", 0.01), ("recovered", 0.015)],
)
def test_annual_reports_and_sums_of_months_stay_close(measure, tolerance):
    table = data.figures(measure, "year").query("basis == 'published' and source == 'nhs-annual-report'")
    months = data.series(measure, "month")
    sums = pd.Series({p: months.reindex(months_of(p)).sum(skipna=False) for p in table.index}).dropna()
    assert len(sums) >= 4
    assert (np.abs(sums / table["value"][sums.index].astype(float) - 1) < tolerance).all()


def test_every_break_that_cuts_a_series_lies_at_the_start_of_a_financial_year():
    cuts = data.breaks("started_treatment", "month").query("cut == 'yes'")["period"]
    assert cuts.astype(str).tolist() == ["2012-04", "2013-04"]
    assert data.breaks("started_treatment", "year")["period"].iloc[0] == year("2012-13")
    assert "outcomes" not in set(data.breaks("started_treatment", "year")["affects"])
    assert "outcomes" in set(data.breaks("recovery_rate", "year")["affects"])


# ---------------------------------------------------------------- results that are kept


def test_what_is_remembered_is_computed_once_and_handed_out_unspoilt(tables):
    asked = []

    @data.remember
    def ask(name: str) -> tuple[pd.DataFrame, dict[str, pd.Series]]:
        asked.append(name)
        table = pd.DataFrame({"value": [1.0, 2.0]})
        return table, {"value": table["value"]}

    for _ in range(2):
        table, parts = ask("a")
        assert table["value"].tolist() == [1.0, 2.0] and parts["value"].tolist() == [1.0, 2.0]
        table.loc[0, "value"] = 9.0
        del table["value"]
        parts["value"].iloc[1] = 9.0
        parts.clear()
    assert asked == ["a"]


def test_what_is_remembered_goes_with_the_tables(tables, monkeypatch):
    asked = []
    ask = data.remember(lambda: asked.append(1) or len(asked))
    assert (ask(), ask()) == (1, 1)
    data.forget()
    assert ask() == 2
    monkeypatch.delenv("IAPT_DATA")
    assert ask() == 3, "the tables of another folder"


def test_an_error_is_not_remembered(tables):
    asked = []

    @data.remember
    def ask() -> int:
        asked.append(1)
        if len(asked) == 1:
            raise ValueError
        return len(asked)

    with pytest.raises(ValueError):
        ask()
    assert ask() == 2
