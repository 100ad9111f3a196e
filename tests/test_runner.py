"""Many runs: whole or not at all, whatever is killed, full, locked or broken."""

import hashlib
import json
import os
import random
import signal
import subprocess
import time
import zlib
from contextlib import suppress
from pathlib import Path
from unittest.mock import MagicMock

import psutil
import pytest
import tiny

from iapt import parameters, runs
from iapt.running import child, failures, folders, reports, runner


def find_leftovers(out: Path) -> list[str]:
    return [path.name for path in out.glob(".*")] + [f"process {process.pid}" for process in find_family(out)]


def find_family(out: Path) -> list[psutil.Process]:
    """Processes that work in a folder of reports: runs, kernels and what these started, by their temporary folder or an open file."""
    found = []
    for process in psutil.process_iter():
        try:
            if (
                process.pid != os.getpid()
                and process.status() != psutil.STATUS_ZOMBIE
                and (
                    str(out) in " ".join(process.environ().values())
                    or any(str(out) in target for target in list_handles(process))
                )
            ):
                found.append(process)
        except (psutil.Error, OSError):
            pass
    return found


def find_sleeping(runner: int) -> list[psutil.Process]:
    """What the cells of a runner's notebooks started, whatever its session."""
    found = []
    for process in psutil.Process(runner).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            found += [process] if process.name() == "sleep" else []
    return found


def list_handles(process: psutil.Process) -> list[str]:
    folder = Path(f"/proc/{process.pid}/fd")
    handles = []
    for handle in folder.iterdir() if folder.exists() else []:
        try:
            handles.append(os.readlink(handle))
        except OSError:
            pass
    return handles


# ---------------------------------------------------------------- killed, stopped


@pytest.fixture
def two(tmp_path) -> list[runs.Run]:
    return [
        tiny.make_run(tmp_path, "one", "import time\ntime.sleep(0.1)", "1"),
        tiny.make_run(tmp_path, "two", "2", number=2),
    ]


ROUNDS = int(os.environ.get("ROUNDS", 3))
"""How often a race is run: `make races` does 50."""


@pytest.mark.parametrize("victim", ["parent", "child"])
def test_kill_at_random_moments_leaves_reports_whole(tmp_path, two, victim):
    """What is in place is the old report or the new one, byte for byte."""
    out = tmp_path / "out"
    tiny.start(two, out).join()
    assert {result.state for result in tiny.read_results(out)} == {"made"}
    old = tiny.digest(out)
    moments, killed = random.Random(4), 0
    for trial in range(ROUNDS):
        process = tiny.start(two if victim == "parent" else two[:1], out, force=True)
        if victim == "child":
            below = psutil.Process(process.pid).children
            found = tiny.wait_until(lambda: below() or (None if process.is_alive() else ["it has come and gone"]))
            time.sleep(moments.uniform(0, 0.7))
            if process.is_alive():
                with suppress(psutil.NoSuchProcess):
                    found[0].kill()
            process.join(30)
            (result,) = tiny.read_results(out)
            assert result.state == "made" or "killed by signal 9" in result.message
            killed += result.state == "failed"
            (out / "one.failed.ipynb").unlink(missing_ok=True)
        else:
            time.sleep(moments.uniform(0, 1.0))
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            process.join()
        now = {name: value for name, value in tiny.digest(out).items() if not name.startswith(".iapt")}
        assert now == old, (victim, trial)
    assert killed or victim == "parent"
    tiny.start(two, out, force=True).join()
    assert tiny.digest(out) == old
    tiny.wait_until(lambda: not find_leftovers(out))


@pytest.mark.parametrize(
    ("number", "kernel"),
    [(signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGHUP, False), (signal.SIGTERM, True)],
)
def test_stopping_ends_everything(tmp_path, number, kernel):
    """What a cell started in a session of its own ends as well."""
    out = tmp_path / "out"
    cell = (
        "import subprocess\nsubprocess.Popen(['sleep', '987'], start_new_session=True)\nsubprocess.Popen(['sleep', "
        "'987'])\nprint('started')"
    )
    run = tiny.make_run(tmp_path, "long", cell, "import time\ntime.sleep(60)")
    process = tiny.start(
        [run, *(tiny.make_run(tmp_path, f"other{i}", "import time; time.sleep(60)") for i in range(2))],
        out,
        kernel=kernel,
    )
    sleeping = tiny.wait_until(lambda: len(found := find_sleeping(process.pid)) == 2 and found, 40)
    os.kill(process.pid, number)
    process.join(10)
    assert process.exitcode == 130
    assert not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in sleeping)
    assert find_leftovers(out) == []
    assert list(out.iterdir()) == []


