"""Charts of series: over time, as small multiples, and as a fan of forecasts.

What is drawn says the rest. From the columns and the vintage that `data.table` leaves on a table follow labels and
colours, breaks in the counting, hollow points, sources, alternative text and the data kept beside the picture.
"""

from collections.abc import Mapping, Sequence
from typing import Unpack

import numpy as np
import pandas as pd

from iapt import data, words
from iapt.charts.chart import (
    COLOURS, OTHERS, QUIET, SMALL, TARGET_INK, About, Chart, Panel, middle, scale_axis, write_value,
)  # fmt: skip
from iapt.data import periods

FEW = 60
"""A line of so many points or fewer shows each of them."""
NEAR = [(-1, 6), (1, 6), (0, 6), (-1, -6), (1, -6), (8, 0), (-8, 0), (0, 16), (0, -16), (-20, 20), (20, -20), (-40, 30)]
ALONG = [(side, -down) for down in (1, *range(25, 240, 15)) for side in (1.5, -1.5)]
BESIDE = [(right, up) for right in (3, 40, 80, 120, 160, 200) for up in (3, -3)]
"""Where the name of a target, a break and a standard may stand, in points from it, the best first."""
BREAK_MARGIN = {"year": 0.5, "quarter": 0.125, "month": 1 / 24}


