"""One chart style for every report, and the parts that charts are made of.

A colour means the same measure in every chart. A `Chart` carries its picture, the data behind it, its
alternative text and its caption; shown in a notebook it gives all of them to whoever renders the page.
"""

import io
import re
import textwrap
from dataclasses import dataclass, field

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter
from matplotlib.transforms import Bbox
from PIL import Image

from iapt import data
from iapt.data import periods
from iapt.show import words

MIME = "application/vnd.iapt.chart+json"
COLOURS = {
    "referrals_received": "#56B4E9",
    "started_treatment": "#005A94",
    "finished_course": "#1B9E77",
    "recovery_rate": "#8F3B76",
    "reliable_recovery_rate": "#C77CA9",
    "reliable_improvement_rate": "#4F3A00",
    "target": "#D55E00",
    "forecast": "#005A94",
    "needed": "#D55E00",
    "plain": "#4D4D4D",
}
BACKING = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.8}
INK, QUIET, GRID = "#1a1a1a", "#5c5c5c", "#dddddd"
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.edgecolor": QUIET,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": GRID,
    "axes.axisbelow": True,
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "ytick.major.size": 0,
    "svg.hashsalt": "iapt",
    "svg.fonttype": "path",
    "figure.dpi": 100,
}
WIDTH, LEFT, RIGHT = 6.8, 0.8, 1.5
PNG_DPI = 144


@dataclass(frozen=True)
class Chart:
    """A finished chart. `data` is what is drawn; `alt` says what a sighted reader sees, with the numbers."""

    name: str
    title: str
    figure: Figure
    data: pd.DataFrame
    alt: str
    caption: str

    def render(self, kind: str) -> bytes:
        """The picture as `svg` or `png`: the same bytes for the same data."""
        buffer = io.BytesIO()
        with mpl.rc_context(STYLE):
            if kind == "svg":
                self.figure.savefig(buffer, format="svg", metadata={"Date": None})
                return _shrink(buffer.getvalue().decode()).encode()
            self.figure.savefig(buffer, format="rgba", dpi=PNG_DPI)
        width, height = (self.figure.get_size_inches() * PNG_DPI).astype(int)
        return _reduce(Image.frombuffer("RGBA", (width, height), buffer.getbuffer(), "raw", "RGBA", 0, 1))

    def _repr_mimebundle_(self, include=None, exclude=None) -> tuple[dict, dict]:
        card = {"name": self.name, "title": self.title, "alt": self.alt, "caption": self.caption}
        card["csv"] = self.data.to_csv(index=False, lineterminator="\n", float_format="%.9g")
        bundle = {
            "text/plain": f"{self.title}\n\n{self.alt}",
            "image/png": self.render("png"),
            "image/svg+xml": self.render("svg").decode(),
            MIME: card,
        }
        return bundle, {"image/png": {"alt": self.alt}, "image/svg+xml": {"alt": self.alt}}


def _reduce(picture: Image.Image) -> bytes:
    """The picture as a PNG of 64 colours, a quarter of the size, its white as white as the page."""
    small = picture.convert("RGB").quantize(64, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    small.putpalette([255 if part >= 250 else part for part in small.getpalette()])
    buffer = io.BytesIO()
    small.save(buffer, "png")
    return buffer.getvalue()


def _shrink(svg: str) -> str:
    """The same SVG in half the size: no line breaks, hundredths of a point, short names for glyphs."""
    svg = re.sub(r"\s*\n\s*", " ", re.sub(r">\s+<", "><", svg))
    svg = re.sub(r' [dxy]="[^"]*"', lambda place: re.sub(r"(\.\d\d)\d+", r"\1", place[0]), svg)
    return svg.replace("DejaVuSans-Bold-", "B").replace("DejaVuSans-", "D") + "\n"


@dataclass
class Canvas:
    """An empty chart in the house style, to draw on and then to `close`."""

    name: str
    title: str
    axes: Axes
    figure: Figure
    caption: str
    labels: list = field(default_factory=list)
    panels: list["Canvas"] = field(default_factory=list)


def open_canvas(
    name: str, title: str, unit: str, notes: list[str], sources: str, as_of: str, height: float = 3.3
) -> Canvas:
    """A canvas with the finding as title, the unit as subtitle, and notes, sources and vintage below the axes."""
    heading = _balance(title, 62)
    caption = " ".join([*filter(None, notes), f"Source: {sources}; {words.vintage(as_of)}."])
    foot = textwrap.wrap(caption, 112)
    top, bottom = 0.12 + 0.24 * len(heading) + 0.42, 0.34 + 0.155 * len(foot) + 0.14
    total = top + height + bottom
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, total))
        axes = _add_axes(figure, (LEFT / WIDTH, bottom / total, (WIDTH - LEFT - RIGHT) / WIDTH, height / total))
        at = lambda inches: 1 - inches / total
        figure.text(0.1 / WIDTH, at(0.12), "\n".join(heading), va="top", fontsize=12.5, weight="bold", linespacing=1.25)
        figure.text(0.1 / WIDTH, at(0.14 + 0.24 * len(heading)), unit, va="top", fontsize=10, color=QUIET)
        figure.text(0.1 / WIDTH, 0.1 / total, "\n".join(foot), va="bottom", fontsize=7.8, color=QUIET, linespacing=1.35)
    return Canvas(name, title, axes, figure, caption)


