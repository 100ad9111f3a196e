"""Adding publications: what is new, revised or doubtful, and that earlier vintages stay as they are."""

import csv
import datetime
import io
import os
import subprocess
import sys
from pathlib import Path

import frictionless
import pytest
from publishing import AUGUST_2025, MONTHS, annual, change, copy_data, digest, figures

from iapt import cli, data
from iapt.data import additions
from iapt.data.publications import Refusal, read

NEXT = "2025-10"
"""A month of 31 days after the newest one in the data."""


@pytest.fixture
def held(tmp_path, monkeypatch):
    return copy_data(tmp_path, monkeypatch)


@pytest.fixture
def add(tmp_path):
    """Run `iapt add` on the content of a file; with files already written, on those."""

    def run(content: bytes, *options: str, name: str = "file.csv") -> int:
        (tmp_path / name).write_bytes(content)
        return cli.main(["add", *options, str(tmp_path / name)])

    return run


def read_card(folder, source: str) -> dict[str, str]:
    with (folder / "sources.csv").open(encoding="utf-8", newline="") as handle:
        return next(row for row in csv.DictReader(handle) if row["id"] == source)


@pytest.mark.parametrize("path", MONTHS)
def test_a_sample_added_to_no_figures_gives_those_that_the_data_hold(tmp_path, monkeypatch, path):
    committed = figures(data.folder(), period=MONTHS[path])
    folder = copy_data(tmp_path, monkeypatch, empty=True)
    assert cli.main(["add", str(path)]) == 0
    unsourced = [
        [{**row, "source": ""} for row in sorted(rows, key=lambda row: row["measure"])]
        for rows in (figures(folder), committed)
    ]
    assert unsourced[0] == unsourced[1] and len(unsourced[0]) == 11


def test_the_samples_added_to_the_data_change_nothing(held, capsys):
    before = digest(held)
    assert cli.main(["add", *map(str, MONTHS)]) == 0
    assert digest(held) == before
    assert capsys.readouterr().out.count("0 new, 0 revised, 11 as held") == 3


def test_the_next_month_is_added_with_a_card_that_leads_to_its_file(held, add, capsys):
    content = change(month=NEXT)
    assert add(content, "--published", "2026-01-15", name="month.csv") == 0
    assert "11 new, 0 revised, 0 as held; 0 suppressed" in capsys.readouterr().out
    assert str(data.newest_month()) == NEXT
    assert data.series("started_treatment", "month").iloc[-1] == 88146
    assert data.known("2026-01-14").equals(data.known()[lambda table: table["available"] <= "2026-01-14"])
    assert NEXT not in data.series("started_treatment", "month", "2026-01-14").index.astype(str)
    card = read_card(held, f"nhs-monthly-{NEXT}")
    assert card["title"].endswith("October 2025, England") and card["via"] == "month.csv"
    assert (card["published"], card["lag_days"]) == ("2026-01-15", "")
    assert card["sha256"] == read(held.parent / "month.csv").sha256
    assert card["url"].startswith("https://digital.nhs.uk/")
    assert frictionless.validate(str(held / "datapackage.json")).valid


def test_a_report_is_made_with_the_month_that_was_added(held, add, tmp_path):
    assert add(change(month=NEXT)) == 0
    command = [Path(sys.executable).with_name("iapt"), "report", "access", "--out", str(tmp_path / "reports")]
    subprocess.run(command, env=os.environ | {"IAPT_DATA": str(held)}, check=True, capture_output=True)
    assert "October 2025" in (tmp_path / "reports" / "access" / "index.html").read_text(encoding="utf-8")


def test_a_card_gives_the_address_of_a_listed_file(held, add):
    name = "nhstalkingtherapies_month_oct_2025_activity_performance.csv"
    assert add(change(month=NEXT), name=name) == 0
    assert read_card(held, f"nhs-monthly-{NEXT}")["url"] == f"https://files.digital.nhs.uk/24/2859BB/{name}"


def test_rows_are_only_appended(held, add):
    before = {name: (held / name).read_bytes() for name in ("england.csv", "sources.csv")}
    assert add(change(month=NEXT)) == 0
    for name, old in before.items():
        assert (held / name).read_bytes().startswith(old) and len((held / name).read_bytes()) > len(old)


@pytest.mark.parametrize(
    ("today", "published", "lag"),
    [("2026-01-14", "2026-01-14", ""), ("2026-01-15", "", "75"), ("2030-01-01", "", "75")],
)
def test_a_month_counts_as_known_after_the_usual_lag_or_from_the_day_it_is_there(held, tmp_path, today, published, lag):
    (tmp_path / "x.csv").write_bytes(change(month=NEXT))
    card = additions.plan([read(tmp_path / "x.csv")], today=datetime.date.fromisoformat(today))[0].card
    assert (card["published"], card["lag_days"]) == ((published, lag) if today != "2026-01-14" else ("2026-01-14", ""))


