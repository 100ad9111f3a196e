"""From runs to reports: every run in a child process of its own, every report whole or not at all.

This process imports once what all runs need; each run forks from it, and its kernel from the run, so that no run
sees what another left behind. A run is watched from here: it is ended, with all that it started, when it takes
too long or when this process is.
"""

import ctypes
import fcntl
import gc
import importlib
import multiprocessing
import multiprocessing.connection
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from iapt import kernel, reports, runs

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that end the runner and its runs."""
ATTEMPTS = 2
"""How often a run is tried whose kernel does not start."""


@dataclass(frozen=True)
class Result:
    """How a run ended: `made`, `rendered` (prose only), `unchanged` or `failed`, in how many seconds.

    `message` says why it was made or left alone or, in one block, how it failed.
    """

    run: runs.Run
    state: str
    seconds: float = 0.0
    message: str = ""
    warnings: tuple[str, ...] = ()


def make_all(
    chosen: list[runs.Run],
    out: Path,
    *,
    kernel: bool = False,
    force: bool = False,
    limit: int = reports.LIMIT,
    workers: int | None = None,
    scheduler: str = "",
) -> Iterator[Result]:
    """Make the reports that are out of date, several at a time, and say of each run how it ended.

    With the address of a `scheduler` the notebooks run on its cluster. Raises RunError where the folder cannot be
    written, and ParameterError before anything runs. Ends its children when it is ended or closed.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # runs are parallel already, and sums come out the same everywhere
    with own(out):
        waiting = []
        for run in chosen:
            fingerprint = run.fingerprint()  # before any data are read, so that it cannot be newer than they are
            state = "not asked" if force else reports.state_of(run, out / run.name)
            if state == "up to date":
                yield Result(run, "unchanged", message="nothing that it depends on has changed")
            elif state == "prose changed":
                yield _render(run, out)
            else:
                waiting.append(Job(run, fingerprint, "as asked" if force else f"it was {state}"))
        if not waiting:
            return
        values = [job.run.values() for job in waiting]
        if scheduler:
            from iapt import cluster

            yield from cluster.make_all(waiting, out, scheduler, kernel=kernel, limit=limit)
        else:
            preload()
            warm_up(values)
            yield from _make_here(waiting, out, kernel, limit, workers or count_processors() + 1)


def _render(run: runs.Run, out: Path) -> Result:
    began, staging = time.monotonic(), make_staging(out)
    try:
        reports.render_again(run, out / run.name, staging / "report")
        put_in_place(staging, out / run.name)
        return Result(run, "rendered", time.monotonic() - began, "only prose or page style changed")
    except OSError as error:
        return Result(run, "failed", time.monotonic() - began, reports.describe_trouble(error, out))
    finally:
        shutil.rmtree(staging, ignore_errors=True)


# ---------------------------------------------------------------- many runs


@dataclass(frozen=True)
class Job:
    """A run to make, its fingerprint, and why it is made."""

    run: runs.Run
    fingerprint: dict[str, str]
    why: str
    attempt: int = 1


def _make_here(waiting: list[Job], out: Path, kernel: bool, limit: int, workers: int) -> Iterator[Result]:
    """Run the jobs in children of this process, so many at a time. A kernel start waits more than it works, so one more than processors."""
    waiting, active = list(waiting), {}
    with _masked(signal.SIG_BLOCK):
        try:
            while waiting or active:
                while waiting and len(active) < workers:
                    job = waiting.pop(0)
                    work = lambda folder, job=job: reports.make(job.run, folder, job.fingerprint, limit)
                    active[Child(work, make_staging(out), limit, forked=not kernel)] = job
                with _masked(signal.SIG_UNBLOCK):
                    multiprocessing.connection.wait([source for child in active for source in child.sources], timeout=0.5)
                for child in [child for child in active if child.is_over()]:
                    job = active.pop(child)
                    outcome = child.conclude()
                    if outcome.retry and job.attempt < ATTEMPTS:
                        waiting.insert(0, Job(job.run, job.fingerprint, job.why, job.attempt + 1))
                        shutil.rmtree(child.staging, ignore_errors=True)
                    else:
                        yield finish(job, outcome, child.staging, out)
        finally:
            with _masked(signal.SIG_BLOCK):
                for child in active:
                    child.end()
                    shutil.rmtree(child.staging, ignore_errors=True)


