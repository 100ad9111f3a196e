"""Charts: what they say, what they draw, and that it can be read, at several vintages.

A chart is tested by its data, lines and labels; its picture only for being the same twice.
"""

import io
import itertools
import re
import xml.etree.ElementTree as ET
from functools import partial

import matplotlib.colors as mcolors
import numpy as np
import pandas as pd
import pytest
from conftest import OTHERS, PAIRS, PLOTS, draw
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from matplotlib.transforms import Affine2D
from PIL import Image

from iapt import data
from iapt.answers import access, areas
from iapt.data import periods
from iapt.show import charts, words

PALETTE = {
    mcolors.to_hex(colour): measure
    for measure, colour in charts.COLOURS.items()
    if measure not in ("target", "forecast", "needed", "plain")
}
BESIDE = ("mean", "low", "high")
"""Columns with what is known beside the values drawn: limits of chance, the mean of a screen."""

FINE = 3
"""Pixels a point when texts are measured."""

over_time = pytest.mark.parametrize("plot, as_of", PAIRS)
newest = pytest.mark.parametrize("plot", PLOTS)
any_chart = pytest.mark.parametrize("plot, as_of", [*PAIRS, *((name, "latest") for name in OTHERS)])
any_newest = pytest.mark.parametrize("plot", [*PLOTS, *OTHERS])


def read_periods(chart: charts.Chart) -> list[pd.Period]:
    """The periods of the rows of a chart's data; the name of the first column says of which kind they are."""
    name = chart.data.columns[0]
    if name == "frequency":
        return [periods.parse(row.period, row.frequency) for row in chart.data.itertuples()]
    frequency = {"year": "year", "quarter": "quarter", "month": "month", "twelve_months_to": "month"}[name]
    return [periods.parse(str(text).replace("/", "-"), frequency) for text in chart.data.iloc[:, 0]]


def list_numbers(chart: charts.Chart) -> dict[str, set[tuple[float, float]]]:
    """The numbers in a chart's data by column, each with its place on the time axis."""
    x = [charts.middle(period) for period in read_periods(chart)]
    numeric = chart.data.select_dtypes("number")
    return {
        name: {(round(a, 6), round(b, 6)) for a, b in zip(x, column) if pd.notna(b)} for name, column in numeric.items()
    }


def list_lines(chart: charts.Chart) -> list:
    """The lines drawn in the coordinates of the data (not those across the whole chart)."""
    (axes,) = chart.figure.axes
    return [line for line in axes.lines if line.get_transform() == axes.transData]


def is_target(artist) -> bool:
    return mcolors.to_hex(artist.get_color()) == charts.COLOURS["target"].lower()


def list_drawn(chart: charts.Chart) -> set[tuple[float, float]]:
    """Every point that a chart draws: of lines, marks, bars and bands; of a target only its end."""
    (axes,) = chart.figure.axes
    points = [tuple(line.get_xydata()[-1]) for line in list_lines(chart) if is_target(line)]
    points += [tuple(point) for line in list_lines(chart) if not is_target(line) for point in line.get_xydata()]
    for part in axes.collections:
        if part.get_offset_transform() == axes.transData:
            points += [tuple(point) for point in part.get_offsets()]
        else:
            points += [tuple(point) for path in part.get_paths() for point in path.vertices]
    return {(round(float(x), 6), round(float(y), 6)) for x, y in points if np.isfinite([x, y]).all()}


def list_texts(chart: charts.Chart) -> list[tuple[str, object]]:
    """Every text in the picture with its box in points, the labels of ticks in view included.

    Drawn finely, as letters are fitted to pixels at low resolution, which makes them wider than in the SVG.
    """
    chart.figure.set_dpi(72 * FINE)
    canvas = FigureCanvasAgg(chart.figure)
    with charts.mpl.rc_context(charts.STYLE):
        canvas.draw()
        renderer = canvas.get_renderer()
        hidden = set()
        for axes in chart.figure.axes:
            for axis in (axes.xaxis, axes.yaxis):
                low, high = sorted(axis.get_view_interval())
                for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                    hidden |= {tick.label2} | ({tick.label1} if not low <= tick.get_loc() <= high else set())
        texts = [
            text
            for text in chart.figure.findobj(Text)
            if text.get_visible() and text.get_text().strip() and text not in hidden
        ]
        boxes = [
            (text.get_text(), Text.get_window_extent(text, renderer).transformed(Affine2D().scale(1 / FINE)))
            for text in texts
        ]
    chart.figure.set_dpi(100)
    return boxes


