"""A break in the trend of a short quarterly series, with the uncertainty that its autocorrelation leaves."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

FEWEST_QUARTERS = 16
BAND = 1.0
"""Per cent a year: a trend whose interval lies inside plus or minus this has stalled. Stated before looking."""
PHIS = np.linspace(0, 0.9, 10)
"""Autocorrelations tried in search of the one that leaves residuals like those found."""


@dataclass(frozen=True)
class BrokenTrend:
    """A trend in logs that changes slope once; slopes in per cent a year, each as estimate, low, high (95%).

    `p_value` tests one straight trend against one with a break at an unknown time (sup-F); `p_value_phi` is the
    autocorrelation around the straight trend that the test allows for, `interval_phi` the one around the broken trend
    that the intervals allow for. `after_90` is the 90% interval of the slope after the break. `break_interval` holds
    95% of the bootstrap estimates of the break.
    """

    at: pd.Period
    break_interval: tuple[pd.Period, pd.Period]
    before: tuple[float, float, float]
    after: tuple[float, float, float]
    after_90: tuple[float, float]
    p_value: float
    p_value_phi: float
    interval_phi: float
    fitted: pd.Series

    @property
    def verdict(self) -> str:
        """What the interval of the slope after the break shows: stalled, growing, falling, or cannot be told.

        Stalled: the 90% interval lies inside the band of no growth (two one-sided tests at 5%). Growing or falling:
        the 95% interval lies above or below 0. Otherwise the series is too short or too noisy to tell.
        """
        if -BAND < self.after_90[0] and self.after_90[1] < BAND:
            return "stalled"
        return "growing" if self.after[1] > 0 else "falling" if self.after[2] < 0 else "cannot be told"

    @property
    def table(self) -> pd.DataFrame:
        """The slopes before and after the break, per cent a year: columns value, low, high."""
        rows = {"before": self.before, "after": self.after}
        return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low", "high"])


class _Shape:
    """The designs of a straight and of every broken trend over n quarters, and their least-squares fits."""

    def __init__(self, quarter: np.ndarray):
        n = len(quarter)
        time = np.arange(n) / 4
        season = (quarter[:, None] == [1, 2, 3]).astype(float)
        season -= season.mean(axis=0)
        self.places = np.arange(int(np.ceil(0.15 * n)), int(0.85 * n))
        self.straight = np.column_stack([np.ones(n), time, season])
        self.broken = [
            np.column_stack([np.ones(n), time, np.maximum(time - time[place], 0), season]) for place in self.places
        ]
        self.used = self.broken[0].shape[1] + 1

    def fit(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For each row the position of the best break, its coefficients, and its residuals."""
        inverses = [np.linalg.pinv(design) for design in self.broken]
        squares = [((rows - rows @ (x @ inverse)) ** 2).sum(axis=1) for x, inverse in zip(self.broken, inverses)]
        best = np.argmin(squares, axis=0)
        beta = np.empty((len(rows), self.used - 1))
        for place, inverse in enumerate(inverses):
            beta[best == place] = rows[best == place] @ inverse.T
        return best, beta, rows - np.einsum("rnk,rk->rn", np.array(self.broken)[best], beta)

    def f(self, rows: np.ndarray) -> np.ndarray:
        """The sup-F statistic of each row."""
        least = (self.fit(rows)[2] ** 2).sum(axis=1)
        straight = ((rows - rows @ (self.straight @ np.linalg.pinv(self.straight))) ** 2).sum(axis=1)
        return (straight - least) / (least / (rows.shape[1] - self.used + 1))


