"""The folder of the reports: held by one runner at a time, every report whole, and nothing of anybody else's lost.

A report is ours where its `run.json` lists its files, a page around the reports where `site.json` does. Everything else
is refused, and a listed file that somebody has edited is kept beside when it is replaced.
"""

import ctypes
import hashlib
import itertools
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from iapt import locks, runs
from iapt.paths import REPORTS, read_file
from iapt.running import reports
from iapt.running.failures import describe_trouble
from iapt.site import PAGES

RECORD = "site.json"
"""The file in the folder that lists the pages around the reports with their digests."""
MARKS = (b"<!-- written by iapt report -->", b'<meta name="generator" content="iapt report">', b'{\n "of": "')
"""What pages of ours that are in no record, such as the gallery that git keeps, and records have near their top."""
STAGING = ".iapt-staging-"
"""How the names of the folders begin in which reports are made."""
NOBODYS = {".DS_Store", "Thumbs.db", "desktop.ini"}
"""Files that systems leave in folders."""


@contextmanager
def own(out: Path) -> Iterator[None]:
    """Hold the folder of the reports against other runners; clear away what a killed one left.

    A second runner says that it waits, and where the system tells (Linux) for which process.
    """

    def wait() -> None:
        said = f"another iapt report{_find_holder(out)} is writing to {out}; waiting for it to end"
        print(said, file=sys.stderr, flush=True)

    with ExitStack() as stack:
        try:
            out.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locks.hold(out, wait))
            for left in out.glob(f"{STAGING}*"):
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


def refuse_strangers(out: Path, names: Iterable[str]) -> None:
    """Replace nothing but reports: raises RunError where something else is in the place of one."""
    for folder in (out / name for name in names):
        trouble = ""
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            trouble = f"{folder} is not a folder, and a report would replace it"
        elif strange := sorted(_list_files(folder) - _list_ours(folder)):
            trouble = f"{folder} holds {strange[0]}, which is not part of a report"
        if trouble:
            raise runs.RunError(f"{trouble}; move it, or choose another place with --out")


def _list_files(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if (path.is_symlink() or not path.is_dir()) and path.name not in NOBODYS
    }


def _list_ours(folder: Path) -> set[str]:
    state = reports.read_state(folder)
    if state:
        return {"run.json", *state["files"]}
    if folder.is_relative_to(REPORTS):  # in a fresh clone, the figures that git keeps
        return {path for path in _list_files(folder) if re.fullmatch(r"figures/\w+\.(svg|csv)", path)}
    return set()


def make_staging(out: Path) -> Path:
    """A new folder beside the reports with an empty `report` in it. Raises RunError where it cannot be written."""
    try:
        staging = Path(tempfile.mkdtemp(prefix=STAGING, dir=out))
        (staging / "report").mkdir()
    except OSError as error:
        raise runs.RunError(describe_trouble(error, out)) from None
    return staging


def put_in_place(staging: Path, name: str) -> str:
    """Replace a report by the staged one in a single step: at no moment is there none, or half of one.

    Files of the old one that somebody has edited are kept; what is returned says where. Raises RunError where something
    else has come into its place.
    """
    out, final = staging.parent, staging.parent / name
    refuse_strangers(out, [name])
    state = reports.read_state(final)
    kept = keep_edits(final, state["files"] if state else {}, out / f"{name}.edited")
    final.parent.mkdir(parents=True, exist_ok=True)
    new = staging / "report"
    if not final.exists():
        os.rename(new, final)
    elif not _exchange(new, final):
        aside = staging / "previous" / name
        aside.parent.mkdir(parents=True)
        os.rename(final, aside)
        os.rename(new, final)
    shutil.rmtree(staging, ignore_errors=True)
    return kept


def keep_edits(folder: Path, listed: dict[str, str], beside: Path) -> str:
    """Copy the files whose content is not as listed into a folder beside; a line that says so, or nothing."""
    edited = [path for path, digest in listed.items() if runs.digest_file(folder / path) not in (digest, "missing")]
    if not edited:
        return ""
    beside = _find_free(beside)
    for path in edited:
        (beside / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / path, beside / path)
    return f"{', '.join(edited)} had been edited; what you had is kept in {beside}"


