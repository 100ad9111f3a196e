"""Numbers of record: key results of the notebooks against values that were published or checked in another way."""

import pytest
from notebook import run


def test_access_at_the_newest_vintage_and_in_may_2020():
    latest, then = run("01_access"), run("01_access", as_of="2020-05-01")
    assert latest["years"].loc["2023-24", "started_treatment"] == 1_257_718  # sum of the twelve months published
    assert latest["targets"].loc["2023-24", "gap"] == -622_282
    assert then["years"].loc["2018-19"].tolist() == [1_603_643, 1_092_111]  # annual report; sum of months
    assert then["growth"].loc["referrals_received", "growth"] == pytest.approx(0.43, abs=0.005)


def test_the_forecast_of_may_2020():
    """An independent implementation on the same series gave 9.4% and 1.31 million; 30 seeds 8.2% +/- 0.12 points."""
    found = run("05_target")
    assert found["probability"]["pooled"] == pytest.approx(0.082, abs=0.005)
    assert found["fan"].loc["2023-24", 0.5] == pytest.approx(1_346_600, abs=2_000)
    assert found["fan"].loc["2023-24", [0.1, 0.9]].tolist() == pytest.approx([1_057_000, 1_829_300], rel=0.005)
    assert found["pace"].iloc[0, 0] == pytest.approx((1_880_000 / 1_092_111) ** 0.2 - 1)
    assert "about 8%" in found.headline


def test_the_forecast_against_the_outturn():
    """The CRPS was computed by numerical integration elsewhere: 76,800, 66,409, 193,465 and 363,317."""
    found = run("06_hindsight")
    assert found["may_2020"]["CRPS"].tolist() == pytest.approx([76_800, 66_400, 193_500, 363_300], rel=0.005)
    assert found["gap"].iloc[:, 0].sum() == pytest.approx(-622_282, abs=1)


def test_the_present_target():
    found = run("07_today", as_of="2026-01-15")
    assert found["chances"].loc["as it is", "chance of target"] == pytest.approx(0.054, abs=0.015)
    assert found["running"]["finished_course"].median == pytest.approx(671_262, rel=0.005)  # the outturn, known since
