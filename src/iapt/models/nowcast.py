"""The running financial year, from the months known so far."""

from collections.abc import Iterable
from functools import cache

import numpy as np
import pandas as pd

from iapt.models.forecast import FEWEST_VALUES, Forecast, forecast, unbroken
from iapt.models.scores import score_steps

MEMBERS = ("theta", "damped")
"""The pool is too wide on months: no change and drift follow their noise."""
FEWEST_REPEATS = 12
"""Changes from one year to the next that the spread of repeating last year's months rests on."""


def working_days(months: pd.PeriodIndex) -> pd.Series:
    """Mondays to Fridays of each month, less the bank holidays of England."""
    ends = pd.period_range(months.min(), months.max() + 1).to_timestamp().to_numpy().astype("datetime64[D]")
    closed = _bank_holidays(months.min().year, months.max().year)
    days = np.busday_count(ends[:-1], ends[1:], holidays=closed)
    return pd.Series(days, pd.period_range(months.min(), months.max()))[months]


@cache
def _bank_holidays(first: int, last: int) -> np.ndarray:
    from holidays import country_holidays

    return np.array(sorted(country_holidays("GB", subdiv="ENG", years=range(first, last + 1))), "datetime64[D]")


def nowcast(months: pd.Series, *, draws: int = 5000, seed: int = 20200501) -> Forecast:
    """The rest of the financial year in which the first unknown month lies; its `total` is that of the whole year.

    `months` are monthly counts (PeriodIndex M); what comes before the latest gap is left out. Start them after a
    shock such as the first year of the pandemic, which would make the forecast wide. Each month is divided by its
    working days, forecast by Theta and the damped trend, and multiplied back. `draws` is per member.

    Raises ValueError where the months are not monthly or an earlier month of the year is missing, and for what
    `forecast` refuses.
    """
    if not isinstance(months.index, pd.PeriodIndex) or months.index.freqstr != "M":
        raise ValueError("months must be a monthly series with a PeriodIndex of frequency M")
    y = unbroken(months)
    year = (y.index[-1] + 1).asfreq("Y-MAR")
    if y.index[0] > year.asfreq("M", "start") and y.index[-1] >= year.asfreq("M", "start"):
        raise ValueError(f"{y.index[0] - 1} is missing, so the total of the year to March {year.year} cannot be told")
    ahead = (year.asfreq("M", "end") - y.index[-1]).n
    daily = forecast(y / working_days(y.index), ahead, members=MEMBERS, draws=draws, seed=seed)
    days = working_days(daily.index).to_numpy()
    paths = {name: paths * days for name, paths in daily.member_paths.items()}
    return Forecast(y, daily.index, paths, daily.pooled, daily.notes)


def score_nowcasts(
    months: pd.Series,
    quarters: pd.Series,
    years: pd.Series,
    over: Iterable[pd.Period],
    *,
    after: Iterable[int] = range(12),
    draws: int = 1000,
) -> pd.DataFrame:
    """Nowcasts of past financial years, beside three other ways, scored against the outturn.

    One row a year of `over`, number of months known in `after` and model: "months per working day" is `nowcast`,
    "pool on quarters" and "pool on years" are the pool on what is complete, "same months of last year" repeats them,
    its spread being that of such repeats in the past. Columns of `score_steps`, with `crps` and `width80` (of the 80%
    interval) as shares of the outturn. A way that had too few values has no row. Figures as they stand in `months`,
    not as first published. Raises ValueError where a month of a year is missing.
    """
    tables = []
    for year in over:
        inside = months[year.asfreq("M", "start") : year.asfreq("M", "end")]
        if len(inside) < 12 or inside.isna().any():
            raise ValueError(f"a month of the year to March {year.year} is missing: nothing to compare with")
        outturn, totals = inside.to_numpy().sum(keepdims=True), {}
        for known in after:
            past = months[: inside.index[0] + known - 1]
            totals["months per working day"] = nowcast(past, draws=draws).total(year)
            repeated = _repeat_last_year(unbroken(past), 12 - known, inside.iloc[:known].sum())
            totals["same months of last year"] = repeated
            if known % 3 == 0 or "pool on quarters" not in totals:
                totals["pool on quarters"] = _pool(quarters, past.index[-1], year, draws)
            if "pool on years" not in totals:
                totals["pool on years"] = _pool(years, past.index[-1], year, draws)
            held = {model: total for model, total in totals.items() if total is not None}
            scored = [score_steps(total[:, None], outturn, outturn[0]) for total in held.values()]
            tables.append(pd.concat(scored).assign(year=year, known=known, model=list(held)))
    scores = pd.concat(tables, ignore_index=True)
    return scores.assign(width80=(scores["upper80"] - scores["lower80"]) / scores["outturn"])


def _pool(y: pd.Series, last: pd.Period, year: pd.Period, draws: int) -> np.ndarray | None:
    """Totals of the year by the pool, from the periods of `y` that ended by the month `last`."""
    y = unbroken(y[y.index.asfreq("M", "end") <= last])
    parts = pd.period_range(year.asfreq(y.index.freq, "start"), year.asfreq(y.index.freq, "end"))
    if len(y) < FEWEST_VALUES or (len(parts) > 1 and parts[0] < y.index[0]):
        return None
    return forecast(y, (parts[-1] - y.index[-1]).n, draws=draws).total(parts)


def _repeat_last_year(y: pd.Series, unknown: int, so_far: float) -> np.ndarray | None:
    """Totals of the year if its unknown months repeat those of last year, give or take what they did before."""
    sums = y.rolling(unknown).sum().to_numpy()[unknown - 1 :]
    if len(sums) <= FEWEST_REPEATS:
        return None
    moves = np.log(sums[12:] / sums[:-12])
    return so_far + y.iloc[len(y) - 12 : len(y) - 12 + unknown].sum() * np.exp(np.concatenate([moves, -moves]))