def _find_free(path: Path) -> Path:
    """This path or, where there is something, the first of `path-2`, `path-3` and so on that is free."""
    ending = ".ipynb" if path.suffix == ".ipynb" else ""
    stem = path.name.removesuffix(ending)
    numbered = (path.with_name(f"{stem}-{number}{ending}") for number in itertools.count(2))
    return next(place for place in itertools.chain([path], numbered) if not place.exists())


def keep_failed(partial: Path, kept: Path) -> str:
    """Keep the notebook of a run that failed, with a digest of its cells, which tells whether somebody edits it later.

    A line about an edited one that was there, or nothing. Raises OSError and ValueError where it is not whole.
    """
    notebook = json.loads(partial.read_text(encoding="utf-8"))
    notebook["metadata"]["iapt"] = runs.digest(notebook["cells"])
    partial.write_text(json.dumps(notebook, indent=1, ensure_ascii=False), encoding="utf-8")
    said = remove_failed(kept)
    kept.parent.mkdir(parents=True, exist_ok=True)
    os.replace(partial, kept)
    return said


def remove_failed(kept: Path) -> str:
    """Remove the notebook of a run that failed; one that somebody has edited is moved aside, as the line says."""
    if not kept.exists():
        return ""
    with suppress(ValueError, KeyError, TypeError):
        notebook = json.loads(kept.read_text(encoding="utf-8"))
        if notebook["metadata"]["iapt"] == runs.digest(notebook["cells"]):
            kept.unlink()
            return ""
    aside = _find_free(kept.with_name(kept.name.replace(".failed.", ".failed.edited.")))
    os.rename(kept, aside)
    return f"{kept.name} had been edited; what you had is kept in {aside}"


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


# ---------------------------------------------------------------- pages around the reports


def read_record(out: Path) -> dict:
    """The digests of the pages around the reports, and what they were made `of`; empty where there is no record."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        record = json.loads(read_file(out / RECORD))
        if isinstance(record["pages"], dict) and isinstance(record["of"], str):
            return record
    return {"pages": {}, "of": ""}


def are_pages_current(out: Path, of: str) -> bool:
    """Whether all pages around the reports are there as they were written, and were made of the same."""
    record = read_record(out)
    return record["of"] == of and all(runs.digest_file(out / path) == was for path, was in record["pages"].items())


def refuse_pages(out: Path, paths: Iterable[str]) -> None:
    """Raises RunError where a page around the reports would replace a file that iapt has not written."""
    listed = read_record(out)["pages"]
    for path in (out / path for path in [RECORD, *paths] if path not in listed):
        if path.exists() and not (path.is_file() and any(mark in path.read_bytes()[:500] for mark in MARKS)):
            raise runs.RunError(f"{path} was not written by iapt; move it, or choose another place with --out")


def list_usual_pages(chosen: Iterable[runs.Run]) -> list[str]:
    """The pages that there will be around these reports, so that what they would replace is refused before the work."""
    folders = {run.name.partition("/")[0] for run in chosen if "/" in run.name}
    return [*PAGES, "README.md", *(f"{folder}/index.html" for folder in sorted(folders))]


def write_pages(out: Path, pages: dict[str, bytes], of: str) -> str:
    """Write the pages around the reports, each whole, and their record; a line about edited ones that were kept.

    Where the disk has no room for all of them, none is replaced; the record comes first, so that it lists all of ours.
    """
    same = [path for path, content in pages.items() if (out / path).is_file() and (out / path).read_bytes() == content]
    refuse_pages(out, pages.keys() - same)
    listed = read_record(out)["pages"]
    kept = keep_edits(out, {path: listed[path] for path in pages if path in listed}, out / "site.edited")
    digests = listed | {path: hashlib.sha256(content).hexdigest() for path, content in pages.items()}
    record = json.dumps({"of": of, "pages": digests}, indent=1) + "\n"
    new, staging = {RECORD: record.encode(), **pages}, make_staging(out)
    try:
        for path, content in new.items():
            (staging / path).parent.mkdir(parents=True, exist_ok=True)
            (staging / path).write_bytes(content)
        for path in new:
            (out / path).parent.mkdir(parents=True, exist_ok=True)
            os.replace(staging / path, out / path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return kept