# ---------------------------------------------------------------- what a chart says


def test_the_charts_of_the_three_pages_are_found():
    assert {
        "access.plot_years",
        "finishing.plot_quarters",
        "finishing.plot_slowdown",
        "finishing.plot_shares",
        "recovery.plot_rate",
        "recovery.plot_screen",
        "recovery.plot_reliable",
    } <= set(PLOTS)


@any_chart
def test_a_chart_says_what_it_shows(plot, as_of):
    chart = draw(plot, as_of)
    assert re.fullmatch("[a-z0-9_]+", chart.name)
    assert re.search(r"\d", chart.title) and not chart.title.endswith(".")
    assert len(re.findall(r"\d[\d,.]*", chart.alt)) >= 3 and chart.alt.endswith(".") and len(chart.alt) > 60
    for text in (chart.title, chart.alt, chart.caption):
        assert re.findall(r"\bnan\b|NaN|NaT|None|  |\.\.|\d\.\d{4,}|\d{7,}", text) == []


@any_chart
def test_a_caption_names_source_and_vintage_and_stands_in_the_picture(plot, as_of):
    chart = draw(plot, as_of)
    assert re.search(rf"Source: [A-Z].+; {re.escape(words.vintage(as_of))}\.$", chart.caption)
    shown = " ".join(" ".join(text.get_text().split()) for text in chart.figure.texts)
    assert chart.caption in shown and " ".join(chart.title.split()) in shown


@any_newest
def test_a_subtitle_names_the_unit_and_the_country(plot):
    unit = draw(plot, "latest").figure.texts[1].get_text()
    assert re.search(r"[Rr]eferrals|[Pp]er cent|percentage points", unit) and "England" in unit


def test_titles_hold_the_newest_number_of_their_chart():
    assert (
        "1.20 million" in draw("access.plot_years", "latest").title
        and "1.88 million target of 2023/24 was never reached" in draw("access.plot_years", "latest").title
    )
    assert (
        "1.09 million" in draw("access.plot_years", "2020-05-01").title
        and "asks for 1.88 million" in draw("access.plot_years", "2020-05-01").title
    )
    assert "finished courses grew by 8%, starts grew by 21%" in draw("finishing.plot_quarters", "2020-05-01").title
    assert "Q4 2016/17" in draw("recovery.plot_rate", "2020-05-01").title


def test_names_of_charts_are_their_own():
    names = [draw(name, "latest").name for name in PLOTS]
    assert len(set(names)) == len(names)


# ---------------------------------------------------------------- what a chart draws


@over_time
def test_the_data_of_a_chart_is_all_that_is_drawn_and_nothing_else(plot, as_of):
    chart = draw(plot, as_of)
    numbers = list_numbers(chart)
    assert len(chart.data) and numbers
    drawn, written = list_drawn(chart), set().union(*numbers.values())
    missing = {
        name: sorted(points - drawn)[:3] for name, points in numbers.items() if name not in BESIDE and points - drawn
    }
    assert missing == {}, "in the data but not drawn"
    assert sorted(drawn - written)[:3] == [], "drawn but not in the data"


@over_time
def test_periods_of_the_data_are_in_order_and_without_holes(plot, as_of):
    listed = read_periods(draw(plot, as_of))
    for frequency in {period.freqstr for period in listed}:
        index = pd.PeriodIndex([period for period in listed if period.freqstr == frequency])
        assert index.equals(pd.period_range(index[0], index[-1]))


