"""Forecast a short official series as an equal-weight pool of four simple models.

Each model is fitted to the logs of the seasonally adjusted series and simulated as whole paths, so that a financial
year, a date of first reaching a target and their probabilities come from the same draws.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

from iapt.models.members import (
    FLAT,
    MODELS,
    ON_VALUES,
    POOL,
    REFERENCES,
    YEARS_FOR_SEASON,
    Fit,
    draw_paths,
    find_season,
    fit_member,
    stream,
)

PERIODS_A_YEAR = {"Y": 1, "Q": 4, "M": 12}
FEWEST_VALUES = 4
LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
"""The quantiles of a fan: the median and the ends of the 50%, 80% and 95% intervals."""
LARGEST_EXPONENT = 700.0
"""Logs are cut here, so that what would overflow stays finite."""

Member = str | Callable[[pd.Series, int], Fit | np.ndarray]
"""A model by its name in `MODELS`, or a function of the reader's own: from a series and a horizon to simulated paths
(draws, horizon) or to a `Fit`, both on the scale of the values."""


def simulate_own(model: Callable, y: pd.Series, horizon: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Paths (draws, horizon) of a model of the reader's own, repeated or cut to the number of draws of the others.

    Raises ValueError where it gives anything but a `Fit` or a table with one column for each period ahead.
    """
    given = model(y, horizon)
    paths = draw_paths(given, draws, rng) if isinstance(given, Fit) else np.asarray(given, float)
    if paths.ndim != 2 or paths.shape[1] != horizon or not np.isfinite(paths).all():
        raise ValueError(
            f"{name_of(model)} must give finite paths of shape (draws, {horizon}) or a Fit; found shape {paths.shape}"
        )
    return paths[np.arange(draws) % len(paths)]


def name_of(member: Member) -> str:
    """The name of a member: its own, or that of its function."""
    return member if isinstance(member, str) else getattr(member, "__name__", type(member).__name__)


def forecast(
    y: pd.Series,
    horizon: int,
    *,
    members: Sequence[Member] = POOL,
    beside: Sequence[Member] = (),
    draws: int = 5000,
    seed: int = 20200501,
) -> "Forecast":
    """Forecast counts or other positive values `horizon` periods ahead.

    `y` has a yearly, quarterly or monthly PeriodIndex without gaps and at least four values; the models see its logs,
    seasonally adjusted where `find_season` finds a season. `members` are pooled with equal weights, `beside` are drawn
    and scored beside them: names of `MODELS`, or functions of one's own as `Member` describes. Models of `REFERENCES`
    are never pooled, but may be asked for alone. `draws` is per member.

    Raises TypeError for a wrong kind of input and ValueError for values that cannot be forecast, each saying what was
    expected and found. What is repaired, or questionable, is in `.notes`.
    """
    y = check_series(y)
    if horizon < 1 or draws < 1:
        raise ValueError(f"horizon and draws must be at least 1, found {horizon} and {draws}")
    members, beside = check_members(members, beside)
    period, z, n = PERIODS_A_YEAR[y.index.freqstr.split("-")[0]], np.log(y.to_numpy()), len(y)
    notes: list[str] = warn_of_cuts(y)
    effects = find_season(z, period)
    if period > 1 and n < YEARS_FOR_SEASON * period:
        notes.append(f"{n} values are less than {YEARS_FOR_SEASON} years: no season was looked for")
    season = np.zeros(n + horizon) if effects is None else np.resize(effects, n + horizon)
    adjusted = z - season[:n]
    flat = np.ptp(adjusted) < FLAT
    if flat:
        notes.append(f"the {n} values do not vary: every model repeats them, without any spread")
    paths = {}
    for member in (*members, *beside):
        name = name_of(member)
        if callable(member):
            paths[name] = simulate_own(member, y, horizon, draws, stream(seed, name))
            continue
        on_values = name in ON_VALUES and not flat
        x = np.exp(adjusted) if on_values else adjusted
        fit = fit_member("no_change" if flat else name, x, horizon, period, notes)
        drawn = draw_paths(fit, draws, stream(seed, name))
        if on_values:
            paths[name] = drawn.clip(min=0) * np.exp(season[n:])
        else:
            paths[name] = np.exp((drawn + season[n:]).clip(max=LARGEST_EXPONENT))
    index = pd.period_range(y.index[-1] + 1, periods=horizon, freq=y.index.freq)
    names = tuple(map(name_of, members))
    pooled = tuple(name for name in names if name not in REFERENCES) or names
    return Forecast(y, index, paths, pooled, tuple(notes))


