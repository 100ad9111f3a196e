"""Fair comparison: funnel limits, changes beyond chance, and gaps along a gradient, each with its uncertainty.

A share comes in two kinds. A `proportion` counts some of those below the line, so chance is binomial. A `ratio`
sets one count beside another that does not contain it, so both vary by chance and it can exceed 100%.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from iapt.models import trends

TRIM = 0.1
"""Share of z-scores winsorised at each end before the spread is estimated (Spiegelhalter 2005)."""

FALSE_DISCOVERIES = 0.05
"""Share of the changes named that may be chance (Benjamini-Hochberg)."""


# ---------------------------------------------------------------- one share and its interval


def interval(
    part: np.ndarray, whole: np.ndarray, kind: str = "proportion", *, rounded_to: int | np.ndarray = 1
) -> tuple[np.ndarray, np.ndarray]:
    """95% interval of shares in per cent, widened to hold for every pair of counts that rounds to these.

    Wilson for a proportion; for a ratio the interval of the ratio of two Poisson counts.
    """
    part, whole, slack = np.asarray(part, float), np.asarray(whole, float), np.asarray(rounded_to) // 2
    least, most, fewest = np.maximum(part - slack, 0), part + slack, np.maximum(whole - slack, 1)
    if kind == "ratio":
        return 100 * _ratio_bound(least, whole + slack, -1), 100 * _ratio_bound(most, fewest, 1)
    return trends.wilson(least, whole + slack)[0], trends.wilson(np.minimum(most, fewest), fewest)[1]


def _ratio_bound(part: np.ndarray, whole: np.ndarray, side: int) -> np.ndarray:
    shown = np.maximum(part, 1)
    return np.where(part > 0, shown / whole * np.exp(side * ndtri(0.975) * np.sqrt(1 / shown + 1 / whole)), 0.0)


def change(first: tuple[np.ndarray, ...], last: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The difference of two independent shares with its 95% interval; each share comes as value, low, high.

    From the two intervals by the square-and-add rule (Newcombe 1998), so it inherits what widened them.
    """
    step = last[0] - first[0]
    return (
        step,
        step - np.hypot(last[0] - last[1], first[2] - first[0]),
        step + np.hypot(last[2] - last[0], first[0] - first[1]),
    )


# ---------------------------------------------------------------- funnels