def broken_trend(y: pd.Series, *, draws: int = 1999, seed: int = 20200501) -> BrokenTrend:
    """Segmented trend of a quarterly series of counts, seasonal effects allowed for.

    The break is searched over the middle 70% of the sample. Significance comes from an AR(1) parametric
    bootstrap of the sup-F statistic, as textbook critical values reject far too often when residuals are
    autocorrelated (sup-F: Andrews 1993, doi 10.2307/2951764). Intervals come from a studentised bootstrap of the
    whole search (Davison and Hinkley 1997, section 5.2). Residuals of a model with seven parameters are less alike
    than the errors that made them, so the errors are given the autocorrelation that leaves, in simulation,
    residuals as alike as those found.
    Raises ValueError for gaps, values that are not positive, or fewer than 16 quarters.
    """
    if y.index.freqstr != "Q-MAR" or len(y) < FEWEST_QUARTERS or y.isna().any() or (y <= 0).any():
        raise ValueError(f"a broken trend needs at least {FEWEST_QUARTERS} quarters of positive counts without gaps")
    log = np.log(y.to_numpy(float))
    shape, n = _Shape(y.index.quarter.to_numpy()), len(y)
    rng = np.random.default_rng(seed)

    null = log - shape.straight @ np.linalg.lstsq(shape.straight, log, rcond=None)[0]
    raw = alike(null)
    null_phi = float(np.clip(raw + (1 + 3 * raw) / n, 0, PHIS[-1]))
    scale = np.sqrt(null @ null / (n - shape.straight.shape[1]))
    again = log - null + scale * ar1(null_phi, rng.normal(size=(draws, n)))
    p_value = (1 + (shape.f(again) >= shape.f(log[None])[0]).sum()) / (draws + 1)

    (best,), (beta,), (rest,) = shape.fit(log[None])
    fit, scale = log - rest, np.sqrt(rest @ rest / (n - shape.used))
    phi, widen = _match(shape, fit, rest, scale, rng.normal(size=(draws // 5, n)))
    breaks, betas, rests = shape.fit(fit + widen * scale * ar1(phi, rng.normal(size=(draws, n))))
    errors = np.sqrt((rests**2).sum(axis=1) / (n - shape.used)) / scale
    bounds = lambda slope, slopes, *levels: slope - np.quantile((slopes - slope) / errors, levels)
    rate = lambda slopes: tuple(float(value) for value in 100 * np.expm1(slopes))
    before, after = beta[1], beta[1] + beta[2]
    afters = betas[:, 1] + betas[:, 2]
    low, high = np.quantile(shape.places[breaks], [0.025, 0.975], method="nearest")
    return BrokenTrend(
        at=y.index[shape.places[best]],
        break_interval=(y.index[low], y.index[high]),
        before=rate([before, *bounds(before, betas[:, 1], 0.975, 0.025)]),
        after=rate([after, *bounds(after, afters, 0.975, 0.025)]),
        after_90=rate(bounds(after, afters, 0.95, 0.05)),
        p_value=float(p_value),
        p_value_phi=null_phi,
        interval_phi=phi,
        fitted=pd.Series(np.exp(shape.broken[best][:, :3] @ beta[:3]), y.index),
    )


def _match(shape: _Shape, fit: np.ndarray, rest: np.ndarray, scale: float, noise: np.ndarray) -> tuple[float, float]:
    """The autocorrelation of errors that leaves residuals as alike as `rest`, and how much wider these errors are."""
    left = [shape.fit(fit + scale * ar1(phi, noise))[2] for phi in PHIS]
    spread = [np.sqrt((rows**2).sum(axis=1).mean() / (len(fit) - shape.used)) / scale for rows in left]
    phi = find_phi(left, alike(rest))
    return phi, float(1 / np.interp(phi, PHIS, spread))


def find_phi(left: list[np.ndarray], found: float) -> float:
    """The autocorrelation of errors that leaves residuals as alike as `found`; `left` are residuals for each of PHIS."""
    return float(np.interp(found, np.maximum.accumulate([alike(rows).mean() for rows in left]), PHIS))


def alike(rows: np.ndarray) -> np.ndarray:
    """Autocorrelation at lag 1 of values with mean 0, along the last axis."""
    return (rows[..., 1:] * rows[..., :-1]).sum(axis=-1) / (rows**2).sum(axis=-1)


def ar1(phi: float, noise: np.ndarray) -> np.ndarray:
    """Rows of independent standard normal values made into AR(1) noise with variance 1."""
    out = noise.copy()
    for step in range(1, noise.shape[1]):
        out[:, step] = phi * out[:, step - 1] + np.sqrt(1 - phi**2) * noise[:, step]
    return out
