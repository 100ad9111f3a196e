"""Fair comparison: shares with their intervals, funnel limits, and changes beyond chance.

A share comes in two kinds. A `proportion` counts some of those below the line, so chance is binomial. A `ratio`
sets one count beside another that does not contain it, so both vary by chance and it can exceed 100%.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

TRIM = 0.1
"""Share of z-scores winsorised at each end before the spread is estimated (Spiegelhalter 2005)."""

FALSE_DISCOVERIES = 0.05
"""Share of the changes named that may be chance (Benjamini-Hochberg)."""

HEAVY = 4
"""Degrees of freedom of a spread with heavier tails than the normal."""


# ---------------------------------------------------------------- shares and their intervals


def rates(
    part: pd.Series, whole: pd.Series, kind: str = "proportion", *, per: float = 100, rounded_to: int = 1
) -> pd.DataFrame:
    """Shares with their 95% intervals: columns value, low and high, by default in per cent.

    Wilson for a proportion; for a ratio the interval of the ratio of two Poisson counts. Counts published rounded
    get an interval that holds for every pair of counts that rounds to them.
    """
    slack = rounded_to // 2
    least, most, fewest, largest = part - slack, part + slack, (whole - slack).clip(lower=1), whole + slack
    if kind == "ratio":
        spread = lambda p, w: np.exp(ndtri(0.975) * np.sqrt(1 / p + 1 / w))
        low = (least / largest / spread(least.clip(lower=1), largest)).clip(lower=0)
        high = most.clip(lower=1) / fewest * spread(most.clip(lower=1), fewest)
    else:
        low = proportion_confint(least.clip(lower=0), largest, method="wilson")[0]
        high = proportion_confint(np.minimum(most, fewest), fewest, method="wilson")[1]
    return per * pd.DataFrame({"value": part / whole, "low": low, "high": high})


def change(first: pd.DataFrame, last: pd.DataFrame) -> pd.DataFrame:
    """The differences of two sets of independent shares, as `rates` gives them: columns change, low and high (95%).

    From the two intervals by the square-and-add rule (Newcombe 1998), so it inherits what widened them.
    """
    step = last["value"] - first["value"]
    low = step - np.hypot(last["value"] - last["low"], first["high"] - first["value"])
    high = step + np.hypot(last["high"] - last["value"], first["value"] - first["low"])
    return pd.DataFrame({"change": step, "low": low, "high": high})


# ---------------------------------------------------------------- funnels


@dataclass(frozen=True)
class Funnel:
    """How far shares may lie from a target by chance, and by the spread that is usual between institutions.

    `tau2` is the variance between institutions beyond chance, on the scale of `transform` (Spiegelhalter 2005,
    doi 10.1002/sim.1970). `target` is a share of 1; limits and values are given for each `per`, such as 100.
    """

    kind: str
    target: float
    tau2: float
    per: float = 100

    def limits(self, whole: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper limit for institutions of these sizes: 1 - `level` of the unexceptional lie outside."""
        whole = np.asarray(whole, float)
        middle, error = transform(self.target * whole, whole, self.kind)
        reach = ndtri((1 + level) / 2) * np.sqrt(error**2 + self.tau2)
        back = np.exp if self.kind == "ratio" else lambda value: np.sin(np.clip(value, 0, np.pi / 2)) ** 2
        return self.per * back(middle - reach), self.per * back(middle + reach)

    def distances(self, part: pd.Series, whole: pd.Series) -> tuple[pd.Series, pd.Series]:
        """How far each institution lies from the target, and the standard error of chance, as `unlike` wants them."""
        value, error = transform(part, whole, self.kind)
        return value - transform(self.target, 1.0, self.kind)[0], error

    def table(self, part: pd.Series, whole: pd.Series) -> pd.DataFrame:
        """Each institution's value, the usual range low to high (95% limits), and its score.

        The score is the distance from the target in standard deviations of chance and usual spread: beyond 1.96
        outside the 95% limits, beyond 3.09 outside the 99.8% limits.
        """
        away, error = self.distances(part, whole)
        low, high = self.limits(whole)
        columns = {"value": self.per * part / whole, "low": low, "high": high}
        return pd.DataFrame(columns | {"score": away / np.sqrt(error**2 + self.tau2)})


def fit(part: pd.Series, whole: pd.Series, kind: str = "proportion", *, target: float = 0, per: float = 100) -> Funnel:
    """The funnel of these institutions around a target share (of 1), by default that of all of them together."""
    target = target or float(np.sum(part) / np.sum(whole))
    away, error = Funnel(kind, target, 0.0).distances(part, whole)
    return Funnel(kind, target, float(between(away, error)[0]), per)


