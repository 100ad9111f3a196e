"""The notebooks on finishing and recovery: trends, rates and verdicts follow from the figures."""

import re

import notebook
import numpy as np
import pytest

from iapt import data
from iapt.data import fy

DAY = "2026-01-15"
"""The figures to September 2025 were known, and the annual report for 2024/25."""


@pytest.fixture(scope="module")
def finishing():
    return notebook.run("02_finishing", as_of=DAY)


@pytest.fixture(scope="module")
def recovery():
    return notebook.run("03_recovery", as_of=DAY)


# ---------------------------------------------------------------- finishing


def test_the_break_before_the_pandemic(finishing):
    broken, slopes = finishing["broken"], finishing["slopes"]
    assert broken.at == fy("2015-16 Q1") and broken.p_value < 0.01
    assert slopes["verdict"].tolist() == ["still growing", "still growing", "stalled"]
    assert broken.verdict == "growing" and slopes.loc[1, ["growth", "low", "high"]].tolist() == list(broken.after)


def test_the_trend_since_2021_22_is_that_of_least_squares(finishing):
    y = np.log(data.series("finished_course", "quarter", DAY)["2021-22":].dropna())
    design = np.column_stack([np.arange(len(y)) / 4, *(y.index.quarter == q for q in (1, 2, 3, 4))]).astype(float)
    slope = 100 * np.expm1(np.linalg.lstsq(design, y, rcond=None)[0][0])
    row = finishing["slopes"].iloc[-1]
    assert row["from"] == fy("2021-22 Q1") and row["growth"] == pytest.approx(slope)
    assert -1 < row["low"] < row["low_90"] < slope < row["high_90"] < row["high"] < 1


def test_the_headline_of_finishing_answers_the_long_question(finishing):
    for part in ("84% more than in 2013/14", "From Q1 2021/22 to Q2 2025/26 growth stalled", "95% interval"):
        assert part in finishing.headline


@pytest.mark.parametrize(
    "day, said",
    [
        ("2016-06-30", "it is not clear whether the number grew: there are too few quarters"),
        ("2018-06-30", "From Q1 2015/16 to Q3 2017/18 it is not clear whether the number grew: +"),
        ("2020-05-01", "From Q1 2015/16 to Q3 2019/20 the number was still growing: +2.4% a year"),
        ("2023-01-01", "From Q1 2021/22 to Q2 2022/23 it is not clear whether the number grew: there are too few quarters"),
    ],
)
def test_the_verdict_follows_from_the_interval_that_was_known(day, said):
    assert said in notebook.run("02_finishing", as_of=day).headline


def test_another_start_of_the_recent_trend_reaches_the_chart():
    changed = notebook.run("02_finishing", {'["2021-22":]': '["2022-23":]'}, as_of=DAY)
    chart = changed.named("finishing_slowdown")
    quarters = data.series("finished_course", "quarter", DAY)["2022-23":].dropna()
    assert chart.data["recent_trend"].notna().sum() == len(quarters)
    assert "Q1 2022/23" in chart.title and "trend from Q1 2022/23" in chart.alt and "Q1 2022/23" in changed.headline


# ---------------------------------------------------------------- recovery


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
    assert known.loc[fy("2025-26 Q2"), "verdict"] == "too close to tell"
    assert "50.0% of those eligible recovered in Q2 2025/26, at the standard of 50% and too close to tell" in recovery.headline


def test_months_outside_the_limits_are_named_with_how_rare_so_many_are(recovery):
    chart = recovery.named("recovery_screen")
    months = "2020-03 2020-04 2021-03 2021-04 2023-04 2025-04".split()
    assert [str(month) for month in recovery["outside"].index] == months
    assert "6 of 148 months" in chart.title and "or more in 4% of such series" in chart.title
    assert "March 2020 (47.7%)" in chart.caption and re.search("9[89]% show at least one signal", chart.caption)


def test_standard_and_ambitions_say_how_well_they_are_attested(recovery):
    table = recovery.named("recovery_ambitions").frame
    assert table["Target"].tolist() == [50, 69, 51, 53]
    assert table["Source"].tolist() == ["official document", *["one secondary page only"] * 3]
    assert notebook.run("03_recovery", as_of="2020-05-01").named("recovery_ambitions").frame["Target"].tolist() == [50]
