"""Recovery: the rate against the 50% standard, its uncertainty, and whether its movements are more than noise."""

import numpy as np
import pandas as pd
from IPython.display import Markdown

from iapt import data
from iapt.data import periods
from iapt.models import trends
from iapt.show import charts, words

RATE, RELIABLE, IMPROVED = "recovery_rate", "reliable_recovery_rate", "reliable_improvement_rate"


def standard() -> float:
    """The recovery standard, in per cent of those at caseness."""
    return float(data.targets(RATE)["value"].iloc[0])


def by_quarter(as_of: str) -> pd.DataFrame:
    """The rate of each quarter with what is known about it: columns rate, low, high and basis.

    Where the counts of all three months are known, `rate` comes from them and low and high are its 95% Wilson
    interval. Where only monthly rates are known the quarter's rate lies between the lowest and the highest of
    them: low and high are these bounds, `rate` is missing and `basis` is `between months`.
    """
    top, bottom = (data.series(measure, "quarter", as_of) for measure in ("recovered", "at_caseness"))
    months = data.series(RATE, "month", as_of)
    grouped = months.groupby(months.index.asfreq("Q-MAR"))
    bounds = grouped.agg(["min", "max", "count"]).query("count == 3")
    index = pd.period_range(min(top.index[0], bounds.index[0]), max(top.index[-1], bounds.index[-1]), name="quarter")
    table = pd.DataFrame(index=index, columns=["rate", "low", "high", "basis"], dtype=object)
    for quarter in index:
        recovered, eligible = top.get(quarter, np.nan), bottom.get(quarter, np.nan)
        if pd.notna(recovered) and pd.notna(eligible):
            table.loc[quarter] = [100 * recovered / eligible, *trends.wilson(recovered, eligible), "from counts"]
        elif quarter in bounds.index:
            table.loc[quarter] = [np.nan, bounds.at[quarter, "min"], bounds.at[quarter, "max"], "between months"]
    return table.astype({"rate": float, "low": float, "high": float})


def first_met(as_of: str) -> pd.Period | None:
    """The first quarter whose rate reached the standard."""
    table = by_quarter(as_of)
    met = table["rate"].fillna(table["low"]) >= standard()
    return met.idxmax() if met.any() else None


def since_met(as_of: str) -> pd.DataFrame:
    """Quarters after the first that met the standard, with `verdict`: met, not met or unknown."""
    first = first_met(as_of)
    table = by_quarter(as_of)
    if first is None:
        return table.iloc[:0].assign(verdict=[])
    table = table[first + 1 :]
    low, high = table["rate"].fillna(table["low"]), table["rate"].fillna(table["high"])
    verdict = np.select([low >= standard(), high < standard()], ["met", "not met"], "unknown")
    return table.assign(verdict=verdict)


def screen(as_of: str) -> pd.DataFrame:
    """XmR screen of the monthly rate, trend and season removed: `value` is the rest, in percentage points.

    Of a series with gaps only the longest part without one is screened.
    """
    months = data.series(RATE, "month", as_of)
    parts = months.dropna().groupby(months.isna().cumsum())
    return trends.xmr(trends.remove_trend_and_season(max((part for _, part in parts), key=len)))


# ---------------------------------------------------------------- sentences


def answer(as_of: str) -> Markdown:
    """The answer in two sentences: the latest quarter, and the record against the standard."""
    rates = by_quarter(as_of).dropna(subset="rate")
    last = rates.iloc[-1]
    above = last.rate >= standard()
    opening = (
        f"**The recovery rate was {words.percent(last.rate, 1)} in {periods.label(rates.index[-1])}, "
        f"{'above' if above else 'below'} the standard of {words.percent(standard())}.**"
    )
    first = first_met(as_of)
    if first is None:
        return words.say(opening, "No quarter had met it by then.")
    later = since_met(as_of)["verdict"].value_counts()
    missed, unknown, met = later.get("not met", 0), later.get("unknown", 0), later.get("met", 0)
    return words.say(
        opening,
        f"It was first met in {periods.label(first)};",
        f"of the {met + missed + unknown} quarters since, {met} met it"
        + (f", {missed} did not" if missed else "")
        + (f" and {unknown} cannot be decided from monthly rates alone" if unknown else "")
        + ".",
    )


