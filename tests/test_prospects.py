"""Will the target be reached: what the forecast of notebook 05 says, and what it must not know."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import notebook
import numpy as np
import pytest

from iapt import data, parameters
from iapt.data import fy


@pytest.fixture(scope="module")
def target():
    return notebook.run("05_target")


def test_the_forecast_of_may_2020_ends_its_past_in_the_third_quarter_of_2019_20(target):
    """284,882 starts are the sum of October to December 2019 as published in February 2020."""
    assert target["quarters"].index[-1] == fy("2019-20 Q3") and target["quarters"].iloc[-1] == 284_882
    assert target["forecast"].index[-1] == fy("2023-24 Q4")


def test_the_chance_and_the_fan_of_record(target):
    """8.2% and 1.35 million (80%: 1.06 to 1.83), by an implementation of its own 9.4% and 1.31; one model carries it."""
    probability = target["probability"]
    assert probability["pool"] == pytest.approx(0.08, abs=0.011)
    assert probability["drift"] == pytest.approx(0.30, abs=0.03)
    assert probability[["no_change", "theta", "damped"]].max() < 0.05
    assert "The highest of the four models (the trend goes on) gives 30%, the next 3%." in target.headline
    assert target.headline.startswith("**Run on what was known on 1 May 2020, this method puts the chance")
    assert "about 8%" in target.headline and "chosen in 2026, with the outcome known" in target.headline
    fan = target["fan"].loc[fy("2023-24"), [0.1, 0.5, 0.9]]
    assert fan.tolist() == pytest.approx([1_057_000, 1_346_600, 1_829_300], rel=0.005)


def test_growth_needed_is_what_arithmetic_gives(target):
    pace = target["pace"]
    assert pace["more referrals each year"].iloc[0] == pytest.approx((1_880_000 - 1_092_111) / 5)
    assert pace["growth a year"].iloc[0] == pytest.approx((1_880_000 / 1_092_111) ** 0.2 - 1)
    assert target.named("target_pace").data["pace_needed"].iloc[-1] == 1_880_000
    assert pace["growth a year"].iloc[1] == pytest.approx((1_092_111 / 953_522) ** (1 / 3) - 1)


def test_years_partly_observed_count_their_known_quarters(target):
    forecast = target["forecast"]
    known = target["quarters"]["2019-20 Q1":"2019-20 Q3"].sum()
    assert np.allclose(forecast.total(fy("2019-20")), known + forecast.paths[:, 0])


def test_the_probability_falls_as_the_target_rises(target):
    reach = lambda goal: target["forecast"].reach(goal, target["goal"])["pool"]
    chances = [reach(goal) for goal in (1e6, 1.3e6, 1.6e6, 1.88e6, 2.5e6)]
    assert chances == sorted(chances, reverse=True) and chances[0] > 0.9 > 0.1 > chances[-1]


def test_the_start_up_year_changes_the_answer_more_than_any_other_window(target):
    pooled = target["chances"].loc["pool"]
    assert pooled["years from 2012/13"] == pooled.max() > 0.3


def test_scenarios_scale_the_forecast_and_the_plain_one_is_the_forecast(target):
    """3.7, 1.1 and 14.8% were reckoned independently."""
    chance = target["outcomes"]["chance"]
    assert chance["no shock: the forecast itself"] == target["probability"]["pool"]
    assert chance["lost ground: a tenth below"] == pytest.approx(0.037, abs=0.01)
    assert chance["deep and lasting: a fifth below"] == pytest.approx(0.011, abs=0.01)
    assert chance["surge of need: a tenth above"] == pytest.approx(0.148, abs=0.01)
    expected = np.maximum(1_880_000 - target["totals"][target["goal"]], 0).mean()
    assert target["outcomes"]["mean shortfall"].iloc[0] == pytest.approx(expected, abs=501)


def test_bar_text_and_data_tell_one_chance(target):
    """The bar of 2023/24 was once drawn at 8.2% and labelled 10%."""
    bar = target.named("target_first_passage").data.iloc[-1]["probability"]
    assert bar == round(bar) == pytest.approx(100 * target["by_year"].iloc[-1])
    assert f"about {bar:.0f}%" in target.named("target_first_passage").title


def test_a_figure_from_after_the_vintage_reaches_no_forecast(target, tmp_path, monkeypatch):
    shutil.copytree(data.folder(), tmp_path / "data")
    with (tmp_path / "data" / "england.csv").open("a") as table:
        table.write("month,2020-04,started_treatment,9000000,,nhs-monthly-activity,\n")
    monkeypatch.setenv("IAPT_DATA", str(tmp_path / "data"))
    late = notebook.run("05_target")
    assert data.series("started_treatment", "month")["2020-04"] == 9_000_000
    assert late["quarters"].equals(target["quarters"]) and late["probability"].equals(target["probability"])


def test_the_lines_of_the_notebook_are_those_of_least_squares(target):
    """By numpy's polynomials: the straight line and constant growth through the years since 2013/14."""
    y = target["years"].to_numpy()
    t, ahead = np.arange(len(y)), np.arange(len(y), len(y) + 5)
    straight = np.polyval(np.polyfit(t, y, 1), ahead)
    constant = np.exp(np.polyval(np.polyfit(t, np.log(y), 1), ahead))
    assert target["lines"]["straight line"]["mean"].tolist() == pytest.approx(straight.tolist(), abs=51)
    assert target["lines"]["constant growth"]["mean"].tolist() == pytest.approx(constant.tolist(), abs=51)


