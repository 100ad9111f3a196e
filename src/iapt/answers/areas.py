"""One area: how many are referred and finish, how many recover, and where that stands among the boards.

Areas are England, its seven regions and 42 integrated care boards. Every share is compared with its own
uncertainty: chance, the rounding of the counts, and the spread that is usual between boards.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from IPython.display import Markdown

from iapt import data
from iapt.answers import recovery
from iapt.data import periods
from iapt.models import funnel
from iapt.show import charts, words

ENGLAND = "E92000001"
REFERRALS, FINISHED = "referrals_received", "finished_course"
FIRST = pd.Period("2021", "Y-MAR")
"""2020/21: the first year with figures of boards."""
MEASURES = (
    "referrals_received",
    "finished_course",
    "at_caseness",
    "recovered",
    "reliably_improved",
    "reliably_recovered",
)
SOURCES = "NHS England, annual reports"


@dataclass(frozen=True)
class Share:
    """A share of counts: its name, how sentences call it, the counts above and below the line.

    `kind` is proportion or ratio, see `iapt.models.funnel`; `colour` is the name of one in `iapt.show.charts`.
    """

    name: str
    phrase: str
    part: str
    whole: str
    kind: str
    unit: str
    colour: str

    def write(self, value: float) -> str:
        """The share for people: `53.7%`; a ratio without the sign."""
        return words.percent(value, 1) if self.kind == "proportion" else f"{value:.1f}"


RECOVERY = Share(
    "Recovery rate",
    "recovery rate",
    "recovered",
    "at_caseness",
    "proportion",
    "Per cent of those who finished a course at caseness",
    "recovery_rate",
)
RELIABLE = Share(
    "Reliable recovery rate",
    "reliable recovery rate",
    "reliably_recovered",
    "at_caseness",
    "proportion",
    "Per cent of those who finished a course at caseness",
    "reliable_recovery_rate",
)
IMPROVED = Share(
    "Reliable improvement rate",
    "reliable improvement rate",
    "reliably_improved",
    "finished_course",
    "proportion",
    "Per cent of all who finished a course",
    "reliable_improvement_rate",
)
FINISHING = Share(
    "Finished per 100 referrals",
    "number finishing per 100 referrals",
    "finished_course",
    "referrals_received",
    "ratio",
    "Courses finished per 100 referrals of the same year",
    "finished_course",
)
SHARES = (RECOVERY, RELIABLE, IMPROVED, FINISHING)


# ---------------------------------------------------------------- figures


@data.remember
def places() -> pd.DataFrame:
    """All areas, England first, then regions and boards by name: indexed by code, columns type, name and region."""
    return data.load()["places"].set_index("area")


@data.remember
def counts(as_of: str) -> pd.DataFrame:
    """Counts by area and year from 2020/21, England among them: one column a measure.

    `rounded_to` is the unit of the counts. `sound` is false where more courses were finished than referrals
    received: referrals are missing, or old cases were closed in bulk, and no share is taken of that year.
    Raises ValueError where no figures of areas were known.
    """
    table = data.known(as_of, "areas").query("period >= @FIRST")
    if table.empty:
        first = data.known("latest", "areas").query("period >= @FIRST")["available"].min()
        raise ValueError(f"no figures of areas were known on {as_of}; the first are held from {first:%Y-%m-%d}")
    wide = table.pivot(index=["area", "period"], columns="measure", values="value").assign(rounded_to=5)
    years = wide.index.get_level_values("period").unique()
    england = pd.DataFrame(
        {measure: data.series(measure, "year", as_of).reindex(years) for measure in wide.columns[:-1]}
    ).assign(rounded_to=1)
    wide = pd.concat([pd.concat({ENGLAND: england}, names=["area"]).rename_axis(["area", "period"]), wide]).sort_index()
    return wide.assign(sound=wide[FINISHED] <= wide[REFERRALS])


@data.remember
def years(as_of: str) -> pd.PeriodIndex:
    """The years for which figures of areas were known."""
    return pd.PeriodIndex(sorted(counts(as_of).index.get_level_values("period").unique()))


@data.remember
def shares(share: Share, as_of: str) -> pd.DataFrame:
    """A share by area and year with its 95% interval: part, whole; value, low and high in per cent.

    Years that are not sound are left out.
    """
    table = counts(as_of).query("sound")
    part, whole = table[share.part], table[share.whole]
    low, high = funnel.interval(part, whole, share.kind, rounded_to=table["rounded_to"])
    return pd.DataFrame(
        {
            "part": part,
            "whole": whole,
            "value": 100 * part / whole,
            "low": low,
            "high": high,
            "rounded_to": table["rounded_to"],
        }
    )


def latest(share: Share, as_of: str) -> pd.DataFrame:
    """A share in the latest year, one row an area."""
    return shares(share, as_of).xs(years(as_of)[-1], level="period")


@data.remember
def list_codes(kind: str) -> tuple[str, ...]:
    """The codes of all areas of a type: country, region or icb."""
    return tuple(places().index[places()["type"] == kind])


@data.remember
def list_members(region: str) -> tuple[str, ...]:
    """The codes of the boards of a region; of all boards for England."""
    return list_codes("icb") if region == ENGLAND else tuple(places().index[places()["region"] == region])


@data.remember
def standing(share: Share, as_of: str) -> tuple[funnel.Funnel, pd.DataFrame]:
    """The funnel of the boards around England in the latest year, and the boards with their `score` in it.

    `outside` is 95 or 99.8 where a board lies outside those limits and 0 where it lies inside; `side` says on which.
    """
    table = latest(share, as_of)
    england, table = table.loc[ENGLAND], table.loc[table.index.isin(list_codes("icb"))].copy()
    shape = funnel.fit(table["part"], table["whole"], share.kind, target=england["part"] / england["whole"])
    table["score"] = shape.scores(table["part"], table["whole"])
    distance = funnel.p_values(table["score"])
    table["outside"] = np.select([distance < 0.002, distance < 0.05], [99.8, 95.0], 0.0)
    table["side"] = np.where(table["score"] > 0, "above", "below")
    return shape, table


@data.remember
def changes(share: Share, kind: str, as_of: str) -> pd.DataFrame:
    """How a share changed from each area's first sound year to the latest, for all areas of a type.

    Columns since, first, last, step, low, high (points), england (its step) and two verdicts, each with
    at most 5% false discoveries among the areas of the type: `real`, more than chance explains; `unusual`,
    further from England's change than chance and the usual spread of such changes explain.
    """
    table = shares(share, as_of).reset_index()
    last = table[table["period"] == years(as_of)[-1]].set_index("area")
    first = table.sort_values("period").drop_duplicates("area").set_index("area").loc[last.index]
    then = (
        table.set_index(["area", "period"])
        .loc[[(ENGLAND, period) for period in first["period"]]]
        .set_index(first.index)
    )
    columns = lambda frame: tuple(frame[name].to_numpy(float) for name in ("value", "low", "high"))
    step, low, high = funnel.change(columns(first), columns(last))
    old, new = (funnel.transform(frame["part"], frame["whole"], share.kind) for frame in (first, last))
    usual = (
        funnel.transform(last.loc[ENGLAND, "part"], last.loc[ENGLAND, "whole"], share.kind)[0]
        - funnel.transform(then["part"], then["whole"], share.kind)[0]
    )
    error = np.hypot(old[1], new[1])
    found = pd.DataFrame(
        {
            "since": first["period"],
            "first": first["value"],
            "last": last["value"],
            "step": step,
            "low": low,
            "high": high,
            "england": last.at[ENGLAND, "value"] - then["value"],
            "error": error,
            "z": (new[0] - old[0]) / error,
            "z_england": (new[0] - old[0] - usual) / error,
        }
    )
    found = found[found.index.isin(list_codes(kind)) & (found["since"] < years(as_of)[-1])]
    return found.assign(**_judge(found, kind)).drop(columns=["error", "z", "z_england"])


def _judge(found: pd.DataFrame, kind: str) -> dict[str, np.ndarray]:
    real = funnel.is_discovery(funnel.p_values(found["z"]))
    if kind == "country" or found.empty:
        return {"real": real, "unusual": np.zeros(len(found), bool)}
    between = funnel.dispersion(found["z_england"], found["error"], restore=True)[1]
    scores = found["z_england"] * found["error"] / np.sqrt(found["error"] ** 2 + between)
    return {"real": real, "unusual": funnel.is_discovery(funnel.p_values(scores))}


def _list_unsound(code: str, as_of: str) -> pd.PeriodIndex:
    own = counts(as_of).loc[code]
    return own.index[~own["sound"].astype(bool)]


def compute_shared(as_of: str) -> None:
    """Compute what the pages of all areas have in common, which is then remembered."""
    for share in SHARES:
        for kind in places()["type"].unique():
            changes(share, kind, as_of)
    for share in (RECOVERY, FINISHING):
        describe_expected(share, as_of)
    describe_definition(as_of)


# ---------------------------------------------------------------- sentences


def name(code: str) -> str:
    """The name of an area as it stands in a sentence: `Devon`, `the South West`."""
    plain, kind = places().loc[code, ["name", "type"]]
    return f"the {plain}" if (kind == "region" and plain != "London") or plain in ("Black Country",) else plain


def possessive(code: str) -> str:
    """`Devon’s`, `the Midlands’`."""
    return name(code) + ("’" if name(code).endswith("s") else "’s")


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def points(value: float, digits: int = 1) -> str:
    """A difference in percentage points with its sign: `+1.2`, `−0.4`."""
    return f"{value:+.{digits}f}".replace("-", "−")


def answer(area: str, as_of: str) -> Markdown:
    """The answer in a few sentences: recovery against the standard, England and the region; referrals and finished courses."""
    code, year = data.find_place(area), periods.label(years(as_of)[-1])
    rates = latest(RECOVERY, as_of)
    if code not in rates.index:
        return words.say(
            f"**The shares of {name(code)} for {year} cannot be compared:** more courses were finished than "
            "referrals received."
        )
    rate = rates.loc[code]
    verdict = (
        "above"
        if rate.low >= recovery.standard()
        else "below"
        if rate.high < recovery.standard()
        else "which cannot be told apart from"
    )
    numbers = counts(as_of).loc[(code, years(as_of)[-1])]
    finishing = latest(FINISHING, as_of)
    beside = "" if code == ENGLAND else f" (England: {finishing.at[ENGLAND, 'value']:.0f})"
    return words.say(
        f"**In {year} {words.percent(rate.value, 1)} of those who finished a course at caseness in {name(code)} "
        f"recovered (95% interval {words.percent(rate.low, 1)} to {words.percent(rate.high, 1)}), {verdict} the "
        f"standard of {words.percent(recovery.standard())}.**",
        _compare(code, rates) if code != ENGLAND else _quote_published(as_of),
        f"{words.count(numbers[REFERRALS])} referrals were received and {words.count(numbers[FINISHED])} finished a "
        f"course: {finishing.at[code, 'value']:.0f} for every 100 referrals{beside}.",
        _describe_trend(code, as_of),
    )


def _quote_published(as_of: str) -> str:
    return (
        f"NHS England publishes {words.percent(_find_published(as_of), 1)}, over a slightly larger denominator (see "
        "the last section)."
    )


def _find_published(as_of: str) -> float:
    """The recovery rate that NHS England publishes for the latest year, in per cent."""
    return data.series("recovery_rate", "year", as_of)[years(as_of)[-1]]


def _compare(code: str, rates: pd.DataFrame) -> str:
    others = [other for other in (ENGLAND, places().at[code, "region"]) if other in rates.index and other != code]
    rate = rates.loc[code]
    apart, close = [], []
    for other in others:
        value = rates.at[other, "value"]
        beside = f"{possessive(other)} {words.percent(value, 1)}"
        if rate.low <= value <= rate.high:
            close.append(beside)
        else:
            apart.append(f"{abs(rate.value - value):.1f} points {'above' if rate.value > value else 'below'} {beside}")
    phrases = apart + ([f"too close to {words.listed(close)} to tell apart"] if close else [])
    return f"That is {words.listed(phrases)}." if phrases else ""


def _describe_trend(code: str, as_of: str) -> str:
    table = counts(as_of).query("sound")
    sound = table.loc[code].index
    if len(sound) < 2:
        return ""
    phrases = []
    for what, measure in (("referrals", REFERRALS), ("finished courses", FINISHED)):
        grown = {
            place: 100 * (table.at[(place, sound[-1]), measure] / table.at[(place, sound[0]), measure] - 1)
            for place in (code, ENGLAND)
        }
        beside = "" if code == ENGLAND else f" (England: {_move(grown[ENGLAND])})"
        phrases.append(f"{what} {_move(grown[code])}{beside}")
    return f"Since {periods.label(sound[0])} {words.listed(phrases)}."


def _move(value: float) -> str:
    """A change in per cent in words: `rose by 6%`, `hardly changed`."""
    if abs(value) < 0.5:
        return "hardly changed"
    return f"{'rose' if value > 0 else 'fell'} by {words.percent(abs(value))}"


def describe_standing(area: str, as_of: str) -> Markdown:
    """Where an area stands in the funnels of recovery and of finishing; for England and regions, which boards lie outside."""
    code = data.find_place(area)
    sentences = []
    for share in (RECOVERY, FINISHING):
        table = standing(share, as_of)[1]
        if code in list_codes("icb") and code not in table.index:
            return words.say(f"{_capital(name(code))} is not among them: its figures cannot be compared.")
        if code in table.index:
            row = table.loc[code]
            sentences.append(
                f"On the {share.phrase} {name(code)} lies "
                + ("inside the 95% limits." if not row.outside else f"{row.side} the {row.outside:g}% limits.")
            )
            continue
        mine = table[table.index.isin(list_members(code))]
        out = mine[mine["outside"] > 0]
        sentences.append(
            f"On the {share.phrase} {len(out) or 'none'} of the {len(mine)} "
            f"boards{'' if code == ENGLAND else f' of {name(code)}'} {'lies' if len(out) == 1 else 'lie'} outside "
            "the 95% limits"
            + (
                " "
                f"({words.listed(f'{name(c)} {side}' for c, side in out['side'].sort_index(key=lambda index: index.map(name)).items())})."
                if len(out)
                else "."
            )
        )
    return words.say(*sentences, describe_expected(RECOVERY, as_of))


@data.remember
def describe_expected(share: Share, as_of: str) -> str:
    """How many boards would lie outside the limits of a share if none were exceptional."""
    shape, table = standing(share, as_of)
    usual = [funnel.expect_outside(level, shape, table["whole"]) for level in (0.95, 0.998)]
    return (
        f"In the {share.phrase} about {usual[0]:.0f} of {len(table)} boards would lie outside the 95% limits and "
        f"{usual[1]:.1f} outside the 99.8% limits even if none were exceptional: the extremes are pulled in before "
        "the usual spread is estimated, which makes the limits narrow."
    )


def describe_changes(area: str, as_of: str) -> Markdown:
    """Which shares changed more than chance explains, and which moved away from England more than boards usually do."""
    table = _area_changes(data.find_place(area), as_of)
    if table.empty:
        return words.say("Only one year with complete figures was known, so nothing can be said about change.")
    moved = [
        f"the {row.share.phrase} {'rose' if row.step > 0 else 'fell'} from {row.share.write(row.first)} to "
        f"{row.share.write(row.last)}"
        for row in table.itertuples()
        if row.real
    ]
    odd = [row.share.phrase for row in table.itertuples() if row.unusual]
    first = f"Since {periods.label(table['since'].iloc[0])} " + (
        f"{words.listed(moved)}: more than chance explains."
        if moved
        else "no share changed by more than chance explains."
    )
    if data.find_place(area) == ENGLAND:
        return words.say(first)
    return words.say(
        first,
        f"Set against England, the change in the {words.listed(odd)} is larger than such changes usually differ "
        "between areas."
        if odd
        else "None of these changes differs from England’s by more than such changes usually differ between areas.",
    )


def _area_changes(code: str, as_of: str) -> pd.DataFrame:
    kind = places().at[code, "type"]
    rows = [changes(share, kind, as_of).assign(share=share).reindex([code]) for share in SHARES]
    return pd.concat(rows).dropna(subset="step")


def list_changes(area: str, as_of: str) -> words.Table:
    """The change of every share with its interval and the two verdicts, as a table."""
    code = data.find_place(area)
    table = _area_changes(code, as_of)
    yes = lambda values: ["yes" if value else "no" for value in values]
    frame = pd.DataFrame(
        {
            "Share": [share.name for share in table["share"]],
            "From": [f"{row.share.write(row.first)} in {periods.label(row.since)}" for row in table.itertuples()],
            "To": [row.share.write(row.last) for row in table.itertuples()],
            "Change, points": [points(value) for value in table["step"]],
            "95% interval": [f"{points(row.low)} to {points(row.high)}" for row in table.itertuples()],
            "England": [points(value) for value in table["england"]],
            "More than chance": yes(table["real"]),
            "Unlike England": yes(table["unusual"]),
        }
    )
    return words.Table(
        "area_changes",
        f"What changed in {name(code)}",
        frame.drop(columns=["England", "Unlike England"]) if code == ENGLAND else frame,
    )


@data.remember
def describe_definition(as_of: str) -> str:
    """How the rate from counts differs from the published one for England, and why."""
    published, ours = _find_published(as_of), latest(RECOVERY, as_of).at[ENGLAND, "value"]
    least, most = bound_neither(years(as_of)[-1], as_of)
    finished = counts(as_of).at[(ENGLAND, years(as_of)[-1]), FINISHED]
    return (
        "All recovery rates here are recovered over at caseness, from counts. For England that gives "
        f"{words.percent(ours, 2)} where {words.percent(published, 1)} is published: "
        "the published rate is recovered over finished less not at caseness, which also keeps the courses counted "
        "as neither. "
        f"How many these are is not in the figures held here, but the published rate asks for {words.count(least)} "
        f"to {words.count(most)} of them among {words.count(finished)} courses. "
        "The rate of an area with many of them looks better here than the published one."
    )


def bound_neither(year: pd.Period, as_of: str) -> tuple[float, float]:
    """How many courses England counted as neither at caseness nor not at caseness in a year, at least and at most.

    From the published recovery rate, which is rounded: it is recovered over these and those at caseness together.
    """
    counted = {measure: data.series(measure, "year", as_of)[year] for measure in ("recovered", "at_caseness", FINISHED)}
    rate = data.figures("recovery_rate", "year", as_of).loc[year]
    half = (0.1 if pd.isna(rate["rounded_to"]) else rate["rounded_to"]) / 2
    least, most = (
        100 * counted["recovered"] / (rate["value"] + side * half) - counted["at_caseness"] for side in (1, -1)
    )
    return max(least, 0.0), min(most, counted[FINISHED] - counted["at_caseness"])


def describe_rounding(area: str, as_of: str) -> Markdown:
    """How large the counts are, what their rounding adds to the uncertainty, and how the rates differ from published ones."""
    code = data.find_place(area)
    row = counts(as_of).loc[(code, years(as_of)[-1])]
    if row["rounded_to"] == 1:
        return words.say(
            f"England’s counts are published in full; its recovery rate rests on {words.count(row['at_caseness'])} "
            "courses.",
            describe_definition(as_of),
        )
    half = [
        np.diff(funnel.interval(row["recovered"], row["at_caseness"], rounded_to=unit), axis=0)[0] / 2
        for unit in (1, row["rounded_to"])
    ]
    gone = _list_unsound(code, as_of)
    return words.say(
        f"The counts of areas are rounded to the nearest {row['rounded_to']:.0f}, so each may be off by "
        f"{row['rounded_to'] // 2:.0f}; fewer than 5 would not be published at all. The smallest count used here is "
        f"{words.count(row[['recovered', 'at_caseness', FINISHED, REFERRALS]].min())}.",
        f"Rounding widens the interval of the recovery rate from ±{half[0]:.2f} to ±{half[1]:.2f} points; the wider "
        "one is shown.",
        f"{words.listed(periods.label(year) for year in gone)} is left out: more courses were finished than "
        "referrals received, which points to missing referrals or to old cases closed in bulk."
        if len(gone)
        else "",
        describe_definition(as_of),
    )


def list_years(area: str, as_of: str) -> words.Table:
    """The figures of an area by year, as a table."""
    code = data.find_place(area)
    table = counts(as_of).loc[code]
    rates = {
        share: shares(share, as_of).reindex([(code, year) for year in table.index]).droplevel("area")
        for share in (RECOVERY, FINISHING)
    }
    show = lambda values, write: [write(value) if pd.notna(value) else None for value in values]
    frame = pd.DataFrame({"Year": [periods.label(year) for year in table.index]})
    for label, measure in (
        ("Referrals", REFERRALS),
        ("Finished a course", FINISHED),
        ("At caseness", "at_caseness"),
        ("Recovered", "recovered"),
    ):
        frame[label] = show(table[measure], words.count)
    frame["Finished per 100 referrals"] = show(rates[FINISHING]["value"], lambda value: f"{value:.1f}")
    frame["Recovery rate"] = show(rates[RECOVERY]["value"], lambda value: words.percent(value, 1))
    frame["95% interval"] = [
        f"{words.percent(row.low, 1)} to {words.percent(row.high, 1)}" if pd.notna(row.low) else None
        for row in rates[RECOVERY].itertuples()
    ]
    return words.Table("area_years", f"{places().at[code, 'name']} by financial year", frame)


# ---------------------------------------------------------------- charts


def plot_trend(area: str, as_of: str) -> charts.Chart:
    """Referrals, finished courses, their ratio and the recovery rate since 2020/21, beside England and the region."""
    code, span = data.find_place(area), years(as_of)
    region = places().at[code, "region"]
    rates = {share: shares(share, as_of) for share in (FINISHING, RECOVERY)}
    missing = _list_unsound(code, as_of)
    canvas = charts.open_canvas(
        "area_trend",
        _title_trend(code, as_of),
        f"Financial years {periods.label(span[0])} to {periods.label(span[-1])}",
        [
            "Band: 95% interval, rounding of the counts included. Axes of shares do not start at zero.",
            f"{words.listed(periods.label(y) for y in missing)} without shares: more courses finished than "
            "referrals received."
            if len(missing)
            else "",
            charts.name_breaks("recovery_rate", span),
        ],
        SOURCES,
        as_of,
        height=4.1,
    )
    headings = ["Referrals received", "Finished a course", "Finished per 100 referrals", "Recovery rate"]
    panels = charts.split_canvas(canvas, headings)
    own = counts(as_of).loc[code]
    for panel, measure in zip(panels, (REFERRALS, FINISHED)):
        values = own[measure].reindex(span)
        charts.draw_series(panel, values.to_frame("value"), measure, label=words.count(values.iloc[-1]))
        charts.show_counts(panel.axes, values.max() * 1.2)
    for panel, (share, table) in zip(panels[2:], rates.items()):
        _draw_share(panel, share, table, [other for other in (ENGLAND, region) if other and other != code], code)
    charts.mark_breaks(panels[3], "recovery_rate", span)
    charts.draw_standard(panels[3], recovery.standard(), "")
    charts.add_label(
        panels[3],
        charts.middle(span[-1]),
        recovery.standard(),
        f"standard {words.percent(recovery.standard())}",
        "#A84600",
    )
    for panel in panels:
        panel.axes.set_xlim(charts.middle(span[0]) - 0.4, charts.middle(span[-1]) + 0.3)
        panel.axes.set_xticks(
            [charts.middle(year) for year in sorted({span[0], span[-1]})],
            [periods.label(year) for year in sorted({span[0], span[-1]})],
        )
    shown = list(dict.fromkeys(place for place in (code, region, ENGLAND) if place))
    frame = counts(as_of).loc[shown, [REFERRALS, FINISHED, "at_caseness", "recovered", "sound"]]
    frame = (
        frame.join(rates[FINISHING]["value"].rename("finished_per_100"))
        .join(rates[RECOVERY][["value", "low", "high"]].add_prefix("recovery_"))
        .reset_index()
    )
    frame["period"] = [periods.label(year) for year in frame["period"]]
    frame.insert(1, "name", places().loc[frame["area"], "name"].to_numpy())
    ends = lambda table, write: f"{write(table.iloc[0])} to {write(table.iloc[-1])}" if len(table) else "none"
    alt = f"Four line charts for {name(code)}, {periods.label(span[0])} to {periods.label(span[-1])}. " + " ".join(
        [f"{heading}: {ends(own[measure], words.count)}." for heading, measure in zip(headings, (REFERRALS, FINISHED))]
        + [
            f"{share.name}: {ends(_own(table, code)['value'], share.write)}, England "
            f"{share.write(table.loc[ENGLAND, 'value'].iloc[-1])}."
            for share, table in rates.items()
        ]
    )
    return charts.close_canvas(canvas, frame, alt)


def _title_trend(code: str, as_of: str) -> str:
    rates, year = latest(RECOVERY, as_of), periods.label(years(as_of)[-1])
    if code not in rates.index:
        return f"{places().at[code, 'name']}: figures of {year} that cannot be compared"
    return (
        f"{places().at[code, 'name']}: {words.percent(rates.at[code, 'value'], 1)} recovered in {year}, "
        f"{_set_beside(code, rates, as_of)}"
    )


def _set_beside(code: str, rates: pd.DataFrame, as_of: str) -> str:
    own, england = rates.loc[code], rates.at[ENGLAND, "value"]
    if code == ENGLAND:
        return f"from counts; {words.percent(_find_published(as_of), 1)} is published"
    if own.low <= england <= own.high:
        return "too close to England to tell apart"
    return f"{abs(own.value - england):.1f} points {'above' if own.value > england else 'below'} England"


def _own(table: pd.DataFrame, code: str) -> pd.DataFrame:
    return table[table.index.get_level_values("area") == code].droplevel("area")


def _draw_share(panel: charts.Canvas, share: Share, table: pd.DataFrame, others: list[str], code: str) -> None:
    mine = _own(table, code).reindex(table.loc[ENGLAND].index)
    x = [charts.middle(year) for year in mine.index]
    for other in others:
        y = table.loc[other, "value"]
        panel.axes.plot(
            [charts.middle(year) for year in y.index],
            y,
            color=charts.COLOURS["plain"],
            linewidth=1.2,
            alpha=0.75,
            linestyle="-" if other == ENGLAND else (0, (1, 1)),
        )
        panel.axes.scatter([charts.middle(y.index[-1])], [y.iloc[-1]], s=9, color=charts.COLOURS["plain"], zorder=3)
        charts.add_label(
            panel,
            charts.middle(y.index[-1]),
            y.iloc[-1],
            f"{places().at[other, 'name']} {y.iloc[-1]:.1f}",
            charts.COLOURS["plain"],
        )
    panel.axes.fill_between(x, mine["low"], mine["high"], color=charts.COLOURS[share.colour], alpha=0.2, linewidth=0)
    charts.draw_series(
        panel,
        mine[["value"]].set_axis(pd.PeriodIndex(mine.index, freq="Y-MAR")),
        share.colour,
        label=f"{mine['value'].dropna().iloc[-1]:.1f}" if mine["value"].notna().any() else None,
    )
    shown = table[table.index.get_level_values("area").isin([code, *others])]
    low, high = shown["low"].min(), shown["high"].max()
    if share is RECOVERY:
        low, high = min(low, recovery.standard()), max(high, recovery.standard())
    panel.axes.set_ylim(low - 0.15 * (high - low), high + 0.15 * (high - low))
    panel.axes.yaxis.get_major_locator().set_params(nbins=4)
    if share is RECOVERY:
        charts.show_percent(panel.axes)


def plot_standing(area: str, as_of: str, share: Share = RECOVERY) -> charts.Chart:
    """The funnel of the boards with the area in it: its boards for a region, those outside the limits for England."""
    code = data.find_place(area)
    shape, table = standing(share, as_of)
    out = table.index[table["outside"] > 0]
    if code in table.index:
        row = table.loc[code]
        named, title = (
            [code],
            f"{_capital(possessive(code))} {share.phrase} lies "
            f"{f'{row.side} the {row.outside:g}%' if row.outside else 'within the 95%'} limits for boards of its "
            "size",
        )
    elif code in list_codes("icb"):
        named, title = [], f"{places().at[code, 'name']} has no {share.phrase} that can be compared; the other boards"
    else:
        group = table.index[table.index.isin(list_members(code))]
        named, beyond = (out if code == ENGLAND else group), len(out.intersection(group))
        title = (
            f"{beyond or 'None'} of {'' if code == ENGLAND else 'the '}{len(group)} "
            f"boards{'' if code == ENGLAND else f' of {name(code)}'} {'lies' if beyond == 1 else 'lie'} outside the "
            f"95% limits in the {share.phrase}"
        )
    return draw_funnel(f"area_funnel_{share.part}", title, share, shape, table, named, as_of)


def draw_funnel(
    chart: str,
    title: str,
    share: Share,
    shape: funnel.Funnel,
    table: pd.DataFrame,
    named: pd.Index | list[str],
    as_of: str,
) -> charts.Chart:
    """A funnel plot of boards; `named` ones in colour and by name."""
    year = periods.label(years(as_of)[-1])
    canvas = charts.open_canvas(
        chart,
        title,
        f"{share.unit}, by board, {year}",
        [
            "Limits at 95% and 99.8% for chance and the usual spread between boards (Spiegelhalter 2005: φ "
            f"{shape.phi:.0f}, τ² {shape.tau2:.2g} on the {'log' if share.kind == 'ratio' else 'arcsine'} scale). "
            "The vertical axis does not start at zero."
        ],
        SOURCES,
        as_of,
        height=3.6,
    )
    axes, colour, grey = canvas.axes, charts.COLOURS[share.colour], charts.COLOURS["plain"]
    x = np.linspace(table["whole"].min() * 0.75, table["whole"].max() * 1.04, 120)
    for level, style in ((0.95, (0, (4, 2))), (0.998, "-")):
        for edge in shape.limits(x, level):
            axes.plot(x, edge, color=grey, linewidth=1, linestyle=style, zorder=2)
            charts.add_label(
                canvas, x[-1], edge[-1], f"{words.percent(100 * level, 1 if level > 0.99 else 0)} limit", grey
            )
    axes.axhline(100 * shape.target, color=charts.INK, linewidth=1, zorder=2)
    charts.add_label(canvas, x[-1], 100 * shape.target, f"England {100 * shape.target:.1f}", charts.INK)
    rest = table.drop(index=named)
    axes.scatter(rest["whole"], rest["value"], s=22, color=grey, alpha=0.55, linewidths=0, zorder=3)
    axes.scatter(table.loc[named, "whole"], table.loc[named, "value"], s=42, color=colour, zorder=4)
    low, high = (
        min(shape.limits(x, 0.998)[0].min(), table["value"].min()),
        max(shape.limits(x, 0.998)[1].max(), table["value"].max()),
    )
    axes.set_ylim(low - 0.1 * (high - low), high + 0.06 * (high - low))
    axes.set_xlim(x[0], x[-1])
    axes.xaxis.get_major_locator().set_params(nbins=6)
    axes.xaxis.set_major_formatter(lambda value, _: words.count(value))
    below = {"at_caseness": "finished a course at caseness →", REFERRALS: "referrals received →"}[share.whole]
    axes.annotate(
        below,
        (1, 0),
        xycoords="axes fraction",
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=8.6,
        color=charts.QUIET,
    )
    if share.kind == "proportion":
        charts.show_percent(axes)
    spots = lambda frame: pd.DataFrame(
        {"x": frame["whole"], "y": frame["value"], "text": places().loc[frame.index, "name"], "colour": colour}
    )
    charts.name_points(canvas, spots(table.loc[named]), spots(rest))
    low95, high95 = shape.limits(table["whole"])
    frame = (
        table.assign(name=places().loc[table.index, "name"], lower_95=low95, upper_95=high95)
        .sort_values("name")[
            ["name", "part", "whole", "value", "low", "high", "lower_95", "upper_95", "score", "outside"]
        ]
        .rename(columns={"part": share.part, "whole": share.whole})
    )
    return charts.close_canvas(canvas, frame.reset_index(), _describe_funnel(share, shape, table, named))


def _describe_funnel(share: Share, shape: funnel.Funnel, table: pd.DataFrame, named: pd.Index | list[str]) -> str:
    beyond = table.index[table["outside"] > 0]
    list_rates = lambda codes: words.listed(
        [f"{places().at[code, 'name']} {table.at[code, 'value']:.1f}" for code in codes] or ["none"]
    )
    also = [code for code in named if code not in beyond]
    return (
        f"Funnel plot of {len(table)} boards: {share.name.lower()} from {table['value'].min():.1f} to "
        f"{table['value'].max():.1f} against size, England {100 * shape.target:.1f}. Outside the 95% limits: "
        f"{list_rates(beyond)}." + (f" Inside: {list_rates(also)}." if also else "")
    )
