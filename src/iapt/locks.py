"""A folder held by one process at a time, on Linux, macOS and Windows."""

import errno
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NAME = ".iapt.lock"
"""The file in a folder that is locked while the folder is held; it goes when the folder is let go."""
WITHOUT_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL)
"""Errors of a file system that cannot lock files, such as some network drives."""


@contextmanager
def hold(folder: Path, busy: Callable[[], None]) -> Iterator[None]:
    """Hold a folder against other processes; where one holds it already, call `busy`, which may raise, then wait.

    The lock ends with the process, however that ends. A file system that cannot lock is used without a lock, and a
    line on the error output says so. Raises OSError where the folder cannot be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / NAME)
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            busy()
            lock.acquire()
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        print(f"{folder} cannot be locked ({error.strerror}); let no other iapt write there now", file=sys.stderr)
    try:
        yield
    finally:
        with suppress(OSError):  # before it is let go, so that nobody waits for a file without a name; not on Windows
            (folder / NAME).unlink()
        lock.release()
