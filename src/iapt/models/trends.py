"""Growth, slowdowns and chance: what a short quarterly series can say."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

FEWEST_QUARTERS = 16
BAND = 1.0
"""Per cent a year: a trend whose interval lies inside plus or minus this has stalled. Stated before looking."""


def growth(y: pd.Series, start: pd.Period, end: pd.Period) -> float:
    """Growth from one period to another, in per cent; NaN where either figure is missing."""
    return 100 * (y.get(end, np.nan) / y.get(start, np.nan) - 1)


def growth_a_year(y: pd.Series, start: pd.Period, end: pd.Period) -> float:
    """Constant growth a year that leads from one financial year to another, in per cent."""
    return 100 * ((y[end] / y[start]) ** (1 / (end - start).n) - 1)


def wilson(successes: float, trials: float, level: float = 0.95) -> tuple[float, float]:
    """Wilson interval of a proportion, in per cent."""
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(successes, trials, alpha=1 - level, method="wilson")
    return 100 * low, 100 * high


# ---------------------------------------------------------------- a break in trend


@dataclass(frozen=True)
class BrokenTrend:
    """A trend in logs that changes slope once; slopes in per cent a year, intervals by bootstrap.

    `p_value` tests one straight trend against one with a break at an unknown time (sup-F), with the
    autocorrelation of the residuals kept. `break_interval` holds 95% of the bootstrap estimates of the break.
    """

    at: pd.Period
    break_interval: tuple[pd.Period, pd.Period]
    before: float
    after: float
    before_interval: tuple[float, float]
    after_interval: tuple[float, float]
    after_interval_90: tuple[float, float]
    p_value: float
    phi: float
    fitted: pd.Series

    @property
    def stalled(self) -> bool:
        """Whether growth after the break is shown to be nil: its 90% interval inside the band (two one-sided tests at 5%)."""
        low, high = self.after_interval_90
        return -BAND < low and high < BAND


def broken_trend(y: pd.Series, *, draws: int = 1999, seed: int = 20200501) -> BrokenTrend:
    """Segmented trend of a quarterly series of counts, seasonal effects allowed for.

    The break is searched over the middle 70% of the sample. Significance comes from an AR(1) parametric
    bootstrap of the sup-F statistic, as textbook critical values reject far too often when residuals are
    autocorrelated; intervals from the same bootstrap around the broken trend.
    Raises ValueError for gaps, values that are not positive, or fewer than 16 quarters.
    """
    if y.index.freqstr != "Q-MAR" or len(y) < FEWEST_QUARTERS or y.isna().any() or (y <= 0).any():
        raise ValueError(f"a broken trend needs at least {FEWEST_QUARTERS} quarters of positive counts without gaps")
    log = np.log(y.to_numpy(float))
    n = len(log)
    time = np.arange(n) / 4
    season = (y.index.quarter.to_numpy()[:, None] == [1, 2, 3]).astype(float)
    season -= season.mean(axis=0)
    straight = np.column_stack([np.ones(n), time, season])
    places = np.arange(int(np.ceil(0.15 * n)), int(0.85 * n))
    designs = [np.column_stack([straight[:, :2], np.maximum(time - time[place], 0), season]) for place in places]

    best, statistic = _search(log[None], straight, designs)
    beta = np.linalg.lstsq(designs[best[0]], log, rcond=None)[0]
    rng = np.random.default_rng(seed)
    null_fit = straight @ np.linalg.lstsq(straight, log, rcond=None)[0]
    null_draws = null_fit + _ar1(log - null_fit, straight.shape[1], draws, rng)[0]
    p_value = (1 + (_search(null_draws, straight, designs)[1] >= statistic[0]).sum()) / (draws + 1)

    fit = designs[best[0]] @ beta
    noise, phi = _ar1(log - fit, len(beta) + 1, draws, rng)
    again = fit + noise
    breaks = _search(again, straight, designs)[0]
    slopes = np.array([np.linalg.lstsq(designs[place], row, rcond=None)[0][1:3] for place, row in zip(breaks, again)])
    rates = 100 * np.expm1(np.column_stack([slopes[:, 0], slopes.sum(axis=1)]))
    quantile = lambda values, *levels: tuple(float(v) for v in np.quantile(values, levels))
    low, high = np.quantile(places[breaks], [0.025, 0.975], method="nearest")
    return BrokenTrend(
        at=y.index[places[best[0]]],
        break_interval=(y.index[low], y.index[high]),
        before=float(100 * np.expm1(beta[1])),
        after=float(100 * np.expm1(beta[1] + beta[2])),
        before_interval=quantile(rates[:, 0], 0.025, 0.975),
        after_interval=quantile(rates[:, 1], 0.025, 0.975),
        after_interval_90=quantile(rates[:, 1], 0.05, 0.95),
        p_value=float(p_value),
        phi=phi,
        fitted=pd.Series(np.exp(designs[best[0]][:, :3] @ beta[:3]), y.index),
    )


def _search(rows: np.ndarray, straight: np.ndarray, designs: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """For each row the position of the best break among the designs, and its F statistic."""
    residual = lambda x: ((rows - rows @ (x @ np.linalg.pinv(x))) ** 2).sum(axis=1)
    broken = np.array([residual(x) for x in designs])
    best = broken.argmin(axis=0)
    least = broken.min(axis=0)
    return best, (residual(straight) - least) / (least / (rows.shape[1] - designs[0].shape[1]))


def _ar1(residuals: np.ndarray, used: int, draws: int, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Gaussian AR(1) noise like the residuals, draws x n; their autocorrelation corrected for its small-sample bias."""
    n = len(residuals)
    raw = (residuals[1:] @ residuals[:-1]) / (residuals @ residuals)
    phi = float(np.clip(raw + (1 + 3 * raw) / n, 0, 0.9))
    spread = np.sqrt(residuals @ residuals / (n - used))
    noise = rng.normal(size=(draws, n)) * spread
    for step in range(1, n):
        noise[:, step] = phi * noise[:, step - 1] + np.sqrt(1 - phi**2) * noise[:, step]
    return noise, phi


