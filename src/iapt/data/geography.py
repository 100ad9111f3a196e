"""England, its regions and boards: found by name, code or town, with what came before and after each."""

import difflib
import re

import pandas as pd

from iapt.data.memory import remember
from iapt.data.tables import load

MOST = 0.9
"""A local authority counts as lying in a board when at least this share of its people does."""


@remember
def places() -> pd.DataFrame:
    """England, the regions and all boards, ended ones too, by code: type, name, region, ONS code, first, last day."""
    return load()["places"].set_index("area")


@remember
def find_place(text: str, as_of: str | None = None) -> str:
    """The code of an area, by its name, its NHS or ONS code, or a local authority in it: `NHS Devon ICB`, `Leeds`.

    A board that has ended keeps its code, as its figures do. With `as_of`, a date or `latest`, a board that had not
    begun then is refused.
    Raises ValueError with the nearest names for any other text, and with the boards of an authority in several.
    """
    table, asked = places(), _fold(text)
    codes = {ons.lower(): code for code, ons in table["ons_code"].items()}
    codes |= {code.lower(): code for code in table.index}
    names = {_fold(name): code for code, name in table["name"].items()}
    found = codes.get(asked) or names.get(asked) or _find_town(text)
    if not asked or not found:
        raise ValueError(f"area is {text!r}; {_hint(asked, table)}")
    first = table.at[found, "first_day"]
    if first and as_of not in (None, "latest") and as_of < first:
        before = "; ".join(table.at[code, "name"] for code in predecessors(found))
        raise ValueError(f"area is {text!r}, which began on {first}, after {as_of}; before it: {before}")
    return found


def _fold(text: str) -> str:
    short = " ".join(str(text).lower().replace(",", " ").replace("&", " and ").split())
    return re.sub(r"^nhs | (icb|integrated care board)$| (city|county) of$", "", short)


def _find_town(text: str) -> str | None:
    towns = load()["towns"]
    rows = towns[(towns["name"].map(_fold) == _fold(text)) | (towns["code"].str.lower() == _fold(text))]
    if rows.empty:
        return None
    largest = rows.loc[rows["share"].idxmax()]
    if largest["share"] < MOST:
        names = places()["name"]
        parts = [f"{names[row.board]} ({row.share:.0%})" for row in rows.itertuples()]
        raise ValueError(f"area is {text!r}, which lies in several boards: {', '.join(parts)}; name one of them")
    return largest["board"]


def _hint(asked: str, table: pd.DataFrame) -> str:
    shown = dict.fromkeys([*table["name"], *load()["towns"]["name"]])
    by_key = {_fold(name): name for name in shown}
    within = [name for key, name in by_key.items() if asked and asked in key]
    near = within[:3] or [by_key[key] for key in difflib.get_close_matches(asked, by_key, 3, 0.6)]
    nearest = f"nearest: {'; '.join(near)}. " if near else ""
    allowed = "England, a region, an integrated care board or a local authority in it, by name, or a code such as QJK"
    return f"{nearest}Allowed: {allowed}"


def successors(code: str) -> list[str]:
    """The codes of the boards that took on a board, or parts of it; empty while it has not ended."""
    table = load()["successions"]
    return table.loc[table["predecessor"] == code, "successor"].tolist()


def predecessors(code: str) -> list[str]:
    """The codes of the boards that went, whole or in part, into a board; empty for one that began with the figures."""
    table = load()["successions"]
    return table.loc[table["successor"] == code, "predecessor"].tolist()


def members(region: str) -> list[str]:
    """The codes of the boards of a region that the figures are about, before April 2026. KeyError where it is none."""
    table = places()
    if table.at[region, "type"] != "region":
        raise KeyError(region)
    return table.index[(table["region"] == region) & (table["first_day"] == "")].tolist()


def region_of(code: str) -> str:
    """The code of the region of a board; a region's own code; England's for England. Raises KeyError for others."""
    return places().at[code, "region"] or code
