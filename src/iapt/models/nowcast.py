"""The running financial year, from the months known so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from iapt.models.forecast import forecast
from iapt.models.scores import crps

MEMBERS = ("theta", "damped")
"""The pool is too wide on months: no change and drift follow their noise."""


def working_days(months: pd.PeriodIndex) -> pd.Series:
    """Mondays to Fridays of each month, less the bank holidays of England."""
    from holidays import country_holidays

    days = country_holidays("GB", subdiv="ENG", years=range(months.min().year, months.max().year + 1))
    first = months.to_timestamp().to_numpy().astype("datetime64[D]")
    after = (months + 1).to_timestamp().to_numpy().astype("datetime64[D]")
    return pd.Series(np.busday_count(first, after, holidays=np.array(sorted(days), "datetime64[D]")), months)


def since_gap(y: pd.Series) -> pd.Series:
    """The latest stretch of a series without missing values, those at its end left out."""
    y = y.loc[: y.last_valid_index()]
    return y[y.isna().iloc[::-1].cumsum().iloc[::-1] == 0]


@dataclass(frozen=True, eq=False)
class RunningYear:
    """The total of a financial year of which some months are known.

    `known` is the number of months known, `draws` (draws,) are totals that the year may have, `paths`
    (draws, unknown months) the months they come from, and `observed` holds the months known.
    """

    year: pd.Period
    observed: pd.Series = field(repr=False)
    draws: np.ndarray = field(repr=False)
    paths: np.ndarray = field(repr=False)

    @property
    def known(self) -> int:
        """How many months of the year are known."""
        return len(self.observed)

    @property
    def median(self) -> float:
        """The total that the year is as likely to exceed as not."""
        return float(np.median(self.draws))

    def interval(self, level: float) -> tuple[float, float]:
        """The total lies between these with probability `level`."""
        low, high = np.quantile(self.draws, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    @cached_property
    def months(self) -> pd.DataFrame:
        """Median and 80% interval (low, high) of each month of the year; a known month is all three."""
        months = pd.period_range(self.year.asfreq("M", "start"), self.year.asfreq("M", "end"))
        known = np.repeat(self.observed.to_numpy()[:, None], 3, axis=1)
        ahead = np.quantile(self.paths, [0.5, 0.1, 0.9], axis=0).T
        return pd.DataFrame(np.concatenate([known, ahead]), months, ["median", "low", "high"])

    @property
    def table(self) -> pd.DataFrame:
        """The total so far, of the rest and of the year: columns value (median), low and high (80%)."""
        far = float(self.observed.sum())
        values = np.quantile(self.draws, [0.5, 0.1, 0.9])
        rows = {"months known": [far] * 3, "months to come": values - far, "year": values}
        return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low", "high"])


def running_year(
    months: pd.Series, year: pd.Period | None = None, *, draws: int = 5000, seed: int = 20200501
) -> RunningYear:
    """The total of a financial year, known months and simulated ones together.

    `months` are monthly counts (PeriodIndex M); what comes before the latest gap is left out. Start them after a
    shock such as the first year of the pandemic, which would make the forecast wide. Each month is divided by its
    working days, forecast by Theta and the damped trend, and multiplied back. `year` is the
    financial year (Y-MAR) in which the first unknown month lies, and may be named to be sure of that.
    `draws` is per member.

    Raises ValueError where `year` is complete, has a month missing before the latest one, or has not begun to run,
    and for what `forecast` refuses.
    """
    if not isinstance(months.index, pd.PeriodIndex) or months.index.freqstr != "M":
        raise ValueError("months must be a monthly series with a PeriodIndex of frequency M")
    y = since_gap(months)
    running = (y.index[-1] + 1).asfreq("Y-MAR")
    year = running if year is None else year
    if year != running:
        raise ValueError(
            f"the latest month is {y.index[-1]}, so the running year ends in March {running.year}, "
            f"not {year.year}; cut the months to ask about another year"
        )
    observed = y[year.asfreq("M", "start") :]
    ahead = pd.period_range(y.index[-1] + 1, year.asfreq("M", "end"))
    if len(observed) + len(ahead) < 12:
        raise ValueError(f"{y.index[0] - 1} is missing, so the total of the year to March {year.year} cannot be told")
    days = working_days(y.index.append(ahead))
    daily = forecast(y / days[y.index], len(ahead), members=MEMBERS, draws=draws, seed=seed)
    paths = daily.paths * days[ahead].to_numpy()
    return RunningYear(year, observed, observed.sum() + paths.sum(axis=1), paths)


# ---------------------------------------------------------------- how good it has been


def score_running_year(
    months: pd.Series,
    quarters: pd.Series,
    years: pd.Series,
    over: pd.PeriodIndex | list[pd.Period],
    *,
    draws: int = 1000,
    seed: int = 20200501,
) -> pd.DataFrame:
    """Every month's nowcast of past financial years, beside three other ways, scored against the outturn.

    One row a year of `over`, number of months known (0 to 11) and model: `months` is `running_year`, `quarters`
    and `years` are the pool on the complete quarters and years known, `last_year` repeats the same months of
    last year, its spread being that of such repeats in the past. Columns outturn, median, error (per cent),
    inside80, inside95, width80 and crps (per cent of the outturn). A way that had too few values has no row.
    Figures as they stand in `months`, not as first published.
    """
    rows = []
    for year in over:
        outturn = months[year.asfreq("M", "start") : year.asfreq("M", "end")]
        if len(outturn) < 12 or outturn.isna().any():
            raise ValueError(f"a month of the year to March {year.year} is missing: nothing to compare with")
        for known in range(12):
            past = months[: outturn.index[0] + known - 1]
            totals = {
                "months": running_year(past, year, draws=draws, seed=seed).draws,
                "quarters": _pooled(quarters, past.index[-1], year, draws, seed),
                "years": _pooled(years, past.index[-1], year, draws, seed),
                "last_year": _last_year(since_gap(past), 12 - known, float(outturn.iloc[:known].sum())),
            }
            rows += [
                {"year": year, "known": known, "model": model, **_score(total, float(outturn.sum()))}
                for model, total in totals.items()
                if total is not None
            ]
    return pd.DataFrame(rows)


def _pooled(y: pd.Series, last: pd.Period, year: pd.Period, draws: int, seed: int) -> np.ndarray | None:
    """Totals of the year by the pool, from the periods of `y` that ended by the month `last`."""
    y = since_gap(y[[period.asfreq("M", "end") <= last for period in y.index]])
    parts = pd.period_range(year.asfreq(y.index.freq, "start"), year.asfreq(y.index.freq, "end"))
    if len(y) < 4 or (len(parts) > 1 and parts[0] < y.index[0]):
        return None
    return forecast(y, (parts[-1] - y.index[-1]).n, draws=draws, seed=seed).total(parts)


def _last_year(y: pd.Series, unknown: int, so_far: float) -> np.ndarray | None:
    """Totals of the year if its unknown months repeat those of last year, give or take what they did before."""
    sums = y.rolling(unknown).sum().to_numpy()[unknown - 1 :]
    if len(sums) <= 12:
        return None
    moves = np.log(sums[12:] / sums[:-12])
    return so_far + y.iloc[len(y) - 12 : len(y) - 12 + unknown].sum() * np.exp(np.concatenate([moves, -moves]))


def _score(draws: np.ndarray, outturn: float) -> dict[str, float]:
    low95, low80, median, high80, high95 = np.quantile(draws, [0.025, 0.1, 0.5, 0.9, 0.975])
    return {
        "outturn": outturn,
        "median": median,
        "error": 100 * (median / outturn - 1),
        "inside80": low80 <= outturn <= high80,
        "inside95": low95 <= outturn <= high95,
        "width80": 100 * (high80 - low80) / outturn,
        "crps": 100 * float(crps(np.array([outturn]), draws[:, None])[0]) / outturn,
    }