# ---------------------------------------------------------------- statistical process control


def xmr(y: pd.Series) -> pd.DataFrame:
    """Individuals chart (XmR) as NHS England's Making Data Count draws it, for a series without gaps.

    Columns value, mean, lower, upper, signal. Limits are the mean plus and minus 2.66 times the mean moving
    range, ranges above 3.267 times their mean left out. `signal` names the first rule a point breaks:
    outside the limits; a run of 7 on one side; 7 rising or falling; 2 of 3 near one limit.
    """
    if y.isna().any() or len(y) < 8:
        raise ValueError("an XmR chart needs at least 8 values without gaps")
    value, mean, lower, upper = _limits(y.to_numpy(float))
    signal = np.full(len(y), "", dtype=object)
    for name, flags in _signals(value, mean, lower, upper).items():
        signal[(signal == "") & flags] = name
    return pd.DataFrame({"value": value, "mean": mean, "lower": lower, "upper": upper, "signal": signal}, index=y.index)


def _limits(value: np.ndarray) -> tuple[np.ndarray, float, float, float]:
    ranges = np.abs(np.diff(value))
    ranges = ranges[ranges <= 3.267 * ranges.mean()]
    return value, value.mean(), value.mean() - 2.66 * ranges.mean(), value.mean() + 2.66 * ranges.mean()


def _signals(value: np.ndarray, mean: float, lower: float, upper: float) -> dict[str, np.ndarray]:
    side = np.sign(value - mean)
    step = np.sign(np.diff(value))
    near = np.where(value > mean + (upper - mean) * 2 / 3, 1, np.where(value < mean - (mean - lower) * 2 / 3, -1, 0))
    windows = lambda flags, size, need, points: _cover(
        np.convolve(flags, np.ones(size))[size - 1 : len(flags)] >= need, points, len(value)
    )
    either = lambda codes, size, need, points: (
        windows(codes == 1, size, need, points) | windows(codes == -1, size, need, points)
    )
    return {
        "outside the limits": (value > upper) | (value < lower),
        "run of 7 on one side": either(side, 7, 7, 7),
        "7 rising or falling": either(step, 6, 6, 7),
        "2 of 3 near one limit": either(near, 3, 2, 3) & (near != 0),
    }


def _cover(starts: np.ndarray, size: int, n: int) -> np.ndarray:
    flags = np.zeros(n, dtype=bool)
    for start in np.flatnonzero(starts):
        flags[start : start + size] = True
    return flags


def remove_trend_and_season(y: pd.Series) -> pd.Series:
    """What a monthly series without gaps leaves when its smooth trend and a season that stays the same are taken out.

    Plain STL: its robust form fits so closely that the rest of pure noise shows signals nearly always.
    """
    from statsmodels.tsa.seasonal import STL

    return pd.Series(STL(y.to_numpy(float), period=12, seasonal=len(y) // 2 * 2 + 1).fit().resid, y.index, name=y.name)


def false_signal_rate(n: int, *, draws: int = 400, seed: int = 20200501) -> float:
    """How often the screen flags at least one of n months although nothing happened, in per cent.

    White noise goes through `remove_trend_and_season` and the XmR rules; by simulation with a fixed seed.
    """
    noise = np.random.default_rng(seed).normal(size=(draws, n))
    months = pd.period_range("2000-01", periods=n, freq="M")
    rest = (remove_trend_and_season(pd.Series(row, months)).to_numpy() for row in noise)
    return 100 * sum(any(flags.any() for flags in _signals(*_limits(row)).values()) for row in rest) / draws
