"""Access: referrals received, people starting treatment, and the targets set on them."""

import pandas as pd
from IPython.display import Markdown

from iapt import data
from iapt.data import periods
from iapt.models import trends
from iapt.show import charts, words

REFERRALS, STARTS = "referrals_received", "started_treatment"


def by_year(as_of: str) -> pd.DataFrame:
    """Referrals and starts by financial year: one row a year, columns named after the measures."""
    return pd.DataFrame({measure: data.series(measure, "year", as_of) for measure in (REFERRALS, STARTS)})


def last_twelve_months(measure: str, as_of: str) -> pd.Series:
    """The total of each twelve months to the end of a month; NaN where a month is missing."""
    return data.series(measure, "month", as_of).rolling(12, min_periods=12).sum()


def outcomes(as_of: str) -> pd.DataFrame:
    """Each known access target with the outturn of its year.

    Columns name, year, target, outturn (NaN before it is known), gap (outturn less target) and share (per cent).
    """
    starts = data.series(STARTS, "year", as_of)
    table = data.targets(STARTS, as_of)[["name", "year", "value"]].rename(columns={"value": "target"})
    table["outturn"] = [starts.get(year) for year in table["year"]]
    table["outturn"] = table["outturn"].astype(float)
    table["gap"] = table["outturn"] - table["target"]
    table["share"] = 100 * table["outturn"] / table["target"]
    return table


def next_target(as_of: str) -> pd.Series | None:
    """The first target whose year has no outturn yet, with `latest`, `latest_year`, `missing` and `years_left`."""
    table = outcomes(as_of)
    starts = data.series(STARTS, "year", as_of).dropna()
    open_ = table[[year > starts.index[-1] for year in table["year"]]]
    if open_.empty:
        return None
    goal = open_.loc[open_["target"].idxmax()].copy()
    goal["latest"], goal["latest_year"] = starts.iloc[-1], starts.index[-1]
    goal["missing"] = goal["target"] - goal["latest"]
    goal["years_left"] = (goal["year"] - goal["latest_year"]).n
    return goal


# ---------------------------------------------------------------- sentences


def answer(as_of: str) -> Markdown:
    """The answer in two sentences: the latest figure, and where it stands against the last target."""
    starts = data.series(STARTS, "year", as_of).dropna()
    year, value = starts.index[-1], starts.iloc[-1]
    first = f"**{words.million(value)} referrals started treatment in {periods.label(year)}.**"
    goal = next_target(as_of)
    if goal is not None:
        return words.say(
            first,
            f"To reach the target of {words.million(goal.target)} in {periods.label(goal.year)}, "
            f"{words.count(goal.missing)} more have to start",
            f"treatment a year: {words.percent(100 * goal.missing / goal.latest)} more, in {goal.years_left} years.",
        )
    table = outcomes(as_of).dropna(subset="outturn")
    if table.empty:
        return words.say(first, "No national target on it was known at the time.")
    last = table.iloc[-1]
    verdict = "reached" if last.gap >= 0 else f"missed by {words.count(-last.gap)} ({words.percent(100 - last.share)})"
    return words.say(
        first,
        f"The target of {words.million(last.target)} in {periods.label(last.year)} was {verdict}: "
        f"{words.count(last.outturn)} started treatment that year.",
    )


def describe_growth(as_of: str) -> Markdown:
    """Growth of both measures since the first year on record and since the data set's first full year."""
    table = by_year(as_of)
    kpi, full = pd.Period("2012", "Y-MAR"), pd.Period("2014", "Y-MAR")
    sentences = []
    for measure, name in ((REFERRALS, "referrals"), (STARTS, "referrals starting treatment")):
        y = table[measure].dropna()
        last = y.index[-1]
        since = (
            f"Between {periods.label(full)}, the data set's first full year, and {periods.label(last)} {name} grew "
            f"from {words.count(y[full])} to {words.count(y[last])}, by "
            f"{words.percent(trends.growth(y, full, last))}"
            if full in y and last > full
            else ""
        )
        across = (
            f"; from the {words.count(y[kpi])} that the older collection counted in {periods.label(kpi)} it would "
            f"be {words.percent(trends.growth(y, kpi, last))}"
            if kpi in y and since
            else ""
        )
        sentences.append(
            since + across + "." if since else f"In {periods.label(last)} there were {words.count(y[last])} {name}."
        )
    return words.say(*sentences)


