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
        frames = re.findall(r"^File (\S+?):(\d+), in (\w+)", trace, re.MULTILINE)
        raised = (
            f"\n(raised in {'/'.join(Path(frames[-1][0]).parts[-2:])}, line {frames[-1][1]}, in {frames[-1][2]})"
            if frames
            else ""
        )
        return f"{_locate(partial, int(numbers[-1]) if numbers else 0)}\n{error.ename}: {error.evalue}{raised}"
    if isinstance(error, DeadKernelError):
        error = "the kernel died: a cell ended it, or the system did (out of memory?)"
    elif isinstance(error, CellTimeoutError):
        error = "the cell took too long"
    elif isinstance(error, OSError):
        return describe_trouble(error, partial)
    elif isinstance(error, NoSuchKernel):
        error = (
            f"there is no Jupyter kernel named {error.name}; install it with: python -m ipykernel install --sys-prefix"
        )
    elif isinstance(error, KernelNotStarted):
        error = str(error)
    elif isinstance(error, BaseException):
        error = f"{type(error).__name__}: {error}"
    return f"{_locate(partial)}\n{error}"


def _locate(partial: Path, number: int = 0) -> str:
    """The heading above the cell in which a notebook stopped, and the cell's lines around a line number."""
    try:
        cells = [
            cell
            for cell in runs.read_notebook(partial)["cells"]
            if "papermill-error-cell-tag" not in cell["metadata"].get("tags", [])
        ]
    except (runs.RunError, OSError):
        return "in a cell that is not known"
    started = [
        i
        for i, cell in enumerate(cells)
        if cell["metadata"].get("papermill", {}).get("start_time") and cell["cell_type"] == "code"
    ]
    if not started:
        return "before its first cell"
    prose = [
        line
        for cell in cells[: started[-1]]
        if cell["cell_type"] == "markdown"
        for line in "".join(cell["source"]).splitlines()
    ]
    heading = next((line.strip("# ") for line in reversed(prose) if line.startswith("#")), "start")
    lines = "".join(cells[started[-1]]["source"]).splitlines()
    first = max(0, number - 3)
    shown = [
        f"{'>' if i == number else ' '} {i:>3}  {line}"
        for i, line in enumerate(lines[first : first + 6], start=first + 1)
    ]
    return "\n".join([f"in the section “{heading}”:", *shown])


def describe_trouble(error: OSError, place: Path) -> str:
    """What a failing disk or folder means for the person at the keyboard."""
    where = error.filename or place
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"the disk is full at {where}; free some space and run it again (nothing was replaced)"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{where} cannot be written; choose another folder with --out (nothing was replaced)"
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"{where} is a file, not a folder; choose another folder with --out"
    return f"{type(error).__name__}: {error}"
