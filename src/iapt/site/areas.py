"""The pages of all areas together: a table to sort and filter, a page to compare some of them, and a map of tiles."""

import textwrap
from pathlib import Path

import pandas as pd

from iapt import data, runs, words
from iapt.site import about, links, pages

MEASURES = {
    "referrals_received": ("Referrals received", "{:,.0f}"),
    "finished_course": ("Finished courses", "{:,.0f}"),
    "referrals_per_1000": ("Referrals per 1,000 adults", "{:.1f}"),
    "finished_per_1000": ("Finished courses per 1,000 adults", "{:.1f}"),
    "finished_per_100": ("Finished courses per 100 referrals", "{:.1f}"),
    "waited_under_6_weeks_rate": ("First treatment within 6 weeks", "{:.1f}%"),
    "finished_second_treatment_over_90_days_rate": ("Second treatment after over 90 days", "{:.1f}%"),
    "recovery_rate": ("Recovery rate", "{:.1f}%"),
    "reliable_recovery_rate": ("Reliable recovery rate", "{:.1f}%"),
    "reliable_improvement_rate": ("Reliable improvement rate", "{:.1f}%"),
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
    as_of = made[0].values()["as_of"]
    held = compute(as_of)
    codes = [data.find_place(run.values()["area"]) for run in made]
    items = [_describe(code, held, there) for code in codes]
    year = held.drop(index=data.ENGLAND, level="area").index.get_level_values("year").max()
    shared = {
        "items": items,
        "measures": {key: label for key, (label, _) in MEASURES.items()},
        "years": [words.when(each) for each in held.index.unique("year")],
        "year": words.when(year),
        "regions": list(dict.fromkeys(item["region"] for item in items if item["kind"] == "icb")),
        "vintage": pages.describe_vintage(made[0]),
    }
    filled = {
        "areas": pages.fill("areas.html.j2", "All areas", "areas", there, begun=_list_begun(there), **shared),
        "areas/compare": pages.fill("compare.html.j2", "Compare areas", "areas/compare", there, **shared),
        "areas/map": pages.fill("map.html.j2", "Map of areas", "areas/map", there, maps=_draw_maps(items), **shared),
    }
    return {f"{folder}/index.html": text for folder, text in filled.items()}


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
    years = held.index.unique("year")
    own = held.loc[code].reindex(years) if code in held.index else pd.DataFrame(index=years, columns=list(MEASURES))
    cells = {}
    for measure, (_, form) in MEASURES.items():
        newest = own[measure].iloc[-1]
        series = ",".join("" if pd.isna(value) else f"{value:.{0 if ',' in form else 1}f}" for value in own[measure])
        shown = "–" if pd.isna(newest) else form.format(newest)
        cells[measure] = {"shown": shown, "value": newest, "series": series}
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
    boards = [item for item in items if item["code"].upper() in layout.index]
    return [_draw_map(measure, boards, layout) for measure in MAPPED] if boards else []


def _draw_map(measure: str, boards: list[dict], layout: pd.DataFrame) -> dict:
    label, form = MEASURES[measure]
    values = pd.Series({item["code"]: item["cells"][measure]["value"] for item in boards}, dtype=float)
    limits = values.quantile([step / SHADES for step in range(SHADES + 1)]).tolist()
    tiles = []
    for item in boards:
        place, cell = layout.loc[item["code"].upper()], item["cells"][measure]
        shade = 0 if pd.isna(cell["value"]) else max(1, sum(cell["value"] > limit for limit in limits[:-1]))
        tiles.append(
            {
                "href": f"../{item['code']}/index.html",
                "x": TILE * int(place["column"]),
                "y": TILE * int(place["row"]),
                "lines": textwrap.wrap(place["name"], 8, break_long_words=False, break_on_hyphens=False)[:3],
                "name": item["name"],
                "shown": cell["shown"],
                "shade": shade,
            }
        )
    return {"name": measure, "label": label, "tiles": tiles, "steps": [form.format(limit) for limit in limits]}
