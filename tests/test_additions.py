"""Adding publications: what is new, revised or doubtful, and that earlier vintages stay as they are."""

import csv
import datetime
import gzip
import hashlib
import io
import json
import re
from decimal import Decimal

import frictionless
import pytest
from conftest import execute
from publishing import (
    ANNUAL,
    AUGUST_2025,
    MARCH_2021,
    MARCH_2026,
    MONTHS,
    NEWEST,
    NEXT,
    change,
    change_annual,
    copy_data,
    digest,
    drop,
    figures,
    read_rows,
    shrink_data,
    write_csv,
)  # fmt: skip

from iapt import cli, data
from iapt.data import additions, publications, recording
from iapt.data.publications import Refusal, read

COUNT = len(read(AUGUST_2025).figures)


@pytest.fixture
def held(tmp_path, monkeypatch):
    return shrink_data(tmp_path, monkeypatch)


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


@pytest.mark.parametrize("path", [MARCH_2021, AUGUST_2025, MARCH_2026])
def test_a_month_taken_out_and_added_again_gives_the_same_bytes(tmp_path, monkeypatch, path):
    """But for the digest of the file: the samples are extracts."""
    folder = copy_data(tmp_path, monkeypatch)
    before = {table.name: table.read_text(encoding="utf-8") for table in folder.iterdir()}
    source = f"nhs-monthly-{MONTHS[path]}"
    rows, (card,) = drop(folder, "england", source=source), drop(folder, "sources", id=source)
    gone = drop(folder, "changes", card=source)
    assert len(rows) == len(read(path).figures)
    assert cli.main(["add", str(path)]) == 0
    after = {table.name: table.read_text(encoding="utf-8") for table in folder.iterdir()}
    assert after["england.csv"] == before["england.csv"]
    assert after["sources.csv"] == before["sources.csv"].replace(card["sha256"], read(path).sha256)
    (row,) = figures(folder, "changes", card=source)
    assert row | {"added": gone[0]["added"], "detail": gone[0]["detail"]} == gone[0]
    del before["england.csv"], before["sources.csv"], before["changes.csv"]
    assert before.items() <= after.items()


@pytest.mark.parametrize("taken_out", ["rows alone", "rows and the card"])
def test_figures_taken_out_come_back_to_the_same_bytes_whatever_else_was_left(held, add, taken_out):
    content = change(month=NEXT)
    assert add(content) == 0
    before = digest(held)
    drop(held, "england", source=f"nhs-monthly-{NEXT}")
    if taken_out == "rows and the card":
        drop(held, "sources", id=f"nhs-monthly-{NEXT}")
    assert add(content) == 0
    assert digest(held) == before


def test_the_samples_added_to_the_data_change_nothing(tmp_path, monkeypatch, capsys):
    held = copy_data(tmp_path, monkeypatch)
    before = digest(held)
    assert cli.main(["add", *map(str, [*MONTHS, *ANNUAL])]) == 0
    assert digest(held) == before
    shown = capsys.readouterr().out
    assert shown.count(" 0 new, 0 revised, ") == len(MONTHS) + 4 * len(ANNUAL)
    assert "all of it is in the data already" in shown


@pytest.mark.parametrize("path", ANNUAL)
def test_a_year_taken_out_is_added_for_england_areas_and_groups_at_once(tmp_path, monkeypatch, path):
    folder = copy_data(tmp_path, monkeypatch)
    year, found = ANNUAL[path], {}
    for table in publications.PLACES:
        found[table] = drop(folder, table, **{"period" if table == "england" else "year": year})
    assert cli.main(["add", str(path)]) == 0
    for table, rows in found.items():
        unsourced = lambda rows: sorted(tuple(row.values()) for row in rows)
        new = figures(folder, table, source=f"nhs-annual-{year}")
        published = [row for row in rows if row["source"].startswith("nhs-annual-report") and not row.get("rounded_to")]
        same = [{**row, "source": "", "note": ""} for row in published if row["source"] != "nhs-annual-report-pages"]
        assert unsourced({**row, "source": "", "note": ""} for row in new) == unsourced(same) and len(new) > 20
    (row,) = figures(folder, "changes", card=f"nhs-annual-{year}")
    assert row["what"] == "added" and row["detail"] == ", ".join(
        f"{len(figures(folder, table, source=row['card'])):,} {words}" for table, words in recording.IN_WORDS.items()
    )
    assert data.check() == []


