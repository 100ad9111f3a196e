"""Funnel limits, intervals, tests and gradients against published and independent implementations."""

import itertools

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.meta_analysis import combine_effects
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from iapt.models import funnel

# Deaths after open heart surgery on children under one, England 1991 to 1995, twelve hospitals: the data of
# figure 2.5 of David Spiegelhalter's The Art of Statistics (github.com/dspiegel29/ArtofStatistics, b1f651a).
OPERATIONS = np.array([143, 187, 323, 122, 164, 405, 239, 482, 195, 177, 581, 301])
DEATHS = np.array([41, 25, 24, 23, 25, 42, 24, 53, 26, 25, 58, 31])

# What FunnelPlotR (NHS-R Community; R/od_adjustment.R at 225b14d, R/calculate_limits.R at 260c859, data type PR,
# winsorised by 0.1) gives for these data in R 4.2.2: phi, tau squared, z-scores, and limits at three sizes.
PHI, TAU2 = 1.5617072, 0.00065117177
SCORES = [
    5.06790975,
    0.57894842,
    -2.77014436,
    2.12061532,
    1.22826262,
    -1.01726867,
    -0.94923782,
    -0.66517128,
    0.57656594,
    0.85510817,
    -1.52742917,
    -0.91765782,
]
SIZES = [122, 239, 581]
LIMITS = {
    (0.95, True): ([0.061832706, 0.072386112, 0.081053925], [0.19312488, 0.17674105, 0.16448711]),
    (0.998, True): ([0.036624886, 0.050142177, 0.061941203], [0.24150387, 0.21361388, 0.19294716]),
    (0.95, False): ([0.068305766, 0.081636122, 0.094513349], [0.18286887, 0.16369833, 0.14722898]),
    (0.998, False): ([0.044794347, 0.062753097, 0.081246398], [0.22401526, 0.19162382, 0.16422589]),
}


def test_funnel_equals_funnelplotr():
    found = funnel.fit(DEATHS, OPERATIONS)
    assert found.target == pytest.approx(0.11961434, abs=1e-8)
    assert found.phi == pytest.approx(PHI, abs=1e-6)
    assert found.tau2 == pytest.approx(TAU2, abs=1e-9)
    assert found.scores(DEATHS, OPERATIONS, spread=False) == pytest.approx(SCORES, abs=1e-6)


@pytest.mark.parametrize("level, spread", LIMITS)
def test_limits_equal_funnelplotr_to_more_than_three_digits(level, spread):
    found = funnel.fit(DEATHS, OPERATIONS).limits(SIZES, level, spread=spread)
    for mine, theirs in zip(found, LIMITS[level, spread]):
        assert mine / 100 == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize("kind", ["proportion", "ratio"])
def test_tau_squared_without_winsorising_is_that_of_dersimonian_and_laird(kind):
    value, error = funnel.transform(DEATHS, OPERATIONS, kind)
    theirs = combine_effects(value, error**2, method_re="dl")
    mine = funnel.dispersion((value - theirs.mean_effect_fe) / error, error, trim=0)[1]
    assert mine == pytest.approx(theirs.tau2, rel=1e-9) and mine > 0


def test_no_spread_is_found_where_there_is_less_than_chance():
    whole = np.full(20, 1000)
    assert funnel.fit(np.full(20, 300), whole).tau2 == 0


@pytest.mark.parametrize("kind", ["proportion", "ratio"])
def test_a_share_on_the_limit_scores_as_far_as_the_limit(kind):
    shape = funnel.Funnel(kind, 0.4, 5.0, 0.003)
    low, high = shape.limits([5000.0], 0.95)
    if kind == "ratio":
        return
    assert shape.scores(50 * low, [5000.0]) == pytest.approx([-1.959964], abs=1e-5)
    assert shape.scores(50 * high, [5000.0]) == pytest.approx([1.959964], abs=1e-5)


@pytest.mark.parametrize("kind", ["proportion", "ratio"])
@pytest.mark.parametrize("level, limit", [(0.95, 1.959964), (0.998, 3.090232)])
def test_as_many_institutions_lie_outside_as_is_said_where_none_is_exceptional(kind, level, limit):
    rng = np.random.default_rng(7)
    whole = rng.integers(4000, 40000, size=(400, 42))
    if kind == "ratio":
        part = rng.poisson(whole * 0.37 * np.exp(rng.normal(0, 0.14, whole.shape)))
    else:
        part = rng.binomial(whole, np.sin(np.arcsin(np.sqrt(0.5)) + rng.normal(0, 0.03, whole.shape)) ** 2)
    outside = np.mean([np.abs(funnel.fit(p, w, kind).scores(p, w)) > limit for p, w in zip(part, whole)])
    said = (
        np.mean([funnel.expect_outside(level, funnel.fit(p, w, kind), w) for p, w in list(zip(part, whole))[:5]]) / 42
    )
    assert outside == pytest.approx(said, rel=0.2)
    assert outside > 1.5 * (1 - level)


