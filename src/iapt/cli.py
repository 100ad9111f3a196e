"""The command `iapt`."""

import argparse
import os
import shlex
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sized
from contextlib import closing, suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import iapt
from iapt import parameters, runs
from iapt.paths import NOTEBOOKS, REPORTS, RESULTS, ROOT, data_folder

if TYPE_CHECKING:
    from iapt.running.runner import Result

HELP = """Access to NHS psychological therapies in England: figures, checks and reports.

  iapt report            make the reports that are out of date
  iapt report areas      a page for every area; iapt report areas/devon for one
  iapt runs              every report with its parameters and state
  iapt add FILE          add a publication of NHS England to the data
  iapt check             check the data and show what is there

All commands: iapt --help. The options of one: iapt report --help"""
SCHEDULER_HELP = (
    "run the notebooks on the dask cluster at tcp://host:port, or at tls://host:port with the certificates of dask's "
    "configuration; its workers can run any code on this machine, so name only a cluster that you trust"
)


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    0 where all went well, 1 where a run or check failed, 2 where it was asked for wrongly, 3 where an error was not
    foreseen, 130 where it was stopped.
    """
    given = sys.argv[1:] if arguments is None else arguments
    parser, commands = _make_parser()
    if not given:
        print(HELP)
        return 0
    if not given[0].startswith("-") and given[0] not in commands:
        print(f"iapt: unknown command {given[0]!r}; {parameters.suggest(given[0], commands)}", file=sys.stderr)
        return 2
    options = parser.parse_args(given)
    for number in (getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP", "SIGBREAK")):
        if number and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    try:
        _open_standard_streams()
        _name_checkout()
        return options.do(options)
    except ValueError as error:
        _say(f"iapt: {_shorten(str(error))}", error=True)
        return 2
    except KeyboardInterrupt:
        print("iapt: stopped; nothing was left half-written", file=sys.stderr)
        return 130
    except Exception as error:  # the last resort: what no other part has foreseen
        print(f"iapt: {_describe_surprise(error)}", file=sys.stderr)
        return 3


def _make_parser() -> tuple[argparse.ArgumentParser, list[str]]:
    parser = argparse.ArgumentParser(prog="iapt", description=HELP.splitlines()[0])
    parser.add_argument("--version", action="version", version=f"iapt {iapt.__version__}")
    commands = parser.add_subparsers(dest="command", required=True)

    def add_command(do: Callable[[argparse.Namespace], int], name: str, text: str) -> Callable:
        command = commands.add_parser(name, help=text)
        command.set_defaults(do=do)
        return command.add_argument

    option = add_command(_report, "report", "make the reports that are out of date")
    option("runs", nargs="*", metavar="RUN", help="names from notebooks/runs.toml; default: all")
    option("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter; the report goes to results/")
    option("--each", default="", metavar="NAME", help="one report for each value of this parameter: area")
    option("--out", metavar="DIR", help="a folder, or an address such as s3://bucket/reports; default: reports/")
    option("--force", action="store_true", help="also make reports that are up to date")
    option("--kernel", action="store_true", help="use ordinary Jupyter kernels, which start more slowly")
    option("--scheduler", default="", metavar="ADDRESS", help=SCHEDULER_HELP)
    option("--limit", type=_read_seconds, default=300, metavar="SECONDS", help="limit for one run; default: 300")
    option("--pdf", action="store_true", help="then print them as one document, reports.pdf")
    add_command(_list_runs, "runs", "list every run with its parameters and state")
    add_command(_refresh, "refresh", "run the committed notebooks with their defaults and keep the outputs")
    option = add_command(_add, "add", "add the figures of NHS publications to data/")
    option("files", nargs="+", type=Path, metavar="FILE", help="a monthly CSV, an annual main CSV, a workbook or a zip")
    option("--published", type=_read_day, metavar="DATE", help="the day of publication, such as 2026-01-15")
    _add_writing(option)
    option = add_command(_fetch, "fetch", "download publications listed in data/publications.csv, and add them")
    option("periods", nargs="*", metavar="PERIOD", help="2025-10 or 2024-25; default: those not in the data")
    _add_writing(option)
    add_command(_check, "check", "check everything in data/ and show what is there")
    return parser, list(commands.choices)


def _add_writing(option: Callable) -> None:
    option("--dry-run", action="store_true", help="show what would change, and write nothing")
    option("--accept", action="store_true", help="add figures even where a check finds them doubtful")


def _open_standard_streams() -> None:
    """Give the streams that were closed before the command began to nobody: a file would take their numbers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def _name_checkout() -> None:
    """Say whose data a command uses that is run from another checkout. Raises ValueError in a copied environment."""
    try:
        here = Path.cwd()
    except OSError:
        raise ValueError("the folder in which you are is gone; change to another one") from None
    script = here.joinpath(sys.argv[0]).parent.parent
    if (script / "pyvenv.cfg").exists() and script.resolve() != Path(sys.prefix).resolve():
        raise ValueError(
            f"{script} is a copy of the environment {sys.prefix}, and uses the data there; make it anew: make setup"
        )
    for folder in (here, *here.parents):
        if (folder / "notebooks" / "runs.toml").exists() and not folder.samefile(ROOT):
            print(
                f"note: this iapt belongs to {ROOT}; it reads and writes {data_folder()}, not {folder}", file=sys.stderr
            )
            return


