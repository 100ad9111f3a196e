"""Waits, capacity and need: the numbers of record, the bases kept apart, and nothing later than the vintage."""

import csv
import shutil

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


@pytest.fixture(scope="module")
def capacity():
    return run("12_capacity", as_of=DAY)


@pytest.fixture(scope="module")
def need():
    return run("13_need")


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


def test_appointments_grew_and_fewer_were_missed(capacity):
    years = capacity["years"]
    millions = (years["appointments"] / 1e6).round(2)
    assert [millions[fy(year)] for year in ("2015-16", "2018-19", "2021-22", "2024-25")] == [5.82, 6.58, 7.61, 8.41]
    missed = years["appointments_not_attended_rate"].round(1)
    assert [missed[fy(year)] for year in ("2015-16", "2018-19", "2024-25")] == [12.0, 10.4, 9.0]
    courses = years["per_course"].round(1)
    assert [courses[fy(year)] for year in ("2019-20", "2021-22", "2024-25")] == [6.9, 7.9, 8.3]
    ended = years["ended_treated_once_rate"].round(1)
    assert [ended[fy(year)] for year in ("2021-22", "2024-25")] == [28.6, 28.8]


def test_boards_range_as_published(capacity):
    boards = capacity["boards"]["value"].round(1)
    assert (len(boards), boards.min(), boards.median().round(0), boards.max()) == (42, 3.6, 23, 52.4)


def test_signs_are_read_in_the_direction_that_was_stated(capacity):
    speaks = capacity["evidence"].set_index("sign")["speaks"]
    for text, side in (("second treatment after over 90", "for"), ("appointments for each", "against"), ("ended", "level")):
        assert speaks[[sign for sign in speaks.index if sign.startswith(text)]].tolist() == [side]


def test_the_association_is_that_of_a_regression_with_effects_of_area_and_year(capacity):
    """The estimate by hand: both counts less the means of their area and of their year, as the panel is complete."""
    panel = capacity["panel"]
    complete = panel[panel.groupby("place")["year"].transform("size") == panel["year"].nunique()]
    wide = {name: complete.pivot(index="place", columns="year", values=name) for name in ("over_90", "finished")}
    x, y = (w.sub(w.mean(axis=1), axis=0).sub(w.mean(axis=0), axis=1) + w.to_numpy().mean() for w in wide.values())
    slope = (x.to_numpy() * y.to_numpy()).sum() / (x.to_numpy() ** 2).sum()
    row = capacity.named("capacity_association").frame.set_index("Looked at").loc["areas known in every year"]
    assert row["Estimate"] == round(10 * slope, 1) and row["Areas"] == len(wide["over_90"])
    assert row["Low"] < row["Estimate"] < row["High"]


def test_what_becomes_of_100_referrals(capacity):
    per_100 = capacity["per_100"].loc[fy("2021-22")]
    referrals = 1_812_596
    assert per_100["started treatment"] == round(100 * 1_249_124 / referrals, 1)
    assert per_100["finished a course"] == round(100 * 664_087 / referrals, 1)
    assert "not the same people" in capacity.named("capacity_flow").unit


def test_starts_as_a_share_of_each_base(need):
    years = need["years"]["share_of_need"].round(1)
    assert [years[fy(year)] for year in ("2021-22", "2022-23", "2024-25")] == [20.4, 19.9, 19.5]
    bases = need["bases"]
    assert bases.iloc[0] == 6_121_800
    assert bases["2023/24"] == pytest.approx(0.202 * 45_697_898)
    table = need.named("need_bases").frame.set_index("Base")
    assert table["Newest target"].iloc[0] == 30.7
    assert table.loc["number named by NHS England in 2026", "People in need"] == 9_400_000


def test_boards_per_1000_adults_name_their_base_year(need):
    adults = sum(
        int(row["value"])
        for row in csv.DictReader((ROOT / "data/population.csv").open(encoding="utf-8"))
        if (row["day"], row["type"], row["ages"]) == ("2020-06-30", "icb", "18 and over")
    )
    assert adults == need["boards"][need["base"]].sum() and len(need["boards"]) == 42
    for measure in ("referrals_received", "finished_course"):
        chart = need.named(f"need_{measure}")
        assert "mid-2020" in chart.unit and "before the census revision" in chart.unit
        row = chart.data.set_index("area").loc["QJK"]
        counts = data.areas([measure]).loc[("QJK", fy("2024-25")), measure]
        assert row["value"] == pytest.approx(counts / row["whole"])


def test_a_longer_list_of_adults_lowers_the_rate(need):
    table = need.named("need_base").frame
    rates = table["Finished a course of treatment per 1,000"].tolist()
    assert table["Adults"].is_monotonic_increasing and rates == sorted(rates, reverse=True) and rates[0] > rates[-1]


# ---------------------------------------------------------------- vintages


def test_in_may_2020_the_idea_is_tested_with_what_was_known():
    notebook = run("12_capacity", as_of="2020-05-01")
    evidence = notebook["evidence"].set_index("sign")
    mean = evidence.loc["mean wait to the second treatment, days"]
    assert (mean["then"], mean["now"]) == (31.6, 40.1)
    for days, share in ((28, 50.24), (90, 16.19)):
        row = evidence.loc[f"second treatment after over {days} days, % of those finishing"]
        assert (words.when(row["last year"]), row["now"]) == ("2018/19", pytest.approx(share, abs=0.005))
    assert "13%" in notebook.headline and "Of 5 signs, 4 speak for" in notebook.headline
    assert not any(year in text for text in write_out(notebook) for year in ("2019/20", "2020/21", "2024/25"))


