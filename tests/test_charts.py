"""Charts: what they draw, and that caption, alternative text and data follow from it."""

import io
import re
import xml.etree.ElementTree as ET
from itertools import combinations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from conftest import VINTAGES
from matplotlib import pyplot
from matplotlib.colors import to_hex
from matplotlib.transforms import Bbox
from PIL import Image

from iapt import charts, data
from iapt.charts import chart as style
from iapt.charts import picture

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


# ---------------------------------------------------------------- what holds for every kind of chart

LONG = "A title that is long enough for two lines on a page, and says that 1.16 million started in Q4 2025/26"
UNIT = "Per cent of referrals finishing a course of treatment in the financial year, England, per 100"
NAMES = ["Bath and North East Somerset, Swindon and Wiltshire", "Shropshire, Telford and Wrekin", "Devon", "Dorset", "Kent"]
ABOUT = {"title": LONG, "unit": UNIT, "as_of": "latest"}


def boards() -> pd.DataFrame:
    sizes = np.linspace(4_000, 40_000, len(NAMES))
    values = np.array([51.2, 40.1, 49.5, 48.7, 50.3])
    held = {"name": NAMES, "whole": sizes, "value": values, "low": values - 1.5, "high": values + 1.5}
    return pd.DataFrame(held, index=pd.Index(NAMES, name="board"))


def draw_targets() -> charts.Chart:
    return draw().add_targets(data.targets("started_treatment")).add_standard(1_700_000, "a standard of 1.7 million")


def draw_fan() -> charts.Chart:
    starts = data.series("started_treatment", "year")["2013-14":].dropna()
    ahead = pd.period_range(starts.index[-1] + 1, periods=3)
    levels = {0.1: 0.9, 0.25: 0.95, 0.5: 1.0, 0.75: 1.1, 0.9: 1.2}
    quantiles = pd.DataFrame({level: starts.iloc[-1] * ratio * np.ones(3) for level, ratio in levels.items()}, ahead)
    return charts.fan(starts, quantiles, title=LONG, unit="Referrals a year").add_line(quantiles[0.75] * 1.01, "a model of my own")


def draw_panels() -> charts.Chart:
    rates = data.table(["recovery_rate", "reliable_recovery_rate"], "year")
    return charts.panels({f"{name}: a heading of some length": rates for name in "abc"}, **ABOUT)


def draw_framed() -> charts.Chart:
    figure, axes = pyplot.subplots(2, 4)
    for number, place in enumerate(axes.flat):
        place.plot([1, 2, 3], [1000 * number, 2000, 30_000])
        place.set_title(f"reliable_improvement_rate_{number}", fontsize=5)
    return charts.framed(figure, boards(), alt="Eight lines that end at 30,000.", **ABOUT)


LIMITS = lambda whole, level: (45 - 400 * level / np.sqrt(whole), 52 + 400 * level / np.sqrt(whole))
DRAW = {
    "targets": draw_targets,
    "months": lambda: charts.over_time(data.table(["recovery_rate"], "month"), **ABOUT).add_standard(50, "standard 50%"),
    "panels": draw_panels,
    "fan": draw_fan,
    "bars": lambda: charts.bars(boards()[["value", "low"]], **ABOUT),
    "bars below nothing": lambda: charts.bars(draw().data.set_index("year")[STARTS].tail(9) - 1_100_000, **ABOUT),
    "intervals": lambda: charts.intervals(boards(), reference=(49, "England 49.0%"), **ABOUT),
    "funnel": lambda: charts.funnel(
        boards(), LIMITS, across="courses finished less those not at caseness", centre=(48.5, "England 48.5%"),
        named=dict(zip(NAMES, NAMES)), what="boards", **ABOUT,
    ),
    "scatter": lambda: charts.scatter(
        boards(), "low", "value", across="recovery rate in 2019/20", named={NAMES[0]: NAMES[0]}, diagonal={"no change": 0.0},
        **ABOUT,
    ),
    "framed": draw_framed,
}  # fmt: skip
KINDS = pytest.mark.parametrize("kind", DRAW)
WIDTHS = pytest.mark.parametrize("width", [style.WIDE, style.NARROW])


TEXT = "{http://www.w3.org/2000/svg}text"


