"""The command `iapt`."""

import argparse
import signal
import sys
from pathlib import Path

from iapt import runs
from iapt.places import NOTEBOOKS, REPORTS, RESULTS


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 where all went well, 1 where a run or check failed, 2 where it was asked for wrongly."""
    parser = argparse.ArgumentParser(prog="iapt", description="Access to NHS psychological therapies in England: figures, checks and reports.")
    commands = parser.add_subparsers(dest="command", required=True)
    report = commands.add_parser("report", help="make the reports that are out of date")
    report.add_argument("runs", nargs="*", metavar="RUN", help="names from notebooks/runs.toml; all where none is given")
    report.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter, for every run named; such reports go to results/")
    report.add_argument("--out", type=Path, metavar="DIR", help="where the reports go (default: reports/)")
    report.add_argument("--force", action="store_true", help="also make reports that are up to date")
    report.add_argument("--kernel", action="store_true", help="use ordinary Jupyter kernels, one start-up a run")
    report.add_argument("--limit", type=int, default=300, metavar="SECONDS", help="how long a run may take (default: 300)")
    report.set_defaults(do=_report)
    commands.add_parser("runs", help="list every run with its parameters and state").set_defaults(do=_list_runs)
    commands.add_parser("refresh", help="run the committed notebooks with their defaults and keep the outputs").set_defaults(do=_refresh)
    commands.add_parser("check", help="check everything in data/").set_defaults(do=_check)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return options.do(options)
    except ValueError as error:
        print(f"iapt: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("iapt: stopped; nothing was left half-written", file=sys.stderr)
        return 130


def _report(options: argparse.Namespace) -> int:
    from iapt import reports

    known = runs.load()
    chosen = runs.select(known, options.runs, options.set)
    out = options.out or (RESULTS if options.set else REPORTS)
    failed, changed, warned = [], False, []
    for number, result in enumerate(reports.make_all(chosen, out, kernel=options.kernel, force=options.force, limit=options.limit), start=1):
        print(f"[{number}/{len(chosen)}] {result.run.name:<24} {result.state:<10} {result.seconds:6.1f} s", flush=True)
        changed |= result.state != "unchanged"
        warned += [f"{result.run.name}: {line}" for text in result.warnings for line in text.strip().splitlines()]
        if result.state == "failed":
            failed.append(result.run.name)
            values = " ".join(f"{name}={value}" for name, value in result.run.parameters.items()) or "the defaults"
            print(f"    {result.run.name} with {values}", *result.message.splitlines(), f"to run it alone: iapt report {result.run.name}", sep="\n    ", file=sys.stderr)
    if changed or not (out / "index.html").exists():
        from iapt import pages

        pages.write_index(list(known.values()) if out == REPORTS else chosen, out)
    for line in warned:
        print(f"warning: {line}", file=sys.stderr)
    if failed:
        print(f"iapt: {len(failed)} of {len(chosen)} runs failed: {', '.join(failed)}; their last good reports stay", file=sys.stderr)
        return 1
    print(f"the reports are in {out}; open {out / 'index.html'}")
    return 0


def _list_runs(options: argparse.Namespace) -> int:
    from iapt import parameters, reports

    for run in (part for run in runs.load().values() for part in runs.spread(run)):
        defaults = {name: parameter.default for name, parameter in parameters.read(runs.read_notebook(run.notebook)).items()}
        values = " ".join(f"{name}={value}" for name, value in (defaults | run.parameters).items())
        print(f"{run.name:<20} {run.notebook.stem:<16} {reports.state_of(run, REPORTS / run.name):<20} {values}")
    return 0


def _refresh(options: argparse.Namespace) -> int:
    from iapt import reports

    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
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