def finish(job: Job, outcome: "Outcome", staging: Path, out: Path) -> Result:
    """Put a report in its place, or keep the notebook of a run that failed beside the last good report."""
    message, kept = outcome.message, out / f"{job.run.name}.failed.ipynb"
    try:
        if not message:
            put_in_place(staging, out / job.run.name)
            kept.unlink(missing_ok=True)
            return Result(job.run, "made", outcome.seconds, job.why, outcome.warnings)
    except OSError as error:
        message = reports.describe_trouble(error, out)
    partial = staging / "report" / "notebook.ipynb"
    if partial.exists() and partial.stat().st_size:
        with suppress(OSError):
            kept.parent.mkdir(parents=True, exist_ok=True)
            os.replace(partial, kept)
            message += f"\nthe notebook so far: {kept}"
    shutil.rmtree(staging, ignore_errors=True)
    return Result(job.run, "failed", outcome.seconds, message)


@contextmanager
def _masked(how: int) -> Iterator[None]:
    """Hold back the signals that end the runner, or let them through, for as long as the block lasts."""
    before = signal.pthread_sigmask(how, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


PRELOADED = (
    "ipykernel.kernelapp", "ipykernel.zmqshell", "ipykernel.debugger", "psutil",
    "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg", "seaborn",
    "statsmodels.stats.proportion", "statsmodels.tsa.seasonal", "statsmodels.tsa.statespace.structural",
    "iapt.pages",
)  # fmt: skip


def preload() -> None:
    """Import once what runs need, before they fork off."""
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # else the debugger, that every kernel loads, prints a warning here
    reports.import_papermill()
    for name in PRELOADED:
        importlib.import_module(name)


def warm_up(parameters: list[dict[str, object]]) -> None:
    """Compute once what runs with these parameters would compute again each: chosen figures, the compiled page and checks."""
    import nbformat

    from iapt import areas, pages, words

    nbformat.validate(nbformat.v4.new_notebook())
    pages.TEMPLATES.get_template("report.html.j2")
    for values in parameters:
        if "as_of" in values:
            words.vintage(values["as_of"])
        if "area" in values:
            areas.counts(values["as_of"])
    gc.collect()
    gc.freeze()  # the collector of each run then leaves these objects alone, and their memory stays shared


def count_processors() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# ---------------------------------------------------------------- one run, in a process of its own


@dataclass(frozen=True)
class Outcome:
    """What became of a child: an empty message where its work is done; `retry` where its kernel did not start."""

    message: str
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    retry: bool = False


class Child:
    """A run in a process of its own, with a folder for its report and one for its temporary files.

    `work` is called there with the folder of the report and returns the warnings; `forked` has a kernel ready for it.
    """

    def __init__(self, work: Callable[[Path], list[str]], staging: Path, limit: int, *, forked: bool) -> None:
        context = multiprocessing.get_context("fork")
        self.staging, self.limit, self.began = staging, limit, time.monotonic()
        self._heard, said = context.Pipe(duplex=False)
        self._process = context.Process(target=_work, args=(work, staging, said, forked))
        self._process.start()
        said.close()

    @property
    def sources(self) -> tuple:
        """What becomes ready when the child has something to say or has ended."""
        return self._process.sentinel, self._heard

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def is_over(self) -> bool:
        """Whether the child has said how it ended, has gone without a word, or has had its time."""
        return self._heard.poll() or not self._process.is_alive() or self.seconds > self.limit

    def conclude(self) -> Outcome:
        """How the child ended; it has gone afterwards, with all that it started."""
        seconds, ended = self.seconds, not self._process.is_alive()
        try:
            said = self._heard.recv() if self._heard.poll() else None
        except EOFError:
            said = None
        self.end()
        if said:
            message, warnings, retry = said
            return Outcome(message, seconds, warnings, retry)
        code = self._process.exitcode
        reason = f"took longer than {self.limit} seconds" if not ended else f"the run was killed by signal {-code} (out of memory?)" if code < 0 else f"the run ended with code {code}"
        return Outcome(reports.explain(reason, self.staging / "report" / "notebook.ipynb"), seconds)

    def end(self) -> None:
        """End the child with all that it started, and wait until it has gone; nothing where that has been done."""
        if not self._heard.closed:
            end_family(self._process.pid)
            self._process.join()
            self._heard.close()


def _work(work: Callable[[Path], list[str]], staging: Path, said, forked: bool) -> None:
    os.setsid()
    for number in STOPPING:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    _release()
    report, scratch = staging / "report", staging / "scratch"
    try:
        scratch.mkdir()
        tempfile.tempdir = None
        os.environ.update(TMPDIR=str(scratch), JUPYTER_RUNTIME_DIR=str(scratch), IPYTHONDIR=str(scratch / "ipython"))
        silence = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):  # what cells print is in the notebook; kernels would show it here as well
            os.dup2(silence, stream)
        if forked:
            from iapt import kernel

            kernel.prepare()
        end_with_parent()
        said.send(("", tuple(work(report)), False))
    except BaseException as error:
        said.send((reports.explain(error, report / "notebook.ipynb"), (), isinstance(error, reports.KernelNotStarted)))


