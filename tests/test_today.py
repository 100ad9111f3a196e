"""The present target: the running year, three ways of handling the pandemic years, and how good the nowcast is."""

import notebook
import numpy as np
import pandas as pd
import pytest

from iapt import data, parameters
from iapt.data import fy

DAY = "2025-12-15"
"""Six months of 2025/26 were known: April to September 2025."""
FINISHED, STARTS = "finished_course", "started_treatment"
SHORT = {"2022-23": "2024-25", "2017-18": "2018-19"}
"""One year to score in place of all, so that the tests are quick."""


@pytest.fixture(scope="module")
def today():
    return notebook.run("07_today", SHORT, as_of=DAY)


@pytest.fixture(scope="module")
def complete():
    return notebook.run("07_today", SHORT, as_of="2026-06-14")


def test_six_months_known_are_in_the_running_year(today):
    """589,257 starts in April to September 2025; the outturns are 1,163,013, 671,262 and 1,781,307."""
    so_far = today["so_far"]
    assert so_far["months known"].eq(6).all() and so_far.at[STARTS, "so far"] == 589_257
    assert so_far.at[FINISHED, "forecast"] == pytest.approx(671_262, rel=0.003)
    assert so_far.at["referrals_received", "forecast"] == pytest.approx(1_781_307, rel=0.01)
    assert so_far.at[STARTS, "forecast"] / 1_163_013 - 1 == pytest.approx(0.03, abs=0.003)


def test_a_year_without_a_month_is_forecast_whole(complete):
    assert complete["year"] == fy("2026-27")
    assert list(complete["so_far"]) == ["forecast", "80% from", "80% to"]
    assert complete["years"].loc["2025-26"].tolist() == [671_262, 1_163_013, 1_781_307]


def test_the_chance_of_the_target_is_small_however_the_pandemic_years_are_handled(today, complete):
    """Reckoned independently: 5.4, 4.6 and 0.2 per cent on figures to September 2025, 2.0 and 0.0 to March 2026."""
    assert today["chances"].tolist() == pytest.approx([0.05, 0.05, 0.0], abs=0.011)
    assert complete["chances"].tolist() == pytest.approx([0.02, 0.02, 0.0], abs=0.011)
    assert "2% at most" in complete.headline


def test_starts_are_forecast_from_quarters_in_every_way(today):
    """1.28 million filled in and 1.20 since 2021, in place of 1.35 million from years."""
    assert today["ways"].loc[data.label(STARTS), "median"].tolist() == pytest.approx([1_284_000, 1_203_000], rel=0.01)
    assert list(today["totals"][STARTS]) == ["filled in", "left out"]


def test_the_pace_needed_is_steady_growth_to_the_target(today, complete):
    """(915,000 / 671,262) to the power of a third is 1.109; 667,143 are the twelve months of 2024/25."""
    assert today["needed"] == pytest.approx((915_000 / 667_143) ** (1 / 4) - 1, abs=1e-6)
    assert complete["needed"] == pytest.approx(0.109, abs=0.001)
    assert complete["pace"]["pace needed"].iloc[-1] == 915_000
    assert complete["pace"]["official"].dropna().tolist() == [805_000, 915_000]


def test_the_milestone_is_shown_as_resting_on_one_page(complete):
    kinds = {fy("2026-27"): "one secondary page only", fy("2028-29"): "official document"}
    assert complete["listed"]["evidence"].to_dict() == kinds


def test_filled_series_keep_what_is_known_and_have_no_gap(today):
    y = data.series(FINISHED, "quarter", DAY)["2013-14":].dropna()
    masked = y.mask(y.index.isin(data.span("2020-21 Q1", "2020-21 Q2")))
    filled = list(today["fill_in"](masked, times=5))
    assert all(one.notna().all() and one[masked.notna()].equals(masked.dropna()) for one in filled)
    assert len({tuple(one[masked.isna()]) for one in filled}) == 5
    assert all(one.equals(other) for one, other in zip(filled, today["fill_in"](masked, times=5)))


def test_a_planted_gap_is_filled_near_what_was_there(today):
    index = pd.period_range("2014Q1", periods=40, freq="Q-MAR")
    noise = np.random.default_rng(1).normal(0, 0.01, 40)
    y = pd.Series(1e5 * np.exp(0.01 * np.arange(40) + np.tile([0.05, 0, -0.05, 0], 10) + noise), index)
    hidden = y.copy()
    hidden.iloc[20:22] = np.nan
    middle = np.mean([one.iloc[20:22].to_numpy() for one in today["fill_in"](hidden)], axis=0)
    assert middle == pytest.approx(y.iloc[20:22].to_numpy(), rel=0.04)


def test_all_ways_of_forecasting_the_running_year_are_scored_on_the_same_cases(today):
    scored = today["scored"]
    assert scored.groupby(["measure", "year", "known"])["model"].nunique().eq(4).all()
    crps = scored.groupby("model")["crps"].mean()
    assert scored["measure"].nunique() == 3
    assert crps["months per working day"] < crps["pool on quarters"] < crps["pool on years"]


def test_access_and_completions_never_share_an_axis(today):
    for name in ("today_finished_course", "today_started_treatment"):
        assert len(today.named(name).panels) == 1
    assert "target" not in today.named("today_started_treatment").alt.lower()


def test_a_day_with_too_few_months_is_refused():
    with pytest.raises(parameters.ParameterError, match="runs from 2022-03-16 on"):
        notebook.run("07_today", as_of="2021-09-30")