class LineChart(Chart):
    """A chart of series over time. What is added to it becomes part of its data and its alternative text."""

    def draw(self, panel: Panel, frame: pd.DataFrame, labels: Mapping[str, str], colours: Mapping[str, str]) -> None:
        """Draw each column as a line with its label, the breaks of its measures, and what they need said."""
        held, frequency = frame.dropna(how="all"), periods.frequency_of(frame.index)
        panel.periods = held.index if panel.periods is None else panel.periods.union(held.index)
        measures = _measures(frame)
        self._mark_breaks(panel, held.index, frequency, measures)
        spare, kept = iter(OTHERS), {}
        for column in frame.columns:
            y = frame[column].astype(float)
            y = y[y.first_valid_index() : y.last_valid_index()]
            if y.dropna().empty:
                continue
            colour = colours.get(column) or COLOURS.get(column) or next(spare, COLOURS["plain"])
            origin = _origin(column, frequency, self.as_of, y)
            self._draw_line(panel, y, colour, origin)
            kept |= {column: y} | ({f"{column}_basis": origin["basis"]} if len(origin) else {})
            name = labels.get(column, data.label(column) if column in _codebook().index else column)
            last = y.dropna()
            shown = write_value(last.iloc[-1], self.scale)
            panel.label(middle(last.index[-1]), last.iloc[-1], f"{name}\n{shown}" if name else shown, colour)
            self.said.append(_describe(" ".join(filter(None, [panel.heading, name])), y, self.scale))
        self._keep(panel, kept)

    def _draw_line(self, panel: Panel, y: pd.Series, colour: str, origin: pd.DataFrame) -> None:
        pieces = y.isna().cumsum() * 100 + _count_cuts(y)
        for _, piece in y.dropna().groupby(pieces[y.notna()]):
            x = [middle(period) for period in piece.index]
            panel.axes.plot(x, piece, color=colour, linewidth=2, solid_capstyle="round", zorder=3)
        held = y.dropna()
        hollow = origin["hollow"].reindex(held.index, fill_value=False) if len(origin) else [False] * len(held)
        few = len(held) <= FEW
        points = panel.axes.scatter(
            [middle(period) for period in held.index], held, s=26 if few else 14, edgecolors=colour, zorder=4,
            color=["white" if h else colour for h in hollow], linewidths=1.5 if few else 0, alpha=1 if few else 0,
        )  # fmt: skip
        self.tips.append((points, [f"{words.when(p)}: {write_value(v, self.scale)}" for p, v in held.items()]))
        if few and np.any(hollow):
            self.note("Hollow points are sums of published months, or were published rounded.")

    def _mark_breaks(self, panel: Panel, index: pd.PeriodIndex, frequency: str, measures: Sequence[str]) -> None:
        rows = pd.concat([data.breaks(measure, frequency) for measure in measures] or [pd.DataFrame()])
        if rows.empty:
            return
        rows = rows[(rows["period"] > index[0]) & (rows["period"] <= index[-1])].drop_duplicates("label")
        for row in rows.sort_values("period").itertuples():
            x = middle(row.period) - BREAK_MARGIN[frequency]
            panel.axes.axvline(x, color=QUIET, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
            panel.tag(x, 1, row.label, QUIET, ALONG, where="top", angle=90, short=row.short)
        if len(rows):
            self.note("Dotted lines mark breaks in the counting, described in Data and method.")

    def _keep(self, panel: Panel, drawn: Mapping[str, pd.Series]) -> None:
        rows = pd.DataFrame(drawn)
        keys = {periods.frequency_of(rows.index): rows.index} | ({"panel": panel.heading} if panel.heading else {})
        rows = pd.DataFrame(keys | {name: column.array for name, column in rows.items()})
        on = [key for key in keys if key in self.drawn]
        self.drawn = self.drawn.set_index(on).combine_first(rows.set_index(on)).reset_index() if on else rows

    # ------------------------------------------------------------ what is added

    def add_line(
        self, y: pd.Series, label: str, *, colour: str = COLOURS["plain"], style: str = "dotted", column: str = ""
    ) -> "LineChart":
        """A plain line beside the figures, `dotted`, `dashed` or `solid`: a trend, a model of one's own, a pace needed.

        `column` is its name in the data, by default made of the label.
        """
        y = y.dropna().astype(float)
        pattern = {"dotted": (0, (1, 1.6)), "dashed": (0, (4, 1.6)), "solid": "-"}[style]
        self.axes.plot([middle(p) for p in y.index], y, color=colour, linewidth=1.6, linestyle=pattern, zorder=3)
        self.panels[0].periods = self.panels[0].periods.union(y.index)
        self.panels[0].label(middle(y.index[-1]), y.iloc[-1], f"{label}\n{write_value(y.iloc[-1], self.scale)}", colour)
        self._keep(self.panels[0], {column or words.slug(label): y})
        self.said.append(_describe(f"{style.capitalize()} line, {label}", y, self.scale))
        self._make_room(y.max(), y.min())
        return self

    def add_band(
        self, low: pd.Series, high: pd.Series, label: str, *, colour: str, alpha: float = 0.2, column: str = ""
    ) -> "LineChart":
        """A shaded band between two series, such as an interval; in the data `low` and `high` stand before `column`."""
        low, high = low.astype(float), high.astype(float)
        self.axes.fill_between(
            [middle(period) for period in low.index], low, high, color=colour, alpha=alpha, linewidth=0, zorder=1
        )
        self.panels[0].periods = self.panels[0].periods.union(low.index)
        name = column or f"_{words.slug(label)}"
        self._keep(self.panels[0], {f"low{name}": low, f"high{name}": high})
        ends = " to ".join(write_value(y.iloc[-1], self.scale) for y in (low, high))
        self.said.append(f"Band, {label}: {ends} in {words.when(low.index[-1])}.")
        self._make_room(high.max())
        return self

    def add_targets(self, targets: pd.DataFrame) -> "LineChart":
        """Each target of `data.targets` as a dashed line that ends, with a diamond, in the year it was set for."""
        if targets.empty:
            return self
        start, write = -np.inf, lambda goal: write_value(goal, self.scale).replace(".0%", "%")
        self.panels[0].periods = self.panels[0].periods.union(targets.index)
        for year, goal in targets["target"].astype(float).items():
            end = middle(year)
            start = max(start, end - 4)
            dashes = {"color": COLOURS["target"], "linewidth": 1.3, "linestyle": (0, (4, 2))}
            self.axes.plot([start, end], [goal] * 2, zorder=2, **dashes)
            self.axes.scatter([end], [goal], marker="D", s=28, color=COLOURS["target"], zorder=5)
            self.panels[0].tag(end, goal, f"target {write(goal)}", TARGET_INK, NEAR)
            start = end
        self._keep(self.panels[0], {"target": targets["target"].astype(float)})
        goals = [f"{write(goal)} for {words.when(year)}" for year, goal in targets["target"].items()]
        self.said.append(f"Targets: {words.listed(goals)}.")
        self._make_room(targets["target"].max())
        return self

    def add_standard(self, value: float, text: str) -> "LineChart":
        """A standing standard as a dashed line across every panel, named at the left of the first."""
        for panel in self.panels:
            panel.axes.axhline(value, color=COLOURS["target"], linewidth=1.3, linestyle=(0, (4, 2)), zorder=2)
            low, high = panel.axes.get_ylim()
            panel.axes.set_ylim(min(low, value - 0.04 * (high - low)), max(high, value + 0.1 * (high - low)))
        self.panels[0].tag(0, value, text, TARGET_INK, BESIDE, where="side")
        self.said.append(f"Dashed line: {text}.")
        return self

    def _make_room(self, top: float, bottom: float = np.inf) -> None:
        low, high = self.axes.get_ylim()
        if low and bottom < low + (high - low) / 20:
            low = bottom - (high - low) / 20
            self.axes.set_ylim(low, high)
        if pd.notna(top) and top > low + (high - low) / 1.08:
            self.axes.set_ylim(low, low + (top - low) * 1.1)


def over_time(
    frame: pd.DataFrame,
    *,
    labels: Mapping[str, str] | None = None,
    colours: Mapping[str, str] | None = None,
    from_zero: bool | None = None,
    height: float = 3.4,
    **about: Unpack[About],
) -> LineChart:
    """A line for each column of a table over time, labelled at its end.

    The index holds years, quarters or months. Columns that are measures get their name, colour and origin; any other
    is drawn as a plain line named after its column, or as `labels` say. `from_zero` is the default for counts.
    `title`, `unit`, `name`, `measures` and `as_of` are described in `About`.
    """
    chart = open_chart(frame, height, **about)
    panel = chart.add_panel()
    chart.said.append(f"Line chart by {BY[periods.frequency_of(frame.index)]}. {chart.unit}.")
    chart.draw(panel, frame, labels or {}, colours or {})
    _scale(panel, frame, chart.scale, from_zero)
    return chart


def panels(
    frames: Mapping[str, pd.DataFrame],
    *,
    labels: Mapping[str, str] | None = None,
    colours: Mapping[str, str] | None = None,
    shared: bool = False,
    from_zero: bool | None = None,
    height: float = 4.2,
    **about: Unpack[About],
) -> LineChart:
    """Small multiples: one chart as `over_time` draws it for each table, under its heading, two side by side.

    With `shared` all have the same vertical axis. A table may name its own unit in `.attrs["unit"]`.
    """
    first = next(iter(frames.values()))
    chart, unit = open_chart(first, height, **about), about["unit"]
    chart.columns = 2
    chart.said.append(f"{len(frames)} line charts by {BY[periods.frequency_of(first.index)]}. {unit}.")
    for heading, frame in frames.items():
        panel = chart.add_panel(heading)
        chart.unit = frame.attrs.get("unit", unit)
        chart.draw(panel, frame, labels or {}, colours or {})
        _scale(panel, pd.concat(frames.values(), axis=1) if shared else frame, chart.scale, from_zero)
        panel.axes.tick_params(labelsize=SMALL)
    chart.unit = unit
    return chart


def fan(
    observed: pd.Series,
    quantiles: pd.DataFrame,
    *,
    label: str = "forecast",
    height: float = 3.6,
    **about: Unpack[About],
) -> LineChart:
    """A forecast as bands around its median, joined to what was observed.

    `quantiles` has one row a period and columns of levels such as 0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975; each pair
    that leaves out the same share at both ends becomes a band. `add_line` draws other models beside it.
    """
    measure = str(observed.name)
    chart = over_time(observed.to_frame(), height=height, **about)
    last = observed.dropna()
    anchor = pd.DataFrame({level: last.iloc[[-1]] for level in quantiles})
    joined = pd.concat([anchor, quantiles]).set_index(last.index[-1:].append(quantiles.index))
    colour = COLOURS.get(measure, OTHERS[0])
    levels = sorted(level for level in quantiles if level < 0.5)
    for level in levels:
        share = f"{100 * (1 - 2 * level):.0f}"
        label_band = f"{share}% of the simulated paths"
        chart.add_band(joined[level], joined[round(1 - level, 6)], label_band, colour=colour, column=share)
    chart.panels[0].labels.clear()
    shares = words.listed(f"{100 * (1 - 2 * level):.0f}%" for level in levels)
    chart.note(f"Bands hold {shares} of the simulated paths.")
    return chart.add_line(joined[0.5], label, colour=colour, style="dashed", column="median")


# ---------------------------------------------------------------- what the builders share

BY = {"year": "financial year", "quarter": "quarter of the financial year", "month": "month"}


def open_chart(
    frame: pd.DataFrame,
    height: float,
    *,
    title: str,
    unit: str,
    name: str = "",
    measures: Sequence[str] = (),
    as_of: str = "",
) -> LineChart:
    """A chart without axes that knows what it rests on.

    Raises ValueError where the frame has nothing to draw or its vintage is not known.
    """
    if frame.dropna(how="all").empty:
        raise ValueError(f"nothing to draw for {title!r}: the table has no values")
    as_of = as_of or frame.attrs.get("as_of", "")
    if not as_of:
        raise ValueError("the table has lost its vintage on the way; say it with as_of=as_of")
    if measures or not frame.attrs.get("measures"):
        frame.attrs = {**frame.attrs, "measures": list(measures)}
    return LineChart(name or words.slug(title), title, unit, sources_of(frame, _measures(frame), as_of), as_of, height)


def sources_of(frame: pd.DataFrame, measures: Sequence[str], as_of: str) -> str:
    """Who published the figures of these measures that a table over time, or of areas or groups, rests on."""
    used = []
    if isinstance(frame.index, pd.PeriodIndex) and frame.attrs.get("area", data.ENGLAND) == data.ENGLAND:
        for measure in measures:
            held = data.figures(measure, periods.frequency_of(frame.index), as_of)["source"].dropna()
            drawn = held[held.index.isin(frame.index)]
            used += [source for sources in (drawn if len(drawn) else held) for source in sources.split("; ")]
    else:
        known = pd.concat([data.known(as_of, table) for table in ("areas", "groups")])
        counted = [*measures, *_codebook().loc[list(measures), "numerator"]]
        used = known.loc[known["measure"].isin(counted), "source"].tolist()
    publishers = data.load()["sources"].set_index("id")["publisher"]
    counts = pd.Series(used, dtype=object).map(publishers).value_counts()
    return "; ".join(sorted(counts.index, key=lambda name: (-counts[name], name))) or "computed by this project"


@data.remember
def _codebook() -> pd.DataFrame:
    return data.load()["measures"].set_index("measure")


def _measures(frame: pd.DataFrame) -> list[str]:
    """The measures that a table rests on: its columns, or those that it was made from."""
    drawn = [column for column in frame.columns if column in _codebook().index]
    return drawn or list(frame.attrs.get("measures", []))


def _count_cuts(y: pd.Series) -> pd.Series:
    cuts = [pd.Period(month, "M").asfreq(y.index.freqstr) for month in y.attrs.get("cuts", [])]
    return pd.Series(sum((y.index >= cut).astype(int) for cut in cuts), y.index)


def _origin(column: str, frequency: str, as_of: str, y: pd.Series) -> pd.DataFrame:
    """Basis of the values of a measure, and whether they are drawn hollow; empty where they are not its figures."""
    if column not in _codebook().index or y.attrs.get("area") not in (data.ENGLAND, None):
        return pd.DataFrame()
    figures = data.figures(column, frequency, as_of).reindex(y.index)
    if not np.array_equal(figures["value"].astype(float), y, equal_nan=True):
        return pd.DataFrame()
    rounded = figures["rounded_to"].fillna(0).astype(float) > data.EXACT_TO
    return pd.DataFrame({"basis": figures["basis"], "hollow": (figures["basis"] == "sum of months") | rounded})


def _describe(name: str, y: pd.Series, scale: str) -> str:
    held = y.dropna()
    say = lambda period: f"{write_value(held[period], scale)} in {words.when(period)}"
    peak = held.idxmax()
    highest = f", highest {say(peak)}" if peak not in (held.index[0], held.index[-1]) else ""
    ends = [say(held.index[0]), say(held.index[-1])] if len(held) > 1 else [say(held.index[0])]
    return f"{name}: {', '.join(ends)}{highest}."


def _scale(panel: Panel, frame: pd.DataFrame, scale: str, from_zero: bool | None) -> None:
    values = frame.to_numpy(float)
    low, high = np.nanmin(values), np.nanmax(values)
    if from_zero if from_zero is not None else scale == "count":
        panel.axes.set_ylim(min(0, low * 1.1), high * 1.12)
    else:
        room = max(high - low, abs(high) * 0.02)
        panel.axes.set_ylim(low - 0.1 * room, high + 0.16 * room)
    scale_axis(panel.axes.yaxis, scale)