def list_outcomes(as_of: str) -> words.Table:
    """What became of each target, as a table."""
    rows = outcomes(as_of)
    starts = data.figures(STARTS, "year", as_of)
    basis = [starts["basis"].get(year) for year in rows["year"]]
    rounded = [starts["rounded_to"].get(year) for year in rows["year"]]
    table = pd.DataFrame(
        {
            "Target": rows["name"],
            "Year": [periods.label(year) for year in rows["year"]],
            "People a year": rows["target"].map(words.count),
            "Started treatment": [words.count(value) if pd.notna(value) else None for value in rows["outturn"]],
            "Gap": [f"{value:+,.0f}".replace("-", "−") if pd.notna(value) else None for value in rows["gap"]],
            "Reached": [words.percent(value) if pd.notna(value) else None for value in rows["share"]],
            "Figure": [
                (f"{kind}, to the nearest {words.count(unit)}" if pd.notna(unit) else kind) if pd.notna(kind) else None
                for kind, unit in zip(basis, rounded)
            ],
        }
    )
    return words.Table("access_targets", "The national access targets and the year that each was set for", table)


def list_years(as_of: str) -> words.Table:
    """The figures behind the first chart with their origin, as a table."""
    starts, referrals = data.figures(STARTS, "year", as_of), data.figures(REFERRALS, "year", as_of)
    both = referrals.join(starts, how="outer", suffixes=("_referrals", ""))
    show = lambda values: [words.count(value) if pd.notna(value) else None for value in values]
    table = pd.DataFrame(
        {
            "Year": [periods.label(year) for year in both.index],
            "Referrals received": show(both["value_referrals"]),
            "Started treatment": show(both["value"]),
            "Starts: source": both["source"],
            "Why this figure": both["why"],
        }
    )
    return words.Table("access_years", "Referrals received and referrals starting treatment, England", table)


# ---------------------------------------------------------------- charts


def plot_years(as_of: str) -> charts.Chart:
    """Referrals and starts by financial year with the targets at their dates."""
    tables = {measure: data.figures(measure, "year", as_of) for measure in (REFERRALS, STARTS)}
    targets = data.targets(STARTS, as_of)
    starts = tables[STARTS]
    valid = starts["value"].dropna()
    ends = [table.index[-1] for table in tables.values()] + list(targets["year"])
    index = pd.period_range(min(table.index[0] for table in tables.values()), max(ends), name="period")
    canvas = charts.open_canvas(
        "access_by_year",
        _title(as_of),
        "Referrals a financial year, England",
        [charts.name_breaks(STARTS, starts.index), charts.explain_hollow(list(tables.values()))],
        "NHS England and predecessors; Nuffield Trust for 2011/12; UK Parliament to 2010/11",
        as_of,
        height=3.6,
    )
    charts.span_years(canvas, index[0], index[-1])
    charts.draw_targets(canvas, targets, pd.Period("2012", "Y-MAR"))
    for measure, table in tables.items():
        last = table["value"].dropna()
        charts.draw_series(canvas, table, measure, label=f"{data.label(measure)}\n{words.million(last.iloc[-1])}")
    top = max([tables[REFERRALS]["value"].max(), valid.max(), *targets["value"]])
    charts.show_counts(canvas.axes, top * 1.12)
    charts.mark_breaks(canvas, STARTS, starts.index)
    table = pd.DataFrame({"year": [periods.label(year) for year in index]})
    for measure in tables:
        table[measure] = tables[measure]["value"].reindex(index).to_numpy()
        table[f"{measure}_basis"] = tables[measure]["basis"].reindex(index).to_numpy()
    table["target"] = targets.set_index("year")["value"].reindex(index).to_numpy()
    return charts.close_canvas(canvas, table, _describe_years(tables, targets))


