"""A runner in a process of its own, as the command starts it; imported once by the server that forks them."""

import json
import signal
import sys
from contextlib import closing
from pathlib import Path

from iapt import data, runner, runs

runner.preload()
data.known("latest")


def make_reports(chosen: list[runs.Run], out: Path, options: dict) -> None:
    """Make reports; results go to a JSON file beside the folder, messages to an `.err` file."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    sys.stderr = out.with_suffix(".err").open("w", buffering=1)
    try:
        with closing(runner.make_all(chosen, out, **options)) as results:
            told = [{"name": result.run.name, "state": result.state, "message": result.message} for result in results]
    except KeyboardInterrupt:
        sys.exit(130)
    out.with_suffix(".json").write_text(json.dumps(told))
