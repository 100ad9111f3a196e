"""Numbers of record in the notebooks on finishing, recovery and groups, and that a notebook follows a changed line.

Each number says where it was published or how it was checked without the code under test.
"""

import re

import notebook
import numpy as np
import pytest

from iapt import data, parameters
from iapt.charts import Chart
from iapt.data import fy
from iapt.words import Table

DAY = "2026-01-15"
"""The figures to September 2025 were known, and the annual report for 2024/25."""


@pytest.fixture(scope="module")
def finishing():
    return notebook.run("02_finishing", as_of=DAY)


@pytest.fixture(scope="module")
def recovery():
    return notebook.run("03_recovery", as_of=DAY)


@pytest.fixture(scope="module")
def groups():
    return notebook.run("10_groups", as_of=DAY)


# ---------------------------------------------------------------- finishing


def test_finished_courses_and_referrals_of_the_annual_reports(finishing):
    """NHS Talking Therapies annual reports 2022-23 to 2024-25; the Nuffield Trust quotes 37% for 2023/24."""
    years = finishing["years"]
    assert years["finished_course"]["2022-23":"2024-25"].tolist() == [672_193, 671_648, 670_419]
    assert years["referrals_received"]["2023-24"] == 1_829_202
    assert finishing["per_100"]["2023-24"] == pytest.approx(36.7, abs=0.05)
    assert finishing["per_100"]["2024-25"] == pytest.approx(37.0, abs=0.05)


def test_the_break_before_the_pandemic(finishing):
    """An own search over all break dates by least squares gave Q1 2015/16, 26.58% and 2.40% a year, p = 0.002."""
    broken = finishing["broken"]
    assert broken.at == fy("2015-16 Q1")
    assert broken.before[0] == pytest.approx(26.58, abs=0.01) and broken.after[0] == pytest.approx(2.40, abs=0.01)
    assert broken.after[1:] == pytest.approx((0.8, 4.0), abs=0.2)
    assert broken.p_value < 0.01 and broken.verdict == "growing"


def test_the_trend_since_2021_22_is_that_of_least_squares_and_flat(finishing):
    y = np.log(data.series("finished_course", "quarter", DAY)["2021-22":].dropna())
    design = np.column_stack([np.arange(len(y)) / 4, *(y.index.quarter == q for q in (1, 2, 3, 4))]).astype(float)
    slope = 100 * np.expm1(np.linalg.lstsq(design, y, rcond=None)[0][0])
    row = finishing["slopes"].iloc[-1]
    assert row["from"] == "Q1 2021/22" and row["growth"] == round(slope, 1) and row["trend"] == "flat"
    assert row["low"] < slope < row["high"] and -1 < row["low"] and row["high"] < 1


def test_the_headline_of_finishing_answers_the_long_question(finishing):
    text = finishing.headline
    for part in ("84% more than in 2013/14", "flat", "For every 100 referrals received in 2024/25, 37"):
        assert part in text


def test_too_short_a_series_has_no_verdict_and_an_uncertain_one_says_so():
    assert notebook.run("02_finishing", as_of="2016-06-30")["slopes"].empty
    assert notebook.run("02_finishing", as_of="2018-06-30")["slopes"]["trend"].iloc[-1] == "unclear"


def test_another_start_of_the_recent_trend_reaches_the_chart():
    changed = notebook.run("02_finishing", {'["2021-22":]': '["2022-23":]'}, as_of=DAY)
    chart = changed.named("finishing_slowdown")
    quarters = data.series("finished_course", "quarter", DAY)["2022-23":].dropna()
    assert chart.data["recent_trend"].notna().sum() == len(quarters)
    assert "Q1 2022/23" in chart.title and "trend from Q1 2022/23" in chart.alt and "Q1 2022/23" in changed.headline


# ---------------------------------------------------------------- recovery


def test_the_newest_quarter_is_too_close_to_the_standard_to_tell(recovery):
    """82,247 of 164,432: 50.02%, Wilson interval 49.78 to 50.26, by hand."""
    row = recovery["known"].loc[fy("2025-26 Q2")]
    assert row[["rate", "low", "high"]].tolist() == pytest.approx([50.02, 49.78, 50.26], abs=0.005)
    assert row["verdict"] == "too close to tell"