def transform(part: pd.Series, whole: pd.Series, kind: str) -> tuple[pd.Series, pd.Series]:
    """A share where its standard error hardly depends on it, and that error: arcsine root, or log for a ratio."""
    if kind == "ratio":
        return np.log(part / whole), np.sqrt(1 / part + 1 / whole)
    return np.arcsin(np.sqrt(part / whole)), 0.5 / np.sqrt(whole)


def shift(
    first: tuple[pd.Series, pd.Series], last: tuple[pd.Series, pd.Series], kind: str
) -> tuple[pd.Series, pd.Series]:
    """How far shares moved, on the scale of `transform`, and the standard error of chance; each year as part, whole."""
    (old, old_error), (new, new_error) = (transform(part, whole, kind) for part, whole in (first, last))
    return new - old, np.hypot(old_error, new_error)


def between(away: np.ndarray, error: np.ndarray) -> np.ndarray:
    """tau squared: the variance of `away` (last axis: institutions) beyond its standard `error`; one value a row.

    The estimator of Paule and Mandel (1982): with tau squared added to their squared errors, the squared z-scores
    sum to one less than their number. The extremes are pulled in to the trim quantiles before, so that exceptional
    institutions do not widen the limits, and the sum is as much smaller as that makes it for a normal sample.
    Zero where there is no more than chance.
    """
    away, error, edge = np.atleast_2d(away), np.asarray(error), ndtri(1 - TRIM)
    kept = 1 - 2 * TRIM * (1 - edge**2) - 2 * edge * np.exp(-(edge**2) / 2) / np.sqrt(2 * np.pi)
    aim, reach = kept * (1 - 1 / away.shape[1]), TRIM * (away.shape[1] - 1)
    k, place = int(reach), reach % 1

    def square(tau2: np.ndarray) -> np.ndarray:
        scores = np.sort(away / np.sqrt(error**2 + tau2[:, None]), axis=1)
        edges = [(1 - place) * scores[:, i] + place * scores[:, j] for i, j in ((k, k + 1), (-1 - k, -2 - k))]
        return np.mean(np.clip(scores, *np.array(edges)[..., None]) ** 2, axis=1)

    low, high = np.zeros(len(away)), (away**2).max(axis=1) / aim
    some = square(low) > aim
    for _ in range(30):
        middle = (low + high) / 2
        above = square(middle) > aim
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.where(some, (low + high) / 2, 0.0)


# ---------------------------------------------------------------- many institutions looked at


def unlike(away: pd.Series, error: pd.Series, *, draws: int = 4000) -> pd.DataFrame:
    """Whose value lies further from the others than chance and the usual spread explain, many being looked at.

    `away` is each institution's distance from the target, such as its change less England's, and `error` its standard
    error, both on the scale of `transform`. Columns: score, in standard deviations of chance and usual spread;
    p_normal, how often the furthest of so many institutions lies as far where nobody is exceptional and the spread
    is normal; p_heavy, the same where the spread has heavier tails (Student's t, 4 degrees of freedom); and unlike,
    which needs p_heavy of at most 5%. So the chance of naming anybody where nobody is exceptional is at most 5% in
    both cases. By simulation of the whole procedure with a fixed seed.
    """
    rng, errors = np.random.default_rng(20200501), np.asarray(error, float)
    spread = between(away, errors)
    table = pd.DataFrame({"score": away / np.sqrt(errors**2 + spread)})
    chance = rng.normal(size=(draws, len(away))) * errors
    tails = {
        "p_normal": rng.normal(size=chance.shape),
        "p_heavy": rng.standard_t(HEAVY, size=chance.shape) / np.sqrt(HEAVY / (HEAVY - 2)),
    }
    for name, shape in tails.items():
        nobody = chance + shape * np.sqrt(spread)
        furthest = np.abs(nobody / np.sqrt(errors**2 + between(nobody, errors)[:, None])).max(axis=1)
        table[name] = (1 + (furthest >= np.abs(table["score"].to_numpy())[:, None]).sum(axis=1)) / (draws + 1)
    return table.assign(unlike=table["p_heavy"] <= FALSE_DISCOVERIES)


def discoveries(scores: pd.Series) -> np.ndarray:
    """Which of many z-scores stand when at most 5% of those named may be chance (Benjamini and Hochberg 1995)."""
    return multipletests(2 * ndtr(-np.abs(scores)), FALSE_DISCOVERIES, "fdr_bh")[0] if len(scores) else scores > 0
