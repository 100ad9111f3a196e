"""One run in a process of its own, watched from outside.

It forks from a process that has the imports done, and its kernel forks from it, so that no run sees what another
left behind. It ends, with all that it started, when it takes too long or when the process that watches it ends.
"""

import importlib
import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from iapt.running import execution, failures, folders
from iapt.running.jobs import Outcome

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that end the runner and its runs."""
PRELOADED = (
    "ipykernel.kernelapp", "ipykernel.zmqshell", "ipykernel.debugger", "psutil",
    "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg", "seaborn",
    "statsmodels.stats.proportion", "statsmodels.tsa.seasonal", "statsmodels.tsa.statespace.structural",
    "iapt.running.engine", "iapt.site.pages",
)  # fmt: skip


def preload() -> None:
    """Import once what runs need, before they fork off."""
    # else the debugger, that every kernel loads, prints a warning here
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    execution.import_papermill()
    for name in PRELOADED:
        importlib.import_module(name)


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
        reason = (
            f"took longer than {self.limit} seconds"
            if not ended
            else f"the run was killed by signal {-code} (out of memory?)"
            if code < 0
            else f"the run ended with code {code}"
        )
        return Outcome(failures.explain(reason, self.staging / "report" / "notebook.ipynb"), seconds)

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
    folders.release()
    report, scratch = staging / "report", staging / "scratch"
    try:
        scratch.mkdir()
        tempfile.tempdir = None
        os.environ.update(TMPDIR=str(scratch), JUPYTER_RUNTIME_DIR=str(scratch), IPYTHONDIR=str(scratch / "ipython"))
        silence = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):  # what cells print is in the notebook; kernels would show it here as well
            os.dup2(silence, stream)
        if forked:
            from iapt.running import kernel

            kernel.prepare()
        end_with_parent()
        said.send(("", tuple(work(report)), False))
    except BaseException as error:
        said.send(
            (failures.explain(error, report / "notebook.ipynb"), (), isinstance(error, failures.KernelNotStarted))
        )


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