def test_the_model_card_is_for_the_shapes_used(target):
    """27 quarters then 17, and 12 and 7 years: the pool is the best calibrated, Theta has the smaller CRPS."""
    card = target["card"].loc["27 quarters, 17 ahead"]
    assert len(target["quarters"]) == 27 and len(target["shapes"]) == 3
    assert target["card"].notna().all(axis=None)
    missed = (card["total_inside80"] - 0.8).abs() + (card["total_inside95"] - 0.95).abs()
    assert missed.idxmin() == "pool" and card["total_crps"]["theta"] < card["total_crps"]["pool"]


def test_the_pool_is_that_which_the_cell_names(target):
    edit = {'pool = ("no_change", "theta", "damped", "drift")': 'pool = ("no_change", "theta")'}
    two = notebook.run("05_target", edit)
    expected = target["probability"][["no_change", "theta"]].mean()
    assert two["forecast"].pooled == ("no_change", "theta")
    assert two["probability"]["pool"] == pytest.approx(expected, abs=0.011)


@pytest.mark.parametrize(
    "asked",
    [
        {"as_of": "latest", "target_year": "2028-29"},
        {"as_of": "latest", "target_year": "2026-27", "target": 1},
        {"as_of": "2016-09-14", "target": 90_000_000},
        {"as_of": "2018-06-30", "measure": "finished_course", "start": "2014-15"},
    ],
)
@pytest.mark.filterwarnings("error::UserWarning")
def test_every_corner_has_an_answer_without_a_gap(asked):
    corner = notebook.run("05_target", **asked)
    assert "nan" not in corner.headline and corner["fan"].notna().all(axis=None)
    assert corner["chances"].notna().all(axis=None)


@pytest.mark.parametrize(
    "day, year", [("2015-01-31", "2023-24"), ("2022-06-30", "2024-25")]
)
def test_a_day_with_too_few_quarters_is_refused(day, year):
    with pytest.raises(parameters.ParameterError, match="at least 12 quarters without a gap|runs from 2016-09-14 on"):
        notebook.run("05_target", as_of=day, target_year=year)


def test_what_is_shown_and_drawn_is_the_same_on_other_processors(target):
    """Simulated values differ in the ninth digit; what becomes an output is rounded to what it means."""
    environment = {"PYTHONPATH": str(Path(notebook.__file__).parent), "OPENBLAS_CORETYPE": "Haswell"}
    code = "import json, notebook; print(json.dumps(notebook.run('05_target').write()))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=os.environ | environment)
    assert json.loads(other.stdout) == target.write() and len(target.write()) > 20
