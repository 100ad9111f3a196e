"""Hindsight: forecasts of each day against what came, and the gap taken apart."""

import numpy as np
import pandas as pd
import pytest

from iapt import data
from iapt.answers import hindsight
from iapt.data import periods

TARGET = ("started_treatment", 1_880_000, "2023-24", "latest")


@pytest.fixture(scope="module")
def scores():
    return hindsight.score("started_treatment", "2013-14", "latest", 1_880_000)


def test_every_origin_from_2016_17_is_scored_for_every_year_that_followed(scores):
    pool = scores[scores["model"] == "pool"]
    last = data.series("started_treatment", "year").dropna().index[-1]
    expected = {
        (origin, year)
        for origin in pd.period_range("2017", last - 1, freq="Y-MAR")
        for year in pd.period_range(origin + 1, last)
    }
    assert set(zip(pool["origin"], pool["year"])) == expected


def test_no_forecast_saw_a_figure_from_after_its_origin(scores):
    for origin in scores["origin"].unique():
        y = hindsight.known_at("started_treatment", origin, "2013-14")
        assert periods.financial_year(y.index[-1]) == origin


def test_the_outturn_of_2023_24_is_the_sum_of_twelve_published_months(scores):
    outturn = scores.loc[scores["year"] == pd.Period("2024", "Y-MAR"), "outturn"]
    assert set(outturn) == {1_257_718}


def test_intervals_and_errors_agree_with_the_draws(scores):
    row = scores.iloc[0]
    assert row["error"] == pytest.approx(100 * (row["median"] / row["outturn"] - 1))
    assert (scores["inside80"] <= scores["inside95"]).all()
    assert (scores["crps"] <= (scores["median"] - scores["outturn"]).abs() * 1.5 + scores["median"]).all() and (
        scores["crps"] > 0
    ).all()


def test_the_gap_adds_up_to_the_whole_shortfall():
    table = hindsight.split_gap(*TARGET)
    assert table["added"].sum() == pytest.approx(1_257_718 - 1_880_000)
    assert np.allclose(table["change"] - table["line"], table["added"])


def test_growth_splits_into_referrals_and_share_without_rest():
    parts = hindsight.split_by_referrals(1_880_000, "2023-24", "latest")
    starts = data.series("started_treatment", "year")
    assert parts["referrals"] + parts["share"] == pytest.approx(
        starts[pd.Period("2024", "Y-MAR")] - starts[pd.Period("2019", "Y-MAR")]
    )
    assert parts["share_needed"] == pytest.approx(100 * 1_880_000 / 1_829_202)


def test_the_verdict_names_every_way_of_telling_and_how_wrong_it_was():
    table = hindsight.tell_may_2020("started_treatment", "2013-14", 1_880_000, "2023-24", "latest")
    text = hindsight.answer("started_treatment", "2013-14", 1_880_000, "2023-24", "latest").data
    for model in ("linear", "log_linear", "no_change"):
        assert f"{abs(table.at[model, 'error']):.0f}% too" in text
    assert (
        table.at["no_change", "error"]
        < 0
        < table.at["pool", "error"]
        < table.at["linear", "error"]
        < table.at["log_linear", "error"]
    )


def test_the_gap_is_not_called_the_pandemic():
    text = hindsight.describe_gap(*TARGET).data
    assert "before the pandemic" in text and "came after" in text
