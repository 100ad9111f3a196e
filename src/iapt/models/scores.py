"""Score forecasts against what happened: errors, coverage, the ranked probability score, and skill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtri, stdtrit

from iapt.models.forecast import PERIODS_A_YEAR, Forecast, Member, forecast
from iapt.models.members import POOL, REFERENCES

CARD = "27 quarters, 17 ahead"
"""The rows of the benchmark whose shape is that of the forecast of 2023/24 from Q3 2019/20."""
DRAWS = 1000
SEED = 20200501


def scale_of(history: np.ndarray, period: int) -> float:
    """Mean absolute change from the same period a year earlier, the unit of MASE.

    Hyndman and Koehler 2006, doi 10.1016/j.ijforecast.2006.03.001. Raises ValueError where
    nothing ever changed, since no error can then be scaled.
    """
    scale = float(np.abs(history[period:] - history[:-period]).mean())
    if not scale > 0:
        raise ValueError("history never changes from one year to the next: MASE is undefined")
    return scale


def crps(outturn: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Continuous ranked probability score per step, in the unit of the series; 0 is perfect.

    `outturn` (steps,) against `draws` (draws, steps): the mean distance of draws to the
    outturn less half their mean distance from each other. Of one draw, the absolute error.
    """
    n = len(draws)
    weights = 2 * np.arange(1, n + 1) - n - 1
    apart = weights @ np.sort(draws, axis=0) / n**2
    return np.abs(draws - outturn).mean(axis=0) - apart


def score(made: Forecast, outturns: pd.Series, models: Sequence[str] = ("pool",)) -> pd.DataFrame:
    """Totals of the forecast against those that came: one row a model and period of `outturns`, such as a year.

    Columns model, period and those of `score_steps`, `crps` in the unit of the series.
    """
    drawn = {model: made.totals(outturns.index, model).to_numpy() for model in models}
    tables = [score_steps(paths, outturns.to_numpy(float)).assign(model=model) for model, paths in drawn.items()]
    return pd.concat(tables, ignore_index=True).assign(period=np.tile(outturns.index, len(drawn)))


def score_steps(paths: np.ndarray, outturn: np.ndarray, scale: float = 1.0) -> pd.DataFrame:
    """One row per step ahead: median, bounds, whether the outturn is inside, and its errors.

    `paths` (draws, steps) against `outturn` (steps,); `mase` and `crps` are in units of `scale`, `error` is that of
    the median in per cent of the outturn, above 0 where the forecast was too high.
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
            "error": 100 * (median / outturn - 1),
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
    members: Sequence[Member] = POOL,
    beside: Sequence[Member] = REFERENCES,
    draws: int = DRAWS,
    seed: int = SEED,
) -> pd.DataFrame:
    """Forecast `y` again from each past period and score what came next.

    The first origin has `minimum` values, the next `step` more, and so on while one value is
    left to compare with; late origins are scored on the steps that are known. `members` and
    `beside` are those of `forecast`: names, or functions, which go by their `__name__`. One row per
    origin, model ("pool" and each of these) and step, with the columns of `score_steps`.
    Errors of neighbouring origins overlap: see `windows` in `summarise`.
    """
    if not 0 < minimum < len(y):
        raise ValueError(f"minimum must lie between 1 and {len(y) - 1}, found {minimum}")
    period = PERIODS_A_YEAR[y.index.freqstr.split("-")[0]]
    tables = []
    for n in range(minimum, len(y), step):
        history, future = y.iloc[:n], y.iloc[n : n + horizon]
        result = forecast(history, len(future), members=members, beside=beside, draws=draws, seed=seed)
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


@dataclass(frozen=True)
class Skill:
    """How much smaller the CRPS of a model is than that of a reference, in per cent: above 0 the model is better.

    `value` is over all forecasts, `low` and `high` its 95% interval, which spans 0 where the difference may be
    chance. `by_origin` has one row an origin: skill, crps and crps of the reference (sums).
    """

    value: float
    low: float
    high: float
    by_origin: pd.DataFrame


def skill(
    scores: pd.DataFrame, reference: str, model: str = "pool", *, block: int = 2, draws: int = 5000, seed: int = SEED
) -> Skill:
    """The CRPS skill score of a model against a reference, with its uncertainty and by origin.

    `scores` has the columns origin, model and crps, one row a forecast, as `rolling_origin` gives them. The
    interval comes from a circular block bootstrap over origins (Politis and Romano 1992): forecasts of one origin
    stay together, and `block` successive origins too, as they share outturns. A bootstrap of so few blocks is too
    narrow, so it is widened by Student's t with one degree of freedom less than there are blocks.
    Raises ValueError where either model is missing or fewer than two blocks of origins have both.
    """
    sums = scores.pivot_table(index="origin", columns="model", values="crps", aggfunc="sum")
    missing = {model, reference} - set(sums)
    if missing:
        raise ValueError(f"no scores of {', '.join(sorted(missing))}; scored are {', '.join(sums)}")
    table = sums[[model, reference]].dropna().set_axis(["crps", "reference"], axis=1)
    n = len(table)
    if n < 2 * block:
        raise ValueError(f"skill needs at least {2 * block} origins, two blocks of {block}; found {n}")
    starts = np.random.default_rng(seed).integers(0, n, size=(draws, -(-n // block)))
    picks = ((starts[..., None] + np.arange(block)) % n).reshape(draws, -1)[:, :n]
    own, other = (table[column].to_numpy()[picks].sum(axis=1) for column in table)
    value = 100 * (1 - table["crps"].sum() / table["reference"].sum())
    wider = np.sqrt(n / (n - block)) * stdtrit(n / block - 1, 0.975) / ndtri(0.975)
    low, high = value + wider * (np.quantile(100 * (1 - own / other), [0.025, 0.975]) - value)
    by_origin = table.assign(skill=100 * (1 - table["crps"] / table["reference"]))
    return Skill(float(value), float(low), float(high), by_origin)
