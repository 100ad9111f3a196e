"""Forecast a short official series as an equal-weight pool of four simple models.

Each model is fitted to the logs (or logits) of the seasonally adjusted series and
simulated as whole paths, so that a financial year, a date of first reaching a target and
their probabilities come from the same draws. The pool answers four readings of the past:
it stays as it is (no change), half of the trend goes on (Theta), the trend fades (damped)
and the trend goes on (drift). The trend lines and the ARIMA model that readers expect can
be drawn beside the pool and never enter it.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property
from numbers import Real
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

POOL = ("no_change", "theta", "damped", "drift")
REFERENCES = ("linear", "log_linear", "arima")
ON_VALUES = ("linear",)
PERIODS_A_YEAR = {"Y": 1, "Q": 4, "M": 12}
FEWEST_VALUES = 4
FEWEST_FOR_DAMPED = 8
SANE_FACTOR = 5
FLAT = 1e-9


class Fit(NamedTuple):
    """A fitted model, `horizon` steps ahead: future = mean + loadings @ N(0, 1) shocks.

    `mean` has shape (horizon,) and `loadings` (horizon, sources of error).
    """

    mean: np.ndarray
    loadings: np.ndarray


class Link(NamedTuple):
    """The scale a series is modelled on, the way back, and the bounds of its values."""

    forward: Callable[[np.ndarray], np.ndarray]
    back: Callable[[np.ndarray], np.ndarray]
    bounds: tuple[float, float]


LARGEST_EXPONENT = 700.0
LOG = Link(np.log, lambda z: np.exp(np.minimum(z, LARGEST_EXPONENT)), (0.0, np.inf))
LOGIT = Link(
    lambda p: np.log(p / (100 - p)),
    lambda z: 100 / (1 + np.exp(np.minimum(-z, LARGEST_EXPONENT))),
    (0.0, 100.0),
)


def load_shocks(psi: np.ndarray, sigma: float) -> np.ndarray:
    """Loadings (h, h) of a process whose shock moves the j-th later value by psi[j] * sigma."""
    h = len(psi)
    lag = np.subtract.outer(np.arange(h), np.arange(h))
    return np.where(lag >= 0, sigma * psi[np.abs(lag)], 0.0)


def spread(residuals: np.ndarray, parameters: int) -> float:
    """Standard deviation of future shocks, from n residuals of a model with k `parameters`.

    Estimated on n - k degrees of freedom (at least one) and widened so that a normal 90%
    interval is as wide as Student's. Normal shocks are kept because logs of Student t have
    exponentials without a mean.
    """
    from scipy.special import ndtri, stdtrit

    dof = max(len(residuals) - parameters, 1)
    return float(np.sqrt(residuals @ residuals / dof) * stdtrit(dof, 0.95) / ndtri(0.95))


def fit_no_change(z: np.ndarray, horizon: int) -> Fit:
    """Random walk: the last value stays, each period adds a shock."""
    sigma = spread(np.diff(z), 0)
    return Fit(np.full(horizon, z[-1]), load_shocks(np.ones(horizon), sigma))


def fit_drift(z: np.ndarray, horizon: int) -> Fit:
    """Random walk with drift: the average change goes on; its own error is a further source."""
    changes = np.diff(z)
    sigma = spread(changes - changes.mean(), 1)
    steps = np.arange(1, horizon + 1)
    loadings = load_shocks(np.ones(horizon), sigma)
    drift_error = sigma / np.sqrt(len(changes)) * steps
    return Fit(z[-1] + changes.mean() * steps, np.column_stack([loadings, drift_error]))


def fit_theta(z: np.ndarray, horizon: int) -> Fit:
    """Theta: simple exponential smoothing plus half of the straight-line trend.

    statsmodels estimates the trend and the smoothing parameter; the one-step errors of the
    same recursion give the spread.
    """
    from statsmodels.tsa.forecasting.theta import ThetaModel

    result = ThetaModel(z, period=1, deseasonalize=False).fit()
    alpha, half = float(result.params["alpha"]), float(result.params["b0"]) / 2
    detrended = z - half * np.arange(len(z))
    level = np.empty_like(z)
    level[0] = detrended[0]
    for t in range(1, len(z)):
        level[t] = level[t - 1] + alpha * (detrended[t] - level[t - 1])
    sigma = spread(detrended[1:] - level[:-1], 2)
    psi = np.full(horizon, alpha)
    psi[0] = 1.0
    mean = level[-1] + half * np.arange(len(z), len(z) + horizon)
    return Fit(mean, load_shocks(psi, sigma))


def fit_damped(z: np.ndarray, horizon: int) -> Fit:
    """Damped additive trend (ETS AAdN), its parameters bounded so that short series stay sane.

    The start is a straight line through the first ten values, the trend's smoothing is at
    most 0.05 and its damping between 0.80 and 0.95; statsmodels estimates within the bounds.
    """
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    if len(z) < FEWEST_FOR_DAMPED:
        raise ValueError(f"needs {FEWEST_FOR_DAMPED} values, found {len(z)}")
    start = z[:10]
    slope, level = np.polyfit(np.arange(1, len(start) + 1), start, 1)
    result = ETSModel(
        z,
        trend="add",
        damped_trend=True,
        initialization_method="known",
        initial_level=level,
        initial_trend=slope,
        bounds={
            "smoothing_level": (0.1, 0.9999),
            "smoothing_trend": (1e-4, 0.05),
            "damping_trend": (0.8, 0.95),
        },
    ).fit(disp=False)
    alpha, beta, phi = result.params
    sigma = spread(np.asarray(result.resid), 5)
    fading = np.cumsum(phi ** np.arange(1, horizon + 1))
    psi = np.concatenate([[1.0], alpha + beta * fading[:-1]])
    return Fit(np.asarray(result.forecast(horizon)), load_shocks(psi, sigma))


def fit_line(x: np.ndarray, horizon: int) -> Fit:
    """Straight line by least squares, with independent errors and its parameters' error."""
    from statsmodels.regression.linear_model import OLS

    n = len(x)
    design = np.column_stack([np.ones(n + horizon), np.arange(n + horizon)])
    result = OLS(x, design[:n]).fit()
    ahead = design[n:]
    sigma = spread(np.asarray(result.resid), 2)
    root = np.linalg.cholesky(result.normalized_cov_params)
    loadings = sigma * np.column_stack([np.eye(horizon), ahead @ root])
    return Fit(ahead @ result.params, loadings)


