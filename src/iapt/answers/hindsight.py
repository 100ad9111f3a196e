"""What the forecasts of each year said, set against what then happened."""

import numpy as np
import pandas as pd
from IPython.display import Markdown

from iapt import data
from iapt.answers import prospects
from iapt.data import periods
from iapt.models import evaluate, forecast
from iapt.show import charts, words

MODELS = {"pool": "the pool", "no_change": "no change", "linear": "straight line", "log_linear": "constant growth"}
FIRST_ORIGIN = pd.Period("2017", "Y-MAR")
PANDEMIC = pd.period_range("2021", "2022", freq="Y-MAR")
"""2020/21 and 2021/22: the pandemic's first year and the year of the rebound."""


def vintage_of(origin: pd.Period) -> str:
    """The day from which a forecast with this year as its last one could be made: six months after its end."""
    return f"{origin.year}-09-30"


def known_at(measure: str, origin: pd.Period, start: str) -> pd.Series:
    """The longest series that a forecast from this origin can use: quarters, or years where quarters are missing.

    Figures as known six months after the end of the origin's year, cut at that end.
    """
    first = periods.parse(start, "year")
    quarters = data.series(measure, "quarter", vintage_of(origin))[: origin.asfreq("Q-MAR", "end")]
    quarters = quarters[periods.parts(first, "quarter")[0] :]
    if len(quarters) and quarters.index[-1] == origin.asfreq("Q-MAR", "end"):
        quarters = quarters.loc[quarters.first_valid_index() :]
        if quarters.notna().all():
            return quarters
    return data.series(measure, "year", f"{origin.year + 1}-03-31")[first:origin]


@data.remember
def score(measure: str, start: str, as_of: str, target: float) -> pd.DataFrame:
    """Every forecast from every origin, scored: one row an origin, a year ahead and a model.

    Columns origin, year, ahead, model, basis (quarters or years looked at), outturn, median, error (per cent of
    the outturn), inside80, inside95, crps, reach (probability of the target) and percentile of the outturn.
    """
    outturns = data.series(measure, "year", as_of).dropna()
    rows = []
    for origin in pd.period_range(FIRST_ORIGIN, outturns.index[-1] - 1):
        y = known_at(measure, origin, start)
        if len(y.dropna()) < len(y) or len(y) < forecast.FEWEST_VALUES or periods.financial_year(y.index[-1]) != origin:
            continue
        years = pd.period_range(origin + 1, outturns.index[-1])
        steps = 4 if y.index.freqstr.startswith("Q") else 1
        result = forecast.forecast(y, steps * len(years), members=(*forecast.POOL, "linear", "log_linear"), draws=2000)
        for year in years.intersection(outturns.index):
            parts = periods.parts(year, "quarter") if steps == 4 else pd.PeriodIndex([year])
            rows += [_score_one(origin, year, model, result, parts, outturns[year], target, steps) for model in MODELS]
    return pd.DataFrame(rows)


def _score_one(
    origin: pd.Period,
    year: pd.Period,
    model: str,
    result: forecast.Forecast,
    parts: pd.PeriodIndex,
    outturn: float,
    target: float,
    steps: int,
) -> dict:
    draws = result.total(parts, None if model == "pool" else model)
    low95, low80, median, high80, high95 = np.quantile(draws, [0.025, 0.1, 0.5, 0.9, 0.975])
    return {
        "origin": origin,
        "year": year,
        "ahead": (year - origin).n,
        "model": model,
        "basis": "quarters" if steps == 4 else "years",
        "outturn": outturn,
        "median": median,
        "error": 100 * (median / outturn - 1),
        "inside80": low80 <= outturn <= high80,
        "inside95": low95 <= outturn <= high95,
        "crps": float(evaluate.crps(np.array([outturn]), draws[:, None])[0]),
        "reach": float((draws >= target).mean()),
        "percentile": 100 * float((draws <= outturn).mean()),
    }


