"""Groups: who finishes, improves and recovers, by deprivation, ethnicity, age and gender, and whether gaps narrow.

England only, exact counts. Referrals without the information are a group of their own: it is often asked at
the first appointment, so those who leave before it are over-represented among them.
"""

import numpy as np
import pandas as pd
from IPython.display import Markdown

from iapt import data
from iapt.answers.areas import FINISHED, FINISHING, IMPROVED, RECOVERY, REFERRALS, SOURCES, Share, points
from iapt.data import periods
from iapt.models import funnel
from iapt.show import charts, words

SHARES = (RECOVERY, IMPROVED, FINISHING)
DIMENSIONS = {
    "deprivation_decile": "Deprivation",
    "ethnic_group": "Ethnic group",
    "age_group": "Age",
    "gender": "Gender",
}
PALETTE = ("#0072B2", "#A84600", "#007A5A", "#8F3B76", "#1a1a1a")
"""Colours of groups that have no order."""
MISSING = "Not stated/Not known/Invalid"
FEWEST = 1000
"""Groups with fewer courses at caseness in a year are in the tables and downloads, not in the charts."""
LEAST, MOST = "01 Least deprived", "10 Most deprived"


# ---------------------------------------------------------------- figures


@data.remember
def counts(as_of: str) -> pd.DataFrame:
    """Counts by dimension, group and year: one column a measure. Raises ValueError where none were known."""
    table = data.known(as_of, "groups")
    if table.empty:
        raise ValueError(
            f"no figures of groups were known on {as_of}; the first are held from "
            f"{data.known('latest', 'groups')['available'].min():%Y-%m-%d}"
        )
    return table.pivot(index=["dimension", "group", "period"], columns="measure", values="value")


def years(as_of: str) -> pd.PeriodIndex:
    """The years for which figures of groups were known."""
    return pd.PeriodIndex(sorted(counts(as_of).index.get_level_values("period").unique()))


def shares(share: Share, as_of: str) -> pd.DataFrame:
    """A share by dimension, group and year with its 95% interval: part, whole, value, low and high in per cent."""
    table = counts(as_of)
    part, whole = table[share.part], table[share.whole]
    low, high = funnel.interval(part, whole, share.kind)
    return pd.DataFrame({"part": part, "whole": whole, "value": 100 * part / whole, "low": low, "high": high})


def gradients(share: Share, as_of: str) -> dict[pd.Period, funnel.Gradient]:
    """The gradient of a share from the least to the most deprived tenth, by year; those without a known decile are left out."""
    table = shares(share, as_of).loc["deprivation_decile"].drop(index=MISSING, level="group").sort_index()
    return {year: funnel.gradient(rows["part"], rows["whole"]) for year, rows in table.groupby(level="period")}


def narrowing(share: Share, as_of: str) -> tuple[float, float, float]:
    """How much smaller the slope index became between the first year and the last, in points, with its 95% interval."""
    first, *_, last = gradients(share, as_of).values()
    step, reach = abs(first.slope[0]) - abs(last.slope[0]), 1.96 * np.hypot(first.error, last.error)
    return step, step - reach, step + reach


def reference(dimension: str, as_of: str) -> str:
    """The group that the others of its dimension are compared with: the least deprived tenth, elsewhere the largest."""
    sizes = (
        counts(as_of).loc[dimension].xs(years(as_of)[-1], level="period")[FINISHED].drop(index=MISSING, errors="ignore")
    )
    return LEAST if dimension == "deprivation_decile" else sizes.idxmax()


def gaps(share: Share, as_of: str) -> pd.DataFrame:
    """Each group against the reference of its dimension, in the first year of the group and in the latest.

    Columns since, then and now (points), low and high (of now), ratio, step (how the gap moved), with its
    interval step_low and step_high, and `verdict`: narrowed, widened or no clear change, at most 5% of the
    verdicts being false discoveries.
    """
    rows = []
    table = shares(share, as_of)
    bases = {dimension: reference(dimension, as_of) for dimension in DIMENSIONS}
    for (dimension, group), own in table.groupby(level=["dimension", "group"]):
        own, base = own.droplevel(["dimension", "group"]), table.loc[(dimension, bases[dimension])]
        if group == bases[dimension] or own.index[-1] != years(as_of)[-1] or own.index[0] not in base.index:
            continue
        then, now = (
            funnel.change(_triple(base.loc[year]), _triple(own.loc[year])) for year in (own.index[0], own.index[-1])
        )
        step = funnel.change(then, now)
        rows.append(
            [dimension, group, own.index[0], then[0], *now, own["value"].iloc[-1] / base["value"].iloc[-1], *step]
        )
    found = pd.DataFrame(
        rows,
        columns=["dimension", "group", "since", "then", "now", "low", "high", "ratio", "step", "step_low", "step_high"],
    )
    score = found["step"] / ((found["step_high"] - found["step_low"]) / 3.92)
    real = np.zeros(len(found), bool)
    moved = (found["since"] < years(as_of)[-1]).to_numpy()
    real[moved] = funnel.is_discovery(funnel.p_values(score[moved]))
    smaller = found["now"].abs() < found["then"].abs()
    return found.assign(
        verdict=np.select([real & smaller, real & ~smaller], ["narrowed", "widened"], "no clear change")
    )


