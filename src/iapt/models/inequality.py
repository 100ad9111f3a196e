"""Gaps along a gradient: the slope and relative index of inequality, and how they change."""

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Gradient:
    """How a rate runs from one end of an ordered population to the other, by a weighted straight line.

    `slope` is the slope index of inequality: the rate at the last end less that at the first, in points.
    `relative` is the relative index: the one over the other. Each comes as value, low, high (95%).
    """

    slope: tuple[float, float, float]
    relative: tuple[float, float, float]

    @property
    def table(self) -> pd.DataFrame:
        """Both indices as rows: columns value, low, high."""
        rows = {"slope index": self.slope, "relative index": self.relative}
        return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low", "high"])


def gradient(part: pd.Series, whole: pd.Series) -> Gradient:
    """The gradient of a rate over ordered groups, each at the middle of its share of the population.

    Weighted least squares on the groups' rates; how far they lie off a straight line widens the intervals.
    """
    part, whole = np.asarray(part, float), np.asarray(whole, float)
    result = _line(100 * part / whole, _ranks(whole), whole)
    (start, slope), spread = result.params, result.cov_params()
    low, high = result.conf_int()[1]
    relative = (start + slope) / start
    lever = np.array([-slope / start / (start + slope), 1 / (start + slope)])
    reach = (high - slope) / np.sqrt(spread[1, 1]) * np.sqrt(lever @ spread @ lever)
    return Gradient((slope, low, high), (relative, relative * np.exp(-reach), relative * np.exp(reach)))


def gradients(part: pd.DataFrame, whole: pd.DataFrame) -> pd.DataFrame:
    """The gradient of every year: one row a year, columns slope, low, high, relative, relative_low, relative_high.

    `part` and `whole` have one row a group, in order, and one column a year.
    """
    found = {year: gradient(part[year], whole[year]) for year in part}
    columns = ["slope", "low", "high", "relative", "relative_low", "relative_high"]
    return pd.DataFrame({year: row.slope + row.relative for year, row in found.items()}, index=columns).T


def narrowing(part: pd.DataFrame, whole: pd.DataFrame) -> pd.DataFrame:
    """How much the gap narrowed between any two years, in points: below 0 it widened.

    Index since and until, columns value, low, high (95%). Arguments as in `gradients`. The groups are the same in
    both years and lie off the line in the same way, so the years are paired: the slope is fitted to each group's
    change, at its mean rank and weighted by the harmonic mean of its two sizes. The value may differ by a few tenths
    from the difference of the two slopes, as ranks move between the years.
    """
    years = list(part)
    rates, ranks = 100 * part / whole, whole.apply(lambda sizes: _ranks(sizes.to_numpy(float)))
    rows = {}
    for place, since in enumerate(years):
        for until in years[place + 1 :]:
            pair = [since, until]
            result = _line(
                (rates[until] - rates[since]).to_numpy(),
                ranks[pair].mean(axis=1).to_numpy(),
                (1 / (1 / whole[pair]).sum(axis=1)).to_numpy(),
            )
            side = -np.sign(gradient(part[since], whole[since]).slope[0])
            low, high = sorted(side * result.conf_int()[1])
            rows[since, until] = [side * result.params[1], low, high]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low", "high"])
    table.index = pd.MultiIndex.from_tuples(rows, names=["since", "until"])
    return table


def _ranks(whole: np.ndarray) -> np.ndarray:
    return (whole.cumsum() - whole / 2) / whole.sum()


def _line(values: np.ndarray, ranks: np.ndarray, weights: np.ndarray):
    import statsmodels.api as sm

    return sm.WLS(values, sm.add_constant(ranks), weights=weights).fit()
