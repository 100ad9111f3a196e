"""From runs to reports: what is out of date is made, several runs at a time, the others are left alone."""

import gc
import multiprocessing.connection
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from iapt import runs
from iapt.running import execution, failures, folders, reports
from iapt.running.child import METHOD, STOPPING, Child, Outcome, preload

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


@dataclass(frozen=True)
class Job:
    """A run to make, its fingerprint, and why it is made."""

    run: runs.Run
    fingerprint: dict[str, str]
    why: str
    attempt: int = 1


def make_all(
    chosen: list[runs.Run],
    out: Path,
    *,
    kernel: bool = False,
    force: bool = False,
    limit: int = execution.LIMIT,
    workers: int | None = None,
    scheduler: str = "",
) -> Iterator[Result]:
    """Make the reports that are out of date, several at a time, and say of each run how it ended.

    With the address of a `scheduler` the notebooks run on its cluster. Raises RunError where the folder cannot be
    written, and ParameterError before anything runs. Ends its children when it is ended or closed.
    """
    # one thread each: runs are parallel already, and sums come out the same everywhere
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with folders.own(out):
        folders.refuse_strangers(out, [run.name for run in chosen])
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
            from iapt.running import cluster

            yield from cluster.make_all(waiting, out, scheduler, kernel=kernel, limit=limit)
        else:
            preload()
            if METHOD == "fork":
                warm_up(values)
            yield from _make_here(waiting, out, kernel, limit, workers or 2 * count_processors())


def _render(run: runs.Run, out: Path) -> Result:
    began, staging = time.monotonic(), folders.make_staging(out)
    try:
        reports.render_again(run, out / run.name, staging / "report")
        folders.put_in_place(staging, out / run.name)
        return Result(run, "rendered", time.monotonic() - began, "only prose or page style changed")
    except OSError as error:
        return Result(run, "failed", time.monotonic() - began, failures.describe_trouble(error, out))
    finally:
        shutil.rmtree(staging, ignore_errors=True)


# ---------------------------------------------------------------- many runs


def _make_here(waiting: list[Job], out: Path, kernel: bool, limit: int, workers: int) -> Iterator[Result]:
    """Run the jobs in children of this process, so many at a time.

    A kernel waits while it starts and ends, so that more of them than there are processors keep these busy.
    """
    waiting, active = list(waiting), {}
    with _masked("SIG_BLOCK"):
        try:
            while waiting or active:
                while waiting and len(active) < workers:
                    job = waiting.pop(0)
                    work = partial(reports.make, job.run, fingerprint=job.fingerprint, limit=limit)
                    active[Child(work, folders.make_staging(out), limit, forked=not kernel)] = job
                with _masked("SIG_UNBLOCK"):
                    multiprocessing.connection.wait(
                        [source for child in active for source in child.sources], timeout=0.5
                    )
                for child in [child for child in active if child.is_over()]:
                    job = active.pop(child)
                    outcome = child.conclude()
                    if outcome.retry and job.attempt < ATTEMPTS:
                        waiting.insert(0, Job(job.run, job.fingerprint, job.why, job.attempt + 1))
                        shutil.rmtree(child.staging, ignore_errors=True)
                    else:
                        yield finish(job, outcome, child.staging, out)
        finally:
            with _masked("SIG_BLOCK"):
                for child in active:
                    child.end()
                    shutil.rmtree(child.staging, ignore_errors=True)


def finish(job: Job, outcome: Outcome, staging: Path, out: Path) -> Result:
    """Put a report in its place, or keep the notebook of a run that failed beside the last good report."""
    message, kept = outcome.message, out / f"{job.run.name}.failed.ipynb"
    try:
        if not message:
            folders.put_in_place(staging, out / job.run.name)
            kept.unlink(missing_ok=True)
            return Result(job.run, "made", outcome.seconds, job.why, outcome.warnings)
    except OSError as error:
        message = failures.describe_trouble(error, out)
    partial = staging / "report" / "notebook.ipynb"
    if partial.exists() and partial.stat().st_size:
        with suppress(OSError):
            kept.parent.mkdir(parents=True, exist_ok=True)
            os.replace(partial, kept)
            message += f"\nthe notebook so far: {kept}"
    shutil.rmtree(staging, ignore_errors=True)
    return Result(job.run, "failed", outcome.seconds, message)


@contextmanager
def _masked(how: str) -> Iterator[None]:
    """Hold back the signals that end the runner, or let them through, for as long as the block lasts."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(getattr(signal, how), STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def warm_up(parameters: list[dict[str, object]]) -> None:
    """Compute once what runs with these parameters would compute again each: chosen figures, the compiled page and checks.

    What fails here is left to the runs that need it, each of which will say so.
    """
    import nbformat

    from iapt.site import pages

    nbformat.validate(nbformat.v4.new_notebook())
    pages.TEMPLATES.get_template("report.html.j2")
    with suppress(Exception):
        from iapt.answers import areas
        from iapt.show import words

        for as_of in {values["as_of"] for values in parameters if "as_of" in values}:
            words.vintage(as_of)
        for as_of in {values["as_of"] for values in parameters if "area" in values}:
            areas.compute_shared(as_of)
    gc.collect()
    gc.freeze()  # the collector of each run then leaves these objects alone, and their memory stays shared
    gc.set_threshold(100_000)  # a run is short: looking for garbage often costs more than it frees


def count_processors() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