def _triple(row: pd.Series) -> tuple[float, float, float]:
    return row["value"], row["low"], row["high"]


def label(group: str) -> str:
    """A group in few words: `tenth 1 (least deprived)`, `Not stated`, `Asian`."""
    if group[:2].isdigit() and "deprived" in group:
        return f"Tenth {int(group[:2])}" + {LEAST: " (least deprived)", MOST: " (most deprived)"}.get(group, "")
    return group.split("/")[0].split(" (")[0].split(" or ")[0].removesuffix(" Ethnic Groups")


# ---------------------------------------------------------------- sentences


def answer(as_of: str) -> Markdown:
    """The answer: the gap in recovery between the most and the least deprived, and whether it narrowed."""
    table, year = shares(RECOVERY, as_of).loc["deprivation_decile"], years(as_of)[-1]
    most, least = table.loc[(MOST, year), "value"], table.loc[(LEAST, year), "value"]
    return words.say(
        f"**In {periods.label(year)} {words.percent(most, 1)} of those who finished a course at caseness recovered "
        f"in the most deprived tenth of neighbourhoods, {words.percent(least, 1)} in the least deprived: "
        f"{least - most:.1f} points fewer.**",
        _say_narrowing(RECOVERY, as_of),
    )


def _say_narrowing(share: Share, as_of: str) -> str:
    slopes = gradients(share, as_of)
    first, last = list(slopes)[0], list(slopes)[-1]
    now = slopes[last]
    text = (
        f"Over the whole scale the slope index for the {share.phrase} is {points(now.slope[0])} points "
        f"({points(now.slope[1])} to {points(now.slope[2])}) and the relative index {now.relative[0]:.2f} "
        f"({now.relative[1]:.2f} to {now.relative[2]:.2f})"
    )
    if first == last:
        return text + "."
    step, low, high = narrowing(share, as_of)
    moved = f"{'narrowed' if step > 0 else 'widened'} by {abs(step):.1f} points"
    if low > 0 or high < 0:
        nearest, furthest = sorted((abs(low), abs(high)))
        verdict = f"The gap {moved} ({nearest:.1f} to {furthest:.1f})"
    else:
        verdict = (
            f"Whether the gap changed cannot be told: it {moved}, and anything from {-low:.1f} wider to {high:.1f} "
            "narrower is possible"
        )
    return (
        text
        + f"; in {periods.label(first)} they were {points(slopes[first].slope[0])} and {slopes[first].relative[0]:.2f}. {verdict}."
    )


def describe_slopes(as_of: str) -> Markdown:
    """The slope and relative index of every share, then and now, and whether each gap narrowed."""
    return words.say(*(_say_narrowing(share, as_of) for share in SHARES))


def describe_missing(as_of: str) -> Markdown:
    """How many referrals and finished courses carry no information, by dimension, then and now."""
    table = counts(as_of)
    parts = []
    for dimension, name in DIMENSIONS.items():
        rows = table.loc[dimension]
        if MISSING not in rows.index.get_level_values("group"):
            continue
        share = (
            100 * rows.loc[MISSING, [REFERRALS, FINISHED]] / rows[[REFERRALS, FINISHED]].groupby(level="period").sum()
        )
        then, now = share.iloc[0], share.iloc[-1]
        before = (
            f" ({periods.label(share.index[0])}: {words.percent(then[REFERRALS], 1)} and "
            f"{words.percent(then[FINISHED], 1)})"
            if len(share) > 1
            else ""
        )
        parts.append(
            f"{name.lower()} for {words.percent(now[REFERRALS], 1)} of referrals and "
            f"{words.percent(now[FINISHED], 1)} of finished courses{before}"
        )
    return words.say(f"In {periods.label(years(as_of)[-1])} the information is missing on {words.listed(parts)}.")