def _title(as_of: str) -> str:
    starts = data.series(STARTS, "year", as_of).dropna()
    goal = next_target(as_of)
    year, value = periods.label(starts.index[-1]), words.million(starts.iloc[-1])
    if goal is not None:
        return (
            f"{value} started treatment in {year}; the {periods.label(goal.year)} target asks for "
            f"{words.million(goal.target)}"
        )
    table = outcomes(as_of).dropna(subset="outturn")
    if table.empty:
        return f"{value} referrals started treatment in {year}"
    last = table.iloc[-1]
    return (
        f"{value} started treatment in {year}; the {words.million(last.target)} target of "
        f"{periods.label(last.year)} was "
        f"{'reached' if last.gap >= 0 else 'never reached' if (starts < last.target).all() else 'missed'}"
    )


def _describe_years(tables: dict[str, pd.DataFrame], targets: pd.DataFrame) -> str:
    parts = []
    for measure, table in tables.items():
        y = table["value"].dropna()
        parts.append(
            f"{data.label(measure)}: {words.count(y.iloc[0])} in {periods.label(y.index[0])}, "
            f"{words.count(y.iloc[-1])} in {periods.label(y.index[-1])}, highest {words.count(y.max())} in "
            f"{periods.label(y.idxmax())}."
        )
    if len(targets):
        parts.append(
            "Targets for starting treatment: "
            f"{words.listed(f'{words.count(row.value)} for {periods.label(row.year)}' for row in targets.itertuples())}."
        )
    return "Line chart by financial year. " + " ".join(parts)


def plot_rolling_year(as_of: str, measure: str = STARTS) -> charts.Chart:
    """A measure in each twelve months to the end of a month."""
    total = last_twelve_months(measure, as_of)
    if total.isna().all():
        raise ValueError(
            f"{data.label(measure)}: no twelve months in a row were known on {as_of}; choose a later as_of"
        )
    total = total[total.first_valid_index() :]
    valid = total.dropna()
    peak, latest = valid.idxmax(), valid.index[-1]
    change = trends.growth(valid, peak, latest)
    verb = {STARTS: "started treatment", "finished_course": "finished a course"}[measure]
    title = f"{words.million(valid.iloc[-1])} {verb} in the twelve months to {periods.label(latest)}" + (
        f", {words.percent(-change, 1)} below the peak" if change < -0.05 else ", the most on record"
    )
    missing = total[total.isna()].index
    canvas = charts.open_canvas(
        f"rolling_year_{measure}",
        title,
        f"{data.label(measure)}: referrals in the twelve months to each month, England",
        [
            charts.name_breaks(measure, total.index),
            "The line stops where a month of the twelve is not published." if len(missing) else "",
        ],
        "OHID Fingertips, NHS England and predecessors",
        as_of,
        height=3.0,
    )
    charts.span_years(canvas, total.index[0], total.index[-1])
    charts.draw_series(
        canvas,
        total.to_frame("value"),
        measure,
        marks=False,
        label=f"{data.label(measure).removesuffix(' of treatment')}\n{words.million(valid.iloc[-1])}",
    )
    charts.show_counts(canvas.axes, valid.max() * 1.15)
    charts.mark_breaks(canvas, measure, total.index)
    table = pd.DataFrame({"twelve_months_to": total.index.astype(str), measure: total.to_numpy()})
    alt = (
        f"Line chart of the twelve-month total: {words.count(valid.iloc[0])} to {periods.label(valid.index[0])}, "
        f"highest {words.count(valid[peak])} to {periods.label(peak)}, {words.count(valid.iloc[-1])} to "
        f"{periods.label(latest)}."
    )
    return charts.close_canvas(canvas, table, alt)