@newest
def test_no_chart_draws_a_figure_from_after_its_vintage(plot):
    for as_of in (day for name, day in PAIRS if name == plot and day != "latest"):
        chart = draw(plot, as_of)
        numbers = chart.data.drop(columns="target", errors="ignore").select_dtypes("number").notna().any(axis=1)
        ends = [period.end_time for period, known in zip(read_periods(chart), numbers) if known]
        assert max(ends) < pd.Timestamp(as_of)


@over_time
def test_lines_stop_at_gaps_and_at_breaks(plot, as_of):
    chart = draw(plot, as_of)
    first = read_periods(chart)[0]
    step = {"Y": 1, "Q": 1 / 4, "M": 1 / 12}[first.freqstr[0]]
    frequency = {"Y": "year", "Q": "quarter", "M": "month"}[first.freqstr[0]]
    found = 0
    for line in list_lines(chart):
        measure = PALETTE.get(mcolors.to_hex(line.get_color()))
        if measure is None or line.get_linestyle() != "-":
            continue
        cuts = [
            charts.middle(cut) - step / 2 for cut in data.breaks(measure, frequency).query("cut == 'yes'")["period"]
        ]
        points = line.get_xydata()
        for (x0, y0), (x1, y1) in itertools.pairwise(points):
            if np.isfinite([y0, y1]).all():
                found += 1
                assert x1 - x0 < 1.5 * step, "joins across a gap"
                assert not any(x0 < cut < x1 for cut in cuts), "joins across a break"
    assert found or as_of != "latest"


def test_the_line_of_starts_has_three_pieces_by_collection():
    chart = draw("access.plot_years", "latest")
    lines = [line for line in list_lines(chart) if PALETTE.get(mcolors.to_hex(line.get_color())) == "started_treatment"]
    ends = [[round(x, 2) for x in (line.get_xdata()[0], line.get_xdata()[-1])] for line in lines]
    middle = lambda text: round(charts.middle(periods.parse(text, "year")), 2)
    assert ends == [
        [middle("2008-09"), middle("2011-12")],
        [middle("2012-13")] * 2,
        [middle("2013-14"), middle("2024-25")],
    ]


@over_time
def test_breaks_are_marked_and_named(plot, as_of):
    chart = draw(plot, as_of)
    (axes,) = chart.figure.axes
    letters = [text.get_text() for text in axes.texts if re.fullmatch("[A-G]", text.get_text())]
    dotted = [
        line
        for line in axes.lines
        if line.get_transform() != axes.transData and mcolors.to_hex(line.get_color()) == charts.QUIET
    ]
    assert len(letters) == len(dotted)
    for letter in letters:
        assert re.search(rf"\b{letter} (data set|first full year)", chart.caption)


@pytest.mark.parametrize(
    "as_of, years",
    [
        ("2015-03-31", ["2014-15"]),
        ("2018-06-30", ["2014-15", "2020-21"]),
        ("2020-05-01", ["2014-15", "2020-21", "2023-24"]),
        ("latest", ["2014-15", "2020-21", "2023-24"]),
    ],
)
def test_lines_of_targets_end_at_their_year_and_at_their_height(as_of, years):
    values = {"2014-15": 900_000, "2020-21": 1_500_000, "2023-24": 1_880_000}
    lines = [line for line in list_lines(draw("access.plot_years", as_of)) if is_target(line)]
    ends = [(round(line.get_xdata()[-1], 6), line.get_ydata()[-1]) for line in lines]
    assert ends == [(round(charts.middle(periods.parse(year, "year")), 6), values[year]) for year in years]
    assert all(line.get_ydata()[0] == line.get_ydata()[-1] and line.get_linestyle() != "-" for line in lines)