def test_the_next_month_is_added_with_a_card_that_leads_to_its_file(held, add, capsys):
    content = change(month=NEXT)
    assert add(content, "--published", "2026-07-16", name="month.csv") == 0
    assert f"{COUNT} new, 0 revised, 0 as held; " in capsys.readouterr().out
    assert str(data.newest_month()) == NEXT
    assert data.known("2026-07-15").equals(data.known()[lambda table: table["available"] <= "2026-07-15"])
    assert NEXT not in data.series("started_treatment", "month", "2026-07-15").index.astype(str)
    card = read_card(held, f"nhs-monthly-{NEXT}")
    assert card["title"].endswith("May 2026, England") and card["via"] == "month.csv"
    assert (card["published"], card["lag_days"]) == ("2026-07-16", "")
    assert card["sha256"] == read(held.parent / "month.csv").sha256
    assert card["url"].startswith("https://digital.nhs.uk/")
    (row,) = figures(held, "changes", card=card["id"])
    assert (row["what"], row["period"], row["figures"]) == ("added", NEXT, str(COUNT))
    assert frictionless.validate(str(held / "datapackage.json")).valid


def test_a_month_since_boards_ended_and_began_is_added_and_read_back(held, add):
    header, *rows = csv.reader(change(month="2026-04").decode().splitlines())
    new = [*rows[0][:2], "Integrated Care Board (ICB)", "S1Y5D", "NHS CENTRAL EAST INTEGRATED CARE BOARD", "all", "all Providers", *rows[0][7:9], "15"]  # fmt: skip
    assert add(write_csv([header, *rows, new])) == 0
    printed = {row[7]: row[9] for row in rows if row[2] == "England"}
    months = data.table(["referrals_received", "started_treatment"], "month").loc["2026-04"]
    assert months.tolist() == [float(printed["M001"]), float(printed["M031"])]


def test_a_notebook_shows_the_month_that_was_added(add, tmp_path, monkeypatch):
    copy_data(tmp_path, monkeypatch)
    assert add(change(month=NEXT)) == 0
    assert "May 2026" in json.dumps(execute("01_access"))


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_card_gives_the_address_of_a_listed_file(held, add, ending):
    name = "nhstalkingtherapies_month_may_2026_activity_performance.csv"
    content = change(month=NEXT)
    assert add(gzip.compress(content) if ending else content, name=name + ending) == 0
    card = read_card(held, f"nhs-monthly-{NEXT}")
    assert card["url"] == f"https://files.digital.nhs.uk/50/96081C/{name}"
    assert card["sha256"] == hashlib.sha256(content).hexdigest() and card["via"] == name


def test_rows_that_are_there_stay_as_they_are(held, add):
    before = {path.name: path.read_text(encoding="utf-8").splitlines() for path in held.glob("*.csv")}
    assert add(change(month=NEXT)) == 0
    for name, old in before.items():
        new = (held / name).read_text(encoding="utf-8").splitlines()
        assert [line for line in new if line in set(old)] == old
        assert (len(new) > len(old)) == (name in ("england.csv", "sources.csv", "changes.csv"))


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_table_saved_by_a_spreadsheet_keeps_its_mark_and_ends_of_line(mark, ending):
    old = mark + ending.join(["year,area,measure,value,source", "2024-25,QE1,recovered,5,b", ""])
    row = {"year": "2023-24", "area": "QE1", "measure": "recovered", "value": "5", "source": "a"}
    text = recording._insert(old, "areas", [row])
    assert text == old.replace(f"source{ending}", f"source{ending}2023-24,QE1,recovered,5,a{ending}")


def test_a_table_saved_by_somebody_meanwhile_is_not_replaced(held, add, monkeypatch, capsys):
    text = (held / "england.csv").read_text(encoding="utf-8")
    rehearse = recording.rehearse

    def save_meanwhile(folder, texts):
        rehearse(folder, texts)
        (held / "england.csv").write_text(f"{text}\n", encoding="utf-8")

    monkeypatch.setattr(recording, "rehearse", save_meanwhile)
    before = digest(held)
    assert add(change(month=NEXT)) == 2
    assert "england.csv was edited meanwhile; the edit stays and nothing was added" in capsys.readouterr().err
    assert digest(held).items() - before.items() == {("england.csv", digest(held)["england.csv"])}


@pytest.mark.parametrize(
    ("today", "published", "lag"),
    [("2026-08-13", "2026-08-13", ""), ("2026-08-15", "", "75"), ("2030-01-01", "", "75")],
)
def test_a_month_counts_as_known_after_the_usual_lag_or_from_the_day_it_is_there(held, tmp_path, today, published, lag):
    (tmp_path / "x.csv").write_bytes(change(month=NEXT))
    addition = additions.plan([read(tmp_path / "x.csv")], today=datetime.date.fromisoformat(today))[0]
    assert (addition.card["published"], addition.card["lag_days"]) == (published, lag)
    shown = additions.describe(addition)
    assert f"known    from {published or '2026-08-14, 75 days after the end of the period; no day'}" in shown


