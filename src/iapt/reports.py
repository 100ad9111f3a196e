"""From runs to reports: every run in a child process of its own, every report whole or not at all.

A report is a folder: `index.html`, the executed notebook, `figures/` (SVG, PNG, CSV), `tables/` (CSV) and
`run.json`, which holds the fingerprint of the run and the digests of the files.
"""

import hashlib
import json
import multiprocessing
import multiprocessing.connection
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from iapt import charts, runs, words

LIMIT = 300
"""Seconds that one run may take."""


@dataclass(frozen=True)
class Result:
    """How a run ended: `made`, `unchanged` or `failed`, after how many seconds, and what there is to say."""

    run: runs.Run
    state: str
    seconds: float
    message: str = ""


# ---------------------------------------------------------------- one run, in its own process


def make(run: runs.Run, staging: Path, kernel: bool) -> None:
    """Execute a run with papermill and write its report into an empty folder."""
    import nbformat

    notebook = execute(run, staging / "notebook.ipynb", kernel)
    normalise(notebook)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            write_exports(output.get("data", {}), staging)
    nbformat.write(notebook, staging / "notebook.ipynb")
    from iapt import pages

    (staging / "index.html").write_text(pages.render(run, notebook), encoding="utf-8")
    _write_state(staging, run.fingerprint())


def execute(run: runs.Run, output: Path, kernel: bool, parameters: dict[str, object] | None = None):
    """The executed notebook of a run; with `kernel` in an ordinary Jupyter kernel.

    `parameters` are those of the run; an empty dict leaves the notebook's own defaults as they are.

    Raises papermill's PapermillExecutionError where a cell fails; `output` then holds the notebook so far.
    """
    if not kernel:
        from iapt import kernel as forked

        forked.prepare()
        os.environ["JUPYTER_DEFAULT_PROVISIONER_NAME"] = "iapt-forked"
    import papermill
    from traitlets.config import Config

    return papermill.execute_notebook(
        str(run.notebook), str(output), parameters=run.values() if parameters is None else parameters, kernel_name="python3", cwd=str(run.notebook.parent),
        progress_bar=False, log_output=False, execution_timeout=LIMIT, autosave_cell_every=0, shutdown_kernel="immediate",
        config=Config({"KernelManager": {"transport_encryption": "auto"}}),
    )


def refresh(path: Path) -> None:
    """Run a committed notebook with its defaults and keep its outputs, normalised."""
    import nbformat

    with tempfile.TemporaryDirectory() as folder:
        notebook = execute(runs.Run(path.stem, path, path.stem), Path(folder) / path.name, kernel=True, parameters={})
    normalise(notebook)
    nbformat.write(notebook, path)


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


def write_exports(bundle: dict, folder: Path) -> None:
    """Write the figure or table that an output carries: picture files and the data as CSV."""
    import base64

    for mime, place in ((charts.MIME, "figures"), (words.TABLE_MIME, "tables")):
        if mime in bundle:
            (folder / place).mkdir(exist_ok=True)
            stem = folder / place / bundle[mime]["name"]
            stem.with_suffix(".csv").write_text(bundle[mime]["csv"], encoding="utf-8", newline="")
            if "image/svg+xml" in bundle:
                stem.with_suffix(".svg").write_text(bundle["image/svg+xml"], encoding="utf-8", newline="")
                stem.with_suffix(".png").write_bytes(base64.b64decode(bundle["image/png"]))


def _digest(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != "run.json")
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _write_state(folder: Path, fingerprint: str) -> None:
    state = {"fingerprint": fingerprint, "files": _digest(folder)}
    (folder / "run.json").write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")


def is_current(run: runs.Run, folder: Path) -> bool:
    """Whether the report of a run is there, whole, and made from what is there now."""
    try:
        state = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return state.get("fingerprint") == run.fingerprint() and state.get("files") == _digest(folder)


# ---------------------------------------------------------------- all runs