def test_the_rates_of_years_are_those_of_the_annual_reports(recovery):
    held = data.load()["published_rates"].query("dimension == 'area' and group == 'E92000001'")
    for measure in recovery["reliable"]:
        published = held[held["measure"] == measure].set_index("year")["value"].astype(float)
        computed = recovery["rates"][measure][published.index[0] : published.index[-1]]
        assert len(published) == 8 and np.abs(computed.to_numpy() - published.to_numpy()).max() <= 0.0501


def test_the_standard_was_first_clearly_met_in_the_quarter_that_the_nhs_names(recovery):
    """NHS England: 50% first met nationally in January to March 2017."""
    assert recovery["first_above"] == fy("2016-17 Q4")
    known = recovery["known"]
    assert (known["verdict"][: fy("2016-17 Q3")] == "below").all()
    assert (known["basis"] == "monthly rates").sum() == 5
    assert known.loc[known["basis"] == "monthly rates", "rate"].isna().all()


def test_verdicts_follow_the_interval(recovery):
    known = recovery["known"]
    assert ((known["low"] > 50) == (known["verdict"] == "above")).all()
    assert ((known["high"] < 50) == (known["verdict"] == "below")).all()


def test_months_outside_the_limits(recovery):
    """An own XmR of the same rest gave 6 points outside; so many come about in 4% of alike series, by simulation."""
    months = "2020-03 2020-04 2021-03 2021-04 2023-04 2025-04".split()
    assert [str(month) for month in recovery["outside"].index] == months
    assert 0.02 < recovery["alarms"].at_least(6) < 0.06


def test_ambitions_say_how_well_they_are_attested(recovery):
    table = recovery.named("recovery_ambitions").frame
    assert sorted(table["Target"]) == [51, 53, 69] and set(table["Attested"]) == {"one secondary page only"}
    assert not notebook.run("03_recovery", as_of="2020-05-01")["ambitions"].size


# ---------------------------------------------------------------- groups


def test_groups_add_up_to_england(groups):
    measures = ["referrals_received", "finished_course", "recovered", "reliably_improved"]
    sums = groups["groups"][measures].groupby(["dimension", "year"]).sum()
    england = data.table(measures, "year", DAY)["2017-18":"2024-25"].to_numpy()
    assert all((rows.to_numpy() == england).all() for _, rows in sums.groupby("dimension"))


def test_tenth_one_is_the_most_deprived(groups):
    assert groups["ons"][0] == "1 (most deprived)"
    published = data.load()["published_rates"].set_index(["group", "measure", "year"])["value"]
    tenth = groups["rates"]["recovery_rate"]["value"]["deprivation_decile"]
    for own, theirs in (("1 (most deprived)", "10 Most deprived"), ("9", "02 Less deprived")):
        rate = float(published[theirs, "recovery_rate", "2024-25"])
        assert tenth[own, fy("2024-25")] == pytest.approx(rate, abs=0.0501)


def test_rates_of_groups_are_those_published(groups):
    held = data.load()["published_rates"].query("dimension != 'area'")
    for measure in ("recovery_rate", "reliable_recovery_rate", "reliable_improvement_rate"):
        rows = held[held["measure"] == measure]
        own = groups["rates"][measure]["value"]
        pairs = [
            (own[row.dimension, groups["short"](row.group), fy(row.year)], float(row.value))
            for row in rows.itertuples()
        ]
        assert len(pairs) == 209 and max(abs(a - b) for a, b in pairs) <= 0.0501


def test_reliable_recovery_by_deprivation_is_what_others_quote(groups):
    """52.4% in the least and 40.5% in the most deprived tenth in 2024/25, as quoted in a review of the service."""
    assert groups["reliable"]["value"].iloc[[0, -1]].round(1).tolist() == [40.5, 52.4]


