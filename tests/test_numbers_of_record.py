"""The key numbers of all notebooks, each against a value that was published, or checked without this project's code.

`numbers_of_record.csv` says where each value is from. A key is a measure, a period and, after `@`, the day on which the
figure was known; any other key is the name of a computation below.
"""

import csv
from functools import cache

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from iapt import data, models
from iapt.data import fy, periods
from iapt.models import control, inequality, scores, trends
from iapt.paths import ROOT

DAY = "2026-01-15"
"""The annual report for 2024/25 was known, and the months to September 2025."""
with (ROOT / "tests" / "numbers_of_record.csv").open(encoding="utf-8", newline="") as handle:
    RECORD = {row["key"]: row for row in csv.DictReader(handle)}


def read_figure(key: str) -> float:
    """The figure of a measure in a period, as known on a day."""
    figure, _, day = key.partition(" @")
    measure, period = figure.split(" ", 1)
    follows = int(period[5:7]) == (int(period[2:4]) + 1) % 100
    frequency = "quarter" if "Q" in period else "year" if follows else "month"
    return data.series(measure, frequency, day or "latest")[periods.parse(period, frequency)]


# ---------------------------------------------------------------- figures


def quarter_times_four() -> float:
    return 4 * data.series("started_treatment", "quarter")["2014-15 Q4"]


def shortfall() -> float:
    return data.targets("started_treatment")["target"]["2023-24"] - data.series("started_treatment", "year")["2023-24"]


def highest_year() -> float:
    return data.series("started_treatment", "month").rolling(12).sum().max()


def referrals_from_quarters() -> float:
    return data.series("referrals_received", "quarter", "2020-05-01")["2018-19":"2018-19"].sum()


def over_28_days() -> float:
    within = data.series("finished_second_treatment_within_28_days", "year")["2021-22"]
    return data.series("finished_course", "year")["2021-22"] - within


def wilson(side: int) -> float:
    counts = [data.series(name, "quarter")["2025-26 Q2"] for name in ("recovered", "eligible_for_recovery")]
    return 100 * proportion_confint(*counts, method="wilson")[side]


def boards(take: str) -> float:
    rates = data.areas(["finished_second_treatment_over_90_days_rate"], DAY).xs(fy("2024-25"), level="year").iloc[:, 0]
    return getattr(rates[rates.index.str.fullmatch("Q[A-Z0-9]{2}")].dropna(), take)()


def starts_per_need(year: str) -> float:
    return 100 * data.series("started_treatment", "year", DAY)[year] / 6_121_800


# ---------------------------------------------------------------- groups


@cache
def deprivation() -> tuple:
    """Recovered and eligible by tenth, the most deprived first, and by year."""
    held = data.groups(["recovered", "reliably_recovered", "eligible_for_recovery"], DAY).loc["deprivation_decile"]
    tenths = held.index.unique("group")
    order = sorted((name for name in tenths if name[:2].isdigit()), key=lambda name: -int(name[:2]))
    return tuple(held[name].unstack("year").loc[order] for name in held)


def reliable_recovery(place: int) -> float:
    _, reliable, whole = deprivation()
    return (100 * reliable / whole)[fy("2024-25")].iloc[place]


def slope(year: str) -> float:
    recovered, _, whole = deprivation()
    return inequality.gradients(recovered, whole).loc[fy(year), "slope"]


def narrowed(first: str, last: str) -> float:
    recovered, _, whole = deprivation()
    return inequality.narrowing(recovered, whole).loc[(fy(first), fy(last)), "value"]


# ---------------------------------------------------------------- methods


@cache
def may_2020() -> models.Forecast:
    quarters = models.unbroken(data.series("started_treatment", "quarter", "2020-05-01")["2013-14":])
    steps = (fy("2023-24 Q4") - quarters.index[-1]).n
    return models.forecast(quarters, steps, beside=("linear", "log_linear"))


def crps(member: str) -> float:
    draws = may_2020().total(fy("2023-24"), member)
    return scores.crps(np.array([data.series("started_treatment", "year")["2023-24"]]), draws[:, None])[0]


def pace() -> float:
    return 100 * ((1_880_000 / data.series("started_treatment", "year", "2020-05-01")["2018-19"]) ** (1 / 5) - 1)


@cache
def broken() -> trends.BrokenTrend:
    return trends.broken_trend(data.series("finished_course", "quarter", DAY)["2013-14 Q2":"2019-20 Q3"], draws=200)


@cache
def screened() -> tuple[int, float]:
    rest = control.remove_trend_and_season(data.series("recovery_rate", "month", DAY))
    outside = int((control.xmr(rest)["signal"] == "outside the limits").sum())
    return outside, 100 * control.false_alarms(rest).at_least(outside)


COMPUTED = {
    "started_treatment 2014-15 Q4 times four": quarter_times_four,
    "started_treatment short of 1.88 million in 2023-24": shortfall,
    "started_treatment highest twelve months": highest_year,
    "referrals_received 2018-19 from quarters @2020-05-01": referrals_from_quarters,
    "over 28 days of courses finished in 2021-22": over_28_days,
    "Wilson interval of recovery in 2025-26 Q2, low": lambda: wilson(0),
    "Wilson interval of recovery in 2025-26 Q2, high": lambda: wilson(1),
    "boards over 90 days in 2024-25, lowest": lambda: boards("min"),
    "boards over 90 days in 2024-25, median": lambda: boards("median"),
    "boards over 90 days in 2024-25, highest": lambda: boards("max"),
    **{f"starts per 100 people in need {y}": lambda y=y: starts_per_need(y) for y in ("2021-22", "2022-23", "2024-25")},
    "reliable recovery 2024-25, least deprived tenth": lambda: reliable_recovery(-1),
    "reliable recovery 2024-25, most deprived tenth": lambda: reliable_recovery(0),
    **{f"slope index of recovery {y}-{y - 1999}": lambda y=y: slope(f"{y}-{y - 1999}") for y in range(2017, 2025)},
    "gap in recovery narrowed 2017-18 to 2024-25": lambda: narrowed("2017-18", "2024-25"),
    "gap in recovery widened 2021-22 to 2024-25": lambda: -narrowed("2021-22", "2024-25"),
    "chance of 1.88 million in 2023-24": lambda: 100 * (may_2020().total(fy("2023-24")) >= 1_880_000).mean(),
    "median forecast for 2023-24": lambda: np.median(may_2020().total(fy("2023-24"))),
    "CRPS of the pool for 2023-24": lambda: crps("pool"),
    **{f"CRPS of {name} for 2023-24": lambda name=name: crps(name) for name in ("no_change", "linear", "log_linear")},
    "growth a year needed from 2018-19 to 1.88 million in 2023-24": pace,
    "growth of finished courses before the break": lambda: broken().before[0],
    "growth of finished courses after the break": lambda: broken().after[0],
    "months of recovery outside the XmR limits": lambda: screened()[0],
    "chance of as many months outside the limits": lambda: screened()[1],
}


def test_every_number_says_where_it_is_from_and_every_computation_has_its_number():
    assert len(RECORD) >= 60 and all(len(row["checked"]) > 10 for row in RECORD.values())
    assert COMPUTED.keys() <= RECORD.keys()


@pytest.mark.parametrize("key", RECORD)
def test_the_number_of_record(key):
    row = RECORD[key]
    found = COMPUTED.get(key, lambda: read_figure(key))()
    assert found == pytest.approx(float(row["value"]), rel=0, abs=float(row["tolerance"]))
