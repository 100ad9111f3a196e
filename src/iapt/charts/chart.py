"""The house style, and what every chart carries: picture, data, alternative text and caption.

A chart is laid out when it is shown, so that what was added to it in between has its room. matplotlib's own
`.figure` and `.axes` are there for everything that the builders do not draw.
"""

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Required, TypedDict

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from iapt import words
from iapt.charts import picture
from iapt.charts.picture import measure, wrap
from iapt.charts.places import AROUND, place_labels, place_tags
from iapt.data import periods

MIME = "application/vnd.iapt.chart+json"
COLOURS = {
    "referrals_received": "#56B4E9",
    "started_treatment": "#005A94",
    "finished_course": "#1B9E77",
    "recovery_rate": "#8F3B76",
    "reliable_recovery_rate": "#C77CA9",
    "reliable_improvement_rate": "#4F3A00",
    "target": "#D55E00",
    "plain": "#4D4D4D",
}
"""A colour means the same measure in every chart."""
OTHERS = ("#0072B2", "#A84600", "#007A5A", "#8F3B76", "#1a1a1a", "#6E6E6E")
"""Colours of lines that are no measure, safe for colour-blind readers."""
INK, QUIET, GRID, TARGET_INK = "#1a1a1a", "#5c5c5c", "#dddddd", "#A84600"
SMALL, TITLE, UNIT = 8.5, 12.5, 10
"""Sizes of text in points: on a telephone the smallest is 11 of the 360 pixels that the narrow picture takes."""
STYLE = {key: value for key, value in mpl.rcParamsDefault.items() if not key.startswith("backend")} | {
    "font.family": picture.FONT,
    "font.size": 10,
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
    "ytick.left": False,
    "figure.dpi": 72,
    "path.simplify": False,
    "svg.fonttype": "none",
    "text.hinting": "none",
}
"""Every setting, from matplotlib's own defaults, so that no user's settings change a chart."""
WIDE, NARROW = 6.8, 3.75
"""Inches across: on a page, and on a telephone, where 3.75 inches are its 360 pixels."""
MARGIN = 6
"""Points around the picture."""


class About(TypedDict, total=False):
    """What every builder is told: `title`, `unit`, and where they are not to be guessed `name`, `measures`, `as_of`.

    `unit` is the axis in words; with "per cent" in it the axis is one of percentages. `name` is that of the files, by
    default made of the title. `measures` and `as_of` are what the figures rest on: `data.table` leaves them on its
    tables, and they are given where pandas has lost them.
    """

    title: Required[str]
    unit: Required[str]
    name: str
    measures: Sequence[str]
    as_of: str


@dataclass
class Panel:
    """One pair of axes: what it shows over which periods, and the texts that are placed when the chart is laid out.

    `labels` stand to the right of the axes (x, y, text, colour); `tags` beside a place within them; `rows` name the
    ticks of a vertical axis, `across` the horizontal one. `late` draws what depends on the width.
    """

    axes: Axes
    heading: str = ""
    periods: pd.PeriodIndex | None = None
    labels: list[tuple[float, float, str, str]] = field(default_factory=list)
    tags: list[dict] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    names: list[tuple[float, str]] = field(default_factory=list)
    across: str = ""
    right: float = 0
    late: list[Callable[[float], list[Artist]]] = field(default_factory=list)

    def label(self, x: float, y: float, text: str, colour: str) -> None:
        """A label to the right of a point; labels are moved apart when the chart is laid out."""
        self.labels.append((x, y, text, colour))

    @property
    def early(self) -> float:
        """What ends before this leaves a quarter of the periods empty, so its label stands beside its end."""
        return -np.inf if self.periods is None else np.dot([1 / 4, 3 / 4], [middle(self.periods[end]) for end in (0, -1)])

    def tag(self, x: float, y: float, text: str, colour: str, shifts: list[tuple[float, float]], **how: object) -> None:
        """A text at the first of the `shifts`, in points from a place, where it covers no line, point or other text.

        `how`: `where` its place is counted ("data", or "top" and "side" of the axes), its `angle`, and the text where
        the axes are narrow (`short`).
        """
        self.tags.append({"at": (x, y), "text": text, "colour": colour, "shifts": shifts} | how)