def _add_axes(figure: Figure, spot: tuple[float, float, float, float]) -> Axes:
    """Axes at a spot of the figure. Their own labels stay empty; fixed, they need not be placed in every drawing."""
    axes = figure.add_axes(spot)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_label_coords(0, 0)
    return axes


def _balance(text: str, width: int) -> list[str]:
    """The text in as few lines as the width allows, of about the same length."""
    lines = textwrap.wrap(text, width)
    return next(
        even
        for narrow in range(len(text) // len(lines), width + 1)
        if len(even := textwrap.wrap(text, narrow)) == len(lines)
    )


def close_canvas(canvas: Canvas, table: pd.DataFrame, alt: str) -> Chart:
    """The chart, once its labels have been moved apart."""
    with mpl.rc_context(STYLE):
        for part in canvas.panels or [canvas]:
            _place_labels(part)
    return Chart(canvas.name, canvas.title, canvas.figure, table, alt, canvas.caption)


def split_canvas(
    canvas: Canvas, headings: list[str], columns: int = 2, *, left: float = 0.6, right: float = 1.3, gap: float = 0.72
) -> list[Canvas]:
    """The canvas cut into small multiples, row by row, each a canvas with its own axes and heading; margins in inches."""
    width, total = canvas.figure.get_size_inches()
    box = canvas.axes.get_position()
    rows = -(-len(headings) // columns)
    high, wide = (box.height * total - 0.15 - gap * (rows - 1)) / rows, width / columns
    canvas.axes.remove()
    with mpl.rc_context(STYLE):
        for number, heading in enumerate(headings):
            row, column = divmod(number, columns)
            bottom = box.y0 * total + (rows - 1 - row) * (high + gap)
            spot = (column * wide + left) / width, bottom / total, (wide - left - right) / width, high / total
            axes = _add_axes(canvas.figure, spot)
            axes.set_title(heading, loc="left", fontsize=10, weight="bold", pad=14, y=1)
            axes.tick_params(labelsize=8.5)
            canvas.panels.append(Canvas(canvas.name, heading, axes, canvas.figure, canvas.caption))
    return canvas.panels


# ---------------------------------------------------------------- positions on the time axis


def middle(period: pd.Period) -> float:
    """The middle of a period in decimal years: where its point is drawn."""
    start, end = period.start_time, period.end_time
    halfway = start + (end - start) / 2
    return halfway.year + (halfway.day_of_year - 1) / (366 if halfway.is_leap_year else 365)


def span_years(canvas: Canvas, first: pd.Period, last: pd.Period) -> None:
    """Limits and ticks of the time axis: financial years from that of `first` to that of `last`."""
    years = pd.period_range(periods.financial_year(first), periods.financial_year(last), freq="Y-MAR")
    step = -(-len(years) // 7)
    shown = list(reversed(years[::-1][::step]))
    canvas.axes.set_xlim(middle(years[0]) - 0.55, middle(years[-1]) + 0.55)
    canvas.axes.set_xticks([middle(year) for year in shown], [periods.label(year) for year in shown])


def show_counts(axes: Axes, top: float | None = None) -> None:
    """A vertical axis of counts from zero, in thousands or millions."""
    axes.set_ylim(0, top)
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value / 1e6:g}m" if value >= 1e6 else words.count(value))
    )


def show_percent(axes: Axes) -> None:
    """A vertical axis of percentages."""
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}%"))


# ---------------------------------------------------------------- what is drawn


