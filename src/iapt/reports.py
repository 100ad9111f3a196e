"""From runs to reports: every run in a child process of its own, every report whole or not at all.

The parent imports once what all runs need; each run forks from it, and its kernel from the run, so that no run
sees what another left behind. A report is a folder: `index.html`, the executed notebook, `figures/` (SVG, PNG,
CSV), `tables/` (CSV) and `run.json` with the digests that tell whether it is still up to date.
"""

import base64
import ctypes
import errno
import fcntl
import hashlib
import json
import multiprocessing
import multiprocessing.connection
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from iapt import runs

LIMIT = 300
"""Seconds that one run may take."""
LONGEST_OUTPUT = 50_000
"""Characters of printed text that an output keeps."""


@dataclass(frozen=True)
class Result:
    """How a run ended: `made`, `rendered` (prose only), `unchanged` or `failed`, in how many seconds, with what to say."""

    run: runs.Run
    state: str
    seconds: float = 0.0
    message: str = ""
    warnings: tuple[str, ...] = ()


# ---------------------------------------------------------------- one run, in its own process


def make(run: runs.Run, staging: Path, *, kernel: bool = False, limit: int = LIMIT) -> list[str]:
    """Execute a run with papermill and write its report into an empty folder; the warnings that it printed."""
    import nbformat

    notebook = execute(run, staging / "notebook.ipynb", run.values(), kernel=kernel, limit=limit)
    normalise(notebook)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            write_exports(output.get("data", {}), staging)
    warned = [output.text for cell in notebook.cells for output in cell.get("outputs", []) if output.get("name") == "stderr"]
    nbformat.write(notebook, staging / "notebook.ipynb")
    write_page(run, notebook, staging)
    return warned


def execute(run: runs.Run, output: Path, values: dict[str, object], *, kernel: bool, limit: int = LIMIT):
    """The executed notebook of a run; with `kernel` in an ordinary Jupyter kernel.

    Raises papermill's PapermillExecutionError where a cell fails; `output` then holds the notebook so far.
    """
    if not kernel:
        from iapt import kernel as forked

        forked.prepare()
        os.environ["JUPYTER_DEFAULT_PROVISIONER_NAME"] = "iapt-forked"
    _end_with_parent()
    import papermill
    from traitlets.config import Config

    return papermill.execute_notebook(
        str(run.notebook),
        str(output),
        parameters=values,
        kernel_name="python3",
        cwd=str(run.notebook.parent),
        progress_bar=False,
        log_output=False,
        execution_timeout=limit,
        autosave_cell_every=0,
        shutdown_kernel="immediate",
        config=Config({"KernelManager": {"transport_encryption": "auto"}}),
    )


