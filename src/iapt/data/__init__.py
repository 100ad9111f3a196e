"""The published figures: read, checked, and chosen as they could be known on a given day."""

from iapt.data.memory import forget, remember
from iapt.data.tables import WHOLES, DataError, Problem, check, folder, load
from iapt.data.vintages import (
    EXACT_TO,
    PAGE,
    breaks,
    day,
    figures,
    find_place,
    known,
    label,
    newest_month,
    series,
    targets,
)

__all__ = [
    "EXACT_TO", "PAGE", "WHOLES", "DataError", "Problem", "breaks", "check", "day", "figures", "find_place",
    "folder", "forget", "known", "label", "load", "newest_month", "remember", "series", "targets",
]  # fmt: skip
