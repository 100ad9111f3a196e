"""Run every notebook over a grid of vintages and the corners of its parameters: `python tests/bench/sweep.py [RUN ...]`.

A set of values is refused before a kernel starts, or its report is made; a cell that fails is a fault. Prints the
counts and each failure, and ends with 1 where there is one. `--sample N` takes N sets at random, the same each time.
"""

import argparse
import itertools
import random
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

from iapt import parameters, runs
from iapt.paths import NOTEBOOKS
from iapt.running import runner

GRID = {
    "as_of": [
        "2015-01-31", "2016-06-30", "2017-12-31", "2018-06-30", "2020-05-01", "2021-09-30", "2022-06-01", "2023-09-30",
        "2024-09-30", "latest",
    ],
    "measure": ["started_treatment", "finished_course"],
    "target": [1, 99_999_999],
    "target_year": ["2015-16", "2020-21", "2023-24", "2028-29", "2033-34"],
    "start": ["2013-14", "2017-18", "2021-22"],
    "area": ["E92000001", "Y56", "QJK", "QWO"],
}  # fmt: skip


def list_notebooks() -> list[runs.Run]:
    """One run for each notebook, under the name of its first run."""
    first = {run.notebook: run for run in reversed(runs.load().values())}
    return [first.get(path) or runs.Run(path.stem, path, path.stem) for path in sorted(NOTEBOOKS.glob("*.ipynb"))]


def list_sets(run: runs.Run) -> list[runs.Run]:
    """The run with each set of the grid's values that its notebook takes, from the first day that it names on."""
    notebook = runs.read_notebook(run.notebook)
    names = [name for name in parameters.read(notebook) if name in GRID]
    first = parameters.read_days(notebook).get("first", GRID["as_of"][0])
    grid = GRID | {"as_of": sorted({first, *GRID["as_of"]})}
    sets = [dict(zip(names, values)) for values in itertools.product(*(grid[name] for name in names))]
    return [
        replace(run, name=f"{run.name}-{number}", parameters=run.parameters | values, each="")
        for number, values in enumerate(sets)
    ]


def is_taken(run: runs.Run) -> bool:
    try:
        run.values()
    except parameters.ParameterError:
        return False
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="RUN")
    parser.add_argument("--sample", type=int)
    options = parser.parse_args()
    known = [run for run in list_notebooks() if not options.names or run.name in options.names]
    sets = [part for run in known for part in list_sets(run)]
    if options.sample:
        sets = random.Random(1).sample(sets, min(options.sample, len(sets)))
    taken, states = [run for run in sets if is_taken(run)], Counter()
    with tempfile.TemporaryDirectory() as folder:
        for result in runner.make_all(taken, Path(folder)):
            states[result.state] += 1
            if result.state == "failed":
                print(result.run.name, result.run.parameters, result.message, sep="\n", flush=True)
    print(f"{len(sets)} sets: {len(sets) - len(taken)} refused, {states['made']} made, {states['failed']} failed")
    return 1 if states["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