def describe_uncertainty(as_of: str) -> Markdown:
    """How wide chance alone makes the rate of a quarter."""
    rates = by_quarter(as_of).dropna(subset="rate")
    width = ((rates["high"] - rates["low"]) / 2).iloc[-1]
    near = rates[(rates["low"] < standard()) & (rates["high"] > standard())]
    text = (
        f"With so many people behind each quarter chance moves the national rate by only ±{width:.2f} points (95% "
        "interval)"
    )
    return words.say(
        text
        + (
            f"; still, the verdict of {len(near)} {'quarter' if len(near) == 1 else 'quarters'} "
            f"({words.listed(periods.label(p) for p in near.index)}) lies within it."
            if len(near)
            else ", less than any distance from the standard."
        )
    )


def describe_screen(as_of: str) -> Markdown:
    """What the XmR screen shows, with the rate at which it would cry wolf."""
    table = screen(as_of)
    outside = table[table["signal"] == "outside the limits"]
    others = (table["signal"] != "").sum() - len(outside)
    return words.say(
        f"Of {len(table)} months {len(outside)} lie outside the limits"
        + (f" ({words.listed(periods.label(p) for p in outside.index)})" if len(outside) else "")
        + f"; {others} more carry a weaker signal.",
        f"This is a screen, not a verdict: put through the same steps, {len(table)} months in which nothing "
        f"happened show at least one signal {words.percent(trends.false_signal_rate(len(table)))} of the time.",
    )


# ---------------------------------------------------------------- charts


def plot_rate(as_of: str) -> charts.Chart:
    """The recovery rate by quarter over the rate by month, with the standard."""
    quarters = by_quarter(as_of)
    months = data.series(RATE, "month", as_of)
    known = quarters["rate"].dropna()
    bounded = quarters[quarters["basis"] == "between months"]
    first = first_met(as_of)
    title = f"The recovery rate was {words.percent(known.iloc[-1], 1)} in {periods.label(known.index[-1])}" + (
        f"; it first met the standard in {periods.label(first)}"
        if first is not None
        else f"; the standard is {words.percent(standard())}"
    )
    canvas = charts.open_canvas(
        "recovery_rate",
        title,
        "Per cent of those who finished a course at caseness, England",
        [
            "Thick line: quarters, from counts. Thin line: months.",
            "Bars: quarters of which only monthly rates are known; the rate lies within the bar."
            if len(bounded)
            else "",
            charts.name_breaks(RATE, quarters.index),
        ],
        "OHID Fingertips, NHS England and predecessors",
        as_of,
    )
    axes, colour = canvas.axes, charts.COLOURS[RATE]
    charts.span_years(canvas, quarters.index[0], quarters.index[-1])
    axes.plot([charts.middle(p) for p in months.index], months, color=colour, alpha=0.45, linewidth=0.9, zorder=2)
    charts.draw_series(
        canvas,
        known.to_frame("value").reindex(quarters.index),
        RATE,
        label=f"Recovery rate\n{words.percent(known.iloc[-1], 1)}",
        width=2.4,
        marks=False,
    )
    axes.vlines(
        [charts.middle(p) for p in bounded.index],
        bounded["low"].astype(float),
        bounded["high"].astype(float),
        color=colour,
        linewidth=5,
        alpha=0.5,
        zorder=3,
    )
    charts.draw_standard(canvas, standard(), f"standard: {words.percent(standard())}")
    axes.set_ylim(min(40, months.min() - 1), max(56, months.max() + 1))
    charts.show_percent(axes)
    charts.mark_breaks(canvas, RATE, quarters.index)
    quarterly = quarters.assign(frequency="quarter", period=[periods.write(p) for p in quarters.index])
    by_month = pd.DataFrame(
        {"frequency": "month", "period": months.index.astype(str), "rate": months.to_numpy(), "basis": "published"}
    )
    table = pd.concat([quarterly, by_month], ignore_index=True)[["frequency", "period", "rate", "low", "high", "basis"]]
    alt = (
        f"Line chart of the recovery rate by quarter: {words.percent(known.iloc[0], 1)} in "
        f"{periods.label(known.index[0])}, lowest {words.percent(known.min(), 1)} in "
        f"{periods.label(known.idxmin())}, highest {words.percent(known.max(), 1)} in "
        f"{periods.label(known.idxmax())}, {words.percent(known.iloc[-1], 1)} in {periods.label(known.index[-1])}; "
        f"the standard is {words.percent(standard())}. The vertical axis does not start at zero."
    )
    return charts.close_canvas(canvas, table, alt)