def make_all(chosen: list[runs.Run], out: Path, *, kernel: bool = False, force: bool = False, workers: int | None = None) -> Iterator[Result]:
    """Make the reports that are out of date, several at a time, and say of each run how it ended."""
    out.mkdir(parents=True, exist_ok=True)
    waiting = []
    for run in chosen:
        if not force and is_current(run, out / run.name):
            yield Result(run, "unchanged", 0.0)
        else:
            waiting.append(run)
    if not waiting:
        return
    _preload()
    context = multiprocessing.get_context("fork")
    active: dict[multiprocessing.Process, tuple] = {}
    workers = workers or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else workers or os.cpu_count()
    try:
        while waiting or active:
            while waiting and len(active) < workers:
                run = waiting.pop(0)
                staging = Path(tempfile.mkdtemp(prefix=f".{run.name}-", dir=out))
                process = context.Process(target=_work, args=(run, staging, kernel))
                process.start()
                active[process] = (run, staging, time.monotonic())
            multiprocessing.connection.wait([process.sentinel for process in active], timeout=1)
            for process, (run, staging, began) in list(active.items()):
                seconds = time.monotonic() - began
                if process.is_alive() and seconds < LIMIT + 30:
                    continue
                late = process.is_alive()
                _end(process)
                del active[process]
                yield _finish(run, staging, out, process.exitcode, seconds, late)
    finally:
        for process, (_, staging, _) in active.items():
            _end(process)
            shutil.rmtree(staging, ignore_errors=True)


def _preload() -> None:
    """Import once what every run needs, before the runs fork off."""
    import ipykernel.kernelapp, matplotlib.backends.backend_agg, papermill, statsmodels.stats.proportion, statsmodels.tsa.seasonal  # noqa: E401, F401

    from iapt import access, claims, finishing, pages, recovery  # noqa: F401


def _work(run: runs.Run, staging: Path, kernel: bool) -> None:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        make(run, staging, kernel)
    except BaseException as error:
        (staging / "error.txt").write_text(explain(run, error), encoding="utf-8")
        sys.exit(1)


def explain(run: runs.Run, error: BaseException) -> str:
    """What went wrong in a run, in one block that names the section, the lines and the error."""
    from papermill.exceptions import PapermillExecutionError

    if not isinstance(error, PapermillExecutionError):
        return "".join(traceback.format_exception_only(error)).strip()
    notebook = runs.read_notebook(run.notebook)
    position = next((i for i, cell in enumerate(notebook["cells"]) if "".join(cell["source"]) == error.source), 0)
    headings = [line.strip("# ") for cell in notebook["cells"][:position] if cell["cell_type"] == "markdown" for line in "".join(cell["source"]).splitlines() if line.startswith("#")]
    lines = "\n".join(f"    {line}" for line in error.source.splitlines()[:12])
    return f"in the section “{headings[-1] if headings else 'start'}”:\n{lines}\n{error.ename}: {error.evalue}"


def _end(process: multiprocessing.Process) -> None:
    if process.pid and process.is_alive():
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            process.kill()
    process.join()


def _finish(run: runs.Run, staging: Path, out: Path, code: int, seconds: float, late: bool) -> Result:
    if code == 0:
        put_in_place(staging, out / run.name)
        return Result(run, "made", seconds)
    error = staging / "error.txt"
    message = error.read_text(encoding="utf-8") if error.exists() else f"took more than {LIMIT} seconds" if late else f"the run was killed by signal {-code} (out of memory?)"
    partial = staging / "notebook.ipynb"
    if partial.exists():
        failed = out / f"{run.name}.failed.ipynb"
        os.replace(partial, failed)
        message += f"\nthe notebook so far: {failed}"
    shutil.rmtree(staging, ignore_errors=True)
    return Result(run, "failed", seconds, f"{message}\nto run it alone: iapt report {run.name}")


def put_in_place(staging: Path, final: Path) -> None:
    """Replace a report by a new one; the old one goes only once the new one is there."""
    os.chmod(staging, 0o755)
    old = staging.with_name(staging.name + ".old")
    if final.exists():
        os.rename(final, old)
    os.rename(staging, final)
    shutil.rmtree(old, ignore_errors=True)
