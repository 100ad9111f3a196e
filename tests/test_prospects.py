"""The question about the target: what the forecast says, and what it must not know."""

import numpy as np
import pandas as pd
import pytest

from iapt import data
from iapt.answers import ask, prospects
from iapt.answers.prospects import Question
from iapt.data import periods

MAY_2020 = Question("2020-05-01", "started_treatment", 1_880_000, "2023-24", "2013-14")


def test_the_forecast_of_may_2020_ends_its_past_in_the_third_quarter_of_2019_20():
    assert periods.label(MAY_2020.observed.index[-1]) == "Q3 2019/20"
    assert MAY_2020.observed.iloc[-1] == 284_882
    assert MAY_2020.forecast.index[-1] == pd.Period("2024Q4", "Q-MAR")


def test_in_jupyterlab_boxes_ask_the_question_again(monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "target.ipynb")
    boxes = {box.description: box.value for box in ask.explore(MAY_2020).children if hasattr(box, "value")}
    assert (boxes["target"], boxes["year"], boxes["look from"]) == (1_880_000, "2023-24", "2013-14")


def test_growth_needed_is_what_arithmetic_gives():
    pace = prospects.growth_needed(MAY_2020)
    assert pace["needed_people"] == pytest.approx((1_880_000 - 1_092_111) / 5)
    assert 1_092_111 * (1 + pace["needed"] / 100) ** 5 == pytest.approx(1_880_000)
    assert pace["achieved"] == pytest.approx(100 * ((1_092_111 / 953_522) ** (1 / 3) - 1))


def test_years_partly_observed_count_their_known_quarters():
    year = pd.Period("2020", "Y-MAR")
    known = MAY_2020.observed[periods.parts(year, "quarter")[:3]].sum()
    assert known < MAY_2020.total(year).min()
    last = MAY_2020.forecast.paths[:, 0]
    assert np.array_equal(MAY_2020.total(year), known + last)


def test_the_probability_falls_as_the_target_rises():
    chances = [
        MAY_2020.forecast.reach(target, MAY_2020.target_quarters).at["pooled", "probability"]
        for target in (1e6, 1.3e6, 1.6e6, 1.88e6, 2.5e6)
    ]
    assert chances == sorted(chances, reverse=True) and chances[0] > 0.8 and chances[-1] < 0.05


def test_the_start_up_year_changes_the_answer_more_than_any_other_window():
    table = prospects.reach_by_window(MAY_2020)["pooled"]
    assert table.idxmax() == "years since 2012/13 (start-up year)"
    assert table.max() > 2 * table.drop(table.idxmax()).max()


def test_a_figure_from_after_the_vintage_reaches_no_forecast(tmp_path, monkeypatch):
    import shutil

    shutil.copytree(data.folder(), tmp_path / "data")
    table = tmp_path / "data" / "england.csv"
    table.write_text(table.read_text() + "month,2020-04,started_treatment,9000000,,nhs-monthly-activity,\n")
    monkeypatch.setenv("IAPT_DATA", str(tmp_path / "data"))
    planted = Question(*(getattr(MAY_2020, name) for name in ("as_of", "measure", "target", "target_year", "start")))
    assert planted.observed.equals(MAY_2020.observed)
    assert np.array_equal(planted.forecast.paths, MAY_2020.forecast.paths)
    assert data.series("started_treatment", "month")[pd.Period("2020-04")] == 9_000_000


@pytest.mark.parametrize(
    ("probability", "text"), [(0, "<5%"), (0.049, "<5%"), (0.051, "5%"), (0.08, "10%"), (0.5, "50%"), (0.97, ">95%")]
)
def test_probabilities_are_quoted_to_five_points(probability, text):
    assert prospects.nearest_five(probability) == text


def test_scenarios_scale_the_forecast_and_the_plain_one_is_the_forecast():
    table = prospects.list_scenarios(MAY_2020).frame
    chance = MAY_2020.forecast.reach(1_880_000, MAY_2020.target_quarters).at["pooled", "probability"]
    assert table.loc[0, "Chance of the target"] == prospects.nearest_five(chance)
    assert table["Scenario"].is_unique and len(table) == len(prospects.SCENARIOS)


def test_the_base_rate_is_known_for_what_the_target_asked_and_not_made_up_for_others():
    assert prospects.base_rate(1.72) is not None
    assert prospects.base_rate(1.31) is None


def test_the_fan_draws_what_its_data_say():
    chart = prospects.plot_fan(MAY_2020)
    row = chart.data.set_index("year").loc["2023/24"]
    draws = MAY_2020.total(pd.Period("2024", "Y-MAR"))
    assert row["median"] == pytest.approx(np.median(draws))
    assert row["low80"] == pytest.approx(np.quantile(draws, 0.1))
    bands = [band.get_paths()[0].vertices[:, 1] for band in chart.figure.axes[0].collections[:3]]
    assert max(bands[0]) == pytest.approx(row["high95"])
    assert "not part of the forecast" in chart.caption


def test_pace_needed_is_a_chart_of_its_own_in_another_colour():
    from iapt.show.charts import COLOURS

    fan, pace = prospects.plot_fan(MAY_2020), prospects.plot_pace(MAY_2020)
    assert fan.name != pace.name and "pace_needed" not in fan.data and COLOURS["needed"] != COLOURS["forecast"]
    assert "not a forecast" in pace.caption
