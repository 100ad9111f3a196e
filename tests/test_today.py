"""The question asked again: three treatments of the pandemic, one target on completions."""

import numpy as np
import pandas as pd
import pytest

from iapt import data
from iapt.answers import today

FINISHED, STARTS = "finished_course", "started_treatment"


def test_filled_series_keep_what_is_known_and_have_no_gap():
    y = today.observed(FINISHED, "latest")
    masked = y.copy()
    masked[today.PANDEMIC] = np.nan
    filled = today.fill_in(masked, times=5)
    for one in filled:
        assert one.notna().all() and (one > 0).all()
        known = masked.notna()
        assert one[known].equals(masked[known])
    assert len({tuple(one[today.PANDEMIC]) for one in filled}) == 5


def test_filling_is_the_same_for_the_same_seed():
    y = today.observed(STARTS, "latest")
    assert all(
        one.equals(other) for one, other in zip(today.fill_in(y, times=2, seed=1), today.fill_in(y, times=2, seed=1))
    )


def test_a_planted_gap_is_filled_near_what_was_there():
    index = pd.period_range("2014Q1", periods=40, freq="Q-MAR")
    noise = np.random.default_rng(1).normal(0, 0.01, 40)
    y = pd.Series(1e5 * np.exp(0.01 * np.arange(40) + np.tile([0.05, 0, -0.05, 0], 10) + noise), index)
    hidden = y.copy()
    hidden.iloc[20:22] = np.nan
    middle = np.mean([one.iloc[20:22].to_numpy() for one in today.fill_in(hidden)], axis=0)
    assert middle == pytest.approx(y.iloc[20:22].to_numpy(), rel=0.04)


def test_treatments_look_at_what_they_say():
    finished = today.treatments(FINISHED, "latest")
    assert finished["as it is"][0].index.freqstr == "Q-MAR" and len(finished["pandemic filled in"]) == today.IMPUTATIONS
    assert finished["since 2021"][0].index[0] == today.AFTER
    assert today.treatments(STARTS, "latest")["as it is"][0].index.freqstr == "Y-MAR"


def test_projected_years_follow_the_last_known_one_to_the_target_year():
    for table in today.project(FINISHED, "latest", "2028-29").values():
        assert list(table.columns) == list(pd.period_range("2026", "2029", freq="Y-MAR"))
    chance = today.reach(FINISHED, "latest", 915_000, "2028-29")
    assert chance.between(0, 0.3).all()
    assert (today.reach(FINISHED, "latest", 700_000, "2028-29") > chance).all()


def test_access_and_completions_never_share_an_axis():
    for chart in (today.plot_fan(FINISHED, "latest", "2028-29", 915_000), today.plot_fan(STARTS, "latest", "2028-29")):
        assert len(chart.figure.axes) == 1
    assert "target" not in today.plot_fan(STARTS, "latest", "2028-29").alt
    assert data.targets(FINISHED).index.tolist() == ["completions-2029"]
