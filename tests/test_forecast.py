"""The forecast's paths, probabilities, models and errors."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, t
from statsmodels.regression.linear_model import OLS
from statsmodels.tsa.exponential_smoothing.ets import ETSModel
from statsmodels.tsa.forecasting.theta import ThetaModel
from statsmodels.tsa.statespace.sarimax import SARIMAX

from iapt.models import members as module
from iapt.models.forecast import forecast
from iapt.models.members import (
    MODELS,
    POOL,
    REFERENCES,
    Fit,
    draw_paths,
    find_season,
    fit_damped,
    fit_drift,
    fit_line,
    fit_no_change,
    fit_theta,
    load_shocks,
    stream,
)

SEASON = np.array([0.0, 0.12, -0.09, -0.03])
STARTS = {"Y": "2004", "Q": "2012Q2", "M": "2015-04"}


def make_series(n=31, freq="Q", growth=0.02, noise=0.03, season=SEASON, seed=1):
    """A growing random walk on logs, with a season where the frequency has one."""
    rng = np.random.default_rng(seed)
    z = 12 + np.cumsum(growth + noise * rng.standard_normal(n))
    if freq != "Y":
        z += np.resize(season, n)
    return pd.Series(np.exp(z), pd.period_range(STARTS[freq], periods=n, freq=freq))


def median(made):
    return np.median(made.paths, axis=0)


@pytest.fixture(scope="module")
def quarterly():
    return forecast(make_series(), 17, members=POOL + REFERENCES, draws=2000)


def test_shapes_and_index(quarterly):
    assert set(quarterly.member_paths) == set(POOL + REFERENCES)
    assert all(paths.shape == (2000, 17) for paths in quarterly.member_paths.values())
    assert quarterly.paths.shape == (8000, 17)
    assert quarterly.index[0] == quarterly.observed.index[-1] + 1
    assert len(quarterly.index) == 17
    assert quarterly.notes == ()


def test_references_stay_out_of_the_pool(quarterly):
    alone = forecast(make_series(), 17, draws=2000)
    np.testing.assert_array_equal(alone.paths, quarterly.paths)


@pytest.mark.parametrize("freq, n, horizon", [("Y", 8, 5), ("Q", 31, 17), ("M", 60, 24)])
def test_every_frequency_gives_finite_positive_paths(freq, n, horizon):
    result = forecast(make_series(n, freq), horizon, members=POOL + REFERENCES, draws=200)
    assert result.index.freqstr.startswith(freq)
    for paths in result.member_paths.values():
        assert np.isfinite(paths).all() and (paths >= 0).all()


def test_same_seed_same_bytes_and_another_seed_differs():
    y = make_series()
    first, again, other = (forecast(y, 8, draws=100, seed=s).paths.tobytes() for s in (7, 7, 8))
    assert first == again
    assert first != other


def test_a_members_paths_do_not_depend_on_the_others():
    y = make_series()
    full = forecast(y, 8, draws=100)
    part = forecast(y, 8, draws=100, members=("drift", "theta"))
    for name in ("drift", "theta"):
        np.testing.assert_array_equal(full.member_paths[name], part.member_paths[name])


def test_members_do_not_share_their_shocks():
    result = forecast(make_series(), 1, draws=2000, members=("no_change", "theta"))
    first, second = (np.log(paths[:1000, 0]) for paths in result.member_paths.values())
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.15


def test_the_series_is_not_changed():
    y = make_series()
    before = y.copy(deep=True)
    forecast(y, 4, draws=10)
    pd.testing.assert_series_equal(y, before)


def test_total_of_one_member(quarterly):
    year = quarterly.index[-4:]
    for name in ("theta", "linear"):
        expected = quarterly.member_paths[name][:, -4:].sum(axis=1)
        np.testing.assert_allclose(quarterly.total(year, name), expected)
    with pytest.raises(ValueError, match="one of no_change.* found 'ets'"):
        quarterly.total(year, "ets")


def test_total_of_a_partly_observed_year_counts_the_observed_part(quarterly):
    year = pd.period_range(quarterly.observed.index[-3], periods=4, freq="Q")
    expected = quarterly.observed.iloc[-3:].sum() + quarterly.paths[:, 0]
    np.testing.assert_allclose(quarterly.total(year), expected)


def test_total_of_observed_periods_is_certain(quarterly):
    known = quarterly.total(quarterly.observed.index[:4])
    assert len(known) == 8000
    np.testing.assert_allclose(known, quarterly.observed.iloc[:4].sum())


def test_spread_grows_with_the_horizon(quarterly):
    low, high = np.quantile(np.log(quarterly.paths), [0.1, 0.9], axis=0)
    assert (np.diff(high - low) > 0).all()


def test_reach_by_member_agrees_with_the_pool(quarterly):
    target = float(median(quarterly)[-4:].sum()) * 1.1
    table = quarterly.reach(target, quarterly.index[-4:])
    assert list(table.index) == [*POOL, *REFERENCES, "pool"]
    pooled = table["pool"]
    assert pooled == pytest.approx(table[list(POOL)].mean())
    assert pooled == pytest.approx(np.mean(quarterly.total(quarterly.index[-4:]) >= target))
    assert 0 < pooled < 1


def test_reach_defaults_to_the_last_period(quarterly):
    target = float(median(quarterly)[-1])
    assert quarterly.reach(target)["pool"] == pytest.approx(0.5, abs=1e-3)


@settings(deadline=None, max_examples=25)
@given(
    targets=st.lists(st.floats(1e4, 1e7), min_size=2, max_size=6).map(sorted),
    growth=st.floats(-0.1, 0.1),
)
def test_probability_falls_as_the_target_rises(targets, growth):
    result = forecast(make_series(12, "Y", growth), 4, draws=60, members=("no_change", "drift"))
    probabilities = [result.reach(x)["pool"] for x in targets]
    passages = [result.first_passage(x).iloc[-1] for x in targets]
    assert (np.diff(probabilities) <= 0).all()
    assert (np.diff(passages) <= 0).all()


def test_first_passage_never_falls_and_bounds_reach(quarterly):
    target = float(median(quarterly)[-4:].sum())
    passage = quarterly.first_passage(target)
    assert (np.diff(passage) >= 0).all()
    assert 0 < passage.iloc[0] < passage.iloc[-1] <= 1 or passage.iloc[0] == 0
    last = quarterly.reach(target, quarterly.index[-4:])["pool"]
    assert passage.iloc[-1] >= last


def test_first_passage_by_hand():
    result = forecast(make_series(8, "Q"), 3, draws=50, members=("drift",))
    past, target = result.observed.to_numpy(), float(median(result)[-1] * 4)
    reached = np.zeros(3)
    for path in result.paths:
        values = np.concatenate([past, path])
        totals = [values[i - 3 : i + 1].sum() for i in range(3, len(values))]
        for step in range(3):
            reached[step] += max(totals[: len(totals) - 2 + step]) >= target
    np.testing.assert_allclose(result.first_passage(target), reached / 50)


def test_first_passage_counts_what_was_reached_already(quarterly):
    past = quarterly.observed.to_numpy()
    target = float(max(past[i : i + 4].sum() for i in range(len(past) - 3)))
    assert (quarterly.first_passage(target) == 1).all()
    assert quarterly.first_passage(target * 1.05).iloc[0] < 1


def widen(dof):
    """Student's over the normal half-width of a 90% interval."""
    return t.ppf(0.95, dof) / norm.ppf(0.95)


