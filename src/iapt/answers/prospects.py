"""Will a target be reached? A forecast as it could be made on a day, and the pace that would be needed."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from IPython.display import Markdown

from iapt import data
from iapt.data import periods
from iapt.models import evaluate, forecast
from iapt.show import charts, words

MEMBERS = {
    "no_change": "stays as it is",
    "theta": "half of the trend goes on",
    "damped": "the trend fades",
    "drift": "the trend goes on",
}
LINES = {"linear": "straight line", "log_linear": "constant growth", "arima": "ARIMA(0,1,1) with drift"}
WINDOWS = ("2012-13", "2013-14", "2014-15")
SCENARIOS = {
    "no shock: the forecast itself": (1.0, 1.0),
    "lost ground: every year a tenth below the forecast": (0.9, 0.9),
    "deep and lasting: every year a fifth below": (0.8, 0.8),
    "surge of need: every year a tenth above": (1.1, 1.1),
    "anything from a fifth below to a fifth above": (0.8, 1.2),
}
"""Sizes of a lasting shock nobody could know in May 2020: the years' totals are multiplied by a factor in this range."""


@dataclass(frozen=True)
class Question:
    """Whether `measure` will reach `target` in the financial year `target_year`, asked on the day `as_of`.

    `start` is the first financial year that the forecast may look at.
    """

    as_of: str
    measure: str
    target: float
    target_year: str
    start: str

    @property
    def year(self) -> pd.Period:
        return periods.parse(self.target_year, "year")

    @property
    def target_quarters(self) -> pd.PeriodIndex:
        return periods.parts(self.year, "quarter")

    @cached_property
    def observed(self) -> pd.Series:
        """The quarters since the start of the window, up to the last one known."""
        y = data.series(self.measure, "quarter", self.as_of)
        return y[periods.parts(periods.parse(self.start, "year"), "quarter")[0] :].loc[
            y.first_valid_index() : y.last_valid_index()
        ]

    @cached_property
    def forecast(self) -> forecast.Forecast:
        """Quarterly paths to the end of the target year: the pool, and beside it the trend lines and ARIMA."""
        horizon = (self.target_quarters[-1] - self.observed.index[-1]).n
        return forecast.forecast(self.observed, horizon, members=(*MEMBERS, *LINES))

    @cached_property
    def by_year(self) -> pd.Series:
        """What is known of the financial years, from the data set's first full one."""
        return data.series(self.measure, "year", self.as_of)[pd.Period("2014", "Y-MAR") :].dropna()

    @property
    def years_ahead(self) -> pd.PeriodIndex:
        return pd.period_range(self.by_year.index[-1] + 1, self.year)

    def total(self, year: pd.Period) -> np.ndarray:
        """Pooled draws of the total of a financial year, quarters already known counted as known."""
        return self.forecast.total(periods.parts(year, "quarter"))


@data.remember
def reach_by_window(question: Question) -> pd.DataFrame:
    """Probability of the target by what the forecast looks at: one row a window, one column a model and the pool.

    Windows are quarterly from 2013/14 and from 2014/15, and yearly with and without the start-up year 2012/13,
    which has no quarters.
    """
    rows = {}
    for start in WINDOWS:
        year = periods.parse(start, "year")
        yearly = data.series(question.measure, "year", question.as_of)[year:].dropna()
        if start in WINDOWS[:2] and len(yearly) >= forecast.FEWEST_VALUES and yearly.index[0] == year:
            result = forecast.forecast(yearly, (question.year - yearly.index[-1]).n, members=(*MEMBERS, *LINES))
            rows[f"years since {periods.label(year)}" + (" (start-up year)" if start == WINDOWS[0] else "")] = (
                result.reach(question.target)["probability"]
            )
        other = Question(question.as_of, question.measure, question.target, question.target_year, start)
        if start != WINDOWS[0]:
            rows[f"quarters since {periods.label(year)}"] = other.forecast.reach(
                question.target, question.target_quarters
            )["probability"]
    return pd.DataFrame(rows).T


