"""Runs on a dask cluster: the notebooks run on its workers, the pages are written here.

The tables and notebooks travel once, to every worker. A worker starts each run in a process of its own, which a server
with the imports done forks, as `iapt.running.child` does on macOS: the bytes are the same. Every worker needs this
package, the same version of it; nothing else is shared. A run whose worker is lost goes to another. Needs the extra
`cluster`.
"""

import multiprocessing
import os
import platform
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from iapt import runs
from iapt.paths import data_folder
from iapt.running import execution, folders, reports
from iapt.running.child import METHOD, Child, Outcome, preload, wait
from iapt.running.failures import KernelNotStarted, describe_trouble
from iapt.running.runner import Job, Result, finish

PATIENCE = "20s"
"""How long to wait for a scheduler to answer."""
METHOD_THERE = "forkserver" if METHOD == "fork" else METHOD
"""How a worker starts a run: its threads would not survive a fork."""


@dataclass(frozen=True)
class Shipment:
    """What runs need beside the package, whose digest it has: tables and notebooks, by path."""

    package: str
    files: dict[str, bytes]


# ---------------------------------------------------------------- here


def make_all(waiting: list[Job], out: Path, scheduler: str, *, kernel: bool, limit: int) -> Iterator[Result]:
    """Have a cluster execute the runs, and write each report when its notebook is back.

    Raises RunError where dask is not installed or no scheduler answers.
    """
    try:
        from distributed import Client, as_completed
    except ModuleNotFoundError:
        raise runs.RunError("--scheduler needs dask; install it with: pip install 'iapt[cluster]'") from None
    try:
        client = Client.__new__(Client)
        client.__init__(scheduler, timeout=PATIENCE, set_as_default=False)
    except (OSError, TypeError, ValueError) as error:
        client.status = "closed"  # else it hangs when it is let go, half made
        raise runs.RunError(f"no dask scheduler answers at {scheduler}: {error}") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            said = f"the scheduler at {scheduler} has no workers; start one: dask worker {scheduler}"
            raise runs.RunError(said) from None
        shipment = client.scatter(pack(waiting), broadcast=True, hash=False)  # who joins later has it from another
        options = {"kernel": kernel, "limit": limit, "pure": False, "retries": 1}
        jobs = {client.submit(execute, _unplace(job.run), shipment, **options): job for job in waiting}
        for future in as_completed(list(jobs), loop=client.loop):
            job, staging = jobs.pop(future), folders.make_staging(out)
            yield finish(job, _collect(future, job, staging / "report"), staging, out)
            future.release()


def pack(waiting: list[Job]) -> Shipment:
    """The tables and notebooks that the runs need."""
    tables = {f"data/{path.name}": path.read_bytes() for path in sorted(data_folder().iterdir()) if path.is_file()}
    notebooks = {f"notebooks/{path.name}": path.read_bytes() for path in sorted({job.run.notebook for job in waiting})}
    return Shipment(runs.digest_package(), tables | notebooks)


def _unplace(run: runs.Run) -> runs.Run:
    return replace(run, notebook=Path(run.notebook.name))


def _collect(future, job: Job, report: Path) -> Outcome:
    try:
        outcome, notebook = future.result()
        (report / "notebook.ipynb").write_bytes(notebook)
        if not outcome.message:
            reports.write_report(job.run, report, job.basis)
        return outcome
    except OSError as error:
        return Outcome(describe_trouble(error, report))
    except Exception as error:  # KilledWorker, a cancelled future, a lost scheduler: each has a class of its own
        return Outcome(f"the cluster gave it up: {type(error).__name__}: {error}")


# ---------------------------------------------------------------- on a worker


def execute(run: runs.Run, shipment: Shipment, *, kernel: bool, limit: int) -> tuple[Outcome, bytes]:
    """Execute a run in a process of its own: how it ended, and its notebook as far as it came.

    Raises KernelNotStarted, upon which the scheduler has another worker try it.
    """
    from distributed import get_worker

    if shipment.package != runs.digest_package():
        return Outcome(f"the worker on {platform.node()} has another version of the package"), b""
    multiprocessing.current_process()._config["daemon"] = False  # as which dask starts workers; it may have no children
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory(dir=get_worker().local_directory, ignore_cleanup_errors=True) as place:
        folder = Path(place)
        for name, content in shipment.files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        preload(folder.glob("notebooks/*.ipynb"), METHOD_THERE)
        staging = folders.make_staging(folder)
        work = partial(_execute_in_child, replace(run, notebook=folder / "notebooks" / run.notebook), limit)
        child = Child(work, staging, limit, forked=not kernel, method=METHOD_THERE)
        try:
            while not child.is_over():
                wait([child])
            outcome = child.conclude()
        finally:
            child.end()
        notebook = staging / "report" / "notebook.ipynb"
        if outcome.retry:
            raise KernelNotStarted(outcome.message)
        return outcome, notebook.read_bytes() if notebook.exists() else b""


def _execute_in_child(run: runs.Run, limit: int, report: Path) -> list[str]:
    os.environ["IAPT_DATA"] = str(run.notebook.parents[1] / "data")
    return execution.execute(run, report / "notebook.ipynb", run.values(), limit)
