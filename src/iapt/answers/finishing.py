"""Finishing a course of treatment: how many do, how that grew beside starts, and what share it is."""

import pandas as pd
from IPython.display import Markdown

from iapt import data
from iapt.data import periods
from iapt.models import trends
from iapt.show import charts, words

FINISHED, STARTS, REFERRALS = "finished_course", "started_treatment", "referrals_received"
PEAK = pd.Period("2017Q2", "Q-MAR")
"""Q2 2016/17: the quarter after which the page of May 2020 saw growth stall."""


def by_quarter(as_of: str) -> pd.DataFrame:
    """Finished courses and starts by quarter, from the first quarter that has both."""
    table = pd.DataFrame({measure: data.series(measure, "quarter", as_of) for measure in (FINISHED, STARTS)})
    return table[table[FINISHED].first_valid_index() :]


def compare_years(as_of: str) -> tuple[int, pd.Period, pd.Period]:
    """Up to three whole years between quarters with both measures known: their number, the first and the last quarter."""
    known = by_quarter(as_of).dropna().index
    years = next(years for years in (3, 2, 1, 0) if known[-1] - 4 * years in known)
    return years, known[-1] - 4 * years, known[-1]


def fit_slowdown(as_of: str) -> trends.BrokenTrend | None:
    """The broken trend of finished courses up to the last quarter before the pandemic; None with too few quarters."""
    y = _before_pandemic(as_of)["value"]
    return trends.broken_trend(y) if len(y) >= trends.FEWEST_QUARTERS else None


def _before_pandemic(as_of: str) -> pd.DataFrame:
    return data.figures(FINISHED, "quarter", as_of)[: pd.Period("2020Q3", "Q-MAR")]


def shares(as_of: str) -> pd.DataFrame:
    """Finished courses as per cent of referrals received and of starts in the same year, by financial year.

    The people are not the same: a course that ends in a year may have started in the one before.
    """
    table = pd.DataFrame({measure: data.series(measure, "year", as_of) for measure in (FINISHED, REFERRALS, STARTS)})
    table = table[pd.Period("2014", "Y-MAR") :]
    return pd.DataFrame(
        {"of_referrals": 100 * table[FINISHED] / table[REFERRALS], "of_starts": 100 * table[FINISHED] / table[STARTS]}
    ).dropna(how="all")


# ---------------------------------------------------------------- sentences


def answer(as_of: str) -> Markdown:
    """The answer in two sentences: growth of finished courses beside starts over three years."""
    table = by_quarter(as_of)
    years, first, last = compare_years(as_of)
    finished, started = (trends.growth(table[measure], first, last) for measure in (FINISHED, STARTS))
    opening = f"{words.count(table[FINISHED][last])} referrals finished a course in {periods.label(last)}"
    if not years:
        return words.say(f"**{opening}.**", "No quarter of an earlier year was known to set beside it.")
    return words.say(
        f"**{opening}, {_change(finished)} {_span(years)} before.**",
        f"Over the same time the number starting treatment {_moved(started)}.",
    )


def _span(years: int) -> str:
    return {1: "a year", 2: "two years", 3: "three years"}[years]


def _change(value: float) -> str:
    return f"{words.percent(abs(value))} {'more' if value >= 0 else 'fewer'} than"


def _moved(value: float) -> str:
    return f"{'grew' if value >= 0 else 'fell'} by {words.percent(abs(value))}"


def describe_slowdown(as_of: str) -> Markdown:
    """Whether and when growth slowed, and whether it stopped."""
    fit = fit_slowdown(as_of)
    if fit is None:
        return words.say(
            f"Only {len(_before_pandemic(as_of))} quarters were known; a trend that breaks needs "
            f"{trends.FEWEST_QUARTERS}."
        )
    since, until = fit.break_interval
    verdict = (
        f"Growth stalled: it lies within ±{trends.BAND:g}% a year."
        if fit.stalled
        else f"Slowed, not stalled: the interval after the break does not lie within the ±{trends.BAND:g}% a year that would count as no growth."
    )
    return words.say(
        f"One break in the trend is {'clear' if fit.p_value < 0.05 else 'not clear'} (p = {fit.p_value:.3f}, "
        f"allowing for autocorrelation of {fit.phi:.2f}).",
        f"It comes in {periods.label(fit.at)} (95% interval {periods.label(since)} to {periods.label(until)}).",
        f"Finished courses grew by {words.percent(fit.before, 1)} a year before it and by "
        f"{words.percent(fit.after, 1)} a year after it",
        f"({words.percent(fit.after_interval[0], 1)} to {words.percent(fit.after_interval[1], 1)}).",
        f"**{verdict}**",
    )