def growth_needed(question: Question) -> dict[str, float]:
    """Growth that the target asks for, beside what was achieved: per cent a year and people a year.

    Keys: needed, needed_people, achieved and achieved_people over as many years as are known of the last three,
    best and best_people over the best run of as many years as are left (or as are known).
    """
    y = question.by_year
    left = (question.year - y.index[-1]).n
    rate = lambda first, last: 100 * ((y[last] / y[first]) ** (1 / (last - first).n) - 1)
    back = min(3, len(y) - 1)
    run = min(left, len(y) - 1)
    runs = {last: rate(last - run, last) for last in y.index[run:]}
    best = max(runs, key=runs.get)
    return {
        "years": left,
        "needed": 100 * ((question.target / y.iloc[-1]) ** (1 / left) - 1),
        "needed_people": (question.target - y.iloc[-1]) / left,
        "back": back,
        "achieved": rate(y.index[-1] - back, y.index[-1]),
        "achieved_people": (y.iloc[-1] - y.iloc[-1 - back]) / back,
        "run": run,
        "best": runs[best],
        "best_people": (y[best] - y[best - run]) / run,
    }


def base_rate(factor: float) -> tuple[float, float] | None:
    """Share of public yearly series whose fifth year was `factor` times the last one or more: all, and steady growers.

    None where the benchmark was not computed for this factor; it is for 1.72, what the 2023/24 target asked for.
    """
    table = data.load()["benchmark"]
    rows = table[
        (table["benchmark"] == "8 years, 5 ahead") & (table["metric"] == f"share reaching {factor:.2f} times last year")
    ]
    return tuple(rows.sort_values("model")["value"]) if len(rows) else None


def nearest_five(probability: float) -> str:
    """A probability as it may be quoted: to the nearest 5 points, `<5%` or `>95%` at the ends."""
    if probability < 0.05:
        return "<5%"
    return ">95%" if probability > 0.95 else f"{5 * round(20 * probability)}%"


# ---------------------------------------------------------------- sentences


def answer(question: Question) -> Markdown:
    """The probability of the target in two sentences, with the range between models and between windows."""
    table = question.forecast.reach(question.target, question.target_quarters)["probability"]
    members = table[list(MEMBERS)]
    windows = reach_by_window(question)["pooled"]
    total = np.median(question.total(question.year))
    low, high = np.quantile(question.total(question.year), [0.1, 0.9])
    return words.say(
        f"**The chance that {words.million(question.target)} {_what(question)} in {periods.label(question.year)} is "
        f"{nearest_five(table['pooled'])}.**",
        f"The forecast is {words.million(total)}, and with 80% probability between {words.million(low)} and "
        f"{words.million(high)}.",
        f"Depending on the model the chance is {nearest_five(members.min())} to {nearest_five(members.max())}; "
        f"depending on the years that the forecast looks at, {nearest_five(windows.min())} to "
        f"{nearest_five(windows.max())}.",
    )


def _what(question: Question) -> str:
    return {"started_treatment": "start treatment", "finished_course": "finish a course"}.get(
        question.measure, question.measure.replace("_", " ")
    )


def list_windows(question: Question) -> words.Table:
    """Probability of the target by window and model."""
    names = {"pooled": "the pool", **MEMBERS, **{name: f"{text} (not pooled)" for name, text in LINES.items()}}
    shown = reach_by_window(question)[list(names)].T.map(nearest_five).rename(index=names)
    return words.Table(
        "target_windows",
        f"Chance of {words.million(question.target)} in {periods.label(question.year)}, by model and by the years "
        "looked at",
        shown.rename_axis("Model").reset_index(),
    )


def describe_windows(question: Question) -> Markdown:
    """What the choice of window does, in words."""
    pooled = reach_by_window(question)["pooled"]
    factor = question.target / question.by_year.iloc[-1]
    rates = base_rate(factor)
    return words.say(
        f"The pool gives {nearest_five(pooled.min())} when it looks at {pooled.idxmin()} and "
        f"{nearest_five(pooled.max())} when it looks at {pooled.idxmax()}: the choice of years matters as much as "
        "the choice of model.",
        f"Growth of this size is rare elsewhere too: {words.percent(100 * rates[0], 1)} of public yearly series "
        f"came to {factor:.2f} times their last value or more in five years, and {words.percent(100 * rates[1], 1)} "
        "of those that had grown steadily before."
        if rates
        else "",
    )


