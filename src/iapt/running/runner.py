"""From runs to reports: what is out of date is made, several runs at a time, the others are left alone."""

import gc
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from iapt import runs
from iapt.paths import REPORTS, data_folder
from iapt.running import execution, failures, folders, reports
from iapt.running.child import METHOD, STOPPING, Child, Outcome, preload, wait

FEWEST_FILES = 128
"""Files that have to be allowed to be open at once: a run with its kernel needs about 60, and with fewer some hang."""
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
    """A run to make, the basis it is made from, why it is made, and the state that it is in afterwards."""

    run: runs.Run
    basis: reports.Basis | None
    why: str
    attempt: int = 1
    state: str = "made"


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
        folders.refuse_pages(out, folders.list_usual_pages(chosen))
        links = name_links([*reports.find_all(out, chosen), *chosen])
        waiting = []
        for run in chosen:
            basis = reports.take_basis(run, links)
            state = "not asked" if force else reports.state_of(run, out / run.name, basis)
            if state == "up to date":
                yield Result(run, "unchanged")
            elif state == "prose changed":
                yield _replace(run, out, partial(reports.render_again, basis=basis))
            else:
                waiting.append(Job(run, basis, "as asked" if force else f"it was {state}"))
        values = [job.run.values() for job in waiting]
        if waiting and scheduler:
            from iapt.running import cluster

            yield from cluster.make_all(waiting, out, scheduler, kernel=kernel, limit=limit)
        elif waiting:
            _check_system()
            preload({job.run.notebook for job in waiting})
            if METHOD == "fork":
                warm_up({(table, given["as_of"]) for job, given in zip(waiting, values) for table in ("england", *job.run.data)})
            yield from _make_here(waiting, out, kernel, limit, workers or 2 * count_processors())
        yield from _link_again(out, chosen)


def _check_system() -> None:
    """Raises RunError where kernels cannot be talked to through loopback, or lack files: papermill would wait on."""
    with suppress(ImportError):  # Windows has no such limit
        import resource

        if 0 < (most := resource.getrlimit(resource.RLIMIT_NOFILE)[0]) < FEWEST_FILES:
            raise runs.RunError(f"only {most} files may be open at once here; allow more first: ulimit -n {FEWEST_FILES}")
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=5).close()
    except OSError as error:
        raise runs.RunError(
            f"this machine does not reach itself at 127.0.0.1, as kernels need to: {error.strerror or error}"
        ) from None


def name_links(there: Iterable[runs.Run]) -> tuple[str, ...]:
    """The names on the list of runs, spread out, to which pages may link."""
    return tuple(sorted({run.name for run in there} & {run.name for run in runs.list_all(runs.load())}))


def _link_again(out: Path, chosen: list[runs.Run]) -> Iterator[Result]:
    """Give the pages of a folder links to exactly the reports that are there; says only what failed."""
    there = reports.find_all(out, [*chosen, *runs.list_all(runs.load())])
    links = name_links(there)
    for run in there:
        if tuple(reports.read_state(out / run.name)["links"]) != links:
            result = _replace(run, out, partial(reports.link_again, links=links))
            if result.state == "failed":
                yield result


def write_site(known: dict[str, runs.Run], chosen: list[runs.Run], out: Path) -> list[str]:
    """Write the pages around all reports that are in a folder, where these or the pages have changed; warnings.

    The gallery README.md is written only for reports/, and only where every report but those of areas is there.
    """
    there = reports.find_all(out, [*runs.list_all(known), *chosen])
    states = [(run, reports.state_of(run, out / run.name)) for run in there]
    files = [[run.name, state, reports.read_state(out / run.name)["files"]] for run, state in states]
    made_of = runs.digest([files, (out / "reports.pdf").exists()])
    of = runs.digest([made_of, runs.digest_package(), runs.digest_folder(data_folder()), runs.digest_templates()])
    if folders.are_pages_current(out, of):
        return []
    from iapt.site import indexes

    whole = {name for name, run in known.items() if not run.each} <= {run.name for run in there}
    try:
        with folders.own(out):
            pages = indexes.render_site(states, out)
            if out.resolve() != REPORTS or not whole:
                pages.pop("README.md", None)
            kept = folders.write_pages(out, pages, of)
    except OSError as error:
        raise runs.RunError(f"the pages around the reports: {failures.describe_trouble(error, out)}") from None
    return [kept] if kept else []


def _replace(run: runs.Run, out: Path, write: Callable[[runs.Run, Path, Path], None]) -> Result:
    """Replace a report by what `write` makes of it, which needs no kernel."""
    began, staging, message = time.monotonic(), folders.make_staging(out), ""
    try:
        write(run, out / run.name, staging / "report")
    except OSError as error:
        message = failures.describe_trouble(error, out)
    except runs.RunError as error:
        message = str(error)
    job = Job(run, None, "only prose or page style changed", state="rendered")
    return finish(job, Outcome(message, time.monotonic() - began), staging, out)


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
                    work = partial(reports.make, job.run, basis=job.basis, limit=limit)
                    active[Child(work, folders.make_staging(out), limit, forked=not kernel)] = job
                with _masked("SIG_UNBLOCK"):
                    wait(active)
                for child in [child for child in active if child.is_over()]:
                    job = active.pop(child)
                    outcome = child.conclude()
                    if outcome.retry and job.attempt < ATTEMPTS:
                        waiting.insert(0, replace(job, attempt=job.attempt + 1))
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
            said = (folders.put_in_place(staging, job.run.name), folders.remove_failed(kept))
            return Result(job.run, job.state, outcome.seconds, job.why, (*outcome.warnings, *filter(None, said)))
    except OSError as error:
        message = failures.describe_trouble(error, out)
    except runs.RunError as error:
        message = str(error)
    if job.state == "made":
        with suppress(OSError, ValueError):
            said = folders.keep_failed(staging / "report" / "notebook.ipynb", kept)
            message += f"\nthe notebook so far: {kept}{said and f'; {said}'}"
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


def warm_up(needed: Iterable[tuple[str, str]]) -> None:
    """Compute once what many runs would compute again: their tables, by name and vintage, the figures, the page.

    What fails here is left to the runs that need it, each of which will say so.
    """
    import nbformat

    from iapt import data
    from iapt.site import links, pages

    nbformat.validate(nbformat.v4.new_notebook())
    for name in ("report", "page", "contents"):
        pages.TEMPLATES.get_template(f"{name}.html.j2")
    links.link_terms(pages.to_html("a **word**, a [link](#) and a list:\n\n- `code`"), "", set())
    with suppress(Exception):
        data.newest_month()
    for table, as_of in needed:
        with suppress(Exception):
            data.known(as_of, table)
            data.series("started_treatment", "year", as_of)
    gc.collect()
    gc.freeze()  # the collector of each run then leaves these objects alone, and their memory stays shared
    gc.set_threshold(100_000)  # a run is short: looking for garbage often costs more than it frees


def count_processors() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
