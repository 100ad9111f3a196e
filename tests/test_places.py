"""Areas: regions and boards add up, old and new boards are found by name, code and town, wrong rows are named."""

import pytest
from publishing import read_table

from iapt import data
from iapt.data import geography as places


AREAS = {(row["year"], row["area"], row["measure"]): int(row["value"]) for row in read_table("areas")}
PLACES = {row["area"]: row for row in read_table("places")}
REGIONS = [code for code, row in PLACES.items() if row["type"] == "region"]
YEARS = ("2022-23", "2023-24", "2024-25")
MEASURES = sorted({measure for _, _, measure in AREAS})


# ---------------------------------------------------------------- regions and boards


def test_there_are_42_boards_before_april_2026_and_36_after():
    """12 ended and 6 began: NHS England ODS, 1 April 2026."""
    assert len(REGIONS) == 7
    assert sum(len(places.members(region)) for region in REGIONS) == 42
    assert places.places().query("type == 'icb' and last_day == ''").shape[0] == 36


@pytest.mark.parametrize("region", REGIONS)
def test_boards_add_up_to_the_region_they_are_put_in(region):
    """Each count is within 2 of the exact one, and a few referrals have a region but no board."""
    members = places.members(region)
    for year in YEARS:
        for measure in MEASURES:
            whole = AREAS[year, region, measure]
            gap = sum(AREAS.get((year, board, measure), 0) for board in members) - whole
            slack = 2 * (len(members) + 1) + 0.0001 * whole
            no_board = region == "Y61" and -0.02 * whole - slack <= gap <= slack  # East of England
            assert abs(gap) <= slack or no_board, (year, measure, gap)


def test_moving_a_board_to_another_region_breaks_the_sums():
    for region in REGIONS:
        for board in places.members(region):
            others = [code for code in places.members(region) if code != board]
            held = [AREAS["2024-25", code, "referrals_received"] for code in others]
            assert abs(sum(held) - AREAS["2024-25", region, "referrals_received"]) > 2000


def test_no_split_crosses_a_region():
    for row in read_table("successions"):
        assert places.region_of(row["predecessor"]) == places.region_of(row["successor"]) in REGIONS


def test_the_shares_of_a_board_that_is_split_by_population_add_up_to_one():
    shares = [float(row["share"]) for row in read_table("successions") if row["predecessor"] == "QNQ"]
    assert len(shares) == 3 and sum(shares) == pytest.approx(1)


def test_sub_icb_locations_add_up_to_boards_and_boards_to_england():
    """England, 16 and over, mid-2017: 44,981,459, as the Office for National Statistics published it."""
    rows = read_table("population")
    for day in ("2017-06-30", "2019-06-30", "2020-06-30"):
        for ages in ("16 and over", "18 and over"):
            held = [row for row in rows if (row["day"], row["ages"]) == (day, ages)]
            kinds = ("country", "icb", "sub_icb")
            total = {kind: sum(int(row["value"]) for row in held if row["type"] == kind) for kind in kinds}
            assert len(set(total.values())) == 1, (day, ages, total)
            for board in {row["area"] for row in held if row["type"] == "icb"}:
                parts = sum(int(row["value"]) for row in held if row["board"] == board)
                assert parts == next(int(row["value"]) for row in held if row["area"] == board)
    (england,) = [r for r in rows if (r["day"], r["ages"], r["type"]) == ("2017-06-30", "16 and over", "country")]
    assert england["value"] == "44981459"


def test_a_partnership_is_joined_to_a_board_of_the_same_boundary_alone():
    """The same ONS code; Glossop, Bassetlaw and West Birmingham changed boards, so six boards among others are not."""
    joined = {row["partnership"]: row["board"] for row in read_table("partnerships") if row["board"]}
    assert len(joined) == 29
    assert all(PLACES[board]["ons_code"] == code for code, board in joined.items())
    assert not {"QOP", "QJ2", "QF7", "QT1", "QUA", "QHL"} & set(joined.values())
    assert {code for code, row in PLACES.items() if row["same_since"] == "2017-18"} == set(joined.values())


# ---------------------------------------------------------------- finding an area


