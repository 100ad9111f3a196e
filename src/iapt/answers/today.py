"""The question asked again at the newest vintage: finished courses and the target of 2028/29, and starts since.

The pandemic is treated in three ways, and all are shown: as it is; April to September 2020 as missing, filled
in many times by a structural model; and looking only at what came after.
"""

import numpy as np
import pandas as pd
from IPython.display import Markdown

from iapt import data
from iapt.answers import prospects
from iapt.data import periods
from iapt.models import forecast
from iapt.show import charts, words

PANDEMIC = pd.period_range("2021Q1", "2021Q2", freq="Q-MAR")
"""April to September 2020: the quarters that the second treatment takes as missing."""
AFTER = pd.Period("2021Q4", "Q-MAR")
"""January to March 2021: the first quarter with figures of the data set's version 2.0 for every measure."""
IMPUTATIONS = 20
TREATMENTS = ("as it is", "pandemic filled in", "since 2021")


def observed(measure: str, as_of: str) -> pd.Series:
    """The quarters of a measure since 2013/14, gaps as NaN."""
    y = data.series(measure, "quarter", as_of)
    y = y[pd.Period("2014Q1", "Q-MAR") :]
    return y.loc[y.first_valid_index() : y.last_valid_index()]


def fill_in(y: pd.Series, *, times: int = IMPUTATIONS, seed: int = 20200501) -> list[pd.Series]:
    """The series with its gaps filled, `times` times, by draws from a random walk with drift and a fixed season.

    statsmodels estimates the model on the logs with the gaps left out; each draw of its simulation smoother is one
    way in which the missing quarters could have gone on from those around them.
    """
    from statsmodels.tsa.statespace.structural import UnobservedComponents

    log = np.log(y.to_numpy(float))
    model = UnobservedComponents(log, level="rwdrift", freq_seasonal=[{"period": 4}], stochastic_freq_seasonal=[False])
    fit = model.fit(disp=False, method="powell", maxiter=500)
    model.update(fit.params)
    smoother = model.simulation_smoother(rng=np.random.default_rng(seed))
    states = []
    for _ in range(times):
        smoother.simulate()
        states.append(np.asarray(model.ssm["design"] @ smoother.simulated_state)[0])
    missing = y.isna().to_numpy()
    return [y.where(~missing, np.exp(path)).rename(y.name) for path in states]


def treatments(measure: str, as_of: str) -> dict[str, list[pd.Series]]:
    """The series that each treatment of the pandemic forecasts from, several where gaps were filled several times.

    Where quarters of the pandemic are missing, `as it is` uses financial years.
    """
    y = observed(measure, as_of)
    masked = y.copy()
    masked[PANDEMIC] = np.nan
    plain = y if y.notna().all() else data.series(measure, "year", as_of)[pd.Period("2014", "Y-MAR") :].dropna()
    return dict(zip(TREATMENTS, ([plain], fill_in(masked), [y[AFTER:]])))


