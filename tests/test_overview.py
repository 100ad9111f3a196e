"""The screen of `iapt check` shows what is there, what is missing, and what does not agree."""

import re

import pytest
from publishing import NEXT, change

from iapt import cli, data
from iapt.data import overview
from iapt.running import reports

STARTS = {"frequency": "month", "period": "2025-08", "measure": "started_treatment"}


@pytest.fixture
def check(capsys):
    def run() -> str:
        assert cli.main(["check"]) == 0
        return capsys.readouterr().out

    return run


def test_it_fits_on_one_screen_and_names_every_topic_with_its_first_and_last_figure(tables, check):
    screen = check()
    assert len(screen.splitlines()) <= 50
    topics = data.load()["measures"]["topic"].value_counts()
    assert all(re.search(rf"^{topic} +{count} ", screen, re.MULTILINE) for topic, count in topics.items())
    assert re.search(r"access +3 +2008-09 to 2024-25 +2008-09 Q3 to 2019-20 Q3 +2013-04 to 2026-03", screen)
    assert "newest month: March 2026" in screen.splitlines()[0]


def test_the_newest_month_follows_the_data(tables, check, tmp_path):
    (tmp_path / "x.csv").write_bytes(change(month=NEXT))
    assert cli.main(["add", str(tmp_path / "x.csv")]) == 0
    screen = check()
    assert "newest month: May 2026" in screen
    assert "publications.csv, not in the data: none" in screen


def test_a_gap_is_shown_from_first_to_last_missing_period(tables):
    assert not [gap for gap in overview.find_gaps(data.known()) if "2023" in gap]
    for month in ("2023-05", "2023-06"):
        tables.drop("england", frequency="month", period=month, measure="waiting_for_treatment")
    assert "Waiting for a first treatment: 2023-05 to 2023-06, 2 months" in overview.find_gaps(data.known())


@pytest.mark.parametrize(
    ("value", "rounded_to", "conflicts"),
    [("88146", "", 0), ("88200", "", 1), ("88000", "1000", 0), ("87000", "1000", 1)],
)
def test_a_conflict_is_one_beyond_rounding_and_shown_with_its_size(tables, value, rounded_to, conflicts):
    tables.append("england", **STARTS, value=value, rounded_to=rounded_to, source="psyreflect-2026")
    found = [line for line in overview.find_conflicts(data.known()) if "2025-08" in line]
    assert len(found) == conflicts
    if value == "88200":
        assert found == [
            "Started treatment 2025-08, 0.061%: 88,200 (psyreflect-2026) against 88,146 (nhs-monthly-2025-08)"
        ]


def test_the_conflicts_of_the_committed_data_are_the_known_ones():
    assert len(overview.find_conflicts(data.known())) == 5


@pytest.mark.parametrize("state", ["older than the data", "missing", "up to date"])
def test_reports_out_of_date_are_named(tables, check, monkeypatch, state):
    monkeypatch.setattr(reports, "state_of", lambda run, folder: state if run.name == "access" else "up to date")
    assert ("access: " + state in check()) == (state != "up to date")


def test_a_problem_is_told_and_ends_in_failure(tables, capsys):
    tables.append("england", **STARTS, value="many", source="nhs-monthly-activity")
    assert cli.main(["check"]) == 1
    captured = capsys.readouterr()
    assert "england.csv, row" in captured.err and "'many' is not a number" in captured.err and not captured.out