def tell_may_2020(measure: str, start: str, target: float, target_year: str, as_of: str) -> pd.DataFrame:
    """What each way of telling would have said on 1 May 2020 of the target year, and how wrong it was.

    One row a way, with median, error in per cent, low80, high80, inside80, inside95, reach and crps.
    """
    question = prospects.Question("2020-05-01", measure, target, target_year, start)
    outturn = data.series(measure, "year", as_of)[question.year]
    rows = {}
    for model in MODELS:
        row = _score_one(
            question.by_year.index[-1],
            question.year,
            model,
            question.forecast,
            question.target_quarters,
            outturn,
            target,
            4,
        )
        draws = question.forecast.total(question.target_quarters, None if model == "pool" else model)
        rows[model] = row | {"low80": np.quantile(draws, 0.1), "high80": np.quantile(draws, 0.9)}
    return pd.DataFrame(rows).T


def split_gap(measure: str, target: float, target_year: str, as_of: str, base: str = "2018-19") -> pd.DataFrame:
    """How the gap to the target opened, year by year, against a straight line from the base year to the target.

    The line joins two published end points; it is no official path. Columns change, line and added: by how much the
    year's change fell short of the line's (negative) or passed it. The column `added` sums to the whole gap.
    """
    y = data.series(measure, "year", as_of)
    first, last = periods.parse(base, "year"), periods.parse(target_year, "year")
    change = y[first:last].diff().dropna()
    line = (target - y[first]) / (last - first).n
    return pd.DataFrame({"change": change, "line": line, "added": change - line})


def split_by_referrals(target: float, target_year: str, as_of: str, base: str = "2018-19") -> dict[str, float]:
    """Growth in starts from the base year to the target year split into referrals and the share that starts.

    Keys: referrals and share (people, summing to the growth), share_then and share_now (per cent),
    referrals_now and share_needed (per cent of the target year's referrals that would have had to start).
    """
    starts, referrals = (data.series(measure, "year", as_of) for measure in ("started_treatment", "referrals_received"))
    first, last = periods.parse(base, "year"), periods.parse(target_year, "year")
    then, now = starts[first] / referrals[first], starts[last] / referrals[last]
    return {
        "referrals": (referrals[last] - referrals[first]) * (then + now) / 2,
        "share": (now - then) * (referrals[first] + referrals[last]) / 2,
        "share_then": 100 * then,
        "share_now": 100 * now,
        "referrals_now": referrals[last],
        "share_needed": 100 * target / referrals[last],
    }


# ---------------------------------------------------------------- sentences


def answer(measure: str, start: str, target: float, target_year: str, as_of: str) -> Markdown:
    """The verdict: what a reader of May 2020 would have been told, and how wrong each way of telling was."""
    table = tell_may_2020(measure, start, target, target_year, as_of)
    pool = table.loc["pool"]
    closest = table["error"].abs().astype(float).idxmin()
    where = (
        "inside the 80% interval"
        if pool.inside80
        else "inside the 95% interval"
        if pool.inside95
        else "outside the 95% interval"
    )
    return words.say(
        f"**A reader of May 2020 would have been told {words.million(pool['median'])} and a chance of "
        f"{prospects.nearest_five(pool.reach)}; it came to {words.million(pool.outturn)}, {where}.**",
        f"The forecast was {_off(pool.error)}. The trend lines were {_off(table.at['linear', 'error'])} (straight) "
        f"and {_off(table.at['log_linear', 'error'])} (constant growth); assuming no change was "
        f"{_off(table.at['no_change', 'error'])}.",
        f"Nearest in its median was {MODELS[closest]}; best as a whole distribution (CRPS) was "
        f"{MODELS[table['crps'].astype(float).idxmin()]}. The target itself was "
        f"{words.percent(100 * (target / pool.outturn - 1))} above what happened.",
    )


def _off(error: float) -> str:
    return f"{words.percent(abs(error))} too {'high' if error > 0 else 'low'}"


def list_tellings(measure: str, start: str, target: float, target_year: str, as_of: str) -> words.Table:
    """The ways of telling side by side."""
    table = tell_may_2020(measure, start, target, target_year, as_of)
    inside = lambda row: "80% interval" if row.inside80 else "95% interval" if row.inside95 else "no"
    shown = pd.DataFrame(
        {
            "Way of telling": [MODELS[name] for name in table.index],
            "Said": table["median"].map(words.million),
            "80% between": [
                f"{words.million(row.low80)} and {words.million(row.high80)}" for row in table.itertuples()
            ],
            "Error": table["error"].map(lambda value: f"{value:+.1f}%".replace("-", "−")),
            "Outturn inside": [inside(row) for row in table.itertuples()],
            "Chance it gave": table["reach"].map(prospects.nearest_five),
            "CRPS": table["crps"].map(words.count),
        }
    )
    outturn = words.count(table["outturn"].iloc[0])
    return words.Table(
        "hindsight_may_2020",
        f"What was said on 1 May 2020 of {periods.label(periods.parse(target_year, 'year'))}, when {outturn} "
        "started treatment",
        shown,
    )