def describe_pace(question: Question) -> Markdown:
    """The pace needed beside the pace achieved; not a forecast."""
    pace = growth_needed(question)
    return words.say(
        f"**To reach {words.million(question.target)} in {periods.label(question.year)} the number has to grow by "
        f"{words.percent(pace['needed'], 1)} a year, {words.count(pace['needed_people'])} more people each year, "
        f"for {pace['years']} years.**",
        f"Over the {pace['back']} years before it grew by {words.percent(pace['achieved'], 1)} a year, "
        f"{words.count(pace['achieved_people'])} people;",
        f"the best {pace['run']} years in a row on record brought {words.percent(pace['best'], 1)} a year, "
        f"{words.count(pace['best_people'])} people.",
    )


def describe_shortfall(question: Question) -> Markdown:
    """How far short the forecast falls of the target."""
    short = question.target - question.total(question.year)
    low, middle, high = np.quantile(short, [0.1, 0.5, 0.9])
    return words.say(
        f"Half of the paths fall short by more than {words.count(round(middle, -3))}; with 80% probability the "
        f"shortfall is between {_people(low)} and {_people(high)}.",
        "Counting a target that is passed as no shortfall, the mean is "
        f"{words.count(round(np.maximum(short, 0).mean(), -3))}.",
    )


def _people(value: float) -> str:
    return words.count(round(value, -3)) if value >= 0 else f"none, with {words.count(round(-value, -3))} to spare,"


def list_scenarios(question: Question) -> words.Table:
    """What a lasting shock of a given size would do to the chance; conditional, without a weight."""
    draws = question.total(question.year)
    rng = np.random.default_rng(20200501)
    rows = []
    for name, (low, high) in SCENARIOS.items():
        total = draws * rng.uniform(low, high, len(draws))
        rows.append(
            {
                "Scenario": name,
                "Median": words.million(np.median(total)),
                "80% between": " and ".join(words.million(v) for v in np.quantile(total, [0.1, 0.9])),
                "Chance of the target": nearest_five((total >= question.target).mean()),
            }
        )
    return words.Table(
        "target_scenarios",
        f"What if? {periods.label(question.year)} under shocks whose size was unknown",
        pd.DataFrame(rows),
    )


def list_evaluation(question: Question) -> words.Table:
    """Rolling-origin evaluation on the series itself: errors, coverage and how few independent trials there are."""
    y = question.observed
    scores = evaluate.rolling_origin(y, 8, min(16, len(y) - 4), members=(*MEMBERS, *LINES), draws=500)
    table = evaluate.summarise(scores)
    names = {"pool": "the pool", **MEMBERS, **LINES}
    shown = pd.DataFrame(
        {
            "Model": [names[name] for name in table.index],
            "MASE": table["mase"].map("{:.2f}".format),
            "sMAPE": table["smape"].map("{:.1f}%".format),
            "CRPS, scaled": table["crps"].map("{:.2f}".format),
            "inside 80%": (100 * table["inside80"]).map("{:.0f}%".format),
            "inside 95%": (100 * table["inside95"]).map("{:.0f}%".format),
        }
    )
    return words.Table(
        "target_evaluation",
        f"Forecasts of 1 to 8 quarters made from each earlier quarter: {table['forecasts'].iloc[0]} forecasts, but "
        f"only {table['windows'].iloc[0]} windows that do not overlap",
        shown,
    )


def list_model_card() -> words.Table:
    """Coverage and accuracy of the same models on public series of the same length and horizon."""
    table = data.load()["benchmark"]
    shape = table[table["benchmark"] == "31 quarters, 17 ahead"]
    cells = shape.pivot(index="model", columns="metric", values="value")
    names = {"pool": "the pool", **MEMBERS, **LINES}
    percent = lambda values: (100 * values).map("{:.0f}%".format).to_numpy()
    cells = cells.loc[list(names)]
    shown = pd.DataFrame(
        {
            "Model": list(names.values()),
            "inside 80%": percent(cells["total_inside80"]),
            "inside 95%": percent(cells["total_inside95"]),
            "median error": percent(cells["total_error"]),
            "width of 80%, of last year": percent(cells["total_width80"]),
            "Brier score": cells["brier"].map("{:.3f}".format).to_numpy(),
        }
    )
    return words.Table(
        "model_card",
        f"The same models on {shape['series'].max():,} public series of 31 quarters: the annual total four years ahead",
        shown,
    )