def test_killed_runner_leaves_no_process(tmp_path):
    out = tmp_path / "out"
    run = tiny.make_run(
        tmp_path,
        "long",
        "import subprocess\nsubprocess.Popen(['sleep', '987'], start_new_session=True)",
        "import time\ntime.sleep(60)",
    )
    process = tiny.start([run], out)
    tiny.wait_until(lambda: find_sleeping(process.pid), 20)
    os.kill(process.pid, signal.SIGKILL)
    tiny.wait_until(lambda: not find_family(out))


# ---------------------------------------------------------------- two at once


def test_second_runner_says_whom_it_waits_for(tmp_path):
    out = tmp_path / "out"
    run = tiny.make_run(tmp_path, "slow", "import time\ntime.sleep(1.5)")
    first = tiny.start([run], out)
    tiny.wait_until(lambda: list(out.glob(".iapt-staging-*")))
    second = tiny.start([run], out)
    second.join(30)
    first.join(30)
    said = out.with_suffix(".err").read_text()
    assert f"(process {first.pid})" in said and "waiting" in said
    assert [result.state for result in tiny.read_results(out)] == ["unchanged"]


def test_lock_of_a_killed_runner_is_free(tmp_path, capsys):
    """At once, even while a process that the killed one started is still there."""
    out = tmp_path / "out"
    run = tiny.make_run(tmp_path, "slow", "import time\ntime.sleep(60)")
    process = tiny.start([run], out)
    tiny.wait_until(lambda: psutil.Process(process.pid).children())
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with folders.own(out):
        assert "waiting" not in capsys.readouterr().err
        assert list(out.glob(".iapt-staging-*")) == []


# ---------------------------------------------------------------- disk and folders


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB, where one can be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root; the stand-in is tested")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


BIG = 'import base64, os\nfrom IPython.display import display\ndisplay({"application/json": base64.b64encode(os.urandom(2_000_000)).decode()}, raw=True)'


def test_full_disk_keeps_the_last_report(small_disk, tmp_path):
    run = tiny.make_run(tmp_path, "one", "1")
    assert [result.state for result in runner.make_all([run], small_disk)] == ["made"]
    old = tiny.digest(small_disk)
    tiny.write_notebook(run.notebook, BIG)
    (result,) = runner.make_all([run], small_disk)
    assert result.state == "failed" and "disk is full" in result.message and "nothing was replaced" in result.message
    assert {name: value for name, value in tiny.digest(small_disk).items() if "failed" not in name} == old
    assert list(small_disk.glob(".*")) == []
    assert "older than the code" == reports.state_of(run, small_disk / "one")


def test_full_disk_stand_in(tmp_path, monkeypatch):
    """Files may not grow beyond 100 kB, as with a quota."""
    import resource

    run = tiny.make_run(tmp_path, "one", BIG)
    make = reports.make

    def make_with_limit(*arguments, **options):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        return make(*arguments, **options)

    monkeypatch.setattr(reports, "make", make_with_limit)
    (result,) = runner.make_all([run], tmp_path / "out")
    assert result.state == "failed" and "disk is full" in result.message
    assert not (tmp_path / "out" / "one").exists()


def test_folder_that_cannot_be_written(tmp_path):
    run = tiny.make_run(tmp_path, "one", "1")
    with pytest.raises(runs.RunError, match="file, not a folder"):
        list(runner.make_all([run], run.notebook))
    with pytest.raises(runs.RunError, match="choose another folder with --out"):
        list(runner.make_all([run], run.notebook / "out"))