@pytest.mark.parametrize(
    "text, code",
    [
        ("QJK", "QJK"), ("qjk", "QJK"), ("Devon", "QJK"), ("NHS Devon ICB", "QJK"),
        ("nhs devon integrated care board", "QJK"), ("England", "E92000001"), ("London", "Y56"), ("  north   west ", "Y62"),
        ("E54000037", "QJK"), ("Leeds", "QWO"), ("Plymouth", "QJK"), ("Manchester", "QOP"),
        ("Bristol", "QUY"), ("Buckinghamshire", "QU9"), ("NHS Central East", "S1Y5D"), ("Z9B2Z", "Z9B2Z"),
        ("NHS Bedfordshire Luton and Milton Keynes", "QHG"),
    ],
)  # fmt: skip
def test_an_area_is_found_by_name_code_or_town(text, code):
    assert places.find_place(text) == code


@pytest.mark.parametrize(
    "text, message",
    [
        ("Devn", "nearest: Devon"),
        ("Kent", "nearest: Kent and Medway"),
        ("Yorkshire", "nearest: North East and Yorkshire"),
        ("", "Allowed: England, a region"),
        ("East Suffolk", r"in several boards: Suffolk and North East Essex \(53%\), Norfolk and Waveney \(47%\)"),
    ],
)
def test_a_wrong_area_is_refused_with_what_is_near(text, message):
    with pytest.raises(ValueError, match=f"area is '{text}'.*{message}"):
        places.find_place(text)


def test_a_board_that_had_not_begun_is_refused_with_those_before_it():
    assert places.find_place("Essex", "2026-04-01") == places.find_place("Essex", "latest") == "D7T5G"
    with pytest.raises(ValueError, match="began on 2026-04-01, after 2025-12-31; before it: .*Mid and South Essex"):
        places.find_place("Essex", "2025-12-31")


def test_what_came_before_and_after_a_board():
    assert places.successors("QMJ") == ["Z9B2Z"] and places.predecessors("Z9B2Z") == ["QMJ", "QRV"]
    assert set(places.successors("QNQ")) == {"S0E4D", "S9B9J", "QRL"}
    assert places.successors("QJK") == places.predecessors("QJK") == []


def test_members_of_what_is_no_region_are_refused():
    with pytest.raises(KeyError):
        places.members("QJK")


# ---------------------------------------------------------------- bad rows

GOOD = {"year": "2016-17", "area": "QJK", "measure": "recovered", "value": "100", "source": "nhs-annual-report-areas"}
BAD = {
    "an unknown area": ({"area": "QZZ"}, "unknown area 'QZZ'"),
    "an unknown measure": ({"measure": "recoverd"}, "unknown measure 'recoverd'; did you mean recovered?"),
    "a rate": ({"measure": "recovery_rate"}, "recovery_rate is a rate; this table holds counts"),
    "a year of two years": ({"year": "2016-18"}, "'2016-18' is not a year"),
    "a calendar year": ({"year": "2016"}, "does not have the form"),
    "a count that is not rounded": ({"value": "101"}, "101 is not rounded to 5"),
    "a fraction": ({"value": "100.5"}, "'100.5' is not a whole number"),
    "a repeated row": ({"year": "2024-25"}, "repeats row"),
    "an unknown source": ({"source": "nhs"}, "unknown source 'nhs'"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_row_is_named(tables, case):
    wrong, message = BAD[case]
    row = tables.append("areas", **(GOOD | wrong))
    found = [problem for problem in data.check() if problem.file == "areas.csv"]
    assert any(problem.row == row and message in problem.message for problem in found), found


def test_good_rows_pass_and_a_part_above_its_whole_does_not(tables):
    tables.append("areas", **GOOD)
    assert not data.check()
    tables.append("areas", **(GOOD | {"measure": "finished_course", "value": "95"}))
    row = tables.append("areas", **(GOOD | {"measure": "reliably_improved", "value": "100"}))
    assert not data.check(), "100 and 95 may be 98 and 97, rounded to 5"
    tables.drop("areas", **(GOOD | {"measure": "finished_course", "value": "95"}))
    tables.append("areas", **(GOOD | {"measure": "finished_course", "value": "90"}))
    (problem,) = data.check()
    assert (problem.file, problem.row) == ("areas.csv", row - 1)
    assert "reliably_improved 100 is above finished_course 90" in problem.message


def test_a_board_in_no_region_is_named(tables):
    row = tables.change("places", {"region": "Y99"}, area="QJK")
    assert data.Problem("places.csv", row, "region", "'Y99' is not the code of a region") in data.check()