def unbroken(y: pd.Series) -> pd.Series:
    """The stretch of a series since its last gap, up to its last value: what a forecast can look at."""
    held = y.loc[: y.last_valid_index()]
    return held[held.isna()[::-1].cumsum()[::-1] == 0]


def warn_of_cuts(y: pd.Series) -> list[str]:
    """A note, and a warning, where a series runs across the start of another collection (`.attrs["cuts"]`, months)."""
    cuts = [pd.Period(month, "M").asfreq(y.index.freqstr) for month in y.attrs.get("cuts", [])]
    inside = [cut for cut in cuts if y.index[0] < cut <= y.index[-1]]
    if not inside:
        return []
    note = f"the series joins different collections; the last begins {inside[-1].start_time:%B %Y}: start there"
    warnings.warn(note, UserWarning, stacklevel=3)
    return [note]


@dataclass(frozen=True, eq=False)
class Forecast:
    """Simulated futures of a series, and the questions they answer.

    `observed` is the series, `index` the forecast periods (horizon,), `member_paths` an array
    (draws, horizon) for each model asked for, `pooled` the models that make up the pool, and
    `notes` the fallbacks taken and the warnings met.
    """

    observed: pd.Series = field(repr=False)
    index: pd.PeriodIndex = field(repr=False)
    member_paths: dict[str, np.ndarray] = field(repr=False)
    pooled: tuple[str, ...]
    notes: tuple[str, ...]

    @cached_property
    def paths(self) -> np.ndarray:
        """The draws of all pooled members together, (members x draws, horizon)."""
        return np.concatenate([self.member_paths[name] for name in self.pooled])

    def total(self, periods: pd.Period | Sequence[pd.Period], member: str = "pool") -> np.ndarray:
        """Draws of the sum over `periods`, of the pool or of one member; observed ones count as known.

        A single longer period, such as the financial year of a quarterly forecast, stands for all its parts.
        Raises ValueError where a period is neither observed nor forecast, is given twice or is
        of another frequency, and for a member not asked for.
        """
        if member != "pool" and member not in self.member_paths:
            raise ValueError(f"member must be one of {', '.join(self.member_paths)} or pool; found {member!r}")
        paths = self.paths if member == "pool" else self.member_paths[member]
        periods = self._split(periods)
        past = periods.isin(self.observed.index)
        ahead = periods[~past]
        if periods.freq != self.index.freq or not ahead.isin(self.index).all():
            span = name_months(self.observed.index[0], self.index[-1])
            raise ValueError(f"periods must be {self.index.freqstr}, within {span}; found {list(periods)}")
        if not periods.is_unique or len(periods) == 0:
            raise ValueError(f"each period once, and at least one; found {list(periods)}")
        return self.observed[periods[past]].sum() + paths[:, self.index.get_indexer(ahead)].sum(axis=1)

    def totals(self, years: Sequence[pd.Period], member: str = "pool") -> pd.DataFrame:
        """Draws of the totals of several years, one row a draw and one column a year (see `total`)."""
        return pd.DataFrame({year: self.total(year, member) for year in years})

    def _split(self, periods: pd.Period | Sequence[pd.Period]) -> pd.PeriodIndex:
        if not isinstance(periods, pd.Period):
            return pd.PeriodIndex(periods)
        ends = (periods.asfreq(self.index.freq, end) for end in ("start", "end"))
        return pd.period_range(*ends, freq=self.index.freq)

    def reach(self, target: float, periods: pd.Period | Sequence[pd.Period] | None = None) -> pd.Series:
        """Probability that the total of `periods` (default: the last one) is at least `target`.

        One value for each model and one for the pool. The spread between them hints at what each leaves out: that
        the model itself is wrong.
        """
        check_target(target)
        chosen = self.index[-1:] if periods is None else periods
        chances = {name: (self.total(chosen, name) >= target).mean() for name in (*self.member_paths, "pool")}
        return pd.Series(chances, name="probability")

    def first_passage(self, target: float) -> pd.Series:
        """Probability that the total of successive periods of a year has reached `target` by then.

        Years that end in the observed part count too, so the series is 1 throughout where the target was reached
        already. Raises ValueError where less than a year is observed.
        """
        check_target(target)
        year, past = PERIODS_A_YEAR[self.index.freqstr.split("-")[0]], self.observed.to_numpy()
        if year > len(past):
            raise ValueError(f"a year of {year} values must be observed; found {len(past)}")
        known = np.broadcast_to(past[len(past) - year + 1 :], (len(self.paths), year - 1))
        totals = sliding_window_view(np.concatenate([known, self.paths], axis=1), year, axis=1).sum(axis=-1)
        reached = sliding_window_view(past, year).sum(axis=-1).max()
        best = np.maximum.accumulate(totals, axis=1).clip(min=reached)
        return pd.Series((best >= target).mean(axis=0), self.index, name="probability")


