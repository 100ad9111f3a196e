"""Charts that compare: bars, points with intervals, funnels, scatters, and an empty canvas in the house style."""

import textwrap
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter
from matplotlib.transforms import Bbox

from iapt import words
from iapt.charts.chart import BACKING, COLOURS, INK, OTHERS, QUIET, Chart, Panel
from iapt.charts.lines import LineChart, open_chart, scale_axis, write_value


def canvas(
    frame: pd.DataFrame,
    *,
    title: str,
    unit: str,
    alt: str,
    name: str = "",
    measures: Sequence[str] = (),
    as_of: str = "",
    height: float = 3.4,
) -> Chart:
    """An empty chart in the house style, its `.axes` to be drawn on with matplotlib or seaborn.

    `frame` is the data kept beside the picture, its named index first; `alt` says what is drawn, with the numbers.
    """
    chart = open_chart(LineChart, frame, title, unit, name, measures, as_of, height)
    chart.add_panel()
    named = [level for level in frame.index.names if level]
    chart.drawn = frame.reset_index() if named else frame.reset_index(drop=True)
    chart.said.append(alt)
    return chart


def bars(
    frame: pd.DataFrame,
    *,
    title: str,
    unit: str,
    name: str = "",
    colours: Mapping[str, str] | None = None,
    measures: Sequence[str] = (),
    as_of: str = "",
    write: Callable[[float], str] | None = None,
    height: float = 2.6,
) -> Chart:
    """Upright bars, one for each row and column of a table, each with its value; rows are years or names.

    `write` says how values are written, by default as the unit asks.
    """
    say = _say(frame)
    chart = canvas(
        frame, title=title, unit=unit, alt="", name=name, measures=measures, as_of=as_of, height=height
    )
    write = write or (lambda value: write_value(value, chart.scale))
    axes, panel, spare = chart.axes, chart.panels[0], iter(OTHERS)
    wide = 0.72 / len(frame.columns)
    for place, column in enumerate(frame.columns):
        x = np.arange(len(frame)) + (place - (len(frame.columns) - 1) / 2) * wide
        colour = (colours or {}).get(column) or COLOURS.get(column) or next(spare)
        axes.bar(x, frame[column], width=wide * 0.92, color=colour, zorder=3)
        for spot, value in zip(x, frame[column].astype(float)):
            if pd.notna(value):
                axes.annotate(
                    write(value), (spot, value), xytext=(0, 3 if value >= 0 else -3), textcoords="offset points",
                    ha="center", va="bottom" if value >= 0 else "top", fontsize=8.8,
                )  # fmt: skip
        if len(frame.columns) > 1:
            panel.label(x[-1], frame[column].iloc[-1], str(column), colour)
    axes.axhline(0, color=QUIET, linewidth=0.8)
    axes.set_xticks(range(len(frame)), [textwrap.fill(say(label), 14) for label in frame.index], fontsize=9)
    axes.set_xlim(-0.6, len(frame) - 0.4)
    low, high = min(0.0, np.nanmin(frame.to_numpy(float))), max(0.0, np.nanmax(frame.to_numpy(float)))
    axes.set_ylim(low - 0.14 * (high - low) * (low < 0), high + 0.16 * (high - low))
    scale_axis(axes, chart.scale)
    values = [
        f"{say(label)} {words.listed(write(v) for v in row.dropna())}" for label, row in frame.astype(float).iterrows()
    ]
    chart.said = [f"Bars: {'; '.join(values)}."]
    return chart


def intervals(
    frame: pd.DataFrame,
    *,
    title: str,
    unit: str,
    name: str = "",
    colour: str = OTHERS[0],
    reference: tuple[float, str] | None = None,
    measures: Sequence[str] = (),
    as_of: str = "",
) -> Chart:
    """Points with their intervals, one row each from top to bottom: columns value, low and high.

    `reference` is a value to set them beside, such as England's, and its name.
    """
    say = _say(frame)
    chart = canvas(
        frame, title=title, unit=unit, alt="", name=name, measures=measures, as_of=as_of,
        height=0.26 * len(frame) + 0.3,
    )  # fmt: skip
    axes, y = chart.axes, np.arange(len(frame))[::-1]
    values = frame[["value", "low", "high"]].astype(float)
    axes.hlines(y, values["low"], values["high"], color=colour, linewidth=2.2, alpha=0.45, zorder=2)
    chart.tips.append(
        (
            axes.scatter(values["value"], y, s=30, color=colour, zorder=3),
            [f"{say(label)}: {write_value(value, chart.scale)}" for label, value in values["value"].items()],
        )
    )
    if reference:
        axes.axvline(reference[0], color=INK, linewidth=1, zorder=1)
        axes.annotate(
            reference[1], (reference[0], 1), xycoords=("data", "axes fraction"), xytext=(0, 2),
            textcoords="offset points", ha="center", va="bottom", fontsize=8.8,
        )  # fmt: skip
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", visible=True)
    texts = [say(label) for label in frame.index]
    axes.set_yticks(y, texts, fontsize=9)
    axes.set_ylim(-0.6, len(frame) - 0.4)
    chart.panels[0].left = 0.072 * max(map(len, texts)) + 0.2
    mark = "%" if chart.scale == "percent" else ""
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}{mark}"))
    rows = [
        f"{say(label)} {write_value(row.value, chart.scale)} ({row.low:.1f} to {row.high:.1f})"
        for label, row in values.iterrows()
    ]
    chart.said = [f"Points with 95% intervals: {'; '.join(rows)}."]
    return chart


