"""The 21 claims of the page of 1 May 2020: their states, their numbers, and that none is judged by itself."""

import csv

import numpy as np
import pandas as pd
import pytest

from iapt import data
from iapt.answers import claims
from iapt.answers.claims import AGREES, ARITHMETIC, DIFFERS, REPRODUCED, UNCHECKED
from iapt.paths import ROOT

DAY = "2020-05-01"
STATES = {
    "access-target-2015": ARITHMETIC,
    "access-target-increase-2021": ARITHMETIC,
    "access-target-increase-2024": ARITHMETIC,
    "referrals-2011-12": ARITHMETIC,
    "referrals-2018-19": REPRODUCED,
    "referrals-growth": ARITHMETIC,
    "started-2011-12": ARITHMETIC,
    "started-2018-19": AGREES,
    "started-doubled": ARITHMETIC,
    "target-2015-met": DIFFERS,
    "target-2024": ARITHMETIC,
    "target-2024-gap": ARITHMETIC,
    "finished-growth": UNCHECKED,
    "finished-q3-2019-20": AGREES,
    "finished-3y": REPRODUCED,
    "started-3y": REPRODUCED,
    "finished-stalled": DIFFERS,
    "recovery-2012": UNCHECKED,
    "recovery-2019": REPRODUCED,
    "recovery-target-first": REPRODUCED,
    "recovery-target-since": REPRODUCED,
}
with (ROOT / "data" / "claims_2020.csv").open(encoding="utf-8", newline="") as handle:
    STATED = {row["id"]: row["stated"] for row in csv.DictReader(handle)}


@pytest.fixture(scope="module")
def found() -> pd.DataFrame:
    return claims.check(DAY)


def judge(claim: str, day: str = DAY) -> tuple[str, object]:
    """The state and value of one claim, without those of the others."""
    finding = claims.FINDERS[claim](day)
    return claims.judge(data.load()["claims_2020"].set_index("id").loc[claim], finding), finding.value


# ---------------------------------------------------------------- states and numbers


def test_every_claim_has_its_state(found):
    assert found["state"].to_dict() == STATES


def test_all_21_are_there_in_the_order_of_the_page_and_19_are_recomputed(found):
    assert found.index.tolist() == list(STATED) and len(found) == 21
    assert (found["state"] != UNCHECKED).sum() == 19
    assert found["value"].notna().sum() == 19
    assert set(claims.FINDERS) == set(STATED)


@pytest.mark.parametrize(
    "claim, value, digits",
    [
        ("referrals-2018-19", 1_596_637, 0),
        ("started-2018-19", 1_092_111, 0),
        ("finished-q3-2019-20", 147_781, 0),
        ("started-3y", 20.7, 1),
        ("finished-3y", 8.05, 2),
        ("referrals-growth", 79.9, 1),
        ("started-doubled", 2.047, 3),
        ("target-2024-gap", 1_880_000 - 1_092_111, 0),
        ("access-target-2015", 900_000, 0),
        ("access-target-increase-2021", 600_000, 0),
        ("access-target-increase-2024", 380_000, 0),
    ],
)
def test_numbers_are_recomputed(found, claim, value, digits):
    assert round(found.at[claim, "value"], digits) == value


@pytest.mark.parametrize(
    "claim, value",
    [
        ("recovery-target-first", "2016-17 Q4"),
        ("recovery-target-since", "yes"),
        ("finished-stalled", "slowed, not stalled"),
    ],
)
def test_verdicts_in_words_are_recomputed(found, claim, value):
    assert found.at[claim, "value"] == value


@pytest.mark.parametrize(
    "claim, difference", [("started-2018-19", -180), ("finished-q3-2019-20", 422), ("referrals-2018-19", 0)]
)
def test_a_difference_is_the_recomputed_figure_less_the_stated_one(found, claim, difference):
    assert found.at[claim, "difference"] == difference


