"""What went wrong, in the words of the person who has to mend it."""

import errno
import re
from pathlib import Path

from iapt import runs


class KernelNotStarted(RuntimeError):
    """The kernel ended, or gave no answer, before the first cell; another attempt may succeed."""


def explain(error: BaseException | str, partial: Path) -> str:
    """Where and how a run failed, in one block: nearest heading, the lines that failed, the error.

    `partial` is the notebook as papermill last wrote it, if it did.
    """
    from jupyter_client.kernelspec import NoSuchKernel
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    if isinstance(error, PapermillExecutionError):
        trace = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback))
        numbers = re.findall(rf"Cell In\[{error.exec_count}\], line (\d+)", trace)
        where = f"{_locate(partial, int(numbers[-1]) if numbers else 0)}\n{error.ename}: {error.evalue}"
        for file, line, function in re.findall(r"^File (\S+?):(\d+), in (\w+)", trace, re.MULTILINE)[-1:]:
            where += f"\n(raised in {'/'.join(Path(file).parts[-2:])}, line {line}, in {function})"
        return where
    if isinstance(error, DeadKernelError):
        error = "the kernel died: a cell ended it, or the system did (out of memory?)"
    elif isinstance(error, CellTimeoutError):
        error = "the cell took too long"
    elif isinstance(error, OSError):
        return describe_trouble(error, partial)
    elif isinstance(error, NoSuchKernel):
        error = f"no Jupyter kernel is named {error.name}; install it with: python -m ipykernel install --sys-prefix"
    elif isinstance(error, KernelNotStarted):
        error = str(error)
    elif isinstance(error, BaseException):
        error = f"{type(error).__name__}: {error}"
    return f"{_locate(partial)}\n{error}"


def _locate(partial: Path, number: int = 0) -> str:
    """The heading above the cell in which a notebook stopped, and the cell's lines around a line number."""
    try:
        cells = [(cell, cell["metadata"], "".join(cell["source"])) for cell in runs.read_notebook(partial)["cells"]]
    except (runs.RunError, OSError):
        return "in a cell that is not known"
    heading, stopped, code = "start", "", ""
    for cell, metadata, source in cells:
        if cell["cell_type"] == "code" and metadata.get("papermill", {}).get("start_time"):
            stopped, code = heading, source
        elif cell["cell_type"] == "markdown" and "papermill-error-cell-tag" not in metadata.get("tags", []):
            heading = next((line for line in reversed(source.splitlines()) if line.startswith("#")), heading)
    if not stopped:
        return "before its first cell"
    first = max(0, number - 3)
    lines = enumerate(code.splitlines()[first : first + 6], start=first + 1)
    shown = [f"{'>' if place == number else ' '} {place:>3}  {line}" for place, line in lines]
    return "\n".join([f"in the section “{stopped.strip('# ')}”:", *shown])


def describe_trouble(error: OSError, place: Path) -> str:
    """What a failing disk or folder means for the person at the keyboard."""
    where = error.filename or place
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"the disk is full at {where}; free some space and run it again (nothing was replaced)"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"too few files may be open at once ({where}); raise the limit (ulimit -n) and run it again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{where} cannot be written; choose another folder with --out (nothing was replaced)"
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"{where} is a file, not a folder; choose another folder with --out"
    return f"{where}: {error.strerror or error}"
