"""The pages of all areas together: a table to sort and filter, a page to compare some of them, and a map of tiles."""

import textwrap
from pathlib import Path

import pandas as pd

from iapt import data, runs, words
from iapt.site import OF_AREAS, about, links, pages

MEASURES = {
    "recovery_rate": ("Recovery rate", "{:.1f}%"),
    "waited_under_6_weeks_rate": ("First treatment within 6 weeks", "{:.1f}%"),
    "finished_second_treatment_over_90_days_rate": ("Second treatment after over 90 days", "{:.1f}%"),
    "finished_per_100": ("Finished courses per 100 referrals", "{:.1f}"),
    "reliable_recovery_rate": ("Reliable recovery rate", "{:.1f}%"),
    "reliable_improvement_rate": ("Reliable improvement rate", "{:.1f}%"),
    "referrals_per_1000": ("Referrals per 1,000 adults", "{:.1f}"),
    "finished_per_1000": ("Finished courses per 1,000 adults", "{:.1f}"),
    "referrals_received": ("Referrals received", "{:,.0f}"),
    "finished_course": ("Finished courses", "{:,.0f}"),
}
"""What the pages show of every area: the name and the format of each measure."""
MAPPED = (
    "recovery_rate",
    "waited_under_6_weeks_rate",
    "finished_second_treatment_over_90_days_rate",
    "finished_per_1000",
)
SHADES = 5
"""Classes of a map, each with a fifth of the boards."""
TILE = 80
"""Units of a tile's side in the map."""


def render(made: list[runs.Run], there: list[str]) -> dict[str, str]:
    """The pages of all areas, by path, from the runs of the areas that are there."""
    held = compute(made[0].values()["as_of"])
    items = [_describe(data.find_place(run.values()["area"]), held, there) for run in made]
    year = held.drop(index=data.ENGLAND, level="area").index.get_level_values("year").max()
    shared = {
        "items": items,
        "measures": {key: label for key, (label, _) in MEASURES.items()},
        "years": [words.when(each) for each in held.index.unique("year")],
        "year": words.when(year),
        "regions": list(dict.fromkeys(item["region"] for item in items if item["kind"] == "icb")),
        "vintage": pages.describe_vintage(made[0]),
        "begun": _list_begun(there),
        "maps": _draw_maps(items),
    }
    return {
        f"{folder}/index.html": pages.fill(f"{folder.rpartition('/')[2]}.html.j2", title, folder, there, **shared)
        for folder, title in OF_AREAS.items()
    }


def compute(as_of: str) -> pd.DataFrame:
    """The measures of all areas known on a day: index (area, year), counts and rates, gaps as NaN.

    Rates per 1,000 divide by the adults of the newest population estimate that is held, in every year.
    """
    base = ["referrals_received", "finished_course"]
    held = data.areas([*base, *(measure for measure in MEASURES if measure.endswith("_rate"))], as_of)
    areas = held.index.get_level_values("area")
    adults = count_adults().reindex(areas).to_numpy()
    held["finished_per_100"] = (100 * held["finished_course"] / held["referrals_received"]).where(
        held["finished_course"] <= held["referrals_received"]
    )
    held["referrals_per_1000"], held["finished_per_1000"] = (1000 * held[measure] / adults for measure in base)
    local = held.drop(index=data.ENGLAND, level="area").index.unique("year")
    return held.loc[held.index.get_level_values("year").isin(local), list(MEASURES)]


def count_adults() -> pd.Series:
    """Residents aged 18 and over by area at the newest day that is held; of a region the sum of its boards."""
    held = data.known("latest", "population").query("ages == '18 and over' and type in ('country', 'icb')")
    adults = held[held["period"] == held["period"].max()].set_index("area")["value"].astype(float)
    places = data.places()
    regions = {
        code: adults.reindex(data.members(code)).sum(skipna=False) for code in places.query("type == 'region'").index
    }
    return pd.concat([adults, pd.Series(regions)])


def _describe(code: str, held: pd.DataFrame, there: list[str]) -> dict:
    """One area: its name, region, words to find it by, and of each measure the newest value and the whole series."""
    place, towns = data.places().loc[code], data.load()["towns"]
    own = held.reindex(pd.MultiIndex.from_product([[code], held.index.unique("year")]))
    cells = {}
    for measure, (_, form) in MEASURES.items():
        write = ("{:.0f}" if "," in form else "{:.1f}").format
        newest = own[measure].iloc[-1]
        cells[measure] = {
            "shown": "–" if pd.isna(newest) else form.format(newest),
            "value": newest,
            "series": ",".join("" if pd.isna(value) else write(value) for value in own[measure]),
        }
    near = towns.loc[towns["board"] == code, "name"]
    return {
        "code": code.lower(),
        "name": place["name"],
        "kind": place["type"],
        "region": data.places().at[data.region_of(code), "name"],
        "find": " ".join([place["name"], code, *near]).lower(),
        "towns": words.listed(near) if len(near) else "",
        "cells": cells,
    }


def _list_begun(there: list[str]) -> list[dict]:
    """The boards that began after the figures, each with its day and links to those it came from."""
    places = data.places()
    return [
        {
            "code": code.lower(),
            "name": place["name"],
            "day": about.write_day(place["first_day"]),
            "parts": words.listed(
                links.refer_to_area(before, there, "../") for before in dict.fromkeys(data.predecessors(code))
            ),
        }
        for code, place in places[places["first_day"] != ""].iterrows()
        if f"areas/{code.lower()}" not in there
    ]


# ---------------------------------------------------------------- map


def _draw_maps(items: list[dict]) -> list[dict]:
    """A map of tiles for each mapped measure: what to draw of every board, and the values at which shades change."""
    layout = pd.read_csv(Path(__file__).parent / "templates" / "tiles.csv").set_index("area")
    boards = {item["code"].upper(): item for item in items if item["code"].upper() in layout.index}
    return [_draw_map(measure, boards, layout) for measure in MAPPED] if boards else []


def _draw_map(measure: str, boards: dict[str, dict], layout: pd.DataFrame) -> dict:
    label, form = MEASURES[measure]
    values = pd.Series({code: item["cells"][measure]["value"] for code, item in boards.items()}, dtype=float)
    limits = values.quantile([step / SHADES for step in range(SHADES + 1)]).tolist()
    tiles = [
        {
            "code": item["code"],
            "name": item["name"],
            "shown": item["cells"][measure]["shown"],
            "x": TILE * layout.at[code, "column"],
            "y": TILE * layout.at[code, "row"],
            "lines": textwrap.wrap(layout.at[code, "name"], 8, break_long_words=False, break_on_hyphens=False)[:3],
            "shade": 0 if pd.isna(values[code]) else max(1, sum(values[code] > limit for limit in limits[:-1])),
        }
        for code, item in boards.items()
    ]
    return {"name": measure, "label": label, "tiles": tiles, "steps": [form.format(limit) for limit in limits]}