def describe_share(as_of: str) -> Markdown:
    """The share that finishes in the first and the latest year."""
    table = shares(as_of)
    both = table.dropna()
    first, last = both.index[0], both.index[-1]
    return words.say(
        f"In {periods.label(last)} {words.percent(both['of_referrals'][last])} as many courses were finished as "
        f"referrals received, and {words.percent(both['of_starts'][last])} as many as treatments started;",
        f"in {periods.label(first)} it was {words.percent(both['of_referrals'][first])} and "
        f"{words.percent(both['of_starts'][first])}.",
        "These are not the same people, so neither is a rate of completion; both move when waiting or treatment "
        "gets longer.",
    )


# ---------------------------------------------------------------- charts


def plot_quarters(as_of: str) -> charts.Chart:
    """Finished courses and starts by quarter."""
    tables = {measure: data.figures(measure, "quarter", as_of) for measure in (FINISHED, STARTS)}
    begin = tables[FINISHED].index[0]
    tables = {measure: table[begin:] for measure, table in tables.items()}
    values = by_quarter(as_of)
    years, first, last = compare_years(as_of)
    changes = {measure: trends.growth(values[measure], first, last) for measure in tables}
    title = (
        f"In {_span(years)} to {periods.label(last)} finished courses {_moved(changes[FINISHED])}, starts "
        f"{_moved(changes[STARTS])}"
        if years
        else f"{words.count(values[FINISHED][last])} referrals finished a course in {periods.label(last)}"
    )
    gap = values[STARTS].isna().any()
    canvas = charts.open_canvas(
        "finishing_by_quarter",
        title,
        "Referrals a quarter, England",
        [
            charts.name_breaks(FINISHED, tables[FINISHED].index),
            charts.explain_hollow(list(tables.values())),
            "The line stops where a quarter is missing." if gap else "",
        ],
        "OHID Fingertips, NHS England and predecessors",
        as_of,
    )
    charts.span_years(canvas, begin, tables[FINISHED].index[-1])
    for measure, table in tables.items():
        y = table["value"].dropna()
        charts.draw_series(
            canvas,
            table,
            measure,
            label=f"{data.label(measure).replace(' of treatment', '')}\n{words.million(y.iloc[-1])}",
            width=1.8,
        )
    charts.show_counts(canvas.axes, values.max().max() * 1.12)
    charts.mark_breaks(canvas, FINISHED, tables[FINISHED].index)
    table = pd.DataFrame({"quarter": [periods.write(quarter) for quarter in tables[FINISHED].index]})
    for measure, frame in tables.items():
        table[measure] = frame["value"].reindex(tables[FINISHED].index).to_numpy()
        table[f"{measure}_basis"] = frame["basis"].reindex(tables[FINISHED].index).to_numpy()
    ends = [
        f"{data.label(measure)}: {words.count(frame['value'].dropna().iloc[0])} in "
        f"{periods.label(frame['value'].dropna().index[0])}, {words.count(frame['value'].dropna().iloc[-1])} in "
        f"{periods.label(frame['value'].dropna().index[-1])}."
        for measure, frame in tables.items()
    ]
    return charts.close_canvas(canvas, table, "Line chart by quarter. " + " ".join(ends))


