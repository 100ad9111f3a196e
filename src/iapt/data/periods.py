"""Years, quarters and months of the NHS financial year (April to March)."""

import re
from collections.abc import Callable, Iterable
from functools import cache

import numpy as np
import pandas as pd

FREQUENCIES = {"year": "Y-MAR", "quarter": "Q-MAR", "month": "M"}
_PATTERNS = {
    "year": r"(?P<year>\d{4})-(?P<end>\d{2})",
    "quarter": r"(?P<year>\d{4})-(?P<end>\d{2}) Q(?P<quarter>[1-4])",
    "month": r"(?P<year>\d{4})-(?P<month>0[1-9]|1[0-2])",
}


@cache
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


def parse_any(text: str) -> pd.Period:
    """The day, the calendar year or the financial year that a text names: `2020-06-30`, `2014` or `2018-19`."""
    if re.fullmatch(r"\d{4}|\d{4}-\d{2}-\d{2}", text):
        return pd.Period(text)
    return parse(text, "year")


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


class FinancialIndex(pd.PeriodIndex):
    """Financial years or quarters that show, and are picked by, the names that the NHS gives them.

    `starts["2023-24"]`, `starts["2015/16":]`, `quarters["2018-19 Q3"]` and `quarters["2018-19":]` work. pandas alone
    would call 2023/24 by the year of its end, so other text such as `"2024"` raises a ValueError that says how to
    write it.
    """

    def get_loc(self, key: object) -> object:
        return super().get_loc(self._read(key))

    def slice_locs(self, start: object = None, end: object = None, step: int | None = None) -> tuple[int, int]:
        return super().slice_locs(self._read(start, "start"), self._read(end, "end"), step)

    def slice_indexer(self, start: object = None, end: object = None, step: int | None = None) -> slice:
        return super().slice_indexer(self._read(start, "start"), self._read(end, "end"), step)

    def _read(self, key: object, end: str = "") -> object:
        period = fy(key) if isinstance(key, str) else key
        return period.asfreq(self.freqstr, end) if end and isinstance(period, pd.Period) else period

    @property
    def _formatter_func(self) -> Callable[[pd.Period], str]:
        return lambda period: repr(write(period))

    def _format_with_header(self, *, header: list[str], na_rep: str) -> list[str]:
        return header + [write(period) for period in self]

    def _get_values_for_csv(self, **_: object) -> np.ndarray:
        return np.array([write(period) for period in self], dtype=object)


def fy(text: str) -> pd.Period:
    """The financial year or quarter that people write as `2023-24`, `2023/24` or `2023-24 Q3`.

    Raises ValueError for any other text.
    """
    text = str(text).replace("/", "-")
    return parse(text, "quarter" if " " in text else "year")


def span(first: str | pd.Period, last: str | pd.Period) -> FinancialIndex:
    """All financial years from the first to the last."""
    first, last = (fy(end) if isinstance(end, str) else end for end in (first, last))
    return FinancialIndex(pd.period_range(first, last, name="year"))


def index(held: Iterable[pd.Period], frequency: str) -> pd.PeriodIndex:
    """An index of these periods, named after its frequency; years and quarters as FinancialIndex."""
    periods = pd.PeriodIndex(held, freq=FREQUENCIES[frequency], name=frequency)
    return periods if frequency == "month" else FinancialIndex(periods)


def frequency_of(index: pd.PeriodIndex) -> str:
    """`year`, `quarter` or `month`."""
    return {"Y": "year", "Q": "quarter", "M": "month"}[index.freqstr[0]]
