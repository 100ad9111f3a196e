"""The published figures: read, checked, and chosen as they could be known on a given day."""

from iapt.data.memory import forget, remember
from iapt.data.periods import fy, span
from iapt.data.geography import find_place, members, places, predecessors, region_of, successors
from iapt.data.schema import Problem
from iapt.data.tables import DataError, check, folder, load
from iapt.data.vintages import (
    ENGLAND,
    EXACT_TO,
    PAGE,
    areas,
    breaks,
    comparable_from,
    day,
    figures,
    groups,
    known,
    label,
    newest_month,
    series,
    standard,
    table,
    targets,
    tidy,
)

__all__ = [
    "ENGLAND", "EXACT_TO", "PAGE", "DataError", "Problem", "areas", "breaks", "check", "comparable_from",
    "day", "figures", "find_place", "folder", "forget", "fy", "groups", "known", "label", "load", "members", "newest_month", "places", "predecessors", "region_of",
    "remember", "series", "span", "standard", "successors", "table", "targets", "tidy",
]  # fmt: skip
