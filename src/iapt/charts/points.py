"""Charts that compare: bars, points with intervals, funnels, scatters, and an empty canvas in the house style."""

from collections.abc import Callable, Mapping, Sequence
from typing import Unpack

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from iapt import words
from iapt.charts.chart import COLOURS, INK, OTHERS, QUIET, SMALL, About, Chart, scale_axis, write_value
from iapt.charts.lines import LineChart, open_chart
from iapt.charts.picture import measure
from iapt.charts.places import AROUND


def canvas(frame: pd.DataFrame, *, alt: str, height: float = 3.4, **about: Unpack[About]) -> LineChart:
    """An empty chart in the house style, its `.axes` to be drawn on with matplotlib or seaborn.

    `frame` is the data kept beside the picture, its named index first; `alt` says what is drawn, with the numbers.
    """
    chart = open_chart(frame, height, **about)
    chart.add_panel()
    _keep(chart, frame, alt)
    return chart


def framed(figure: Figure, frame: pd.DataFrame, *, alt: str, **about: Unpack[About]) -> LineChart:
    """A figure of one's own, such as `sns.relplot(...).figure`, with title, caption, data and alternative text.

    Axes of one size stand in rows, on a telephone half as many beside each other; other figures keep their arrangement.
    `frame` is the data kept beside the picture, its named index first; `alt` says what is drawn, with the numbers.
    Raises ValueError where the frame is empty or its vintage is not known.
    """
    chart = open_chart(frame, figure.get_size_inches()[1], **about)
    chart.take(figure)
    pyplot.close(figure)
    _keep(chart, frame, alt)
    return chart


def _keep(chart: Chart, frame: pd.DataFrame, alt: str) -> None:
    if not any(frame.index.names) and not isinstance(frame.index, pd.RangeIndex):
        frame = frame.rename_axis("label")
    chart.drawn = frame.reset_index(drop=not any(frame.index.names))
    chart.said.append(alt)


def bars(
    frame: pd.DataFrame,
    *,
    colours: Mapping[str, str] | None = None,
    write: Callable[[float], str] | None = None,
    height: float = 2.6,
    **about: Unpack[About],
) -> LineChart:
    """Upright bars, one for each row and column of a table, each with its value; rows are years or names.

    `write` says how values are written, by default as the unit asks.
    """
    chart = canvas(frame, alt="", height=height, **about)
    write = write or (lambda value: write_value(value, chart.scale))
    axes, panel, spare = chart.axes, chart.panels[0], iter(OTHERS)
    names, values = [_say(label) for label in frame.index], frame.astype(float)
    wide = 0.72 / len(values.columns)
    texts: list[tuple[float, float, str]] = []
    for place, (column, heights) in enumerate(values.items()):
        x = np.arange(len(values)) + (place - (len(values.columns) - 1) / 2) * wide
        colour = (colours or {}).get(column) or COLOURS.get(column) or next(spare)
        drawn = axes.bar(x, heights, width=wide * 0.92, color=colour, zorder=3)
        for bar, spot, value, name in zip(drawn, x, heights, names):
            if pd.notna(value):
                texts.append((spot, value, write(value)))
                chart.tips.append((bar, [f"{name}: {write(value)}"]))
        if len(values.columns) > 1:
            panel.label(x[-1], heights.iloc[-1], str(column), colour)
    axes.axhline(0, color=QUIET, linewidth=0.8)
    axes.set_xlim(-0.6, len(values) - 0.4)
    scale_axis(axes.yaxis, chart.scale)
    axes.set_xticks(range(len(names)), names, fontsize=9)
    share = (1 if len(values.columns) == 1 else wide) / (len(values) + 0.2)
    panel.late.append(lambda room: _write_values(chart, texts, room * share))
    said = [f"{name} {words.listed(map(write, row.dropna()))}" for name, (_, row) in zip(names, values.iterrows())]
    chart.said = [f"Bars: {'; '.join(said)}."]
    return chart


def _write_values(chart: Chart, texts: Sequence[tuple[float, float, str]], room: float) -> list[Artist]:
    """Values at the ends of bars, upright where a bar has not the room, and an axis that holds them."""
    axes, width = chart.axes, max(measure(text, SMALL) for *_, text in texts)
    turned = width > room - 2
    low, high = min(0.0, *(value for _, value, _ in texts)), max(0.0, *(value for _, value, _ in texts))
    high = high or float(low == 0)
    ends = np.array([-1, 1]) * (width + 6 if turned else 15) * [low < 0, high > 0]
    axes.set_ylim(*(np.array([low, high]) + ends * (high - low) / (axes.bbox.height - np.ptp(ends))))
    return [
        axes.annotate(
            text, (x, value), (0, 3 if value >= 0 else -3), textcoords="offset points", fontsize=SMALL, ha="center",
            va="bottom" if value >= 0 else "top", rotation=90 if turned else 0,
        )
        for x, value, text in texts
    ]  # fmt: skip