def test_no_change_has_the_variance_of_a_random_walk():
    z = np.log(make_series(40, "Y").to_numpy())
    fit = fit_no_change(z, 6)
    sigma2 = np.mean(np.diff(z) ** 2) * widen(39) ** 2
    np.testing.assert_allclose((fit.loadings**2).sum(axis=1), sigma2 * np.arange(1, 7))
    np.testing.assert_allclose(fit.mean, z[-1])


def test_drift_has_the_textbook_variance():
    z = np.log(make_series(25, "Y").to_numpy())
    fit, h, n = fit_drift(z, 6), np.arange(1, 7), 24
    sigma2 = np.var(np.diff(z), ddof=1) * widen(23) ** 2
    np.testing.assert_allclose((fit.loadings**2).sum(axis=1), sigma2 * h * (1 + h / n))
    np.testing.assert_allclose(fit.mean, z[-1] + h * (z[-1] - z[0]) / n)


def test_theta_is_that_of_statsmodels_or_fits_closer():
    """statsmodels stops its search some 1e-4 short of the best smoothing parameter; a shock lasts by that parameter."""
    for seed in range(5):
        z = np.log(make_series(30, "Y", seed=seed).to_numpy())
        published = ThetaModel(z, period=1, deseasonalize=False).fit()
        fit = fit_theta(z, 7)
        np.testing.assert_allclose(fit.mean, published.forecast(7, theta=2), rtol=1e-5)
        alpha = fit.loadings[1, 0] / fit.loadings[0, 0]
        assert alpha == pytest.approx(published.params["alpha"], abs=1e-3)
        np.testing.assert_allclose(fit.loadings[1:, 0], alpha * fit.loadings[0, 0])
        squares = lambda a: np.sum(module._smooth(z, a)[0] ** 2)
        assert squares(alpha) <= squares(published.params["alpha"]) * (1 + 1e-12)


