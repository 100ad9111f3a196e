"""A run that is to be made, what became of it, and where its report goes then."""

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from iapt.plan import runs
from iapt.running import folders
from iapt.running.failures import describe_trouble


@dataclass(frozen=True)
class Result:
    """How a run ended: `made`, `rendered` (prose only), `unchanged` or `failed`, in how many seconds.

    `message` says why it was made or left alone or, in one block, how it failed.
    """

    run: runs.Run
    state: str
    seconds: float = 0.0
    message: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """A run to make, its fingerprint, and why it is made."""

    run: runs.Run
    fingerprint: dict[str, str]
    why: str
    attempt: int = 1


@dataclass(frozen=True)
class Outcome:
    """What became of a child: an empty message where its work is done; `retry` where its kernel did not start."""

    message: str
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    retry: bool = False


def finish(job: Job, outcome: Outcome, staging: Path, out: Path) -> Result:
    """Put a report in its place, or keep the notebook of a run that failed beside the last good report."""
    message, kept = outcome.message, out / f"{job.run.name}.failed.ipynb"
    try:
        if not message:
            folders.put_in_place(staging, out / job.run.name)
            kept.unlink(missing_ok=True)
            return Result(job.run, "made", outcome.seconds, job.why, outcome.warnings)
    except OSError as error:
        message = describe_trouble(error, out)
    partial = staging / "report" / "notebook.ipynb"
    if partial.exists() and partial.stat().st_size:
        with suppress(OSError):
            kept.parent.mkdir(parents=True, exist_ok=True)
            os.replace(partial, kept)
            message += f"\nthe notebook so far: {kept}"
    shutil.rmtree(staging, ignore_errors=True)
    return Result(job.run, "failed", outcome.seconds, message)