def fit_arima(z: np.ndarray, horizon: int) -> Fit:
    """ARIMA(0,1,1) with drift by exact likelihood; Theta where the optimiser fails."""
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    result = SARIMAX(z, order=(0, 1, 1), trend="c").fit(disp=False, method="powell", cov_type="none")
    if not result.mle_retvals["converged"]:
        raise ArithmeticError("the optimiser did not converge")
    psi = np.full(horizon, 1 + result.params[1])
    psi[0] = 1.0
    sigma = spread(result.resid[1:], 2)
    return Fit(np.asarray(result.forecast(horizon)), load_shocks(psi, sigma))


MODELS: dict[str, Callable[[np.ndarray, int], Fit]] = {
    "no_change": fit_no_change,
    "theta": fit_theta,
    "damped": fit_damped,
    "drift": fit_drift,
    "linear": fit_line,
    "log_linear": fit_line,
    "arima": fit_arima,
}


def find_season(z: np.ndarray, period: int) -> np.ndarray | None:
    """Seasonal effects of one year (period,), summing to zero, or None where no season shows.

    The season shows where the changes from period to period (which hold no trend) correlate
    with those a year before by more than 1.645 standard errors, with at least three years of
    values. The effects are those of the classical decomposition; on logs, multiplicative.
    """
    if period == 1 or len(z) < 3 * period:
        return None
    from statsmodels.tsa.seasonal import seasonal_decompose
    from statsmodels.tsa.stattools import acf

    changes = np.diff(z)
    if np.ptp(changes) < FLAT:
        return None
    r = acf(changes, nlags=period, fft=False)
    limit = 1.645 * np.sqrt((1 + 2 * np.sum(r[1:-1] ** 2)) / len(changes))
    return seasonal_decompose(z, period=period).seasonal[:period] if r[-1] > limit else None


