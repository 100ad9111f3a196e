"""Capacity and need: numbers of record, shares with their bases, and nothing later than the vintage."""

import csv
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from notebook import run

from iapt import data, parameters, words
from iapt.data import fy
from iapt.paths import ROOT

MAY_2020 = "2020-05-01"


@pytest.fixture(scope="module")
def capacity():
    return run("12_capacity")


@pytest.fixture(scope="module")
def need():
    return run("13_need", area="Devon")


# ---------------------------------------------------------------- capacity


def test_appointments_grew_and_fewer_were_missed(capacity):
    years = capacity["years"]
    record = {
        "appointments": {"2015-16": 5.82e6, "2018-19": 6.58e6, "2021-22": 7.61e6, "2024-25": 8.41e6},
        "appointments_not_attended_rate": {"2015-16": 12.0, "2018-19": 10.4, "2024-25": 9.0},
        "per_course": {"2019-20": 6.9, "2021-22": 7.9, "2024-25": 8.3},
        "ended_treated_once_rate": {"2021-22": 28.6, "2024-25": 28.8},
    }
    for column, values in record.items():
        for year, value in values.items():
            assert years[column][fy(year)] == pytest.approx(value, abs=5e3 if value > 100 else 0.051), (column, year)


def test_boards_range_as_published(capacity):
    values = capacity["points"]["value"]
    assert (len(values), values.min(), values.median().round(0), values.max()) == (42, 3.6, 23, 52.4)


def test_signs_are_read_in_the_direction_that_was_stated(capacity):
    now = capacity["evidence"].query("known == 'now'").set_index("sign")["speaks"]
    for text, side in (("second treatment after 90", "for"), ("appointments for", "against"), ("ended", "against")):
        assert now[[sign for sign in now.index if sign.startswith(text)]].tolist() == [side]
    assert capacity["votes"].to_numpy().tolist() == [[4, 1, 0], [3, 4, 0]]


def test_in_may_2020_the_idea_is_tested_with_what_was_known(capacity):
    """31.6 to 40.1 days; half over 28 days and one in six over 90, said by the BBC on 5 December 2019 of 2018-19."""
    notebook = run("12_capacity", as_of=MAY_2020)
    evidence = notebook["evidence"].set_index("sign")
    assert evidence.loc["mean wait for the second treatment, days", ["then", "now"]].tolist() == [31.6, 40.1]
    for days, share in ((28, 50.2), (90, 16.2)):
        row = evidence.loc[f"second treatment after {days} days, % of those finishing"]
        assert (words.when(row["last year"]), row["now"]) == ("2018/19", share)
    pd.testing.assert_frame_equal(
        capacity["evidence"].query("known == '1 May 2020'").reset_index(drop=True), notebook["evidence"]
    )
    assert "13%" in notebook.headline and "5 signs known on 1 May 2020, 4 pointed to an overstretched service and 1 against it" in notebook.headline
    *shown, sources = notebook.write()
    assert "annual reports" in sources and not re.search("2019/20|2020/21|2024/25", "\n".join(shown))


def test_the_association_is_that_of_a_regression_with_effects_of_area_and_year(capacity):
    """By hand on the complete panel: both shares less the means of area and year, errors clustered by area."""
    panel = capacity["panel"]
    complete = panel[panel.groupby("area")["year"].transform("size") == panel["year"].nunique()]
    wide = {name: complete.pivot(index="area", columns="year", values=name) for name in ("over_90", "finished")}
    x, y = (w.sub(w.mean(axis=1), axis=0).sub(w.mean(axis=0), axis=1) + w.to_numpy().mean() for w in wide.values())
    slope = (x * y).to_numpy().sum() / (x**2).to_numpy().sum()
    areas, terms = len(x), sum(x.shape)
    correction = areas / (areas - 1) * (x.size - 1) / (x.size - terms)
    error = np.sqrt(correction * ((x * (y - slope * x)).sum(axis=1) ** 2).sum()) / (x**2).to_numpy().sum()
    row = capacity["association"].loc["areas known in every year"]
    by_hand = [10 * slope, 10 * (slope - 1.96 * error), 10 * (slope + 1.96 * error), areas, x.size]
    assert row.tolist() == pytest.approx(by_hand, abs=0.051)


