"""Years, quarters and months of the NHS financial year (April to March)."""

import re

import pandas as pd

FREQUENCIES = {"year": "Y-MAR", "quarter": "Q-MAR", "month": "M"}
_PATTERNS = {
    "year": r"(?P<year>\d{4})-(?P<end>\d{2})",
    "quarter": r"(?P<year>\d{4})-(?P<end>\d{2}) Q(?P<quarter>[1-4])",
    "month": r"(?P<year>\d{4})-(?P<month>0[1-9]|1[0-2])",
}


def parse(text: str, frequency: str) -> pd.Period:
    """The period that a table writes as `2018-19`, `2018-19 Q3` or `2018-10`.

    Raises ValueError where the text is not a period of that frequency.
    """
    match = re.fullmatch(_PATTERNS[frequency], text)
    parts = {name: int(value) for name, value in match.groupdict().items()} if match else {}
    if not parts or ("end" in parts and parts["end"] != (parts["year"] + 1) % 100):
        example = {"year": "2018-19", "quarter": "2018-19 Q3", "month": "2018-10"}[frequency]
        raise ValueError(f"{text!r} is not a {frequency}; write it as {example}")
    if frequency == "month":
        return pd.Period(year=parts["year"], month=parts["month"], freq="M")
    ends = parts["year"] + 1
    return pd.Period(f"{ends}Q{parts['quarter']}" if frequency == "quarter" else str(ends), FREQUENCIES[frequency])


def write(period: pd.Period) -> str:
    """The period as the tables write it: the inverse of `parse`."""
    if period.freqstr == "M":
        return str(period)
    year = f"{period.qyear - 1 if period.freqstr.startswith('Q') else period.year - 1}"
    year = f"{year}-{(int(year) + 1) % 100:02d}"
    return f"{year} Q{period.quarter}" if period.freqstr.startswith("Q") else year


def label(period: pd.Period) -> str:
    """The period for people: `2018/19`, `Q3 2018/19` or `October 2018`."""
    if period.freqstr == "M":
        return period.strftime("%B %Y")
    year, _, quarter = write(period).replace("-", "/").partition(" ")
    return f"{quarter} {year}" if quarter else year


def financial_year(period: pd.Period) -> pd.Period:
    """The financial year in which a quarter or month lies."""
    return period.asfreq("Y-MAR")


def parts(period: pd.Period, frequency: str) -> pd.PeriodIndex:
    """The quarters or months, in order, that make up a year or quarter."""
    code = FREQUENCIES[frequency]
    return pd.period_range(period.asfreq(code, "start"), period.asfreq(code, "end"), freq=code)