@dataclass
class Chart:
    """A chart. `data` is what is drawn; `alt` says what a sighted reader sees, with the numbers; `caption` its sources."""

    name: str
    title: str
    unit: str
    sources: str
    as_of: str
    height: float = 3.4
    columns: int = 1
    newest: pd.Period | None = None
    notes: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    drawn: pd.DataFrame = field(default_factory=pd.DataFrame)
    tips: list[tuple[Artist, list[str]]] = field(default_factory=list)
    panels: list[Panel] = field(default_factory=list)
    arranged: list[tuple[float, ...]] = field(default_factory=list)
    _placed: list[Artist] = field(default_factory=list)

    def __post_init__(self) -> None:
        with mpl.rc_context(STYLE):
            self.figure = Figure(figsize=(WIDE, self.height))

    def add_panel(self, heading: str = "") -> Panel:
        """New axes, below or beside those there are."""
        with mpl.rc_context(STYLE):
            panel = Panel(self.figure.add_axes((0.1, 0.1, 0.8, 0.8), label=str(len(self.panels))), heading)
        self.panels.append(panel)
        return panel

    def take(self, figure: Figure) -> None:
        """Make a finished figure that of this chart. Axes of one size become panels under their titles."""
        figure.set_layout_engine("none")
        self.figure, bounds = figure, [tuple(np.round(axes.get_position().bounds, 3)) for axes in figure.axes]
        self.columns = len({x for x, *_ in bounds})
        self.arranged = bounds if len({bound[2:] for bound in bounds}) > 1 else []
        self.panels = [Panel(axes, "" if self.arranged else axes.get_title().replace("_", " ")) for axes in figure.axes]
        for panel in self.panels:
            if panel.heading:
                panel.axes.set_title("")
                panel.axes.tick_params(labelbottom=True)
        for text in figure.findobj(Text):
            text.set_fontsize(max(SMALL, text.get_fontsize()))

    @property
    def axes(self) -> Axes:
        """The axes of the first panel."""
        return self.panels[0].axes

    @property
    def data(self) -> pd.DataFrame:
        """What is drawn, as the CSV beside the picture holds it: years and quarters as `2023/24` and `Q3 2018/19`."""
        return self.drawn.map(words.name_period)

    @property
    def alt(self) -> str:
        return " ".join(self.said)

    @property
    def caption(self) -> str:
        notes = dict.fromkeys(filter(None, self.notes))
        return " ".join([*notes, f"Source: {self.sources}; {words.vintage(self.as_of, self.newest)}."])

    @property
    def scale(self) -> str:
        """What the values are, as the unit says: `percent`, `number` (days, rates for each 1,000) or `count`."""
        unit = self.unit.lower()
        if "per cent" in unit or "percentage" in unit:
            return "percent"
        return "number" if re.search(r"\b(days|mean|median|per [\d,]+|points)\b", unit) else "count"

    def dated(self, newest: pd.Period) -> "Chart":
        """Say in the caption with which period the figures end, where that is not the newest month held."""
        self.newest = newest
        return self

    def note(self, text: str) -> "Chart":
        """Add a sentence to the caption."""
        self.notes.append(text)
        return self

    # ------------------------------------------------------------ pictures

    def render(self, kind: str, width: float = WIDE) -> bytes:
        """The picture as `svg` or `png`, so many inches wide: the same bytes for the same data."""
        return self._draw(width, kind)[0]

    def _draw(self, width: float, *kinds: str) -> list[bytes]:
        """The pictures, laid out so many inches wide; a telephone has nothing to hover with."""
        for number, (artist, _) in enumerate(self.tips):
            artist.set_gid(f"tip-{number}")
        titles = {artist.get_gid(): texts for artist, texts in self.tips} if width > NARROW else {}
        name = self.name + ("-narrow" if width < WIDE else "")
        with mpl.rc_context(STYLE):
            self._lay_out(width)
            svg = lambda: picture.to_svg(self.figure, name, self.alt, titles).encode()
            return [picture.to_png(self.figure) if kind == "png" else svg() for kind in kinds]

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> tuple[dict, dict]:
        (narrow,), (wide, png) = self._draw(NARROW, "svg"), self._draw(WIDE, "svg", "png")
        card = {"name": self.name, "title": self.title, "alt": self.alt, "caption": self.caption}
        bundle = {
            "text/plain": f"{self.title}\n\n{self.alt}",
            "image/svg+xml": wide.decode(),
            "image/png": png,
            MIME: card | {"csv": words.write_csv(self.drawn), "narrow": narrow.decode()},
        }
        return bundle, {"image/png": {"alt": self.alt}, "image/svg+xml": {"alt": self.alt}}

    # ------------------------------------------------------------ layout, in points

    def _lay_out(self, width: float) -> None:
        """Give title, axes, labels and caption their places in a picture so many inches wide."""
        for artist in self._placed:
            artist.remove()
        self.figure.set_dpi(72)
        for axis in (axis for axes in self.figure.axes for axis in (axes.xaxis, axes.yaxis)):
            if not axis.get_label_text():
                axis.set_label_coords(0, 0)  # or matplotlib looks twice for a place for what is not there
        width *= 72
        inner = width - 2 * MARGIN
        columns = self.columns if width > 72 * NARROW else max(1, self.columns // 2)
        columns = len(self.panels) if self.arranged else columns
        across, rows = inner / columns, -(-len(self.panels) // columns)
        title, unit = balance(self.title, inner, TITLE), wrap(self.unit, inner, UNIT)
        foot = wrap(self.caption, inner, SMALL)
        headings = [wrap(panel.heading, across - 8, UNIT, True) for panel in self.panels]
        top = MARGIN + 18 * len(title) + 13 * len(unit) + 8
        named_above = any(tag.get("where") == "top" and not tag.get("angle") for tag in self.panels[0].tags)
        over = 14 * max(map(len, headings)) + 6 + 13 * named_above
        under = 10 + 12 * len(wrap(self.panels[0].across, across - 110, SMALL)) + self._name_ticks(across)
        bottom = 11.5 * len(foot) + 2 * MARGIN
        heights = [self._height(panel, rows, columns, width) for panel in self.panels]
        total = top + rows * (over + max(heights) + under) + (rows - 1) * 8 + bottom
        self.figure.set_size_inches(width / 72, total / 72)
        write = lambda x, y, lines, spacing, **style: self.figure.text(
            x / width, 1 - y / total, "\n".join(lines), va="top", linespacing=spacing, **style
        )
        self._placed = [
            write(MARGIN, MARGIN, title, 1.25, fontsize=TITLE, weight="bold"),
            write(MARGIN, MARGIN + 18 * len(title), unit, 1.2, fontsize=UNIT, color=QUIET),
            write(MARGIN, total - bottom + MARGIN, foot, 1.3, fontsize=SMALL, color=QUIET),
        ]
        for number, (panel, heading) in enumerate(zip(self.panels, headings)):
            row, column = divmod(number, columns)
            x, y = MARGIN + column * across, top + row * (over + max(heights) + under + 8)
            if heading:
                self._placed.append(write(x, y, heading, 1.2, fontsize=UNIT, weight="bold"))
            if self.arranged:
                left, low, wide, high = self.arranged[number]
                place = (MARGIN + left * inner, bottom + under + low * heights[0], wide * inner, high * heights[0])
                panel.axes.set_position(np.divide(place, (width, total, width, total)))
            else:
                self._place_axes(panel, (x, y + over, across, max(heights)), (width, total))

    def _name_ticks(self, across: float) -> float:
        """Name the ticks of horizontal axes of names, as many as have room, and say how high the names are."""
        highest = 10.0
        for panel in self.panels:
            axis = panel.axes.xaxis
            if panel.periods is None and not panel.names and isinstance(axis.get_major_locator(), FixedLocator):
                texts = map(str, axis.get_major_formatter().format_ticks(axis.get_ticklocs()))
                panel.names = [(x, text) for x, text in zip(axis.get_ticklocs(), texts) if text.strip()]
            if panel.names:
                size, room = max(SMALL, axis.get_ticklabels()[0].get_fontsize()), (across - 64) / len(panel.names)
                widest = max(measure(word, size) for _, name in panel.names for word in name.split())
                step = int(np.ceil((widest + 5) / room))
                lines = [(x, wrap(name, room * step - 5, size)) for x, name in panel.names[::-1][::step]]
                panel.axes.set_xticks([x for x, _ in lines], ["\n".join(text) for _, text in lines], fontsize=size)
                highest = max(highest, *(1.25 * size * len(text) for _, text in lines))
        return highest

    def _height(self, panel: Panel, rows: int, columns: int, width: float) -> float:
        """How high the axes of a panel are: rows of names as they need, small panels on a telephone less."""
        if panel.rows:
            lines = [len(wrap(name, 0.4 * width, 9)) for name in panel.rows]
            return len(lines) * max(18.5, 11 * max(lines) + 1)
        if len(self.panels) == 1 or self.arranged:
            return 72 * self.height
        return 72 * self.height / rows - 40 if columns == self.columns else 100

    def _place_axes(self, panel: Panel, room: tuple[float, ...], size: tuple[float, float]) -> None:
        """Set the axes of a panel into its room, with what belongs to them: names of ticks, labels, tags."""
        (x, y, across, high), (width, total), axes = room, size, panel.axes
        if panel.rows:
            axes.set_yticklabels(["\n".join(wrap(name, 0.4 * width, 9)) for name in panel.rows], fontsize=9)
        axes.set_position((x / width, 1 - (y + high) / total, across / width, high / total))
        left = min(_measure_ticks(axes) + 8, across / 2)
        limit = across * (0.32 if across < 300 else 0.26)
        labels = [(*spot, [line for part in text.split("\n") for line in wrap(part, limit, 9, True)], colour)
                  for *spot, text, colour in panel.labels if spot[0] >= panel.early]  # fmt: skip
        texts = [line for *_, lines, _ in labels for line in lines]
        right = max([0, panel.right, *(measure(line, 9, True) + 12 for line in texts)]) or MARGIN
        wide = across - left - max(right, 22 if panel.periods is not None else right)
        axes.set_position(((x + left) / width, 1 - (y + high) / total, wide / width, high / total))
        if panel.periods is not None:
            _set_ticks(panel, wide)
        elif isinstance(axes.xaxis.get_major_locator(), MaxNLocator):
            _thin_ticks(axes, wide)
        if panel.across:
            text = "\n".join(wrap(panel.across, across - 110, SMALL))
            style = {"ha": "right", "va": "top", "fontsize": SMALL, "color": QUIET}
            self._placed.append(axes.annotate(text, (1, 0), (0, -20), "axes fraction", "offset points", **style))
        for draw in panel.late:
            self._placed += draw(wide)
        beside, taken = place_labels(axes, labels, 5 if panel.heading else 12)
        near = [{"at": spot, "text": text.replace("\n", " "), "colour": colour, "shifts": AROUND}
                for *spot, text, colour in panel.labels if spot[0] < panel.early]  # fmt: skip
        self._placed += beside + place_tags(axes, panel.tags + near, taken, x + across)


def _measure_ticks(axes: Axes) -> float:
    """The width of the widest name of a tick on the vertical axis."""
    low, high = sorted(axes.get_ylim())
    ticks = [tick for tick in axes.get_yticks() if low <= tick <= high]
    texts = axes.yaxis.get_major_formatter().format_ticks(ticks)
    size = axes.yaxis.get_major_ticks(1)[0].label1.get_fontsize()
    return max([0, *(measure(line, size) for text in texts for line in text.split("\n"))])


def _thin_ticks(axes: Axes, wide: float) -> None:
    """As many round ticks on the horizontal axis, up to one each 56 points, as their names have room."""
    axis, (low, high) = axes.xaxis, sorted(axes.get_xlim())
    for number in range(max(2, int(wide / 56)), 0, -1):
        axis.get_major_locator().set_params(nbins=number)
        ticks = [tick for tick in axis.get_ticklocs() if low <= tick <= high]
        names = axis.get_major_formatter().format_ticks(ticks)
        if len(ticks) < 2 or max(measure(name, 10) for name in names) + 8 < wide * (ticks[1] - ticks[0]) / (high - low):
            return


def _set_ticks(panel: Panel, wide: float) -> None:
    """Ticks at financial years, the last one always among them, as many as the width has room for."""
    held = panel.periods
    years = pd.period_range(held[0].asfreq("Y-MAR"), held[-1].asfreq("Y-MAR"), freq="Y-MAR")
    step = max(1, int(np.ceil(len(years) * 50 / wide)))
    shown = years[::-1][::step]
    panel.axes.set_xlim(middle(years[0]) - 0.55, middle(years[-1]) + 0.55)
    panel.axes.set_xticks([middle(year) for year in shown], [periods.label(year) for year in shown])


@functools.cache
def middle(period: pd.Period) -> float:
    """The middle of a period in decimal years: where its point is drawn."""
    start, end = period.start_time, period.end_time
    halfway = start + (end - start) / 2
    return halfway.year + (halfway.day_of_year - 1) / (366 if halfway.is_leap_year else 365)


def balance(text: str, width: float, size: float) -> list[str]:
    """A title in as few lines as the width allows, of about the same length."""
    lines = wrap(text, width, size, True)
    for part in np.linspace(1 / len(lines), 1, 20):
        if len(even := wrap(text, part * width, size, True)) == len(lines):
            return even
    return lines


def scale_axis(axis: mpl.axis.Axis, scale: str) -> None:
    """Write an axis as its values are written: 50%, 1.5m or 250,000."""
    mark = "%" if scale == "percent" else ""
    short = lambda value: f"{value / 1e6:g}m" if abs(value) >= 1e6 else words.count(value)
    axis.set_major_formatter(
        FuncFormatter(lambda value, _: short(value) if scale == "count" else f"{value:g}{mark}".replace("-", "−"))
    )


def write_value(value: float, scale: str) -> str:
    """A value as charts write it: 1.26 million, 147,781, 50.6% or 31.6."""
    if scale == "percent":
        return words.percent(value, 1)
    if scale == "number":
        return f"{value:,.1f}".replace("-", "−")
    return words.million(value) if abs(value) >= 995_000 else words.count(value)
