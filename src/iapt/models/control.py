"""Statistical process control: the XmR chart, and how often it signals although nothing happened."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

from iapt.models.trends import PHIS, alike, ar1, find_phi

FEWEST_VALUES = 8
FEWEST_MONTHS = 24


def xmr(y: pd.Series) -> pd.DataFrame:
    """Individuals chart (XmR) as NHS England's Making Data Count draws it, for a series without gaps.

    Columns value, mean, lower, upper, signal. Limits are the mean plus and minus 2.66 times the mean moving
    range, ranges above 3.267 times their mean left out. `signal` names the first rule a point breaks:
    outside the limits; a run of 7 on one side; 7 rising or falling; 2 of 3 near one limit.
    """
    if y.isna().any() or len(y) < FEWEST_VALUES:
        raise ValueError(f"an XmR chart needs at least {FEWEST_VALUES} values without gaps")
    values = y.to_numpy(float)[None]
    mean, lower, upper = _limits(values)
    signal = np.full(len(y), "", dtype=object)
    for name, flags in _signals(values, mean, lower, upper).items():
        signal[(signal == "") & flags[0]] = name
    columns = {"value": values[0], "mean": mean[0, 0], "lower": lower[0, 0], "upper": upper[0, 0], "signal": signal}
    return pd.DataFrame(columns, index=y.index)


def _limits(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ranges = np.abs(np.diff(rows))
    kept = ranges <= 3.267 * ranges.mean(axis=1, keepdims=True)
    reach = 2.66 * np.mean(ranges, axis=1, keepdims=True, where=kept)
    mean = rows.mean(axis=1, keepdims=True)
    return mean, mean - reach, mean + reach


def _signals(rows: np.ndarray, mean: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> dict[str, np.ndarray]:
    side, step = np.sign(rows - mean), np.sign(np.diff(rows))
    above, below = rows > mean + (upper - mean) * 2 / 3, rows < mean - (mean - lower) * 2 / 3
    n = rows.shape[1]
    near = (_runs(above, 3, 2, 3, n) & above) | (_runs(below, 3, 2, 3, n) & below)
    return {
        "outside the limits": (rows > upper) | (rows < lower),
        "run of 7 on one side": _runs(side > 0, 7, 7, 7, n) | _runs(side < 0, 7, 7, 7, n),
        "7 rising or falling": _runs(step > 0, 6, 6, 7, n) | _runs(step < 0, 6, 6, 7, n),
        "2 of 3 near one limit": near,
    }


def _runs(flags: np.ndarray, size: int, need: int, points: int, n: int) -> np.ndarray:
    """The points (of n) that belong to a window of `size` flags of which `need` are set, each covering `points`."""
    found = sliding_window_view(flags, size, axis=1).sum(axis=-1) >= need
    covered = np.zeros((len(flags), n), bool)
    for shift in range(points):
        covered[:, shift : shift + found.shape[1]] |= found
    return covered


def remove_trend_and_season(y: pd.Series) -> pd.Series:
    """What a monthly series without gaps leaves when its smooth trend and a season that stays the same are taken out.

    Plain STL: its robust form fits so closely that the rest of pure noise shows signals nearly always.
    Raises ValueError for gaps or fewer than 24 months.
    """
    if y.isna().any() or len(y) < FEWEST_MONTHS:
        raise ValueError(f"taking out trend and season needs at least {FEWEST_MONTHS} months without gaps")
    return pd.Series(_rest(y.to_numpy(float)), y.index, name=y.name)


def _rest(values: np.ndarray) -> np.ndarray:
    from statsmodels.tsa.seasonal import STL

    return STL(values, period=12, seasonal=len(values) // 2 * 2 + 1).fit().resid


@dataclass(frozen=True)
class FalseAlarms:
    """How the screen behaves on months as alike as these in which nothing happened.

    `any_signal` is the share of such series with at least one signal. `outside` has the number of points outside the
    limits (from 0) as its index and the share of series with so many as its values. `alike` is the autocorrelation of
    the rest, `phi` that of the months which leaves such a rest. Shares lie between 0 and 1.
    """

    any_signal: float
    outside: pd.Series
    alike: float
    phi: float

    def at_least(self, points: int) -> float:
        """The share of series with this many points outside the limits, or more."""
        return float(self.outside[self.outside.index >= points].sum())


def false_alarms(rest: pd.Series, *, draws: int = 2000, seed: int = 20200501) -> FalseAlarms:
    """How often months as alike as `rest`, the result of `remove_trend_and_season`, signal although nothing happened.

    AR(1) noise goes through `remove_trend_and_season` and the XmR rules. Taking out a trend makes neighbours less
    alike, so the noise has the autocorrelation that leaves a rest as alike as the one given.
    By simulation with a fixed seed.
    """
    n = len(rest)
    through = np.array([_rest(unit) for unit in np.eye(n)])  # STL is linear: the rest of each month alone
    noise = np.random.default_rng(seed).normal(size=(draws, n))
    centred = lambda rows: rows - rows.mean(axis=-1, keepdims=True)
    found = float(alike(centred(rest.to_numpy(float))))
    phi = find_phi([centred(ar1(phi, noise) @ through) for phi in PHIS], found)
    rows = ar1(phi, noise) @ through
    signals = _signals(rows, *_limits(rows))
    outside = np.bincount(signals["outside the limits"].sum(axis=1)) / draws
    flagged = np.any([flags.any(axis=1) for flags in signals.values()], axis=0)
    return FalseAlarms(float(flagged.mean()), pd.Series(outside, name="share").rename_axis("outside"), found, phi)