def test_the_annual_report_gives_starts_where_it_has_them(held, add, capsys):
    assert add(change_annual(Count_AccessingServices="1196000"), name="main-2024-25.csv") == 0
    assert "new      Started treatment" in capsys.readouterr().out
    assert data.series("started_treatment", "year")["2024-25"] == 1196000


# ---------------------------------------------------------------- revisions and vintages

REVISED = {"M001": "132800", "M031": "88200"}


def test_a_revision_is_shown_with_its_size_and_leaves_the_vintage_of_the_day_before_as_it_was(held, add, capsys):
    before = data.known("2026-02-09").reset_index(drop=True)
    quarter = data.series("started_treatment", "quarter")["2025-26 Q2"]
    assert add(change(**REVISED), "--published", "2026-02-10") == 0
    assert f"0 new, 2 revised, {COUNT - 2} as held" in (shown := capsys.readouterr().out)
    assert "88,200, was 88,146 (+54, +0.06%; nhs-monthly-2025-08)" in shown
    assert data.known("2026-02-09").reset_index(drop=True).equals(before)
    assert len(figures(held, period="2025-08", measure="started_treatment")) == 2
    assert data.figures("started_treatment", "month", "2026-02-09").loc["2025-08", "value"] == 88146
    newest = data.figures("started_treatment", "month", "2026-02-10").loc["2025-08"]
    assert (newest["value"], newest["source"]) == (88200, "nhs-monthly-2025-08-v2")
    assert data.series("started_treatment", "month")["2025-08"] == 88200
    assert data.series("started_treatment", "quarter")["2025-26 Q2"] == quarter + 54
    (row,) = figures(held, "changes", card="nhs-monthly-2025-08-v2")
    assert row["detail"] == "Started treatment +54, +0.06%; Referrals received +38, +0.03%"


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
        ({}, "2026-05-31", "after the end of its period, 2026-05-31"),
        ({}, "2099-01-01", "expected a day of publication up to today"),
        ({}, "1600-01-01", "after the end of its period"),
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
        "nhs-monthly-2025-08",
        "nhs-monthly-2025-08-v2",
        "nhs-monthly-2025-08-v3",
    ]


def test_going_back_to_a_revised_value_has_to_be_confirmed(held, add, capsys):
    assert add(change(**REVISED), "--published", "2026-02-10") == 0
    before = digest(held)
    assert add(change(), name="old.csv") == 1
    assert "goes back from 88,200 to 88,146, which nhs-monthly-2025-08 gave before" in capsys.readouterr().out
    assert digest(held) == before
    assert add(change(), "--accept", name="old.csv") == 0
    assert data.series("started_treatment", "month")["2025-08"] == 88146


# ---------------------------------------------------------------- doubt, dry runs, several files


@pytest.mark.parametrize(
    ("measure", "nhs_id", "value"),
    [
        ("median_appointments_finished", "M142", "0.1"),
        ("referrals_received", "M001", "900000"),
        ("mean_wait_started", "M048", "400"),
    ],
)
def test_a_jump_beyond_what_the_series_has_shown_is_taken_only_when_accepted(held, add, capsys, measure, nhs_id, value):
    before = digest(held)
    content = change(month=NEXT, **{nhs_id: value})
    assert add(content) == 1
    captured = capsys.readouterr()
    assert f"doubt    {data.label(measure)} in {NEXT} is {Decimal(value):,}, " in captured.out
    assert "--accept" in captured.err
    assert digest(held) == before
    assert add(content, "--accept") == 0
    assert data.series(measure, "month").iloc[-1] == float(value)


def test_swings_that_the_series_has_shown_are_not_doubted(held, add):
    assert add(change(month=NEXT, M001="120000")) == 0


def test_the_newest_months_are_judged_one_after_another(held, tmp_path):
    """February 2026 is compared with the months before it, not with those of a year ago; so is a batch in any order."""
    for path in NEWEST:
        drop(held, "england", source=f"nhs-monthly-{MONTHS[path]}")
    planned = additions.plan([read(path) for path in reversed(NEWEST)])
    assert [addition.publication.period for addition in planned] == [MONTHS[path] for path in NEWEST]
    assert not [doubt for addition in planned for doubt in addition.doubts]


