"""The simple models of a forecast: each fitted to the logs of a series, and drawn as whole paths.

The pool answers four readings of the past: it stays as it is (no change), half of the trend goes on (Theta), the trend
fades (damped) and the trend goes on (drift). The trend lines and the ARIMA model that readers expect can be drawn
beside the pool and never enter it.
"""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

POOL = ("no_change", "theta", "damped", "drift")
REFERENCES = ("linear", "log_linear", "arima")
ON_VALUES = ("linear",)
MEANING = {
    "pool": "the pool",
    "no_change": "stays as it is",
    "theta": "half of the trend goes on",
    "damped": "the trend fades",
    "drift": "the trend goes on",
    "linear": "straight line",
    "log_linear": "constant growth",
    "arima": "ARIMA(0,1,1) with drift",
}
"""What each model says of the future, in words."""
FEWEST_FOR_DAMPED = 8
YEARS_FOR_SEASON = 3
SANE_FACTOR = 5
FLAT = 1e-9


class Fit(NamedTuple):
    """A fitted model, `horizon` steps ahead: future = mean + loadings @ N(0, 1) shocks.

    `mean` has shape (horizon,) and `loadings` (horizon, sources of error).
    """

    mean: np.ndarray
    loadings: np.ndarray


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

    The smoothing parameter minimises the squared one-step errors from the first value on, as statsmodels' ThetaModel
    has it, found by a search in one dimension that takes a tenth of its time. Assimakopoulos and Nikolopoulos 2000,
    doi 10.1016/S0169-2070(00)00066-2; as smoothing with drift, Hyndman and Billah 2003,
    doi 10.1016/S0169-2070(01)00143-1.
    """
    from scipy.optimize import minimize_scalar

    n, half = len(z), np.polyfit(np.arange(len(z)), z, 1)[0] / 2
    squares = lambda alpha: np.sum(_smooth(z, alpha)[0] ** 2)
    alpha = minimize_scalar(squares, bounds=(1e-4, 0.9999), method="bounded", options={"xatol": 1e-8}).x
    errors, level = _smooth(z - half * np.arange(n), alpha)
    psi = np.concatenate([[1.0], np.full(horizon - 1, alpha)])
    return Fit(level + half * np.arange(n, n + horizon), load_shocks(psi, spread(errors, 2)))


def _smooth(z: np.ndarray, alpha: float) -> tuple[np.ndarray, float]:
    """One-step errors (n - 1,) and the last level of exponential smoothing that starts at the first value."""
    from scipy.signal import lfilter

    levels = lfilter([alpha], [1, alpha - 1], z, zi=[(1 - alpha) * z[0]])[0]
    return z[1:] - levels[:-1], levels[-1]


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

    From four years on the season shows where the changes from period to period (which hold no trend) correlate with
    those a year before by more than 1.645 standard errors. In three years that test misses even strong seasons, so
    the changes are compared between the periods of the year instead (analysis of variance at 5%). None is looked for
    in less. The effects are those of the classical decomposition; on logs, multiplicative.
    """
    if period == 1 or len(z) < YEARS_FOR_SEASON * period or np.ptp(np.diff(z)) < FLAT:
        return None
    from scipy.stats import f_oneway
    from statsmodels.tsa.seasonal import seasonal_decompose
    from statsmodels.tsa.stattools import acf

    changes = np.diff(z)
    if len(z) < (YEARS_FOR_SEASON + 1) * period:
        shows = f_oneway(*(changes[first::period] for first in range(period))).pvalue < 0.05
    else:
        r = acf(changes, nlags=period, fft=False)
        shows = r[-1] > 1.645 * np.sqrt((1 + 2 * np.sum(r[1:-1] ** 2)) / len(changes))
    return seasonal_decompose(z, period=period).seasonal[:period] if shows else None


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
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            fit, trouble = MODELS[name](z, horizon), ""
            if not (np.isfinite(fit.mean).all() and np.isfinite(fit.loadings).all()):
                trouble = "no finite estimate"
            elif name in POOL[1:] and np.abs(fit.mean - z[-period:].mean()).max() > np.log(SANE_FACTOR):
                trouble = f"its path leaves 1/{SANE_FACTOR} to {SANE_FACTOR} times last year's level"
        except (ArithmeticError, ValueError) as error:
            trouble = str(error)
    met = [str(w.message) for w in caught if issubclass(w.category, (UserWarning, RuntimeWarning))]
    if met:
        notes.append(f"{name}: {len(met)} warning(s) while fitting, the first: {met[0]}")
    if not trouble:
        return fit
    stand_in = "no_change" if name == "theta" else "theta"
    notes.append(f"{name}: {trouble}; {stand_in} used in its place")
    return fit_member(stand_in, z, horizon, period, notes)
