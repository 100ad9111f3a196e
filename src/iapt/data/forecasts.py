"""The record of forecasts that released reports made, kept so that anybody can score them once the figures are in.

`data/forecasts.csv` has one row a quantile and is append only: a forecast that has been recorded is never changed.
"""

import csv
import io

import pandas as pd

from iapt.data import memory, periods, tables, vintages, writing

FILE = "forecasts.csv"
KEY = ["made_on", "as_of", "measure", "period", "model", "level"]


def append(fan: pd.DataFrame, *, made_on: str, as_of: str, measure: str, model: str = "pool") -> int:
    """Record a forecast: `fan` has one row a financial year and one column a quantile level, such as 0.1, 0.5, 0.9.

    `made_on` is the day of the release, `as_of` the day on which the figures it looked at were known. Values are kept
    as whole referrals. Returns the number of new rows; a forecast recorded already, with the same values, adds none.
    Raises ValueError where a recorded value would change, a day does not exist, or a year was known on `as_of`.
    """
    if vintages.day(made_on) < vintages.day(as_of):
        raise ValueError(f"made_on {made_on} is before as_of {as_of}; a forecast cannot know later figures")
    held = vintages.series(measure, "year", as_of).dropna()
    if known := [periods.write(year) for year in fan.index if year in held.index]:
        raise ValueError(f"{measure} in {', '.join(known)} was known on {as_of}; record only what was forecast")
    new = {
        (made_on, as_of, measure, periods.write(year), model, f"{level:g}"): f"{value:.0f}"
        for year, row in fan.iterrows()
        for level, value in row.items()
    }
    folder = tables.folder()
    with writing.locked(folder):
        text = (folder / FILE).read_text(encoding="utf-8")
        recorded = {tuple(row[:-1]): row[-1] for row in csv.reader(io.StringIO(text))}
        for key, value in new.items():
            if recorded.get(key, value) != value:
                raise ValueError(
                    f"{FILE}: {', '.join(key)} is recorded as {recorded[key]}, not {value}; nothing is changed"
                )
        fresh = {key: value for key, value in new.items() if key not in recorded}
        lines = io.StringIO()
        csv.writer(lines, lineterminator="\n").writerows([*key, value] for key, value in fresh.items())
        writing.replace(folder, {FILE: text + lines.getvalue()})
    memory.forget()
    return len(fresh)


def score(as_of: str | None = None) -> pd.DataFrame:
    """Every recorded forecast beside its outturn as known on a day: one row a forecast and financial year.

    Columns made_on, as_of, measure, year, model, median, low and high (80%), outturn, error (of the median, per cent
    of the outturn), inside80, inside95 and ahead: whether it was made before the year had ended. What is not known
    yet is missing.
    """
    record = tables.load()["forecasts"].assign(level=lambda table: table["level"].astype(float))
    wide = record.pivot(index=KEY[:-1], columns="level", values="value").reset_index()
    years = periods.index([periods.parse(text, "year") for text in wide["period"]], "year")
    known = {measure: vintages.series(measure, "year", as_of) for measure in wide["measure"].unique()}
    result = wide[["made_on", "as_of", "measure"]].assign(year=years, model=wide["model"])
    result[["low", "median", "high"]] = wide[[0.1, 0.5, 0.9]]
    result["outturn"] = [known[measure].get(year) for measure, year in zip(wide["measure"], years)]
    result["outturn"] = result["outturn"].astype(float)
    result["error"] = 100 * (result["median"] / result["outturn"] - 1)
    for share, low, high in (("80", 0.1, 0.9), ("95", 0.025, 0.975)):
        inside = result["outturn"].between(wide[low], wide[high])
        result[f"inside{share}"] = inside.astype(object).where(result["outturn"].notna())
    result["ahead"] = [pd.Timestamp(made) <= year.end_time for made, year in zip(wide["made_on"], years)]
    return result.rename_axis(columns=None)