@pytest.mark.parametrize(
    "claim, why",
    [
        ("finished-growth", "no figure for Q1 2012/13 is published"),
        ("finished-growth", "implies about 88,000"),
        ("recovery-2012", "held nowhere else"),
    ],
)
def test_what_cannot_be_checked_says_why(found, claim, why):
    assert (
        found.at[claim, "state"] == UNCHECKED and found.at[claim, "value"] is None and why in found.at[claim, "basis"]
    )


def test_every_claim_that_differs_says_by_how_much_and_why(found):
    assert (
        "821,363 in the year" in found.at["target-2015-met", "basis"]
        and "955,392 a year at the rate" in found.at["target-2015-met", "basis"]
    )
    assert "2.4%" in found.at["finished-stalled", "basis"]
    assert found["basis"].str.len().min() > 10


def test_the_three_year_growth_is_that_of_the_quarters():
    quarters = {p: data.series("finished_course", "quarter", DAY)[p] for p in ("2017Q3", "2020Q3")}
    assert quarters["2020Q3"] == 147_781
    assert 100 * (quarters["2020Q3"] / quarters["2017Q3"] - 1) == pytest.approx(8.06, abs=0.02)


def test_the_table_shows_every_claim_with_its_state():
    frame = claims.show(DAY).frame
    assert len(frame) == 21 and frame["State"].tolist() == list(STATES.values())
    assert frame.loc[frame["State"] == UNCHECKED, "Recomputed"].isna().all()
    assert [len(claims.show(DAY, chart).frame) for chart in ("access", "finished", "recovery")] == [12, 5, 4]


def test_the_answer_counts_the_states():
    text = claims.answer(DAY).data
    for state, number in pd.Series(STATES).value_counts().items():
        assert f"{number} {claims._plain(state)}" in text
    assert text.startswith("**Of 21 claims, ")


# ---------------------------------------------------------------- nothing is judged by itself


def test_values_do_not_come_from_the_list_of_claims(tables, found):
    """With everything that the page states changed, states change and recomputed values do not."""
    rows = tables.read("claims_2020")
    for row in rows:
        row["stated"] = {"yes": "no", "2016-17 Q4": "2015-16 Q4"}.get(row["stated"]) or str(int(row["stated"]) * 2)
    tables.write("claims_2020", rows)
    changed = claims.check(DAY)
    assert changed["value"].tolist() == found["value"].tolist()
    assert (changed["stated"] != found["stated"]).all()
    assert (
        REPRODUCED not in set(changed["state"])
        and AGREES not in set(changed["state"])
        and ARITHMETIC not in set(changed["state"])
    )
    assert changed.index[changed["state"] == UNCHECKED].tolist() == ["finished-growth", "recovery-2012"]


def test_without_independent_figures_nothing_is_reproduced(tables):
    """For every figure that the page itself gives, all other sources are taken away."""
    rows = tables.read("england")
    given = {(row["measure"], row["frequency"], row["period"]) for row in rows if row["source"] == data.PAGE}
    years = {(measure, period) for measure, frequency, period in given if frequency == "year"}
    inside = lambda row: any(
        row["measure"] == measure
        and (row["period"][:7] == year or f"{year[:4]}-04" <= row["period"] <= f"20{year[5:]}-03")
        for measure, year in years
    )
    kept = [row for row in rows if row["source"] == data.PAGE or not inside(row)]
    kept = [
        row
        for row in kept
        if not (row["measure"] == "finished_course" and row["period"] in ("2019-10", "2019-11", "2019-12"))
    ]
    assert len(rows) - len(kept) >= 20
    tables.write("england", kept)
    for claim in ("referrals-2018-19", "started-2018-19", "finished-q3-2019-20"):
        assert STATES[claim] in (REPRODUCED, AGREES)
        assert judge(claim)[0] in (UNCHECKED, ARITHMETIC)


