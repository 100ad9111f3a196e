"""Years, quarters and months of the NHS financial year."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iapt.data import periods

EXAMPLES = [
    ("2018-19", "year", "Y-MAR", "2018-04-01", "2019-03-31", "2018/19"),
    ("1999-00", "year", "Y-MAR", "1999-04-01", "2000-03-31", "1999/00"),
    ("2018-19 Q1", "quarter", "Q-MAR", "2018-04-01", "2018-06-30", "Q1 2018/19"),
    ("2018-19 Q4", "quarter", "Q-MAR", "2019-01-01", "2019-03-31", "Q4 2018/19"),
    ("2019-03", "month", "M", "2019-03-01", "2019-03-31", "March 2019"),
]


@pytest.mark.parametrize("text, frequency, code, start, end, label", EXAMPLES)
def test_a_period_has_its_days_its_frequency_and_its_label(text, frequency, code, start, end, label):
    period = periods.parse(text, frequency)
    assert (period.freqstr, str(period.start_time.date()), str(period.end_time.date())) == (code, start, end)
    assert periods.label(period) == label
    assert periods.write(period) == text


@pytest.mark.parametrize(
    "text, frequency",
    [
        ("2018-20", "year"), ("2018/19", "year"), ("2018", "year"), ("2018-19 Q1", "year"), ("2018-2019", "year"), ("", "year"),
        ("2018-19 Q5", "quarter"), ("2018-19 Q0", "quarter"), ("2018-20 Q1", "quarter"), ("2018-19", "quarter"), ("2018-19Q1", "quarter"),
        ("2018-13", "month"), ("2018-00", "month"), ("2018-1", "month"), ("2018-10-01", "month"), ("2018-19 Q1", "month"), (" 2018-10", "month"),
    ],
)  # fmt: skip
def test_what_is_no_period_of_that_frequency_is_refused_with_an_example(text, frequency):
    with pytest.raises(ValueError, match=rf"is not a {frequency}; write it as 2018-1"):
        periods.parse(text, frequency)


@given(st.integers(2000, 2098), st.sampled_from(["Y-MAR", "Q-MAR", "M"]), st.integers(1, 12))
def test_parse_reads_what_write_writes(year, code, month):
    period = pd.Period(year=year, month=month, freq="M").asfreq(code)
    frequency = {code: name for name, code in periods.FREQUENCIES.items()}[code]
    assert periods.parse(periods.write(period), frequency) == period


@pytest.mark.parametrize(
    "month, year, quarter",
    [("2019-03", "2018-19", "2018-19 Q4"), ("2019-04", "2019-20", "2019-20 Q1"), ("2019-12", "2019-20", "2019-20 Q3")],
)
def test_financial_years_turn_in_april(month, year, quarter):
    period = periods.parse(month, "month")
    assert periods.write(period.asfreq("Y-MAR")) == year
    assert periods.write(period.asfreq("Q-MAR")) == quarter
    assert periods.parse(quarter, "quarter").asfreq("Y-MAR") == periods.parse(year, "year")