def test_what_the_bbc_said_agrees_with_the_annual_report_of_its_year():
    """Half over 28 days and one in six over 90, said on 5 December 2019 of 2018-19; of those who finished a course."""
    said = pd.read_csv(ROOT / "tests/samples/statements_waiting.csv").query("source == 'bbc-2019-12'")
    said = said.set_index("what")["value"].astype(float)
    within = data.series("finished_second_treatment_within_28_days_rate", "year", "2020-05-01")[fy("2018-19")]
    over = data.series("finished_second_treatment_over_90_days_rate", "year", "2020-05-01")[fy("2018-19")]
    assert 100 - within == pytest.approx(said["second treatment after over 28 days"], abs=0.5)
    assert over == pytest.approx(said["second treatment after over 90 days"], abs=0.6)


def halve(value: str, measure: str) -> str:
    """A count so wrong that nobody could miss it, while parts stay below their wholes; rates and means lose a point."""
    kind = data.load()["measures"].set_index("measure").at[measure, "kind"]
    return str(int(float(value) / 2) // 5 * 5) if kind in ("flow", "stock", "difference") else f"{float(value) - 1:.6f}"


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """The data with wrong values wherever a figure on waits, appointments or areas was published after May 2020."""
    folder = tmp_path / "data"
    shutil.copytree(ROOT / "data", folder)
    later = {"england": 0, "areas": 0, "partnerships": 0}
    for name in later:
        known = set(data.known("2020-05-01", name).index)
        path = folder / f"{name}.csv"
        with path.open(encoding="utf-8", newline="") as handle:
            rows = list(csv.DictReader(handle))
        for number, row in enumerate(rows):
            if number not in known and (name != "england" or row["period"] >= "2019-10"):
                later[name] += 1
                row["value"] = halve(row["value"], row["measure"])
        with path.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.DictWriter(handle, rows[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    monkeypatch.setenv("IAPT_DATA", str(folder))
    data.forget()
    yield later
    monkeypatch.undo()
    data.forget()


def test_a_later_figure_does_not_enter(request):
    stems = ("11_waits", "12_capacity", "13_need")
    before = {stem: write_out(run(stem, as_of="2020-05-01")) for stem in stems}
    now = {stem: write_out(run(stem)) for stem in stems}
    assert all(request.getfixturevalue("planted").values())
    for stem in stems:
        assert write_out(run(stem, as_of="2020-05-01")) == before[stem]
        assert write_out(run(stem)) != now[stem]


@pytest.mark.parametrize("as_of", VINTAGES)
@pytest.mark.parametrize("stem", ["11_waits", "12_capacity", "13_need"])
def test_every_vintage_gives_whole_sentences(stem, as_of):
    notebook = run(stem, as_of=as_of)
    texts = [text for text in write_out(notebook)]
    shown = [part for part in notebook.shown if isinstance(part, charts.Chart | words.Table)]
    assert len(shown) >= 4 and notebook.headline.startswith("**")
    for part in shown:
        said = f"{part.title} {part.alt} {part.caption}" if isinstance(part, charts.Chart) else part.caption
        assert not any(hole in f" {said} " for hole in (" nan", "NaN", "NaT", "None", "  "))
    assert not any("Unnamed" in text for text in texts)


@pytest.mark.parametrize("stem, as_of", [("11_waits", "2018-06-30"), ("12_capacity", "2020-01-14")])
def test_a_vintage_without_waits_is_refused(stem, as_of):
    with pytest.raises(parameters.ParameterError, match="this notebook has figures from 2020-01-15"):
        run(stem, as_of=as_of)


def test_an_area_is_named_and_its_figures_are_its_own():
    waits = run("11_waits", area="Devon")
    counts = data.areas(["finished_second_treatment_within_28_days", "finished_course"]).loc["QJK"]
    share = 100 * counts.iloc[:, 0] / counts.iloc[:, 1]
    chart = waits.named("waits_two")
    drawn = chart.data["finished_second_treatment_within_28_days_rate"]
    assert drawn.tolist() == share.tolist() and "Devon" in chart.unit and "NHS England" in chart.caption
    assert "Named: " in run("12_capacity", area="Devon").named("capacity_areas").alt
    assert "Devon" in run("12_capacity", area="Devon").named("capacity_areas").alt
    assert "Devon" in run("13_need", area="Devon").named("need_finished_course").alt


def test_need_and_residents_are_known_from_the_day_of_their_source():
    need = data.known("2020-05-01", "need")
    surveys = need[need["id"] == "apms_cmd_16_and_over"]["period"]
    assert [str(period) for period in surveys] == ["2007", "2014"]
    assert need[need["id"] == "gp_registered_18_and_over"]["period"].max() == fy("2018-19")
    assert data.known("2024-09-30", "population").empty
    assert len(data.known("latest", "population")) == len(data.load()["population"])
