"""The 21 claims of the page of 1 May 2020 in notebook 04: their numbers, and that none is judged by itself."""

import csv
import json
import re
import shutil

import notebook
import pytest

from iapt import data
from iapt.paths import NOTEBOOKS, ROOT

DAY = "2020-05-01"
REPRODUCED, AGREES, ARITHMETIC = "reproduced", "agrees, with a difference", "arithmetic"
DIFFERS, UNCHECKED = "differs", "not checkable"
STATES = {
    "access-target-2015": ARITHMETIC,
    "access-target-increase-2021": ARITHMETIC,
    "access-target-increase-2024": ARITHMETIC,
    "referrals-2011-12": ARITHMETIC,
    "referrals-2018-19": REPRODUCED,
    "referrals-growth": ARITHMETIC,
    "started-doubled": ARITHMETIC,
    "started-2011-12": ARITHMETIC,
    "started-2018-19": AGREES,
    "target-2015-met": DIFFERS,
    "target-2024": ARITHMETIC,
    "target-2024-gap": ARITHMETIC,
    "finished-growth": UNCHECKED,
    "finished-stalled": DIFFERS,
    "finished-q3-2019-20": AGREES,
    "finished-3y": REPRODUCED,
    "started-3y": REPRODUCED,
    "recovery-2012": UNCHECKED,
    "recovery-2019": REPRODUCED,
    "recovery-target-first": REPRODUCED,
    "recovery-target-since": REPRODUCED,
}
RECOMPUTED = {
    # sums of published quarters and months (OHID Fingertips 90747 and 90592; NHS Digital, February 2020)
    "referrals-2018-19": 1_596_637,
    "started-2018-19": 1_092_111,
    "finished-q3-2019-20": 147_781,
    # growth of these, by hand
    "started-3y": 20.72,
    "finished-3y": 8.05,
    "referrals-growth": 79.91,
    "started-doubled": 2.05,
    # 1,880,000 less 1,092,111 is 787,889, which the page cut to thousands
    "target-2024-gap": 787_000,
    # the page's own sums
    "access-target-2015": 900_000,
    "access-target-increase-2021": 600_000,
    "access-target-increase-2024": 380_000,
    "target-2024": 1_880_000,
    "referrals-2011-12": 887_452,
    "started-2011-12": 533_550,
    # three monthly rates between 50.6 and 51.3
    "recovery-2019": 50.87,
    "target-2015-met": "no",
    "finished-stalled": "growing",
    "recovery-target-first": "Q4 2016/17",
    "recovery-target-since": "yes",
}


@pytest.fixture(scope="module")
def found():
    return notebook.run("04_claims", as_of=DAY)["claims"]


