"""Several tables changed at once, whole or not at all.

The new tables are written beside the old ones, under names that begin with `.adding`. Creating the empty file
`.adding` then decides: before it the change has not happened, from it on it has, and what is left to do is to
rename. The next command does that, or clears away what was never decided.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from iapt import locks

DECIDED = ".adding"

_read: dict[Path, dict[str, bytes]] = {}
"""The tables of each folder that this process has locked, as they were then."""


class Busy(ValueError):
    """Another process is changing the data."""


class Edited(ValueError):
    """Somebody changed a table by hand while its new version was computed; both are kept."""


class Unfinished(ValueError):
    """A change is decided, and not all of its tables could be put in place; the next command completes it."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep others from changing the tables of a folder meanwhile; first settle what a crash left behind.

    Raises Busy where another process holds the folder, ValueError where it cannot be written.
    """

    def refuse() -> None:
        raise Busy(f"another iapt is changing {folder} now; wait until it has ended, then try again")

    with ExitStack() as stack:
        try:
            stack.enter_context(locks.hold(folder, refuse))
            _settle(folder)
            _read[folder] = {path.name: path.read_bytes() for path in folder.glob("[!.]*") if path.is_file()}
        except OSError as error:
            raise ValueError(f"the tables in {folder} cannot be changed: {error.strerror or error}") from None
        stack.callback(_read.pop, folder, None)
        yield


def recover(folder: Path) -> None:
    """Finish or clear away what a crash left behind, unless another process is at work or the folder is read-only.

    Raises ValueError where a change is decided that cannot be completed: some tables are new and others old.
    """
    if next(folder.glob(f"{DECIDED}*"), None):
        try:
            with locked(folder):
                pass
        except Busy:
            pass
        except ValueError:
            if (folder / DECIDED).exists():
                raise


def replace(folder: Path, texts: dict[str, str]) -> None:
    """Give the files of a folder, locked by the caller, new texts: all of them or none.

    Links, modes and owners stay. Raises OSError where the texts cannot be written, the disk being full for instance,
    and Edited where a file is no longer as it was when the folder was locked; nothing has changed then. Raises
    Unfinished where the change is decided and a file cannot be put in place.
    """
    try:
        for name, text in texts.items():
            with open(folder / f"{DECIDED}.{name}", "w", encoding="utf-8", newline="") as handle:
                handle.write(text)
                handle.flush()
                os.fsync(handle.fileno())
            _copy_owner(folder / name, folder / f"{DECIDED}.{name}")
        _sync(folder)
        for name in texts:
            if folder in _read and (folder / name).read_bytes() != _read[folder][name]:
                raise Edited(f"{folder / name} was edited meanwhile; the edit stays and nothing was added: try again")
        os.close(os.open(folder / DECIDED, os.O_CREAT | os.O_WRONLY))
        _sync(folder)
    finally:
        _settle(folder)


def _settle(folder: Path) -> None:
    decided = (folder / DECIDED).exists()
    try:
        for staged in sorted(folder.glob(f"{DECIDED}.*"), reverse=True):  # sources before the figures that name them
            if decided:
                _put(staged, Path(os.path.realpath(folder / staged.name.removeprefix(f"{DECIDED}."))))
            else:
                staged.unlink()
        if decided:
            _sync(folder)
            (folder / DECIDED).unlink()
    except OSError as error:
        if not decided:
            raise
        raise Unfinished(
            f"the change of {folder} is decided but not complete ({error.strerror}: {error.filename}); the next iapt "
            "command completes it"
        ) from error


def _put(staged: Path, final: Path) -> None:
    try:
        os.replace(staged, final)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.copyfile(staged, final)  # a link to another disk; where this breaks off, the next command does it again
        staged.unlink()


def _copy_owner(old: Path, new: Path) -> None:
    if old.exists():
        shutil.copymode(old, new)
        if hasattr(os, "chown"):
            with suppress(PermissionError):
                os.chown(new, old.stat().st_uid, old.stat().st_gid)


def _sync(folder: Path) -> None:
    if os.name == "posix":  # elsewhere a folder cannot be opened
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