def test_read_only_folder(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    run = tiny.make_run(tmp_path, "one", "1")
    if os.geteuid() == 0:
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", out], capture_output=True).returncode:
            pytest.skip("root writes everywhere, and nothing can be mounted")
    else:
        out.chmod(0o555)
    try:
        with pytest.raises(runs.RunError, match="cannot be written; choose another folder with --out"):
            list(runner.make_all([run], out))
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", "--lazy", out], check=True)


def write_state(**files: str) -> str:
    """The run.json of a report with text files of these contents."""
    digests = {f"{name}.txt": hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}
    return json.dumps({"run": {}, "fingerprint": {}, "prose": "", "links": [], "files": digests})


@pytest.mark.parametrize("swaps", [True, False], ids=["swap", "no swap"])
def test_put_in_place(tmp_path, monkeypatch, swaps):
    if not swaps:
        monkeypatch.setattr(folders, "_exchange", lambda one, other: False)
    for text in ("first", "second"):
        staging = folders.make_staging(tmp_path)
        (staging / "report" / "run.json").write_text(write_state(**{text: text}))
        (staging / "report" / f"{text}.txt").write_text(text)
        folders.put_in_place(staging, "areas/x")
        assert tiny.digest(tmp_path).keys() == {"areas/x/run.json", f"areas/x/{text}.txt"}
    assert list(tmp_path.glob(".*")) == []


def test_report_moved_aside_comes_back(tmp_path, monkeypatch):
    """Where folders cannot be swapped, a runner may be killed between two moves."""
    monkeypatch.setattr(folders, "_exchange", lambda one, other: False)
    final = tmp_path / "areas" / "x"
    final.mkdir(parents=True)
    (final / "run.json").write_text(write_state())
    staging = folders.make_staging(tmp_path)
    rename = os.rename

    def rename_once(source, target):
        if Path(source) == staging / "report":
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(os, "rename", rename_once)
    with pytest.raises(KeyboardInterrupt):
        folders.put_in_place(staging, "areas/x")
    monkeypatch.setattr(os, "rename", rename)
    assert not final.exists()
    with folders.own(tmp_path):
        assert (final / "run.json").read_text() == write_state()


# ---------------------------------------------------------------- work of a person


OWN = {
    "a page": ("one/index.html", "my page"),
    "a page that names us": ("one/index.html", "an iapt report, mended by hand"),
    "a repository": ("one/.git/config", "years of work"),
    "a picture among figures": ("one/figures/mine.png", "a picture"),
    "a file in the place of the folder": ("one", "years of work"),
    "a front page": ("index.html", "my site: iapt report"),
    "a README that names us": ("README.md", "# My iapt report"),
    "a record of something else": ("site.json", '{"pages": ["mine"]}'),
    "a method page": ("method/index.html", "my methods"),
}


@pytest.mark.parametrize("made", [False, True], ids=["new", "made before"])
@pytest.mark.parametrize("what", OWN)
def test_what_iapt_has_not_written_is_refused(tmp_path, what, made):
    out, (name, text) = tmp_path / "out", OWN[what]
    run = tiny.make_run(tmp_path, "one", "1")
    if made and name in ("one", "one/index.html"):
        pytest.skip("the report itself is there")
    if made:
        list(runner.make_all([run], out))
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).write_text(text)
    with pytest.raises(runs.RunError, match="choose another place with --out"):
        list(runner.make_all([run], out, force=True))
    assert (out / name).read_text() == text


@pytest.mark.parametrize("name", ["one/run.json", "site.json", "index.html", "one/notebook.ipynb"])
def test_a_pipe_is_not_waited_for(tmp_path, name):
    out, run = tmp_path / "out", tiny.make_run(tmp_path, "one", "1")
    (out / name).parent.mkdir(parents=True)
    os.mkfifo(out / name)
    with suppress(runs.RunError):
        list(runner.make_all([run], out))
        runner.write_site({"one": run}, [run], out)
    assert (out / name).is_fifo()