@data.remember
def project(measure: str, as_of: str, last_year: str) -> dict[str, pd.DataFrame]:
    """Draws of the totals of the coming financial years, by treatment: one column a year, one row a draw."""
    known = data.series(measure, "year", as_of).dropna().index[-1]
    years = pd.period_range(known + 1, periods.parse(last_year, "year"))
    projected = {}
    for name, versions in treatments(measure, as_of).items():
        draws = -(-5000 // len(versions))
        tables = []
        for seed, y in enumerate(versions):
            quarterly = y.index.freqstr.startswith("Q")
            end = years[-1].asfreq("Q-MAR", "end") if quarterly else years[-1]
            result = forecast.forecast(y, (end - y.index[-1]).n, draws=draws, seed=20200501 + seed)
            tables.append(
                pd.DataFrame(
                    {year: result.total(periods.parts(year, "quarter") if quarterly else [year]) for year in years}
                )
            )
        projected[name] = pd.concat(tables, ignore_index=True)
    return projected


def reach(measure: str, as_of: str, target: float, target_year: str) -> pd.Series:
    """Probability of the target in its year, by treatment."""
    return pd.Series(
        {name: (table.iloc[:, -1] >= target).mean() for name, table in project(measure, as_of, target_year).items()}
    )


# ---------------------------------------------------------------- sentences


def answer(measure: str, as_of: str, target: float, target_year: str) -> Markdown:
    """The probability of the present target and the pace it asks for."""
    chance = reach(measure, as_of, target, target_year)
    question = prospects.Question(as_of, measure, target, target_year, "2013-14")
    pace = prospects.growth_needed(question)
    total = project(measure, as_of, target_year)[TREATMENTS[0]].iloc[:, -1]
    spread = (
        f"{prospects.nearest_five(chance.min())} to {prospects.nearest_five(chance.max())}, depending on how the "
        "pandemic is treated"
        if prospects.nearest_five(chance.min()) != prospects.nearest_five(chance.max())
        else "however the pandemic is treated"
    )
    return words.say(
        f"**The chance that {words.count(target)} finish a course in {periods.label(question.year)} is "
        f"{prospects.nearest_five(chance[TREATMENTS[0]])} ({spread}).**",
        f"The forecast is {words.million(total.median())}; the target asks for {words.percent(pace['needed'], 1)} "
        f"more each year, and the last {pace['back']} years brought {words.percent(pace['achieved'], 1)} a year.",
    )


def describe_direction(as_of: str) -> Markdown:
    """Where people starting treatment are heading."""
    table = project("started_treatment", as_of, "2028-29")
    medians = [frame.iloc[:, -1].median() for frame in table.values()]
    lows, highs = zip(*(frame.iloc[:, -1].quantile([0.1, 0.9]) for frame in table.values()))
    starts = data.series("started_treatment", "year", as_of).dropna()
    return words.say(
        f"No national target is set on starts any more. {words.count(starts.iloc[-1])} started treatment in "
        f"{periods.label(starts.index[-1])};",
        f"for 2028/29 the treatments give {words.million(min(medians))} to {words.million(max(medians))}, with 80% "
        f"intervals that reach from {words.million(min(lows))} to {words.million(max(highs))}.",
    )


def list_years(measure: str, as_of: str, target: float, target_year: str) -> words.Table:
    """Forecast, chance of the target and pace needed, year by year."""
    question = prospects.Question(as_of, measure, target, target_year, "2013-14")
    pace = prospects.growth_needed(question)
    projected = project(measure, as_of, target_year)
    rows = []
    for step, year in enumerate(projected[TREATMENTS[0]].columns, start=1):
        draws = {name: table[year] for name, table in projected.items()}
        main = draws[TREATMENTS[0]]
        row = {
            "Year": periods.label(year),
            "Forecast": words.count(round(main.median(), -2)),
            "80% between": " and ".join(words.count(round(v, -2)) for v in main.quantile([0.1, 0.9])),
            "Pace needed": words.count(round(question.by_year.iloc[-1] * (1 + pace["needed"] / 100) ** step, -2)),
        }
        rows.append(
            row
            | {
                f"Chance of {words.count(target)}, {name}": prospects.nearest_five((values >= target).mean())
                for name, values in draws.items()
            }
        )
    return words.Table(
        "today_years", f"{data.label(measure)}: forecast and pace needed are different things", pd.DataFrame(rows)
    )


# ---------------------------------------------------------------- charts


def plot_fan(measure: str, as_of: str, last_year: str, target: float | None = None) -> charts.Chart:
    """The forecast by financial year with the medians of the other treatments, and the target where there is one."""
    projected = project(measure, as_of, last_year)
    y = data.series(measure, "year", as_of)[pd.Period("2014", "Y-MAR") :].dropna()
    main = projected[TREATMENTS[0]]
    year, median = main.columns[-1], main.iloc[:, -1].median()
    chance = (
        f"; the chance of {words.count(target)} is {prospects.nearest_five((main.iloc[:, -1] >= target).mean())}"
        if target
        else ""
    )
    verb = {"started_treatment": "start treatment", "finished_course": "finish a course"}[measure]
    low, high = main.iloc[:, -1].quantile([0.1, 0.9])
    title = (
        f"{words.million(median)} are forecast to {verb} in {periods.label(year)}{chance}"
        if target
        else f"{words.million(median)} are forecast to {verb} in {periods.label(year)}, {words.million(low)} to {words.million(high)} with 80% probability"
    )
    canvas = charts.open_canvas(
        f"today_{measure}",
        title,
        f"{data.label(measure)}, referrals a financial year, England",
        [
            "Bands hold 50, 80 and 95% of the paths of four pooled models, pandemic left as it is. Dotted: medians "
            "with the pandemic filled in, and since 2021 alone.",
            "As it is: by year, as some of its quarters are not published."
            if treatments(measure, as_of)[TREATMENTS[0]][0].index.freqstr.startswith("Y")
            else "",
            charts.name_breaks(measure, y.index),
            charts.explain_hollow([data.figures(measure, "year", as_of).loc[y.index]]),
        ],
        "OHID Fingertips, NHS England and predecessors; forecast by this project",
        as_of,
        height=3.3,
    )
    charts.span_years(canvas, y.index[0], year)
    colour = charts.COLOURS[measure]
    x = [charts.middle(p) for p in [y.index[-1], *main.columns]]
    bounds = main.quantile([0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975])
    line = lambda level: [y.iloc[-1], *bounds.loc[level]]
    for low, high, alpha in ((0.025, 0.975, 0.16), (0.1, 0.9, 0.2), (0.25, 0.75, 0.26)):
        canvas.axes.fill_between(x, line(low), line(high), color=colour, alpha=alpha, linewidth=0, zorder=1)
    canvas.axes.plot(x, line(0.5), color=colour, linewidth=1.8, linestyle=(0, (5, 1.5)), zorder=3)
    others = {name: projected[name].median() for name in TREATMENTS[1:]}
    for name, values in others.items():
        canvas.axes.plot(
            x, [y.iloc[-1], *values], color=charts.COLOURS["plain"], linewidth=1.2, linestyle=(0, (1, 1.6)), zorder=2
        )
        charts.add_label(canvas, x[-1], values.iloc[-1], name, charts.COLOURS["plain"])
    charts.draw_series(canvas, data.figures(measure, "year", as_of).loc[y.index], measure)
    charts.add_label(canvas, x[-1], median, f"forecast\n{words.million(median)}", colour)
    if target:
        charts.draw_targets(canvas, pd.DataFrame({"year": [year], "value": [target]}), year - 3)
    charts.show_counts(canvas.axes, max(bounds.loc[0.975].max(), y.max(), target or 0) * 1.12)
    charts.mark_breaks(canvas, measure, y.index)
    table = pd.concat(
        [
            pd.DataFrame({"observed": y}),
            bounds.T.set_axis(["low95", "low80", "low50", "median", "high50", "high80", "high95"], axis=1).assign(
                **{name.replace(" ", "_"): values for name, values in others.items()}
            ),
        ]
    )
    table = table.rename_axis("year").reset_index().assign(year=[periods.label(p) for p in table.index])
    alt = (
        f"Fan chart by financial year: {words.count(y.iloc[-1])} in {periods.label(y.index[-1])}; forecast for "
        f"{periods.label(year)} {words.million(median)}, 80% of paths between {words.million(bounds.iloc[1, -1])} "
        f"and {words.million(bounds.iloc[5, -1])}, 95% between {words.million(bounds.iloc[0, -1])} and "
        f"{words.million(bounds.iloc[6, -1])}" + (f"; target {words.count(target)}." if target else ".")
    )
    return charts.close_canvas(canvas, table, alt)
