"""The 21 claims of the indicator page of 1 May 2020, each recomputed from figures that do not come from it.

Nothing here reads what the page states except to set it beside the recomputed value.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from IPython.display import Markdown

from iapt import data
from iapt.answers import finishing, recovery
from iapt.data import periods
from iapt.models import trends
from iapt.show import words

REPRODUCED = "reproduced"
AGREES = "agrees, with a difference"
ARITHMETIC = "arithmetic checked, inputs from the page alone"
DIFFERS = "differs"
UNCHECKED = "cannot be checked"
STATES = (REPRODUCED, AGREES, ARITHMETIC, DIFFERS, UNCHECKED)
CLOSE = 0.005
"""An independent figure within half a per cent of the stated one agrees with it; further off it differs."""

YEAR, QUARTER = (lambda text: periods.parse(text, "year")), (lambda text: periods.parse(text, "quarter"))


@dataclass(frozen=True)
class Finding:
    """What the figures say about a claim: `value` comes from sources other than the page unless `from_page`."""

    value: float | str | None
    basis: str
    from_page: bool = False


def _independent(measure: str, frequency: str, as_of: str) -> pd.Series:
    return data.figures(measure, frequency, as_of, without=(data.PAGE,))["value"].astype(float)


def _stated_by_page(measure: str, period: pd.Period, as_of: str) -> float:
    rows = data.known(as_of)
    rows = rows[(rows["source"] == data.PAGE) & (rows["measure"] == measure) & (rows["period"] == period)]
    return float(rows["value"].iloc[0]) if len(rows) else np.nan


def _target(name: str) -> float:
    return float(data.load()["targets"].set_index("id").at[name, "value"])


def _four_quarters(measure: str, year: str, as_of: str) -> float:
    return _independent(measure, "quarter", as_of).reindex(periods.parts(YEAR(year), "quarter")).sum(skipna=False)


def _only_on_page(measure: str, year: str) -> Callable[[str], Finding]:
    def find(as_of: str) -> Finding:
        value = _independent(measure, "year", as_of).get(YEAR(year), np.nan)
        if pd.notna(value):
            return Finding(value, "another source")
        return Finding(_stated_by_page(measure, YEAR(year), as_of), "no other source held here gives this figure", True)

    return find


def _growth_since_2011(measure: str, later: Callable[[str], float]) -> Callable[[str], Finding]:
    def find(as_of: str) -> Finding:
        start = _stated_by_page(measure, YEAR("2011-12"), as_of)
        return Finding(
            100 * (later(as_of) / start - 1),
            "the later year from official figures, 2011/12 from the page; two collections",
            True,
        )

    return find


def _referrals_2018(as_of: str) -> float:
    return _four_quarters("referrals_received", "2018-19", as_of)


def _starts_2018(as_of: str) -> float:
    return _independent("started_treatment", "year", as_of).get(YEAR("2018-19"), np.nan)


def _find_referrals_2018(as_of: str) -> Finding:
    annual = _independent("referrals_received", "year", as_of).get(YEAR("2018-19"), np.nan)
    return Finding(
        _referrals_2018(as_of),
        f"sum of the four quarters published by OHID; the annual report gives {words.count(annual)}"
        if pd.notna(annual)
        else "sum of the four quarters published by OHID",
    )


def _find_doubled(as_of: str) -> Finding:
    return Finding(
        _starts_2018(as_of) / _stated_by_page("started_treatment", YEAR("2011-12"), as_of),
        "2018/19 from twelve months, 2011/12 from the page; two collections",
        True,
    )


def _find_target_2015(as_of: str) -> Finding:
    goal = _target("access-2015")
    months = data.series("started_treatment", "quarter", as_of)
    year = _independent("started_treatment", "year", as_of).get(YEAR("2014-15"), np.nan)
    rate = 4 * months.get(QUARTER("2014-15 Q4"), np.nan)
    if pd.isna(year):
        return Finding(None, "2014/15 not known")
    words_ = (
        f"{words.count(rate)} a year at the rate of January to March 2015, which was how it was judged, but "
        f"{words.count(year)} in the year 2014/15 itself"
    )
    return Finding(
        "yes" if year >= goal else "on the run-rate of its last quarter only" if rate >= goal else "no", words_
    )


def _find_gap(as_of: str) -> Finding:
    return Finding(
        _target("access-2024") - _starts_2018(as_of), "target from the page, 2018/19 from twelve months", True
    )


def _find_finished(as_of: str) -> Finding:
    return Finding(
        _independent("finished_course", "quarter", as_of).get(QUARTER("2019-20 Q3"), np.nan),
        "sum of three published months",
    )


def _find_finished_growth(as_of: str) -> Finding:
    later = _independent("finished_course", "quarter", as_of).get(QUARTER("2016-17 Q2"), np.nan)
    if np.isnan(later):
        return Finding(None, "neither Q1 2012/13 nor Q2 2016/17 was known")
    stated = float(data.load()["claims_2020"].set_index("id").at["finished-growth", "stated"])
    return Finding(
        None,
        f"no figure for Q1 2012/13 is published; with {words.count(later)} in Q2 2016/17 the claim implies about "
        f"{words.count(round(later / (1 + stated / 100), -3))}",
    )


def _three_years(measure: str) -> Callable[[str], Finding]:
    def find(as_of: str) -> Finding:
        y = _independent(measure, "quarter", as_of)
        return Finding(trends.growth(y, QUARTER("2016-17 Q3"), QUARTER("2019-20 Q3")), "Q3 2016/17 against Q3 2019/20")

    return find


def _find_stalled(as_of: str) -> Finding:
    if _independent("finished_course", "quarter", as_of).get(QUARTER("2019-20 Q3")) is None:
        return Finding(None, "Q3 2019/20 not known")
    fit = finishing.fit_slowdown(as_of)
    low, high = fit.after_interval
    since, until = fit.break_interval
    basis = (
        f"growth slowed from {words.percent(fit.before, 1)} a year to {words.percent(fit.after, 1)} "
        f"({words.percent(low, 1)} to {words.percent(high, 1)}), and it did so earlier, in {periods.label(since)} "
        f"to {periods.label(until)}"
    )
    return Finding("yes" if fit.stalled else "slowed, not stalled", basis)


def _find_recovery_2012(as_of: str) -> Finding:
    first = data.series("recovery_rate", "quarter", as_of)[QUARTER("2012-13 Q2") :].dropna()
    return Finding(
        None,
        f"from the KPI collection, held nowhere else; the data set begins with {words.percent(first.iloc[0], 1)} in "
        f"{periods.label(first.index[0])}"
        if len(first)
        else "from the KPI collection, held nowhere else",
    )


def _find_recovery_2019(as_of: str) -> Finding:
    months = _independent("recovery_rate", "month", as_of).reindex(periods.parts(QUARTER("2019-20 Q3"), "month"))
    if months.isna().any():
        return Finding(None, "its months are not known")
    low, high = months.min(), months.max()
    basis = (
        f"its three months lie between {words.percent(low, 1)} and {words.percent(high, 1)}, and so does the quarter"
    )
    return Finding(low if round(low) == round(high) else None, basis)


def _find_first_met(as_of: str) -> Finding:
    first = recovery.first_met(as_of)
    return Finding(
        periods.write(first) if first is not None else None, "recovered over at caseness, three months together"
    )


def _find_met_since(as_of: str) -> Finding:
    later = recovery.since_met(as_of)[: QUARTER("2019-20 Q3")]
    if QUARTER("2019-20 Q3") not in later.index:
        return Finding(None, "not known up to Q3 2019/20")
    verdict = "yes" if (later["verdict"] == "met").all() else "no"
    return Finding(verdict, f"{(later['verdict'] == 'met').sum()} of {len(later)} quarters after the first")


def _find_step(later: str, earlier: str) -> Callable[[str], Finding]:
    return lambda as_of: Finding(
        _target(later) - _target(earlier), f"{words.count(_target(later))} less {words.count(_target(earlier))}", True
    )


def _find_share_of_need(as_of: str) -> Finding:
    target = data.load()["targets"].set_index("id").loc["access-2015"]
    return Finding(
        target["share"] / 100 * target["base"],
        f"{words.percent(target['share'])} of a prevalence of {words.count(target['base'])}",
        True,
    )


FINDERS: dict[str, Callable[[str], Finding]] = {
    "access-target-2015": _find_share_of_need,
    "access-target-increase-2021": _find_step("access-2021", "access-2015"),
    "access-target-increase-2024": _find_step("access-2024", "access-2021"),
    "referrals-2011-12": _only_on_page("referrals_received", "2011-12"),
    "referrals-2018-19": _find_referrals_2018,
    "referrals-growth": _growth_since_2011("referrals_received", _referrals_2018),
    "started-2011-12": _only_on_page("started_treatment", "2011-12"),
    "started-2018-19": lambda as_of: Finding(_starts_2018(as_of), "sum of twelve published months"),
    "started-doubled": _find_doubled,
    "target-2015-met": _find_target_2015,
    "target-2024": lambda as_of: Finding(_target("access-2024"), "1,500,000 and a further 380,000", True),
    "target-2024-gap": _find_gap,
    "finished-growth": _find_finished_growth,
    "finished-q3-2019-20": _find_finished,
    "finished-3y": _three_years("finished_course"),
    "started-3y": _three_years("started_treatment"),
    "finished-stalled": _find_stalled,
    "recovery-2012": _find_recovery_2012,
    "recovery-2019": _find_recovery_2019,
    "recovery-target-first": _find_first_met,
    "recovery-target-since": _find_met_since,
}


def judge(claim: pd.Series, finding: Finding) -> str:
    """The state of a claim: one of STATES, from what the page states and what was found without it."""
    if finding.value is None or (isinstance(finding.value, float) and np.isnan(finding.value)):
        return UNCHECKED
    if isinstance(finding.value, str):
        return REPRODUCED if finding.value == claim["stated"] else DIFFERS
    stated = float(claim["stated"])
    if claim["note"] == "at least":
        same = finding.value > stated
    elif claim["note"].startswith("whole per cent"):
        same = round(finding.value) == stated
    elif claim["note"].startswith("cut to whole thousands"):
        same = finding.value // 1000 * 1000 == stated
    else:
        same = round(finding.value) == stated
    if same:
        return ARITHMETIC if finding.from_page else REPRODUCED
    return AGREES if abs(finding.value / stated - 1) <= CLOSE and not finding.from_page else DIFFERS


def check(as_of: str) -> pd.DataFrame:
    """All claims of the page with what the figures known on a day say: stated, value, difference, state, basis."""
    claims = data.load()["claims_2020"].set_index("id")
    rows = []
    for name, claim in claims.iterrows():
        if name not in FINDERS:
            raise ValueError(f"claims_2020.csv has a claim {name!r} that nothing checks; known: {', '.join(FINDERS)}")
        finding = FINDERS[name](as_of)
        state = judge(claim, finding)
        number = not isinstance(finding.value, str) and state != UNCHECKED
        rows.append(
            {
                "id": name,
                "chart": claim["chart"],
                "claim": claim["claim"],
                "stated": claim["stated"],
                "unit": claim["unit"],
                "value": finding.value if state != UNCHECKED else None,
                "difference": finding.value - float(claim["stated"]) if number else None,
                "state": state,
                "basis": finding.basis,
            }
        )
    return pd.DataFrame(rows).set_index("id")


# ---------------------------------------------------------------- sentences


def answer(as_of: str) -> Markdown:
    """How many claims stand, in one sentence."""
    states = check(as_of)["state"].value_counts()
    total = states.sum()
    return words.say(
        f"**Of {total} claims, "
        f"{words.listed(f'{states[state]} {_plain(state)}' for state in STATES if state in states)}.**"
    )


def _plain(state: str) -> str:
    return {
        REPRODUCED: "are reproduced from independent sources",
        AGREES: "agree with an independent source within half a per cent",
        ARITHMETIC: "hold arithmetically but rest on the page’s own inputs",
        DIFFERS: "differ",
        UNCHECKED: "cannot be checked",
    }[state]


def show(as_of: str, chart: str | None = None) -> words.Table:
    """The claims, or those of one chart of the page (access, finished, recovery), as a table."""
    rows = check(as_of)
    rows = rows[rows["chart"] == chart] if chart else rows
    table = pd.DataFrame(
        {
            "The page says": rows["claim"],
            "Stated": [_show(value, unit) for value, unit in zip(rows["stated"], rows["unit"])],
            "Recomputed": [_show(value, unit) for value, unit in zip(rows["value"], rows["unit"])],
            "State": rows["state"],
            "On what basis": rows["basis"],
        }
    )
    return words.Table("claims", f"The page of 1 May 2020, claim by claim, {words.vintage(as_of)}", table)


def _show(value: object, unit: str) -> str | None:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    if unit == "quarter" and re.fullmatch(r"\d{4}-\d{2} Q\d", str(value)):
        return periods.label(QUARTER(value))
    if unit not in ("people", "referrals", "per cent", "times"):
        return str(value)
    number = float(value)
    if unit == "per cent":
        return words.percent(number, 0 if isinstance(value, str) else 1)
    return f"{number:.2f} times" if unit == "times" else words.count(number)