def test_restored_spread_is_right_on_average():
    rng = np.random.default_rng(5)
    error, between = np.full(42, 0.01), 0.02
    found = [
        funnel.dispersion(rng.normal(0, np.hypot(0.01, between), 42) / error, error, restore=True)[1]
        for _ in range(300)
    ]
    assert np.mean(found) == pytest.approx(between**2, rel=0.12)


def test_interval_of_exact_counts_is_that_of_wilson():
    low, high = proportion_confint(53, 97, method="wilson")
    assert funnel.interval(53, 97) == pytest.approx((100 * low, 100 * high))


@pytest.mark.parametrize("kind", ["proportion", "ratio"])
@pytest.mark.parametrize("part, whole", [(5, 20), (10, 10), (45, 95), (7030, 13080)])
def test_interval_of_rounded_counts_holds_for_all_counts_they_can_stand_for(part, whole, kind):
    low, high = funnel.interval(part, whole, kind, rounded_to=5)
    for p, w in itertools.product(range(part - 2, part + 3), range(whole - 2, whole + 3)):
        if kind == "ratio" or p <= w:
            inner = funnel.interval(p, w, kind)
            assert low <= inner[0] + 1e-9 and inner[1] <= high + 1e-9
    exact = funnel.interval(part, whole, kind)
    assert high - low > exact[1] - exact[0]


def test_interval_of_a_ratio_may_pass_one_hundred_and_starts_at_zero_for_none():
    low, high = funnel.interval(120, 100, "ratio")
    assert low < 120 < high and high > 100
    assert funnel.interval(2, 100, "ratio", rounded_to=5)[0] == 0


def test_change_is_the_interval_of_newcombe():
    first, last = (100 * 40 / 90, *funnel.interval(40, 90)), (100 * 55 / 95, *funnel.interval(55, 95))
    step, low, high = funnel.change(first, last)
    theirs = confint_proportions_2indep(55, 95, 40, 90, method="newcomb", compare="diff")
    assert step == pytest.approx(100 * (55 / 95 - 40 / 90)) and (low, high) == pytest.approx(
        tuple(100 * edge for edge in theirs)
    )


def test_discoveries_follow_benjamini_and_hochberg():
    # The fifteen p-values of table 1 of Benjamini and Hochberg (1995); at 5% the four smallest stand.
    p = np.array(
        [
            0.0001,
            0.0004,
            0.0019,
            0.0095,
            0.0201,
            0.0278,
            0.0298,
            0.0344,
            0.0459,
            0.3240,
            0.4262,
            0.5719,
            0.6528,
            0.7590,
            1.0,
        ]
    )
    assert funnel.is_discovery(p).tolist() == [True] * 4 + [False] * 11
    assert funnel.is_discovery(p[::-1]).tolist() == [False] * 11 + [True] * 4
    assert len(funnel.is_discovery(np.array([]))) == 0


def test_gradient_finds_the_line_that_the_rates_lie_on():
    whole = pd.Series([1000, 2000, 3000, 2000, 2000])
    middle = (whole.cumsum() - whole / 2) / whole.sum()
    found = funnel.gradient(whole * (0.6 - 0.2 * middle), whole)
    assert found.slope == pytest.approx((-20, -20, -20), abs=1e-6)
    assert found.relative == pytest.approx((40 / 60,) * 3, abs=1e-6)


def test_gradient_equals_weighted_least_squares_by_hand():
    whole = np.array([1200.0, 900, 1500, 1100, 800])
    rate = np.array([0.58, 0.55, 0.55, 0.49, 0.44])
    rank = (whole.cumsum() - whole / 2) / whole.sum()
    slope, start = np.polyfit(rank, 100 * rate, 1, w=np.sqrt(whole))
    spread = np.sum(whole * (100 * rate - start - slope * rank) ** 2) / 3
    centre = np.average(rank, weights=whole)
    error = np.sqrt(spread / np.sum(whole * (rank - centre) ** 2))
    found = funnel.gradient(rate * whole, whole)
    assert found.slope == pytest.approx((slope, slope - 3.182446 * error, slope + 3.182446 * error), rel=1e-5)
    assert found.relative[0] == pytest.approx((start + slope) / start)
    assert found.relative[1] < found.relative[0] < found.relative[2] < 1


def test_relative_index_has_the_coverage_it_claims():
    rng = np.random.default_rng(3)
    whole = np.full(10, 5000)
    middle = (np.arange(10) + 0.5) / 10
    true = 0.60 - 0.15 * middle
    hits = [
        found.relative[1] < 0.45 / 0.60 < found.relative[2]
        for found in (funnel.gradient(rng.binomial(whole, true), whole) for _ in range(150))
    ]
    assert 0.89 <= np.mean(hits) <= 1