def draw_series(
    canvas: Canvas,
    table: pd.DataFrame,
    measure: str,
    *,
    marks: bool = True,
    label: str | None = None,
    width: float = 2.0,
) -> None:
    """A line through the `value` of a table from `iapt.data.figures`, labelled at its end.

    The line stops at gaps and where a break cuts the series. Hollow points are figures that nobody published
    in this form: sums of months, or official figures printed rounded.
    """
    axes, colour = canvas.axes, COLOURS[measure]
    for piece in _split(table, measure):
        x = [middle(period) for period in piece.index]
        axes.plot(x, piece["value"], color=colour, linewidth=width, solid_capstyle="round", zorder=3)
        if marks or len(piece) == 1:
            hollow = _is_hollow(piece)
            axes.scatter(
                x,
                piece["value"],
                s=26,
                color=["white" if h else colour for h in hollow],
                edgecolors=colour,
                linewidths=1.5,
                zorder=4,
            )
    valid = table["value"].dropna()
    if label and len(valid):
        add_label(canvas, middle(valid.index[-1]), valid.iloc[-1], label, colour)


def _split(table: pd.DataFrame, measure: str) -> list[pd.DataFrame]:
    frequency = {"Y": "year", "Q": "quarter", "M": "month"}[table.index.freqstr[0]]
    breaks = data.breaks(measure, frequency)
    cuts = breaks.loc[breaks["cut"] == "yes", "period"]
    part = sum((table.index >= cut).astype(int) for cut in cuts) + table["value"].isna().cumsum().to_numpy() * 10
    return [piece for _, piece in table[table["value"].notna()].groupby(part[table["value"].notna()])]


def _is_hollow(table: pd.DataFrame) -> list[bool]:
    if "basis" not in table:
        return [False] * len(table)
    return (
        (table["basis"] == "sum of months") | (table["rounded_to"].fillna(0).astype(float) > data.EXACT_TO)
    ).tolist()


def explain_hollow(tables: list[pd.DataFrame]) -> str:
    """The note that goes with hollow points, where there are any."""
    return (
        "Hollow points: sums of published months, or published rounded."
        if any(any(_is_hollow(table.dropna(subset="value"))) for table in tables)
        else ""
    )


