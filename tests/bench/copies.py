"""Make so many copies of one run: `python tests/bench/copies.py FOLDER RUN NUMBER`."""

import sys
from dataclasses import replace
from pathlib import Path

from iapt import runs
from iapt.running import runner

folder, name, number = sys.argv[1:]
chosen = [
    replace(run, name=f"{run.name}-{copy}")
    for run in runs.select(runs.load(), [name], [])
    for copy in range(int(number))
]
failed = [result.message for result in runner.make_all(chosen, Path(folder)) if result.state != "made"]
sys.exit("\n".join(failed) or None)