def describe_gaps(share: Share, as_of: str) -> Markdown:
    """Which gaps narrowed and which widened since the first year, group by group."""
    table = gaps(share, as_of)
    middle = (table["dimension"] == "deprivation_decile") & (table["group"] != MOST)
    table = table[(table["group"] != MISSING) & ~middle]
    say = lambda verdict: words.listed(
        [
            f"{label(row.group)} ({points(row.then)} to {points(row.now)})"
            for row in table[table["verdict"] == verdict].itertuples()
        ]
        or ["none"]
    )
    return words.say(
        f"Gaps in the {share.phrase}, in points against the reference group, from the first year of each group to "
        f"{periods.label(years(as_of)[-1])}. Narrowed: {say('narrowed')}. Widened: {say('widened')}. The others "
        "show no clear change; the tenths between the ends are in the table."
    )


def list_groups(as_of: str) -> words.Table:
    """Every group in the latest year: counts, the three shares with intervals, and the gap in recovery, as a table."""
    year = years(as_of)[-1]
    table = counts(as_of).xs(year, level="period")
    rates = {share: shares(share, as_of).xs(year, level="period") for share in SHARES}
    gap = gaps(RECOVERY, as_of).set_index(["dimension", "group"])
    rows = []
    for key in [(dimension, group) for dimension in DIMENSIONS for group in table.loc[dimension].index]:
        row = {
            "By": DIMENSIONS[key[0]],
            "Group": label(key[1]),
            "Referrals": words.count(table.at[key, REFERRALS]),
            "Finished a course": words.count(table.at[key, FINISHED]),
        }
        for share, rate in rates.items():
            row[share.name] = (
                f"{share.write(rate.at[key, 'value'])} ({rate.at[key, 'low']:.1f} to {rate.at[key, 'high']:.1f})"
            )
        known = key in gap.index
        row["Gap in recovery, points"] = (
            f"{points(gap.at[key, 'now'])} ({points(gap.at[key, 'low'])} to {points(gap.at[key, 'high'])})"
            if known
            else "reference"
        )
        row["Ratio"] = f"{gap.at[key, 'ratio']:.2f}" if known else None
        row["Since"] = periods.label(gap.at[key, "since"]) if known else None
        row["Gap"] = gap.at[key, "verdict"] if known else None
        rows.append(row)
    return words.Table(
        "groups", f"England by group, {periods.label(year)}; in brackets 95% intervals", pd.DataFrame(rows)
    )


# ---------------------------------------------------------------- charts


def plot_gradient(share: Share, as_of: str) -> charts.Chart:
    """A share by tenth of deprivation, in the first year and the latest, with the lines whose ends the slope index compares."""
    table = shares(share, as_of).loc["deprivation_decile"]
    slopes = gradients(share, as_of)
    first, last = years(as_of)[0], years(as_of)[-1]
    value = lambda group, year: share.write(table.loc[(group, year), "value"])
    canvas = charts.open_canvas(
        f"groups_gradient_{share.part}",
        f"In {periods.label(last)} the {share.phrase} was {value(MOST, last)} in the most deprived tenth of "
        f"England, {value(LEAST, last)} in the least",
        f"{share.name} by tenth of neighbourhoods: 1 least, 10 most deprived; England",
        [
            "Tenth 1 is the least deprived, 10 the most: the opposite of the numbering of the Office for National "
            "Statistics. Bars: 95% intervals. The vertical axis does not start at zero."
        ],
        SOURCES,
        as_of,
        height=3.1,
    )
    deciles = [group for group in table.index.get_level_values("group").unique() if group != MISSING]
    for year, colour in {first: charts.COLOURS["plain"], last: charts.COLOURS[share.colour]}.items():
        rows = table.xs(year, level="period").loc[deciles]
        x = np.arange(1, len(deciles) + 1)
        rank = (rows["whole"].cumsum() - rows["whole"] / 2) / rows["whole"].sum()
        canvas.axes.vlines(x, rows["low"], rows["high"], color=colour, linewidth=2, alpha=0.6, zorder=3)
        canvas.axes.scatter(x, rows["value"], s=30, color=colour, zorder=4)
        canvas.axes.plot(x, slopes[year].start + slopes[year].slope[0] * rank, color=colour, linewidth=1.1, zorder=2)
        charts.add_label(
            canvas,
            x[-1],
            rows["value"].iloc[-1],
            f"{periods.label(year)}: slope {points(slopes[year].slope[0])}",
            colour,
        )
    canvas.axes.set_xlim(0.5, 10.5)
    canvas.axes.set_xticks(range(1, 11))
    if share.kind == "proportion":
        charts.show_percent(canvas.axes)
    frame = _download(table, share)
    alt = (
        f"Points by tenth of deprivation: {value(LEAST, last)} in the least and {value(MOST, last)} in the most "
        f"deprived tenth in {periods.label(last)}; {value(LEAST, first)} and {value(MOST, first)} in "
        f"{periods.label(first)}. The vertical axis does not start at zero."
    )
    return charts.close_canvas(canvas, frame, alt)


