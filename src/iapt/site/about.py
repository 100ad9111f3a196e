"""What every page says of the site: who made it, its dates, its address and its menu."""

import os
import re
from collections.abc import Iterable
from functools import cache

import pandas as pd
import yaml

from iapt import data, runs
from iapt.data import periods
from iapt.paths import ROOT
from iapt.site import AROUND, OF_AREAS

SITE = "NHS talking therapies in England"
ADDRESS = "IAPT_SITE"
"""The environment variable that holds the address at which the site is published."""


@cache
def citation() -> dict:
    """Authors (as text), title, version, licence, date and repository of CITATION.cff; empty where it has none."""
    told = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    names = [
        person.get("name") or f"{person.get('given-names', '')} {person['family-names']}".strip()
        for person in told["authors"]
    ]
    keys = ("title", "version", "license", "date-released", "repository-code")
    return {"authors": ", ".join(names)} | {key.replace("-", "_"): str(told.get(key, "")) for key in keys}


def address() -> str:
    """The address of the site with a slash at its end; empty where IAPT_SITE gives none.

    Raises RunError for anything but an address of the web.
    """
    given = os.environ.get(ADDRESS, "").strip()
    if given and not re.fullmatch(r"https?://[^\s\"'<>?#]+", given):
        raise runs.RunError(f"{ADDRESS} is {given!r}; expected an address such as https://example.org/reports/")
    return given.rstrip("/") + "/" if given else ""


def write_day(day: str) -> str:
    """A day for people: `2026-11-25` is `25 November 2026`."""
    moment = pd.Timestamp(day)
    return f"{moment.day} {moment:%B %Y}"


def dates() -> dict[str, str]:
    """The newest month of the figures and the day on which figures last changed, for people."""
    return {
        "figures_to": periods.label(data.newest_month()),
        "changed": write_day(data.load()["changes"]["added"].max()),
    }


def menu(there: Iterable[str]) -> dict[str, dict[str, str]]:
    """The groups of the menu: folder and title of the reports named, and of the pages around them."""
    bases = {name.partition("/")[0] for name in there}
    groups: dict[str, dict] = {}
    for run in runs.load().values():
        if run.name in bases:
            groups.setdefault(run.group, {}).update(OF_AREAS if run.each else {run.name: run.title})
    return groups | {"Data": {name: title for name, title in AROUND.items() if groups or name != "downloads"}}
