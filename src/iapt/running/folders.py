"""The folder of the reports: held by one runner at a time, and every report in it whole."""

import ctypes
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from iapt import locks, runs
from iapt.running.failures import describe_trouble

PARTS = {"index.html", "notebook.ipynb", "run.json", "figures", "tables"}
"""What a report holds."""
MARK = "iapt report"
"""Words near the top of every page around the reports, by which it is known as ours."""


@contextmanager
def own(out: Path) -> Iterator[None]:
    """Hold the folder of the reports against other runners; clear away what a killed one left.

    A second runner says that it waits, and where the system tells (Linux) for which process.
    """

    def wait() -> None:
        print(f"another iapt report{_find_holder(out)} is writing to {out}; waiting for it to end", file=sys.stderr, flush=True)

    with ExitStack() as stack:
        try:
            out.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locks.hold(out, wait))
            for left in out.glob(".staging-*"):
                _clear(left, out)
        except OSError as error:
            raise runs.RunError(describe_trouble(error, out)) from None
        yield


def _find_holder(out: Path) -> str:
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/locks").read_text().splitlines():
            kind, pid, place = (line.split()[i] for i in (1, 4, 5))
            if kind == "FLOCK" and int(place.split(":")[2]) == (out / locks.NAME).stat().st_ino:
                return f" (process {pid})"
    return ""


def refuse_strangers(out: Path, names: list[str]) -> None:
    """Replace nothing but reports and our own pages: raises RunError where something else is in their place."""
    for folder in (out / name for name in names):
        held = {path.name for path in folder.iterdir() if not path.name.startswith(".")} if folder.is_dir() else set()
        if strange := sorted(held - PARTS):
            raise runs.RunError(
                f"{folder} holds {strange[0]}, which is no part of a report; choose another folder with --out"
            )
    around = {out / name.partition("/")[0] / "index.html" for name in names if "/" in name}
    for page in (out / "index.html", out / "README.md", out / "method" / "index.html", *sorted(around)):
        if page.exists() and MARK not in page.read_text(encoding="utf-8", errors="replace")[:500]:
            raise runs.RunError(f"{page} was not written by this iapt; remove it, or choose another folder with --out")


def make_staging(out: Path) -> Path:
    """A new folder beside the reports with an empty `report` in it. Raises RunError where it cannot be written."""
    try:
        staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=out))
        (staging / "report").mkdir()
    except OSError as error:
        raise runs.RunError(describe_trouble(error, out)) from None
    return staging


def put_in_place(staging: Path, final: Path) -> None:
    """Replace a report by the staged one in a single step: at no moment is there none, or half of one."""
    final.parent.mkdir(parents=True, exist_ok=True)
    new = staging / "report"
    if not final.exists():
        os.rename(new, final)
    elif not _exchange(new, final):
        aside = staging / "previous" / final.relative_to(staging.parent)
        aside.parent.mkdir(parents=True)
        os.rename(final, aside)
        os.rename(new, final)
    shutil.rmtree(staging, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two folders atomically where the system can (Linux, macOS); False where it cannot."""
    if sys.platform == "win32":
        return False
    library, here, swap = ctypes.CDLL(None, use_errno=True), -100, 2
    paths = os.fsencode(one), os.fsencode(other)
    if hasattr(library, "renameat2"):
        return library.renameat2(here, paths[0], here, paths[1], swap) == 0
    return hasattr(library, "renamex_np") and library.renamex_np(*paths, swap) == 0


def _clear(left: Path, out: Path) -> None:
    """Remove what a killed runner left; a report that it had just moved aside goes back."""
    for state in list((left / "previous").rglob("run.json")):
        final = out / state.parent.relative_to(left / "previous")
        if not final.exists():
            os.rename(state.parent, final)
    shutil.rmtree(left, ignore_errors=True)
