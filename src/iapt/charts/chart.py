"""The house style, and what every chart carries: picture, data, alternative text and caption.

A chart is laid out when it is shown, so that what was added to it in between has its room. matplotlib's own
`.figure` and `.axes` are there for everything that the builders do not draw.
"""

import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from iapt import words
from iapt.charts import picture
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
BACKING = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.8}
STYLE = {key: value for key, value in mpl.rcParamsDefault.items() if not key.startswith("backend")} | {
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
    "ytick.left": False,
    "figure.dpi": 72,
}
"""Every setting, from matplotlib's own defaults, so that no user's settings change a chart."""
WIDE, NARROW = 6.8, 3.75
"""Inches across: on a page, and on a telephone, where 3.75 inches are its 360 pixels."""


@dataclass
class Panel:
    """One pair of axes: what it shows over which periods, and the labels that stand to the right of its points."""

    axes: Axes
    heading: str = ""
    periods: pd.PeriodIndex | None = None
    labels: list[tuple[float, float, str, str]] = field(default_factory=list)
    left: float = 0.8
    late: list[Callable[[], list]] = field(default_factory=list)

    def label(self, x: float, y: float, text: str, colour: str) -> None:
        """A label to the right of a point; labels are moved apart when the chart is laid out."""
        self.labels.append((x, y, text, colour))