# ---------------------------------------------------------------- charts


def _bands(question: Question) -> pd.DataFrame:
    levels = {
        "low95": 0.025,
        "low80": 0.1,
        "low50": 0.25,
        "median": 0.5,
        "high50": 0.75,
        "high80": 0.9,
        "high95": 0.975,
    }
    rows = {year: np.quantile(question.total(year), list(levels.values())) for year in question.years_ahead}
    return pd.DataFrame(rows, index=list(levels)).T.rename_axis("year")


def plot_fan(question: Question) -> charts.Chart:
    """The forecast by financial year: 50, 80 and 95% of the paths, the trend lines beside it, and the target."""
    bands, y = _bands(question), question.by_year
    chance = question.forecast.reach(question.target, question.target_quarters).at["pooled", "probability"]
    title = (
        f"Forecast for {periods.label(question.year)}: {words.million(bands['median'].iloc[-1])}; the chance of "
        f"{words.million(question.target)} is {nearest_five(chance)}"
    )
    canvas = charts.open_canvas(
        "target_fan",
        title,
        f"{data.label(question.measure)}, referrals a financial year, England",
        [
            "Bands hold 50, 80 and 95% of the simulated paths of four pooled models. Dotted: trend lines, which "
            "understate their uncertainty and are not part of the forecast.",
            charts.explain_hollow([data.figures(question.measure, "year", question.as_of)[y.index[0] :]]),
        ],
        "OHID Fingertips, NHS England and predecessors; forecast by this project",
        question.as_of,
        height=3.6,
    )
    charts.span_years(canvas, y.index[0], question.year)
    colour = charts.COLOURS[question.measure]
    anchor = pd.DataFrame({name: [y.iloc[-1]] for name in bands}, index=[y.index[-1]])
    fan = pd.concat([anchor, bands])
    x = [charts.middle(year) for year in fan.index]
    for level, alpha in ((95, 0.16), (80, 0.2), (50, 0.26)):
        canvas.axes.fill_between(
            x, fan[f"low{level}"], fan[f"high{level}"], color=colour, alpha=alpha, linewidth=0, zorder=1
        )
    canvas.axes.plot(x, fan["median"], color=colour, linewidth=1.8, linestyle=(0, (5, 1.5)), zorder=3)
    lines = {
        name: [
            np.median(question.forecast.total(periods.parts(year, "quarter"), name)) for year in question.years_ahead
        ]
        for name in ("linear", "log_linear")
    }
    for name, values in lines.items():
        canvas.axes.plot(
            x, [y.iloc[-1], *values], color=charts.COLOURS["plain"], linewidth=1.2, linestyle=(0, (1, 1.6)), zorder=2
        )
        charts.add_label(canvas, x[-1], values[-1], LINES[name], charts.COLOURS["plain"])
    charts.draw_series(canvas, data.figures(question.measure, "year", question.as_of).loc[y.index], question.measure)
    charts.add_label(
        canvas, x[-1], bands["median"].iloc[-1], f"forecast\n{words.million(bands['median'].iloc[-1])}", colour
    )
    charts.draw_targets(canvas, pd.DataFrame({"year": [question.year], "value": [question.target]}), question.year - 3)
    charts.show_counts(canvas.axes, max(bands["high95"].max(), question.target) * 1.12)
    table = pd.concat([pd.DataFrame({"observed": y}), bands.assign(**lines)]).rename_axis("year").reset_index()
    table["year"] = [periods.label(year) for year in table["year"]]
    alt = (
        f"Fan chart by financial year. {words.count(y.iloc[-1])} in {periods.label(y.index[-1])}; forecast for "
        f"{periods.label(question.year)} {words.million(bands['median'].iloc[-1])}, 80% of paths between "
        f"{words.million(bands['low80'].iloc[-1])} and {words.million(bands['high80'].iloc[-1])}, 95% between "
        f"{words.million(bands['low95'].iloc[-1])} and {words.million(bands['high95'].iloc[-1])}; target "
        f"{words.count(question.target)}."
    )
    return charts.close_canvas(canvas, table, alt)


