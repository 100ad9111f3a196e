"""The tables: bad rows, vintages, the choice among sources, sums, and checks against independent arithmetic."""

import csv
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from conftest import PLOTS, draw
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iapt import cli, data
from iapt.answers import access, claims
from iapt.data import periods
from iapt.paths import ROOT

with (ROOT / "data" / "england.csv").open(encoding="utf-8", newline="") as handle:
    ROWS = list(csv.DictReader(handle))
with (ROOT / "data" / "sources.csv").open(encoding="utf-8", newline="") as handle:
    CARDS = {row["id"]: row for row in csv.DictReader(handle)}
with (ROOT / "data" / "targets.csv").open(encoding="utf-8", newline="") as handle:
    TARGETS = list(csv.DictReader(handle))
MEASURES = list(dict.fromkeys(row["measure"] for row in ROWS))
RATES = [measure for measure in MEASURES if measure.endswith("_rate")]


def year(text: str) -> pd.Period:
    return periods.parse(text, "year")


def quarter(text: str) -> pd.Period:
    return periods.parse(text, "quarter")


def month(text: str) -> pd.Period:
    return periods.parse(text, "month")


# ---------------------------------------------------------------- bad rows

GOOD = {
    "frequency": "month",
    "period": "2031-01",
    "measure": "started_treatment",
    "value": "100000",
    "source": "nhs-monthly-activity",
}
BAD_FIGURES = {
    "an unknown measure": ({"measure": "started_treatmnt"}, "measure", "unknown measure 'started_treatmnt'; did you mean started_treatment?"),
    "a measure like no other": ({"measure": "zzz"}, "measure", "unknown measure 'zzz'; add it to measures.csv first"),
    "an unknown source": ({"source": "nhs-monthly-activty"}, "source", "unknown source 'nhs-monthly-activty'; did you mean nhs-monthly-activity?"),
    "an unknown frequency": ({"frequency": "week"}, "frequency", "'week' is not one of year, quarter, month"),
    "no period at all": ({"period": "spring"}, "period", "'spring' does not have the form"),
    "a month that does not exist": ({"period": "2031-13"}, "period", "'2031-13' is not a month; write it as 2018-10"),
    "a quarter where a month belongs": ({"period": "2031-32 Q1"}, "period", "'2031-32 Q1' is not a month"),
    "a month where a year belongs": ({"frequency": "year", "period": "2031-01"}, "period", "'2031-01' is not a year; write it as 2018-19"),
    "a year where a quarter belongs": ({"frequency": "quarter", "period": "2031-32"}, "period", "'2031-32' is not a quarter; write it as 2018-19 Q3"),
    "a negative count": ({"value": "-5"}, "value", "-5 is below 0"),
    "a rate above 100": ({"measure": "recovery_rate", "value": "100.1"}, "value", "100.1 per cent is above 100"),
    "text in a number": ({"value": "100,000"}, "value", "'100,000' is not a number"),
    "a suppressed value": ({"value": "*"}, "value", "'*' is not a number"),
    "no number": ({"value": "nan"}, "value", "'nan' is not a number"),
    "other digits": ({"value": "١٠٠"}, "value", "is not a number"),
    "an empty value": ({"value": ""}, "value", "is empty; a value is required"),
    "a fraction for a count": ({"value": "100000.5"}, "value", "100000.5 is not a whole number; started_treatment is a count"),
    "a unit of rounding that is no number": ({"rounded_to": "ten"}, "rounded_to", "'ten' is not a whole number"),
    "a unit of rounding of nothing": ({"rounded_to": "0"}, "rounded_to", "0 is below 1"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD_FIGURES)
def test_a_bad_figure_is_named_by_file_row_and_column(tables, capsys, fault):
    change, column, message = BAD_FIGURES[fault]
    row = tables.append("england", **(GOOD | change))
    assert cli.main(["check"]) == 1
    said, heard = capsys.readouterr()
    assert said == "" and heard.count("\n") == 1
    assert heard.startswith(f"england.csv, row {row}, column {column}: ") and message in heard


def test_a_good_row_is_accepted(tables, capsys):
    tables.append("england", **GOOD)
    assert cli.main(["check"]) == 0
    assert capsys.readouterr().err == ""


def test_a_repeated_figure_names_the_row_it_repeats(tables):
    first = tables.read("england")[4]
    row = tables.append("england", **first)
    (problem,) = data.check()
    assert (problem.file, problem.row) == ("england.csv", row) and problem.message.startswith("repeats row 6 (")


BAD_ROWS = {
    "a source without a day": ("sources", {"published": "", "lag_days": ""}, {"id": "hansard-2015-06-11"}, "published"),
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
    "wrong columns": (lambda path: path.write_text(path.read_text("utf-8").replace("value", "number", 1), "utf-8"), "the columns are frequency, period, measure, number"),
    "columns in another order": (lambda path: path.write_text(path.read_text("utf-8").replace("frequency,period", "period,frequency", 1), "utf-8"), "expected frequency, period"),
    "too few values": (lambda path: path.write_text(path.read_text("utf-8") + "month,2031-01\n", "utf-8"), f"row {len(ROWS) + 2}: has 2 values; expected 7"),
    "too many values": (lambda path: path.write_text(path.read_text("utf-8") + "a,b,c,d,e,f,g,h\n", "utf-8"), f"row {len(ROWS) + 2}: has 8 values; expected 7"),
    "not UTF-8": (lambda path: path.write_bytes(path.read_bytes() + "month,2031-01,x,1,,y,caf\u00e9\n".encode("latin-1")), "cannot be read as a CSV file in UTF-8"),
    "a quote that is not closed": (lambda path: path.write_text(path.read_text("utf-8") + 'month,2031-01,"x', "utf-8"), "cannot be read as a CSV file"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD_FILES)
def test_a_bad_file_is_named(tables, capsys, fault):
    damage, message = BAD_FILES[fault]
    damage(tables.folder / "england.csv")
    assert cli.main(["check"]) == 1
    heard = capsys.readouterr().err
    assert heard.startswith("england.csv") and message in heard


@pytest.mark.parametrize("text", [None, "{", "{}", "[]"], ids=["missing", "cut off", "without tables", "a list"])
def test_a_bad_description_is_named(tables, text):
    path = tables.folder / "datapackage.json"
    path.write_text(text, "utf-8") if text else path.unlink()
    (problem,) = data.check()
    assert problem.file == "datapackage.json"


def test_problems_are_lists_of_places_and_messages(tables):
    row = tables.append("england", **(GOOD | {"value": "-5"}))
    assert data.check() == [data.Problem("england.csv", row, "value", "-5 is below 0")]


def test_reports_are_refused_with_the_same_words_before_anything_is_made(tables, capsys, tmp_path):
    row = tables.append("england", **(GOOD | {"value": "-5"}))
    assert cli.main(["report", "access", "--out", str(tmp_path / "out")]) == 2
    heard = capsys.readouterr()
    assert f"england.csv, row {row}, column value: -5 is below 0" in heard.err and "iapt check" in heard.err
    assert "Traceback" not in heard.err
    assert not list((tmp_path / "out").glob("*/index.html"))


def test_a_missing_table_stops_a_report_with_its_name(tables, capsys, tmp_path):
    (tables.folder / "measures.csv").unlink()
    assert cli.main(["report", "access", "--out", str(tmp_path / "out")]) == 2
    assert "measures.csv: is missing; expected at" in capsys.readouterr().err


def test_all_problems_are_found_and_the_first_ten_shown(tables):
    for number in range(12):
        tables.append("england", **(GOOD | {"period": f"2031-{number + 1:02d}", "value": "-1"}))
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
        end = {"Q1": date(first, 7, 1), "Q2": date(first, 10, 1), "Q3": date(first + 1, 1, 1)}.get(
            rest[-2:], date(first + 1, 4, 1)
        )
    return end - timedelta(days=1) + timedelta(days=int(card["lag_days"]))


DAYS = {(r["frequency"], r["period"], r["measure"], r["source"]): known_from(r) for r in ROWS}
MONTHLY_DAYS = {}
for (frequency_, period_, measure_, source_), day_ in DAYS.items():
    if frequency_ == "month":
        MONTHLY_DAYS[measure_, period_] = min(day_, MONTHLY_DAYS.get((measure_, period_), day_))


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(MEASURES),
    st.sampled_from(["year", "quarter", "month"]),
    st.dates(date(2012, 1, 1), date(2026, 12, 31)),
)
def test_no_figure_is_used_before_it_was_known(measure, frequency, day):
    for row in data.figures(measure, frequency, day.isoformat()).dropna(subset="value").itertuples():
        if row.basis == "published":
            assert DAYS[frequency, periods.write(row.Index), measure, row.source] <= day
        elif row.basis == "sum of months":
            assert all(MONTHLY_DAYS[measure, str(part)] <= day for part in periods.parts(row.Index, "month"))
        else:
            codebook = data.load()["measures"].set_index("measure").loc[measure]
            for part in (codebook["numerator"], codebook["denominator"]):
                assert pd.notna(data.series(part, frequency, day.isoformat())[row.Index])


@pytest.mark.parametrize(
    "day", ["2014-01-01", "2016-08-30", "2016-08-31", "2020-04-30", "2020-05-01", "2026-08-15", "2026-08-16"]
)
@pytest.mark.parametrize("measure", ["started_treatment", "finished_course", "waited_under_6_weeks_rate"])
def test_a_target_is_known_from_its_day(measure, day):
    expected = [row["id"] for row in TARGETS if row["measure"] == measure and row["known_from"] <= day]
    assert data.targets(measure, day).index.tolist() == expected


def test_a_figure_is_known_on_its_day_and_not_the_day_before():
    """October 2019 from a source that appears 75 days after the end of the month."""
    assert data.series("finished_course", "month", "2020-01-14").index[-1] == month("2019-10")
    assert data.series("finished_course", "month", "2020-01-13").index[-1] < month("2019-10")


def test_later_vintages_only_add_periods():
    for measure in MEASURES:
        earlier = data.series(measure, "month", "2020-05-01").dropna().index
        assert earlier.isin(data.series(measure, "month").dropna().index).all()


def test_a_planted_later_figure_reaches_the_newest_vintage_and_no_earlier_one(tables):
    then = data.series("started_treatment", "quarter", "2020-05-01")
    tables.append(
        "england",
        frequency="year",
        period="2019-20",
        measure="started_treatment",
        value="99999999",
        source="nhs-annual-report",
    )
    tables.append(
        "england",
        frequency="quarter",
        period="2019-20 Q3",
        measure="started_treatment",
        value="88888888",
        source="nuffield-trust-2024",
    )
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
            row["value"] = "99.9" if row["measure"] in RATES else str(9 * int(float(row["value"])) + 1)
    tables.write("england", rows)
    tables.append(
        "england",
        frequency="month",
        period="2019-10",
        measure="finished_course",
        value="7777777",
        source="nuffield-trust-2022",
    )
    assert data.check() == []


def test_a_spoilt_future_changes_no_chart_and_no_claim_of_an_earlier_vintage(spoilt, monkeypatch):
    then = {name: PLOTS[name]("2020-05-01") for name in PLOTS}
    found = claims.check("2020-05-01")
    sentences = [access.answer("2020-05-01").data, access.describe_growth("2020-05-01").data]
    monkeypatch.delenv("IAPT_DATA")
    for name, chart in then.items():
        real = draw(name, "2020-05-01")
        pd.testing.assert_frame_equal(chart.data, real.data, obj=name)
        assert (chart.title, chart.alt, chart.caption) == (real.title, real.alt, real.caption)
    pd.testing.assert_frame_equal(found, claims.check("2020-05-01"))
    assert sentences == [access.answer("2020-05-01").data, access.describe_growth("2020-05-01").data]


def test_a_spoilt_future_does_reach_the_newest_vintage(spoilt):
    assert data.series("started_treatment", "year")[year("2023-24")] > 11_000_000
    assert "7,777,777" in data.figures("finished_course", "month")["why"][month("2019-10")]
    assert access.plot_years("latest").data["started_treatment"].max() > 11_000_000


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


def test_official_comes_before_sums_before_rounded_before_statements_before_quotations(tables, monkeypatch):
    """Starts of 2018/19 with a figure of each kind; each is taken away in turn."""
    figure = {"frequency": "year", "period": "2018-19", "measure": "started_treatment"}
    tables.append("england", **figure, value="1111111", source="nhs-annual-report")
    tables.append("england", **figure, value="1333333", source="hansard-2015-06-11")
    ranked = [
        (1_111_111, "official statistics", {"source": "nhs-annual-report"}),
        (1_092_111, "sum of months", {"frequency": "month", "period": "2018-10"}),
        (1_090_000, "official, rounded", {"source": "nhs-annual-report-pages"}),
        (1_333_333, "statement", {"source": "hansard-2015-06-11"}),
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
    for measure in MEASURES:
        for frequency in periods.FREQUENCIES:
            used = data.figures(measure, frequency).dropna(subset="value")
            assert used[["basis", "source", "why"]].notna().all(axis=None), (measure, frequency)
            assert set(used["basis"]) <= {"published", "sum of months", "from counts"}


def test_asking_for_a_table_and_changing_it_changes_nothing_for_the_next():
    table, known = data.figures("started_treatment", "year"), data.known()
    table["value"], known["value"] = 0.0, 0.0
    assert data.series("started_treatment", "year")[year("2023-24")] == 1_257_718
    assert data.known()["value"].max() > 1_000_000


# ---------------------------------------------------------------- sums and gaps


def test_the_target_year_is_the_sum_of_its_published_months():
    monthly = [
        int(r["value"])
        for r in ROWS
        if r["measure"] == "started_treatment"
        and r["source"] == "nhs-monthly-activity"
        and "2023-04" <= r["period"] <= "2024-03"
    ]
    assert len(monthly) == 12 and sum(monthly) == 1_257_718
    assert data.series("started_treatment", "year")[year("2023-24")] == sum(monthly)


def test_a_year_with_a_missing_month_is_not_summed(tables):
    assert tables.drop("england", frequency="month", period="2023-07", measure="started_treatment") == 1
    years, quarters = data.series("started_treatment", "year"), data.series("started_treatment", "quarter")
    assert np.isnan(years[year("2023-24")]) and years[year("2022-23")] == 1_216_341
    assert np.isnan(quarters[quarter("2023-24 Q2")]) and not np.isnan(quarters[quarter("2023-24 Q3")])
    assert access.last_twelve_months("started_treatment", "latest")["2023-07":"2024-06"].isna().all()


def test_a_revised_month_is_summed_once():
    """September 2020 was published twice: 132,237 and later 133,518."""
    parts = data.series("referrals_received", "month")["2020-07":"2020-09"]
    row = data.figures("referrals_received", "quarter", without=("fingertips-90747",)).loc[quarter("2020-21 Q2")]
    assert row["basis"] == "sum of months" and row["value"] == parts.sum()


@pytest.mark.parametrize("measure", [*RATES, "waiting_for_treatment"])
@pytest.mark.parametrize("frequency", ["year", "quarter"])
def test_rates_and_stocks_are_never_summed(measure, frequency):
    table = data.figures(measure, frequency)
    assert "sum of months" not in set(table["basis"].dropna())
    assert (table["value"].dropna().astype(float) <= 100).all()


def test_every_sum_of_months_is_the_sum_of_all_its_months():
    checked = 0
    for measure in MEASURES:
        months = data.series(measure, "month")
        for frequency in ("year", "quarter"):
            table = data.figures(measure, frequency).query("basis == 'sum of months'")
            for period, value in table["value"].items():
                assert months.reindex(periods.parts(period, "month")).sum(skipna=False) == value, (measure, period)
                checked += 1
    assert checked > 100


@pytest.mark.parametrize("frequency, code", periods.FREQUENCIES.items())
@pytest.mark.parametrize("measure", MEASURES)
def test_a_series_has_every_period_once_and_its_own_name(measure, frequency, code):
    y = data.series(measure, frequency)
    assert isinstance(y.index, pd.PeriodIndex) and y.index.freqstr == code and y.name == measure
    if len(y):
        assert y.index.equals(pd.period_range(y.index[0], y.index[-1], name="period"))
        assert pd.notna(y.iloc[0]) and pd.notna(y.iloc[-1])


def test_months_nobody_published_are_gaps():
    starts = data.series("started_treatment", "month")
    assert starts[starts.isna()].index.astype(str).tolist() == [
        "2020-04",
        "2020-05",
        "2020-06",
        "2020-07",
        "2020-08",
        "2020-10",
        "2020-12",
    ]
    quarters = data.series("started_treatment", "quarter")
    assert quarters[quarter("2020-21 Q1") : quarter("2020-21 Q3")].isna().all()
    assert access.last_twelve_months("started_treatment", "latest")["2020-04":"2021-11"].isna().all()


# ---------------------------------------------------------------- independent arithmetic


def test_recovered_over_at_caseness_is_the_published_rate_in_every_month_since_2021():
    monthly = {(r["period"], r["measure"]): float(r["value"]) for r in ROWS if r["source"] == "nhs-monthly-activity"}
    months = sorted({period for period, _ in monthly})
    assert months[0] == "2021-01" and len(months) >= 57
    for period in months:
        rate = 100 * monthly[period, "recovered"] / monthly[period, "at_caseness"]
        assert rate == pytest.approx(monthly[period, "recovery_rate"], abs=0.0501), period


def test_published_annual_rates_lie_near_those_of_their_counts():
    """Annual reports print rates up to 0.15 below recovered over at caseness; those before 2016/17 up to 0.45."""
    annual = {
        (r["period"], r["measure"]): float(r["value"])
        for r in ROWS
        if r["source"].startswith("nhs-annual-report") and r["frequency"] == "year"
    }
    printed = {period: value for (period, measure), value in annual.items() if measure == "recovery_rate"}
    assert len(printed) >= 12
    for period, value in printed.items():
        gap = 100 * annual[period, "recovered"] / annual[period, "at_caseness"] - value
        assert -0.051 < gap < (0.15 if period >= "2016-17" else 0.45), period


def test_four_quarters_of_referrals_add_up_to_what_the_page_said():
    quarters = data.series("referrals_received", "quarter", "2020-05-01")[quarter("2018-19 Q1") : quarter("2018-19 Q4")]
    assert len(quarters) == 4 and quarters.sum() == 1_596_637


@pytest.mark.parametrize(
    "measure, tolerance",
    [("referrals_received", 0.036), ("finished_course", 0.01), ("recovered", 0.015), ("at_caseness", 0.015)],
)
def test_annual_reports_and_sums_of_months_stay_close(measure, tolerance):
    table = data.figures(measure, "year").query("basis == 'published' and source == 'nhs-annual-report'")
    months = data.series(measure, "month")
    sums = pd.Series({p: months.reindex(periods.parts(p, "month")).sum(skipna=False) for p in table.index}).dropna()
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
