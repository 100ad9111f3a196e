"""What reports cost: each stage, the ratio to papermill's command line with nbconvert, copies of one run, all areas.

`python tests/bench/bench_reports.py` takes about half an hour on two processors; `--pairs`, `--sample` and the
names of parts make it shorter. Both ways run the same notebooks in the same call, one after the other in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import psutil

from iapt import runs

BIN, HERE = Path(sys.executable).parent, Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help="stages, ratio, copies, areas; all where none is named")
    parser.add_argument("--pairs", type=int, default=5, help="how often both ways are timed")
    parser.add_argument("--sample", type=int, default=8, help="areas that papermill's command line is timed on")
    options = parser.parse_args()
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the start")
    parts: dict[str, Callable[[], None]] = {
        "stages": show_stages,
        "ratio": lambda: show_ratio(options.pairs),
        "copies": show_copies,
        "areas": lambda: show_areas(options.sample),
    }
    for name in options.parts or parts:
        parts[name]()


def list_national() -> list[runs.Run]:
    """All runs that are no areas."""
    known = runs.load()
    return runs.select(known, [name for name, run in known.items() if not run.each], [])


def list_areas() -> list[runs.Run]:
    """One run for each area."""
    return runs.select(runs.load(), [], [], "area")


# ---------------------------------------------------------------- both ways


def report(names: list[str], out: Path) -> float:
    """Seconds of `iapt report` into an empty folder."""
    return time_command([BIN / "iapt", "report", *names, "--out", out])


def time_command(command: list) -> float:
    began = time.perf_counter()
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=runs.NOTEBOOKS)
    if done.returncode:
        sys.exit(f"{command[0]} failed: {done.stderr[-3000:]}")
    return time.perf_counter() - began


def run_by_hand(run: runs.Run, folder: Path, *, html: bool) -> float:
    """Seconds of papermill's command line on one run and, with `html`, of nbconvert's."""
    output = folder / f"{run.name.replace('/', '-')}.ipynb"
    given = [
        part
        for name, value in run.parameters.items()
        for part in ("-r" if isinstance(value, str) else "-p", name, value)
    ]
    seconds = time_command([BIN / "papermill", run.notebook, output, "--no-progress-bar", *given])
    return seconds + (time_command([BIN / "jupyter", "nbconvert", "--to", "html", output]) if html else 0)


@contextmanager
def measure_memory():
    """The peak of the memory (PSS) of this process's children with all below them, in MB, in a list."""
    peak, stopped = [0.0], threading.Event()

    def sample() -> None:
        while not stopped.wait(0.3):
            total = 0
            for process in psutil.Process().children(recursive=True):
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:
                    pass
            peak[0] = max(peak[0], total / 1e6)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield peak
    finally:
        stopped.set()
        thread.join()


# ---------------------------------------------------------------- the four parts


def show_stages() -> None:
    """The stages of each run, one at a time so that they do not slow each other."""
    with tempfile.TemporaryDirectory() as folder:
        start = statistics.median(time_command([BIN / "iapt", "--help"]) for _ in range(5))
        time_command([sys.executable, HERE / "stages.py", folder])
        shared = json.loads((Path(folder) / "shared.json").read_text())
        print(
            f"\nonce: start {start:.2f} s, checks of parameters {shared['checks']:.2f} s, imports "
            f"{shared['imports']:.2f} s"
        )
        print(f"{'run':20} {'kernel':>8} {'cells':>8} {'render':>8} {'write':>8}  seconds")
        total = [0.0] * 4
        for run in list_national():
            stages = json.loads((Path(folder) / f"{run.name}.json").read_text())
            row = [
                stages["executing"] - stages["cells"],
                stages["cells"],
                stages["rendering"],
                stages["writing"] - stages["rendering"],
            ]
            total = [sum(pair) for pair in zip(total, row)]
            print(f"{run.name:20} " + " ".join(f"{seconds:8.2f}" for seconds in row))
        print(f"{'all':20} " + " ".join(f"{seconds:8.2f}" for seconds in total))


def show_ratio(pairs: int) -> None:
    """All reports by `iapt report` and by papermill's command line with nbconvert, in turn."""
    chosen, ratios = list_national(), []
    print(f"\n{len(chosen)} runs      iapt report    papermill + nbconvert    ratio")
    for _ in range(pairs):
        with tempfile.TemporaryDirectory() as folder, measure_memory() as peak:
            ours = report([run.name for run in chosen], Path(folder) / "out")
            ours_peak, peak[0] = peak[0], 0.0
            unchanged = report([run.name for run in chosen], Path(folder) / "out")
            theirs = sum(run_by_hand(run, Path(folder), html=True) for run in chosen)
            ratios.append(ours / theirs)
            print(
                f"{'':10} {ours:9.1f} s {theirs:20.1f} s {ratios[-1]:13.3f}    peak {ours_peak:.0f} MB against "
                f"{peak[0]:.0f} MB; nothing changed {unchanged:.2f} s"
            )
    print(f"median ratio {statistics.median(ratios):.3f} of {pairs} pairs (goal 0.16)")


def time_copies(name: str, number: int) -> tuple[float, float]:
    """Seconds and peak memory of so many copies of a run."""
    with tempfile.TemporaryDirectory() as folder, measure_memory() as peak:
        return time_command([sys.executable, HERE / "copies.py", folder, name, number]), peak[0]


def show_copies() -> None:
    """Copies of one light run: time grows with their number, memory does not."""
    print("\ncopies of claims-2020")
    for number in (1, 10, 20, 40):
        seconds, peak = time_copies("claims-2020", number)
        print(f"{number:8} {seconds:8.1f} s {seconds / number:8.2f} s each    peak {peak:.0f} MB")


def show_areas(sample: int) -> None:
    """All areas, against papermill's command line on a sample of them, scaled up; and two and four times as many."""
    chosen = list_areas()
    with tempfile.TemporaryDirectory() as folder, measure_memory() as peak:
        ours = report(["--each", "area"], Path(folder) / "out")
        ours_peak = peak[0]
        step = max(1, len(chosen) // sample)
        taken = chosen[::step][:sample]
        each = statistics.mean(run_by_hand(run, Path(folder), html=False) for run in taken)
    theirs = each * len(chosen)
    print(
        f"\n{len(chosen)} areas: {ours:.1f} s, peak {ours_peak:.0f} MB; papermill's command line {each:.2f} s each "
        f"(mean of {len(taken)}), {theirs:.0f} s for all; ratio {ours / theirs:.3f} (goal 0.12)"
    )
    seconds = []
    for copies in (1, 2, 4):
        taken_by, memory = time_copies("areas", copies)
        seconds.append(taken_by)
        print(f"{copies * len(chosen):8} areas {taken_by:8.1f} s    peak {memory:.0f} MB")
    few, some, many = seconds
    each = (many - few) / 3
    print(
        f"start {few - each:.1f} s, then {each / len(chosen):.2f} s an area; "
        f"{2 * len(chosen)} areas lie {100 * (some / (few + each) - 1):+.1f}% off that line"
    )


if __name__ == "__main__":
    main()
