"""Breaks in trend: planted ones are found, and intervals and tests hold what they say."""

import numpy as np
import pandas as pd
import pytest

from iapt import data
from iapt.models import trends


def quarters(values, start="2014Q1") -> pd.Series:
    return pd.Series(np.asarray(values, float), pd.period_range(start, periods=len(values), freq="Q-MAR"))


def months(values) -> pd.Series:
    return pd.Series(np.asarray(values, float), pd.period_range("2018-01", periods=len(values), freq="M"))


SEASON = np.log([1.03, 0.98, 0.97, 1.02])


def bend(n: int, at: int, before: float, after: float, noise: float, seed: int) -> pd.Series:
    """A series with a season that grows by `before` and then by `after` per cent a year."""
    time = np.arange(n) / 4
    log = (
        np.log(1000)
        + np.log1p(before / 100) * time
        + (np.log1p(after / 100) - np.log1p(before / 100)) * np.maximum(time - at / 4, 0)
    )
    return quarters(np.exp(log + np.tile(SEASON, n)[:n] + np.random.default_rng(seed).normal(0, noise, n)))


@pytest.mark.parametrize("at, before, after", [(12, 20, 2), (18, 5, -10), (10, 0, 12)])
def test_a_planted_break_is_found_with_its_slopes(at, before, after):
    y = bend(30, at, before, after, 0.008, seed=at)
    fit = trends.broken_trend(y, draws=299)
    since, until = fit.break_interval
    assert abs((fit.at - y.index[at]).n) <= 1
    assert since <= y.index[at] <= until
    for slope, true in ((fit.before, before), (fit.after, after)):
        assert slope[0] == pytest.approx(true, abs=1.5)
        assert slope[1] <= true <= slope[2]
    assert fit.after[1] <= fit.after_90[0] <= fit.after_90[1] <= fit.after[2]
    assert fit.table.loc["after"].tolist() == list(fit.after)
    assert fit.p_value == pytest.approx(1 / 300)


def test_without_noise_the_trend_is_exact_and_has_no_season_in_it():
    y = bend(24, 12, 10, 3, 1e-6, seed=1)
    fit = trends.broken_trend(y, draws=99)
    growth = (fit.fitted / fit.fitted.shift(4)).dropna()
    assert growth.iloc[:8].to_numpy() == pytest.approx(1.10, abs=1e-4)
    assert growth.iloc[-8:].to_numpy() == pytest.approx(1.03, abs=1e-4)


def test_a_straight_trend_with_autocorrelation_is_seldom_called_broken():
    """Size of the test at 5%: textbook critical values would reject in far more of these series."""
    rng = np.random.default_rng(7)
    rejected = 0
    for _ in range(40):
        noise = rng.normal(0, 0.01, 28)
        for step in range(1, 28):
            noise[step] += 0.4 * noise[step - 1]
        y = quarters(np.exp(7 + 0.02 * np.arange(28) + np.tile(SEASON, 7) + noise))
        rejected += trends.broken_trend(y, draws=199).p_value < 0.05
    assert rejected <= 6


def test_p_values_of_straight_trends_are_not_all_large():
    small = sum(trends.broken_trend(bend(24, 12, 8, 8, 0.01, seed), draws=99).p_value < 0.5 for seed in range(30))
    assert 6 <= small <= 24


def test_the_same_series_gives_the_same_answer_and_is_not_changed():
    y = bend(20, 10, 10, 0, 0.02, seed=3)
    before = y.copy()
    one, two = trends.broken_trend(y, draws=99), trends.broken_trend(y, draws=99)
    assert one.p_value == two.p_value and one.after == two.after and one.at == two.at
    assert trends.broken_trend(y, draws=99, seed=1).after != one.after
    pd.testing.assert_series_equal(y, before)