def draw_paths(fit: Fit, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Simulated futures (draws, horizon), in antithetic pairs: each path and its mirror image."""
    pairs = -(-draws // 2)
    moves = rng.standard_normal((pairs, fit.loadings.shape[1])) @ fit.loadings.T
    return np.concatenate([fit.mean + moves, fit.mean - moves])[:draws]


def stream(seed: int, name: str) -> np.random.Generator:
    """The random numbers of one member: they depend on the seed and its name alone."""
    return np.random.default_rng([seed, *name.encode()])


def fit_member(name: str, z: np.ndarray, horizon: int, period: int, notes: list[str]) -> Fit:
    """Fit a model; where it fails or runs away, fit a simpler one and add a note saying so.

    A pooled model runs away when its mean path leaves a fifth to five times the level of the
    last year. Theta stands in for every other model, no change for Theta.
    """
    trouble = ""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            fit = MODELS[name](z, horizon)
        except (ArithmeticError, ValueError) as error:
            trouble = str(error)
    met = [str(w.message) for w in caught if issubclass(w.category, (UserWarning, RuntimeWarning))]
    if met:
        notes.append(f"{name}: {len(met)} warning(s) while fitting, the first: {met[0]}")
    if not trouble and not (np.isfinite(fit.mean).all() and np.isfinite(fit.loadings).all()):
        trouble = "no finite estimate"
    elif not trouble and name in POOL[1:]:
        if np.abs(fit.mean - z[-period:].mean()).max() > np.log(SANE_FACTOR):
            trouble = f"its path leaves 1/{SANE_FACTOR} to {SANE_FACTOR} times last year's level"
    if not trouble:
        return fit
    stand_in = "no_change" if name == "theta" else "theta"
    notes.append(f"{name}: {trouble}; {stand_in} used in its place")
    return fit_member(stand_in, z, horizon, period, notes)


def simulate(y: pd.Series, horizon: int, link: Link, members: Sequence[str], draws: int, seed: int) -> Forecast:
    """Adjust for season, fit the members and draw their paths on the scale of `link`."""
    horizon = check_count(horizon, "horizon")
    draws = check_count(draws, "draws")
    members = check_members(members)
    period = PERIODS_A_YEAR[y.index.freqstr.split("-")[0]]
    z = link.forward(y.to_numpy())
    n = len(z)
    notes: list[str] = []
    effects = find_season(z, period)
    season = np.zeros(n + horizon) if effects is None else np.resize(effects, n + horizon)
    adjusted = z - season[:n]
    flat = np.ptp(adjusted) < FLAT
    if flat:
        notes.append(f"the {n} values do not vary: every model repeats them, without any spread")
    paths = {}
    for name in members:
        x = link.back(adjusted) if name in ON_VALUES else adjusted
        fit = fit_member("no_change" if flat else name, x, horizon, period, notes)
        drawn = draw_paths(fit, draws, stream(seed, name))
        if name in ON_VALUES:
            with np.errstate(divide="ignore"):
                drawn = link.forward(drawn.clip(*link.bounds))
        paths[name] = link.back(drawn + season[n:])
    index = pd.period_range(y.index[-1] + 1, periods=horizon, freq=y.index.freq)
    pooled = tuple(name for name in members if name in POOL) or members
    return Forecast(y, index, paths, pooled, link is LOG, tuple(notes))


def forecast(
    y: pd.Series,
    horizon: int,
    *,
    members: Sequence[str] = POOL,
    draws: int = 5000,
    seed: int = 20200501,
) -> Forecast:
    """Forecast counts or other positive values `horizon` periods ahead.

    `y` has a yearly, quarterly or monthly PeriodIndex without gaps and at least four values;
    the models see its logs, seasonally adjusted where `find_season` finds a season. `members`
    are names of `MODELS`: those of `POOL` are pooled with equal weights, those of `REFERENCES`
    are drawn beside them (or one of them alone). `draws` is per member.

    Raises TypeError for a wrong kind of input and ValueError for values that cannot be
    forecast, each saying what was expected and found. What is repaired is in `.notes`.
    """
    return simulate(check_series(y, LOG), horizon, LOG, members, draws, seed)


def forecast_rate(
    y: pd.Series,
    n: int,
    horizon: int,
    *,
    members: Sequence[str] = POOL,
    draws: int = 5000,
    seed: int = 20200501,
) -> Forecast:
    """Forecast a rate in per cent, such as recovery, for future periods of `n` people each.

    The models work on logits; each drawn rate is then replaced by a binomial proportion of
    `n` people, because a published rate varies by chance even where the true rate does not.
    Arguments, errors and result otherwise as in `forecast`; rates are not added up.
    """
    n = check_count(n, "n")
    smooth = simulate(check_series(y, LOGIT), horizon, LOGIT, members, draws, seed)
    noisy = {
        name: 100 * stream(seed, f"{name} people").binomial(n, paths / 100) / n
        for name, paths in smooth.member_paths.items()
    }
    return replace(smooth, member_paths=noisy)


@dataclass(frozen=True, eq=False)
class Forecast:
    """Simulated futures of a series, and the questions they answer.

    `observed` is the series, `index` the forecast periods (horizon,), `member_paths` an array
    (draws, horizon) for each model asked for, `pooled` the models that make up the pool, and
    `notes` the fallbacks taken and the warnings met. `additive` is False for rates.
    """

    observed: pd.Series = field(repr=False)
    index: pd.PeriodIndex = field(repr=False)
    member_paths: dict[str, np.ndarray] = field(repr=False)
    pooled: tuple[str, ...]
    additive: bool
    notes: tuple[str, ...]

    @cached_property
    def paths(self) -> np.ndarray:
        """The draws of all pooled members together, (members x draws, horizon)."""
        return np.concatenate([self.member_paths[name] for name in self.pooled])

    @property
    def median(self) -> pd.Series:
        """The value each period is as likely to exceed as not."""
        return pd.Series(np.median(self.paths, axis=0), self.index, name="median")

    def interval(self, level: float) -> pd.DataFrame:
        """Prediction interval: each period's outturn lies inside with probability `level`."""
        if not 0 < level < 1:
            raise ValueError(f"level must lie between 0 and 1, such as 0.8; found {level!r}")
        bounds = np.quantile(self.paths, [(1 - level) / 2, (1 + level) / 2], axis=0)
        return pd.DataFrame(bounds.T, self.index, ["lower", "upper"])

    def total(self, periods: pd.PeriodIndex | Sequence[pd.Period], member: str | None = None) -> np.ndarray:
        """Draws of the sum over `periods`, of the pool or of one member; observed ones count as known.

        Raises ValueError where a period is neither observed nor forecast, is given twice or is
        of another frequency, where rates would be added, and for a member not asked for.
        """
        if member is not None and member not in self.member_paths:
            known = ", ".join(self.member_paths)
            raise ValueError(f"member must be one of {known} or None; found {member!r}")
        paths = self.paths if member is None else self.member_paths[member]
        periods = pd.PeriodIndex(periods)
        past = periods.isin(self.observed.index)
        ahead = periods[~past]
        if periods.freq != self.index.freq or not ahead.isin(self.index).all():
            span = f"{self.observed.index[0]} and {self.index[-1]}"
            frequency = self.index.freqstr
            raise ValueError(f"periods must be {frequency} between {span}; found {list(periods)}")
        if not periods.is_unique or len(periods) == 0:
            raise ValueError(f"each period once, and at least one; found {list(periods)}")
        if len(periods) > 1 and not self.additive:
            raise ValueError("rates of several periods cannot be added; ask for one period")
        return self.observed[periods[past]].sum() + paths[:, self.index.get_indexer(ahead)].sum(axis=1)

    def reach(self, target: float, periods: pd.PeriodIndex | Sequence[pd.Period] | None = None) -> pd.DataFrame:
        """Probability that the total of `periods` (default: the last one) is at least `target`.

        One row for each model and one for the pool; `mc_error` is the standard error left by
        the number of draws (an upper bound, as draws come in antithetic pairs), never zero.
        It says nothing of the models being wrong: the spread between the rows is a hint.
        """
        check_target(target)
        chosen = self.index[-1:] if periods is None else periods
        hits = {name: self.total(chosen, name) >= target for name in self.member_paths}
        hits["pooled"] = self.total(chosen) >= target
        table = pd.DataFrame({"probability": {name: h.mean() for name, h in hits.items()}})
        size = pd.Series({name: len(h) for name, h in hits.items()})
        safe = (table["probability"] * size + 1) / (size + 2)
        table["mc_error"] = np.sqrt(safe * (1 - safe) / size)
        return table

    def first_passage(self, target: float, window: int | None = None) -> pd.Series:
        """Probability that the total of `window` successive periods has reached `target` by then.

        The default window is a year (for a rate, one period). Totals that end in the observed
        part count too, so the series is 1 throughout where the target was reached already.
        Raises ValueError where fewer than `window` values are observed, or rates would be added.
        """
        check_target(target)
        year = PERIODS_A_YEAR[self.index.freqstr.split("-")[0]] if self.additive else 1
        window = year if window is None else check_count(window, "window")
        past = self.observed.to_numpy()
        if window > len(past) or (window > 1 and not self.additive):
            raise ValueError(f"window must be 1 for a rate and at most {len(past)}; found {window}")
        known = np.broadcast_to(past[len(past) - window + 1 :], (len(self.paths), window - 1))
        joined = np.concatenate([known, self.paths], axis=1)
        totals = sliding_window_view(joined, window, axis=1).sum(axis=-1)
        reached = sliding_window_view(past, window).sum(axis=-1).max()
        best = np.maximum.accumulate(totals, axis=1).clip(min=reached)
        return pd.Series((best >= target).mean(axis=0), self.index, name="probability")


def check_count(value: int, name: str) -> int:
    """`value` as an int of at least one; TypeError or ValueError otherwise."""
    if isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number, found {value!r}")
    try:
        count = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, found {value!r}") from None
    if count < 1:
        raise ValueError(f"{name} must be at least 1, found {count}")
    return count


def check_target(target: float) -> None:
    """Raise ValueError unless `target` is a finite number."""
    if not isinstance(target, Real) or not np.isfinite(target):
        raise ValueError(f"target must be a finite number, found {target!r}")


def check_members(members: Sequence[str]) -> tuple[str, ...]:
    """The names as a tuple; ValueError where one is unknown, given twice or not to be pooled."""
    names = (members,) if isinstance(members, str) else tuple(members)
    for name in names:
        if name not in MODELS:
            near = get_close_matches(str(name), MODELS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(MODELS)}"
            raise ValueError(f"unknown member {name!r}; {hint}")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"members must name each model once, and at least one; found {names}")
    if len(names) > 1 and not set(names) & set(POOL):
        raise ValueError(
            f"{', '.join(names)} are references and never pooled: "
            "ask for one alone, or for all beside members of the pool"
        )
    return names


def check_series(y: pd.Series, link: Link) -> pd.Series:
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
        (values <= link.bounds[0], "must be above 0; start the series later or forecast a sum"),
        (values >= link.bounds[1], f"must be below {link.bounds[1]:g}; forecast the count"),
    ):
        if trouble.any():
            first = trouble.idxmax()
            raise ValueError(f"y {fix}: {first} ({trouble.sum()} such value(s))")
    return values
