"""The pages of areas and of all areas compared: numbers of record, years set aside, and what was not known on a day."""

import pytest
from notebook import run

from iapt import data, parameters


@pytest.fixture(scope="module")
def manchester():
    return run("08_area", area="Greater Manchester", as_of="latest")


@pytest.fixture(scope="module")
def compared():
    return run("09_areas_compared", as_of="latest")


def test_what_is_unusual_leads(manchester):
    """2024/25: 32,575 finished of 150,940 referrals (annual report), England 670,419 of 1,813,432."""
    first = manchester["standing"].iloc[0]
    assert first["measure"] == "Finished per 100 referrals" and first["limits"] == "outside the 95% limits"
    assert first["value"] == round(100 * 32_575 / 150_940, 1)
    assert first["england"] == round(100 * 670_419 / 1_813_432, 1)
    said = "**Greater Manchester: 21.6 courses finished per 100 referrals in 2024/25, against 37.0 in England.**"
    assert manchester.headline.startswith(said)
    per_1000 = manchester["standing"].iloc[-1]
    assert per_1000["measure"] == "Referrals per 1,000 adults"
    assert per_1000["value"] == round(1000 * 150_940 / manchester["adults"]["QOP"], 1)


def test_the_rows_are_in_the_order_of_their_distance(manchester):
    distances = manchester["standing"]["score"].abs().iloc[:-1]
    assert distances.is_monotonic_decreasing and len(distances) == 6


@pytest.mark.parametrize("area", ["England", "QE1", "Y58"])
def test_rates_are_those_that_were_published(area):
    """Boards and regions are published in whole per cent, England with one decimal."""
    page, code = run("08_area", area=area), data.find_place(area)
    rates = data.load()["published_rates"].query("group == @code and measure == 'recovery_rate'")
    assert len(rates) >= 5
    for year, rate in zip(rates["year"], rates["value"]):
        row = page["years"].loc[data.fy(year)]
        assert 100 * row["recovered"] / row["eligible_for_recovery"] == pytest.approx(
            rate, abs=0.051 if area == "England" else 0.55
        )


def test_a_board_with_the_same_borders_starts_in_2017_and_another_when_it_began(manchester):
    devon = run("08_area", area="Devon")
    assert devon["counts"].loc["QJK"].index[0] == data.fy("2017-18") and devon["base"] == data.fy("2019-20")
    assert devon["counts"].loc[("QJK", data.fy("2017-18")), "recovered"].item() == 5_130  # annual report, E54000037
    assert manchester["base"] == data.fy("2020-21")


def test_a_year_with_more_courses_than_referrals_is_set_aside():
    bath, known_then = run("08_area", area="QOX"), run("08_area", area="QOX", as_of="2023-09-30")
    assert bath["counts"].loc[("QOX", data.fy("2021-22")), "finished_course"].item() == 16_035
    assert data.fy("2021-22") not in bath["years"].index and known_then["last"] == data.fy("2020-21")
    table = bath.named("area_years").frame.set_index("Year")["Recovery rate, %"]
    assert table.isna().tolist() == [year == data.fy("2021-22") for year in table.index]
    drawn = bath.named("area_trend").data.query("panel == 'Recovery rate' and year == '2021/22'")
    assert len(drawn) == 1 and drawn[bath["name"]].isna().all()


def test_axes_are_the_same_on_every_page(manchester):
    other = run("08_area", area="Devon")
    limits = lambda page: [panel.axes.get_ylim() for panel in page.named("area_trend").panels]
    assert limits(manchester) == limits(other) and len(limits(other)) == 4
    drawn = other.named("area_trend").data
    assert len(drawn) == 4 * 8
    assert list(drawn) == ["year", "panel", "Devon", "South West", "England", "low_95", "high_95"]


def test_an_area_without_figures_is_refused_with_what_was_there_before():
    with pytest.raises(parameters.ParameterError, match="no figures are held for it yet; before it: .*Mid and South Essex"):
        run("08_area", area="Essex")
    with pytest.raises(parameters.ParameterError, match="2023-01-15"):
        run("08_area", area="England", as_of="2022-09-30")


def test_nothing_later_is_used():
    page = run("08_area", area="Devon", as_of="2023-09-30")
    assert page["counts"].index.get_level_values("year").max() == data.fy("2021-22") and "2024/25" not in page.headline
    assert "Referrals per 1,000 adults" not in page["standing"]["measure"].tolist()  # residents were read later


def test_a_region_starts_in_2019_and_names_the_ends_of_its_boards():
    midlands = run("08_area", area="Midlands")
    assert midlands["base"] == data.fy("2019-20") and midlands["years"].index[0] == data.fy("2019-20")
    inside = midlands["inside"]
    assert len(inside) == 11 and midlands["chosen"] == [inside[0], inside[-1]]


@pytest.mark.parametrize("area", ["E92000001", "Y56", "Y58", "Y60", "S1Y5D", "QNQ", "QM7", "QRL"])
def test_every_kind_of_area_has_its_page(area):
    """England, regions, boards that ended, one that took others on; one that began has no figures yet."""
    if area == "S1Y5D":
        with pytest.raises(parameters.ParameterError, match="no figures are held for it yet; before it"):
            run("08_area", area=area)
        return
    page = run("08_area", area=area)
    assert page.headline.startswith(f"**{data.places().at[area, 'name']}: ") and "nan" not in page.headline
    assert len(page.shown) > 10


def test_every_partnership_is_known():
    """One row a partnership, year and measure: 43 partnerships and one old and one new name."""
    assert len(data.known("latest", "partnerships")) == len(data.load()["partnerships"])
    assert data.known("2018-06-30", "partnerships").empty


def test_boards_compared(compared):
    """Limits with the spread restored (Paule and Mandel): checked by simulation in test_funnel."""
    spread = compared["spread"]
    assert len(compared["now"]) == 42
    assert spread["outside 95%"].tolist()[:2] == [1, 2] and spread["outside 99.8%"].tolist() == [0, 0, 1, 0, 0]
    assert spread["stand out"].sum() == 0 and "Named: none" in compared.named("boards_recovered").alt


def test_changes_since_the_pandemic_year_are_those_of_the_first_edition_but_for_the_denominator(compared):
    moves = compared["moves"]
    finishing = moves.loc[("Finished per 100 referrals", data.fy("2020-21"))]
    assert finishing[["rose", "fell", "may be chance"]].tolist() == [7, 31, 3]
    assert len(compared["recovered"]) == 29
    assert moves.loc[("Recovery rate, %", data.fy("2019-20")), "England"] == pytest.approx(50.5 - 51.1, abs=0.1)


def test_boards_add_up_to_england_but_for_those_not_known(compared):
    short = compared["short"]["referrals_received"]
    assert short.iloc[-1] == pytest.approx(-0.15, abs=0.005) and short.min() == pytest.approx(-2.04, abs=0.005)
    assert compared["set_aside"]["finished_course"].tolist() == [16_035, 3_200]


def test_the_table_of_boards_holds_numbers(compared):
    table = compared.named("boards").frame
    assert table.columns[0] == "Board" and len(table) == 42
    assert all(table[column].dtype.kind in "if" for column in table.columns if column not in ("Board", "More than chance"))
    moved = table.set_index("Board")["Change in recovery"]
    assert moved.isna().sum() == 13 and moved.isna()["Greater Manchester"]