@dataclass(frozen=True)
class Funnel:
    """How far shares may lie from a target by chance, and by the spread that is usual between institutions.

    `phi` is the winsorised mean square of the z-scores: 1 where chance alone is at work. `tau2` is the variance
    between institutions beyond chance, on the scale of `transform` (Spiegelhalter 2005, doi 10.1002/sim.1970).
    """

    kind: str
    target: float
    phi: float
    tau2: float

    def limits(self, whole: np.ndarray, level: float = 0.95, *, spread: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper limit in per cent for institutions of these sizes; without `spread`, of chance alone."""
        whole = np.asarray(whole, float)
        middle, error = transform(self.target * whole, whole, self.kind)
        reach = ndtri((1 + level) / 2) * np.sqrt(error**2 + (self.tau2 if spread else 0))
        return tuple(100 * _back(middle + side * reach, self.kind) for side in (-1, 1))

    def scores(self, part: np.ndarray, whole: np.ndarray, *, spread: bool = True) -> np.ndarray:
        """How many standard deviations each institution lies from the target: beyond 1.96 outside the 95% limits."""
        value, error = transform(part, whole, self.kind)
        middle = transform(self.target, 1.0, self.kind)[0]
        return (value - middle) / np.sqrt(error**2 + (self.tau2 if spread else 0))


def fit(part: np.ndarray, whole: np.ndarray, kind: str = "proportion", *, target: float | None = None) -> Funnel:
    """The funnel of these institutions around a target share (of 1), by default that of all of them together."""
    target = float(np.sum(part) / np.sum(whole)) if target is None else target
    value, error = transform(part, whole, kind)
    return Funnel(kind, target, *dispersion((value - transform(target, 1.0, kind)[0]) / error, error))


def transform(part: np.ndarray, whole: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """A share on the scale where its standard error hardly depends on it, and that error: arcsine root, or log for a ratio."""
    part, whole = np.asarray(part, float), np.asarray(whole, float)
    if kind == "ratio":
        return np.log(part / whole), np.sqrt(1 / part + 1 / whole)
    return np.arcsin(np.sqrt(part / whole)), 0.5 / np.sqrt(whole)


def _back(value: np.ndarray, kind: str) -> np.ndarray:
    return np.exp(value) if kind == "ratio" else np.sin(np.clip(value, 0, np.pi / 2)) ** 2


def dispersion(
    scores: np.ndarray, errors: np.ndarray, trim: float = TRIM, *, restore: bool = False
) -> tuple[float, float]:
    """phi and tau squared of z-scores with their standard errors; the extremes are pulled in to the trim quantiles.

    tau squared is the moment estimator of DerSimonian and Laird, zero where there is no more than chance. Pulling
    in the extremes makes both too small where there are none: `restore` gives back what a normal sample loses.
    """
    pulled = np.clip(scores, *np.quantile(scores, [trim, 1 - trim]))
    n, weights = len(pulled), 1 / np.asarray(errors, float) ** 2
    phi = float(np.mean(pulled**2)) / (_kept(trim) if restore else 1)
    return phi, max(0.0, float((n * phi - (n - 1)) / (weights.sum() - (weights**2).sum() / weights.sum())))


def _kept(trim: float) -> float:
    """The variance of a standard normal variable whose tails are pulled in to these quantiles."""
    edge = ndtri(1 - trim)
    return float(1 - 2 * trim - 2 * edge * np.exp(-(edge**2) / 2) / np.sqrt(2 * np.pi) + 2 * trim * edge**2)


def expect_outside(level: float, shape: Funnel, whole: np.ndarray) -> float:
    """How many institutions of these sizes lie beyond the limits although their spread is normal and none is exceptional.

    More than the level says: pulling in the extremes makes the spread too small, the more so where sizes differ.
    By simulation of the whole procedure with a fixed seed.
    """
    error = transform(shape.target * np.asarray(whole, float), whole, shape.kind)[1]
    values = np.random.default_rng(20200501).normal(size=(2000, len(error))) * np.sqrt(
        error**2 + shape.tau2 / _kept(TRIM)
    )
    weights = 1 / error**2
    values -= (values @ weights / weights.sum())[:, None]
    scores = values / error
    edges = np.quantile(scores, [TRIM, 1 - TRIM], axis=1)[..., None]
    phi = np.mean(np.clip(scores, *edges) ** 2, axis=1)
    between = np.maximum(0, (len(error) * (phi - 1) + 1) / (weights.sum() - (weights**2).sum() / weights.sum()))
    return float((np.abs(values) > ndtri((1 + level) / 2) * np.sqrt(error**2 + between[:, None])).sum(axis=1).mean())


# ---------------------------------------------------------------- many tests


def p_values(scores: np.ndarray) -> np.ndarray:
    """Two-sided p-values of z-scores."""
    return 2 * ndtr(-np.abs(scores))


def is_discovery(p: np.ndarray) -> np.ndarray:
    """Which of many tests stand when at most 5% of those named may be chance (Benjamini-Hochberg)."""
    from statsmodels.stats.multitest import multipletests

    return multipletests(p, alpha=FALSE_DISCOVERIES, method="fdr_bh")[0] if len(p) else np.zeros(0, bool)


# ---------------------------------------------------------------- gradients


@dataclass(frozen=True)
class Gradient:
    """How a rate runs from one end of an ordered population to the other, by a weighted straight line.

    `slope` is the slope index of inequality: the rate at the last end less that at the first, in points.
    `relative` is the relative index: the one over the other. Each comes as value, low, high (95%).
    """

    slope: tuple[float, float, float]
    relative: tuple[float, float, float]
    start: float
    error: float


def gradient(part: pd.Series, whole: pd.Series) -> Gradient:
    """The gradient of a rate over ordered groups, each at the middle of its share of the population.

    Weighted least squares on the groups' rates; how far they lie off a straight line widens the intervals.
    """
    import statsmodels.api as sm

    part, whole = np.asarray(part, float), np.asarray(whole, float)
    rank = (whole.cumsum() - whole / 2) / whole.sum()
    result = sm.WLS(100 * part / whole, sm.add_constant(rank), weights=whole).fit()
    (start, slope), spread = result.params, result.cov_params()
    low, high = result.conf_int()[1]
    relative = (start + slope) / start
    lever = np.array([-slope / start / (start + slope), 1 / (start + slope)])
    reach = (high - slope) / np.sqrt(spread[1, 1]) * np.sqrt(lever @ spread @ lever)
    return Gradient(
        (slope, low, high),
        (relative, relative * np.exp(-reach), relative * np.exp(reach)),
        start,
        float(np.sqrt(spread[1, 1])),
    )
