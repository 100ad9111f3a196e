"""A runner in a process of its own, as the command starts it; imported once by the server that forks them."""

import os
import pickle
import signal
import sys
from contextlib import closing
from pathlib import Path

from iapt import data, runs
from iapt.paths import NOTEBOOKS
from iapt.running import child, runner

child.preload(NOTEBOOKS.glob("*.ipynb"))
data.known("latest")


def make_reports(chosen: list[runs.Run], out: Path, options: dict, tables: str) -> None:
    """Make reports; results go to a `.results` file beside the folder, messages to an `.err` file."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    os.environ["IAPT_DATA"] = tables
    sys.stderr = out.with_suffix(".err").open("w", buffering=1)
    try:
        with closing(runner.make_all(chosen, out, **options)) as results:
            out.with_suffix(".results").write_bytes(pickle.dumps(list(results)))
    except KeyboardInterrupt:
        sys.exit(130)
