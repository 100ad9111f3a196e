"""Hindsight: forecasts of each year against what came, the gap taken apart, and the record of published forecasts."""

import json
import shutil

import notebook
import numpy as np
import pandas as pd
import pytest

from iapt import data, parameters
from iapt.data import forecasts, fy
from iapt.paths import NOTEBOOKS

DAY = "2026-01-15"
"""The figures to October 2025 were known, so the last whole year is 2024/25."""


@pytest.fixture(scope="module")
def hindsight():
    return notebook.run("06_hindsight", as_of=DAY)


def test_every_year_that_followed_is_scored_from_every_year_since_2016_17(hindsight):
    pooled = hindsight["pooled"]
    years = pd.period_range("2018", "2025", freq="Y-MAR")
    assert set(zip(pooled["origin"], pooled["year"])) == {(y - n, y) for y in years for n in range(1, y.year - 2016)}


def test_no_forecast_saw_a_figure_from_after_the_end_of_its_year(hindsight):
    for origin in hindsight["replay"]["origin"].unique():
        y = hindsight["known_at"](origin)
        assert y.index[-1].end_time == origin.end_time and y.notna().all()


def test_yearly_figures_are_used_only_where_quarters_of_starts_are_missing(hindsight):
    basis = hindsight["pooled"].groupby("origin")["basis"].first()
    assert basis.tolist() == ["quarters"] * 4 + ["years"] * 4


def test_errors_and_coverage_of_record(hindsight):
    """An independent implementation gave CRPS 76,800, 66,409, 193,465 and 363,317, and 34 of 36 inside 80%."""
    may = hindsight["may_2020"]
    assert may["CRPS"].tolist() == pytest.approx([76_800, 66_409, 193_465, 363_317], rel=0.01)
    assert may["error"].tolist() == pytest.approx([7.1, -7.7, 17.2, 32.6], abs=0.1)
    assert may.at["the pool", "chance of the target"] == pytest.approx(0.08, abs=0.01)
    assert hindsight["pooled"]["inside80"].sum() == 34 and len(hindsight["pooled"]) == 36


def test_the_pool_was_worse_than_no_change_in_five_of_the_last_six_years(hindsight):
    """By origin -34, -34, +24, +15, -34, +31, +15 and +34 per cent of the CRPS of no change, reckoned independently."""
    skill = hindsight["skills"]["no change"]
    assert skill.by_origin["skill"].tolist() == pytest.approx([34, 34, -24, -15, 34, -31, -15, -34], abs=1.5)
    assert skill.value == pytest.approx(17, abs=1) and skill.low < 0 < skill.high


def test_the_gap_adds_up_and_growth_splits_without_a_rest(hindsight):
    """1,257,718 is the sum of twelve published months; 1,829,202 referrals are in the annual report for 2023-24."""
    assert hindsight["gap"]["added"].sum() == pytest.approx(1_257_718 - 1_880_000)
    assert hindsight["opened"]["referrals"].sum() == pytest.approx(622_282)
    starts = data.series("started_treatment", "year", DAY)
    assert sum(hindsight["growth"].values()) == pytest.approx(starts["2023-24"] - starts["2018-19"])
    assert hindsight["both"]["target as a share"].iloc[-1] == pytest.approx(1_880_000 / 1_829_202)


def test_a_day_on_which_2023_24_was_not_known_is_refused():
    with pytest.raises(parameters.ParameterError, match="runs from 2024-06-14 on"):
        notebook.run("06_hindsight", as_of="2023-09-30")


# ---------------------------------------------------------------- the record of published forecasts


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A data folder that a test may write to."""
    shutil.copytree(data.folder(), tmp_path / "data")
    monkeypatch.setenv("IAPT_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


FAN = pd.DataFrame({0.1: [650_000.0], 0.5: [680_000.0], 0.9: [700_000.0]}, data.span("2027-28", "2027-28"))
WHEN = {"measure": "finished_course", "as_of": "2026-06-30", "made_on": "2026-12-01"}


def test_a_forecast_is_added_at_the_end_once_and_read_back(copy):
    before = (copy / "forecasts.csv").read_text()
    assert forecasts.append(FAN, **WHEN) == 3 and forecasts.append(FAN, **WHEN) == 0
    added = (copy / "forecasts.csv").read_text().removeprefix(before)
    assert added.splitlines()[1] == "2026-12-01,2026-06-30,finished_course,2027-28,pool,0.5,680000"
    assert data.check(copy) == []
    assert forecasts.score()["made_on"].eq("2026-12-01").sum() == 1


def test_a_recorded_value_is_never_changed(copy):
    forecasts.append(FAN, **WHEN)
    before = (copy / "forecasts.csv").read_bytes()
    with pytest.raises(ValueError, match="is recorded as 680000, not 690000"):
        forecasts.append(FAN.replace(680_000.0, 690_000.0), **WHEN)
    assert (copy / "forecasts.csv").read_bytes() == before


def test_what_was_known_already_is_no_forecast(copy):
    with pytest.raises(ValueError, match="2024-25 was known on 2026-06-30"):
        forecasts.append(FAN.set_axis(data.span("2024-25", "2024-25")), **WHEN)
    with pytest.raises(ValueError, match="cannot know later figures"):
        forecasts.append(FAN, **WHEN | {"made_on": "2026-01-01"})
    before = (copy / "forecasts.csv").read_bytes()
    for fan, model in ((FAN, "=1+1"), (FAN, ""), (FAN * float("nan"), "pool"), (-FAN, "pool"), (FAN.set_axis([0, 0.5, 2], axis=1), "pool")):
        with pytest.raises(ValueError, match="forecasts.csv, row .* column"):
            forecasts.append(fan, **WHEN, model=model)
    assert (copy / "forecasts.csv").read_bytes() == before


def test_recorded_forecasts_are_scored_when_the_figures_are_in():
    """671,262 courses finished and 1,163,013 starts are the sums of the twelve months of 2025/26."""
    score = forecasts.score("2026-06-30").set_index(["as_of", "measure", "year"])
    finished = score.loc[("2025-12-14", "finished_course", fy("2025-26"))]
    assert finished["outturn"] == 671_262 and finished["error"] == pytest.approx(0.6, abs=0.05)
    assert finished["inside80"] and not finished["ahead"]
    assert score.loc[("2025-12-14", "started_treatment", fy("2025-26")), "error"] == pytest.approx(7.0, abs=0.05)
    ahead = score.loc[("2025-12-14", "finished_course", fy("2026-27"))]
    assert np.isnan(ahead["outturn"]) and pd.isna(ahead["inside80"]) and ahead["ahead"]
    earlier = forecasts.score("2026-01-15").set_index(["as_of", "measure", "year"])
    assert np.isnan(earlier.loc[("2025-12-14", "finished_course", fy("2025-26")), "outturn"])


def test_the_lines_that_a_release_runs_add_the_forecasts_of_the_present_target(copy):
    """The code at the end of notebook 07, as it stands there, on its own fans of two years."""
    text = "".join(json.loads((NOTEBOOKS / "07_today.ipynb").read_text(encoding="utf-8"))["cells"][-1]["source"])
    code = text.split("```python\n")[1].split("```")[0]
    before = (copy / "forecasts.csv").read_text()
    exec(code, {"fans": {"finished_course": FAN, "started_treatment": FAN}, "as_of": "latest"})
    added = (copy / "forecasts.csv").read_text().removeprefix(before).splitlines()
    newest = f"{data.known()['available'].max():%Y-%m-%d}"
    assert len(added) == 6 and all(line.split(",")[1] == newest for line in added)
    assert data.check(copy) == []
