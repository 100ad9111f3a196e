"""Growth, intervals, breaks in trend and the XmR screen, against hand-computed and closed-form values."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

from iapt.models import trends


def quarters(values, start="2014Q1") -> pd.Series:
    return pd.Series(np.asarray(values, float), pd.period_range(start, periods=len(values), freq="Q-MAR"))


def months(values) -> pd.Series:
    return pd.Series(np.asarray(values, float), pd.period_range("2018-01", periods=len(values), freq="M"))


# ---------------------------------------------------------------- growth and intervals


def test_growth_is_in_per_cent_of_the_start():
    y = quarters([200, np.nan, 250, 150])
    first, gap, up, down = y.index
    assert trends.growth(y, first, up) == pytest.approx(25)
    assert trends.growth(y, first, down) == pytest.approx(-25)
    assert np.isnan(trends.growth(y, first, gap)) and np.isnan(trends.growth(y, gap, up))
    assert np.isnan(trends.growth(y, first - 1, up))


def test_growth_a_year_compounds():
    y = pd.Series([100.0, 0.0, 121.0], pd.period_range("2018", periods=3, freq="Y-MAR"))
    assert trends.growth_a_year(y, y.index[0], y.index[2]) == pytest.approx(10)


def test_wilson_agrees_with_the_value_computed_by_hand():
    p, n, z = 0.3, 10, 1.959964
    centre, half = (
        (p + z**2 / (2 * n)) / (1 + z**2 / n),
        z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n),
    )
    assert trends.wilson(3, 10) == pytest.approx((100 * (centre - half), 100 * (centre + half)), abs=1e-4)


@pytest.mark.parametrize("successes, trials", [(0, 20), (20, 20), (75_000, 150_000), (1, 3)])
def test_wilson_agrees_with_statsmodels_at_any_level(successes, trials):
    for level in (0.8, 0.95):
        low, high = proportion_confint(successes, trials, alpha=1 - level, method="wilson")
        assert trends.wilson(successes, trials, level) == pytest.approx((100 * low, 100 * high))


# ---------------------------------------------------------------- a break in trend

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
    assert fit.before == pytest.approx(before, abs=1.5) and fit.after == pytest.approx(after, abs=1.5)
    assert fit.before_interval[0] <= before <= fit.before_interval[1]
    assert fit.after_interval[0] <= after <= fit.after_interval[1]
    assert fit.after_interval[0] <= fit.after_interval_90[0] <= fit.after_interval_90[1] <= fit.after_interval[1]
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
    for _ in range(60):
        noise = rng.normal(0, 0.01, 28)
        for step in range(1, 28):
            noise[step] += 0.4 * noise[step - 1]
        y = quarters(np.exp(7 + 0.02 * np.arange(28) + np.tile(SEASON, 7) + noise))
        rejected += trends.broken_trend(y, draws=199).p_value < 0.05
    assert rejected <= 9


def test_p_values_of_straight_trends_are_not_all_large():
    small = sum(trends.broken_trend(bend(24, 12, 8, 8, 0.01, seed), draws=99).p_value < 0.5 for seed in range(30))
    assert 6 <= small <= 24


def test_the_same_series_gives_the_same_answer_and_is_not_changed():
    y = bend(20, 10, 10, 0, 0.02, seed=3)
    before = y.copy()
    one, two = trends.broken_trend(y, draws=99), trends.broken_trend(y, draws=99)
    assert one.p_value == two.p_value and one.after_interval == two.after_interval and one.at == two.at
    assert trends.broken_trend(y, draws=99, seed=1).after_interval != one.after_interval
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
    "interval, stalled",
    [
        ((-0.9, 0.9), True),
        ((-0.2, 0.1), True),
        ((0.5, 1.1), False),
        ((-1.1, 0.5), False),
        ((1.5, 3.0), False),
        ((-3.0, 4.0), False),
        ((-3.0, -1.2), False),
    ],
)
def test_stalled_means_that_the_interval_lies_inside_the_band(interval, stalled):
    period = pd.Period("2016Q1", "Q-MAR")
    fit = trends.BrokenTrend(period, (period, period), 10, 0, (9, 11), (-5, 5), interval, 0.01, 0.3, quarters([1]))
    assert trends.BAND == 1 and fit.stalled is stalled


def test_growth_that_stops_is_called_stalled_and_growth_that_slows_is_not():
    assert trends.broken_trend(bend(36, 14, 15, 0, 0.004, seed=5), draws=199).stalled
    assert not trends.broken_trend(bend(36, 14, 15, 4, 0.004, seed=5), draws=199).stalled
    assert not trends.broken_trend(bend(36, 14, 15, 0, 0.08, seed=5), draws=199).stalled


# ---------------------------------------------------------------- statistical process control

QUIET = [10, 12, 11, 13, 12, 11, 13, 12]


def signals(values) -> list[str]:
    return trends.xmr(months(values))["signal"].tolist()


def test_limits_are_those_computed_by_hand():
    table = trends.xmr(months(QUIET))
    mean, moving = 11.75, (2 + 1 + 2 + 1 + 1 + 2 + 1) / 7
    assert table["mean"].unique() == pytest.approx([mean])
    assert table["upper"].unique() == pytest.approx([mean + 2.66 * moving])
    assert table["lower"].unique() == pytest.approx([mean - 2.66 * moving])
    assert set(table["signal"]) == {""}


def test_one_large_jump_does_not_widen_the_limits():
    values = QUIET * 2 + [60] + QUIET
    ranges = np.abs(np.diff(values))
    kept = ranges[ranges <= 3.267 * ranges.mean()]
    table = trends.xmr(months(values))
    assert len(ranges) - len(kept) == 2
    assert (table["upper"] - table["mean"]).iloc[0] == pytest.approx(2.66 * kept.mean())
    assert table["signal"].iloc[16] == "outside the limits"


def test_a_low_point_is_outside_too():
    assert signals(QUIET * 2 + [-30] + QUIET)[16] == "outside the limits"


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("length, flagged", [(6, 0), (7, 7), (9, 9)])
def test_seven_on_one_side_of_the_mean_are_a_run_and_six_are_not(sign, length, flagged):
    values = [2, -2] * 5 + [0.9, 1.0, 0.9, 1.0, 0.9, 1.0, 0.9, 1.0, 0.9][:length] + [-2, 2] * 5
    found = signals([sign * v for v in values])
    assert [i for i, name in enumerate(found) if name == "run of 7 on one side"] == list(range(10, 10 + flagged))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("length, flagged", [(6, 0), (7, 7), (9, 9)])
def test_seven_rising_or_falling_are_a_trend_and_six_are_not(sign, length, flagged):
    values = [3, -3] * 6 + [-3.0 + 0.7 * step for step in range(1, length)] + [-3, 3] * 6
    found = signals([sign * v for v in values])
    assert [i for i, name in enumerate(found) if name == "7 rising or falling"] == list(range(11, 11 + flagged))


@pytest.mark.parametrize("sign", [1, -1])
def test_two_of_three_near_one_limit_are_a_signal_and_one_is_not(sign):
    calm = [0.5, -0.5] * 10
    assert [
        i
        for i, s in enumerate(signals([sign * v for v in [*calm, 2.4, 0.1, 2.4, *calm]]))
        if s == "2 of 3 near one limit"
    ] == [20, 22]
    assert "2 of 3 near one limit" not in signals([sign * v for v in [*calm, 2.0, -0.1, -0.4, *calm]])
    assert "2 of 3 near one limit" not in signals([*calm, 2.0, 0.0, -2.0, *calm])


@pytest.mark.parametrize("values", [QUIET[:7], [*QUIET, np.nan]], ids=["too few", "a gap"])
def test_a_screen_needs_eight_values_without_gaps(values):
    with pytest.raises(ValueError, match="at least 8 values without gaps"):
        trends.xmr(months(values))


@pytest.mark.parametrize("n, published", [(31, 25), (63, 51)])
def test_the_rules_cry_wolf_about_as_often_as_is_known(n, published):
    """Independent normal values, nothing happening: share of charts with at least one signal, in per cent."""
    rng = np.random.default_rng(11)
    flagged = sum((trends.xmr(months(rng.normal(size=n)))["signal"] != "").any() for _ in range(250))
    assert 100 * flagged / 250 == pytest.approx(published, abs=9)


@pytest.mark.parametrize("n", [30, 72])
def test_the_stated_false_signal_rate_is_that_of_the_steps_it_speaks_of(n):
    """The rate printed beside the screen, against noise put through the screen itself with other random numbers."""
    stated = trends.false_signal_rate(n, draws=80)
    rng = np.random.default_rng(5)
    screens = (trends.xmr(trends.remove_trend_and_season(months(rng.normal(size=n)))) for _ in range(80))
    assert stated == trends.false_signal_rate(n, draws=80)
    assert stated == pytest.approx(100 * sum((table["signal"] != "").any() for table in screens) / 80, abs=12)


def test_trend_and_season_are_taken_out_and_a_shock_stays():
    time = np.arange(72)
    y = months(50 + 0.1 * time + 3 * np.sin(2 * np.pi * time / 12))
    assert np.abs(trends.remove_trend_and_season(y)).max() < 0.5
    y.iloc[40] += 10
    rest = trends.remove_trend_and_season(y)
    assert rest.idxmax() == y.index[40] and rest.iloc[40] > 5
