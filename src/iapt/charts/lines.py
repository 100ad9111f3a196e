"""Charts of series: over time, as small multiples, and as a fan of forecasts.

What is drawn says the rest. From the columns and the vintage that `data.table` leaves on a table follow labels and
colours, breaks in the counting, hollow points, sources, alternative text and the data kept beside the picture.
"""

import re
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from iapt import data, words
from iapt.charts.chart import BACKING, COLOURS, OTHERS, QUIET, TARGET_INK, Chart, Panel, middle
from iapt.data import periods

FEW = 60
"""A line of so many points or fewer shows each of them."""
BREAK_MARGIN = {"year": 0.5, "quarter": 0.125, "month": 1 / 24}


class LineChart(Chart):
    """A chart of series over time. What is added to it becomes part of its data and its alternative text."""

    def draw(self, panel: Panel, frame: pd.DataFrame, labels: Mapping[str, str], colours: Mapping[str, str]) -> None:
        """Draw each column as a line with its label, the breaks of its measures, and what they need said."""
        held, frequency = frame.dropna(how="all"), periods.frequency_of(frame.index)
        panel.periods = held.index if panel.periods is None else panel.periods.union(held.index)
        measures = _measures(frame)
        self._mark_breaks(panel, held.index, frequency, measures)
        spare = iter(OTHERS)
        for column in frame.columns:
            y = frame[column].astype(float)
            y = y[y.first_valid_index() : y.last_valid_index()]
            if y.dropna().empty:
                continue
            colour = colours.get(column) or COLOURS.get(column) or next(spare, COLOURS["plain"])
            origin = _origin(column, frequency, self.as_of, y)
            self._draw_line(panel, y, colour, origin)
            self._keep(panel, column, y, origin)
            name = labels.get(column, data.label(column) if column in _codebook().index else column)
            last = y.dropna()
            shown = write_value(last.iloc[-1], self.scale)
            panel.label(middle(last.index[-1]), last.iloc[-1], f"{name}\n{shown}" if name else shown, colour)
            self.said.append(_describe(" ".join(filter(None, [panel.heading, name])), y, self.scale))

    @property
    def scale(self) -> str:
        """What the values are, as the unit says: `percent`, `number` (days, rates for each 1,000) or `count`."""
        unit = self.unit.lower()
        if "per cent" in unit or "percentage" in unit:
            return "percent"
        return "number" if re.search(r"\b(days|mean|median|per [\d,]+|points)\b", unit) else "count"

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
        spots = sorted((middle(row.period) - BREAK_MARGIN[frequency], row.short) for row in rows.itertuples())
        for x, _ in spots:
            panel.axes.axvline(x, color=QUIET, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
        panel.late.append(lambda: _name_breaks(panel, spots))
        if spots:
            self.note("Dotted lines mark breaks in the counting, described in Data and method.")

    def _keep(self, panel: Panel, column: str, y: pd.Series, origin: pd.DataFrame) -> None:
        frequency = periods.frequency_of(y.index)
        keys = {frequency: y.index} | ({"panel": panel.heading} if panel.heading else {})
        rows = pd.DataFrame(keys | {column: y.to_numpy()})
        if len(origin):
            rows[f"{column}_basis"] = origin["basis"].reindex(y.index).to_numpy()
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
        self._keep(self.panels[0], column or words.slug(label), y, pd.DataFrame())
        self.said.append(_describe(f"{style.capitalize()} line, {label}", y, self.scale))
        self._make_room(y.max())
        return self

    def add_band(
        self, low: pd.Series, high: pd.Series, label: str, *, colour: str, alpha: float = 0.2, column: str = ""
    ) -> "LineChart":
        """A shaded band between two series, such as an interval; `column` names it in the data, after `low` and `high`."""
        low, high = low.astype(float), high.astype(float)
        self.axes.fill_between(
            [middle(period) for period in low.index], low, high, color=colour, alpha=alpha, linewidth=0, zorder=1
        )
        self.panels[0].periods = self.panels[0].periods.union(low.index)
        for side, y in (("low", low), ("high", high)):
            self._keep(self.panels[0], side + (column or f"_{words.slug(label)}"), y, pd.DataFrame())
        ends = " to ".join(write_value(y.iloc[-1], self.scale) for y in (low, high))
        self.said.append(f"Band, {label}: {ends} in {words.when(low.index[-1])}.")
        self._make_room(high.max())
        return self

    def add_targets(self, targets: pd.DataFrame) -> "LineChart":
        """Each target of `data.targets` as a dashed line that ends, with a diamond, in the year it was set for."""
        if targets.empty:
            return self
        start = -np.inf
        self.panels[0].periods = self.panels[0].periods.union(targets.index)
        for year, goal in targets["target"].astype(float).items():
            end = middle(year)
            start = max(start, end - 4)
            self.axes.plot([start, end], [goal] * 2, color=COLOURS["target"], linewidth=1.3, linestyle=(0, (4, 2)), zorder=2)
            self.axes.scatter([end], [goal], marker="D", s=28, color=COLOURS["target"], zorder=5)
            self.panels[0].late.append(partial(_name_target, self.axes, end, goal, write_value(goal, self.scale)))
            start = end
        self._keep(self.panels[0], "target", targets["target"].astype(float), pd.DataFrame())
        goals = [f"{write_value(goal, self.scale)} for {words.when(year)}" for year, goal in targets["target"].items()]
        self.said.append(f"Targets: {words.listed(goals)}.")
        self._make_room(targets["target"].max())
        return self

    def add_standard(self, value: float, text: str) -> "LineChart":
        """A standing standard as a dashed line across every panel, named at the left of the first."""
        for panel in self.panels:
            panel.axes.axhline(value, color=COLOURS["target"], linewidth=1.3, linestyle=(0, (4, 2)), zorder=2)
            low, high = panel.axes.get_ylim()
            panel.axes.set_ylim(min(low, value - 0.04 * (high - low)), max(high, value + 0.1 * (high - low)))
        self.axes.annotate(
            text, (0.01, value), xycoords=("axes fraction", "data"), xytext=(0, 3), textcoords="offset points",
            fontsize=8.8, color=TARGET_INK, bbox=BACKING, zorder=6,
        )  # fmt: skip
        self.said.append(f"Dashed line: {text}.")
        return self

    def _make_room(self, top: float) -> None:
        low, high = self.axes.get_ylim()
        if pd.notna(top) and top > low + (high - low) / 1.08:
            self.axes.set_ylim(low, low + (top - low) * 1.1)


def over_time(
    frame: pd.DataFrame,
    *,
    title: str,
    unit: str,
    name: str = "",
    labels: Mapping[str, str] | None = None,
    colours: Mapping[str, str] | None = None,
    measures: Sequence[str] = (),
    as_of: str = "",
    from_zero: bool | None = None,
    height: float = 3.4,
) -> LineChart:
    """A line for each column of a table over time, labelled at its end.

    The index holds years, quarters or months. Columns that are measures get their name, colour and origin; any other
    is drawn as a plain line named after its column, or as `labels` say. `measures` and `as_of` are what the figures
    rest on; `data.table` leaves them on its tables, and they are given here where pandas has lost them. `unit` is the
    axis in words; with "per cent" in it the axis is one of percentages. `from_zero` is the default for counts.
    Raises ValueError where the frame has nothing to draw or its vintage is not known.
    """
    chart = open_chart(LineChart, frame, title, unit, name, measures, as_of, height)
    panel = chart.add_panel()
    chart.said.append(f"Line chart by {BY[periods.frequency_of(frame.index)]}. {unit}.")
    chart.draw(panel, frame, labels or {}, colours or {})
    _scale(panel, frame, chart.scale, from_zero)
    return chart


def panels(
    frames: Mapping[str, pd.DataFrame],
    *,
    title: str,
    unit: str,
    name: str = "",
    labels: Mapping[str, str] | None = None,
    colours: Mapping[str, str] | None = None,
    measures: Sequence[str] = (),
    as_of: str = "",
    shared: bool = False,
    from_zero: bool | None = None,
    height: float = 4.2,
) -> LineChart:
    """Small multiples: one chart as `over_time` draws it for each table, under its heading, two side by side.

    With `shared` all have the same vertical axis. A table may name its own unit in `.attrs["unit"]`.
    """
    first = next(iter(frames.values()))
    chart = open_chart(LineChart, first, title, unit, name, measures, as_of, height)
    chart.columns = 2
    chart.said.append(f"{len(frames)} line charts by {BY[periods.frequency_of(first.index)]}. {unit}.")
    for heading, frame in frames.items():
        panel = chart.add_panel(heading)
        chart.unit = frame.attrs.get("unit", unit)
        chart.draw(panel, frame, labels or {}, colours or {})
        _scale(panel, pd.concat(frames.values(), axis=1) if shared else frame, chart.scale, from_zero)
        panel.axes.tick_params(labelsize=8.5)
    chart.unit = unit
    return chart


def fan(
    observed: pd.Series,
    quantiles: pd.DataFrame,
    *,
    title: str,
    unit: str,
    name: str = "",
    label: str = "forecast",
    measures: Sequence[str] = (),
    as_of: str = "",
    height: float = 3.6,
) -> LineChart:
    """A forecast as bands around its median, joined to what was observed.

    `quantiles` has one row a period and columns of levels such as 0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975; each pair
    that leaves out the same share at both ends becomes a band. `add_line` draws other models beside it.
    """
    measure = str(observed.name)
    chart = over_time(
        observed.to_frame(), title=title, unit=unit, name=name, measures=measures, as_of=as_of, height=height
    )
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
    chart.note("Bands hold " + words.listed(f"{100 * (1 - 2 * level):.0f}%" for level in levels) + " of the simulated paths.")
    return chart.add_line(joined[0.5], label, colour=colour, style="dashed", column="median")


def _name_breaks(panel: Panel, spots: list[tuple[float, str]]) -> list:
    """The short name of each break along its line, but for those that have no room beside the one before."""
    named, width = [], panel.axes.get_window_extent().width / panel.axes.figure.dpi
    for x, text in spots:
        place = panel.axes.transData.transform((x, 0))[0] / panel.axes.figure.dpi
        if width > 1 and (not named or place - named[-1][0] > 0.17):
            named.append((place, x, text))
    return [
        panel.axes.annotate(
            text, (x, 1), xycoords=("data", "axes fraction"), xytext=(1.5, -1), textcoords="offset points",
            rotation=90, ha="left", va="top", fontsize=7.8, color=QUIET, zorder=5, bbox=BACKING,
        )
        for _, x, text in named
    ]  # fmt: skip


def _name_target(axes: Axes, x: float, goal: float, text: str) -> list:
    """The name of a target above the end of its line, inside the axes."""
    inches = (axes.transData.transform((x, 0))[0] - axes.get_window_extent().x0) / axes.figure.dpi
    inside = inches > 0.075 * len(f"target {text}")
    return [
        axes.annotate(
            f"target {text}", (x, goal) if inside else (axes.get_xlim()[0], goal), xytext=(3 if inside else 0, 5),
            textcoords="offset points", ha="right" if inside else "left", va="bottom", fontsize=8.8,
            color=TARGET_INK, zorder=6, bbox=BACKING,
        )
    ]  # fmt: skip


# ---------------------------------------------------------------- what the builders share

BY = {"year": "financial year", "quarter": "quarter of the financial year", "month": "month"}


def open_chart(
    kind: type[Chart],
    frame: pd.DataFrame,
    title: str,
    unit: str,
    name: str,
    measures: Sequence[str],
    as_of: str,
    height: float,
) -> Chart:
    if frame.dropna(how="all").empty:
        raise ValueError(f"nothing to draw for {title!r}: the table has no values")
    as_of = as_of or frame.attrs.get("as_of", "")
    if not as_of:
        raise ValueError("the table has lost its vintage on the way; say it with as_of=as_of")
    if measures or not frame.attrs.get("measures"):
        frame.attrs = {**frame.attrs, "measures": list(measures)}
    return kind(name or words.slug(title), title, unit, sources_of(frame, _measures(frame), as_of), as_of, height)


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


def write_value(value: float, scale: str) -> str:
    """A value as charts write it: 1.26 million, 147,781, 50.6% or 31.6."""
    if scale == "percent":
        return words.percent(value, 1)
    if scale == "number":
        return f"{value:,.1f}".replace("-", "−")
    return words.million(value) if abs(value) >= 995_000 else words.count(value)


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
    scale_axis(panel.axes, scale)


def scale_axis(axes: Axes, scale: str) -> None:
    """Write the vertical axis as its values are written: 50%, 1.5m or 250,000."""
    mark = "%" if scale == "percent" else ""
    short = lambda value: f"{value / 1e6:g}m" if abs(value) >= 1e6 else words.count(value)
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: short(value) if scale == "count" else f"{value:g}{mark}".replace("-", "−"))
    )
