"""Notebooks of a few cells, and runs of them, for the tests of the runner."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import pickle
import time
from collections.abc import Callable
from multiprocessing import forkserver
from pathlib import Path

import pytest

from iapt import runs
from iapt.paths import data_folder
from iapt.running.runner import Result

PARAMETERS = 'as_of: str = "latest"  # a day\nnumber: int = 1  # a number'
CHART = """
import pandas as pd
from iapt import charts, words
points = pd.DataFrame({"x": [1, 2, 3]})
canvas = charts.canvas(points, title=f"Line {number}", unit="unit", alt="a line", name="line", as_of=as_of)
lines = canvas.axes.plot([1, 2, 3], [number, 2, 1])
canvas
"""
BELOW = """
import subprocess, sys, time
heard, write = [], sys.stdout.write
sys.stdout.write = lambda text: (write(text), heard.append(text))[0]
def wait_for(text):
    while text not in "".join(heard):
        time.sleep(0.01)
subprocess.run(["echo", "from below"])
wait_for("from below")
"""
"""Prints from a process of its own and waits until the kernel has heard it: what comes later ipykernel may lose."""
TABLE = 'words.Table("table", "A table", pd.DataFrame({"a": ["1", "2"]}))'


def write_notebook(path: Path, *cells: str, heading: str = "# What is it?") -> Path:
    """A notebook with a heading and a parameters cell before these cells; a cell that begins with `#` and a space is prose."""
    written = [
        {"cell_type": "markdown", "source": heading},
        {"cell_type": "code", "source": PARAMETERS, "tags": ["parameters"]},
    ]
    written += [{"cell_type": "markdown" if cell.startswith("## ") else "code", "source": cell} for cell in cells]
    notebook = {
        "cells": [],
        "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    for number, cell in enumerate(written):
        extra = {"outputs": [], "execution_count": None} if cell["cell_type"] == "code" else {}
        tags = {"tags": cell["tags"]} if "tags" in cell else {}
        notebook["cells"].append(
            {
                "id": f"cell-{number:02d}",
                "cell_type": cell["cell_type"],
                "metadata": tags,
                "source": cell["source"].splitlines(keepends=True),
            }
            | extra
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return path


def make_run(folder: Path, name: str, *cells: str, **parameters: object) -> runs.Run:
    """A run of a new notebook."""
    return runs.Run(
        name,
        write_notebook(folder / f"{name.replace('/', '_')}.ipynb", *cells),
        name.title(),
        parameters,
        asked=(name,),
    )


def read_text(report: Path) -> str:
    """All that the notebook of a report printed or showed as text."""
    outputs = [
        output for cell in runs.read_notebook(report / "notebook.ipynb")["cells"] for output in cell.get("outputs", [])
    ]
    return "".join(
        "".join(output.get("text", "") or output.get("data", {}).get("text/plain", "")) for output in outputs
    )


def serve() -> multiprocessing.context.ForkServerContext:
    """Processes that fork from one in which the imports are done, which is not that of the tests."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tiny_runner"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        patch.delenv("PYTEST_CURRENT_TEST", raising=False)
        forkserver.ensure_running()
    return context


def start(chosen: list[runs.Run], out: Path, **options: object) -> multiprocessing.Process:
    """Start a runner in a process of its own."""
    import tiny_runner

    process = serve().Process(target=tiny_runner.make_reports, args=(chosen, out, options, str(data_folder())))
    process.start()
    return process


def read_results(out: Path) -> list[Result]:
    """How the runs of the last runner for a folder ended, in the order in which they did."""
    return pickle.loads(out.with_suffix(".results").read_bytes())


def make(chosen: list[runs.Run], out: Path, **options: object) -> dict[str, Result]:
    """Make reports in a process of their own; how each ended, by name."""
    start(chosen, out, **options).join()
    return {result.run.name: result for result in read_results(out)}


def digest(folder: Path) -> dict[str, str]:
    """Every file below a folder with the digest of its bytes."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def wait_until(condition: Callable[[], object], seconds: float = 20) -> object:
    """Wait until a condition holds and return what it gave; fail where it does not in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.02)
    raise AssertionError("waited in vain")


def write_site(made: list[tuple[runs.Run, str]], out: Path) -> None:
    """Write the pages around reports."""
    from iapt.site import indexes

    for path, content in indexes.render_site(made, out).items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_bytes(content)
