"""Reports in storage of other kinds: `s3://`, `gs://`, `abfs://` and whatever else fsspec knows.

Such places cannot replace a folder in one step, so a report is made here and then copied, `run.json` last: a
report whose `run.json` is there is whole. What is there already, the same, is not copied again.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from iapt.paths import RESULTS
from iapt.running.folders import RECORD, read_record
from iapt.runs import RunError

HERE = "file://"
PARTIAL = "partial.json"
"""The file of a report whose copy is under way, with the paths that are ours; `run.json` comes last in its stead."""


def is_remote(place: str) -> bool:
    """Whether a place is an address such as s3://bucket/reports; file:///home/me/reports is a folder here."""
    return "://" in place and not place.startswith(HERE)


def choose_local(place: str) -> Path:
    """The folder in which reports for a place are made: the place itself, or a folder of its own under results/."""
    if is_remote(place):
        return RESULTS / "remote" / quote(place, safe="")
    return Path(place.removeprefix(f"{HERE}localhost").removeprefix(HERE)).expanduser()


def check(place: str) -> None:
    """Before any work: raises RunError where the driver for an address is missing, or the address is not valid."""
    if is_remote(place):
        _open(place)


def _open(place: str) -> tuple:
    try:
        import fsspec

        system, root = fsspec.core.url_to_fs(place)
    except ImportError as error:
        driver = f"pip install 'fsspec[{place.partition('://')[0]}]'"
        raise RunError(f"{place} needs another library; install it with: {driver} ({error})") from None
    except Exception as error:  # every driver has errors of its own
        raise RunError(f"{place} cannot be written: {type(error).__name__}: {error}") from None
    return system, root.rstrip("/")


def send(local: Path, place: str, names: list[str]) -> list[str]:
    """Copy the reports of these names, and the pages around them, to an address; the names of those that had changed.

    Raises RunError where the address, its driver or the right to write there is missing.
    """
    system, root = _open(place)
    try:
        pages = [path for path in read_record(local)["pages"] if (local / path).exists()]
        _refuse_strangers(system, root, names, pages)
        made = [name for name in names if (local / name / "run.json").exists()]
        changed = [name for name in made if _send_report(system, local / name, f"{root}/{name}")]
        for path in [*pages, RECORD]:
            if (local / path).exists():
                _put(system, (local / path).read_bytes(), f"{root}/{path}")
    except RunError:
        raise
    except Exception as error:
        said = f"{place} cannot be written: {type(error).__name__}: {error}"
        raise RunError(f"{said}. The reports are in {local}") from None
    return changed


def _refuse_strangers(system, root: str, names: list[str], pages: Iterable[str]) -> None:
    """As `folders.refuse_strangers` does here, replace there nothing but reports and pages that records there list."""
    for target in (f"{root}/{name}" for name in names):
        held = {address.partition(f"{target}/")[2] for address in map(str, system.find(target))}
        if held == {""}:
            raise RunError(f"{target} is a file, and a report would replace it; choose another place with --out")
        if strange := sorted(held - {"run.json", PARTIAL} - _list_listed(system, target)):
            said = f"{target} holds {strange[0]}, which is not part of a report"
            raise RunError(f"{said}; choose another place with --out")
    listed = _read_json(system, f"{root}/{RECORD}").get("pages", {})
    for address in (f"{root}/{path}" for path in pages if path not in listed):
        if system.exists(address):
            raise RunError(f"{address} was not written by iapt; choose another place with --out")


def _list_listed(system, target: str) -> set[str]:
    """The files of a report there, and of one whose copy broke off."""
    return {path for name in ("run.json", PARTIAL) for path in _read_json(system, f"{target}/{name}").get("files", {})}


def _read_json(system, address: str) -> dict:
    try:
        return json.loads(system.cat_file(address))
    except (OSError, ValueError):
        return {}


def _send_report(system, report: Path, target: str) -> bool:
    mark = f"{target}/run.json"
    if system.exists(mark) and system.cat_file(mark) == (report / "run.json").read_bytes():
        return False
    files = {
        f"{target}/{file.relative_to(report).as_posix()}": file
        for file in sorted(report.rglob("*"))
        if file.is_file() and file.name != "run.json"
    }
    old = _list_listed(system, target)
    new = json.loads((report / "run.json").read_text(encoding="utf-8"))["files"]
    _put(system, json.dumps({"files": dict.fromkeys([*old, *new])}).encode(), f"{target}/{PARTIAL}")
    if system.exists(mark):
        system.rm_file(mark)
    for address, file in files.items():
        _put(system, file.read_bytes(), address)
    for stale in sorted(old - set(new)):
        with suppress(FileNotFoundError):
            system.rm_file(f"{target}/{stale}")
    _put(system, (report / "run.json").read_bytes(), mark)
    system.rm_file(f"{target}/{PARTIAL}")
    return True


def _put(system, content: bytes, address: str) -> None:
    system.makedirs(address.rpartition("/")[0], exist_ok=True)
    system.pipe_file(address, content)