def funnel(
    frame: pd.DataFrame,
    limits: Callable[[np.ndarray, float], tuple[np.ndarray, np.ndarray]],
    *,
    title: str,
    unit: str,
    across: str,
    centre: tuple[float, str],
    named: Mapping[object, str],
    name: str = "",
    colour: str = OTHERS[0],
    measures: Sequence[str] = (),
    as_of: str = "",
    height: float = 3.6,
) -> Chart:
    """A funnel plot: columns `value` against `whole`, the size of each institution, with limits at 95% and 99.8%.

    `limits` gives both limits for sizes and a level, as `models.funnel.Funnel.limits` does; `across` names the
    sizes; `centre` is the value of all together and its name; `named` the rows to be shown in colour, and by what name.
    """
    chart = canvas(frame, title=title, unit=unit, alt="", name=name, measures=measures, as_of=as_of, height=height)
    axes, panel, grey = chart.axes, chart.panels[0], COLOURS["plain"]
    x = np.linspace(frame["whole"].min() * 0.75, frame["whole"].max() * 1.04, 120)
    for level, style in ((0.95, (0, (4, 2))), (0.998, "-")):
        for edge in limits(x, level):
            axes.plot(x, edge, color=grey, linewidth=1, linestyle=style, zorder=2)
            panel.label(x[-1], edge[-1], f"{100 * level:g}% limit", grey)
    axes.axhline(centre[0], color=INK, linewidth=1, zorder=2)
    panel.label(x[-1], centre[0], centre[1], INK)
    low, high = limits(x, 0.998)
    ends = min(low.min(), frame["value"].min()), max(high.max(), frame["value"].max())
    axes.set_ylim(ends[0] - 0.1 * (ends[1] - ends[0]), ends[1] + 0.06 * (ends[1] - ends[0]))
    axes.set_xlim(x[0], x[-1])
    axes.xaxis.get_major_locator().set_params(nbins=5)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: words.count(value)))
    _draw_points(chart, frame["whole"], frame["value"], named, colour, across)
    shown = [f"{text} {write_value(frame.at[key, 'value'], chart.scale)}" for key, text in named.items()]
    chart.said = [
        f"Funnel plot of {len(frame)}: from {write_value(frame['value'].min(), chart.scale)} to "
        f"{write_value(frame['value'].max(), chart.scale)} against size, {centre[1]}. "
        f"Named: {words.listed(shown or ['none'])}."
    ]
    return chart.note("The vertical axis does not start at zero.")


def scatter(
    frame: pd.DataFrame,
    x: str,
    y: str,
    *,
    title: str,
    unit: str,
    across: str,
    named: Mapping[object, str] | None = None,
    hollow: Sequence[bool] | None = None,
    diagonal: Mapping[str, float] | None = None,
    name: str = "",
    colour: str = OTHERS[0],
    measures: Sequence[str] = (),
    as_of: str = "",
    height: float = 4.0,
) -> Chart:
    """Points of one column against another; `named` rows in colour and by name, `hollow` ones as rings.

    `diagonal` draws lines of equal difference, such as no change and the change of England: name and difference.
    """
    chart = canvas(frame, title=title, unit=unit, alt="", name=name, measures=measures, as_of=as_of, height=height)
    axes = chart.axes
    for column, set_limits in ((x, axes.set_xlim), (y, axes.set_ylim)):
        both = frame[[x, y]] if diagonal else frame[[column]]
        low, high = both.min().min(), both.max().max()
        set_limits(low - 0.06 * (high - low), high + 0.06 * (high - low))
    for number, (label, step) in enumerate((diagonal or {}).items()):
        ends = np.array(axes.get_xlim())
        tone, style = (INK, "-") if number == 0 else (COLOURS["plain"], (0, (4, 2)))
        axes.plot(ends, ends + step, color=tone, linewidth=1, linestyle=style, zorder=2)
        chart.panels[0].label(ends[1], ends[1] + step, label, tone)
    mark = "%" if chart.scale == "percent" else ""
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}{mark}"))
    _draw_points(chart, frame[x], frame[y], named or {}, colour, across, hollow)
    chart.said = [f"Scatter of {len(frame)} points. Named: {words.listed(list((named or {}).values()) or ['none'])}."]
    return chart.note("Axes do not start at zero.")


