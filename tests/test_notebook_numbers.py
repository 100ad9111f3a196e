"""Numbers of record in the notebooks on finishing and recovery, and that a notebook follows a changed line.

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


# ---------------------------------------------------------------- every vintage


DAYS = ("2015-01-31", "2016-06-30", "2021-09-30", "2022-06-01")


@pytest.mark.parametrize("stem", ["02_finishing", "03_recovery"])
@pytest.mark.parametrize("day", DAYS)
def test_no_vintage_has_an_empty_sentence_or_a_missing_number_in_its_text(stem, day):
    run = notebook.run(stem, as_of=day)
    parts = [part for part in run.shown if isinstance(part, Chart | Table)]
    of_charts = [f"{part.title} {part.alt} {part.caption}" for part in parts if isinstance(part, Chart)]
    assert len(parts) >= 4 and not any(re.search(r"\bnan\b", text) for text in (run.headline, *of_charts))
    assert "  " not in run.headline and run.headline.strip("*").endswith(".")
    assert all(len(part.frame) and part.frame.columns.map(bool).all() for part in parts if isinstance(part, Table))