def test_hollow_points_are_sums_and_rounded_figures():
    chart = draw("access.plot_years", "latest")
    (axes,) = chart.figure.axes
    starts = data.figures("started_treatment", "year").dropna(subset="value")
    expected = {
        round(charts.middle(p), 6): basis == "sum of months" or (pd.notna(unit) and unit > data.EXACT_TO)
        for p, basis, unit in zip(starts.index, starts["basis"], starts["rounded_to"])
    }
    seen = {}
    for marks in axes.collections:
        if mcolors.to_hex(marks.get_edgecolors()[0]) == charts.COLOURS["started_treatment"].lower():
            faces = (
                itertools.cycle(marks.get_facecolors()) if len(marks.get_facecolors()) == 1 else marks.get_facecolors()
            )
            seen |= {
                round(float(x), 6): mcolors.to_hex(face) == "#ffffff"
                for (x, _), face in zip(marks.get_offsets(), faces)
            }
    assert seen == expected and set(seen.values()) == {True, False}
    assert "Hollow points" in chart.caption


@pytest.mark.parametrize("plot, as_of", [pair for pair in PAIRS if not pair[0].startswith("recovery.")])
def test_axes_of_counts_and_shares_start_at_zero(plot, as_of):
    assert draw(plot, as_of).figure.axes[0].get_ylim()[0] == 0


@over_time
def test_everything_drawn_lies_inside_its_axes(plot, as_of):
    chart = draw(plot, as_of)
    (axes,) = chart.figure.axes
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert all(left <= x <= right and bottom <= y <= top for x, y in list_drawn(chart))


# ---------------------------------------------------------------- whether a chart can be read


@any_chart
def test_texts_lie_inside_the_picture_and_clear_of_each_other(plot, as_of):
    chart = draw(plot, as_of)
    texts = list_texts(chart)
    width, height = 72 * chart.figure.get_size_inches()
    outside = [
        text for text, box in texts if box.x0 < -0.5 or box.y0 < -0.5 or box.x1 > width + 0.5 or box.y1 > height + 0.5
    ]
    over = [
        (a, b)
        for (a, one), (b, two) in itertools.combinations(texts, 2)
        if min(one.x1, two.x1) - max(one.x0, two.x0) > 1 and min(one.y1, two.y1) - max(one.y0, two.y0) > 1
    ]
    assert len(texts) > 8
    assert outside == []
    assert over == []


def test_an_overlap_would_be_found():
    chart = access.plot_years("latest")
    x, y = chart.figure.texts[0].get_position()
    chart.figure.text(x, y, "on top of the title", va="top")
    chart.figure.text(0.99, 0.5, "beyond the edge of the picture")
    texts = list_texts(chart)
    boxes = dict(texts)
    assert boxes["on top of the title"].overlaps(boxes[chart.figure.texts[0].get_text()])
    assert boxes["beyond the edge of the picture"].x1 > 72 * chart.figure.get_figwidth()


@any_newest
def test_text_is_large_enough_at_half_size(plot):
    sizes = [
        text.get_fontsize()
        for text in draw(plot, "latest").figure.findobj(Text)
        if text.get_visible() and text.get_text().strip()
    ]
    assert min(sizes) >= 7.5


SIMULATED = {
    "normal sight": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    "greyscale": [[0.2126, 0.7152, 0.0722]] * 3,
}
"""How colours in linear RGB look to others (Machado, Oliveira and Fernandes 2009, severity 1)."""


def see(colour: str, sight: str) -> np.ndarray:
    """A colour in CIE L*a*b* as it looks with a kind of sight."""
    rgb = np.array(mcolors.to_rgb(colour))
    linear = np.clip(
        np.array(SIMULATED[sight]) @ np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4), 0, 1
    )
    xyz = (
        np.array(
            [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
        )
        @ linear
        / [0.95047, 1, 1.08883]
    )
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("sight", SIMULATED)
@newest
def test_colours_in_one_chart_can_be_told_apart(plot, sight):
    chart = draw(plot, "latest")
    colours = sorted(
        {mcolors.to_hex(line.get_color()) for line in list_lines(chart)} & {c.lower() for c in charts.COLOURS.values()}
    )
    close = {
        (a, b): round(float(np.linalg.norm(see(a, sight) - see(b, sight))), 1)
        for a, b in itertools.combinations(colours, 2)
    }
    assert {pair: distance for pair, distance in close.items() if distance < 8} == {}


@pytest.mark.parametrize("colour", sorted({*charts.COLOURS.values(), charts.QUIET}))
def test_colours_stand_out_from_white(colour):
    rgb = np.array(mcolors.to_rgb(colour))
    luminance = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]
    assert 1.05 / (luminance + 0.05) >= (4.5 if colour == charts.QUIET else 2)