def test_a_revision_by_a_sixth_is_doubted(held, add, capsys):
    before = digest(held)
    assert add(change(M001="154889")) == 1
    assert "is revised from 132,762 to 154,889 (+22,127, +16.67%); so large a" in capsys.readouterr().out
    assert digest(held) == before


def test_a_month_with_the_figures_of_another_is_doubted(held, add, capsys):
    before = digest(held)
    header, *rows = read_rows(MARCH_2026)
    for row in rows:
        row[:2] = "2026-05-01", "2026-05-31"
    assert add(write_csv([header, *rows])) == 1
    assert re.search(r"doubt    file.csv: (\d+) of \1 counts for 2026-05 are those of 2026-03", capsys.readouterr().out)
    assert digest(held) == before


def test_a_month_that_has_not_ended_is_doubted(held, add, capsys):
    assert add(change(month="2099-10")) == 1
    assert "October 2099 ends on 2099-10-31; today is" in capsys.readouterr().out


@pytest.mark.parametrize("options", [["--dry-run"], ["--dry-run", "--accept"]])
def test_a_dry_run_shows_and_writes_nothing(held, add, capsys, options):
    before = digest(held)
    assert add(change(month=NEXT, M001="900000"), *options) == 0
    assert f"{COUNT} new" in (shown := capsys.readouterr().out) and "nothing was written" in shown
    assert digest(held) == before


def test_a_suppressed_figure_is_listed_and_not_written(held, add, capsys):
    assert add(change(month=NEXT, M038="*")) == 0
    assert (
        "missing  Waiting for a first treatment" in (shown := capsys.readouterr().out)
        and " suppressed in the whole file" in shown
    )
    assert not figures(held, period=NEXT, measure="waiting_for_treatment")
    assert len(figures(held, period=NEXT)) == COUNT - 1


def test_of_several_files_all_are_added_or_none(held, add, tmp_path, capsys):
    good = {month: tmp_path / f"{month}.csv" for month in ("2026-05", "2026-07")}
    for month, path in good.items():
        path.write_bytes(change(month=month))
    bad = tmp_path / "bad.csv"
    bad.write_bytes(b"<html>")
    before = digest(held)
    assert cli.main(["add", *map(str, good.values()), str(bad)]) == 2
    assert digest(held) == before
    assert cli.main(["add", *map(str, good.values())]) == 0
    assert {
        row["period"] for row in figures(held) if row["source"] in ("nhs-monthly-2026-05", "nhs-monthly-2026-07")
    } == set(good)


def test_two_files_for_one_month_are_doubted_and_with_accept_an_addition_and_its_revision(held, tmp_path, capsys):
    for name, values in (("1.csv", {}), ("2.csv", {"M001": "164000", "M031": "99000"})):
        (tmp_path / name).write_bytes(change(month=NEXT, **values))
    before, paths = digest(held), [str(tmp_path / "1.csv"), str(tmp_path / "2.csv")]
    assert cli.main(["add", *paths]) == 1
    assert "doubt    2.csv: May 2026 is what 1.csv is about too, with other figures" in capsys.readouterr().out
    assert digest(held) == before
    assert cli.main(["add", "--accept", *paths]) == 0
    rows = figures(held, period=NEXT, measure="started_treatment")
    assert [row["source"] for row in rows] == [f"nhs-monthly-{NEXT}", f"nhs-monthly-{NEXT}-v2"]
    assert data.series("started_treatment", "month").iloc[-1] == 99000 == int(rows[1]["value"])


def test_one_file_given_twice_is_added_once(held, tmp_path):
    for name in ("1.csv", "2.csv"):
        (tmp_path / name).write_bytes(change(month=NEXT))
    assert cli.main(["add", str(tmp_path / "1.csv"), str(tmp_path / "2.csv")]) == 0
    assert len(figures(held, period=NEXT)) == COUNT


def test_tables_that_would_break_their_description_are_not_written(held, tmp_path, monkeypatch):
    (tmp_path / "x.csv").write_bytes(change(month=NEXT))
    planned = additions.plan([read(tmp_path / "x.csv")])
    planned[0].card["url"] = "nowhere"
    before = digest(held)
    with pytest.raises(data.DataError, match="sources.csv, row .*, column url"):
        recording.write(planned, {})
    assert digest(held) == before


def test_a_digest_is_written_once_and_kept(held):
    address = data.load()["publications"]["address"].iloc[0]
    assert recording.write([], {address: "a" * 64}) == ["publications.csv"]
    assert recording.write([], {address: "b" * 64}) == []
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
