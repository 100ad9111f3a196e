"""Time the stages of every national run, one run at a time: `python tests/bench/stages.py FOLDER`.

Writes `shared.json` (checks of parameters and imports, once) and `RUN.json` for each run, in seconds.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from iapt import runs
from iapt.running import child, execution, reports, runner
from iapt.site import pages

FOLDER = Path(sys.argv[1])
spent: Counter[str] = Counter()


def time_call(name: str, function: Callable, *arguments: object, **options: object) -> object:
    """What a call returns; its seconds are added to a stage."""
    began = time.perf_counter()
    try:
        return function(*arguments, **options)
    finally:
        spent[name] += time.perf_counter() - began


def watch(module: object, function: str, name: str) -> None:
    """Have the calls of a module's function timed."""
    plain = getattr(module, function)
    setattr(module, function, lambda *arguments, **options: time_call(name, plain, *arguments, **options))


def keep_cells(notebook: object) -> None:
    """Note what papermill took for the cells before it is stripped from the notebook."""
    spent["cells"] = sum(cell.metadata.papermill.duration or 0 for cell in notebook.cells)
    normalise(notebook)


def make_and_tell(run: runs.Run, *arguments: object, **options: object) -> list[str]:
    """Make a report in the process of its own that it has, and write down what its stages took."""
    spent.clear()
    warned = make(run, *arguments, **options)
    (FOLDER / f"{run.name}.json").write_text(json.dumps(spent))
    return warned


watch(execution, "execute", "executing")
watch(pages, "render", "rendering")
watch(reports, "write_report", "writing")
normalise, execution.normalise = execution.normalise, keep_cells
make, reports.make = reports.make, make_and_tell

chosen = [run for run in runs.load().values() if not run.each]
for run in chosen:
    time_call("checks", run.values)
time_call("imports", child.preload)
(FOLDER / "shared.json").write_text(json.dumps(spent))
failed = [result.message for result in runner.make_all(chosen, FOLDER / "out", workers=1) if result.state != "made"]
sys.exit("\n".join(failed) or None)
