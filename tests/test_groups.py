"""The page of groups: published rates reproduced, the deprivation gap and its path, and every vintage."""

import numpy as np
import pytest
from notebook import run

from iapt import data, parameters
from iapt.charts import Chart
from iapt.data import fy
from iapt.words import Table

DAY = "2026-01-31"


@pytest.fixture(scope="module")
def groups():
    return run("10_groups", as_of=DAY)


def test_groups_add_up_to_england(groups):
    measures = ["referrals_received", "finished_course", "recovered", "reliably_improved"]
    sums = groups["groups"][measures].groupby(["dimension", "year"]).sum()
    england = data.table(measures, "year", DAY)["2017-18":"2024-25"].to_numpy()
    assert all((rows.to_numpy() == england).all() for _, rows in sums.groupby("dimension"))


def test_rates_of_groups_are_those_published(groups):
    """Also that the published tenth 10 is our tenth 1, the most deprived."""
    held = data.load()["published_rates"].query("dimension != 'area'")
    for share, (_, _, measure) in list(groups["shares"].items())[:3]:
        own = groups["rates"][share]["value"]
        pairs = [
            (own[row.dimension, groups["short"](row.group), fy(row.year)], float(row.value))
            for row in held[held["measure"] == measure].itertuples()
        ]
        assert len(pairs) == 209 and max(abs(a - b) for a, b in pairs) <= 0.0501
    assert groups["short"]("10 Most deprived") == "1, most deprived tenth" and groups["short"]("02 Less deprived") == "9"


def test_reliable_recovery_by_deprivation_is_what_others_quote(groups):
    """52.4% in the least and 40.5% in the most deprived tenth in 2024/25, as quoted in a review of the service."""
    chart = groups.named("groups_gradient_reliably_recovered")
    assert chart.data["value"].iloc[[0, -1]].tolist() == [40.5, 52.4]
    assert "40.5% (most deprived tenth) to 52.4% (least deprived tenth)" in chart.title


def test_the_gap_narrowed_to_2021_22_and_has_widened_since(groups):
    """Paired least squares by hand: 3.5 (2.5 to 4.5) narrower, 5.2 to 2021/22, then 1.7 (0.4 to 2.9) wider."""
    steps = groups["steps"].loc["Recovery rate, %"]
    whole, before, since = (
        steps.loc[tuple(map(fy, years))]
        for years in (("2017-18", "2024-25"), ("2017-18", "2021-22"), ("2021-22", "2024-25"))
    )
    assert whole[["change", "low", "high"]].tolist() == pytest.approx([-3.5, -4.5, -2.5], abs=0.15)
    assert before[["change", "low", "high"]].tolist() == pytest.approx([-5.2, -5.9, -4.4], abs=0.15)
    assert since[["change", "low", "high"]].tolist() == pytest.approx([1.7, 0.4, 2.9], abs=0.15)
    assert [row["gap"] for row in (whole, before, since)] == ["narrowed", "narrowed", "widened"]
    assert "narrowed" in groups.headline and "widened" in groups.headline


def test_the_slope_is_that_of_a_weighted_line(groups):
    """Slopes by year as computed apart: 17.7, 15.7, 15.2, 13.8, 12.2, 13.5, 14.3, 14.0."""
    slopes = groups["slopes"]["Recovery rate, %"]["slope"]
    assert slopes.tolist() == pytest.approx([17.7, 15.7, 15.2, 13.8, 12.2, 13.5, 14.3, 14.0], abs=0.11)
    rows = groups["groups"].loc["deprivation_decile"].xs(fy("2024-25"), level="year").loc[groups["ons"]]
    size = rows["eligible_for_recovery"]
    rank, rate = (size.cumsum() - size / 2) / size.sum(), 100 * rows["recovered"] / size
    assert slopes.iloc[-1] == pytest.approx(np.polyfit(rank, rate, 1, w=np.sqrt(size))[0])


def test_gaps_are_differences_of_rates_and_verdicts_follow_them(groups):
    rate, changes = groups["rates"]["Recovery rate, %"]["value"], groups["changes"]
    for (dimension, group), row in changes.iterrows():
        own, base = (rate[(*key, fy("2024-25"))] for key in ((dimension, group), groups["base"][dimension]))
        assert row["gap now"] == pytest.approx(own - base)
        assert row["change"] == pytest.approx(row["gap now"] - row["gap then"])
        if row["verdict"] != "no clear change":
            assert (abs(row["gap now"]) < abs(row["gap then"])) == (row["verdict"] == "narrowed")
            assert not row["from"] < 0 < row["to"]
    assert {name for _, name in groups["base"]} == {"26 to 64", "10, least deprived tenth", "White", "Female"}


def test_the_table_of_groups_has_the_gap_first_and_every_group(groups):
    frame = groups.named("groups").frame
    assert frame.columns[2] == "Gap in recovery" and len(frame) == 27
    assert frame["Gap in recovery"].isna().sum() == 4 and (frame["Group"] == "Not stated").sum() == 3


@pytest.mark.parametrize("day", ["2020-05-01", "2022-06-01", DAY])
def test_no_vintage_has_an_empty_sentence_or_a_missing_number_in_its_text(day):
    page = run("10_groups", as_of=day)
    parts = [part for part in page.shown if isinstance(part, Chart | Table)]
    texts = [f"{part.title} {part.alt} {part.caption}" for part in parts if isinstance(part, Chart)]
    assert len(parts) >= 10 and not any("nan" in text.split() for text in (page.headline, *texts))
    assert "  " not in page.headline and page.headline.endswith(".")
    assert all(len(part.frame) and all(part.frame.columns) for part in parts if isinstance(part, Table))


def test_a_vintage_with_less_than_two_years_of_groups_is_refused():
    with pytest.raises(parameters.ParameterError, match="2020-01-15"):
        run("10_groups", as_of="2019-06-01")