def test_the_annual_report_gives_starts_and_agrees_with_what_is_held(held, add, capsys):
    assert add(annual(Percentage_Recovery="50.6", Count_Recovery="321061"), "--dry-run", name="main-2024-25.csv") == 0
    shown = capsys.readouterr().out
    assert "2024/25: 1 new, 1 revised, 6 as held" in shown
    assert "new      Started treatment" in shown
    assert (
        "revised  Recovery rate                                   50.6, was 50.5 (+0.1, +0.20 %; nhs-annual-report)"
        in shown
    )


# ---------------------------------------------------------------- revisions and vintages

REVISED = {"M001": "132800", "M031": "88200"}


def vintages(days: list[str]) -> dict:
    return {
        (measure, frequency, day): data.figures(measure, frequency, day)
        for measure in data.load()["measures"]["measure"]
        for frequency in ("month", "quarter", "year")
        for day in days
    }


def test_a_revision_is_shown_with_its_size_and_leaves_every_earlier_vintage_as_it_was(held, add, capsys):
    days = ["2021-12-31", "2026-02-09"]
    before = vintages(days)
    assert add(change(**REVISED), "--published", "2026-02-10") == 0
    assert "0 new, 2 revised, 9 as held" in (shown := capsys.readouterr().out)
    assert (
        "revised  Started treatment                             88,200, was 88,146 (+54, +0.06 %; nhs-monthly-activity)"
        in shown
    )
    after = vintages(days)
    assert all(after[key].equals(before[key]) for key in before)
    assert len(figures(held, period="2025-08", measure="started_treatment")) == 2
    assert data.figures("started_treatment", "month", "2026-02-09").loc["2025-08", "value"] == 88146
    newest = data.figures("started_treatment", "month", "2026-02-10").loc["2025-08"]
    assert (newest["value"], newest["source"]) == (88200, "nhs-monthly-2025-08")
    assert data.series("started_treatment", "month")["2025-08"] == 88200
    assert (
        data.series("started_treatment", "quarter").iloc[-1]
        == before["started_treatment", "quarter", "2026-02-09"]["value"].iloc[-1] + 54
    )


def test_a_revision_without_a_date_is_known_from_today_and_after_what_it_revises(held, tmp_path):
    (tmp_path / "x.csv").write_bytes(change(**REVISED))
    revision = read(tmp_path / "x.csv")
    known = {
        today: additions.plan([revision], today=datetime.date.fromisoformat(today))[0].card["published"]
        for today in ("2025-10-01", "2027-03-01")
    }
    assert known == {"2025-10-01": "2025-11-15", "2027-03-01": "2027-03-01"}


@pytest.mark.parametrize(
    ("values", "day", "message"),
    [
        (
            REVISED,
            "2025-11-14",
            "expected a day of publication after the figures that it revises, known from 2025-11-14; found 2025-11-14",
        ),
        ({}, "2025-10-31", "after the end of its period, 2025-10-31"),
    ],
)
def test_a_day_of_publication_that_cannot_be_is_refused(held, add, capsys, values, day, message):
    before = digest(held)
    assert add(change(month="" if values else NEXT, **values), "--published", day) == 2
    assert message in capsys.readouterr().err
    assert digest(held) == before


def test_a_day_of_publication_that_is_no_date_is_refused(add, capsys):
    with pytest.raises(SystemExit):
        add(change(), "--published", "14 Nov")
    assert "'14 Nov' is not a date such as 2026-01-15" in capsys.readouterr().err


def test_the_same_file_again_changes_nothing_even_after_a_later_revision(held, add, capsys):
    first, second = change(**REVISED), change(M001="132900", M031="88200")
    assert add(first, "--published", "2026-02-10", name="first.csv") == 0
    assert add(second, "--published", "2026-03-10", name="second.csv") == 0
    before = digest(held)
    assert add(first, name="first again.csv") == 0
    assert digest(held) == before
    assert [row["source"] for row in figures(held, period="2025-08", measure="referrals_received")] == [
        "nhs-monthly-activity",
        "nhs-monthly-2025-08",
        "nhs-monthly-2025-08-v2",
    ]


def test_going_back_to_a_revised_value_has_to_be_confirmed(held, add, capsys):
    assert add(change(**REVISED), "--published", "2026-02-10") == 0
    before = digest(held)
    assert add(change(), name="old.csv") == 1
    assert "goes back from 88,200 to 88,146, which nhs-monthly-activity gave before" in capsys.readouterr().out
    assert digest(held) == before
    assert add(change(), "--accept", name="old.csv") == 0
    assert data.series("started_treatment", "month")["2025-08"] == 88146


# ---------------------------------------------------------------- doubt, dry runs, several files


