"""Runs on a dask cluster: the notebooks run on its workers, the pages are written here.

The tables and notebooks travel once, to every worker. A worker hands its runs to a process beside it, single-threaded
and with the imports done, that forks a child for each, as `iapt.running.runner` does here: the bytes are the same.
Every worker needs this package, the same version of it; nothing else is shared. A run whose worker is lost goes to
another. Needs the extra `cluster`.
"""

import multiprocessing.connection
import os
import pickle
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

from iapt import runs
from iapt.paths import data_folder
from iapt.running import execution, folders, reports
from iapt.running.child import Child, Outcome, preload
from iapt.running.failures import KernelNotStarted, describe_trouble
from iapt.running.runner import Job, Result, finish

PATIENCE = "20s"
"""How long to wait for a scheduler to answer."""

_thread = threading.local()


@dataclass(frozen=True)
class Shipment:
    """What runs need beside the package, whose digest it has: tables and notebooks, by path."""

    package: str
    files: dict[str, bytes]


@dataclass(frozen=True)
class Task:
    """A run to execute on a worker."""

    run: runs.Run
    kernel: bool
    limit: int


@dataclass(frozen=True)
class Executed:
    """How a run ended on a worker, and its notebook: whole where the outcome has no message, else as far as it came."""

    outcome: Outcome
    notebook: bytes = b""


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
        client = Client(scheduler, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise runs.RunError(f"no dask scheduler answers at {scheduler}: {error}") from None
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
        shipment = client.scatter(pack(waiting), broadcast=True, hash=False)  # who joins later has it from another
        jobs = {}
        for job in waiting:
            task = Task(replace(job.run, notebook=Path(job.run.notebook.name)), kernel, limit)
            jobs[client.submit(execute, task, shipment, pure=False, retries=1)] = job
        for future in as_completed(list(jobs), loop=client.loop):
            job, staging = jobs.pop(future), folders.make_staging(out)
            yield finish(job, _collect(future, job, staging), staging, out)
            future.release()
    except TimeoutError:
        said = f"the scheduler at {scheduler} has no workers; start one: dask worker {scheduler}"
        raise runs.RunError(said) from None
    finally:
        client.close()


def pack(waiting: list[Job]) -> Shipment:
    """The tables and notebooks that the runs need."""
    tables = {f"data/{path.name}": path.read_bytes() for path in sorted(data_folder().iterdir()) if path.is_file()}
    notebooks = {f"notebooks/{path.name}": path.read_bytes() for path in sorted({job.run.notebook for job in waiting})}
    return Shipment(runs.digest_package(), tables | notebooks)


def _collect(future, job: Job, staging: Path) -> Outcome:
    report = staging / "report"
    try:
        executed = future.result()
        (report / "notebook.ipynb").write_bytes(executed.notebook)
        if not executed.outcome.message:
            reports.write_report(job.run, report, job.basis)
        return executed.outcome
    except OSError as error:
        return Outcome(describe_trouble(error, report))
    except Exception as error:  # KilledWorker, a cancelled future, a lost scheduler: each has a class of its own
        return Outcome(f"the cluster gave it up: {type(error).__name__}: {error}")


# ---------------------------------------------------------------- on a worker


def execute(task: Task, shipment: Shipment) -> Executed:
    """Execute a run in the process that this thread of the worker keeps for its runs."""
    if shipment.package != runs.digest_package():
        return Executed(Outcome(f"the worker on {platform.node()} has another version of the package"))
    if getattr(_thread, "shipment", None) != shipment or _thread.helper.poll() is not None:
        _thread.shipment, _thread.helper = shipment, _start_helper(shipment)
    _write(_thread.helper.stdin, task)
    executed = pickle.load(_thread.helper.stdout)
    if executed.outcome.retry:
        raise KernelNotStarted(executed.outcome.message)
    return executed


def _start_helper(shipment: Shipment) -> subprocess.Popen:
    from distributed import get_worker

    folder = tempfile.mkdtemp(prefix="iapt-", dir=get_worker().local_directory)
    code = "import sys; from iapt.running import cluster; cluster.serve(sys.argv[1])"
    helper = subprocess.Popen([sys.executable, "-c", code, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    _write(helper.stdin, shipment)
    return helper


def _write(stream: BinaryIO, content: object) -> None:
    pickle.dump(content, stream)
    stream.flush()


def serve(place: str) -> None:
    """Unpack a shipment into a folder, then execute one run after another, until the worker closes its end or dies."""
    folder = Path(place)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever is printed goes to the worker's log, not among the answers
    for name, content in pickle.load(sys.stdin.buffer).files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    os.environ["IAPT_DATA"] = str(folder / "data")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    preload(folder.glob("notebooks/*.ipynb"))
    with suppress(EOFError):
        while True:
            _write(answers, _execute_here(pickle.load(sys.stdin.buffer), folder))


def _execute_here(task: Task, folder: Path) -> Executed:
    run = replace(task.run, notebook=folder / "notebooks" / task.run.notebook.name)
    staging = folders.make_staging(folder)
    child = Child(partial(_execute_in_child, run, task.limit), staging, task.limit, forked=not task.kernel)
    try:
        while not child.is_over():
            if sys.stdin.buffer in multiprocessing.connection.wait([*child.sources, sys.stdin.buffer], timeout=0.5):
                raise EOFError("the worker has gone")
        outcome, notebook = child.conclude(), staging / "report" / "notebook.ipynb"
        return Executed(outcome, notebook.read_bytes() if notebook.exists() else b"")
    finally:
        child.end()
        shutil.rmtree(staging, ignore_errors=True)


def _execute_in_child(run: runs.Run, limit: int, report: Path) -> list[str]:
    return execution.execute(run, report / "notebook.ipynb", run.values(), limit)
