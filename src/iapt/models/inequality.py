"""Gaps along a gradient: the slope and relative index of inequality, and how they change."""

from itertools import combinations

import numpy as np
import pandas as pd


def gradient(part: pd.Series, whole: pd.Series) -> pd.Series:
    """How a rate runs from one end of an ordered population to the other, by a weighted straight line.

    `slope` is the slope index of inequality: the rate at the last end less that at the first, in points. `relative`
    is the relative index: the one over the other. `low` and `high`, `relative_low` and `relative_high` are their 95%
    intervals. Each group stands at the middle of its share of the population; how far the rates lie off a straight
    line widens the intervals.
    """
    result = _line(100 * part / whole, _ranks(whole), whole)
    (start, slope), spread = result.params, result.cov_params()
    low, high = result.conf_int()[1]
    relative = (start + slope) / start
    lever = np.array([-slope / start / (start + slope), 1 / (start + slope)])
    reach = np.exp((high - slope) / np.sqrt(spread[1, 1]) * np.sqrt(lever @ spread @ lever))
    both = {"slope": slope, "low": low, "high": high}
    return pd.Series(both | {"relative": relative, "relative_low": relative / reach, "relative_high": relative * reach})


def gradients(part: pd.DataFrame, whole: pd.DataFrame) -> pd.DataFrame:
    """The `gradient` of every year, one row a year. The arguments have one row a group, in order, one column a year."""
    return pd.DataFrame({year: gradient(part[year], whole[year]) for year in part}).T


def narrowing(part: pd.DataFrame, whole: pd.DataFrame) -> pd.DataFrame:
    """How much the gap narrowed between any two years, in points: below 0 it widened.

    Index since and until, columns value, low, high (95%). Arguments as in `gradients`. The groups are the same in
    both years and lie off the line in the same way, so the years are paired: the slope is fitted to each group's
    change, at its mean rank and weighted by the harmonic mean of its two sizes. The value may differ by a few tenths
    from the difference of the two slopes, as ranks move between the years.
    """
    rate, ranks, rows = 100 * part / whole, whole.apply(_ranks), {}
    for since, until in combinations(part, 2):
        pair = [since, until]
        weights = 1 / (1 / whole[pair]).sum(axis=1)
        result = _line(rate[until] - rate[since], ranks[pair].mean(axis=1), weights)
        side = -np.sign(gradient(part[since], whole[since])["slope"])
        rows[since, until] = side * np.array([result.params[1], *result.conf_int()[1][:: int(side)]])
    names = pd.MultiIndex.from_tuples(rows, names=["since", "until"]) if rows else None
    return pd.DataFrame(rows.values(), names, ["value", "low", "high"])


def _ranks(whole: pd.Series) -> pd.Series:
    return (whole.cumsum() - whole / 2) / whole.sum()


def _line(values: pd.Series, ranks: pd.Series, weights: pd.Series):
    from statsmodels.regression.linear_model import WLS

    return WLS(np.asarray(values), np.column_stack([np.ones(len(ranks)), ranks]), weights=np.asarray(weights)).fit()