@dataclass
class Chart:
    """A chart. `data` is what is drawn; `alt` says what a sighted reader sees, with the numbers; `caption` where from."""

    name: str
    title: str
    unit: str
    sources: str
    as_of: str
    height: float = 3.4
    columns: int = 1
    notes: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    drawn: pd.DataFrame = field(default_factory=pd.DataFrame)
    tips: list[tuple[PathCollection, list[str]]] = field(default_factory=list)
    panels: list[Panel] = field(default_factory=list)
    _placed: list = field(default_factory=list)

    def __post_init__(self) -> None:
        with mpl.rc_context(STYLE):
            self.figure = Figure(figsize=(WIDE, self.height))

    def add_panel(self, heading: str = "") -> Panel:
        """New axes, below or beside those there are."""
        with mpl.rc_context(STYLE):
            panel = Panel(self.figure.add_axes((0.1, 0.1, 0.8, 0.8), label=str(len(self.panels))), heading)
        self.panels.append(panel)
        return panel

    @property
    def axes(self) -> Axes:
        """The axes of the first panel."""
        return self.panels[0].axes

    @property
    def data(self) -> pd.DataFrame:
        """What is drawn, as the CSV beside the picture holds it: years and quarters as `2023/24` and `Q3 2018/19`."""
        return self.drawn.map(_name_period)

    @property
    def alt(self) -> str:
        return " ".join(self.said)

    @property
    def caption(self) -> str:
        notes = dict.fromkeys(filter(None, self.notes))
        return " ".join([*notes, f"Source: {self.sources}; {words.vintage(self.as_of)}."])

    def note(self, text: str) -> "Chart":
        """Add a sentence to the caption."""
        self.notes.append(text)
        return self

    # ------------------------------------------------------------ pictures

    def render(self, kind: str, width: float = WIDE) -> bytes:
        """The picture as `svg` or `png`, so many inches wide: the same bytes for the same data."""
        pen = self._draw(width)
        return picture.to_png(pen) if kind == "png" else self._write(pen, width).encode()

    def _draw(self, width: float) -> picture.Pen:
        with mpl.rc_context(STYLE):
            self._lay_out(width)
            for number, (artist, _) in enumerate(self.tips):
                artist.set_gid(f"tip-{number}")
            return picture.draw(self.figure, {f"tip-{number}": texts for number, (_, texts) in enumerate(self.tips)})

    def _write(self, pen: picture.Pen, width: float) -> str:
        return picture.to_svg(pen, self.name + ("-narrow" if width < WIDE else ""), self.alt)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> tuple[dict, dict]:
        narrow, wide = (self._draw(width) for width in (NARROW, WIDE))
        card = {"name": self.name, "title": self.title, "alt": self.alt, "caption": self.caption}
        card["csv"] = self.data.to_csv(index=False, lineterminator="\n", float_format="%.9g")
        card["narrow"] = self._write(narrow, NARROW)
        bundle = {
            "text/plain": f"{self.title}\n\n{self.alt}",
            "image/svg+xml": self._write(wide, WIDE),
            "image/png": picture.to_png(wide),
            MIME: card,
        }
        return bundle, {"image/png": {"alt": self.alt}, "image/svg+xml": {"alt": self.alt}}

    # ------------------------------------------------------------ layout

    def _lay_out(self, width: float) -> None:
        """Give title, axes, labels and caption their places in a picture so many inches wide."""
        for artist in self._placed:
            artist.remove()
        small = width < WIDE
        columns = 1 if small else self.columns
        rows = -(-len(self.panels) // columns)
        heading = balance(self.title, int(width * 9.2))
        unit, foot = textwrap.wrap(self.unit, int(width * 12)), textwrap.wrap(self.caption, int(width * 16.4))
        top = 0.2 + 0.24 * len(heading) + 0.18 * len(unit) + (0.3 if self.panels[0].heading else 0.1)
        bottom = 0.34 + 0.155 * len(foot) + 0.14
        each = self.height if len(self.panels) == 1 else (self.height - 0.62 * (rows - 1)) / rows
        if small and len(self.panels) > 1:
            each = 1.5
        total = top + each * rows + 0.62 * (rows - 1) + bottom
        self.figure.set_size_inches(width, total)
        write = lambda inches, text, **style: self.figure.text(0.08 / width, 1 - inches / total, text, **style)
        self._placed = [
            write(0.1, "\n".join(heading), va="top", fontsize=12.5, weight="bold", linespacing=1.25),
            write(0.14 + 0.24 * len(heading), "\n".join(unit), va="top", fontsize=10, color=QUIET),
            write(total - 0.08, "\n".join(foot), va="bottom", fontsize=7.8, color=QUIET, linespacing=1.35),
        ]
        wrap = 12 if small or columns > 1 else 19
        for number, panel in enumerate(self.panels):
            row, column = divmod(number, columns)
            texts = [textwrap.fill(line, wrap) for _, _, text, _ in panel.labels for line in text.splitlines()]
            right = max([0.25, *(0.088 * len(line) + 0.16 for text in texts for line in text.splitlines())])
            left = min(panel.left, 0.42 * width / columns)
            x, wide = column * width / columns + left, width / columns - left - right
            panel.axes.set_position(
                (x / width, (bottom + (rows - 1 - row) * (each + 0.62)) / total, wide / width, each / total)
            )
            if panel.heading:
                self._placed.append(
                    panel.axes.annotate(
                        panel.heading, (0, 1), xytext=(0, 12), xycoords="axes fraction", textcoords="offset points",
                        fontsize=10, weight="bold",
                    )
                )  # fmt: skip
            if panel.periods is not None:
                _set_ticks(panel, wide)
            for place in panel.late:
                self._placed += place()
            self._placed += _place_labels(panel, each * 72, wrap)


def _set_ticks(panel: Panel, wide: float) -> None:
    """Ticks at financial years, the last one always among them, as many as the width has room for."""
    held = panel.periods
    years = pd.period_range(periods.financial_year(held[0]), periods.financial_year(held[-1]), freq="Y-MAR")
    step = max(1, int(np.ceil(len(years) * 0.68 / wide)))
    shown = years[::-1][::step]
    panel.axes.set_xlim(middle(years[0]) - 0.55, middle(years[-1]) + 0.55)
    panel.axes.set_xticks([middle(year) for year in shown], [periods.label(year) for year in shown])


def _place_labels(panel: Panel, height: float, wrap: int) -> list:
    """Put the labels to the right of their points, moved apart, each with a line to its point."""
    axes, floor, spots = panel.axes, -1e9, []
    (left, edge), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    fill = lambda text: "\n".join(textwrap.fill(line, wrap) for line in text.splitlines())
    points = sorted(((y - bottom) / (top - bottom) * height, x, y, fill(text), c) for x, y, text, c in panel.labels)
    for spot, *rest in points:
        half = 6.6 * (rest[2].count("\n") + 1)
        spots.append([max(spot, floor + half), half, *rest])
        floor = spots[-1][0] + half
    ceiling = height + 8
    for spot in reversed(spots):
        spot[0] = min(spot[0], ceiling - spot[1])
        ceiling = spot[0] - spot[1]
    return [
        axes.annotate(
            text, (x, y), xytext=(edge + (edge - left) * 0.015, bottom + spot / height * (top - bottom)),
            textcoords="data", va="center", fontsize=9.3, color=colour, weight="bold", linespacing=1.1,
            annotation_clip=False, arrowprops=LEADER | {"color": colour},
        )
        for spot, _, x, y, text, colour in spots
    ]  # fmt: skip


LEADER = {
    "arrowstyle": "-", "linewidth": 0.6, "alpha": 0.5, "shrinkA": 1, "shrinkB": 4, "relpos": (0, 0.5), "patchA": None,
}  # fmt: skip
"""The line from a label to its point: from the middle of its left side, so that it need not be cut where the text is."""


def middle(period: pd.Period) -> float:
    """The middle of a period in decimal years: where its point is drawn."""
    start, end = period.start_time, period.end_time
    halfway = start + (end - start) / 2
    return halfway.year + (halfway.day_of_year - 1) / (366 if halfway.is_leap_year else 365)


def _name_period(cell: object) -> object:
    if not isinstance(cell, pd.Period):
        return cell
    return str(cell) if cell.freqstr == "M" else periods.label(cell)


def balance(text: str, width: int) -> list[str]:
    """The text in as few lines as the width allows, of about the same length."""
    lines = textwrap.wrap(text, width)
    return next(
        even
        for narrow in range(len(text) // len(lines), width + 1)
        if len(even := textwrap.wrap(text, narrow)) == len(lines)
    )