def read_texts(svg: bytes) -> list[tuple[str, float, Bbox]]:
    """Each text of a picture with its size and the room of its capitals, in points from the top left."""
    found = []
    for element in ET.fromstring(svg).iter(TEXT):
        look = dict(part.split(":") for part in element.get("style").split(";"))
        size, moved = float(look["font-size"].removesuffix("px")), element.get("transform", "")
        shift = re.search(r"translate\((\S+) (\S+)\)", moved)
        wide = picture.measure(element.text, size, "font-weight" in look)
        before = wide * {"middle": 0.5, "end": 1}.get(look.get("text-anchor"), 0)
        x, y = map(float, shift.groups() if shift else (element.get("x"), element.get("y")))
        left, low, right, high = x - before, y - 0.72 * size, x - before + wide, y
        if "rotate(-90" in moved:
            left, low, right, high = x - 0.72 * size, y + before - wide, x, y + before
        found.append((element.text, size, Bbox.from_extents(left, low, right, high)))
    return found


@WIDTHS
@KINDS
def test_texts_stay_in_the_picture_clear_of_each_other_and_large_enough(kind, width):
    svg = DRAW[kind]().render("svg", width)
    _, _, across, down = map(float, ET.fromstring(svg).get("viewBox").split())
    assert across == pytest.approx(72 * width)
    texts = read_texts(svg)
    assert {text for text, *_ in texts}.isdisjoint({"", "nan"}) and len(texts) > 8
    for text, _, box in texts:
        assert box.x0 >= 0 and box.x1 <= across and box.y0 >= 0 and box.y1 <= down, text
    touching = [(one, other) for (one, _, a), (other, _, b) in combinations(texts, 2) if a.padded(-0.5).overlaps(b.padded(-0.5))]
    assert not touching
    assert min(size for _, size, _ in texts) * 360 / (72 * style.NARROW) >= 11


@WIDTHS
def test_the_label_of_a_line_that_ends_early_stands_beside_its_end(width):
    short = data.series(STARTS[0], "year")["2013-14":"2016-17"] / 2
    texts = read_texts(draw().add_line(short, "a trend").render("svg", width))
    at = {text: box for text, _, box in texts}
    label = next(box for text, box in at.items() if text.startswith("a trend"))
    assert label.x0 < at["2019/20" if "2019/20" in at else "2018/19"].x1 < min(box.x0 for text, box in at.items() if "Started" in text)


@WIDTHS
def test_the_names_of_targets_and_standards_cover_no_line(width):
    svg = draw_targets().render("svg", width)
    lines = [part.get("d") for part in ET.fromstring(svg).iter() if "stroke-width:2;" in part.get("style", "")]
    corners = np.array(re.findall(r"([\d.]+) ([\d.]+)", max(lines, key=len)), float)
    ways = np.concatenate([np.linspace(a, b, 40) for a, b in zip(corners[:-1], corners[1:])])
    named = [box for text, _, box in read_texts(svg) if text.startswith(("target", "a standard"))]
    assert len(ways) > 300 and len(named) == len(data.targets("started_treatment")) + 1
    for box in named:
        assert not ((ways > box.min) & (ways < box.max)).all(axis=1).any()


@WIDTHS
@KINDS
def test_the_picture_is_the_same_twice_and_shows_values_on_hovering(kind, width):
    chart = DRAW[kind]()
    first = chart.render("svg", width)
    assert chart.render("svg", width) == first == DRAW[kind]().render("svg", width)
    page = ET.fromstring(first)
    assert page.get("aria-label") == chart.alt and page.get("width") == f"{72 * width:g}pt"
    titles = [element.text for element in page.iter("{http://www.w3.org/2000/svg}title")]
    assert (kind == "framed" or width == style.NARROW) == (not titles)
    assert not titles or any(re.search(r": [−+]?[\d.,]+|\d% \(", title) for title in titles)


@KINDS
def test_text_and_data_hold_the_numbers(kind):
    chart = DRAW[kind]()
    bundle = chart._repr_mimebundle_()[0]
    card = bundle[charts.MIME]
    assert re.search(r"\d[\d.,]+", card["alt"]) and not re.search(r"\bnan\b", card["alt"]) and card["caption"].endswith("March 2026.")
    held = pd.read_csv(io.StringIO(card["csv"]))
    words = {"year", "month", "board", "name", "panel", *(column for column in held if column.endswith("_basis"))}
    assert len(held) and all(pd.api.types.is_numeric_dtype(held[column]) for column in held if column not in words)
    assert len(bundle["image/svg+xml"]) + len(card["narrow"]) + len(bundle["image/png"]) < 120_000


