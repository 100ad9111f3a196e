"""The XmR screen against hand-computed values, and its false alarms against simulation."""

import numpy as np
import pandas as pd
import pytest

from iapt import data
from iapt.models import control, trends


def months(values) -> pd.Series:
    return pd.Series(np.asarray(values, float), pd.period_range("2018-01", periods=len(values), freq="M"))


QUIET = [10, 12, 11, 13, 12, 11, 13, 12]


def signals(values) -> list[str]:
    return control.xmr(months(values))["signal"].tolist()


def test_limits_are_those_computed_by_hand():
    table = control.xmr(months(QUIET))
    mean, moving = 11.75, (2 + 1 + 2 + 1 + 1 + 2 + 1) / 7
    assert table["mean"].unique() == pytest.approx([mean])
    assert table["upper"].unique() == pytest.approx([mean + 2.66 * moving])
    assert table["lower"].unique() == pytest.approx([mean - 2.66 * moving])
    assert set(table["signal"]) == {""}


def test_one_large_jump_does_not_widen_the_limits():
    values = QUIET * 2 + [60] + QUIET
    ranges = np.abs(np.diff(values))
    kept = ranges[ranges <= 3.267 * ranges.mean()]
    table = control.xmr(months(values))
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
        control.xmr(months(values))


@pytest.mark.parametrize("n, published", [(31, 25), (63, 51)])
def test_the_rules_cry_wolf_about_as_often_as_is_known(n, published):
    """Independent normal values, nothing happening: share of charts with at least one signal, in per cent."""
    rng = np.random.default_rng(11)
    flagged = sum((control.xmr(months(rng.normal(size=n)))["signal"] != "").any() for _ in range(250))
    assert 100 * flagged / 250 == pytest.approx(published, abs=9)


def test_trend_and_season_are_taken_out_and_a_shock_stays():
    time = np.arange(72)
    y = months(50 + 0.1 * time + 3 * np.sin(2 * np.pi * time / 12))
    assert np.abs(control.remove_trend_and_season(y)).max() < 0.5
    y.iloc[40] += 10
    rest = control.remove_trend_and_season(y)
    assert rest.idxmax() == y.index[40] and rest.iloc[40] > 5


@pytest.mark.parametrize("phi, n", [(0.0, 40), (0.55, 96)])
def test_the_stated_false_alarms_are_those_of_the_screen_itself(phi, n):
    """The stated shares, against noise put through the screen point by point with other random numbers."""
    rng = np.random.default_rng(5)
    rests = [
        control.remove_trend_and_season(months(row)) for row in trends.ar1(phi, rng.normal(size=(120, n)))
    ]
    screens = [control.xmr(rest)["signal"] for rest in rests]
    middle = sorted(rests, key=lambda rest: rest.autocorr())[60]
    stated = control.false_alarms(middle)
    assert stated.phi == pytest.approx(phi, abs=0.1)
    assert stated.any_signal == pytest.approx(np.mean([(signal != "").any() for signal in screens]), abs=0.12)
    outside = np.mean([(signal == "outside the limits").sum() >= 2 for signal in screens])
    assert stated.at_least(2) == pytest.approx(outside, abs=0.12)
    assert stated.at_least(0) == pytest.approx(1)


def test_monthly_recovery_would_signal_nearly_always_but_seldom_six_times_outside():
    """White noise would give 41% and 0%, but the rest of the recovery rate has a lag-1 autocorrelation of .29."""
    rate = data.series("recovery_rate", "month", "latest").astype(float)[: pd.Period("2025-09", "M")].dropna()
    alarms = control.false_alarms(control.remove_trend_and_season(rate))
    assert alarms.alike == pytest.approx(0.29, abs=0.01) and alarms.phi == pytest.approx(0.55, abs=0.04)
    assert alarms.any_signal == pytest.approx(0.98, abs=0.01)
    assert alarms.at_least(6) == pytest.approx(0.04, abs=0.01)
    noise = control.remove_trend_and_season(months(np.random.default_rng(2).normal(size=len(rate))))
    assert control.false_alarms(noise).any_signal < 0.6


@pytest.mark.parametrize("values", [[1.0] * 23, [1.0] * 20 + [np.nan] + [1.0] * 20], ids=["too few", "a gap"])
def test_taking_out_a_season_needs_two_years_without_gaps(values):
    with pytest.raises(ValueError, match="at least 24 months without gaps"):
        control.remove_trend_and_season(months(values))
