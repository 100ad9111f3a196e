"""Charts: what they draw, and that caption, alternative text and data follow from it."""

import io
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from conftest import VINTAGES
from matplotlib.colors import to_hex
from PIL import Image

from iapt import charts, data
from iapt.charts import chart as style

STARTS = ["started_treatment"]


def draw(as_of: str = "latest", since: str = "2008-09") -> charts.Chart:
    years = data.table(STARTS, "year", as_of)[since:]
    return charts.over_time(years, title="Starts", unit="Referrals a financial year, England")


@pytest.mark.parametrize("as_of", VINTAGES)
def test_a_line_is_drawn_through_the_figures_of_its_vintage(as_of):
    chart = draw(as_of)
    held = data.figures("started_treatment", "year", as_of)["value"].dropna()
    assert chart.data["started_treatment"].dropna().tolist() == held.tolist()
    drawn = np.concatenate([line.get_ydata() for line in chart.axes.lines if len(line.get_xdata()) and to_hex(line.get_color()) == "#005a94"])
    assert sorted(drawn) == sorted(held)


def test_another_start_year_moves_picture_caption_text_and_data():
    whole, part = draw(), draw(since="2015-16")
    assert part.data["year"].iloc[0] == "2015/16" and whole.data["year"].iloc[0] == "2008/09"
    assert "2008/09" in whole.alt and "2008/09" not in part.alt
    assert "UK Parliament" in whole.caption and "UK Parliament" not in part.caption


def test_the_line_is_cut_where_another_collection_begins_and_at_gaps():
    lengths = [len(line.get_xdata()) for line in draw().axes.lines if to_hex(line.get_color()) == "#005a94"]
    assert lengths[:2] == [4, 1]


def test_hollow_points_are_those_that_nobody_published():
    chart = draw()
    basis = data.figures("started_treatment", "year", "latest")
    points = chart.tips[0][0]
    hollow = [to_hex(colour) == "#ffffff" for colour in points.get_facecolors()]
    rounded = basis["rounded_to"].fillna(0).astype(float) > data.EXACT_TO
    expected = ((basis["basis"] == "sum of months") | rounded)[basis["value"].notna()]
    assert hollow == expected.tolist()
    assert "Hollow points" in chart.caption


def test_an_unknown_column_is_a_plain_line_and_two_areas_share_a_chart():
    both = pd.DataFrame({name: data.table(["finished_course"], "year", area=name)["finished_course"] for name in ("Devon", "Norfolk and Waveney")})
    chart = charts.over_time(both, title="Two areas", unit="Referrals", as_of="latest", measures=["finished_course"])
    assert "Devon:" in chart.alt and "Norfolk and Waveney:" in chart.alt
    assert list(chart.data) == ["year", "Devon", "Norfolk and Waveney"]


def test_a_table_that_lost_its_vintage_is_refused_with_what_to_do():
    rolling = data.table(STARTS, "month").rolling(12).sum()
    with pytest.raises(ValueError, match="say it with as_of=as_of"):
        charts.over_time(rolling, title="x", unit="Referrals")
    with pytest.raises(ValueError, match="no values"):
        charts.over_time(rolling * np.nan, title="x", unit="Referrals", as_of="latest")


def test_targets_standards_bands_and_lines_enter_text_and_data():
    chart = draw().add_targets(data.targets("started_treatment"))
    line = pd.Series([1e6, 2e6], data.span("2023-24", "2024-25"))
    chart.add_line(line, "a model of my own").add_band(line * 0.9, line * 1.1, "range", colour="#000000", column="80")
    assert "Targets: 900,000 for 2014/15" in chart.alt and "a model of my own" in chart.alt
    assert {"target", "a_model_of_my_own", "low80", "high80"} <= set(chart.data)
    assert chart.data.set_index("year").at["2024/25", "high80"] == pytest.approx(2.2e6)


@pytest.mark.parametrize("width", [style.WIDE, style.NARROW])
def test_the_picture_is_the_same_twice_and_holds_the_values_for_hovering(width):
    chart = draw()
    first = chart.render("svg", width)
    assert chart.render("svg", width) == first == draw().render("svg", width)
    titles = [element.text for element in ET.fromstring(first).iter("{http://www.w3.org/2000/svg}title")]
    assert "2023/24: 1.26 million" in titles
    assert float(ET.fromstring(first).get("width").removesuffix("pt")) == pytest.approx(72 * width)


def test_no_text_leaves_the_picture_at_either_width():
    for width in (style.WIDE, style.NARROW):
        chart = draw().add_targets(data.targets("started_treatment"))
        chart.render("png", width)
        renderer = chart.figure.canvas.get_renderer() if hasattr(chart.figure.canvas, "get_renderer") else None
        edge = chart.figure.bbox.x1
        for text in (*chart.figure.texts, *chart.axes.texts):
            box = text.get_window_extent(renderer)
            assert box.x0 > -2 and box.x1 < edge + 6, (width, text.get_text())


def test_a_users_own_settings_change_nothing():
    expected = draw().render("png")
    with mpl.rc_context({"axes.facecolor": "red", "lines.linewidth": 9, "font.size": 30}):
        assert draw().render("png") == expected
    assert Image.open(io.BytesIO(expected)).size[0] == round(style.WIDE * 144)


def test_bars_intervals_funnel_and_scatter_say_their_values():
    years = data.table(STARTS, "year")["2021-22":"2023-24"]
    assert "2022/23 1.22 million" in charts.bars(years, title="b", unit="Referrals").alt
    frame = pd.DataFrame({"value": [50.0, 40.0], "low": [49.0, 39.0], "high": [51.0, 41.0]}, index=["a", "b"])
    points = charts.intervals(frame, title="i", unit="Per cent", reference=(45, "England"), as_of="latest")
    assert "a 50.0% (49.0 to 51.0)" in points.alt
    table = pd.DataFrame({"name": ["A", "B"], "whole": [1000.0, 2000.0], "value": [50.0, 40.0]}, index=["a", "b"])
    limits = lambda whole, level: (45 - 100 / np.sqrt(whole), 45 + 100 / np.sqrt(whole))
    funnel = charts.funnel(table, limits, title="f", unit="Per cent", across="size", centre=(45, "England 45"), named={"a": "A"}, as_of="latest")
    assert "A 50.0%" in funnel.alt and len(funnel.data) == 2
    scatter = charts.scatter(table, "whole", "value", title="s", unit="Per cent", across="size", named={"b": "B"}, as_of="latest")
    assert "Named: B" in scatter.alt
    for chart in (points, funnel, scatter):
        assert chart.render("svg") == chart.render("svg")