def intervals(
    frame: pd.DataFrame,
    *,
    colour: str = OTHERS[0],
    reference: tuple[float, str] | None = None,
    **about: Unpack[About],
) -> LineChart:
    """Points with their intervals, one row each from top to bottom: columns value, low and high.

    `reference` is a value to set them beside, such as England's, and its name.
    """
    chart = canvas(frame, alt="", **about)
    axes, panel, y = chart.axes, chart.panels[0], np.arange(len(frame))[::-1]
    values = frame[["value", "low", "high"]].astype(float)
    write = lambda value: write_value(value, chart.scale)
    said = [
        f"{_say(key)} {write(value)} ({low:.1f} to {high:.1f})"
        for key, (value, low, high) in zip(frame.index, values.to_numpy())
    ]
    axes.hlines(y, values["low"], values["high"], color=colour, linewidth=2.2, alpha=0.45, zorder=2)
    chart.tips.append((axes.scatter(values["value"], y, s=30, color=colour, zorder=3), said))
    for height, value in zip(y, values["value"]):
        axes.annotate(
            write(value), (1, height), (6, 0), ("axes fraction", "data"), textcoords="offset points",
            va="center", fontsize=SMALL, color=QUIET,
        )  # fmt: skip
    if reference:
        axes.axvline(reference[0], color=INK, linewidth=1, zorder=1)
        panel.tag(reference[0], 1, reference[1], INK, [(0, 3), (-1, 3), (1, 3)], where="top")
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", visible=True)
    panel.rows = [_say(label) for label in frame.index]
    panel.right = 10 + max(measure(write(value), SMALL) for value in values["value"])
    axes.set_yticks(y, panel.rows, fontsize=9)
    axes.set_ylim(-0.6, len(frame) - 0.4)
    scale_axis(axes.xaxis, chart.scale)
    chart.said = [f"Points with 95% intervals: {'; '.join(said)}."]
    return chart


def funnel(
    frame: pd.DataFrame,
    limits: Callable[[np.ndarray, float], tuple[np.ndarray, np.ndarray]],
    *,
    across: str,
    centre: tuple[float, str],
    named: Mapping[object, str],
    what: str = "areas",
    colour: str = OTHERS[0],
    height: float = 3.6,
    **about: Unpack[About],
) -> LineChart:
    """A funnel plot: columns `value` against `whole`, the size of each institution, with limits at 95% and 99.8%.

    `limits` gives both limits for sizes and a level, as `models.funnel.Funnel.limits` does; `across` names the
    sizes; `centre` is the value of all together and its name; `named` the rows to be shown in colour, and by what
    name; `what` says what all rows are.
    """
    chart = canvas(frame, alt="", height=height, **about)
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
    axes.set_ylim(ends[0] - 0.13 * (ends[1] - ends[0]), ends[1] + 0.06 * (ends[1] - ends[0]))
    axes.set_xlim(x[0], x[-1])
    scale_axis(axes.xaxis, "count")
    _draw_points(chart, frame["whole"], frame["value"], named, colour, across)
    ends = words.listed(write_value(value, chart.scale) for value in (frame["value"].min(), frame["value"].max()))
    names = chart.said[-1]
    chart.said = [f"Funnel plot of {len(frame)} {what} between {ends} against size, {centre[1]}. Named: {names}."]
    return chart.note("The vertical axis does not start at zero.")


def scatter(
    frame: pd.DataFrame,
    x: str,
    y: str,
    *,
    across: str,
    named: Mapping[object, str] | None = None,
    hollow: Sequence[bool] | None = None,
    diagonal: Mapping[str, float] | None = None,
    colour: str = OTHERS[0],
    height: float = 4.0,
    **about: Unpack[About],
) -> LineChart:
    """Points of one column against another; `named` rows in colour and by name, `hollow` ones as rings.

    `diagonal` draws lines of equal difference, such as no change and the change of England: name and difference.
    """
    chart = canvas(frame, alt="", height=height, **about)
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
    scale_axis(axes.xaxis, chart.scale)
    _draw_points(chart, frame[x], frame[y], named or {}, colour, across, hollow)
    spans = [
        f"{text} {write_value(values.min(), chart.scale)} to {write_value(values.max(), chart.scale)}"
        for text, values in (("across", frame[x]), ("up", frame[y]))
    ]
    chart.said = [f"Scatter of {len(frame)} points: {', '.join(spans)}. Named: {chart.said[-1]}."]
    return chart.note("Axes do not start at zero.")


def _say(label: object) -> str:
    return words.when(label) if isinstance(label, pd.Period) else str(label)


def _draw_points(
    chart: Chart,
    x: pd.Series,
    y: pd.Series,
    named: Mapping[object, str],
    colour: str,
    across: str,
    hollow: Sequence[bool] | None = None,
) -> None:
    """Points, the named ones in colour over the others; what is said of those is added to the alternative text."""
    axes, panel, grey = chart.axes, chart.panels[0], COLOURS["plain"]
    scale_axis(axes.yaxis, chart.scale)
    panel.across = f"{across}\u00a0→"
    own = x.index.isin(list(named))
    names = chart.drawn["name"].tolist() if "name" in chart.drawn else [str(key) for key in x.index]
    texts = np.array([f"{name}: {write_value(value, chart.scale)}" for name, value in zip(names, y)], dtype=object)
    ring = np.asarray(hollow) if hollow is not None else np.zeros(len(x), bool)
    for flags, size, tone, depth in ((~own, 24, grey, 3), (own, 42, colour, 4)):
        if flags.any():
            faces = ["white" if open_ else tone for open_ in ring[flags]]
            drawn = axes.scatter(x[flags], y[flags], s=size, color=faces, edgecolors=tone, linewidths=0.9, zorder=depth)
            chart.tips.append((drawn, list(texts[flags])))
    for key, text in named.items():
        panel.tag(x[key], y[key], text, colour, AROUND)
    said = [f"{text} {write_value(y[key], chart.scale)}" for key, text in named.items()]
    chart.said.append(words.listed(said or ["none"]))
