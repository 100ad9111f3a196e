"""One run in a process of its own, watched from outside.

On Linux it forks from a process that has the imports done, and its kernel forks from it, so that no run sees what
another left behind. On macOS a server that does nothing else forks it, since forking a process that has loaded
system libraries is not safe there; where a system cannot fork (Windows) it is a new process with an ordinary kernel.
The outputs are the same. It ends, with all that it started, when it takes too long or when the process that watches
it ends.
"""

import importlib
import multiprocessing.connection
import os
import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from iapt import runs
from iapt.running import failures

METHOD = "spawn" if not hasattr(os, "fork") else "fork" if sys.platform == "linux" else "forkserver"
"""How `multiprocessing` starts a run."""
STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))
"""Signals that end the runner and its runs."""
PRELOADED = (
    "iapt.running.engine", "ipykernel.kernelapp", "ipykernel.zmqshell", "ipykernel.debugger", "psutil",
    "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg", "PIL.GifImagePlugin",
    "PIL.JpegImagePlugin", "iapt.charts", "iapt.models",
    "iapt.running.reports", "iapt.site.pages",
)  # fmt: skip
"""What every run needs; the imports of its notebook come on top."""


def preload(notebooks: Iterable[Path] = (), method: str = "") -> None:
    """Import once what runs of these notebooks need, here or in the server that forks them."""
    method = method or METHOD
    # else the debugger, that every kernel loads, prints a warning here
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    names = [*PRELOADED, *dict.fromkeys(name for notebook in notebooks for name in list_imports(notebook))]
    if method == "forkserver":
        multiprocessing.set_forkserver_preload(names)
    elif method == "fork":
        for name in names:
            with suppress(ImportError):  # a name that is no module, or a mistake that the run will tell of
                importlib.import_module(name)


def list_imports(notebook: Path) -> list[str]:
    """The modules that lines of a notebook's code import, and the names taken from them, which may be modules too."""
    cells = [cell for cell in runs.read_notebook(notebook)["cells"] if cell["cell_type"] == "code"]
    code = "\n".join("".join(cell["source"]) for cell in cells)
    found = re.findall(r"^(?:import|from) ([\w.]+)(?: import ([\w, ]+))?", code, re.MULTILINE)
    return sorted({f"{module}.{name}".strip(".") for module, names in found for name in ["", *names.split(", ")]})


@dataclass(frozen=True)
class Outcome:
    """What became of a child: an empty message where its work is done; `retry` where its kernel did not start."""

    message: str
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    retry: bool = False


class Child:
    """A run in a process of its own, with a folder for its report and one for its temporary files.

    `work` is called there with the folder of the report and returns the warnings; with `forked` its kernel forks too,
    where the system can. `method` is how it starts, where that is not METHOD.
    """

    def __init__(
        self, work: Callable[[Path], list[str]], staging: Path, limit: int, *, forked: bool, method: str = ""
    ) -> None:
        method = method or METHOD
        context = multiprocessing.get_context(method)
        self.staging, self.limit, self.began = staging, limit, time.monotonic()
        self._heard, said = context.Pipe(duplex=False)
        above = os.getpid() if method == "fork" else 0  # where a server forks it, that is above it
        arguments = (work, staging, said, forked and method != "spawn", above)
        self._process = context.Process(target=_work, args=arguments)
        self._process.start()
        said.close()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def is_over(self) -> bool:
        """Whether the child has said how it ended, has gone without a word, or has had its time."""
        return self._heard.poll() or not self._process.is_alive() or self.seconds > self.limit

    def conclude(self) -> Outcome:
        """How the child ended; it has gone afterwards, with all that it started."""
        seconds, outcome = self.seconds, None
        try:
            outcome = self._heard.recv() if self._heard.poll() else None
        except EOFError:  # it went without a word
            self._process.join(5)
        late = self._process.is_alive()
        self.end()
        if outcome:
            return replace(outcome, seconds=seconds)
        code, reason = self._process.exitcode, f"took longer than {self.limit} seconds"
        if not late:
            killed = f"the run was killed by signal {-code} (out of memory?)"
            reason = killed if code < 0 else f"the run ended with code {code}"
        return Outcome(failures.explain(reason, self.staging / "report" / "notebook.ipynb"), seconds)

    def end(self) -> None:
        """End the child with all that it started, and wait until it has gone; nothing where that has been done."""
        if not self._heard.closed:
            end_family(self._process.pid)
            self._process.join()
            self._heard.close()


def wait(children: Iterable[Child]) -> None:
    """Wait until one of these has something to say or has ended, half a second at most."""
    sources = [source for child in children for source in (child._process.sentinel, child._heard)]
    multiprocessing.connection.wait(sources, timeout=0.5)


def _work(work: Callable[[Path], list[str]], staging: Path, said, forked: bool, above: int) -> None:
    if hasattr(os, "setsid"):
        os.setsid()
    for number in STOPPING:  # without a session of its own it hears the keyboard as well, and is ended by the runner
        signal.signal(number, signal.SIG_DFL if hasattr(os, "setsid") else signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
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
        end_with_parent(above or os.getppid())
        said.send(Outcome("", warnings=tuple(work(report))))
    except BaseException as error:
        message = failures.explain(error, report / "notebook.ipynb")
        said.send(Outcome(message, retry=isinstance(error, failures.KernelNotStarted)))


def end_family(leader: int) -> None:
    """Kill a process, its group, and the processes below it that lead groups of their own."""
    import psutil

    family = []
    with suppress(psutil.NoSuchProcess):
        family = [*psutil.Process(leader).children(recursive=True), psutil.Process(leader)]
    for pid in [process.pid for process in family] or [leader]:
        if hasattr(os, "killpg"):
            with suppress(ProcessLookupError, PermissionError):  # a group outlives its leader; a process may lead none
                os.killpg(pid, signal.SIGKILL)
    for process in family:
        with suppress(psutil.Error):
            process.kill()


def end_with_parent(above: int) -> None:
    """Leave no stray process: end this one and its family as soon as the runner or the process `above` has gone."""
    import psutil

    runner = multiprocessing.parent_process().pid

    def watch() -> None:
        while os.getppid() == above and psutil.pid_exists(runner):
            time.sleep(0.2)
        end_family(os.getpid())

    threading.Thread(target=watch, daemon=True).start()