def _download(table: pd.DataFrame, share: Share) -> pd.DataFrame:
    frame = table.reset_index().rename(columns={"part": share.part, "whole": share.whole})
    return frame.assign(period=[periods.label(year) for year in frame["period"]])


def plot_slopes(chosen: tuple[Share, ...], as_of: str) -> charts.Chart:
    """The slope index of these shares by year, with intervals: nearer to zero is a smaller gap."""
    span = years(as_of)
    slopes = {share: gradients(share, as_of) for share in chosen}
    moved = [share.phrase for share in chosen if len(span) > 1 and narrowing(share, as_of)[1] > 0]
    grown = [share.phrase for share in chosen if len(span) > 1 and narrowing(share, as_of)[2] < 0]
    title = (
        f"The deprivation gap in {periods.label(span[0])}, by {len(chosen)} measures"
        if len(span) == 1
        else f"Since {periods.label(span[0])} the deprivation gap narrowed in {words.listed([f'the {name}' for name in moved]) if moved else f'none of {len(chosen)} measures'}"
        + (f" and widened in {words.listed([f'the {name}' for name in grown])}" if grown else "")
    )
    canvas = charts.open_canvas(
        "groups_slopes",
        title,
        "Slope index: most deprived less least deprived end of the scale, points, England",
        ["Band: 95% interval. Zero would be no gap.", charts.name_breaks("recovery_rate", span)],
        SOURCES,
        as_of,
        height=2.3,
    )
    panels = charts.split_canvas(
        canvas,
        [
            share.name.removesuffix(" rate").replace("Finished per 100 referrals", "Finishing, per 100")
            for share in chosen
        ],
        columns=3,
        left=0.5,
        right=0.5,
    )
    floor = min(slope.slope[1] for found in slopes.values() for slope in found.values()) - 1
    for panel, (share, found) in zip(panels, slopes.items()):
        values = pd.DataFrame(
            [slope.slope for slope in found.values()], index=list(found), columns=["value", "low", "high"]
        )
        x = [charts.middle(year) for year in values.index]
        panel.axes.fill_between(
            x, values["low"], values["high"], color=charts.COLOURS[share.colour], alpha=0.2, linewidth=0
        )
        panel.axes.plot(x, values["value"], color=charts.COLOURS[share.colour], linewidth=2, marker="o", markersize=4)
        charts.add_label(
            panel, x[-1], values["value"].iloc[-1], points(values["value"].iloc[-1]), charts.COLOURS[share.colour]
        )
        panel.axes.set_ylim(floor, 0)
        panel.axes.yaxis.get_major_locator().set_params(nbins=5)
        panel.axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
        _show_years(panel, span)
    frame = pd.DataFrame(
        [
            {
                "share": share.name,
                "year": periods.label(year),
                "slope": g.slope[0],
                "slope_low": g.slope[1],
                "slope_high": g.slope[2],
                "relative": g.relative[0],
                "relative_low": g.relative[1],
                "relative_high": g.relative[2],
            }
            for share, found in slopes.items()
            for year, g in found.items()
        ]
    )
    alt = "Line charts of the slope index by year. " + " ".join(
        f"{share.name}: {points(found[span[0]].slope[0])} in {periods.label(span[0])}, "
        f"{points(found[span[-1]].slope[0])} in {periods.label(span[-1])}."
        for share, found in slopes.items()
    )
    return charts.close_canvas(canvas, frame, alt)


def _show_years(panel: charts.Canvas, span: pd.PeriodIndex) -> None:
    ends = sorted({span[0], span[-1]})
    panel.axes.set_xlim(charts.middle(span[0]) - 0.5, charts.middle(span[-1]) + 0.4)
    panel.axes.set_xticks([charts.middle(year) for year in ends], [periods.label(year) for year in ends])


