"""All boards side by side: who lies outside the usual limits, and whose change is more than chance.

No ranks: most differences between boards are smaller than what chance and their usual spread produce.
"""

import pandas as pd
from IPython.display import Markdown

from iapt.answers import areas
from iapt.answers.areas import ENGLAND, FINISHED, FINISHING, RECOVERY, REFERRALS, Share
from iapt.data import periods
from iapt.models import funnel
from iapt.show import charts, words


def sums(as_of: str) -> pd.DataFrame:
    """What all boards together lack of England, in per cent, by year and count: negative where referrals have no known board."""
    table = areas.counts(as_of)
    boards = (
        table[table.index.get_level_values("area").isin(areas.list_codes("icb"))]
        .groupby("period")[list(areas.MEASURES)]
        .sum()
    )
    return 100 * (boards / table.loc[ENGLAND, list(areas.MEASURES)] - 1)


# ---------------------------------------------------------------- sentences


def answer(as_of: str) -> Markdown:
    """The answer: how far boards differ in recovery and finishing, and how many lie beyond the usual limits."""
    year = periods.label(areas.years(as_of)[-1])
    (shape, recovery), (_, finishing) = areas.standing(RECOVERY, as_of), areas.standing(FINISHING, as_of)
    beyond = lambda table, level: int((table["outside"] >= level).sum())
    return words.say(
        f"**In {year} the recovery rate of the {len(recovery)} boards ran from "
        f"{words.percent(recovery['value'].min(), 1)} to {words.percent(recovery['value'].max(), 1)}, and the "
        f"courses finished per 100 referrals from {finishing['value'].min():.0f} to "
        f"{finishing['value'].max():.0f}.**",
        f"Allowing for chance and for the usual spread between boards, {_number(beyond(recovery, 99.8))} stands out "
        f"clearly in recovery (outside the 99.8% limits) and {_number(beyond(finishing, 99.8))} in finishing; "
        f"{beyond(recovery, 95)} and {beyond(finishing, 95)} lie outside the 95% limits, where about "
        f"{funnel.expect_outside(0.95, shape, recovery['whole']):.0f} would lie if none were exceptional.",
    )


def _number(count: int) -> str:
    return "no board" if count == 0 else "one board" if count == 1 else f"{count} boards"


def describe_spread(share: Share, as_of: str) -> Markdown:
    """How much of the difference between boards chance alone would produce, and who lies outside the limits."""
    shape, table = areas.standing(share, as_of)
    chance = (funnel.p_values(shape.scores(table["part"], table["whole"], spread=False)) < 0.002).sum()
    named = [
        f"{areas.name(code)} ({share.write(row.value)}, {row.side}{' the 99.8% limits' if row.outside == 99.8 else ''})"
        for code, row in _alphabetic(table[table["outside"] > 0]).iterrows()
    ]
    return words.say(
        "Boards differ far more than chance allows: by chance alone the squared distance from England would "
        f"average 1, and it is {shape.phi:.0f}; {chance} boards would lie outside 99.8% limits drawn for chance "
        "only.",
        "With the spread that is usual between boards allowed for, "
        + (
            f"{len(named)} {'lies' if len(named) == 1 else 'lie'} outside the 95% limits: {words.listed(named)}."
            if named
            else "none lies outside the 95% limits."
        ),
        areas.describe_expected(share, as_of),
    )


def _alphabetic(table: pd.DataFrame) -> pd.DataFrame:
    return table.loc[sorted(table.index, key=lambda code: areas.places().at[code, "name"])]


