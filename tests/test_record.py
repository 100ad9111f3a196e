"""Numbers of record of access; those of forecasts are in test_prospects, test_hindsight and test_today."""

import pytest
from notebook import run


def test_access_at_the_newest_vintage_and_in_may_2020():
    latest, then = run("01_access"), run("01_access", as_of="2020-05-01")
    assert latest["years"].loc["2023-24", "started_treatment"] == 1_257_718  # sum of the twelve months published
    assert latest["targets"].loc["2023-24", "gap"] == -622_282
    assert then["years"].loc["2018-19"].tolist() == [1_603_643, 1_092_111]  # annual report; sum of months
    assert then["years"].loc["2018-19"].iloc[0] / then["years"].loc["2013-14"].iloc[0] - 1 == pytest.approx(0.43, abs=0.005)