def test_what_the_page_alone_gives_becomes_a_reproduction_only_with_another_source(tables):
    """A second, official figure for 2011/12 that is the same; then one that is not."""
    figure = {
        "frequency": "year",
        "period": "2011-12",
        "measure": "referrals_received",
        "source": "nhs-annual-report-legacy",
    }
    tables.append("england", **figure, value="887452")
    assert judge("referrals-2011-12") == (REPRODUCED, 887_452)
    tables.drop("england", **figure)
    tables.append("england", **figure, value="900000")
    assert judge("referrals-2011-12") == (DIFFERS, 900_000)


@pytest.mark.parametrize(
    "match, factor, claim",
    [
        ({"source": "fingertips-90592"}, 1.1, "started-2018-19"),
        ({"source": "fingertips-90747"}, 1.02, "referrals-2018-19"),
        ({"source": "nhs-monthly-time-series-2020-02", "measure": "finished_course"}, 1.1, "finished-q3-2019-20"),
        ({"source": "nhs-monthly-time-series-2020-02", "measure": "finished_course"}, 1.1, "finished-3y"),
        ({"source": "nhs-monthly-time-series-2020-02", "measure": "recovery_rate"}, 0.9, "recovery-2019"),
    ],
)
def test_other_figures_make_a_claim_differ(tables, match, factor, claim):
    rows = tables.read("england")
    for row in rows:
        if all(row[column] == value for column, value in match.items()):
            row["value"] = (
                f"{float(row['value']) * factor:.1f}"
                if row["measure"].endswith("_rate")
                else str(round(float(row["value"]) * factor))
            )
    tables.write("england", rows)
    assert judge(claim)[0] == DIFFERS


# ---------------------------------------------------------------- the rule


@pytest.mark.parametrize(
    "stated, note, value, from_page, state",
    [
        ("100000", "", 100_000.0, False, REPRODUCED),
        ("100000", "", 100_000.4, False, REPRODUCED),
        ("100000", "", 100_000.0, True, ARITHMETIC),
        ("100000", "", 100_499.0, False, AGREES),
        ("100000", "", 99_501.0, False, AGREES),
        ("100000", "", 100_501.0, False, DIFFERS),
        ("100000", "", 100_499.0, True, DIFFERS),
        ("8", "whole per cent", 8.49, False, REPRODUCED),
        ("8", "whole per cent", 8.51, False, DIFFERS),
        ("787000", "cut to whole thousands", 787_999.0, True, ARITHMETIC),
        ("787000", "cut to whole thousands", 788_000.0, True, DIFFERS),
        ("2", "at least", 2.01, False, REPRODUCED),
        ("2", "at least", 1.9, False, DIFFERS),
        ("yes", "", "yes", False, REPRODUCED),
        ("yes", "", "no", False, DIFFERS),
        ("yes", "", None, False, UNCHECKED),
        ("100000", "", np.nan, False, UNCHECKED),
        ("100000", "", np.nan, True, UNCHECKED),
    ],
)
def test_the_state_follows_from_what_was_stated_and_what_was_found(stated, note, value, from_page, state):
    claim = pd.Series({"stated": stated, "note": note})
    assert claims.judge(claim, claims.Finding(value, "", from_page)) == state


@pytest.mark.parametrize("day", ["2015-03-31", "latest"])
def test_other_vintages_have_the_same_21_claims_and_no_unknown_state(day):
    table = claims.check(day)
    assert table.index.tolist() == list(STATED) and set(table["state"]) <= set(claims.STATES)
    assert not any("nan" in basis for basis in table["basis"])


def test_in_march_2015_what_lies_ahead_cannot_be_checked():
    after = claims.check("2015-03-31")["state"]
    ahead = [
        "referrals-2018-19",
        "started-2018-19",
        "started-doubled",
        "target-2024-gap",
        "finished-q3-2019-20",
        "finished-3y",
        "started-3y",
        "finished-stalled",
        "recovery-2019",
        "recovery-target-first",
        "recovery-target-since",
    ]
    assert after[ahead].to_dict() == dict.fromkeys(ahead, UNCHECKED)