def _say(frame: pd.DataFrame) -> Callable[[object], str]:
    return lambda label: words.when(label) if isinstance(label, pd.Period) else str(label)


def _draw_points(
    chart: Chart,
    x: pd.Series,
    y: pd.Series,
    named: Mapping[object, str],
    colour: str,
    across: str,
    hollow: Sequence[bool] | None = None,
) -> None:
    axes, grey = chart.axes, COLOURS["plain"]
    mark = "%" if chart.scale == "percent" else ""
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}{mark}"))
    own = x.index.isin(list(named))
    names = chart.drawn["name"].tolist() if "name" in chart.drawn else [str(key) for key in x.index]
    ring = np.asarray(hollow) if hollow is not None else np.zeros(len(x), bool)
    for flags, size, tone, depth in ((~own, 24, grey, 3), (own, 42, colour, 4)):
        if flags.any():
            faces = ["white" if open_ else tone for open_ in ring[flags]]
            drawn = axes.scatter(x[flags], y[flags], s=size, color=faces, edgecolors=tone, linewidths=0.9, zorder=depth)
            texts = [n for n, flag in zip(names, flags) if flag]
            chart.tips.append(
                (drawn, [f"{text}: {write_value(v, chart.scale)}" for text, v in zip(texts, y[flags])])
            )
    axes.annotate(
        f"{across} →", (1, 0), xycoords="axes fraction", xytext=(0, 3), textcoords="offset points", ha="right",
        va="bottom", fontsize=8.6, color=QUIET,
    )  # fmt: skip
    chart.panels[0].late.append(lambda: _name_points(chart.panels[0], x, y, named, colour))


# ---------------------------------------------------------------- names of points

SHIFTS = [
    (radius * across, radius * up)
    for radius in (6, 13, 21, 30, 40, 52)
    for across, up in ((1, 0), (-1, 0), (0, 1), (0, -1), (0.8, 0.8), (-0.8, 0.8), (0.8, -0.8), (-0.8, -0.8))
]
"""Where the name of a point may stand, in points from it, the best first."""


def _name_points(panel: Panel, x: pd.Series, y: pd.Series, named: Mapping[object, str], colour: str) -> list:
    """Names beside their points, clear of each other and of all points."""
    axes = panel.axes
    renderer = FigureCanvasAgg(axes.figure).get_renderer()
    inside, scale = axes.get_window_extent(renderer), axes.figure.dpi / 72
    dots = axes.transData.transform(np.column_stack([x.astype(float), y.astype(float)]))
    taken: list[Bbox] = []
    artists = []
    for key, text in named.items():
        style = {"fontsize": 8.6, "color": colour, "linespacing": 1.05}
        text = textwrap.fill(text, 26)
        size = Text(0, 0, text, figure=axes.figure, **style).get_window_extent(renderer).size
        spot = axes.transData.transform((x[key], y[key]))
        boxes = {shift: _find_box(spot, shift, size, scale) for shift in SHIFTS}
        shift = min(boxes, key=lambda shift: _rate_box(boxes[shift], taken, dots, inside) + max(map(abs, shift)))
        far = max(map(abs, shift)) > 13
        arrow = {"arrowstyle": "-", "color": colour, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3} if far else None
        across, up = np.sign(shift).astype(int) + 1
        artists.append(
            axes.annotate(
                text, (x[key], y[key]), xytext=shift, textcoords="offset points", arrowprops=arrow, bbox=BACKING,
                ha=("right", "center", "left")[across], va=("top", "center", "bottom")[up], zorder=6, **style,
            )
        )  # fmt: skip
        taken.append(boxes[shift].padded(2))
    return artists


def _find_box(spot: np.ndarray, shift: tuple[float, float], size: np.ndarray, scale: float) -> Bbox:
    """The room in pixels of a text of this size that begins so far from a spot and grows away from it."""
    corner = spot + np.array(shift) * scale + size * (np.sign(shift) - 1) / 2
    return Bbox.from_bounds(*corner, *size)


def _rate_box(box: Bbox, taken: list[Bbox], dots: np.ndarray, inside: Bbox) -> float:
    """What speaks against a place: other names and the frame above all, then the points that it covers."""
    covered = ((dots > box.min - 3) & (dots < box.max + 3)).all(axis=1).sum()
    outside = box.x0 < inside.x0 or box.x1 > inside.x1 + 60 or box.y0 < inside.y0 or box.y1 > inside.y1
    return 1000 * sum(box.overlaps(other) for other in taken) + 1000 * outside + 100 * covered
