"""The command `iapt`."""

import argparse
import shlex
import signal
import sys
import time
from collections import Counter
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from iapt.paths import NOTEBOOKS, REPORTS, RESULTS
from iapt import runs

if TYPE_CHECKING:
    from iapt.running.jobs import Result


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 where all went well, 1 where a run or check failed, 2 where it was asked for wrongly."""
    parser = argparse.ArgumentParser(
        prog="iapt", description="Access to NHS psychological therapies in England: figures, checks and reports."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    report = commands.add_parser("report", help="make the reports that are out of date")
    report.add_argument(
        "runs", nargs="*", metavar="RUN", help="names from notebooks/runs.toml; all where none is given"
    )
    report.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter, for every run named; such reports go to results/",
    )
    report.add_argument("--each", default="", metavar="NAME", help="one report for each value of this parameter: area")
    report.add_argument(
        "--out",
        metavar="DIR",
        help="where the reports go (default: reports/): a folder, or an address such as s3://bucket/reports",
    )
    report.add_argument("--force", action="store_true", help="also make reports that are up to date")
    report.add_argument("--kernel", action="store_true", help="use ordinary Jupyter kernels, one start-up a run")
    report.add_argument(
        "--scheduler", default="", metavar="ADDRESS", help="run the notebooks on the dask cluster at tcp://host:port"
    )
    report.add_argument(
        "--limit", type=_read_seconds, default=300, metavar="SECONDS", help="how long a run may take (default: 300)"
    )
    report.add_argument("--pdf", action="store_true", help="afterwards print them as one document, reports.pdf")
    report.set_defaults(do=_report)
    commands.add_parser("runs", help="list every run with its parameters and state").set_defaults(do=_list_runs)
    commands.add_parser(
        "refresh", help="run the committed notebooks with their defaults and keep the outputs"
    ).set_defaults(do=_refresh)
    add = commands.add_parser("add", help="add the figures of NHS publications to data/")
    add.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="a monthly CSV, the main CSV of an annual report, a workbook or zip with one of them",
    )
    add.add_argument(
        "--published", type=_read_day, metavar="DATE", help="the day on which they came out, such as 2026-01-15"
    )
    add.set_defaults(do=_add)
    fetch = commands.add_parser("fetch", help="download publications listed in data/publications.csv, and add them")
    fetch.add_argument(
        "periods",
        nargs="*",
        metavar="PERIOD",
        help="months (2025-10) or years (2024-25); those not in the data where none is given",
    )
    fetch.set_defaults(do=_fetch, published=None)
    for command in (add, fetch):
        command.add_argument("--dry-run", action="store_true", help="show what would change, and stop there")
        command.add_argument("--accept", action="store_true", help="take figures although they are doubtful")
    commands.add_parser("check", help="check everything in data/ and show what is there").set_defaults(do=_check)
    options = parser.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    try:
        return options.do(options)
    except ValueError as error:
        print(f"iapt: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        print("iapt: stopped; nothing was left half-written", file=sys.stderr)
        return 130


def _report(options: argparse.Namespace) -> int:
    from iapt.running import remote, runner

    began, known = time.monotonic(), runs.load()
    chosen = runs.select(known, options.runs, options.set, options.each)
    place = options.out or str(REPORTS if all(run.asked == (run.name,) for run in chosen) else RESULTS)
    out, results = remote.choose_local(place), []
    with closing(
        runner.make_all(
            chosen, out, kernel=options.kernel, force=options.force, limit=options.limit, scheduler=options.scheduler
        )
    ) as ended:
        for result in ended:
            results.append(result)
            failed = result.state == "failed"
            print(
                f"[{len(results)}/{len(chosen)}] {result.run.name:<24} {result.state:<10} {result.seconds:6.1f} s  {'' if failed else result.message}".rstrip(),
                flush=True,
            )
            if failed:
                print(_describe_failure(result, options), file=sys.stderr, flush=True)
    if any(result.state != "unchanged" for result in results) or not (out / "index.html").exists():
        _write_site(known, chosen, out)
    for line in (f"warning: {result.run.name}: {line}" for result in results for line in result.warnings):
        print(line, file=sys.stderr)
    counts = Counter(result.state for result in results)
    print(
        f"{len(results)} runs in {time.monotonic() - began:.1f} s: "
        f"{', '.join(f'{number} {state}' for state, number in counts.items())}"
    )
    if remote.is_remote(place):
        print(f"{remote.send(out, place, [run.name for run in chosen])} reports copied to {place}")
    if counts["failed"]:
        print(
            f"iapt: failed: {', '.join(result.run.name for result in results if result.state == 'failed')}; their "
            "last good reports stay",
            file=sys.stderr,
        )
        return 1
    print(f"the reports are in {place}; open {out / 'index.html'}")
    if options.pdf:
        from iapt.site import booklet

        print(f"to print: {booklet.write_booklet(out)}")
    return 0


def _describe_failure(result: "Result", options: argparse.Namespace) -> str:
    values = " ".join(f"{name}={value}" for name, value in result.run.parameters.items()) or "the defaults"
    alone = [
        "iapt",
        "report",
        *result.run.asked,
        *(["--out", options.out] if options.out else []),
        *(["--kernel"] if options.kernel else []),
    ]
    lines = [f"{result.run.name} with {values}", *result.message.splitlines(), f"to run it alone: {shlex.join(alone)}"]
    return "\n".join(f"    {line}" for line in lines)


def _write_site(known: dict[str, runs.Run], chosen: list[runs.Run], out: Path) -> None:
    from iapt.running import failures, folders, reports
    from iapt.site import indexes

    listed = {run.name: run for run in [*runs.list_all(known), *chosen]}
    try:
        with folders.own(out):
            indexes.write_site([(run, reports.state_of(run, out / run.name)) for run in listed.values()], out)
    except OSError as error:
        raise runs.RunError(f"the pages around the reports: {failures.describe_trouble(error, out)}") from None


def _list_runs(options: argparse.Namespace) -> int:
    from iapt import parameters
    from iapt.running import reports

    for run in runs.list_all(runs.load()):
        defaults = {
            name: parameter.default for name, parameter in parameters.read(runs.read_notebook(run.notebook)).items()
        }
        values = " ".join(f"{name}={value}" for name, value in (defaults | run.parameters).items())
        print(f"{run.name:<20} {run.notebook.stem:<16} {reports.state_of(run, REPORTS / run.name):<20} {values}")
    return 0


def _refresh(options: argparse.Namespace) -> int:
    from iapt.running import execution

    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        execution.refresh(path)
        print(f"{path.stem}: outputs renewed", flush=True)
    return 0


def _read_seconds(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return int(text)


def _read_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date such as 2026-01-15") from None


def _add(options: argparse.Namespace) -> int:
    from iapt import data
    from iapt.data import publications, writing

    with writing.locked(data.folder()):
        return _take([publications.read(file) for file in options.files], {}, options)


def _fetch(options: argparse.Namespace) -> int:
    from iapt import data
    from iapt.data import downloads, writing

    with writing.locked(data.folder()):
        found = dict(downloads.fetch(downloads.choose(options.periods)))
        return _take(
            list(found.values()), {address: publication.sha256 for address, publication in found.items()}, options
        )


def _take(publications: list, digests: dict[str, str], options: argparse.Namespace) -> int:
    from iapt.data import additions

    planned = additions.plan(publications, options.published)
    for addition in planned:
        print(additions.describe(addition))
    if options.dry_run:
        print("nothing was written (--dry-run)")
        return 0
    if any(addition.doubts for addition in planned) and not options.accept:
        print(
            "iapt: nothing was written; where the figures marked doubt are right, say so with --accept", file=sys.stderr
        )
        return 1
    changed = additions.write(planned, digests)
    print(
        f"written: {', '.join(changed)}; now make the reports: iapt report"
        if changed
        else "all of it is in the data already; nothing was written"
    )
    return 0


def _check(options: argparse.Namespace) -> int:
    from iapt import data
    from iapt.data import overview
    from iapt.running import reports

    problems = data.check()
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        states = {run.name: reports.state_of(run, REPORTS / run.name) for run in runs.list_all(runs.load())}
        print(overview.write([f"{name}: {state}" for name, state in states.items() if state != "up to date"]))
    return 1 if problems else 0
