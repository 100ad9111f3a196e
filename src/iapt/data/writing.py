"""Several tables changed at once, whole or not at all.

The new tables are written beside the old ones, under names that begin with `.adding`. Creating the empty file
`.adding` then decides: before it the change has not happened, from it on it has, and what is left to do is to
rename. Whoever comes next does that, or clears away what was never decided.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

DECIDED = ".adding"


class Busy(ValueError):
    """Somebody else is changing the data."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep others from changing the tables of a folder meanwhile; first settle what a crash left behind.

    The lock is the kernel's and ends with the process that holds it, so that none is ever left over.
    Raises Busy where another process holds it.
    """
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise ValueError(f"there is no folder of tables at {folder}: {error.strerror}") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"another iapt is changing {folder} now; wait until it has ended, then try again") from None
        _settle(folder)
        yield
    finally:
        os.close(handle)


def recover(folder: Path) -> None:
    """Finish or clear away what a crash left behind, unless somebody is at work."""
    if next(folder.glob(f"{DECIDED}*"), None):
        with suppress(Busy), locked(folder):
            pass


def replace(folder: Path, texts: dict[str, str]) -> None:
    """Give the files of a folder, locked by the caller, new texts: all of them or none.

    Raises OSError where they cannot be written, the disk being full for instance; nothing has changed then.
    """
    try:
        for name, text in texts.items():
            with open(folder / f"{DECIDED}.{name}", "w", encoding="utf-8", newline="") as handle:
                handle.write(text)
                handle.flush()
                os.fsync(handle.fileno())
        _sync(folder)
        os.close(os.open(folder / DECIDED, os.O_CREAT | os.O_WRONLY))
        _sync(folder)
    finally:
        _settle(folder)


def _settle(folder: Path) -> None:
    decided = (folder / DECIDED).exists()
    for staged in sorted(folder.glob(f"{DECIDED}.*"), reverse=True):  # sources before the figures that name them
        if decided:
            os.replace(staged, folder / staged.name.removeprefix(f"{DECIDED}."))
        else:
            staged.unlink()
    if decided:
        _sync(folder)
        (folder / DECIDED).unlink()


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