def test_hidden_files_of_a_person_stay(tmp_path):
    """Whatever their names: those of ours begin with `.iapt`."""
    out, run = tmp_path / "out", tiny.make_run(tmp_path, "one", "1")
    for name in (".lock", ".staging-area/thesis.tex"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("years of work")
    assert [result.state for result in runner.make_all([run], out)] == ["made"]
    assert {path.name for path in out.iterdir()} == {"one", ".lock", ".staging-area"}
    assert (out / ".lock").read_text() == (out / ".staging-area" / "thesis.tex").read_text() == "years of work"


def test_a_file_that_comes_while_the_run_is_under_way_stays(tmp_path):
    out = tmp_path / "out"
    cell = f"import pathlib\npathlib.Path({str(out / 'one')!r}, 'mine.txt').write_text('mine')"
    run = tiny.make_run(tmp_path, "one", "1")
    list(runner.make_all([run], out))
    tiny.write_notebook(run.notebook, cell)
    (result,) = runner.make_all([run], out)
    assert result.state == "failed" and "holds mine.txt, which is not part of a report" in result.message
    assert (out / "one" / "mine.txt").read_text() == "mine"


def test_edited_files_of_a_report_are_kept_beside(tmp_path):
    """A cell added to the notebook that each page links to, twice."""
    out, run = tmp_path / "out", tiny.make_run(tmp_path, "one", "1")
    list(runner.make_all([run], out))
    for place in ("one.edited", "one.edited-2"):
        (out / "one" / "notebook.ipynb").write_text(place)
        (result,) = runner.make_all([run], out)
        assert result.state == "made" and result.warnings == (
            f"notebook.ipynb had been edited; what you had is kept in {out / place}",
        )
        assert (out / place / "notebook.ipynb").read_text() == place
    assert reports.state_of(run, out / "one") == "up to date"
    assert [run.name for run in reports.find_all(out, [run])] == ["one"]


def test_a_failed_notebook_that_somebody_mends_is_kept(tmp_path):
    """Both when the run succeeds next and when it fails again; one that nobody touched goes."""
    out, run = tmp_path / "out", tiny.make_run(tmp_path, "one", "1 / 0")
    failed, tried = out / "one.failed.ipynb", []
    for cell in ("1 / 0", "1 / 0", "1"):
        tiny.write_notebook(run.notebook, cell)
        (result,) = runner.make_all([run], out)
        tried.append(f"{result.message} {result.warnings}")
        if failed.exists():
            failed.write_text(failed.read_text().replace("1 / 0", "1 / 1"))
    assert "edited" not in tried[0] and all("one.failed.ipynb had been edited; what" in said for said in tried[1:])
    mended = [out / f"one.failed.edited{number}.ipynb" for number in ("", "-2")]
    assert all("1 / 1" in file.read_text() for file in mended) and not failed.exists()
    for cell in ("1 / 0", "2"):
        tiny.write_notebook(run.notebook, cell)
        list(runner.make_all([run], out))
    assert {path.name for path in out.iterdir()} == {"one", *(file.name for file in mended)}


# ---------------------------------------------------------------- what is made and what is left


def test_where_the_disk_has_no_room_for_all_pages_none_is_replaced(tmp_path, monkeypatch):
    out, pages = tmp_path / "out", {f"{name}.csv": b"1\n" for name in "abc"}
    out.mkdir()
    folders.write_pages(out, pages, "first")
    old, write = tiny.digest(out), Path.write_bytes

    def write_once(path, content):
        if path.name == "b.csv":
            raise OSError(28, "No space left on device")
        return write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", write_once)
        with pytest.raises(OSError, match="No space left"):
            folders.write_pages(out, dict.fromkeys(pages, b"2\n"), "second")
    assert tiny.digest(out) == old
    assert folders.write_pages(out, dict.fromkeys(pages, b"2\n"), "second") == ""
    assert {path.read_bytes() for path in out.glob("*.csv")} == {b"2\n"} and list(out.glob(".*")) == []


@pytest.mark.parametrize("changed", ["prose", "code"])
def test_a_notebook_changed_while_its_run_is_under_way(tmp_path, changed):
    """What is stored is what was read, so that the next command sees the change."""
    out = tmp_path / "out"
    cell = f"import pathlib\npath = pathlib.Path({str(tmp_path / 'one.ipynb')!r})\nnumber"
    run = tiny.make_run(tmp_path, "one", cell)
    new = {"prose": "# Another question?", "code": "# What is it?"}[changed]
    change = f"{cell}\n'changed'" if changed == "code" else cell
    tiny.write_notebook(tmp_path / "other.ipynb", change, heading=new)
    tiny.write_notebook(run.notebook, f"{cell}\npath.write_bytes(path.with_name('other.ipynb').read_bytes())")
    assert [result.state for result in runner.make_all([run], out)] == ["made"]
    assert reports.state_of(run, out / "one") == "older than the code"
    assert [result.state for result in runner.make_all([run], out)] == ["made"]
    assert [result.state for result in runner.make_all([run], out)] == ["unchanged"]


def test_prose_changed_at_random_moments_of_its_run(tmp_path):
    """Whatever the moment, the next run makes up for it, and then all is up to date with the new prose."""
    out, moments = tmp_path / "out", random.Random(2)
    run = tiny.make_run(tmp_path, "one", "1")
    for trial in range(ROUNDS):
        process = tiny.start([run], out, force=True)
        time.sleep(moments.uniform(0, 1.5))
        tiny.write_notebook(run.notebook, "1", heading=f"# Question {trial}?")
        process.join(30)
        new = f"Question {trial}?" in (out / "one" / "index.html").read_text()
        assert reports.state_of(run, out / "one") in ("prose changed", *(["up to date"] if new else []))
        assert all(result.state in ("rendered", "unchanged") for result in runner.make_all([run], out))
        assert f"Question {trial}?" in (out / "one" / "index.html").read_text()
        assert reports.state_of(run, out / "one") == "up to date"


def test_data_changed_while_prose_is_rendered(tmp_path, tables, monkeypatch):
    """The outputs are of the old data, and the report says so."""
    out, run = tmp_path / "out", tiny.make_run(tmp_path, "one", "1")
    list(runner.make_all([run], out))
    tiny.write_notebook(run.notebook, "1", heading="# Another question?")
    render = reports.render_again

    def change_and_render(*arguments, **options):
        (tables.folder / "targets.csv").write_text((tables.folder / "targets.csv").read_text() + "\n")
        render(*arguments, **options)

    monkeypatch.setattr(reports, "render_again", change_and_render)
    assert [result.state for result in runner.make_all([run], out)] == ["rendered"]
    assert reports.state_of(run, out / "one") == "older than the data"


def test_data_changed_at_random_moments_of_a_rebuild(tmp_path, tables):
    """A report that counts as up to date shows the data that are there, whatever the moment and whatever is rebuilt."""
    out, moments, path = tmp_path / "out", random.Random(3), tables.folder / "targets.csv"
    cell = f"import pathlib, zlib\nzlib.crc32(pathlib.Path({str(path)!r}).read_bytes())"
    run = tiny.make_run(tmp_path, "one", cell)
    list(runner.make_all([run], out))
    for trial in range(ROUNDS):
        tiny.write_notebook(run.notebook, cell, heading=f"# Question {trial}?")
        process = tiny.start([run], out)
        time.sleep(moments.uniform(0, 1.5))
        tables.change("targets", {"note": f"trial {trial}"}, id="access-2024")
        process.join(30)
        shown = str(zlib.crc32(path.read_bytes()))
        state = reports.state_of(run, out / "one")
        assert state == ("up to date" if shown in tiny.read_text(out / "one") else "older than the data"), trial
        assert all(result.state in ("made", "unchanged") for result in runner.make_all([run], out))
        assert shown in tiny.read_text(out / "one") and reports.state_of(run, out / "one") == "up to date"


def test_pages_link_to_the_reports_that_are_there(tmp_path, monkeypatch):
    out = tmp_path / "out"
    known = {name: tiny.make_run(tmp_path, name, "1") for name in ("one", "two")}
    monkeypatch.setattr(runs, "load", lambda: known)
    list(runner.make_all([known["one"]], out))
    assert "two/index.html" not in (out / "one" / "index.html").read_text()
    list(runner.make_all([known["two"]], out))
    assert "two/index.html" in (out / "one" / "index.html").read_text()
    assert reports.state_of(known["one"], out / "one") == "up to date"


def test_only_what_changed(tmp_path, monkeypatch):
    out = tmp_path / "out"
    chosen = [tiny.make_run(tmp_path, name, "1") for name in ("a", "b", "c", "d", "e")]
    assert {result.state for result in runner.make_all(chosen, out)} == {"made"}
    tiny.write_notebook(chosen[1].notebook, "2")
    tiny.write_notebook(chosen[2].notebook, "1", heading="# Another question?")
    (out / "d" / "index.html").write_text("edited")
    (out / "e" / "notebook.ipynb").unlink()
    results = {result.run.name: (result.state, result.message) for result in runner.make_all(chosen, out)}
    assert results == {
        "a": ("unchanged", ""),
        "b": ("made", "it was older than the code"),
        "c": ("rendered", "only prose or page style changed"),
        "d": ("made", "it was damaged"),
        "e": ("made", "it was damaged"),
    }
    assert "Another question?" in (out / "c" / "index.html").read_text()
    assert {result.state for result in runner.make_all(chosen, out)} == {"unchanged"}
    assert [result.state for result in runner.make_all(chosen[:1], out, force=True)] == ["made"]


def test_prose_needs_no_kernel(tmp_path, monkeypatch):
    out = tmp_path / "out"
    run = tiny.make_run(tmp_path, "a", tiny.CHART, tiny.TABLE, "## Then", "3")
    list(runner.make_all([run], out))
    tiny.write_notebook(run.notebook, tiny.CHART, "## Moved", tiny.TABLE, "3", heading="# New?")
    monkeypatch.setattr(runner, "Child", None)
    assert [result.state for result in runner.make_all([run], out)] == ["rendered"]
    rendered = tiny.digest(out)
    monkeypatch.undo()
    assert [result.state for result in runner.make_all([run], out, force=True)] == ["made"]
    assert tiny.digest(out) == rendered


def test_others_go_on_and_the_last_report_stays(tmp_path):
    out = tmp_path / "out"
    good, bad = tiny.make_run(tmp_path, "good", "1"), tiny.make_run(tmp_path, "bad", "1")
    list(runner.make_all([good, bad], out))
    old = tiny.digest(out / "bad")
    for run in (good, bad):
        tiny.write_notebook(run.notebook, "2 / (as_of != 'latest')" if run is bad else "3")
    results = {result.run.name: result for result in runner.make_all([bad, good], out, workers=1)}
    assert results["good"].state == "made" and results["bad"].state == "failed"
    assert tiny.digest(out / "bad") == old
    assert reports.state_of(bad, out / "bad") == "older than the code"
    assert (out / "bad.failed.ipynb").exists()
    tiny.write_notebook(bad.notebook, "4")
    assert [result.state for result in runner.make_all([bad], out)] == ["made"]
    assert not (out / "bad.failed.ipynb").exists()


def test_wrong_parameter_before_anything_runs(tmp_path):
    out = tmp_path / "out"
    chosen = [tiny.make_run(tmp_path, "good", "1"), tiny.make_run(tmp_path, "bad", "1", nunber=2)]
    with pytest.raises(parameters.ParameterError, match="bad: unknown parameter 'nunber'; did you mean number"):
        list(runner.make_all(chosen, out))
    assert list(out.iterdir()) == []


def test_kernel_that_does_not_start_is_tried_twice(tmp_path, monkeypatch):
    tries = tmp_path / "tries"
    tries.write_text("")
    make = reports.make

    def make_late(*arguments, **options):
        tries.write_text(tries.read_text() + "x")
        if len(tries.read_text()) < 2 or "never" in str(arguments[0].name):
            raise failures.KernelNotStarted("the kernel did not start: port taken")
        return make(*arguments, **options)

    monkeypatch.setattr(reports, "make", make_late)
    (result,) = runner.make_all([tiny.make_run(tmp_path, "late", "1")], tmp_path / "out")
    assert result.state == "made" and tries.read_text() == "xx"
    tries.write_text("")
    (result,) = runner.make_all([tiny.make_run(tmp_path, "never", "1")], tmp_path / "out")
    assert result.state == "failed" and "did not start" in result.message and tries.read_text() == "xx"
    assert list((tmp_path / "out").glob(".*")) == []


def test_no_loopback(tmp_path, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(runner.socket, "create_connection", fail)
    with pytest.raises(runs.RunError, match="does not reach itself at 127.0.0.1.*: Network is unreachable"):
        list(runner.make_all([tiny.make_run(tmp_path, "one", "1")], tmp_path / "out"))


def test_closing_early_ends_the_rest(tmp_path):
    out = tmp_path / "out"
    chosen = [tiny.make_run(tmp_path, "quick", "1"), tiny.make_run(tmp_path, "slow", "import time; time.sleep(60)")]
    results = runner.make_all(chosen, out)
    assert next(results).run.name == "quick"
    results.close()
    assert find_leftovers(out) == []
    assert [path.name for path in out.iterdir()] == ["quick"]


def test_what_cannot_be_computed_for_all_is_left_to_each_run(monkeypatch):
    monkeypatch.setattr(runner, "gc", MagicMock())
    runner.warm_up([("england", "no day"), ("no table", "latest")])
    assert runner.gc.freeze.called


def test_a_run_has_the_imports_of_its_notebook_done(tmp_path):
    run = tiny.make_run(tmp_path, "one", "import zlib\nx = 'import y'", "from iapt.data import fy", "%magic import")
    assert child.list_imports(run.notebook) == ["iapt.data", "iapt.data.fy", "zlib"]