def describe_changes(share: Share, as_of: str) -> Markdown:
    """How many boards rose and fell by more than chance, and whose change is unlike England's."""
    table = areas.changes(share, "icb", as_of)
    if table.empty:
        return words.say("Only one year was known, so nothing can be said about change.")
    rose, fell = ((table["real"] & (table["step"] * side > 0)).sum() for side in (1, -1))
    odd = [
        f"{areas.name(code)} ({areas.points(row.step)})"
        for code, row in _alphabetic(table[table["unusual"]]).iterrows()
    ]
    return words.say(
        f"Between {periods.label(table['since'].min())} and {periods.label(areas.years(as_of)[-1])} the "
        f"{share.phrase} rose by more than chance explains in {rose} boards and fell in {fell}; in "
        f"{len(table) - rose - fell} the change may be chance. England changed by "
        f"{areas.points(table['england'].iloc[0])}.",
        f"Unlike England’s by more than such changes usually differ {'is that' if len(odd) == 1 else 'are those'} "
        f"of {words.listed(odd)}."
        if odd
        else "No board’s change is unlike England’s by more than such changes usually differ.",
        f"With {len(table)} boards tested at once, at most {100 * funnel.FALSE_DISCOVERIES:.0f}% of those named "
        "should be false alarms.",
    )


def describe_sums(as_of: str) -> Markdown:
    """How far the boards add up to England, and which years of which boards are set aside."""
    table = sums(as_of)[REFERRALS]
    counts = areas.counts(as_of)
    broken = counts[~counts["sound"]]
    gaps = [
        f"{areas.name(code)} in {periods.label(year)} ({words.count(row[FINISHED])} finished, "
        f"{words.count(row[REFERRALS])} referred)"
        for (code, year), row in broken.iterrows()
    ]
    return words.say(
        f"The referrals of all boards fall short of England by {words.percent(-table.iloc[-1], 1)} in "
        f"{periods.label(table.index[-1])} and by {words.percent(-table.min(), 1)} in "
        f"{periods.label(table.idxmin())}. Rounding explains at most {len(areas.list_codes('icb')) * 2} referrals "
        "of that; the rest are referrals whose board is not known.",
        f"Set aside are {words.listed(gaps)}: more courses finished than referrals received points to missing "
        "referrals or to old cases closed in bulk."
        if gaps
        else "",
    )


def list_boards(as_of: str) -> words.Table:
    """All boards by name with their figures of the latest year, their place in the funnel and their change, as a table."""
    counts = areas.counts(as_of).xs(areas.years(as_of)[-1], level="period")
    rates = {share: areas.standing(share, as_of)[1] for share in (RECOVERY, FINISHING)}
    change = areas.changes(RECOVERY, "icb", as_of)
    rows = []
    for code, place in areas.places().loc[list(areas.list_codes("icb"))].iterrows():
        found = {share: table.loc[code] if code in table.index else None for share, table in rates.items()}
        rows.append(
            {
                "Board": place["name"],
                "Region": areas.places().at[place["region"], "name"],
                "Referrals": words.count(counts.at[code, REFERRALS]),
                "Finished a course": words.count(counts.at[code, FINISHED]),
                "Finished per 100 referrals": None if found[FINISHING] is None else f"{found[FINISHING].value:.1f}",
                "Limits: finishing": _place(found[FINISHING]),
                "Recovery rate": None if found[RECOVERY] is None else words.percent(found[RECOVERY].value, 1),
                "95% interval": None
                if found[RECOVERY] is None
                else f"{found[RECOVERY].low:.1f} to {found[RECOVERY].high:.1f}",
                "Limits: recovery": _place(found[RECOVERY]),
                "Change in recovery, points": areas.points(change.at[code, "step"]) if code in change.index else None,
                "More than chance": ("yes" if change.at[code, "real"] else "no") if code in change.index else None,
            }
        )
    return words.Table(
        "boards",
        f"The boards by name, {periods.label(areas.years(as_of)[-1])}: counts rounded to 5; counts without "
        "population are not rates of need",
        pd.DataFrame(rows),
    )


def _place(row: pd.Series | None) -> str | None:
    return None if row is None else f"{row.side} {row.outside:g}%" if row.outside else "inside"


# ---------------------------------------------------------------- charts


