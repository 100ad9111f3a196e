"""Results kept for as long as the tables stay as they are."""

import os
from collections.abc import Callable
from functools import cache, wraps
from typing import ParamSpec, TypeVar

import pandas as pd

Arguments, Result = ParamSpec("Arguments"), TypeVar("Result")
_clear: list[Callable[[], None]] = []


def remember(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Keep the results of a function of the tables, by its positional arguments and by the folder the tables are in.

    Every caller gets tables of its own: what one does to them does not reach another.
    """

    @cache
    def keep(_folder: object, *arguments: object) -> object:
        return function(*arguments)

    @wraps(function)
    def recall(*arguments: object) -> object:
        return _hand_out(keep(os.environ.get("IAPT_DATA"), *arguments))

    _clear.append(keep.cache_clear)
    return recall


def forget() -> None:
    """Compute everything anew when it is next asked for: the tables have changed."""
    for clear in _clear:
        clear()


def _hand_out(result: object) -> object:
    if isinstance(result, (pd.DataFrame, pd.Series)):
        return result.copy(deep=False)  # pandas copies what is written to, so a shallow copy is one's own
    if isinstance(result, dict):
        return {name: _hand_out(part) for name, part in result.items()}
    if type(result) is tuple:
        return tuple(map(_hand_out, result))
    return result