def list_skill(measure: str, start: str, as_of: str, target: float) -> words.Table:
    """Errors and coverage by years ahead, all origins together, with CRPS against no change."""
    table = score(measure, start, as_of, target)
    rows = []
    for ahead, group in table.groupby("ahead"):
        by_model = group.groupby("model")
        crps = by_model["crps"].mean()
        pool = group[group["model"] == "pool"]
        rows.append(
            {
                "Years ahead": ahead,
                "Forecasts": len(pool),
                "Mean error of the pool": f"{pool['error'].abs().mean():.1f}%",
                "Inside 80%": f"{pool['inside80'].sum()} of {len(pool)}",
                "Inside 95%": f"{pool['inside95'].sum()} of {len(pool)}",
                **{
                    f"CRPS against {MODELS[model]}": f"{100 * (crps['pool'] / crps[model] - 1):+.0f}%".replace("-", "−")
                    for model in ("no_change", "linear", "log_linear")
                },
            }
        )
    return words.Table(
        "hindsight_skill",
        "The pool by years ahead, over all origins; a negative percentage in the last columns means that the pool "
        "was better",
        pd.DataFrame(rows),
    )


def describe_gap(measure: str, target: float, target_year: str, as_of: str) -> Markdown:
    """Where the gap to the target came from, in words."""
    table = split_gap(measure, target, target_year, as_of)
    total = table["added"].sum()
    before = table["added"][: PANDEMIC[0] - 1].sum()
    during = table["added"][PANDEMIC].sum()
    after = table["added"][PANDEMIC[-1] + 1 :].sum()
    parts = split_by_referrals(target, target_year, as_of)
    return words.say(
        f"Against a straight line from {periods.label(table.index[0] - 1)} to the target, {words.count(-total)} are "
        "missing.",
        f"{words.count(-before)} ({words.percent(100 * before / total)}) were missing before the pandemic's first "
        "year began;",
        f"{words.count(-during)} ({words.percent(100 * during / total)}) opened in "
        f"{words.listed(periods.label(year) for year in PANDEMIC)}, the fall and the rebound together;",
        f"{words.count(-after)} ({words.percent(100 * after / total)}) came after, when the line asked for "
        f"{words.count(table['line'].iloc[0])} more each year and numbers hardly moved.",
        f"Of the growth there was, {words.count(parts['referrals'])} came from more referrals and "
        f"{words.count(parts['share'])} from a larger share starting ({words.percent(parts['share_then'], 1)} then, "
        f"{words.percent(parts['share_now'], 1)} now).",
        f"**{'Even if every referral received that year had started treatment, the target would have been missed' if parts['share_needed'] > 100 else 'To reach it, ' + words.percent(parts['share_needed']) + ' of that year’s referrals would have had to start'}**: "
        f"it was {words.percent(parts['share_needed'])} of the {words.million(parts['referrals_now'])} referrals.",
    )


# ---------------------------------------------------------------- charts