def _describe_surprise(error: Exception) -> str:
    """One line: what happened, what to do, where the details are."""
    where = "IAPT_DEBUG=1 shows the details"
    with suppress(OSError):
        handle, name = tempfile.mkstemp(prefix="iapt-", suffix=".txt", text=True)
        with open(handle, "w", encoding="utf-8") as file:
            traceback.print_exception(error, file=file)
        where = f"the details are in {name}"
    if os.environ.get("IAPT_DEBUG"):
        traceback.print_exception(error)
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.strerror}{f': {error.filename}' if error.filename else ''}"
    return f"{type(error).__name__}: {' '.join(text.split())[:300]}; mend that and run it again; {where}"


def _shorten(text: str) -> str:
    """A message whose middle is left out where a value in it is very long."""
    return text if len(text) < 2_000 else f"{text[:400]} ... {text[-400:]}"


def _say(line: str, *, error: bool = False) -> None:
    """Print a line at once; where nobody reads any longer, go on without."""
    stream = sys.stderr if error else sys.stdout
    try:
        print(line, file=stream, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _report(options: argparse.Namespace) -> int:
    from iapt.running import folders, remote, runner

    began, known = time.monotonic(), runs.load()
    chosen = runs.select(known, options.runs, options.set, options.each)
    place = options.out or str(REPORTS if all(run.asked == (run.name,) for run in chosen) else RESULTS)
    remote.check(place)
    out, results = remote.choose_local(place), []
    if options.pdf:
        folders.refuse_pages(out, ["reports.pdf"])
    with closing(
        runner.make_all(
            chosen, out, kernel=options.kernel, force=options.force, limit=options.limit, scheduler=options.scheduler
        )
    ) as ended:
        for result in ended:
            results.append(result)
            _tell(result, f"[{len(results)}/{len(chosen)}]", options)
    _tell_unchanged([result.run for result in results if result.state == "unchanged"])
    warnings = [f"{result.run.name}: {line}" for result in results for line in result.warnings]
    for line in [*warnings, *runner.write_site(known, chosen, out)]:
        _say(f"warning: {line}", error=True)
    counts = Counter(result.state for result in results)
    _say(
        f"{_count(results, 'run')} in {time.monotonic() - began:.1f} s: "
        f"{', '.join(f'{number} {state}' for state, number in counts.items())}"
    )
    if remote.is_remote(place):
        _say(f"{_count(remote.send(out, place, [run.name for run in chosen]), 'report')} copied to {place}")
    if counts["failed"]:
        failed = ", ".join(result.run.name for result in results if result.state == "failed")
        _say(f"iapt: failed: {failed}; the last good report of each is kept", error=True)
        return 1
    _say(f"the reports are in {place}; open {out / 'index.html'}")
    if options.pdf:
        from iapt.running import booklet

        folders.write_pages(out, {"reports.pdf": booklet.print_booklet(out)}, folders.read_record(out)["of"])
        runner.write_site(known, chosen, out)  # its downloads now name the document
        _say(f"to print: {out / 'reports.pdf'}")
    return 0


def _tell(result: "Result", number: str, options: argparse.Namespace) -> None:
    """One line for a run that was made or failed, and the reason for a failure below it."""
    if result.state == "unchanged":
        return
    failed = result.state == "failed"
    _say(
        f"{number} {_label(result.run):<32} {result.state:<10} {result.seconds:6.1f} s  "
        f"{'' if failed else result.message}".rstrip()
    )
    if failed:
        values = " ".join(f"{name}={value}" for name, value in result.run.parameters.items()) or "the defaults"
        again = ["iapt", "report", *result.run.asked, *(["--out", options.out] if options.out else [])]
        alone = shlex.join([*again, *(["--kernel"] if options.kernel else [])])
        lines = [f"{result.run.name} with {values}", *result.message.splitlines(), f"to run it alone: {alone}"]
        _say("\n".join(f"    {line}" for line in lines), error=True)


def _tell_unchanged(unchanged: list[runs.Run]) -> None:
    """One line for each run, or for all that one run was spread into."""
    for base, number in Counter(run.name.partition("/")[0] for run in unchanged).items():
        reports = f" ({number} reports)" if number > 1 else ""
        _say(f"{base}{reports}: unchanged, nothing it is made from has changed")


def _count(things: Sized, name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"


def _label(run: runs.Run) -> str:
    return f"{run.name} {run.title}" if "/" in run.name else run.name


def _list_runs(options: argparse.Namespace) -> int:
    from iapt.running import reports

    for run in runs.list_all(runs.load()):
        defaults = {
            name: parameter.default for name, parameter in parameters.read(runs.read_notebook(run.notebook)).items()
        }
        values = " ".join(f"{name}={value}" for name, value in (defaults | run.parameters).items())
        _say(f"{_label(run):<32} {run.notebook.stem:<16} {reports.state_of(run, REPORTS / run.name):<20} {values}")
    return 0


def _refresh(options: argparse.Namespace) -> int:
    from iapt.running import execution

    for path in sorted(NOTEBOOKS.glob("[!.]*.ipynb")):
        execution.refresh(path)
        _say(f"{path.stem}: outputs renewed")
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
        return _take([publications.read(file) for file in options.files], {}, options.published, options)


def _fetch(options: argparse.Namespace) -> int:
    from iapt import data
    from iapt.data import downloads, writing

    found = dict(downloads.fetch(downloads.choose(options.periods)))  # a slow server holds up nobody else
    digests = {address: publication.sha256 for address, publication in found.items()}
    with writing.locked(data.folder()):
        return _take(list(found.values()), digests, None, options)


def _take(publications: list, digests: dict[str, str], published: date | None, options: argparse.Namespace) -> int:
    from iapt.data import additions, recording

    planned = additions.plan(publications, published)
    for addition in planned:
        _say(additions.describe(addition))
    if options.dry_run:
        _say("nothing was written (--dry-run)")
        return 0
    if any(addition.doubts for addition in planned) and not options.accept:
        _say("iapt: nothing was written; if the figures marked doubt are right, add --accept", error=True)
        return 1
    changed = recording.write(planned, digests)
    done = f"written: {', '.join(changed)}; now make the reports: iapt report"
    _say(done if changed else "all of it is in the data already; nothing was written")
    return 0


def _check(options: argparse.Namespace) -> int:
    from iapt import data
    from iapt.data import overview
    from iapt.running import reports

    problems = data.check()
    for problem in problems:
        _say(problem, error=True)
    if not problems:
        states = {run.name: reports.state_of(run, REPORTS / run.name) for run in runs.list_all(runs.load())}
        _say(overview.write([f"{name}: {state}" for name, state in states.items() if state != "up to date"]))
    return 1 if problems else 0