@pytest.mark.parametrize(
    ("measure", "nhs_id", "value"),
    [
        ("referrals_received", "M001", "20000"),
        ("referrals_received", "M001", "900000"),
        ("waited_under_6_weeks_rate", "M053", "0"),
    ],
)
def test_a_jump_beyond_what_the_series_has_shown_is_taken_only_when_accepted(held, add, capsys, measure, nhs_id, value):
    before = digest(held)
    content = change(month=NEXT, **{nhs_id: value})
    assert add(content) == 1
    captured = capsys.readouterr()
    assert (
        f"doubt    {data.label(measure)} in {NEXT} is {int(value):,}, " in captured.out and "--accept" in captured.err
    )
    assert digest(held) == before
    assert add(content, "--accept") == 0
    assert data.series(measure, "month").iloc[-1] == int(value)


def test_swings_that_the_series_has_shown_are_not_doubted(held, add):
    assert add(change(month=NEXT, M001="100000")) == 0


def test_a_month_that_has_not_ended_is_doubted(held, add, capsys):
    assert add(change(month="2099-10")) == 1
    assert "2099-10, which ends on 2099-10-31; today is" in capsys.readouterr().out


@pytest.mark.parametrize("options", [["--dry-run"], ["--dry-run", "--accept"]])
def test_a_dry_run_shows_and_writes_nothing(held, add, capsys, options):
    before = digest(held)
    assert add(change(month=NEXT, M001="900000"), *options) == 0
    assert "11 new" in (shown := capsys.readouterr().out) and "nothing was written" in shown
    assert digest(held) == before


def test_a_suppressed_figure_is_listed_and_not_written(held, add, capsys):
    assert add(change(month=NEXT, M038="*")) == 0
    assert (
        "missing  Waiting for a first treatment" in (shown := capsys.readouterr().out)
        and "1 suppressed for England" in shown
    )
    assert not figures(held, period=NEXT, measure="waiting_for_treatment") and len(figures(held, period=NEXT)) == 10


def test_of_several_files_all_are_added_or_none(held, add, tmp_path, capsys):
    good = {month: tmp_path / f"{month}.csv" for month in ("2025-10", "2025-12")}
    for month, path in good.items():
        path.write_bytes(change(month=month))
    bad = tmp_path / "bad.csv"
    bad.write_bytes(b"<html>")
    before = digest(held)
    assert cli.main(["add", *map(str, good.values()), str(bad)]) == 2
    assert digest(held) == before
    assert cli.main(["add", *map(str, good.values())]) == 0
    assert {
        row["period"] for row in figures(held) if row["source"] in ("nhs-monthly-2025-10", "nhs-monthly-2025-12")
    } == set(good)


def test_two_files_for_one_month_are_an_addition_and_its_revision(held, tmp_path):
    for name, values in (("1.csv", {}), ("2.csv", REVISED)):
        (tmp_path / name).write_bytes(change(month=NEXT, **values))
    assert cli.main(["add", "--accept", str(tmp_path / "1.csv"), str(tmp_path / "2.csv")]) == 0
    assert [(row["value"], row["source"]) for row in figures(held, period=NEXT, measure="started_treatment")] == [
        ("88146", f"nhs-monthly-{NEXT}"),
        ("88200", f"nhs-monthly-{NEXT}-v2"),
    ]
    assert data.series("started_treatment", "month").iloc[-1] == 88200


def test_tables_that_would_break_their_description_are_not_written(held, tmp_path, monkeypatch):
    (tmp_path / "x.csv").write_bytes(change(month=NEXT))
    planned = additions.plan([read(tmp_path / "x.csv")])
    planned[0].card["url"] = "nowhere"
    before = digest(held)
    with pytest.raises(data.DataError, match="sources.csv, row .*, column url"):
        additions.write(planned, {})
    assert digest(held) == before


def test_a_digest_is_written_once_and_kept(held):
    address = data.load()["publications"]["address"].iloc[0]
    assert additions.write([], {address: "a" * 64}) == ["publications.csv"]
    assert additions.write([], {address: "b" * 64}) == []
    rows = list(csv.DictReader(io.StringIO((held / "publications.csv").read_text())))
    assert [row["sha256"] for row in rows if row["sha256"]] == ["a" * 64]
    assert data.check() == []


def test_no_data_folder_is_said_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("IAPT_DATA", str(tmp_path / "none"))
    assert cli.main(["add", str(AUGUST_2025)]) == 2
    assert "none" in capsys.readouterr().err


def test_nothing_but_a_refusal_comes_from_a_file_without_figures(held, tmp_path):
    (tmp_path / "x.csv").write_bytes(b"a,b\n1,2\n")
    with pytest.raises(Refusal):
        additions.plan([read(tmp_path / "x.csv")])