def plot_groups(share: Share, as_of: str) -> charts.Chart:
    """A share by year for every group, one panel a dimension; those without the information dashed in grey."""
    table, span = shares(share, as_of), years(as_of)
    enough = counts(as_of)["at_caseness"].groupby(level=["dimension", "group"]).transform("min") >= FEWEST
    ends = {
        dimension: table[enough]
        .loc[dimension]
        .xs(span[-1], level="period")["value"]
        .drop(index=MISSING, errors="ignore")
        for dimension in DIMENSIONS
    }
    widest = max(ends, key=lambda dimension: ends[dimension].max() - ends[dimension].min())
    high, low = ends[widest].idxmax(), ends[widest].idxmin()
    canvas = charts.open_canvas(
        f"groups_{share.part}",
        f"The {share.phrase} differs most by {DIMENSIONS[widest].lower()}: {share.write(ends[widest][high])} for "
        f"{_lower(high)}, {share.write(ends[widest][low])} for {_lower(low)} in {periods.label(span[-1])}",
        f"{share.unit}, England",
        [
            "Bands: 95% intervals. Dashed grey: not stated. "
            f"{_name_ended(table[enough].loc['age_group'], span)}Groups with fewer than {words.count(FEWEST)} "
            "courses at caseness in a year are in the download only. Axes do not start at zero."
        ],
        SOURCES,
        as_of,
        height=5.0,
    )
    for panel, (dimension, values) in zip(
        charts.split_canvas(canvas, list(DIMENSIONS.values()), left=0.55, right=1.5),
        ((dimension, table[enough].loc[dimension]) for dimension in DIMENSIONS),
    ):
        _draw_groups(panel, dimension, values, span)
        if share.kind == "proportion":
            charts.show_percent(panel.axes)
    frame = _download(table, share)
    alt = f"Line charts of the {share.phrase} by year. In {periods.label(span[-1])}, " + " ".join(
        f"{DIMENSIONS[dimension].lower()}: "
        f"{words.listed(f'{label(group)} {value:.1f}' for group, value in values.items())}."
        for dimension, values in ends.items()
    )
    return charts.close_canvas(canvas, frame, alt)


def _name_ended(values: pd.DataFrame, span: pd.PeriodIndex) -> str:
    """The age bands that are no longer used, for the caption, from the lowest line to the highest."""
    ended = values.groupby(level="group").tail(1)["value"].sort_values()
    ended = ended[ended.index.get_level_values("period") < span[-1]]
    if ended.empty:
        return ""
    return (
        "Age bands changed in 2021/22; grey, from the bottom up: "
        f"{words.listed(ended.index.get_level_values('group'))}. "
    )


def _lower(group: str) -> str:
    return label(group)[0].lower() + label(group)[1:] if "deprived" in group else label(group)


def _draw_groups(panel: charts.Canvas, dimension: str, values: pd.DataFrame, span: pd.PeriodIndex) -> None:
    import seaborn as sns

    names = sorted(
        values.index.get_level_values("group").unique(), key=lambda name: (not name.startswith("Under"), name)
    )
    ended = {name for name in names if values.loc[name].index[-1] != span[-1]}
    shown = [name for name in names if name not in ended and name != MISSING]
    ordered = {"deprivation_decile": "flare", "age_group": "crest"}.get(dimension)
    palette = sns.color_palette(ordered, len(shown) + 3).as_hex()[3:] if ordered else PALETTE
    colours = dict.fromkeys([*ended, MISSING], charts.COLOURS["plain"]) | dict(zip(shown, palette))
    lines = values.reset_index().assign(
        x=lambda frame: [charts.middle(year) for year in frame["period"]],
        missing=lambda frame: frame["group"] == MISSING,
    )
    sns.lineplot(
        lines,
        x="x",
        y="value",
        hue="group",
        style="missing",
        palette=colours,
        dashes={False: "", True: (3, 2)},
        errorbar=None,
        legend=False,
        linewidth=1.6,
        ax=panel.axes,
    )
    for name, rows in lines.groupby("group"):
        panel.axes.fill_between(rows["x"], rows["low"], rows["high"], color=colours[name], alpha=0.2, linewidth=0)
        if name not in ended and (dimension != "deprivation_decile" or name in (LEAST, MOST, MISSING)):
            charts.add_label(
                panel,
                rows["x"].iloc[-1],
                rows["value"].iloc[-1],
                f"{ {LEAST: 'Least deprived', MOST: 'Most deprived'}.get(name, label(name)) } "
                f"{rows['value'].iloc[-1]:.1f}",
                colours[name],
            )
    panel.axes.set(xlabel="", ylabel="")
    _show_years(panel, span)