@pytest.mark.parametrize("measure", PALETTE.values())
def test_one_colour_means_one_measure(measure):
    assert [name for name in PALETTE.values() if charts.COLOURS[name] == charts.COLOURS[measure]] == [measure]


# ---------------------------------------------------------------- pictures and files


@newest
def test_the_same_chart_is_the_same_picture(plot):
    assert PLOTS[plot]("2020-05-01").render("svg") == draw(plot, "2020-05-01").render("svg")


def test_the_same_chart_is_the_same_file_in_pixels():
    assert draw("access.plot_years", "latest").render("png") == access.plot_years("latest").render("png")


def test_pictures_are_what_their_ending_says_and_small():
    chart = draw("access.plot_years", "latest")
    svg, png = chart.render("svg"), chart.render("png")
    assert ET.fromstring(svg).tag.endswith("svg") and png.startswith(b"\x89PNG")
    assert len(svg) < 200_000 and len(png) < 100_000
    assert b"<dc:date>" not in svg and b"http://www.w3.org/2000/svg" in svg and b"<script" not in svg


@pytest.mark.parametrize(
    ("draw_it", "measures"),
    [
        (access.plot_years, ("referrals_received", "started_treatment", "target")),
        (partial(areas.plot_standing, "Devon"), ("recovery_rate",)),
    ],
    ids=["lines", "one point among many"],
)
def test_a_png_keeps_its_colours_and_its_white(draw_it, measures):
    """Few colours make it small; they have to be the right ones."""
    picture = Image.open(io.BytesIO(draw_it("latest").render("png"))).convert("RGB")
    colours = np.array([colour for _, colour in picture.getcolors()])
    assert len(colours) <= 64 and picture.getpixel((0, 0)) == (255, 255, 255)
    for measure in measures:
        wanted = 255 * np.array(mcolors.to_rgb(charts.COLOURS[measure]))
        assert np.abs(colours - wanted).max(axis=1).min() <= 8, measure


def test_a_chart_in_a_notebook_carries_picture_data_and_words():
    chart = draw("access.plot_years", "2020-05-01")
    bundle, metadata = chart._repr_mimebundle_()
    card = bundle[charts.MIME]
    assert set(bundle) == {"text/plain", "image/png", "image/svg+xml", charts.MIME}
    assert (card["name"], card["title"], card["alt"], card["caption"]) == (
        chart.name,
        chart.title,
        chart.alt,
        chart.caption,
    )
    assert metadata["image/svg+xml"]["alt"] == chart.alt
    again = pd.read_csv(io.StringIO(card["csv"]))
    assert again.columns.tolist() == chart.data.columns.tolist() and len(again) == len(chart.data)
    assert card["csv"].startswith("year,referrals_received,")


@newest
def test_the_csv_of_a_chart_keeps_every_digit_of_a_count(plot, monkeypatch):
    monkeypatch.setattr(charts.Chart, "render", lambda self, kind: b"")
    chart = draw(plot, "latest")
    again = pd.read_csv(io.StringIO(chart._repr_mimebundle_()[0][charts.MIME]["csv"]))
    for name, column in chart.data.select_dtypes("number").items():
        whole = column.dropna() % 1 == 0
        tolerance = 0 if whole.all() else 1e-5
        assert np.allclose(again[name], column, rtol=tolerance, atol=0, equal_nan=True), name


def test_points_lie_at_the_middle_of_their_period():
    assert charts.middle(pd.Period("2019", "Y-MAR")) == pytest.approx(2018.75, abs=0.005)
    assert charts.middle(pd.Period("2019Q4", "Q-MAR")) == pytest.approx(2019 + 45 / 365, abs=0.005)
    assert charts.middle(pd.Period("2019-01", "M")) == pytest.approx(2019 + 15.5 / 365, abs=0.005)