def plot_slowdown(as_of: str) -> charts.Chart:
    """Finished courses before the pandemic with the broken trend and the interval of its break."""
    fit, table = fit_slowdown(as_of), _before_pandemic(as_of)
    frame = pd.DataFrame({"quarter": [periods.write(p) for p in table.index], FINISHED: table["value"].to_numpy()})
    alt = (
        f"Points by quarter from {words.count(table['value'].iloc[0])} in {periods.label(table.index[0])} to "
        f"{words.count(table['value'].iloc[-1])} in {periods.label(table.index[-1])}"
    )
    title, shaded = f"{len(table)} quarters of finished courses: too few to look for a break in their growth", ""
    if fit:
        since, until = fit.break_interval
        title = (
            f"Growth in finished courses fell from {words.percent(fit.before)} to {words.percent(fit.after, 1)} a "
            f"year around {periods.label(fit.at)}"
        )
        shaded = (
            f"Shaded: 95% interval of the break, {periods.label(since)} to {periods.label(until)}. Trend without "
            "its seasonal effects."
        )
        frame["trend"] = fit.fitted.to_numpy()
        alt += f", with a trend of {words.percent(fit.before, 1)} a year that bends in {periods.label(fit.at)} to {words.percent(fit.after, 1)} a year"
    canvas = charts.open_canvas(
        "finishing_slowdown",
        title,
        "Referrals finishing a course a quarter, England" + (", and a trend that breaks once" if fit else ""),
        [shaded, charts.name_breaks(FINISHED, table.index), charts.explain_hollow([table])],
        "OHID Fingertips, NHS England and predecessors",
        as_of,
        height=3.0,
    )
    charts.span_years(canvas, table.index[0], table.index[-1])
    charts.draw_series(canvas, table, FINISHED, label="Finished a course", width=1.0)
    if fit:
        canvas.axes.axvspan(charts.middle(since) - 0.125, charts.middle(until) + 0.125, color="#eeeeee", zorder=0)
        canvas.axes.plot(
            [charts.middle(p) for p in table.index], fit.fitted, color=charts.COLOURS["plain"], linewidth=2.4, zorder=2
        )
    charts.show_counts(canvas.axes, table["value"].max() * 1.12)
    charts.mark_breaks(canvas, FINISHED, table.index)
    return charts.close_canvas(canvas, frame, alt + ".")


def plot_shares(as_of: str) -> charts.Chart:
    """Finished courses as a share of referrals and of starts, by financial year."""
    table = shares(as_of)
    referrals, starts = table["of_referrals"].dropna(), table["of_starts"].dropna()
    title = (
        f"For every 100 referrals received in {periods.label(referrals.index[-1])} there were "
        f"{referrals.iloc[-1]:.0f} finished courses"
    )
    canvas = charts.open_canvas(
        "finishing_shares",
        title,
        "Finished courses as per cent of referrals and of starts in the same year, England",
        [
            "Not the same people: courses may end in a later year than they began.",
            charts.name_breaks(FINISHED, table.index),
        ],
        "NHS England and predecessors; OHID Fingertips",
        as_of,
        height=2.9,
    )
    charts.span_years(canvas, table.index[0], table.index[-1])
    charts.draw_series(canvas, starts.to_frame("value"), STARTS, label=f"of starts\n{words.percent(starts.iloc[-1])}")
    charts.draw_series(
        canvas, referrals.to_frame("value"), REFERRALS, label=f"of referrals\n{words.percent(referrals.iloc[-1])}"
    )
    canvas.axes.set_ylim(0, 70)
    charts.show_percent(canvas.axes)
    charts.mark_breaks(canvas, FINISHED, table.index)
    frame = table.rename_axis("year").reset_index().assign(year=[periods.label(p) for p in table.index])
    alt = (
        f"Two lines by year. Of referrals: {words.percent(referrals.iloc[0])} in "
        f"{periods.label(referrals.index[0])}, {words.percent(referrals.iloc[-1])} in "
        f"{periods.label(referrals.index[-1])}. Of starts: {words.percent(starts.iloc[0])} in "
        f"{periods.label(starts.index[0])}, {words.percent(starts.iloc[-1])} in {periods.label(starts.index[-1])}."
    )
    return charts.close_canvas(canvas, frame, alt)