@pytest.mark.parametrize(
    "y",
    [
        pytest.param(quarters([100] * 15), id="too few quarters"),
        pytest.param(quarters([100] * 10 + [np.nan] + [100] * 10), id="a gap"),
        pytest.param(quarters([100] * 10 + [0] + [100] * 10), id="a zero"),
        pytest.param(months([100] * 20), id="months"),
    ],
)
def test_a_series_that_cannot_be_fitted_is_refused(y):
    with pytest.raises(ValueError, match="at least 16 quarters of positive counts without gaps"):
        trends.broken_trend(y)


@pytest.mark.parametrize(
    "interval_90, interval, verdict",
    [
        ((-0.9, 0.9), (-1.2, 1.2), "stalled"),
        ((0.2, 0.8), (0.1, 0.9), "stalled"),
        ((0.5, 1.1), (0.4, 1.2), "growing"),
        ((1.5, 3.0), (1.2, 3.3), "growing"),
        ((0.1, 2.0), (-0.1, 2.2), "cannot be told"),
        ((-3.0, 4.0), (-4.0, 5.0), "cannot be told"),
        ((-1.1, 0.5), (-1.4, 0.8), "cannot be told"),
        ((-3.0, -1.2), (-3.3, -0.9), "falling"),
    ],
)
def test_the_verdict_is_read_off_the_intervals(interval_90, interval, verdict):
    period = pd.Period("2016Q1", "Q-MAR")
    slope = (sum(interval) / 2, *interval)
    fit = trends.BrokenTrend(period, (period, period), (10, 9, 11), slope, interval_90, 0.01, 0.8, 0.5, quarters([1]))
    assert trends.BAND == 1 and fit.verdict == verdict


@pytest.mark.parametrize(
    "after, noise, verdict",
    [(0, 0.004, "stalled"), (4, 0.004, "growing"), (-5, 0.004, "falling"), (0, 0.08, "cannot be told")],
)
def test_growth_that_stops_goes_on_or_hides_in_noise_is_called_so(after, noise, verdict):
    assert trends.broken_trend(bend(36, 14, 15, after, noise, seed=5), draws=199).verdict == verdict


def covered(phi: float, sets: int) -> float:
    """How often the 95% interval of the slope after a break holds the true one, errors being AR(1)."""
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(sets):
        y = bend(26, 7, 26.6, 2.4, 0, seed=0) * np.exp(0.02 * trends.ar1(phi, rng.normal(size=(1, 26)))[0])
        fit = trends.broken_trend(y, draws=399)
        hits += fit.after[1] <= 2.4 <= fit.after[2]
    return hits / sets


@pytest.mark.parametrize("phi, least, most", [(0.33, 0.9, 0.99), (0.6, 0.86, 0.98)])
def test_the_interval_of_a_slope_covers_what_it_says_where_quarters_are_alike(phi, least, most):
    """A bootstrap that takes the residuals' autocorrelation as it is covers 89 and 80%; 400 sets gave 94.0 and 91.3%."""
    assert least <= covered(phi, 120) <= most


@pytest.mark.parametrize("as_of, verdict", [("latest", "growing"), ("2018-06-30", "cannot be told")])
def test_finished_courses_slowed_and_still_grew_but_that_could_not_be_told_in_2018(as_of, verdict):
    y = data.series("finished_course", "quarter", as_of).astype(float)
    fit = trends.broken_trend(y[pd.Period("2014Q1", "Q-MAR") : pd.Period("2020Q3", "Q-MAR")].dropna())
    assert fit.at == pd.Period("2016Q1", "Q-MAR") and fit.verdict == verdict
    if as_of == "latest":
        assert fit.before[0] == pytest.approx(26.6, abs=0.05) and fit.after[0] == pytest.approx(2.4, abs=0.05)
        assert fit.after[1:] == pytest.approx((0.8, 4.1), abs=0.15)
        assert fit.p_value < 0.005
        assert fit.p_value_phi == pytest.approx(0.83, abs=0.01) and fit.interval_phi == pytest.approx(0.51, abs=0.05)
