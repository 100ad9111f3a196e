"""Slope and relative index, and their change, against hand-computed values and by simulation."""

import numpy as np
import pandas as pd
import pytest

from iapt import data
from iapt.models import inequality


def test_gradient_finds_the_line_that_the_rates_lie_on():
    whole = pd.Series([1000, 2000, 3000, 2000, 2000])
    middle = (whole.cumsum() - whole / 2) / whole.sum()
    found = inequality.gradient(whole * (0.6 - 0.2 * middle), whole)
    assert found.tolist() == pytest.approx([-20] * 3 + [40 / 60] * 3, abs=1e-6)


def test_gradient_equals_weighted_least_squares_by_hand():
    whole = pd.Series([1200.0, 900, 1500, 1100, 800])
    rate = np.array([0.58, 0.55, 0.55, 0.49, 0.44])
    rank = (whole.cumsum() - whole / 2) / whole.sum()
    slope, start = np.polyfit(rank, 100 * rate, 1, w=np.sqrt(whole))
    spread = np.sum(whole * (100 * rate - start - slope * rank) ** 2) / 3
    centre = np.average(rank, weights=whole)
    error = np.sqrt(spread / np.sum(whole * (rank - centre) ** 2))
    found = inequality.gradient(rate * whole, whole)
    by_hand = [slope, slope - 3.182446 * error, slope + 3.182446 * error]
    assert found[["slope", "low", "high"]].tolist() == pytest.approx(by_hand, rel=1e-5)
    assert found["relative"] == pytest.approx((start + slope) / start)
    assert found["relative_low"] < found["relative"] < found["relative_high"] < 1


def test_relative_index_has_the_coverage_it_claims():
    rng = np.random.default_rng(3)
    whole = pd.Series([5000] * 10)
    middle = (np.arange(10) + 0.5) / 10
    true = 0.60 - 0.15 * middle
    hits = [
        found["relative_low"] < 0.45 / 0.60 < found["relative_high"]
        for found in (inequality.gradient(rng.binomial(whole, true), whole) for _ in range(150))
    ]
    assert 0.89 <= np.mean(hits) <= 1


def tenths(part: str, whole: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Counts by tenth of deprivation (rows) and year (columns)."""
    table = data.known("latest", "groups")
    table = table[(table["dimension"] == "deprivation_decile") & ~table["group"].str.startswith("Not")]
    wide = table[table["period"] <= pd.Period("2025", "Y-MAR")].pivot(
        index="group", columns=["measure", "period"], values="value"
    )
    return wide[part].sort_index(axis=1), wide[whole].sort_index(axis=1)


@pytest.mark.parametrize(
    "part, whole, since, until, expected",
    [
        ("recovered", "at_caseness", 2018, 2025, (3.5, 2.5, 4.5)),
        ("recovered", "at_caseness", 2018, 2022, (5.2, 4.4, 5.9)),
        ("recovered", "at_caseness", 2022, 2025, (-1.7, -2.9, -0.4)),
        ("recovered", "at_caseness", 2021, 2025, (-0.2, -1.0, 0.6)),
        ("reliably_improved", "finished_course", 2018, 2025, (2.7, 1.6, 3.7)),
        ("reliably_improved", "finished_course", 2022, 2025, (-0.9, -1.7, -0.05)),
        ("finished_course", "referrals_received", 2018, 2025, (-0.2, -1.5, 1.0)),
    ],
)
def test_the_gap_narrowed_to_2021_22_and_widened_since(part, whole, since, until, expected):
    """As a statistician computed them independently; unpaired, 2017/18 to 2024/25 came out as 3.7 (0.8 to 6.5)."""
    table = inequality.narrowing(*tenths(part, whole))
    found = table.loc[(pd.Period(str(since), "Y-MAR"), pd.Period(str(until), "Y-MAR"))]
    assert found.tolist() == pytest.approx(expected, abs=0.06)


def test_the_path_of_the_slope_index_has_its_lowest_point_in_2021_22():
    table = inequality.gradients(*tenths("recovered", "at_caseness"))
    assert table["slope"].round(1).tolist() == [-17.7, -15.7, -15.2, -13.8, -12.2, -13.5, -14.3, -14.0]
    assert table.iloc[0][["low", "high", "relative"]].tolist() == pytest.approx([-20.43, -14.95, 0.704], abs=0.006)


def test_the_interval_of_a_change_covers_what_it_says_where_the_years_share_their_curve():
    rng = np.random.default_rng(4)
    middle, hits = (np.arange(10) + 0.5) / 10, 0
    for _ in range(150):
        curve = 0.60 - 0.15 * middle + rng.normal(0, 0.01, 10)
        whole = pd.DataFrame(np.full((10, 2), 20000))
        part = pd.DataFrame({0: rng.binomial(20000, curve), 1: rng.binomial(20000, curve + 0.03 * (middle - 0.5))})
        value, low, high = inequality.narrowing(part, whole).loc[(0, 1)]
        hits += low <= 3 <= high
    assert 0.92 <= hits / 150 <= 0.98