def mark_breaks(canvas: Canvas, measure: str, index: pd.PeriodIndex) -> None:
    """A dotted line with a letter at each break inside the span of the series; `name_breaks` gives their names."""
    for letter, period, _ in _inside(measure, index):
        x = middle(period) - {"Y": 0.5, "Q": 0.125, "M": 1 / 24}[index.freqstr[0]]
        canvas.axes.axvline(x, color=QUIET, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
        canvas.axes.annotate(
            letter,
            (x, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=8,
            color=QUIET,
        )


def name_breaks(measure: str, index: pd.PeriodIndex) -> str:
    """The key to the letters of `mark_breaks`."""
    names = [f"{letter} {text} ({periods.label(period)})" for letter, period, text in _inside(measure, index)]
    return f"Breaks: {'; '.join(names)}." if names else ""


def _inside(measure: str, index: pd.PeriodIndex) -> list[tuple[str, pd.Period, str]]:
    frequency = {"Y": "year", "Q": "quarter", "M": "month"}[index.freqstr[0]]
    rows = data.breaks(measure, frequency)
    rows = rows[(rows["period"] > index[0]) & (rows["period"] <= index[-1])]
    return [("ABCDEFG"[i], row.period, row.label) for i, row in enumerate(rows.itertuples())]


def draw_targets(canvas: Canvas, targets: pd.DataFrame, first: pd.Period) -> None:
    """Each target as a dashed line that ends, with a diamond, in the year by which it was to be reached."""
    start = middle(first) - 0.5
    for row in targets.sort_values("year").itertuples():
        end = middle(row.year)
        start = max(start, end - 4)
        canvas.axes.plot(
            [start, end], [row.value] * 2, color=COLOURS["target"], linewidth=1.3, linestyle=(0, (4, 2)), zorder=2
        )
        canvas.axes.scatter([end], [row.value], marker="D", s=28, color=COLOURS["target"], zorder=5)
        room = canvas.axes.get_xlim()[1] - end > 3.2
        canvas.axes.annotate(
            "target "
            f"{periods.label(row.year)}\n{words.million(row.value) if row.value >= 1e6 else words.count(row.value)}",
            (end, row.value),
            xytext=(6, 2) if room else (2, 6),
            textcoords="offset points",
            ha="left" if room else "right",
            va="top" if room else "bottom",
            fontsize=8.8,
            color="#A84600",
            zorder=6,
            linespacing=1.1,
            bbox=BACKING,
        )
        start = end


def draw_standard(canvas: Canvas, value: float, text: str) -> None:
    """A standing standard as a dashed line across the chart, named at its left end."""
    canvas.axes.axhline(value, color=COLOURS["target"], linewidth=1.3, linestyle=(0, (4, 2)), zorder=2)
    canvas.axes.annotate(
        text,
        (0.01, value),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        fontsize=8.8,
        color="#A84600",
        bbox=BACKING,
    )


def add_label(canvas: Canvas, x: float, y: float, text: str, colour: str) -> None:
    """A direct label to the right of a point; labels are moved apart when the canvas is closed."""
    canvas.labels.append((x, y, "\n".join(textwrap.fill(line, 19) for line in text.splitlines()), colour))


def name_points(canvas: Canvas, named: pd.DataFrame, others: pd.DataFrame) -> None:
    """Name the points of a scatter (columns x, y, text, colour), clear of each other and of the `others` (x, y).

    To be called once the axes have their limits.
    """
    axes = canvas.axes
    renderer = FigureCanvasAgg(canvas.figure).get_renderer()
    inside = axes.get_window_extent(renderer)
    dots = axes.transData.transform(pd.concat([named, others])[["x", "y"]].to_numpy(float))
    taken: list[Bbox] = []
    for row in named.itertuples():
        style = {"fontsize": 8.6, "color": row.colour, "linespacing": 1.05}
        text = Text(0, 0, textwrap.fill(row.text, 26), figure=canvas.figure, **style)
        size, spot = text.get_window_extent(renderer).size, axes.transData.transform((row.x, row.y))
        boxes = {shift: _find_box(spot, shift, size, canvas.figure.dpi / 72) for shift in SHIFTS}
        shift = min(boxes, key=lambda shift: _rate_box(boxes[shift], taken, dots, inside) + max(map(abs, shift)))
        far = max(map(abs, shift)) > 13
        arrow = {"arrowstyle": "-", "color": row.colour, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3} if far else None
        across, up = np.sign(shift).astype(int) + 1
        axes.annotate(
            text.get_text(),
            (row.x, row.y),
            xytext=shift,
            textcoords="offset points",
            arrowprops=arrow,
            bbox=BACKING,
            ha=("right", "center", "left")[across],
            va=("top", "center", "bottom")[up],
            zorder=6,
            **style,
        )
        taken.append(boxes[shift].padded(2))


SHIFTS = [
    (radius * across, radius * up)
    for radius in (6, 13, 21, 30, 40, 52)
    for across, up in ((1, 0), (-1, 0), (0, 1), (0, -1), (0.8, 0.8), (-0.8, 0.8), (0.8, -0.8), (-0.8, -0.8))
]
"""Where the name of a point may stand, in points from it, the best first."""


def _find_box(spot: np.ndarray, shift: tuple[float, float], size: np.ndarray, scale: float) -> Bbox:
    """The room in pixels of a text of this size that begins so far from a spot and grows away from it."""
    corner = spot + np.array(shift) * scale + size * (np.sign(shift) - 1) / 2
    return Bbox.from_bounds(*corner, *size)


def _rate_box(box: Bbox, taken: list[Bbox], dots: np.ndarray, inside: Bbox) -> float:
    """What speaks against a place: other names and the frame above all, then the points that it covers."""
    covered = ((dots > box.min - 3) & (dots < box.max + 3)).all(axis=1).sum()
    outside = box.x0 < inside.x0 or box.x1 > inside.x1 + 60 or box.y0 < inside.y0 or box.y1 > inside.y1
    return 1000 * sum(box.overlaps(other) for other in taken) + 1000 * outside + 100 * covered


LEADER = {
    "arrowstyle": "-",
    "linewidth": 0.6,
    "alpha": 0.5,
    "shrinkA": 1,
    "shrinkB": 4,
    "relpos": (0, 0.5),
    "patchA": None,
}
"""The line from a label to its point: from the middle of its left side, so that it need not be cut where the text is."""


def _place_labels(canvas: Canvas) -> None:
    axes = canvas.axes
    edge = axes.get_xlim()[1]
    height = axes.get_position().height * canvas.figure.get_figheight() * 72
    bottom, top = axes.get_ylim()
    points = sorted(
        ((y - bottom) / (top - bottom) * height, x, y, text, colour) for x, y, text, colour in canvas.labels
    )
    floor = -1e9
    spots = []
    for spot, *rest in points:
        half = 6.4 * (rest[2].count("\n") + 1)
        spots.append([max(spot, floor + half), half, *rest])
        floor = spots[-1][0] + half
    ceiling = height
    for spot in reversed(spots):
        spot[0] = min(spot[0], ceiling - spot[1] + 4)
        ceiling = spot[0] - spot[1] - 4
    for spot, _, x, y, text, colour in spots:
        axes.annotate(
            text,
            (x, y),
            xytext=(edge + (axes.get_xlim()[1] - axes.get_xlim()[0]) * 0.015, bottom + spot / height * (top - bottom)),
            textcoords="data",
            va="center",
            fontsize=9.3,
            color=colour,
            weight="bold",
            linespacing=1.1,
            annotation_clip=False,
            arrowprops=LEADER | {"color": colour},
        )
