"""The command `iapt` itself: how it is found, helps, is mistyped, and ends where nobody foresaw it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
from publishing import AUGUST_2025, change

import iapt
from iapt import cli, data
from iapt.paths import ROOT
from iapt.running import child, runner


def call(*arguments: str, **options: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "iapt", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def test_the_command_alone_is_a_short_help(capsys):
    assert cli.main([]) == 0
    said = capsys.readouterr().out
    assert "iapt report areas/devon" in said and len(said.splitlines()) < 12


def test_python_m_and_the_version():
    assert call("--version").stdout == f"iapt {iapt.__version__}\n"


@pytest.mark.parametrize(("typed", "meant"), [("reports", "report"), ("fetsh", "fetch"), ("run", "runs")])
def test_a_command_that_is_mistyped(capsys, typed, meant):
    assert cli.main([typed]) == 2
    assert f"unknown command {typed!r}; did you mean {meant}? Known: report, runs" in capsys.readouterr().err


def test_what_nobody_foresaw_ends_in_one_line(capsys, monkeypatch):
    def fail() -> None:
        raise LookupError("no\nsuch thing")

    monkeypatch.setattr(data, "check", fail)
    assert cli.main(["check"]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    details = re.fullmatch(r"iapt: LookupError: no such thing; mend that and run it again; the details are in (\S+)", line)[1]
    assert "Traceback" in Path(details).read_text() and "in fail" in Path(details).read_text()
    Path(details).unlink()


def test_without_a_folder_for_the_details(capsys, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "somewhere")

    monkeypatch.setattr(data, "check", fail)
    monkeypatch.setattr(cli.tempfile, "mkstemp", fail)
    assert cli.main(["check"]) == 3
    expected = "iapt: OSError: No space left on device: somewhere; mend that and run it again; IAPT_DEBUG=1 shows the details\n"
    assert capsys.readouterr().err == expected


def test_a_very_long_value_is_not_repeated_in_full(capsys):
    assert cli.main(["report", "access", "--set", f"as_of={'9' * 5000}"]) == 2
    said = capsys.readouterr().err
    assert len(said) < 900 and said.endswith("expected a date such as 2020-05-01, or latest\n")


def test_an_output_that_takes_nothing_ends_in_one_line():
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "iapt", "runs"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 3 and done.stderr.count("\n") == 1 and "No space left on device" in done.stderr


def test_no_file_takes_the_number_of_an_output_that_was_closed(tmp_path):
    """A run would write what its cells print into that file."""
    code = "import os, sys; from iapt import cli; cli.main(['check']); sys.exit(os.open(sys.argv[1], os.O_CREAT) < 3)"
    close = lambda: [os.close(number) for number in range(3)]
    assert subprocess.run([sys.executable, "-c", code, tmp_path / "file"], preexec_fn=close).returncode == 0


def test_a_folder_that_is_gone_is_told(tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert cli.main(["check"]) == 2
    assert capsys.readouterr().err == "iapt: the folder in which you are is gone; change to another one\n"


def test_few_file_handles_are_told_before_a_kernel_starts(tmp_path):
    import resource

    few = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))}
    done = call("report", "access", "--out", str(tmp_path / "out"), **few)
    expected = "iapt: only 64 files may be open at once here; allow more first: ulimit -n 128\n"
    assert (done.returncode, done.stderr) == (2, expected) and not list((tmp_path / "out").iterdir())


def test_papermill_alone_ends_in_the_message(tmp_path):
    command = [sys.executable, "-m", "papermill", ROOT / "notebooks" / "01_access.ipynb", tmp_path / "out.ipynb"]
    done = subprocess.run([*command, "-p", "as_of", "2020-02-30"], capture_output=True, text=True, check=False)
    expected = "ParameterError: as_of is '2020-02-30'; expected a date such as 2020-05-01, or latest"
    assert done.returncode == 1 and done.stderr.rstrip().endswith(expected)


def test_areas_are_found_by_their_names(capsys):
    assert cli.main(["report", "areas/atlantis"]) == 2
    said = capsys.readouterr().err
    assert "unknown run 'areas/atlantis'" in said and "iapt runs" in said
    assert cli.main(["runs"]) == 0
    assert re.search(r"^areas/qjk Devon ", capsys.readouterr().out, re.MULTILINE)


# ---------------------------------------------------------------- which checkout


@pytest.fixture
def other(tmp_path) -> Path:
    """Another checkout, as far as the command looks."""
    (tmp_path / "notebooks").mkdir()
    shutil.copyfile(ROOT / "notebooks" / "runs.toml", tmp_path / "notebooks" / "runs.toml")
    return tmp_path


def test_in_another_checkout_it_says_whose_data_it_uses(other, monkeypatch, capsys):
    note = f"note: this iapt belongs to {ROOT}; it reads and writes {data.folder()}, not {other}\n"
    for folder, said in ((other / "notebooks", note), (ROOT / "notebooks", "")):
        monkeypatch.chdir(folder)
        assert cli.main(["runs"]) == 0 and capsys.readouterr().err == said


def test_a_copied_environment_is_refused(other):
    """Its commands start the Python of the environment that it was copied from."""
    script = other / ".venv" / "bin" / "iapt"
    script.parent.mkdir(parents=True)
    (other / ".venv" / "pyvenv.cfg").touch()
    script.write_text("import sys\nfrom iapt.cli import main\nsys.exit(main())\n")
    done = subprocess.run([sys.executable, script, "check"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"iapt: {other}/.venv is a copy of the environment {sys.prefix}")


# ---------------------------------------------------------------- a system without fork, as Windows is


@pytest.fixture(scope="module")
def windows(tmp_path_factory) -> dict[str, str]:
    """The environment of a stand-in for Windows, with a copy of the data."""
    folder = tmp_path_factory.mktemp("data") / "data"
    shutil.copytree(ROOT / "data", folder)
    stand_in = str(Path(__file__).parent / "stand_in")
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")} | {
        "PYTHONPATH": os.pathsep.join([stand_in, os.environ.get("PYTHONPATH", "")]),
        "IAPT_DATA": str(folder),
    }


def test_the_stand_in_lacks_what_it_should(windows):
    code = (
        "import os, signal; from iapt.running import child; "
        "print(child.METHOD, hasattr(os, 'fork'), hasattr(signal, 'SIGHUP'), child.STOPPING)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=windows, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("spawn False False (<Signals.SIGINT")


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> dict[str, str]:
    """The digests of a folder of reports as this system makes them."""
    out = tmp_path_factory.mktemp("here") / "out"
    assert cli.main(["report", "claims-2020", "--out", str(out)]) == 0
    return tiny.digest(out)


def test_reports_are_the_same_there(windows, here, tmp_path):
    there = call("report", "claims-2020", "--out", str(tmp_path / "there"), env=windows)
    assert there.returncode == 0, there.stderr
    assert tiny.digest(tmp_path / "there") == here and "claims-2020/index.html" in here
    again = call("report", "claims-2020", "--out", str(tmp_path / "there"), env=windows)
    assert "1 unchanged" in again.stdout and not list((tmp_path / "there").glob(".iapt-staging*"))


def test_reports_are_the_same_from_a_server_that_forks(here, tmp_path, monkeypatch):
    """As on macOS, where the process that has loaded libraries may not fork."""
    for module in (child, runner):
        monkeypatch.setattr(module, "METHOD", "forkserver")
    assert cli.main(["report", "claims-2020", "--out", str(tmp_path / "there")]) == 0
    assert tiny.digest(tmp_path / "there") == here


def test_a_failing_run_ends_there_with_its_children(windows, tmp_path):
    done = call("report", "groups", "--limit", "1", "--out", str(tmp_path), env=windows)
    assert done.returncode == 1 and "took longer than 1 seconds" in done.stderr
    assert not list(tmp_path.glob(".iapt-staging*"))


def test_data_are_added_and_checked_there(windows):
    file = Path(windows["IAPT_DATA"]).parent / AUGUST_2025.name
    file.write_bytes(change(month="2025-10"))
    done = call("add", str(file), "--accept", "--published", "2026-02-11", env=windows)
    assert done.returncode == 0 and "written: " in done.stdout, done.stderr
    assert call("check", env=windows).returncode == 0
