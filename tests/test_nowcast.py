"""The running year: known months counted as known, working days allowed for, and scored by rolling origin."""

import numpy as np
import pandas as pd
import pytest

from iapt import data
from iapt.models import nowcast, score_nowcasts
from iapt.models.forecast import forecast
from iapt.models.nowcast import working_days


def fy(year: int) -> pd.Period:
    return pd.Period(str(year), "Y-MAR")


def make_months(n: int = 60, start: str = "2019-04", noise: float = 0.0) -> pd.Series:
    """A thousand people each working day, and a little noise."""
    months = pd.period_range(start, periods=n, freq="M")
    return working_days(months) * 1000 * np.exp(np.random.default_rng(1).normal(0, noise, n))


@pytest.mark.parametrize(
    "month, days",
    [("2022-06", 20), ("2022-09", 21), ("2023-05", 20), ("2021-12", 21), ("2020-02", 20), ("2024-03", 20)],
)
def test_working_days_are_those_counted_on_a_calendar(month, days):
    """The jubilee of June 2022, the funeral of September 2022, the coronation, Christmas moved to Monday, Easter."""
    assert working_days(pd.PeriodIndex([month], freq="M")).tolist() == [days]


@pytest.mark.parametrize("known", range(12))
def test_any_number_of_months_may_be_known(known):
    y = make_months(60 + known, noise=0.01)
    found = nowcast(y, draws=100)
    assert found.index[0] == y.index[-1] + 1 and found.index[-1] == pd.Period("2025-03", "M")
    assert found.paths.shape == (200, 12 - known)
    np.testing.assert_allclose(found.total(fy(2025)), y.iloc[60:].sum() + found.paths.sum(axis=1))


def test_months_with_the_same_work_a_day_are_foretold_exactly():
    found = nowcast(make_months(66), draws=50)
    whole = working_days(pd.period_range("2024-04", "2025-03", freq="M"))
    assert found.total(fy(2025)) == pytest.approx(whole.sum() * 1000)
    assert np.median(found.paths, axis=0).tolist() == pytest.approx((whole * 1000).iloc[6:].tolist())


def test_only_what_follows_the_latest_gap_is_used():
    y = make_months(66, noise=0.02)
    gap = y.copy()
    gap.iloc[:20] *= 9
    gap.iloc[20] = np.nan
    np.testing.assert_array_equal(nowcast(gap, draws=50).paths, nowcast(y.iloc[21:], draws=50).paths)


def test_the_paths_are_those_of_theta_and_damped_by_working_day():
    y = make_months(66, noise=0.02)
    daily = forecast(y / working_days(y.index), 6, members=("theta", "damped"), draws=50)
    np.testing.assert_allclose(nowcast(y, draws=50).paths, daily.paths * working_days(daily.index).to_numpy())


def test_what_cannot_be_told_is_said():
    y = make_months(66, noise=0.02)
    y.iloc[61] = np.nan
    with pytest.raises(ValueError, match="2024-05 is missing, so the total of the year to March 2025 cannot be told"):
        nowcast(y)
    with pytest.raises(ValueError, match="monthly series"):
        nowcast(pd.Series([1.0], pd.PeriodIndex(["2024Q1"], freq="Q-MAR")))
    with pytest.raises(ValueError, match="month of the year to March 2025 is missing"):
        score_nowcasts(y, y, y, [fy(2025)])


MONTHS, QUARTERS, YEARS, REPEATS = WAYS = (
    "months per working day", "pool on quarters", "pool on years", "same months of last year"
)  # fmt: skip


def test_scores_see_only_the_past_and_count_known_months_as_known():
    y = make_months(60, noise=0.02)
    quarters = y.groupby(y.index.asfreq("Q-MAR")).sum()
    years = y.groupby(y.index.asfreq("Y-MAR")).sum()
    table = score_nowcasts(y, quarters, years, [fy(2024)], draws=50)
    assert table.groupby("model").size().to_dict() == dict.fromkeys(WAYS, 12)
    assert (table["outturn"] == y.iloc[48:].sum()).all()
    late = table[table["known"] == 11].set_index("model")
    assert late.loc[MONTHS, "width80"] < 0.02 < late.loc[YEARS, "width80"]
    changed = y.copy()
    changed.iloc[-1] *= 2
    again = score_nowcasts(changed, quarters, years, [fy(2024)], draws=50)
    np.testing.assert_array_equal(table["median"], again["median"])


def test_a_quarter_counts_for_the_pool_once_all_its_months_are_known():
    y = make_months(60, noise=0.02)
    quarters, years = (y.groupby(y.index.asfreq(code)).sum() for code in ("Q-MAR", "Y-MAR"))
    table = score_nowcasts(y, quarters, years, [fy(2024)], draws=50).set_index(["model", "known"])["median"]
    pool = lambda n: np.median(forecast(quarters.iloc[:n], 20 - n, draws=50).total(fy(2024)))
    assert [table[QUARTERS, known] for known in (2, 3, 8)] == pytest.approx([pool(16), pool(17), pool(18)], rel=1e-3)


@pytest.fixture(scope="module")
def scored() -> pd.DataFrame:
    """Every nowcast of 13 measure-years; courses and referrals from after the first year of the pandemic on."""
    tables = []
    for measure, over in {
        "started_treatment": (2017, 2018, 2019, 2020, 2024, 2025, 2026),
        "finished_course": (2024, 2025, 2026),
        "referrals_received": (2024, 2025, 2026),
    }.items():
        months, quarters, years = (data.series(measure, f, "2026-06-30") for f in ("month", "quarter", "year"))
        if measure != "started_treatment":
            months, quarters = months["2021-01":], quarters["2020-21 Q4":]
        table = score_nowcasts(months, quarters, years["2013-14":], list(map(fy, over)), draws=250)
        tables.append(table.assign(measure=measure))
    return pd.concat(tables)


def test_months_beat_quarters_years_and_last_year_on_the_series_of_this_project(scored):
    """156 nowcasts, CRPS: 1.09% of the total, quarters 1.39, last year 1.63, years 3.96; cover 86 and 98%."""
    means = scored.groupby("model")[["crps", "inside80", "inside95"]].mean()
    assert len(scored[scored["model"] == MONTHS]) == 156
    expected = {MONTHS: 0.0109, QUARTERS: 0.0139, REPEATS: 0.0163, YEARS: 0.0396}
    assert means["crps"].to_dict() == pytest.approx(expected, abs=0.0005)
    assert means.loc[MONTHS, ["inside80", "inside95"]].tolist() == pytest.approx([0.86, 0.98], abs=0.02)


def test_quarters_did_better_for_starts_before_the_pandemic(scored):
    """The honest limit: in 2017/18, 2018/19 and 2019/20 the quarterly pool had the smaller CRPS."""
    crps = scored[scored["measure"] == "started_treatment"].pivot_table(index="year", columns="model", values="crps")
    assert [year.year for year in crps.index[crps[MONTHS] > crps[QUARTERS]]] == [2018, 2019, 2020]