def test_the_gap_narrowed_to_2021_22_and_has_widened_since(groups):
    """Paired least squares by hand: 3.5 (2.5 to 4.5) narrower, 5.2 to 2021/22, then 1.7 (0.4 to 2.9) wider."""
    steps = groups["steps"].set_index(["measure", "from", "to"])
    whole, before, since = (
        steps.loc["Recovery rate", *years]
        for years in (("2017/18", "2024/25"), ("2017/18", "2021/22"), ("2021/22", "2024/25"))
    )
    assert whole[["change", "low", "high"]].tolist() == pytest.approx([-3.5, -4.5, -2.5], abs=0.15)
    assert before[["change", "low", "high"]].tolist() == pytest.approx([-5.2, -5.9, -4.4], abs=0.15)
    assert since[["change", "low", "high"]].tolist() == pytest.approx([1.7, 0.4, 2.9], abs=0.15)
    assert [row["gap"] for row in (whole, before, since)] == ["narrowed", "narrowed", "widened"]
    assert "narrowed" in groups.headline and "widened" in groups.headline


def test_the_slope_is_that_of_a_weighted_line(groups):
    """Slopes by year as computed apart: 17.7, 15.7, 15.2, 13.8, 12.2, 13.5, 14.3, 14.0."""
    slopes = groups["slopes"]["recovery_rate"]["slope"]
    assert slopes.tolist() == pytest.approx([17.7, 15.7, 15.2, 13.8, 12.2, 13.5, 14.3, 14.0], abs=0.11)
    rows = groups["groups"].loc["deprivation_decile"].xs(fy("2024-25"), level="year").loc[groups["ons"]]
    size = rows["eligible_for_recovery"]
    rank, rate = (size.cumsum() - size / 2) / size.sum(), 100 * rows["recovered"] / size
    assert slopes.iloc[-1] == pytest.approx(np.polyfit(rank, rate, 1, w=np.sqrt(size))[0])


def test_gaps_are_differences_of_rates_and_verdicts_follow_them(groups):
    rate, changes = groups["rates"]["recovery_rate"]["value"], groups["changes"]
    for (dimension, group), row in changes.iterrows():
        own, base = (rate[dimension, name, fy("2024-25")] for name in (group, groups["bases"][dimension]))
        assert row["gap_now"] == pytest.approx(own - base)
        assert row["change"] == pytest.approx(row["gap_now"] - row["gap_then"])
        if row["verdict"] != "no clear change":
            assert (abs(row["gap_now"]) < abs(row["gap_then"])) == (row["verdict"] == "narrowed")
            assert not row["from"] < 0 < row["to"]
    assert set(groups["bases"].values()) == {"26 to 64", "10 (least deprived)", "White", "Female"}


def test_the_table_of_groups_has_the_gap_first_and_every_group(groups):
    frame = groups.named("groups").frame
    assert frame.columns[2] == "Gap in recovery" and len(frame) == 27
    assert frame["Gap in recovery"].isna().sum() == 4 and (frame["Group"] == "Not stated").sum() == 3


# ---------------------------------------------------------------- every vintage


DAYS = ("2015-01-31", "2016-06-30", "2021-09-30", "2022-06-01")


@pytest.mark.parametrize(
    "stem, day",
    [(stem, day) for stem in ("02_finishing", "03_recovery") for day in DAYS]
    + [("10_groups", day) for day in ("2019-01-31", "2020-05-01", "2024-09-30")],
)
def test_no_vintage_has_an_empty_sentence_or_a_missing_number_in_its_text(stem, day):
    run = notebook.run(stem, as_of=day)
    parts = [part for part in run.shown if isinstance(part, Chart | Table)]
    of_charts = [f"{part.title} {part.alt} {part.caption}" for part in parts if isinstance(part, Chart)]
    assert len(parts) >= 4 and not any(re.search(r"\bnan\b", text) for text in (run.headline, *of_charts))
    assert "  " not in run.headline and run.headline.strip("*").endswith(".")
    assert all(len(part.frame) and part.frame.columns.map(bool).all() for part in parts if isinstance(part, Table))


def test_figures_of_groups_before_the_first_report_are_refused():
    with pytest.raises(parameters.ParameterError, match="runs from 2019-01-15 on"):
        notebook.run("10_groups", as_of="2018-06-30")
