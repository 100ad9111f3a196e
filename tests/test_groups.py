"""Groups: they add up to England, deciles run the stated way, gaps and slopes hold, vintages are kept."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from iapt import data
from iapt.answers import areas, groups
from iapt.answers.groups import FINISHING, LEAST, MISSING, MOST, RECOVERY, SHARES
from iapt.data import periods

YEAR = pd.Period("2025", "Y-MAR")


@pytest.mark.parametrize("dimension", groups.DIMENSIONS)
def test_groups_add_up_to_england_in_every_year_and_measure(dimension):
    sums = groups.counts("latest").loc[dimension].groupby(level="period").sum()
    for measure in areas.MEASURES:
        assert (sums[measure] == data.series(measure, "year").reindex(sums.index)).all()


def test_tenth_one_is_the_least_deprived():
    table = groups.shares(RECOVERY, "latest").loc["deprivation_decile"]
    for year in groups.years("latest"):
        rates = table.xs(year, level="period")["value"].drop(index=MISSING)
        assert rates.index[0] == LEAST and rates.index[-1] == MOST and rates.is_monotonic_decreasing


def test_age_bands_change_in_2021_22():
    bands = groups.counts("latest").loc["age_group"].reset_index().groupby("group")["period"].agg(["min", "max"])
    old, new = bands[bands["max"] < YEAR], bands[bands["max"] == YEAR]
    assert set(old["max"]) == {pd.Period("2021", "Y-MAR")} and set(new["min"]) == {pd.Period("2022", "Y-MAR")}
    table = groups.gaps(RECOVERY, "latest").query("dimension == 'age_group'")
    assert set(table["since"]) == {pd.Period("2022", "Y-MAR")}


def test_the_slope_index_is_that_of_a_weighted_line():
    rows = groups.counts("latest").loc["deprivation_decile"].xs(YEAR, level="period").drop(index=MISSING)
    rate, size = 100 * rows["recovered"] / rows["at_caseness"], rows["at_caseness"].astype(float)
    rank = (size.cumsum() - size / 2) / size.sum()
    slope, start = np.polyfit(rank, rate, 1, w=np.sqrt(size))
    found = groups.gradients(RECOVERY, "latest")[YEAR]
    assert found.slope[0] == pytest.approx(slope) and found.relative[0] == pytest.approx((start + slope) / start)
    assert found.slope[0] == pytest.approx(-14.0, abs=0.05) and found.relative[0] == pytest.approx(0.755, abs=0.005)


def test_a_gap_narrows_where_the_slope_comes_nearer_to_zero():
    for share in SHARES:
        first, *_, last = groups.gradients(share, "latest").values()
        step, low, high = groups.narrowing(share, "latest")
        assert step == pytest.approx(last.slope[0] - first.slope[0]) and low < step < high
        assert (high - low) == pytest.approx(2 * 1.96 * np.hypot(first.error, last.error))
    assert (
        groups.narrowing(RECOVERY, "latest")[1] > 0
        and groups.narrowing(FINISHING, "latest")[1] < 0 < groups.narrowing(FINISHING, "latest")[2]
    )


def test_gaps_are_differences_of_rates_and_verdicts_follow_them():
    rates = groups.shares(RECOVERY, "latest")["value"]
    table = groups.gaps(RECOVERY, "latest").set_index(["dimension", "group"])
    assert table.at[("deprivation_decile", MOST), "now"] == pytest.approx(
        rates[("deprivation_decile", MOST, YEAR)] - rates[("deprivation_decile", LEAST, YEAR)]
    )
    assert (
        table.at[("ethnic_group", "Black or Black British"), "verdict"] == "narrowed"
        and table.at[("ethnic_group", "Other Ethnic Groups"), "verdict"] == "widened"
    )
    for row in table.itertuples():
        assert row.low <= row.now <= row.high and row.step == pytest.approx(row.now - row.then)
        if row.verdict != "no clear change":
            assert (abs(row.now) < abs(row.then)) == (row.verdict == "narrowed")
            assert not row.step_low < 0 < row.step_high


def test_references_are_the_largest_groups():
    assert [groups.reference(dimension, "latest") for dimension in groups.DIMENSIONS] == [
        LEAST,
        "White",
        "26 to 64",
        "Female",
    ]
    assert (
        groups.reference("age_group", "2020-06-01") == "18 to 35"
        or groups.reference("age_group", "2020-06-01") == "36 to 64"
    )


def test_missing_information_is_shown_and_sized():
    text = groups.describe_missing("latest").data
    table = groups.counts("latest").loc["ethnic_group"].xs(YEAR, level="period")["referrals_received"]
    assert f"ethnic group for {100 * table[MISSING] / table.sum():.1f}% of referrals" in text
    frame = groups.list_groups("latest").frame
    assert (frame["Group"] == "Not stated").sum() == 3 and len(frame) == 27
    chart = groups.plot_groups(RECOVERY, "latest")
    assert MISSING in set(chart.data["group"]) and "90 and over" in set(chart.data["group"])


@pytest.mark.parametrize("as_of, last", [("2019-01-15", "2017-18"), ("2022-06-01", "2020-21"), ("latest", "2024-25")])
def test_every_vintage_has_its_page(as_of, last):
    assert groups.years(as_of)[-1] == periods.parse(last, "year")
    for text in (
        groups.answer(as_of),
        groups.describe_slopes(as_of),
        groups.describe_missing(as_of),
        groups.describe_gaps(RECOVERY, as_of),
    ):
        assert "nan" not in text.data
    assert groups.list_groups(as_of).frame["Recovery rate"].notna().all()
    charts = [
        groups.plot_gradient(RECOVERY, as_of),
        groups.plot_slopes(SHARES, as_of),
        *(groups.plot_groups(share, as_of) for share in SHARES),
    ]
    assert all(chart.alt and len(chart.data) and "nan" not in chart.alt for chart in charts)
    assert set(charts[0].data["period"]) == {periods.label(year) for year in groups.years(as_of)}


def test_nothing_is_known_before_the_first_report():
    with pytest.raises(
        ValueError, match="no figures of groups were known on 2018-06-30; the first are held from 2019-01-15"
    ):
        groups.counts("2018-06-30")


def test_title_and_alternative_text_say_the_numbers():
    chart = groups.plot_gradient(RECOVERY, "latest")
    for part in ("42.8%", "56.3%"):
        assert part in chart.title and part in chart.alt
    assert "75 to 89" in groups.plot_groups(RECOVERY, "latest").title


def test_labels_of_small_multiples_do_not_overlap():
    for share in SHARES:
        chart = groups.plot_groups(share, "latest")
        canvas = FigureCanvasAgg(chart.figure)
        canvas.draw()
        for axes in chart.figure.axes:
            boxes = [Text.get_window_extent(text, canvas.get_renderer()) for text in axes.texts]
            assert not any(min(a.y1, b.y1) - max(a.y0, b.y0) > 3 for i, a in enumerate(boxes) for b in boxes[:i])
            assert all(box.x1 <= chart.figure.bbox.x1 for box in boxes)


GOOD = {
    "year": "2030-31",
    "dimension": "gender",
    "group": "Female",
    "measure": "recovered",
    "value": "101",
    "source": "nhs-annual-report-groups",
}


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"dimension": "region"}, "'region' is not one of"),
        ({"measure": "recoverd"}, "unknown measure"),
        ({"year": "2030-33"}, "is not a year"),
        ({"value": "-1"}, "-1 is below 0"),
        ({"value": "1.5"}, "not a whole number"),
        ({"year": "2024-25"}, "repeats row"),
    ],
)
def test_a_bad_row_is_named(tables, wrong, message):
    row = tables.append("groups", **(GOOD | wrong))
    assert any(
        problem.file == "groups.csv" and problem.row == row and message in problem.message for problem in data.check()
    )


def test_a_good_row_passes(tables):
    tables.append("groups", **GOOD)
    assert not data.check()