def plot_funnel(share: Share, as_of: str) -> charts.Chart:
    """The funnel of all boards, those outside the 95% limits by name."""
    shape, table = areas.standing(share, as_of)
    out = table.index[table["outside"] > 0]
    clear = (table["outside"] == 99.8).sum()
    spread = f"{share.write(table['value'].min())} to {share.write(table['value'].max())}"
    ending = f"{_number(clear)} {'lies' if clear < 2 else 'lie'} outside the 99.8% limits"
    title = f"The {share.phrase} runs from {spread}; {ending}"
    return areas.draw_funnel(f"boards_{share.part}", title, share, shape, table, out, as_of)


def plot_changes(share: Share, as_of: str) -> charts.Chart:
    """Every board's share then and now: above the diagonal it rose; filled points changed by more than chance."""
    table = areas.changes(share, "icb", as_of)
    then, now = (
        periods.label(year)
        for year in (table["since"].min() if len(table) else areas.years(as_of)[0], areas.years(as_of)[-1])
    )
    rose, fell = ((table["real"] & (table["step"] * side > 0)).sum() for side in (1, -1))
    odd = table[table["unusual"]]
    canvas = charts.open_canvas(
        f"boards_change_{share.part}",
        f"Since {then} the {share.phrase} rose in {rose} boards and fell in {fell} by more than chance explains",
        f"{share.unit}: {now} (up), {then} (across)",
        [
            "Filled: changed by more than chance explains; hollow: may be chance. Named: unlike England’s change "
            "by more than usual. At most 5% of those named or filled should be false alarms. Axes do not start at "
            "zero."
            + (
                f" Points of boards whose {then} is set aside start a year later."
                if table["since"].nunique() > 1
                else ""
            ),
            charts.name_breaks("recovery_rate", areas.years(as_of)) if share.kind == "proportion" else "",
        ],
        areas.SOURCES,
        as_of,
        height=4.0,
    )
    axes, colour, grey = canvas.axes, charts.COLOURS[share.colour], charts.COLOURS["plain"]
    low, high = table[["first", "last"]].min().min(), table[["first", "last"]].max().max()
    low, high = low - 0.06 * (high - low), high + 0.06 * (high - low)
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.plot([low, high], [low, high], color=charts.INK, linewidth=1, zorder=2)
    charts.add_label(canvas, high, high, "no change", charts.INK)
    step = float(table["england"].iloc[0]) if len(table) else 0.0
    axes.plot([low, high], [low + step, high + step], color=grey, linewidth=1, linestyle=(0, (4, 2)), zorder=2)
    charts.add_label(canvas, high, high + step, f"England’s change {areas.points(step)}", grey)
    plain = table.drop(index=odd.index)
    axes.scatter(
        plain["first"],
        plain["last"],
        s=26,
        color=[grey if real else "white" for real in plain["real"]],
        edgecolors=grey,
        linewidths=1,
        alpha=0.8,
        zorder=3,
    )
    axes.scatter(odd["first"], odd["last"], s=42, color=colour, zorder=4)
    for axis in (axes.xaxis, axes.yaxis):
        axis.get_major_locator().set_params(nbins=6)
        if share.kind == "proportion":
            axis.set_major_formatter(lambda value, _: f"{value:g}%")
    spots = lambda frame: pd.DataFrame(
        {
            "x": frame["first"],
            "y": frame["last"],
            "text": [f"{areas.places().at[code, 'name']} {areas.points(row.step)}" for code, row in frame.iterrows()],
            "colour": colour,
        }
    )
    charts.name_points(canvas, spots(odd), spots(plain))
    frame = (
        table.assign(
            name=areas.places().loc[table.index, "name"], since=[periods.label(year) for year in table["since"]]
        )
        .sort_values("name")
        .reset_index()[["area", "name", "since", "first", "last", "step", "low", "high", "england", "real", "unusual"]]
    )
    alt = (
        f"Scatter of {len(table)} boards, {share.name.lower()} in {then} against {now}. {rose} rose and {fell} fell "
        f"by more than chance; England changed by {areas.points(step)}. Unlike England: "
        f"{words.listed(list(spots(odd)['text']) or ['none'])}."
    )
    return charts.close_canvas(canvas, frame, alt)