def normalise(notebook) -> None:
    """Strip what differs from run to run: times, paths, kernel versions, run metadata; ids become positions."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for position, cell in enumerate(notebook.cells):
        cell.id = f"cell-{position:02d}"
        cell.metadata = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
        for output in cell.get("outputs", []):
            if len(output.get("text", "")) > LONGEST_OUTPUT:
                output.text = f"{output.text[:LONGEST_OUTPUT]}\n[{len(output.text) - LONGEST_OUTPUT:,} more characters were printed]\n"


def write_exports(bundle: dict, folder: Path) -> None:
    """Write the figure or table that an output carries: picture files and the data as CSV."""
    from iapt import charts, words

    for mime, place in ((charts.MIME, "figures"), (words.TABLE_MIME, "tables")):
        if mime in bundle:
            (folder / place).mkdir(exist_ok=True)
            stem = folder / place / bundle[mime]["name"]
            stem.with_suffix(".csv").write_text(bundle[mime]["csv"], encoding="utf-8", newline="")
            if "image/svg+xml" in bundle:
                stem.with_suffix(".svg").write_text(bundle["image/svg+xml"], encoding="utf-8", newline="")
                stem.with_suffix(".png").write_bytes(base64.b64decode(bundle["image/png"]))


def write_page(run: runs.Run, notebook: dict, folder: Path) -> None:
    """Write the page of an executed notebook, and the state that the whole folder is now in."""
    from iapt import pages

    (folder / "index.html").write_text(pages.render(run, notebook), encoding="utf-8")
    state = {"fingerprint": run.fingerprint(), "prose": run.prose_fingerprint(), "files": _digest_files(folder)}
    (folder / "run.json").write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")


def render_again(run: runs.Run, report: Path, staging: Path) -> None:
    """A copy of a report with the notebook's present prose around the outputs it has."""
    shutil.copytree(report, staging, dirs_exist_ok=True)
    notebook = runs.read_notebook(report / "notebook.ipynb")
    executed = iter(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    cells = []
    for cell in runs.read_notebook(run.notebook)["cells"]:
        cells.append(cell if cell["cell_type"] == "markdown" else next(executed))
        if "parameters" in cell["metadata"].get("tags", []):
            cells.append(next(executed))
    notebook["cells"] = [cell | {"id": f"cell-{position:02d}"} for position, cell in enumerate(cells)]
    (staging / "notebook.ipynb").write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    write_page(run, notebook, staging)


def refresh(path: Path) -> None:
    """Run a committed notebook with its defaults in an ordinary kernel and keep its outputs, normalised."""
    import nbformat

    with tempfile.TemporaryDirectory() as folder:
        notebook = execute(runs.Run(path.stem, path, path.stem), Path(folder) / path.name, {}, kernel=True)
    normalise(notebook)
    nbformat.write(notebook, path)


def _digest_files(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != "run.json")
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def state_of(run: runs.Run, report: Path) -> str:
    """`up to date`, `prose changed` (execution is), `older than the data` or `missing`."""
    try:
        state = json.loads((report / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "missing"
    if state.get("fingerprint") != run.fingerprint():
        return "older than the data"
    if state.get("files") != _digest_files(report):
        return "damaged"
    return "up to date" if state.get("prose") == run.prose_fingerprint() else "prose changed"


# ---------------------------------------------------------------- all runs


def make_all(
    chosen: list[runs.Run], out: Path, *, kernel: bool = False, force: bool = False, limit: int = LIMIT, workers: int | None = None
) -> Iterator[Result]:
    """Make the reports that are out of date, several at a time, and say of each run how it ended.

    Raises RunError where the folder cannot be written. Ends its children when it is ended.
    """
    with _own(out):
        waiting = []
        for run in chosen:
            state = "" if force else state_of(run, out / run.name)
            if state == "up to date":
                yield Result(run, "unchanged")
            elif state == "prose changed":
                began = time.monotonic()
                staging = _stage(run, out)
                render_again(run, out / run.name, staging)
                put_in_place(staging, out / run.name)
                yield Result(run, "rendered", time.monotonic() - began)
            else:
                waiting.append(run)
        if waiting:
            for run in waiting:
                run.values()
            _preload()
            yield from _watch(waiting, out, kernel, limit, workers or _count_processors())


def _watch(waiting: list[runs.Run], out: Path, kernel: bool, limit: int, workers: int) -> Iterator[Result]:
    context = multiprocessing.get_context("fork")
    active = {}
    try:
        while waiting or active:
            while waiting and len(active) < workers:
                run, staging = waiting[0], _stage(waiting.pop(0), out)
                heard, said = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(run, staging, said, kernel, limit))
                active[process] = (run, staging, heard, time.monotonic())
                process.start()
                said.close()
            multiprocessing.connection.wait([process.sentinel for process in active] + [heard for _, _, heard, _ in active.values()], timeout=1)
            for process, (run, staging, heard, began) in list(active.items()):
                seconds = time.monotonic() - began
                if seconds < limit + 15 and process.is_alive() and not heard.poll():
                    continue
                said = _hear(heard)
                _end(process)
                del active[process]
                yield _conclude(run, staging, out, said, process.exitcode, seconds, limit)
    finally:
        for process, (_, staging, _, _) in active.items():
            _end(process)
            shutil.rmtree(staging, ignore_errors=True)


def _work(run: runs.Run, staging: Path, said, kernel: bool, limit: int) -> None:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        said.send(("", tuple(make(run, staging, kernel=kernel, limit=limit))))
    except BaseException as error:
        said.send((explain(run, error), ()))


def _hear(heard) -> tuple[str, tuple[str, ...]] | None:
    try:
        return heard.recv() if heard.poll() else None
    except EOFError:
        return None


def _conclude(run: runs.Run, staging: Path, out: Path, said: tuple | None, code: int | None, seconds: float, limit: int) -> Result:
    message, warned = said or (f"took longer than {limit} seconds" if seconds >= limit else f"the run was killed by signal {-(code or 0)} (out of memory?)", ())
    partial, kept = staging / "notebook.ipynb", out / f"{run.name}.failed.ipynb"
    if not message:
        try:
            put_in_place(staging, out / run.name)
            kept.unlink(missing_ok=True)
            return Result(run, "made", seconds, warnings=warned)
        except OSError as error:
            message = describe_trouble(error, out)
    if partial.exists() and partial.stat().st_size:
        os.replace(partial, kept)
        message += f"\nthe notebook so far: {kept}"
    shutil.rmtree(staging, ignore_errors=True)
    return Result(run, "failed", seconds, message)


def explain(run: runs.Run, error: BaseException) -> str:
    """What went wrong in a run, in one block that names the section, the lines and the error."""
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    if isinstance(error, DeadKernelError):
        return "the kernel died (out of memory?)"
    if isinstance(error, CellTimeoutError):
        return f"a cell took too long: {str(error).splitlines()[0]}"
    if isinstance(error, OSError):
        return describe_trouble(error, run.notebook)
    if not isinstance(error, PapermillExecutionError):
        return f"{type(error).__name__}: {error}"
    cells = runs.read_notebook(run.notebook)["cells"]
    position = next((i for i, cell in enumerate(cells) if "".join(cell["source"]) == error.source), 0)
    headings = [line.strip("# ") for cell in cells[:position] if cell["cell_type"] == "markdown" for line in "".join(cell["source"]).splitlines() if line.startswith("#")]
    lines = "\n".join(f"    {line}" for line in error.source.splitlines()[:12])
    return f"in the section “{headings[-1] if headings else 'start'}”:\n{lines}\n{error.ename}: {error.evalue}"


def describe_trouble(error: OSError, place: Path) -> str:
    """What a failing disk or folder means for the person at the keyboard."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full at {error.filename or place}; free some space and run it again (nothing was replaced)"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{error.filename or place} cannot be written; choose another folder with --out (nothing was replaced)"
    return f"{type(error).__name__}: {error}"


def _preload() -> None:
    """Import once what every run needs, before the runs fork off."""
    import ipykernel.kernelapp, ipykernel.zmqshell, matplotlib.backends.backend_agg, matplotlib.backends.backend_svg, papermill, seaborn, statsmodels.stats.proportion, statsmodels.tsa.seasonal  # noqa: E401, F401

    from iapt import pages  # noqa: F401


def _count_processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _end(process: multiprocessing.Process) -> None:
    """End a run with all its children, and wait until it has gone."""
    if process.pid:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            process.kill()
        process.join()


def _end_with_parent() -> None:
    """Leave no stray process: end this one as soon as the one that started it has gone."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


# ---------------------------------------------------------------- folders


@contextmanager
def _own(out: Path) -> Iterator[None]:
    """Hold the folder of the reports against other runners; clear away what a killed one left.

    The lock is on the folder itself and goes with the process that holds it. A second runner says so and waits.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = os.open(out, os.O_RDONLY)
    except OSError as error:
        raise runs.RunError(describe_trouble(error, out)) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"another iapt report is writing to {out}; waiting for it to end", file=sys.stderr, flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        for left in out.glob(".staging-*"):
            shutil.rmtree(left, ignore_errors=True)
        yield
    finally:
        os.close(handle)


def _stage(run: runs.Run, out: Path) -> Path:
    try:
        (out / run.name).parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=".staging-", dir=out))
    except OSError as error:
        raise runs.RunError(describe_trouble(error, out)) from None


def put_in_place(staging: Path, final: Path) -> None:
    """Replace a report by a new one in a single step: at no moment is there none, or half of one."""
    os.chmod(staging, 0o755)
    if not final.exists():
        os.rename(staging, final)
        return
    if not _exchange(staging, final):
        old = staging.with_name(staging.name + "-old")
        os.rename(final, old)
        os.rename(staging, final)
        staging = old
    shutil.rmtree(staging, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two folders atomically where the system can (Linux); False where it cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        return False
    at, exchange = -100, 2
    return rename(at, os.fsencode(one), at, os.fsencode(other), exchange) == 0
