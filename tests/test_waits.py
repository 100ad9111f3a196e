"""Waits: the two waits side by side, the bases of each share kept apart."""

import pandas as pd
import pytest
from notebook import run

from iapt import charts, data, parameters
from iapt.data import fy
from iapt.paths import ROOT

DAY = "2026-01-31"
"""The annual report for 2024/25 was known, and the months to October 2025."""


@pytest.fixture(scope="module")
def waits():
    return run("11_waits", as_of=DAY)


def test_the_headline_and_the_chart_set_the_wait_with_a_standard_beside_the_one_without(waits):
    assert "92% had started within 6 weeks" in waits.headline and "40% had their second treatment" in waits.headline
    chart = waits.named("waits_two")
    assert "52.9% in 2017/18, 40.1% in 2024/25" in chart.title
    assert "standard for the first treatment 75%" in chart.alt and "91.6% in 2024/25" in chart.alt
    assert "23.7% waited over 90 days" in waits.named("waits_bands").title


def test_the_tables_show_what_the_figures_say(waits):
    shown = waits.named("waits_years").frame.set_index("Year")
    for measure, label in waits["named"].items():
        held = data.series(measure, "year", DAY)["2015-16":].round(1)
        assert shown[label[:1].upper() + label[1:]].dropna().tolist() == held.dropna().tolist()
    row = shown.loc[fy("2024-25")]
    assert (row["First within 6 weeks, of those finishing"], row["First within 6 weeks, of those starting"]) == (91.6, 90.7)


def test_both_standards_were_met_in_every_month(waits):
    months = waits["months"]
    assert (months["waited_under_6_weeks_rate"].dropna() >= 75).all()
    assert (months["waited_under_18_weeks_rate"].dropna() >= 95).all()
    assert data.standard("waited_under_6_weeks_rate", "2020-05-01") == 75


def test_the_bands_of_a_year_are_all_of_its_finished_courses(waits):
    assert (waits["shares"].sum(axis=1) - 100).abs().max() <= 0.3


def test_the_bases_of_over_28_days_are_kept_apart(waits):
    """2021/22: 365,854 of second treatments in the months, 340,979 of finished courses. Never one series."""
    shown = waits.named("waits_over_28").frame.set_index("Year").loc[fy("2021-22")]
    assert shown.to_dict() == {"Of courses finished in the year": 51.3, "Of second treatments in the year": 53.1}
    drawn = [set(chart.data) for chart in waits.shown if isinstance(chart, charts.Chart)]
    of_months = {"second_treatment_over_28_days_rate", "second_treatment_over_90_days_rate"}
    assert not any(of_months & columns and any("finished" in name for name in columns) for columns in drawn)


# ---------------------------------------------------------------- vintages


def test_what_the_bbc_said_agrees_with_the_annual_report_of_its_year():
    """Half over 28 days and one in six over 90, said on 5 December 2019 of 2018-19; of those who finished a course."""
    said = pd.read_csv(ROOT / "tests/samples/statements_waiting.csv").query("source == 'bbc-2019-12'")
    said = said.set_index("what")["value"].astype(float)
    within = data.series("finished_second_treatment_within_28_days_rate", "year", "2020-05-01")[fy("2018-19")]
    over = data.series("finished_second_treatment_over_90_days_rate", "year", "2020-05-01")[fy("2018-19")]
    assert 100 - within == pytest.approx(said["second treatment after over 28 days"], abs=0.5)
    assert over == pytest.approx(said["second treatment after over 90 days"], abs=0.6)


def test_a_vintage_without_waits_is_refused():
    with pytest.raises(parameters.ParameterError, match="this notebook runs from 2020-01-15"):
        run("11_waits", as_of="2018-06-30")


def test_an_area_is_named_and_its_figures_are_its_own():
    waits = run("11_waits", area="Devon")
    counts = data.areas(["finished_second_treatment_within_28_days", "finished_course"]).loc["QJK"]
    share = 100 * counts.iloc[:, 0] / counts.iloc[:, 1]
    chart = waits.named("waits_two")
    drawn = chart.data["finished_second_treatment_within_28_days_rate"]
    assert drawn.tolist() == share.tolist() and "Devon" in chart.unit and "NHS England" in chart.caption