def test_what_becomes_of_100_referrals(capacity):
    per_100 = capacity["per_100"].loc[fy("2021-22")]
    referrals = 1_812_596
    assert per_100["started treatment"] == round(100 * 1_249_124 / referrals, 1)
    assert per_100["finished a course"] == round(100 * 664_087 / referrals, 1)
    assert "not the same referrals" in capacity.named("capacity_flow").unit


# ---------------------------------------------------------------- need


def test_starts_as_a_share_of_each_base(need):
    years = need["years"]["share_of_need"].round(1)
    assert [years[fy(year)] for year in ("2021-22", "2022-23", "2024-25")] == [20.4, 19.9, 19.5]
    bases = need["bases"]
    assert bases.iloc[0] == 6_121_800
    assert bases["2023/24"] == pytest.approx(0.202 * 45_697_898)
    table = need.named("need_bases").frame.set_index("Base")
    assert round(table["Target"].iloc[0], 1) == 30.7
    assert table.loc["number given by NHS England in 2026", "People in need"] == 9_400_000


def test_boards_per_1000_adults_name_their_base_year(need):
    adults = sum(
        int(row["value"])
        for row in csv.DictReader((ROOT / "data/population.csv").open(encoding="utf-8"))
        if (row["day"], row["type"], row["ages"]) == ("2020-06-30", "icb", "18 and over")
    )
    assert adults == need["boards"][need["base"]].sum() and len(need["boards"]) == 42
    for measure in ("referrals_received", "finished_course"):
        chart = need.named(f"need_{measure}")
        assert "mid-2020" in chart.unit and "before the census revision" in chart.unit and "Devon" in chart.alt
        row = chart.data.set_index("area").loc["QJK"]
        counts = data.areas([measure]).loc[("QJK", fy("2024-25")), measure]
        assert row["value"] == round(1000 * counts / row["whole"], 1)


def test_a_longer_list_of_adults_lowers_the_rate(need):
    table = need.named("need_base").frame
    rates = table["Finished a course of treatment per 1,000"].tolist()
    assert table["Adults"].is_monotonic_increasing and rates == sorted(rates, reverse=True) and rates[0] > rates[-1]


def test_need_and_residents_are_known_from_the_day_of_their_source():
    need = data.known(MAY_2020, "need")
    surveys = need[need["id"] == "apms_cmd_16_and_over"]["period"]
    assert [str(period) for period in surveys] == ["2007", "2014"]
    assert need[need["id"] == "gp_registered_18_and_over"]["period"].max() == fy("2018-19")
    assert data.known("2024-09-30", "population").empty
    assert len(data.known("latest", "population")) == len(data.load()["population"])


# ---------------------------------------------------------------- vintages


def halve(value: str, kind: str) -> str:
    """A count so wrong that nobody could miss it, while parts stay below their wholes; rates and means lose a point."""
    return str(int(float(value) / 2) // 5 * 5) if kind in ("flow", "stock", "difference") else f"{float(value) - 1:.6f}"


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """The data with wrong values wherever a figure on waits, appointments or areas was published after May 2020."""
    folder = tmp_path / "data"
    shutil.copytree(ROOT / "data", folder)
    kinds = data.load()["measures"].set_index("measure")["kind"]
    later = {"england": 0, "areas": 0, "partnerships": 0}
    for name in later:
        known = set(data.known(MAY_2020, name).index)
        path = folder / f"{name}.csv"
        with path.open(encoding="utf-8", newline="") as handle:
            rows = list(csv.DictReader(handle))
        for number, row in enumerate(rows):
            if number not in known and (name != "england" or row["period"] >= "2019-10"):
                later[name] += 1
                row["value"] = halve(row["value"], kinds[row["measure"]])
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
    before, now = [run(stem, as_of=MAY_2020).write() for stem in stems], run("12_capacity").write()
    assert all(request.getfixturevalue("planted").values())
    assert [run(stem, as_of=MAY_2020).write() for stem in stems] == before
    assert run("12_capacity").write() != now


def test_a_vintage_without_waits_is_refused():
    with pytest.raises(parameters.ParameterError, match="2020-01-15"):
        run("12_capacity", as_of="2020-01-14")
