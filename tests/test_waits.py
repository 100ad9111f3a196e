"""Waits: the numbers of record, the bases kept apart, and nothing later than the vintage."""

import pandas as pd
import pytest
from notebook import run

from iapt import charts, data, parameters, words
from iapt.data import fy
from iapt.paths import ROOT

YEARS = ["2017-18", "2018-19", "2019-20", "2020-21", "2021-22", "2022-23", "2023-24", "2024-25"]
RECORD = {
    "first within 6 weeks, of those finishing": [89.1, 89.4, 87.4, 90.0, 91.1, 89.3, 90.5, 91.6],
    "second within 28 days, of those finishing": [52.9, 49.8, 45.3, 50.2, 48.7, 42.7, 42.6, 40.1],
    "second after over 90 days, of those finishing": [13.5, 16.2, 19.3, 17.7, 15.3, 22.3, 21.7, 23.7],
}
"""Per cent, from the annual reports of NHS Digital and NHS England, row Waiting Time."""
DAY = "2026-01-31"
"""The annual report for 2024/25 was known, and the months to October 2025."""
VINTAGES = ["2020-05-01", "2021-09-30", "2022-06-01", "2023-09-30", "2024-09-30", "latest"]


@pytest.fixture(scope="module")
def waits():
    return run("11_waits", as_of=DAY)


def write_out(notebook) -> list[str]:
    """What a notebook shows, as text: data and words of charts, tables, headline, frames."""
    texts = []
    for part in notebook.shown:
        if isinstance(part, charts.Chart):
            texts += [part.title, part.unit, part.alt, part.caption, part.data.to_csv()]
        elif isinstance(part, words.Table):
            texts += [part.caption, part._as_shown().to_csv()]
        else:
            texts.append(getattr(part, "data", None) or str(part))
    return texts


# ---------------------------------------------------------------- numbers of record


def test_the_table_of_the_three_waits_is_that_of_the_annual_reports(waits):
    shown = waits.named("waits_years").frame.set_index("Year")
    for column, values in RECORD.items():
        assert shown.loc[[fy(year) for year in YEARS], column[:1].upper() + column[1:]].tolist() == values


def test_the_mean_wait_to_the_second_treatment(waits):
    days = waits.named("waits_years").frame.set_index("Year")["Mean days to the second"].dropna()
    assert {words.when(year): value for year, value in days.items()} == {
        "2015/16": 31.6, "2016/17": 34.6, "2017/18": 37.9, "2018/19": 40.1,
    }  # fmt: skip


def test_both_standards_were_met_in_every_month(waits):
    months = waits["months"]
    assert (months["waited_under_6_weeks_rate"].dropna() >= 75).all()
    assert (months["waited_under_18_weeks_rate"].dropna() >= 95).all()
    assert data.standard("waited_under_6_weeks_rate", "2020-05-01") == 75


def test_the_bands_of_a_year_are_all_of_its_finished_courses(waits):
    assert (waits["shares"].sum(axis=1) - 100).abs().max() <= 0.3


def test_the_bases_of_over_28_days_are_kept_apart(waits):
    """2021/22: 365,854 second treatments in the months, 340,979 finished courses. Two numbers, never one series."""
    bases = waits["bases"].loc[fy("2021-22")]
    assert bases.to_dict() == {"of second treatments in the year": 53.1, "of courses finished in the year": 51.3}
    assert data.series("second_treatment_over_28_days", "year")[fy("2021-22")] == 365_854
    finished = data.series("finished_course", "year")[fy("2021-22")]
    assert finished - data.series("finished_second_treatment_within_28_days", "year")[fy("2021-22")] == 340_979
    drawn = [set(chart.data) for chart in waits.shown if isinstance(chart, charts.Chart)]
    of_months = {"second_treatment_over_28_days_rate", "second_treatment_over_90_days_rate"}
    assert not any(of_months & columns and any("finished" in name for name in columns) for columns in drawn)


def test_those_starting_and_those_finishing_differ(waits):
    row = waits.named("waits_years").frame.set_index("Year").loc[fy("2024-25")]
    assert (row["First within 6 weeks, of those finishing"], row["First within 6 weeks, of those starting"]) == (91.6, 90.7)


# ---------------------------------------------------------------- vintages


def test_what_the_bbc_said_agrees_with_the_annual_report_of_its_year():
    """Half over 28 days and one in six over 90, said on 5 December 2019 of 2018-19; of those who finished a course."""
    said = pd.read_csv(ROOT / "tests/samples/statements_waiting.csv").query("source == 'bbc-2019-12'")
    said = said.set_index("what")["value"].astype(float)
    within = data.series("finished_second_treatment_within_28_days_rate", "year", "2020-05-01")[fy("2018-19")]
    over = data.series("finished_second_treatment_over_90_days_rate", "year", "2020-05-01")[fy("2018-19")]
    assert 100 - within == pytest.approx(said["second treatment after over 28 days"], abs=0.5)
    assert over == pytest.approx(said["second treatment after over 90 days"], abs=0.6)


@pytest.mark.parametrize("as_of", VINTAGES)
def test_every_vintage_gives_whole_sentences(as_of):
    notebook = run("11_waits", as_of=as_of)
    texts = [text for text in write_out(notebook)]
    shown = [part for part in notebook.shown if isinstance(part, charts.Chart | words.Table)]
    assert len(shown) >= 4 and notebook.headline.startswith("**")
    for part in shown:
        said = f"{part.title} {part.alt} {part.caption}" if isinstance(part, charts.Chart) else part.caption
        assert not any(hole in f" {said} " for hole in (" nan", "NaN", "NaT", "None", "  "))
    assert not any("Unnamed" in text for text in texts)


def test_a_vintage_without_waits_is_refused():
    with pytest.raises(parameters.ParameterError, match="this notebook has figures from 2020-01-15"):
        run("11_waits", as_of="2018-06-30")


def test_an_area_is_named_and_its_figures_are_its_own():
    waits = run("11_waits", area="Devon")
    counts = data.areas(["finished_second_treatment_within_28_days", "finished_course"]).loc["QJK"]
    share = 100 * counts.iloc[:, 0] / counts.iloc[:, 1]
    chart = waits.named("waits_two")
    drawn = chart.data["finished_second_treatment_within_28_days_rate"]
    assert drawn.tolist() == share.tolist() and "Devon" in chart.unit and "NHS England" in chart.caption