def test_smoothing_by_hand():
    errors, level = module._smooth(np.array([4.0, 6, 5]), 0.5)
    assert errors.tolist() == [2, 0] and level == 5


def fit_reference_ets(z):
    slope, level = np.polyfit(np.arange(1, 11), z[:10], 1)
    return ETSModel(
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


def test_damped_is_the_bounded_ets_of_statsmodels():
    z = np.log(make_series(30, "Y", growth=0.05).to_numpy())
    result = fit_reference_ets(pd.Series(z))
    fit = fit_damped(z, 9)
    np.testing.assert_allclose(fit.mean, result.forecast(9))
    alpha, beta, phi = result.params
    assert alpha >= 0.1 and beta <= 0.05 and 0.8 <= phi <= 0.95
    inflation = 30 / 25 * widen(25) ** 2
    exact = result.get_prediction(start=30, end=38).forecast_variance * inflation
    np.testing.assert_allclose((fit.loadings**2).sum(axis=1), exact, rtol=1e-6)


def test_damped_paths_move_together_as_in_statsmodels_simulation():
    z = np.log(make_series(30, "Y", growth=0.05).to_numpy())
    result = fit_reference_ets(z)
    rng = np.random.default_rng(3)
    simulated = result.simulate(6, anchor="end", repetitions=4000, rng=rng)
    fit = fit_damped(z, 6)
    exact = fit.loadings @ fit.loadings.T / (30 / 25 * widen(25) ** 2)
    np.testing.assert_allclose(np.cov(simulated), exact, rtol=0.12)


def test_successive_fits_do_not_share_bounds():
    first, second = (np.log(make_series(20, "Y", seed=s).to_numpy()) for s in (1, 2))
    alone = fit_damped(second, 5).mean
    fit_damped(first, 5)
    np.testing.assert_array_equal(fit_damped(second, 5).mean, alone)


def test_line_has_the_prediction_error_of_least_squares():
    x = make_series(20, "Y").to_numpy()
    design = np.column_stack([np.ones(25), np.arange(25)])
    expected = OLS(x, design[:20]).fit().get_prediction(design[20:])
    fit = fit_line(x, 5)
    np.testing.assert_allclose(fit.mean, expected.predicted_mean)
    half_width = norm.ppf(0.95) * np.sqrt((fit.loadings**2).sum(axis=1))
    upper = expected.conf_int(obs=True, alpha=0.1)[:, 1]
    np.testing.assert_allclose(fit.mean + half_width, upper)


def test_arima_spreads_as_in_statsmodels():
    z = np.log(make_series(40, "Y", noise=0.05, seed=4).to_numpy())
    model = SARIMAX(z, order=(0, 1, 1), trend="c").fit(disp=False, method="powell")
    exact = model.get_forecast(5).se_mean
    found = np.sqrt((MODELS["arima"](z, 5).loadings ** 2).sum(axis=1))
    np.testing.assert_allclose(found / found[0], exact / exact[0], rtol=1e-4)


@settings(deadline=None, max_examples=20)
@given(psi=st.lists(st.floats(-2, 2), min_size=1, max_size=8), sigma=st.floats(0.01, 3))
def test_loadings_give_the_variance_of_a_moving_average(psi, sigma):
    loadings = load_shocks(np.array(psi), sigma)
    expected = sigma**2 * np.cumsum(np.square(psi))
    np.testing.assert_allclose((loadings**2).sum(axis=1), expected, atol=1e-12)
    assert (np.triu(loadings, 1) == 0).all()


def test_draws_have_the_stated_moments():
    fit = Fit(np.array([5.0, 6.0]), load_shocks(np.array([1.0, 0.5]), 0.2))
    drawn = draw_paths(fit, 200_000, stream(1, "x"))
    np.testing.assert_allclose(drawn.mean(axis=0), fit.mean, atol=1e-12)
    np.testing.assert_allclose(np.cov(drawn.T), fit.loadings @ fit.loadings.T, rtol=0.03)


@pytest.mark.parametrize("draws", [1, 2, 7])
def test_any_number_of_draws(draws):
    assert forecast(make_series(), 2, draws=draws).paths.shape == (4 * draws, 2)


def test_season_is_found_and_carried_forward():
    y = make_series(31, noise=0.005)
    effects = find_season(np.log(y.to_numpy()), 4)
    np.testing.assert_allclose(effects, SEASON, atol=0.01)
    ahead = np.log(median(forecast(y, 4, members=("no_change",), draws=10)))
    np.testing.assert_allclose(ahead - ahead.mean(), np.roll(SEASON, -31), atol=0.01)


def test_no_season_is_found_in_a_trend():
    rng = np.random.default_rng(5)
    z = 0.05 * np.arange(32) + 0.02 * np.cumsum(rng.standard_normal(32))
    assert find_season(z, 4) is None
    assert find_season(np.resize(SEASON, 40), 1) is None


@pytest.mark.parametrize("period, freq", [(4, "Q"), (12, "M")])
@pytest.mark.parametrize("years", [3, 4, 5])
def test_a_strong_season_is_found_from_three_years_on(period, freq, years):
    """A season of 30% up and down, as a wave and as irregular months; in less, none is looked for, and said."""
    rng = np.random.default_rng(3)
    wave, irregular = 0.3 * np.sin(2 * np.pi * np.arange(period) / period + 0.4), rng.uniform(-0.3, 0.3, period)
    for season in (wave, irregular):
        made = [np.log(make_series(years * period, freq, season=season, seed=seed).to_numpy()) for seed in range(20)]
        assert sum(find_season(z, period) is not None for z in made) >= 18
    short = make_series(3 * period - 1, freq, season=wave)
    assert f"{len(short)} values are less than 3 years: no season was looked for" in forecast(short, 2, draws=10).notes


@pytest.mark.parametrize("period, years", [(4, 3), (12, 3), (4, 5), (12, 5)])
def test_a_season_is_seldom_found_where_there_is_none(period, years):
    noise = np.random.default_rng(4).normal(0.02, 0.03, (100, years * period)).cumsum(axis=1)
    assert sum(find_season(z, period) is not None for z in noise) <= 12


def test_lines_stop_at_the_bounds():
    years = pd.period_range("2010", periods=8, freq="Y")
    falling = pd.Series([90.0, 76, 66, 51, 39, 28, 14, 3], years)
    counts = forecast(falling, 3, members=("linear",), draws=100)
    assert (counts.paths[:, 1:] == 0).all()


def test_constant_series_repeats_without_spread_and_says_so():
    y = pd.Series(7.0, pd.period_range("2010", periods=6, freq="Y"))
    result = forecast(y, 3, members=POOL + REFERENCES, draws=10)
    for paths in result.member_paths.values():
        np.testing.assert_allclose(paths, 7.0)
    assert any("without any spread" in note for note in result.notes)


def test_steady_growth_without_noise_is_forecast():
    y = pd.Series(100 * 1.1 ** np.arange(12), pd.period_range("2010", periods=12, freq="Y"))
    result = forecast(y, 3, draws=10)
    np.testing.assert_allclose(result.member_paths["drift"], np.tile(y.iloc[-1] * 1.1 ** np.arange(1, 4), (10, 1)))


def test_four_values_are_enough_and_the_stand_in_is_noted():
    result = forecast(make_series(4, "Y"), 5, draws=300)
    assert np.isfinite(result.paths).all()
    assert result.notes == ("damped: needs 8 values, found 4; theta used in its place",)


def test_a_member_that_runs_away_is_replaced_and_noted():
    y = pd.Series(2.0 ** np.arange(10), pd.period_range("2010", periods=10, freq="Y"))
    result = forecast(y, 5, draws=10, members=("theta", "drift"))
    assert np.median(result.member_paths["drift"][:, -1]) < 5 * y.iloc[-1]
    assert [note for note in result.notes if note.startswith("drift: its path leaves 1/5 to 5")]


def test_a_failing_fit_falls_back_with_a_note(monkeypatch):
    def fail(z, horizon):
        raise np.linalg.LinAlgError("singular")

    def give_nan(z, horizon):
        return Fit(np.full(horizon, np.nan), np.eye(horizon))

    monkeypatch.setitem(MODELS, "theta", fail)
    monkeypatch.setitem(MODELS, "damped", give_nan)
    result = forecast(make_series(), 2, draws=10, members=("damped",))
    assert np.isfinite(result.paths).all()
    assert result.notes == (
        "damped: no finite estimate; theta used in its place",
        "theta: singular; no_change used in its place",
    )


def test_an_arima_that_does_not_converge_is_replaced(monkeypatch):
    fit = SARIMAX.fit
    monkeypatch.setattr(SARIMAX, "fit", lambda self, **k: fit(self, **k, maxiter=0))
    result = forecast(make_series(), 2, draws=10, members=("arima",))
    assert any("did not converge; theta used" in note for note in result.notes)


def test_warnings_are_counted_not_shown(monkeypatch):
    def warn(z, horizon):
        for _ in range(3):
            warnings.warn("maximum reached", RuntimeWarning)
        return fit_no_change(z, horizon)

    monkeypatch.setitem(MODELS, "no_change", warn)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = forecast(make_series(), 2, draws=10, members=("no_change",))
    assert result.notes == ("no_change: 3 warning(s) while fitting, the first: maximum reached",)


@settings(deadline=None, max_examples=30)
@given(
    values=st.lists(st.floats(1e-3, 1e9), min_size=4, max_size=25),
    freq=st.sampled_from(["Y", "Q", "M"]),
)
def test_any_positive_series_gives_a_finite_forecast(values, freq):
    y = pd.Series(values, pd.period_range(STARTS[freq], periods=len(values), freq=freq))
    result = forecast(y, 5, draws=20)
    assert np.isfinite(result.paths).all()
    assert np.isfinite(result.paths).all()


def change(position, value):
    y = make_series(10)
    y.iloc[position] = value
    return y


@pytest.mark.parametrize(
    "y, error, words",
    [
        ([1, 2, 3, 4], TypeError, "PeriodIndex, found list"),
        (make_series().to_timestamp(), TypeError, "DatetimeIndex; use to_period"),
        (make_series().astype(str), TypeError, "must hold numbers"),
        (make_series() > 0, TypeError, "must hold numbers, found bool"),
        (make_series(3, "Y"), ValueError, "at least 4 values, found 3"),
        (change(4, np.nan), ValueError, "missing.*April 2013 to June 2013"),
        (change(4, np.inf), ValueError, "infinite.*April 2013"),
        (change(4, 0), ValueError, "above 0.*April 2013"),
        (change(4, -3), ValueError, "above 0.*April 2013"),
        (make_series().drop(pd.Period("2014Q1")), ValueError, "successive periods"),
        (make_series()[::-1], ValueError, "successive periods"),
        (
            pd.Series(range(1, 9), pd.period_range("2020-01-01", periods=8, freq="D")),
            ValueError,
            "yearly, quarterly or monthly, found frequency D",
        ),
        (
            pd.Series([1, 2, None, 4], pd.period_range("2020", periods=4, freq="Y"), dtype="Int64"),
            ValueError,
            "missing.*2022",
        ),
    ],
)
def test_unusable_series_are_refused(y, error, words):
    with pytest.raises(error, match=words):
        forecast(y, 4)


@pytest.mark.parametrize(
    "arguments, error, words",
    [
        ({"horizon": 0}, ValueError, "horizon and draws must be at least 1, found 0 and"),
        ({"draws": 0}, ValueError, "must be at least 1, found 4 and 0"),
        ({"members": ("thete",)}, ValueError, "did you mean 'theta'"),
        ({"members": ("prophet",)}, ValueError, "choose from no_change"),
        ({"members": ()}, ValueError, "at least one"),
        ({"members": ("theta", "theta")}, ValueError, "each model once"),
        ({"members": REFERENCES}, ValueError, "never pooled"),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, words):
    with pytest.raises(error, match=words):
        forecast(make_series(), **{"horizon": 4, **arguments})


@pytest.mark.parametrize(
    "periods, words",
    [
        (pd.period_range("2030Q1", periods=2, freq="Q"), "within April 2012 to March 2024"),
        (pd.period_range("2021", periods=1, freq="Y"), "must be Q"),
        (pd.PeriodIndex(["2021Q1", "2021Q1"], freq="Q"), "each period once"),
        (pd.PeriodIndex([], freq="Q"), "at least one"),
    ],
)
def test_wrong_periods_are_refused(quarterly, periods, words):
    with pytest.raises(ValueError, match=words):
        quarterly.total(periods)


def test_wrong_questions_are_refused(quarterly):
    for target in (np.nan, np.inf):
        with pytest.raises(ValueError, match="finite number"):
            quarterly.reach(target)
        with pytest.raises(ValueError, match="finite number"):
            quarterly.first_passage(target)
    with pytest.raises(ValueError, match="a year of 12 values must be observed; found 6"):
        forecast(make_series(6, "M"), 3, draws=10).first_passage(1)


def seasonal_ets(y, horizon):
    """A model of the reader's own."""
    model = ETSModel(y, error="mul", trend="add", seasonal="mul", seasonal_periods=4)
    return model.fit(disp=False).simulate(horizon, repetitions=400, anchor="end", rng=np.random.default_rng(1)).T


def test_a_model_of_ones_own_stands_beside_the_pool_or_in_it():
    y = make_series()
    alone = forecast(y, 6, draws=500)
    beside = forecast(y, 6, draws=500, beside=(seasonal_ets, "linear"))
    np.testing.assert_array_equal(beside.paths, alone.paths)
    own = beside.member_paths["seasonal_ets"]
    assert own.shape == (500, 6)
    assert beside.reach(y.iloc[-1]).index.tolist() == [*POOL, "seasonal_ets", "linear", "pool"]
    pooled = forecast(y, 6, draws=500, members=(*POOL, seasonal_ets))
    assert pooled.pooled == (*POOL, "seasonal_ets") and len(pooled.paths) == 5 * 500
    np.testing.assert_array_equal(pooled.member_paths["seasonal_ets"], own)


def test_a_model_of_ones_own_may_give_a_fit():
    def last_value(y, horizon):
        return Fit(np.full(horizon, y.iloc[-1]), np.zeros((horizon, 1)))

    y = make_series()
    assert (forecast(y, 3, draws=10, members=(last_value,)).paths == y.iloc[-1]).all()


@pytest.mark.parametrize("given", [np.zeros(3), np.zeros((5, 2)), np.full((5, 3), np.nan)])
def test_paths_of_the_wrong_shape_are_refused(given):
    with pytest.raises(ValueError, match=r"<lambda> must give finite paths of shape \(draws, 3\)"):
        forecast(make_series(), 3, beside=(lambda y, horizon: given,))


def test_a_series_across_collections_is_warned_of():
    y = make_series()
    y.attrs["cuts"] = ["2010-04", "2014-04"]
    with pytest.warns(UserWarning, match="different collections; the last begins April 2014"):
        assert "start there" in forecast(y, 2, draws=10).notes[0]
    assert not forecast(y["2014Q2":], 2, draws=10).notes


def test_importing_the_module_does_not_import_statsmodels():
    code = "import sys, iapt.models.forecast; sys.exit('statsmodels' in sys.modules)"
    path = str(Path(module.__file__).parents[1])
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": path}).returncode == 0
