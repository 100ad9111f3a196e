"""Scores against hand-computed and closed-form values."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from iapt.models.forecast import forecast
from iapt.models.members import POOL, REFERENCES
from iapt.models.scores import crps, rolling_origin, scale_of, score_steps, skill, summarise


def make_series(n=24, seed=1):
    rng = np.random.default_rng(seed)
    index = pd.period_range("2014Q1", periods=n, freq="Q")
    return pd.Series(np.exp(5 + np.cumsum(0.02 + 0.03 * rng.standard_normal(n))), index)


def test_mase_is_undefined_without_any_change():
    with pytest.raises(ValueError, match="MASE is undefined"):
        scale_of(np.array([1.0, 2, 1, 2]), 2)


@pytest.mark.parametrize("outturn", [-1.0, 2.0, 6.5])
def test_crps_of_a_normal_is_the_closed_form(outturn):
    mu, sigma, n = 2.0, 1.5, 20_000
    draws = norm.ppf((np.arange(n) + 0.5) / n, mu, sigma)
    z = (outturn - mu) / sigma
    exact = sigma * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))
    assert crps(np.array([outturn]), draws[:, None])[0] == pytest.approx(exact, rel=1e-3)


@settings(deadline=None, max_examples=30)
@given(draws=st.lists(st.floats(-100, 100), min_size=1, max_size=12), outturn=st.floats(-100, 100))
def test_crps_is_the_mean_distance_less_half_the_spread(draws, outturn):
    x = np.array(draws)
    exact = np.abs(x - outturn).mean() - np.abs(x[:, None] - x).mean() / 2
    found = crps(np.array([outturn]), x[:, None])[0]
    assert found == pytest.approx(exact, abs=1e-9)
    assert found >= -1e-9


def test_score_steps_by_hand():
    """The draws 0 to 10 have the median 5; their 80% interval leaves out one at either end, the 95% one none."""
    table = score_steps(np.arange(11.0)[:, None].repeat(3, axis=1), np.array([6.0, 9.7, 10.0]), scale=2.0)
    assert table["median"].tolist() == [5, 5, 5] and table["step"].tolist() == [1, 2, 3]
    assert table["mase"].tolist() == pytest.approx([0.5, 2.35, 2.5])
    assert table["smape"].tolist() == pytest.approx([200 / 11, 940 / 14.7, 1000 / 15])
    assert table["inside80"].tolist() == [True, False, False] and table["inside95"].all()
    assert table.loc[2, "crps"] == pytest.approx((5 - np.abs(np.subtract.outer(range(11), range(11))).mean() / 2) / 2)


def test_mase_of_last_years_value_is_1_on_its_own_history():
    assert scale_of(np.array([1.0, 3, 2, 5]), 1) == 2 and scale_of(np.array([1.0, 3, 2, 5]), 2) == 1.5


def test_rolling_origin_covers_every_origin_step_and_model():
    y = make_series(20)
    scores = rolling_origin(y, 4, 14, draws=40)
    assert set(scores["model"]) == {"pool", *POOL, *REFERENCES}
    pool = scores[scores["model"] == "pool"]
    assert list(pool.groupby("origin").size()) == [4, 4, 4, 3, 2, 1]
    assert (pool["period"] == pool["origin"] + pool["step"]).all()
    np.testing.assert_array_equal(pool["outturn"], y[pd.PeriodIndex(pool["period"])])


def test_rolling_origin_sees_only_the_past():
    y = make_series(20)
    changed = y.copy()
    changed.iloc[-3:] *= 5
    first, second = (rolling_origin(s, 2, 14, draws=20, members=POOL) for s in (y, changed))
    early = first["origin"] <= y.index[-4]
    assert early.any() and not early.all()
    columns = ["median", "lower95", "upper95"]
    pd.testing.assert_frame_equal(first.loc[early, columns], second.loc[early, columns])


def test_rolling_origin_forecasts_are_those_of_forecast():
    y = make_series(18)
    scores = rolling_origin(y, 3, 15, step=2, draws=50, members=("theta",), seed=4)
    again = forecast(y.iloc[:15], 3, draws=50, members=("theta",), seed=4)
    first = scores[(scores["origin"] == y.index[14]) & (scores["model"] == "theta")]
    np.testing.assert_allclose(first["median"], np.median(again.paths, axis=0), rtol=1e-12)
    assert scores["origin"].nunique() == 2


def test_rolling_origin_needs_something_to_compare_with():
    with pytest.raises(ValueError, match="minimum must lie between 1 and 17, found 18"):
        rolling_origin(make_series(18), 2, 18)


def test_summary_counts_windows_that_do_not_overlap():
    scores = rolling_origin(make_series(20), 4, 11, draws=20, members=("no_change",), beside=())
    table = summarise(scores)
    assert list(table.index) == ["pool", "no_change"]
    assert (table["windows"] == 2).all()
    assert (table["forecasts"] == 6 * 4 + 3 + 2 + 1).all()
    pool = scores[scores["model"] == "pool"]
    assert table.loc["pool", "mase"] == pytest.approx(pool["mase"].mean())
    assert table.loc["pool", "inside80"] == pytest.approx(pool["inside80"].mean())
    assert list(summarise(scores, ["step"])["windows"]) == [9, 4, 3, 2]


def same_as_last(y, horizon):
    return np.full((1, horizon), y.iloc[-1])


def test_a_model_of_ones_own_is_scored_beside_the_pool():
    y = make_series(18)
    scores = rolling_origin(y, 2, 14, draws=20, beside=(same_as_last,))
    own = scores[scores["model"] == "same_as_last"]
    np.testing.assert_array_equal(own["median"], y[pd.PeriodIndex(own["origin"])])
    pool = scores[scores["model"] == "pool"]
    plain = rolling_origin(y, 2, 14, draws=20, beside=())
    np.testing.assert_array_equal(pool["crps"], plain.loc[plain["model"] == "pool", "crps"])


def made_scores(own, other) -> pd.DataFrame:
    """CRPS of a pool and of a reference, one forecast an origin."""
    origins = pd.period_range("2017", periods=len(own), freq="Y-MAR")
    parts = [pd.DataFrame({"origin": origins, "model": m, "crps": c}) for m, c in (("pool", own), ("flat", other))]
    return pd.concat(parts, ignore_index=True)


def test_skill_by_hand():
    found = skill(made_scores([1.0, 3, 2, 2], [2.0, 2, 2, 4]), "flat")
    assert found.value == pytest.approx(20)
    assert found.by_origin["skill"].tolist() == pytest.approx([50, -50, 0, 50])
    assert found.low <= 20 <= found.high


def test_skill_of_a_model_always_better_by_the_same_share_is_certain():
    other = np.array([3.0, 5, 4, 8, 2, 6])
    found = skill(made_scores(0.7 * other, other), "flat")
    assert (found.low, found.value, found.high) == pytest.approx((30, 30, 30))


@pytest.mark.parametrize("origins, block", [(8, 2), (40, 4)])
def test_the_interval_of_skill_covers_what_it_says_where_origins_share_outturns(origins, block):
    """A plain block bootstrap covers 74% and 86% here; widened, 500 sets gave 94% and 93%."""
    rng = np.random.default_rng(8)
    hits = 0
    for _ in range(100):
        common = rng.exponential(size=origins + 1)
        other = common[1:] + common[:-1] + 1
        own = 0.9 * other + np.convolve(rng.normal(0, 0.3, origins + 1), [1, 1], "valid")
        found = skill(made_scores(own, other), "flat", block=block, draws=200)
        hits += found.low <= 10 <= found.high
    assert 0.87 <= hits / 100 <= 0.99


def test_skill_says_what_is_missing():
    scores = made_scores([1.0, 2, 3], [1.0, 2, 3])
    with pytest.raises(ValueError, match="no scores of naive; scored are flat, pool"):
        skill(scores, "naive")
    with pytest.raises(ValueError, match="at least 4 origins, two blocks of 2; found 3"):
        skill(scores, "flat")
