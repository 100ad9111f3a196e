"""Funnel limits, intervals and tests against published and independent implementations, and by simulation."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.meta_analysis import combine_effects
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from iapt.models import funnel

# Deaths after open heart surgery on children under one, England 1991 to 1995, twelve hospitals: the data of
# figure 2.5 of David Spiegelhalter's The Art of Statistics (github.com/dspiegel29/ArtofStatistics, b1f651a).
OPERATIONS = pd.Series([143, 187, 323, 122, 164, 405, 239, 482, 195, 177, 581, 301])
DEATHS = pd.Series([41, 25, 24, 23, 25, 42, 24, 53, 26, 25, 58, 31])

# What FunnelPlotR (NHS-R Community; R/od_adjustment.R at 225b14d, R/calculate_limits.R at 260c859, data type PR,
# winsorised by 0.1) gives for these data in R 4.2.2: tau squared, z-scores without it, and limits at three sizes.
TAU2 = 0.00065117177
SCORES = [
    5.06790975, 0.57894842, -2.77014436, 2.12061532, 1.22826262, -1.01726867, -0.94923782, -0.66517128, 0.57656594,
    0.85510817, -1.52742917, -0.91765782,
]  # fmt: skip
SIZES = [122, 239, 581]
LIMITS = {
    (0.95, TAU2): ([0.061832706, 0.072386112, 0.081053925], [0.19312488, 0.17674105, 0.16448711]),
    (0.998, TAU2): ([0.036624886, 0.050142177, 0.061941203], [0.24150387, 0.21361388, 0.19294716]),
    (0.95, 0): ([0.068305766, 0.081636122, 0.094513349], [0.18286887, 0.16369833, 0.14722898]),
    (0.998, 0): ([0.044794347, 0.062753097, 0.081246398], [0.22401526, 0.19162382, 0.16422589]),
}
KINDS = ("proportion", "ratio")


def counts(*values: float) -> pd.Series:
    return pd.Series(values, dtype=float)


def interval(part: int, whole: int, kind: str = "proportion", rounded_to: int = 1) -> tuple[float, float]:
    return tuple(funnel.rates(counts(part), counts(whole), kind, rounded_to=rounded_to).loc[0, ["low", "high"]])


def test_scores_of_chance_equal_funnelplotr():
    found = funnel.fit(DEATHS, OPERATIONS)
    assert found.target == pytest.approx(0.11961434, abs=1e-8)
    assert replace(found, tau2=0).table(DEATHS, OPERATIONS)["score"].tolist() == pytest.approx(SCORES, abs=1e-6)


@pytest.mark.parametrize("level, tau2", LIMITS)
def test_limits_equal_funnelplotr_to_more_than_three_digits(level, tau2):
    """Given its own tau squared, which is smaller: it leaves out what winsorising takes from a normal spread."""
    found = replace(funnel.fit(DEATHS, OPERATIONS), tau2=tau2).limits(SIZES, level)
    for mine, theirs in zip(found, LIMITS[level, tau2]):
        assert mine / 100 == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_tau_squared_without_winsorising_is_that_of_paule_and_mandel(kind, monkeypatch):
    value, error = funnel.transform(DEATHS.to_numpy(), OPERATIONS.to_numpy(), kind)
    theirs = combine_effects(value, error**2, method_re="iterated")
    monkeypatch.setattr(funnel, "TRIM", 1e-12)
    mine = funnel.between(value - theirs.mean_effect_re, error)
    assert mine == pytest.approx(theirs.tau2, rel=1e-6) and mine > 0


def test_no_spread_is_found_where_there_is_less_than_chance():
    assert funnel.fit(pd.Series([300] * 20), pd.Series([1000] * 20)).tau2 == 0


def test_a_share_on_the_limit_scores_as_far_as_the_limit():
    shape, whole = funnel.Funnel("proportion", 0.4, 0.003, per=1000), counts(5000.0)
    for limit, score in zip(shape.limits(whole), (-1.959964, 1.959964)):
        row = shape.table(5 * limit, whole)
        assert row["score"].tolist() == pytest.approx([score], abs=1e-5)
        assert row["value"].tolist() == pytest.approx(limit.tolist())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("exceptional", [0, 3])
def test_limits_hold_what_they_say_for_institutions_that_are_not_exceptional(kind, exceptional):
    """The limits of the first edition had 11% outside "95%"; 1,500 sets gave 4.7% and, beside three outliers, 2.7%."""
    rng, sets, spread = np.random.default_rng(7), 1000, 0.03 if kind == "proportion" else 0.14
    whole, own = rng.integers(4000, 40000, size=(sets, 42)), rng.normal(0, spread, (sets, 42))
    own[:, :exceptional] += 5 * spread
    share = 0.37 * np.exp(own) if kind == "ratio" else np.sin(np.arcsin(np.sqrt(0.5)) + own) ** 2
    part = rng.poisson(whole * share) if kind == "ratio" else rng.binomial(whole, share)
    value, error = funnel.transform(part, whole, kind)
    away = value - funnel.transform(part.sum(axis=1) / whole.sum(axis=1), 1.0, kind)[0][:, None]
    scores = np.abs(away / np.sqrt(error**2 + funnel.between(away, error)[:, None]))[:, exceptional:]
    assert (0.04 if exceptional == 0 else 0.015) <= (scores > 1.959964).mean() <= 0.055
    assert (scores > 3.090232).mean() <= 0.004


def test_tau_squared_is_right_on_average_and_comes_by_row():
    rng = np.random.default_rng(5)
    error = np.linspace(0.005, 0.02, 42)
    away = rng.normal(0, np.hypot(error, 0.02), size=(400, 42))
    away -= away.mean(axis=1, keepdims=True)
    found = funnel.between(away, error)
    assert found.mean() == pytest.approx(0.02**2, rel=0.1)
    assert funnel.between(away[7], error) == pytest.approx(found[7])


@pytest.mark.parametrize("tails", ["normal", "heavy"])
def test_nobody_is_named_where_nobody_is_exceptional(tails):
    """The first edition named somebody in 10% (normal) and 52% (t with 4 degrees of freedom) of such sets."""
    rng = np.random.default_rng(3)
    named = 0
    for _ in range(120):
        error = pd.Series(rng.uniform(0.004, 0.012, 42))
        own = rng.normal(size=42) if tails == "normal" else rng.standard_t(4, size=42) / np.sqrt(2)
        named += funnel.unlike(rng.normal(size=42) * error + 0.02 * own, error, draws=200)["unlike"].any()
    assert named / 120 <= 0.08


def test_somebody_far_from_all_others_is_named_and_the_rest_is_not():
    rng = np.random.default_rng(2)
    away, error = pd.Series(rng.normal(0, 0.02, 42)), pd.Series(np.full(42, 0.005))
    away.iloc[5] = -0.3
    table = funnel.unlike(away, error)
    assert list(table.index[table["unlike"]]) == [5] and table.loc[5, "score"] < -8
    assert (table["p_normal"] <= table["p_heavy"]).all()


def test_interval_of_exact_counts_is_that_of_wilson():
    low, high = proportion_confint(53, 97, method="wilson")
    assert interval(53, 97) == pytest.approx((100 * low, 100 * high))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part, whole", [(5, 20), (10, 10), (45, 95), (7030, 13080)])
def test_interval_of_rounded_counts_holds_for_all_counts_they_can_stand_for(part, whole, kind):
    low, high = interval(part, whole, kind, rounded_to=5)
    for p, w in product(range(part - 2, part + 3), range(whole - 2, whole + 3)):
        if kind == "ratio" or p <= w:
            inner = interval(p, w, kind)
            assert low <= inner[0] + 1e-9 and inner[1] <= high + 1e-9
    exact = interval(part, whole, kind)
    assert high - low > exact[1] - exact[0]


def test_interval_of_a_ratio_may_pass_one_hundred_and_starts_at_zero_for_none():
    low, high = interval(120, 100, "ratio")
    assert low < 120 < high and high > 100
    assert interval(2, 100, "ratio", rounded_to=5)[0] == 0
    assert funnel.rates(counts(30), counts(1000), per=1000)["value"].item() == 30


def test_change_is_the_interval_of_newcombe():
    found = funnel.change(*(funnel.rates(counts(part), counts(whole)) for part, whole in ((40, 90), (55, 95)))).loc[0]
    theirs = confint_proportions_2indep(55, 95, 40, 90, method="newcomb", compare="diff")
    assert found["change"] == pytest.approx(100 * (55 / 95 - 40 / 90))
    assert (found["low"], found["high"]) == pytest.approx(tuple(100 * edge for edge in theirs))


def test_discoveries_follow_benjamini_and_hochberg():
    """The fifteen p-values of table 1 of Benjamini and Hochberg (1995); at 5% the four smallest stand."""
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1]
    scores = pd.Series(funnel.ndtri(np.array(p) / 2))
    assert funnel.discoveries(scores).tolist() == [True] * 4 + [False] * 11
    assert funnel.discoveries(-scores[::-1]).tolist() == [False] * 11 + [True] * 4
    assert len(funnel.discoveries(scores[:0])) == 0
