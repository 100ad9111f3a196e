"""Fair comparison: shares with their intervals, funnel limits, and changes beyond chance.

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

    `phi` is the winsorised mean square of the z-scores: 1 where chance alone is at work (Spiegelhalter 2005,
    doi 10.1002/sim.1970). `tau2` is the variance between institutions beyond chance, on the scale of `transform`.
    """

    kind: str
    target: float
    phi: float
    tau2: float

    def limits(self, whole: np.ndarray, level: float = 0.95, *, spread: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper limit in per cent for institutions of these sizes; without `spread`, of chance alone.

        Of institutions that are not exceptional, 1 - `level` lie outside the limits with the spread.
        """
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
    away = value - transform(target, 1.0, kind)[0]
    return Funnel(kind, target, float(np.mean(_winsorise(away / error, TRIM) ** 2)), float(between(away, error)[0]))


def transform(part: np.ndarray, whole: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """A share where its standard error hardly depends on it, and that error: arcsine root, or log for a ratio."""
    part, whole = np.asarray(part, float), np.asarray(whole, float)
    if kind == "ratio":
        return np.log(part / whole), np.sqrt(1 / part + 1 / whole)
    return np.arcsin(np.sqrt(part / whole)), 0.5 / np.sqrt(whole)


def _back(value: np.ndarray, kind: str) -> np.ndarray:
    return np.exp(value) if kind == "ratio" else np.sin(np.clip(value, 0, np.pi / 2)) ** 2


def between(away: np.ndarray, error: np.ndarray, trim: float = TRIM) -> np.ndarray:
    """tau squared: the variance of `away` (last axis: institutions) beyond its standard `error`; one value a row.

    The estimator of Paule and Mandel (1982): with tau squared added to their squared errors, the squared z-scores
    sum to one less than their number. The extremes are pulled in to the trim quantiles before, so that exceptional
    institutions do not widen the limits, and the sum is as much smaller as that makes it for a normal sample.
    Zero where there is no more than chance.
    """
    away = np.atleast_2d(away)
    error, n = np.broadcast_to(error, away.shape), away.shape[1]
    aim = _kept(trim) * (n - 1) / n
    square = lambda tau2: np.mean(_winsorise(away / np.sqrt(error**2 + tau2[:, None]), trim) ** 2, axis=1)
    low, high = np.zeros(len(away)), (away**2).max(axis=1) / aim
    for _ in range(40):
        middle = (low + high) / 2
        above = square(middle) > aim
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.where(square(np.zeros(len(away))) > aim, (low + high) / 2, 0.0)


def _winsorise(scores: np.ndarray, trim: float) -> np.ndarray:
    edges = np.quantile(scores, [trim, 1 - trim], axis=-1)[..., None]
    return np.clip(scores, *edges)


def _kept(trim: float) -> float:
    """The variance of a standard normal variable whose tails are pulled in to these quantiles."""
    if trim == 0:
        return 1.0
    edge = ndtri(1 - trim)
    return float(1 - 2 * trim - 2 * edge * np.exp(-(edge**2) / 2) / np.sqrt(2 * np.pi) + 2 * trim * edge**2)


# ---------------------------------------------------------------- who is unlike the others


HEAVY = 4
"""Degrees of freedom of a spread with heavier tails than the normal."""


def unlike(away: pd.Series, error: pd.Series, *, draws: int = 4000, seed: int = 20200501) -> pd.DataFrame:
    """Whose value lies further from the others than chance and the usual spread explain, many being looked at.

    `away` is each institution's distance from the target, such as its change less England's, and `error` its standard
    error, both on the scale of `transform`. Columns: score, in standard deviations of chance and usual spread;
    p_normal, how often the furthest of so many institutions lies as far where nobody is exceptional and the spread
    is normal; p_heavy, the same where the spread has heavier tails (Student's t, 4 degrees of freedom); and unlike,
    which needs p_heavy of at most 5%. So the chance of naming anybody where nobody is exceptional is at most 5% in
    both cases. By simulation of the whole procedure with a fixed seed.
    """
    if away.empty:
        return pd.DataFrame(columns=["score", "p_normal", "p_heavy", "unlike"], index=away.index)
    rng = np.random.default_rng(seed)
    values, errors = away.to_numpy(float), error.to_numpy(float)
    spread = between(values, errors)
    scores = values / np.sqrt(errors**2 + spread)
    chance = rng.normal(size=(draws, len(values))) * errors
    tails = {
        "p_normal": rng.normal(size=chance.shape),
        "p_heavy": rng.standard_t(HEAVY, size=chance.shape) / np.sqrt(HEAVY / (HEAVY - 2)),
    }
    table = pd.DataFrame({"score": scores}, index=away.index)
    for name, shape in tails.items():
        nobody = chance + shape * np.sqrt(spread)
        furthest = np.abs(nobody / np.sqrt(errors**2 + between(nobody, errors)[:, None])).max(axis=1)
        table[name] = (1 + (furthest >= np.abs(scores)[:, None]).sum(axis=1)) / (draws + 1)
    return table.assign(unlike=table["p_heavy"] <= FALSE_DISCOVERIES)


# ---------------------------------------------------------------- many tests


def p_values(scores: np.ndarray) -> np.ndarray:
    """Two-sided p-values of z-scores."""
    return 2 * ndtr(-np.abs(scores))


def is_discovery(p: np.ndarray) -> np.ndarray:
    """Which of many tests stand when at most 5% of those named may be chance (Benjamini-Hochberg)."""
    from statsmodels.stats.multitest import multipletests

    return multipletests(p, alpha=FALSE_DISCOVERIES, method="fdr_bh")[0] if len(p) else np.zeros(0, bool)