def plot_errors(measure: str, start: str, as_of: str, target: float) -> charts.Chart:
    """Error of the pool for every origin and every year forecast, as a table of colours."""
    import seaborn

    table = score(measure, start, as_of, target)
    pool = table[table["model"] == "pool"]
    grid = pool.pivot(index="origin", columns="year", values="error")
    inside = pool.pivot(index="origin", columns="year", values="inside80")
    share = 100 * pool["inside80"].mean()
    canvas = charts.open_canvas(
        "hindsight_errors",
        f"{pool['inside80'].sum()} of {len(pool)} outturns lay inside the 80% interval; the median was off by "
        f"{words.percent(pool['error'].abs().mean())} on average",
        "Error of the forecast median, per cent of the outturn, by last year known and year forecast",
        ["Bold: outside the 80% interval. Forecasts from one row are not independent of each other, nor are rows."],
        "OHID Fingertips, NHS England and predecessors; forecasts by this project",
        as_of,
        height=0.33 * len(grid) + 0.4,
    )
    limit = max(abs(np.nanmin(grid)), abs(np.nanmax(grid)))
    text = grid.map(
        lambda value: "" if pd.isna(value) else f"{round(value):+d}%".replace("-", "−").replace("+0%", "0%")
    )
    seaborn.heatmap(
        grid,
        ax=canvas.axes,
        annot=text.to_numpy(),
        fmt="",
        cmap="PuOr",
        center=0,
        vmin=-1.6 * limit,
        vmax=1.6 * limit,
        cbar=False,
        linewidths=1.5,
        linecolor="white",
        annot_kws={"fontsize": 9.3, "color": charts.INK},
    )
    canvas.axes.grid(False)
    flags = inside.to_numpy()[grid.notna().to_numpy()]
    for label, ok in zip(canvas.axes.texts, flags):
        label.set_weight("normal" if ok else "bold")
    canvas.axes.set_yticklabels([periods.label(origin) for origin in grid.index], rotation=0, fontsize=8.6)
    canvas.axes.set_xticklabels([periods.label(year) for year in grid.columns], rotation=0, fontsize=8.6)
    canvas.axes.set(xlabel="", ylabel="")
    frame = pool[
        [
            "origin",
            "year",
            "ahead",
            "basis",
            "outturn",
            "median",
            "error",
            "inside80",
            "inside95",
            "reach",
            "percentile",
        ]
    ].copy()
    for name in ("origin", "year"):
        frame[name] = [periods.label(period) for period in frame[name]]
    worst = pool.loc[pool["error"].abs().idxmax()]
    alt = (
        f"Table of {len(pool)} forecast errors, from {words.percent(pool['error'].min())} to "
        f"{words.percent(pool['error'].max())}; the largest, made from {periods.label(worst.origin)} for "
        f"{periods.label(worst.year)}. {words.percent(share)} of the outturns lay inside the 80% interval and "
        f"{words.percent(100 * pool['inside95'].mean())} inside the 95% interval."
    )
    return charts.close_canvas(canvas, frame, alt)


def plot_gap(measure: str, target: float, target_year: str, as_of: str) -> charts.Chart:
    """By how much each year fell short of the straight line to the target."""
    table = split_gap(measure, target, target_year, as_of)
    total = table["added"].sum()
    during = 100 * table["added"][PANDEMIC].sum() / total
    canvas = charts.open_canvas(
        "hindsight_gap",
        f"{words.percent(during)} of the gap opened in the two pandemic years; {words.percent(100 - during)} in the "
        "others",
        f"Change in starts less the {words.count(table['line'].iloc[0])} a year that a straight line to the target "
        "asks for",
        [
            "The line joins two published end points; no official path was found. Dark: the pandemic’s first year "
            "and the rebound."
        ],
        "OHID Fingertips, NHS England and predecessors",
        as_of,
        height=2.6,
    )
    charts.span_years(canvas, table.index[0], table.index[-1])
    x = [charts.middle(year) for year in table.index]
    canvas.axes.bar(
        x,
        table["added"],
        width=0.6,
        color=[
            charts.COLOURS["started_treatment"] if year in PANDEMIC else charts.COLOURS["referrals_received"]
            for year in table.index
        ],
        zorder=3,
    )
    canvas.axes.axhline(0, color=charts.QUIET, linewidth=0.8)
    for position, value in zip(x, table["added"]):
        canvas.axes.annotate(
            f"{value:+,.0f}".replace("-", "−"),
            (position, value),
            xytext=(0, 3 if value > 0 else -3),
            textcoords="offset points",
            ha="center",
            va="bottom" if value > 0 else "top",
            fontsize=9,
            bbox=charts.BACKING,
        )
    low, high = table["added"].min(), table["added"].max()
    canvas.axes.set_ylim(low * 1.2, max(high, 0) * 1.3 + 20_000)
    canvas.axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}".replace("-", "−"))
    frame = table.rename_axis("year").reset_index().assign(year=[periods.label(year) for year in table.index])
    alt = (
        "Bars by year: "
        + ", ".join(f"{periods.label(year)} {value:+,.0f}" for year, value in table["added"].items()).replace("-", "−")
        + f"; together {words.count(total).replace('-', '−')}."
    )
    return charts.close_canvas(canvas, frame, alt)