def end_family(leader: int) -> None:
    """Kill a process, its group, and the processes below it that lead groups of their own."""
    import psutil

    try:
        below = psutil.Process(leader).children(recursive=True)
    except psutil.NoSuchProcess:
        below = []
    for pid in (*(process.pid for process in below), leader):
        for kill in (os.killpg, os.kill):  # a group outlives its leader; a process may lead none
            with suppress(ProcessLookupError, PermissionError):
                kill(pid, signal.SIGKILL)


def end_with_parent() -> None:
    """Leave no stray process: end this one and its family as soon as the one that started it has gone."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        end_family(os.getpid())

    threading.Thread(target=watch, daemon=True).start()


# ---------------------------------------------------------------- folders

_held: list[int] = []


@contextmanager
def own(out: Path) -> Iterator[None]:
    """Hold the folder of the reports against other runners; clear away what a killed one left.

    The lock is on the folder itself and goes with the process that holds it. A second runner says whom it waits for.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = os.open(out, os.O_RDONLY)
    except OSError as error:
        raise runs.RunError(reports.describe_trouble(error, out)) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"another iapt report{_find_holder(out)} is writing to {out}; waiting for it to end", file=sys.stderr, flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        _held.append(handle)
        for left in out.glob(".staging-*"):
            _clear(left, out)
        yield
    finally:
        if handle in _held:
            _held.remove(handle)
        os.close(handle)


def _release() -> None:
    """Give up, in a child, the locks it has from its parent: they end with the parent."""
    while _held:
        os.close(_held.pop())


def _find_holder(out: Path) -> str:
    """Which process holds the lock of a folder, where the system tells (Linux)."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/locks").read_text().splitlines():
            kind, pid, place = (line.split()[i] for i in (1, 4, 5))
            if kind == "FLOCK" and int(place.split(":")[2]) == out.stat().st_ino:
                return f" (process {pid})"
    return ""


def make_staging(out: Path) -> Path:
    """A new folder beside the reports with an empty `report` in it. Raises RunError where it cannot be written."""
    try:
        staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=out))
        (staging / "report").mkdir()
    except OSError as error:
        raise runs.RunError(reports.describe_trouble(error, out)) from None
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
