"""The record of forecasts that released reports made, kept so that anybody can score them once the figures are in.

`data/forecasts.csv` has one row a quantile and is append only: a forecast that has been recorded is never changed.
"""

import csv
import io

import pandas as pd

from iapt.data import memory, periods, recording, tables, vintages, writing

FILE = "forecasts.csv"
KEY = ["made_on", "as_of", "measure", "period", "model", "level"]


def append(fan: pd.DataFrame, measure: str, as_of: str, *, made_on: str, model: str = "pool") -> int:
    """Record a forecast: `fan` has one row a financial year and one column a quantile level, such as 0.1, 0.5, 0.9.

    `made_on` is the day of the release. `as_of` is the day on which the figures it looked at were known; latest is
    written as the day on which the newest of them came out. Values are kept as whole referrals. Returns the number of
    new rows; a forecast recorded already, with the same values, adds none.
    Raises ValueError where a recorded value would change, a day does not exist, a year was known on `as_of`, or the
    table would break its description.
    """
    limit = vintages.day(as_of)
    day = f"{vintages.known()['available'].max() if limit is None else limit:%Y-%m-%d}"
    if vintages.day(made_on) < vintages.day(day):
        raise ValueError(f"made_on {made_on} is before as_of {day}; a forecast cannot know later figures")
    held = vintages.series(measure, "year", day).dropna()
    if known := [periods.write(year) for year in fan.index if year in held.index]:
        raise ValueError(f"{measure} in {', '.join(known)} was known on {day}; record only what was forecast")
    new = {
        (made_on, day, measure, periods.write(year), model, f"{level:g}"): f"{value:.0f}"
        for (year, level), value in fan.stack().items()
    }
    folder = tables.folder()
    with writing.locked(folder):
        text = (folder / FILE).read_text(encoding="utf-8")
        recorded = {tuple(row[:-1]): row[-1] for row in csv.reader(io.StringIO(text))}
        for key, value in new.items():
            if recorded.get(key, value) != value:
                said = f"{', '.join(key)} is recorded as {recorded[key]}, not {value}"
                raise ValueError(f"{FILE}: {said}; nothing is changed")
        fresh, rows = [(*key, value) for key, value in new.items() if key not in recorded], io.StringIO()
        csv.writer(rows, lineterminator="\n").writerows(fresh)
        longer = {FILE: text + rows.getvalue()}
        recording.rehearse(folder, longer)
        writing.replace(folder, longer)
    memory.forget()
    return len(fresh)


def score(as_of: str | None = None) -> pd.DataFrame:
    """Every recorded forecast beside its outturn as known on a day: one row a forecast and financial year.

    Columns made_on, as_of, measure, year, model, median, low and high (80%), outturn, error (of the median, per cent
    of the outturn), inside80, inside95 and ahead: whether it was made before the year had ended. What is not known
    yet is missing.
    """
    record = tables.load()["forecasts"].assign(level=lambda table: table["level"].astype(float))
    result = record.pivot(index=KEY[:-1], columns="level", values="value").reset_index().rename_axis(columns=None)
    result["year"] = periods.index([periods.parse(text, "year") for text in result.pop("period")], "year")
    known = {measure: vintages.series(measure, "year", as_of) for measure in result["measure"].unique()}
    outturns = [known[measure].get(year) for measure, year in zip(result["measure"], result["year"])]
    result["outturn"] = pd.Series(outturns, dtype=float)
    result["error"] = 100 * (result[0.5] / result["outturn"] - 1)
    for share, low, high in (("80", 0.1, 0.9), ("95", 0.025, 0.975)):
        inside = result["outturn"].between(result[low], result[high])
        result[f"inside{share}"] = inside.astype(object).where((result["outturn"] + result[low]).notna())
    result["ahead"] = [pd.Timestamp(made) <= year.end_time for made, year in zip(result["made_on"], result["year"])]
    return result.rename(columns={0.1: "low", 0.5: "median", 0.9: "high"}).drop(columns=[0.025, 0.25, 0.75, 0.975])