def name_months(first: pd.Period, last: pd.Period) -> str:
    """The months from one period to another, as pandas would call the financial year 2023/24 by its end alone."""
    return " to ".join(dict.fromkeys(f"{end:%B %Y}" for end in (first.start_time, last.end_time)))


def check_target(target: float) -> None:
    """Raise ValueError unless `target` is finite: nothing is ever at least a missing number."""
    if not np.isfinite(target):
        raise ValueError(f"target must be a finite number, found {target!r}")


def check_members(members: Sequence[Member], beside: Sequence[Member]) -> tuple[tuple[Member, ...], tuple[Member, ...]]:
    """Both as tuples; ValueError where a name is unknown, given twice or not to be pooled."""
    alone = lambda part: isinstance(part, str) or callable(part)
    members, beside = ((part,) if alone(part) else tuple(part) for part in (members, beside))
    names = [name_of(member) for member in (*members, *beside)]
    for member in (*members, *beside):
        if not callable(member) and member not in MODELS:
            near = get_close_matches(str(member), MODELS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(MODELS)}"
            raise ValueError(f"unknown member {member!r}; {hint}")
    if not members or len(set(names)) < len(names):
        raise ValueError(f"members must name each model once, and at least one; found {names}")
    if len(members) > 1 and all(member in REFERENCES for member in members):
        raise ValueError(
            f"{', '.join(members)} are references and never pooled: "
            "ask for one alone, or for all beside members of the pool"
        )
    return members, beside


def check_series(y: pd.Series) -> pd.Series:
    """`y` as floats, once it is known to be forecastable; TypeError or ValueError otherwise."""
    if not isinstance(y, pd.Series) or not isinstance(y.index, pd.PeriodIndex):
        found = type(y.index if isinstance(y, pd.Series) else y).__name__
        raise TypeError(f"y must be a Series with a PeriodIndex, found {found}; use to_period()")
    if y.index.freqstr.split("-")[0] not in PERIODS_A_YEAR:
        raise ValueError(f"y must be yearly, quarterly or monthly, found frequency {y.index.freqstr}")
    if not pd.api.types.is_numeric_dtype(y) or pd.api.types.is_bool_dtype(y):
        raise TypeError(f"y must hold numbers, found {y.dtype}; convert with pd.to_numeric")
    if len(y) < FEWEST_VALUES:
        raise ValueError(f"y must have at least {FEWEST_VALUES} values, found {len(y)}")
    if not (np.diff(y.index.asi8) == 1).all():
        raise ValueError("y must list successive periods once, in order; sort or reindex it")
    values = y.astype(float)
    for trouble, fix in (
        (values.isna(), "is missing; impute it or start after the gap"),
        (~np.isfinite(values), "is infinite; correct it"),
        (values <= 0, "must be above 0; start the series later or forecast a sum"),
    ):
        if trouble.any():
            first = trouble.idxmax()
            raise ValueError(f"y {fix}: {name_months(first, first)} ({trouble.sum()} such value(s))")
    return values
