"""What adding publications costs: one full month against reading it with pyarrow.csv and filtering, and 60 months at once.

Run: python tests/bench/bench_add.py
"""

import csv
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import pyarrow.compute as pc
import pyarrow.csv

SAMPLE = Path(__file__).parents[1] / "samples" / "nhstalkingtherapies_month_aug_2025_activity_performance.csv"
DATA = Path(__file__).parents[2] / "data"
ROWS, ROUNDS = 250_000, 15


def make(path: Path, month: str = "2025-08", last: str = "31", rows: int = ROWS) -> Path:
    """A monthly file of full size: England and many organisations in the sample's form; one in twenty is a provider."""
    header, *sample = csv.reader(SAMPLE.open(encoding="utf-8"))
    for row in sample:
        row[0], row[1] = f"{month}-01", f"{month}-{last}"
    england, provider = ([row for row in sample if row[2] == group] for group in ("England", "Provider"))
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(england)
        for number in range((rows - len(england)) // len(provider)):
            group = "Provider" if number % 20 == 0 else "SubICB"
            writer.writerows([*row[:2], group, *row[3:5], f"{row[5]}{number}", *row[6:]] for row in provider)
    return path


def filter_england(path: Path):
    table = pyarrow.csv.read_csv(path)
    return table.filter(pc.equal(table["GROUP_TYPE"], "England"))


def time_both(big: Path, small: Path) -> None:
    from iapt.data import additions, publications

    def add(path: Path):
        return additions.plan([publications.read(path)])

    add(small)  # loads the tables of the data folder: start-up
    tasks = {"pyarrow": lambda: filter_england(big), "add": lambda: add(big), "add a tiny file": lambda: add(small)}
    times = {name: [] for name in tasks}
    for _ in range(ROUNDS):
        for name, task in tasks.items():
            began = time.perf_counter()
            task()
            times[name].append(time.perf_counter() - began)
    middle = {name: statistics.median(seconds) for name, seconds in times.items()}
    for name, seconds in middle.items():
        print(f"{name:<16} {seconds * 1000:6.1f} ms")
    print(
        f"ratio            {middle['add'] / middle['pyarrow']:6.2f}  (at most 1.5; without what a tiny file costs "
        f"too: {(middle['add'] - middle['add a tiny file']) / middle['pyarrow']:.2f})"
    )


def time_command(folder: Path, files: list[Path]) -> None:
    """The whole command, start-up and writing included, on a copy of the data."""
    copy = folder / "copy"
    shutil.copytree(DATA, copy)
    began = time.perf_counter()
    result = subprocess.run(
        [Path(sys.executable).with_name("iapt"), "add", "--accept", *map(str, files)],
        env=os.environ | {"IAPT_DATA": str(copy)},
        capture_output=True,
        check=False,
        text=True,
    )
    seconds = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    shutil.rmtree(copy)
    print(
        f"iapt add, {len(files):>2} files: {seconds:5.2f} s, at most {memory:.0f} MB so far, exit "
        f"{result.returncode} {result.stderr.strip()[-200:]}"
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        big, small = make(folder / "big.csv"), make(folder / "small.csv", rows=1000)
        print(f"{ROWS:,} rows, {big.stat().st_size / 1e6:.0f} MB; medians of {ROUNDS}")
        time_both(big, small)
        months = pd.period_range("2016-01", periods=60, freq="M")
        files = [make(folder / f"{month}.csv", f"{month}", f"{month.days_in_month}") for month in months]
        for count in (1, 15, 30, 60):
            time_command(folder, files[:count])


if __name__ == "__main__":
    main()
