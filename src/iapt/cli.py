"""The command `iapt`."""

import argparse
import sys
from pathlib import Path

from iapt import runs


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 where all went well, 1 where a run or check failed, 2 where it was asked for wrongly."""
    parser = argparse.ArgumentParser(prog="iapt", description="Access to NHS psychological therapies in England: figures, checks and reports.")
    commands = parser.add_subparsers(dest="command", required=True)
    report = commands.add_parser("report", help="make the reports that are out of date")
    report.add_argument("runs", nargs="*", metavar="RUN", help="names from notebooks/runs.toml; all where none is given")
    report.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter, for every run named")
    report.add_argument("--out", type=Path, default=runs.REPORTS, metavar="DIR", help="where the reports go (default: reports/)")
    report.add_argument("--force", action="store_true", help="also make reports that are up to date")
    report.add_argument("--kernel", action="store_true", help="use ordinary Jupyter kernels, one start-up a run")
    commands.add_parser("runs", help="list every run with its parameters and state")
    commands.add_parser("refresh", help="run the committed notebooks with their defaults and keep the outputs")
    commands.add_parser("check", help="check everything in data/")
    options = parser.parse_args(arguments)
    try:
        return {"report": _report, "runs": _list_runs, "refresh": _refresh, "check": _check}[options.command](options)
    except ValueError as error:
        print(f"iapt: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("iapt: stopped; the reports are as they were", file=sys.stderr)
        return 130


def _report(options: argparse.Namespace) -> int:
    from iapt import data, pages, reports

    data.load()
    chosen = runs.select(runs.load(), options.runs, options.set)
    for run in chosen:
        run.values()
    failed = []
    for number, result in enumerate(reports.make_all(chosen, options.out, kernel=options.kernel, force=options.force), start=1):
        print(f"[{number}/{len(chosen)}] {result.run.name:<24} {result.state:<10} {result.seconds:5.1f} s", flush=True)
        if result.state == "failed":
            failed.append(result.run.name)
            print("\n".join(f"    {line}" for line in result.message.splitlines()), file=sys.stderr)
    pages.write_index(runs.load() if options.out == runs.REPORTS else {run.name: run for run in chosen}, options.out)
    if failed:
        print(f"iapt: {len(failed)} of {len(chosen)} runs failed: {', '.join(failed)}; their last good reports stay", file=sys.stderr)
        return 1
    print(f"the reports are in {options.out}; open {options.out / 'index.html'}")
    return 0


def _list_runs(options: argparse.Namespace) -> int:
    from iapt import reports

    for run in runs.load().values():
        state = "up to date" if reports.is_current(run, runs.REPORTS / run.name) else "to be made"
        print(f"{run.name:<20} {run.notebook.stem:<16} {state:<12} {' '.join(f'{name}={value}' for name, value in run.values().items())}")
    return 0


def _refresh(options: argparse.Namespace) -> int:
    from iapt import reports

    for path in sorted(runs.NOTEBOOKS.glob("*.ipynb")):
        reports.refresh(path)
        print(f"{path.stem}: outputs renewed", flush=True)
    return 0


def _check(options: argparse.Namespace) -> int:
    from iapt import data

    problems = data.check()
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        tables = data.load()
        print(f"{len(tables['england'])} figures of {len(tables['measures'])} measures from {tables['england']['source'].nunique()} sources: no problem found")
    return 1 if problems else 0