def test_a_point_of_a_line_says_its_value_and_a_bar_too():
    assert "<title>2023/24: 1.26 million</title>" in draw().render("svg").decode()
    assert f"<title>{NAMES[1]}: 40.1%</title>" in DRAW["bars"]().render("svg").decode()


@pytest.mark.parametrize("kind", ["targets", "bars", "funnel"])
def test_a_users_own_settings_change_nothing(kind):
    hostile = {"axes.facecolor": "red", "lines.linewidth": 9, "font.size": 30, "svg.fonttype": "path", "figure.dpi": 300}
    expected = DRAW[kind]().render("svg")
    with mpl.rc_context(hostile):
        assert DRAW[kind]().render("svg") == expected
    assert Image.open(io.BytesIO(draw().render("png"))).size[0] == round(style.WIDE * 144)


def test_what_matplotlib_draws_otherwise_is_drawn():
    chart = charts.canvas(boards(), alt="Image.", **ABOUT)
    chart.axes.imshow(np.arange(6).reshape(2, 3), aspect="auto")
    chart.axes.set_title("$x^2$")
    chart.axes.plot([-5, 9], [0, 1], linestyle="--", alpha=0.5)
    chart.axes.set_xlim(0, 2)
    svg = chart.render("svg").decode()
    assert "data:image/png;base64" in svg and "clip-path=" in svg and "stroke-dasharray" in svg and "opacity:0.5" in svg
    assert ET.fromstring(svg) is not None and chart.render("png")[:4] == b"\x89PNG"


def test_a_figure_of_another_arrangement_keeps_it():
    figure, axes = pyplot.subplots(1, 2, width_ratios=[3, 1])
    chart = charts.framed(figure, boards(), alt="Two axes of 1 row.", **ABOUT)
    chart.render("svg", style.NARROW)
    wide, narrow = (place.get_position().width for place in axes)
    assert wide == pytest.approx(3 * narrow, rel=0.01)


@pytest.mark.parametrize("names", [[0, 1, 2], ["", "", ""], ["a", "", "b"]])
def test_a_figure_keeps_the_names_of_its_ticks_whatever_they_are(names):
    figure, axes = pyplot.subplots()
    axes.plot([1, 2, 3])
    axes.set_xticks([0, 1, 2], names)
    chart = charts.framed(figure, boards(), alt="One line to 3.", **ABOUT)
    drawn = [text for text, *_ in read_texts(chart.render("svg", style.NARROW))]
    assert all(str(name) in drawn for name in names if name != "")


@WIDTHS
def test_the_names_of_points_cover_neither_limits_nor_centre(width):
    svg = DRAW["funnel"]().render("svg", width)
    lines = [part.get("d") for part in ET.fromstring(svg).iter() if part.get("style", "").startswith("fill:none;stroke:#1a1a1a")]
    heights = [float(re.search(r"M[\d.]+ ([\d.]+)", line)[1]) for line in lines]
    named = [box for text, _, box in read_texts(svg) if text in NAMES]
    assert heights and len(named) > 2
    assert not any(box.y0 < height < box.y1 for box in named for height in heights)


def test_titles_have_lines_of_like_length_and_keep_a_quarter_together():
    lines = style.balance(LONG, 300, 12.5)
    assert max(map(len, lines)) - min(map(len, lines)) < 12 and " ".join(lines) == LONG
    assert any("1.16 million" in line for line in lines) and any("Q4 2025/26" in line for line in lines)


def test_bars_intervals_funnel_and_scatter_say_their_values():
    years = data.table(STARTS, "year")["2021-22":"2023-24"]
    assert "2022/23 1.22 million" in charts.bars(years, title="b", unit="Referrals").alt
    assert "Devon 49.5% (48.0 to 51.0)" in DRAW["intervals"]().alt
    assert re.match(r"Funnel plot of \d+ boards .*Kent 50.3%", DRAW["funnel"]().alt) and f"Named: {NAMES[0]} 51.2%" in DRAW["scatter"]().alt


def test_the_data_of_rows_without_a_name_for_their_index_keep_their_labels():
    rows = pd.DataFrame({"value": [1.0, 2.0], "low": [0.5, 1.5], "high": [1.5, 2.5]}, index=["one", "two"])
    chart = charts.intervals(rows, **ABOUT)
    assert chart.data["label"].tolist() == ["one", "two"]