def plot_pace(question: Question) -> charts.Chart:
    """The pace needed, beside the years achieved: not a forecast."""
    y, pace = question.by_year, growth_needed(question)
    canvas = charts.open_canvas(
        "target_pace",
        f"The target asks for {words.percent(pace['needed'], 1)} a year; the {pace['back']} years before brought "
        f"{words.percent(pace['achieved'], 1)}",
        f"{data.label(question.measure)}, referrals a financial year, England",
        [
            "The dashed line is the constant growth that would just reach the target: a pace needed, not a "
            "forecast and not an official path."
        ],
        "OHID Fingertips, NHS England and predecessors",
        question.as_of,
        height=3.0,
    )
    charts.span_years(canvas, y.index[0], question.year)
    years = pd.period_range(y.index[-1], question.year)
    needed = pd.Series(y.iloc[-1] * (1 + pace["needed"] / 100) ** np.arange(len(years)), years)
    canvas.axes.plot(
        [charts.middle(year) for year in years],
        needed,
        color=charts.COLOURS["needed"],
        linewidth=2,
        linestyle=(0, (2, 1.2)),
        zorder=3,
    )
    charts.draw_series(
        canvas,
        data.figures(question.measure, "year", question.as_of).loc[y.index],
        question.measure,
        label=f"{data.label(question.measure)}\n{words.million(y.iloc[-1])}",
    )
    charts.add_label(
        canvas,
        charts.middle(question.year),
        question.target,
        f"pace needed\n{words.million(question.target)}",
        "#A84600",
    )
    charts.show_counts(canvas.axes, question.target * 1.12)
    table = pd.DataFrame({"observed": y, "pace_needed": needed}).rename_axis("year").reset_index()
    table["year"] = [periods.label(year) for year in table["year"]]
    alt = (
        f"Line chart: {words.count(y.iloc[-1])} in {periods.label(y.index[-1])}; a dashed line of "
        f"{words.percent(pace['needed'], 1)} a year leads to {words.count(question.target)} in "
        f"{periods.label(question.year)}."
    )
    return charts.close_canvas(canvas, table, alt)


def plot_first_passage(question: Question) -> charts.Chart:
    """The probability that any twelve months have reached the target by the end of each year."""
    passage = question.forecast.first_passage(question.target)
    ends = passage[[quarter.quarter == 4 for quarter in passage.index]]
    years = [periods.financial_year(quarter) for quarter in ends.index]
    title = (
        f"By {periods.label(years[-1])} the chance of having reached it at least once is {nearest_five(ends.iloc[-1])}"
    )
    canvas = charts.open_canvas(
        "target_first_passage",
        title,
        f"Probability that four quarters in a row have come to {words.million(question.target)}, by the end of each "
        "year",
        ["By that year, not in that year: once reached, it stays counted."],
        "forecast by this project from figures of OHID, NHS England and predecessors",
        question.as_of,
        height=2.4,
    )
    charts.span_years(canvas, years[0], years[-1])
    colour = charts.COLOURS["forecast"]
    x = [charts.middle(year) for year in years]
    canvas.axes.bar(x, 100 * ends, width=0.55, color=colour, zorder=3)
    for position, value in zip(x, ends):
        canvas.axes.annotate(
            nearest_five(value),
            (position, 100 * value),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=9.3,
        )
    canvas.axes.set_ylim(0, max(20, 115 * ends.max()))
    charts.show_percent(canvas.axes)
    table = pd.DataFrame({"year": [periods.label(year) for year in years], "probability": ends.to_numpy()})
    alt = "Bars: " + ", ".join(f"{periods.label(year)} {nearest_five(value)}" for year, value in zip(years, ends)) + "."
    return charts.close_canvas(canvas, table, alt)