@pytest.fixture
def change(tmp_path, monkeypatch):
    """Rewrite the rows of a table in a copy of the data; the claims of notebook 04 on that copy."""
    folder = tmp_path / "data"
    shutil.copytree(ROOT / "data", folder)
    monkeypatch.setenv("IAPT_DATA", str(folder))

    def rewrite(edit):
        path = folder / "england.csv"
        with path.open(encoding="utf-8", newline="") as handle:
            rows = list(csv.DictReader(handle))
        changed = edit([dict(row) for row in rows])
        assert changed != rows
        with path.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.DictWriter(handle, rows[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(changed)
        data.forget()
        return notebook.run("04_claims", as_of=DAY)["claims"]

    yield rewrite
    data.forget()


def test_every_claim_has_its_state_in_the_order_of_the_page(found):
    assert list(found["state"].items()) == list(STATES.items())
    assert found.index.tolist() == data.load()["claims_2020"]["id"].tolist()


def test_what_the_page_states_is_what_the_claims_table_holds(found):
    held = data.load()["claims_2020"].set_index("id")["stated"].replace({"2016-17 Q4": "Q4 2016/17"})
    assert found["stated"].astype(str).to_dict() == held.astype(str).to_dict()


def test_every_number_is_recomputed(found):
    assert found["recomputed"].dropna().to_dict() == RECOMPUTED


def test_the_quoted_words_of_each_claim_stand_above_the_line_that_computes_it():
    cells = json.loads((NOTEBOOKS / "04_claims.ipynb").read_text(encoding="utf-8"))["cells"]
    above, quoted = "", {}
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            above = source if "\n>" in f"\n{source}" else above
        for line in source.splitlines():
            quoted |= {name: above for name in re.findall(r'claim\("([^"]+)", stated=.+computed=.+\)', line)}
    page = data.load()["claims_2020"].set_index("id")["claim"]
    assert list(quoted) == page.index.tolist()
    assert [name for name, text in page.items() if text not in quoted[name]] == []


def test_the_headline_says_which_claims_differ():
    run = notebook.run("04_claims", as_of=DAY)
    assert "2 are contradicted by other figures" in run.headline and "2015 access target has been met" in run.headline
    assert "improvement has stalled" in run.headline
    table = run.named("claims").frame
    assert table["Unit"].tolist().count("verdict") == 3
    assert len(table) == 22 and table["State"].iloc[-1] == "tested separately"


def test_what_differs_or_cannot_be_checked_says_why(found):
    why = found["on_what_basis"]
    assert "821,363 in 2014/15" in why["target-2015-met"] and "955,392" in why["target-2015-met"]
    assert "to 2.4% a year (0.8% to 4.1%)" in why["finished-stalled"]
    assert "88,000" in why["finished-growth"]


def test_without_independent_figures_nothing_is_reproduced(change):
    """For the figures that the page itself gives, all other sources are taken away."""
    page = {("referrals_received", "2018-19"), ("started_treatment", "2018-19"), ("finished_course", "2019-20")}
    year_of = lambda text: text[:7] if len(text) != 7 or text[5:] > "12" else None
    inside = lambda row: any(
        row["measure"] == measure
        and (year_of(row["period"]) == year or f"{year[:4]}-04" <= row["period"] <= f"20{year[5:]}-03")
        for measure, year in page
    )
    found = change(lambda rows: [row for row in rows if row["source"] == data.PAGE or not inside(row)])
    for claim in ("referrals-2018-19", "started-2018-19", "finished-q3-2019-20"):
        assert STATES[claim] in (REPRODUCED, AGREES) and found.at[claim, "state"] == UNCHECKED


@pytest.mark.parametrize("value, state", [("887452", REPRODUCED), ("900000", DIFFERS)])
def test_a_second_source_decides_what_the_page_alone_gave(change, value, state):
    row = dict(frequency="year", period="2011-12", measure="referrals_received", value=value, rounded_to="", note="")
    found = change(lambda rows: [*rows, row | {"source": "nhs-annual-report-legacy"}])
    assert found.at["referrals-2011-12", "state"] == state


@pytest.mark.parametrize(
    "source, measure, factor, claims",
    [
        ("fingertips-90592", "started_treatment", 1.1, ["started-2018-19"]),
        ("fingertips-90747", "referrals_received", 1.02, ["referrals-2018-19"]),
        (
            "nhs-monthly-time-series-2020-02",
            "finished_course",
            1.1,
            ["finished-q3-2019-20", "finished-3y"],
        ),
        ("nhs-monthly-time-series-2020-02", "recovery_rate", 0.9, ["recovery-2019"]),
    ],
)
def test_other_figures_make_a_claim_differ(change, source, measure, factor, claims):
    def scale(rows):
        for row in rows:
            if (row["source"], row["measure"]) == (source, measure):
                row["value"] = f"{float(row['value']) * factor:.{1 if measure.endswith('_rate') else 0}f}"
        return rows

    found = change(scale)
    assert all(found.at[claim, "state"] == DIFFERS for claim in claims)


@pytest.mark.parametrize(
    "stated, more, state",
    [
        ("100_000", "computed=100_000.4", REPRODUCED),
        ("100_000", "computed=100_000, independent=False", ARITHMETIC),
        ("100_000", "computed=100_499", AGREES),
        ("100_000", "computed=99_501", AGREES),
        ("100_000", "computed=100_501", DIFFERS),
        ("100_000", "computed=100_499, independent=False", DIFFERS),
        ("8", "computed=8.49", REPRODUCED),
        ("8", "computed=8.51", DIFFERS),
        ("2", "computed=2.9, at_least=True", REPRODUCED),
        ("2", "computed=1.9, at_least=True", DIFFERS),
        ("'yes'", "computed='yes'", REPRODUCED),
        ("'yes'", "computed='no'", DIFFERS),
        ("'yes'", "computed=None", UNCHECKED),
        ("100_000", "computed=float('nan'), independent=False", UNCHECKED),
    ],
)
def test_the_state_follows_from_what_was_stated_and_what_was_found(rule, stated, more, state):
    assert eval(f"claim('id', stated={stated}, {more})", rule)["state"] == state


@pytest.fixture(scope="module")
def rule():
    """The function that judges, as the notebook defines it."""
    return dict(notebook.run("04_claims", as_of=DAY))


def test_in_march_2015_what_lies_ahead_cannot_be_checked():
    found = notebook.run("04_claims", as_of="2015-03-31")["claims"]
    past = ["access-target-2015", "access-target-increase-2021", "access-target-increase-2024", "target-2024"]
    assert found["state"].drop(past).eq(UNCHECKED).all() and found["state"][past].eq(ARITHMETIC).all()
    assert not found["on_what_basis"].str.contains("nan").any()