def plot_screen(as_of: str) -> charts.Chart:
    """XmR chart of the monthly rate without trend and season."""
    table = screen(as_of)
    outside = table[table["signal"] == "outside the limits"]
    title = f"{len(outside)} of {len(table)} months stand out once trend and season are taken from the recovery rate"
    canvas = charts.open_canvas(
        "recovery_screen",
        title,
        "Recovery rate less its trend and season, percentage points by month, England",
        [
            "Grey band: mean plus and minus 2.66 times the mean moving range. Large points lie outside; some "
            "months do so by chance.",
            charts.name_breaks(RATE, table.index),
        ],
        "OHID Fingertips, NHS England and predecessors",
        as_of,
        height=2.8,
    )
    axes, colour = canvas.axes, charts.COLOURS[RATE]
    charts.span_years(canvas, table.index[0], table.index[-1])
    x = pd.Series([charts.middle(p) for p in table.index], table.index)
    axes.fill_between(x, table["lower"], table["upper"], color="#eeeeee", zorder=0)
    axes.plot(x, table["value"], color=colour, linewidth=1, zorder=3)
    axes.scatter(x[outside.index], outside["value"], s=34, color=colour, zorder=4)
    charts.add_label(canvas, x.iloc[-1], table["value"].iloc[-1], "Recovery rate\nless trend\nand season", colour)
    charts.mark_breaks(canvas, RATE, table.index)
    frame = table.reset_index(names="month").assign(month=table.index.astype(str))
    alt = (
        f"Individuals chart of {len(table)} months, limits {table['lower'].iloc[0]:+.2f} and "
        f"{table['upper'].iloc[0]:+.2f} points; {len(outside)} months lie outside"
        + (
            f", lowest {table['value'].min():+.1f} in {periods.label(table['value'].idxmin())}, highest "
            f"{table['value'].max():+.1f} in {periods.label(table['value'].idxmax())}."
            if len(outside)
            else "."
        )
    )
    return charts.close_canvas(canvas, frame, alt.replace("-", "−"))


def plot_reliable(as_of: str) -> charts.Chart:
    """Recovery, reliable recovery and reliable improvement by financial year."""
    rates = {
        measure: data.figures(measure, "year", as_of)[pd.Period("2014", "Y-MAR") :]
        for measure in (IMPROVED, RATE, RELIABLE)
    }
    last = {measure: table["value"].dropna() for measure, table in rates.items()}
    year = last[IMPROVED].index[-1]
    title = (
        f"{words.percent(last[IMPROVED].iloc[-1])} of those who finished in {periods.label(year)} reliably "
        f"improved; {words.percent(last[RELIABLE].iloc[-1])} of those at caseness reliably recovered"
    )
    canvas = charts.open_canvas(
        "recovery_reliable",
        title,
        "Per cent, England, by financial year",
        [
            "Reliable improvement is a share of all who finished; the other two are shares of those at caseness at "
            "the start.",
            charts.name_breaks(RATE, rates[RATE].index),
        ],
        "NHS England and predecessors",
        as_of,
        height=3.0,
    )
    charts.span_years(canvas, rates[RATE].index[0], rates[RATE].index[-1])
    for measure, table in rates.items():
        charts.draw_series(
            canvas,
            table,
            measure,
            label=f"{data.label(measure).removesuffix(' rate')}\n{words.percent(last[measure].iloc[-1], 1)}",
        )
    canvas.axes.set_ylim(30, 80)
    charts.show_percent(canvas.axes)
    charts.mark_breaks(canvas, RATE, rates[RATE].index)
    frame = (
        pd.DataFrame({measure: table["value"] for measure, table in rates.items()}).rename_axis("year").reset_index()
    )
    frame["year"] = [periods.label(p) for p in frame["year"]]
    alt = (
        "Three lines by year. "
        + " ".join(
            f"{data.label(measure)}: {words.percent(y.iloc[0], 1)} in {periods.label(y.index[0])}, "
            f"{words.percent(y.iloc[-1], 1)} in {periods.label(y.index[-1])}."
            for measure, y in last.items()
        )
        + " The vertical axis does not start at zero."
    )
    return charts.close_canvas(canvas, frame, alt)
