"""Reports in storage of other kinds: `s3://`, `gs://`, `abfs://` and whatever else fsspec knows.

Such places cannot replace a folder in one step, so a report is made here and then copied, `run.json` last: a
report whose `run.json` is there is whole. What is there already, the same, is not copied again.
"""

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from iapt.paths import RESULTS
from iapt.runs import RunError
from iapt.running.folders import MARK, PARTS


def is_remote(place: str) -> bool:
    """Whether a place is an address such as s3://bucket/reports, and not a folder."""
    return "://" in place


def choose_local(place: str) -> Path:
    """The folder in which reports for a place are made: the place itself, or a folder of its own under results/."""
    return RESULTS / "remote" / quote(place, safe="") if is_remote(place) else Path(place)


def send(local: Path, place: str, names: list[str]) -> int:
    """Copy the reports of these names, and the pages around them, to an address; how many reports had changed.

    Raises RunError where the address, its driver or the right to write there is missing.
    """
    try:
        import fsspec
    except ModuleNotFoundError:
        raise RunError(f"{place} needs another library; install it with: {_name_driver(place)}") from None
    try:
        system, root = fsspec.core.url_to_fs(place)
        root = root.rstrip("/")
        pages = _list_pages(local)
        _refuse_strangers(system, root, names, pages)
        changed = sum(
            _send_report(system, local / name, f"{root}/{name}")
            for name in names
            if (local / name / "run.json").exists()
        )
        for name, page in pages.items():
            _put(system, page, f"{root}/{name}")
    except RunError:
        raise
    except ImportError as error:
        raise RunError(f"{place} needs another library; install it with: {_name_driver(place)} ({error})") from None
    except Exception as error:  # every driver has errors of its own
        raise RunError(
            f"{place} cannot be written: {type(error).__name__}: {error}. The reports are in {local}"
        ) from None
    return changed


def _name_driver(place: str) -> str:
    return f"pip install 'fsspec[{place.partition('://')[0]}]'"


def _list_pages(local: Path) -> dict[str, Path]:
    """The pages around the reports, by path."""
    around = (page for page in local.glob("*/index.html") if not page.with_name("run.json").exists())
    return {page.relative_to(local).as_posix(): page for page in [*local.glob("*.html"), *local.glob("*.md"), *around]}


def _refuse_strangers(system, root: str, names: list[str], pages: Iterable[str]) -> None:
    """As `folders.refuse_strangers` does here, replace there nothing but reports and our own pages."""
    for target in (f"{root}/{name}" for name in names):
        held = (address.partition(f"{target}/")[2] for address in map(str, system.find(target)))
        if strange := sorted(path for path in held if path and path.partition("/")[0] not in PARTS):
            raise RunError(
                f"{target} holds {strange[0]}, which is no part of a report; choose another place with --out"
            )
    for address in (f"{root}/{name}" for name in pages):
        if system.exists(address) and MARK.encode() not in system.cat_file(address)[:500]:
            raise RunError(f"{address} was not written by iapt; choose another place with --out")


def _send_report(system, report: Path, target: str) -> bool:
    mark = f"{target}/run.json"
    if system.exists(mark) and system.cat_file(mark) == (report / "run.json").read_bytes():
        return False
    files = {
        f"{target}/{file.relative_to(report).as_posix()}": file
        for file in sorted(report.rglob("*"))
        if file.is_file() and file.name != "run.json"
    }
    if system.exists(mark):
        system.rm_file(mark)
    for address, file in files.items():
        _put(system, file, address)
    for stale in set(map(system._strip_protocol, system.find(target))) - set(map(system._strip_protocol, files)):
        system.rm_file(stale)
    _put(system, report / "run.json", mark)
    return True


def _put(system, file: Path, address: str) -> None:
    system.makedirs(address.rpartition("/")[0], exist_ok=True)
    system.pipe_file(address, file.read_bytes())
