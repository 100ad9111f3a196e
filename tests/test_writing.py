"""Whatever happens while tables are written, they are as before or as after."""

import errno
import os
import random
import shutil
import signal
import sys
import time

import pytest
from publishing import NEXT, change, digest, shrink_data

from iapt import cli, locks
from iapt.data import additions, recording, writing
from iapt.data.publications import read

OLD = {"england.csv": "old figures\n", "sources.csv": "old sources\n", "other.csv": "untouched\n"}
NEW = {"england.csv": "new figures\n" * 2000, "sources.csv": "new sources\n"}
STEPS = ("open", "fsync", "chmod", "chown", "replace", "close", "unlink")


@pytest.fixture
def folder(tmp_path):
    fill(tmp_path)
    return tmp_path


def fill(folder) -> None:
    for path in folder.iterdir():
        path.unlink()
    for name, text in OLD.items():
        (folder / name).write_text(text)


def state(folder) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.name != locks.NAME}


def write(folder) -> None:
    with writing.locked(folder):
        writing.replace(folder, NEW)


def fail_at(monkeypatch, count: int, failure) -> None:
    """Have the system call with this number, of those that writing makes, fail."""
    calls = iter(range(count + 1))

    def guard(real):
        def call(*arguments, **options):
            if next(calls, None) == count:
                failure()
            return real(*arguments, **options)

        return call

    for step in STEPS:
        monkeypatch.setattr(writing.os, step, guard(getattr(os, step)))


def fail(number: int) -> None:
    raise OSError(number, os.strerror(number))


def in_child(task) -> int:
    """Run a task in a child process; its wait status."""
    child = os.fork()
    if child == 0:
        try:
            task()
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1]


def test_all_tables_change_and_nothing_is_left_over(folder):
    write(folder)
    assert state(folder) == OLD | NEW


@pytest.mark.parametrize("count", range(28))
def test_a_process_that_dies_at_any_step_leaves_before_or_after(folder, monkeypatch, count):
    def die_at_step() -> None:
        fail_at(monkeypatch, count, lambda: os.kill(os.getpid(), signal.SIGKILL))
        write(folder)

    in_child(die_at_step)
    raw = state(folder)
    assert all(raw[name] in (OLD[name], NEW.get(name)) for name in OLD), "a half-written table"
    writing.recover(folder)
    assert state(folder) in (OLD, OLD | NEW)
    write(folder)
    assert state(folder) == OLD | NEW


def test_the_steps_at_which_it_dies_cover_the_whole_of_writing(folder, monkeypatch):
    def try_step(count: int) -> None:
        fail_at(monkeypatch, count, lambda: os.kill(os.getpid(), signal.SIGKILL))
        fill(folder)
        write(folder)

    died = [bool(in_child(lambda count=count: try_step(count))) for count in range(28)]
    assert died[0] and died[15] and not died[27]


@pytest.mark.parametrize(
    "failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()], ids=["full disk", "Ctrl-C"]
)
@pytest.mark.parametrize("count", range(2, 16))
def test_a_full_disk_or_an_interruption_leaves_before_or_after(folder, monkeypatch, count, failure):
    def fail() -> None:
        raise failure

    with monkeypatch.context() as patch:
        fail_at(patch, count, fail)
        with pytest.raises((type(failure), writing.Unfinished)):
            write(folder)
    writing.recover(folder)
    assert state(folder) in (OLD, OLD | NEW)


@pytest.mark.parametrize("step", ["replace", "unlink"])
def test_after_the_decision_the_message_says_that_the_next_command_completes_the_change(folder, monkeypatch, step):
    def fail(*_) -> None:
        raise OSError(errno.EIO, "Input/output error", "england.csv")

    with monkeypatch.context() as patch:
        patch.setattr(writing.os, step, fail)
        with pytest.raises(writing.Unfinished, match="decided but not complete .*the next iapt command completes it"):
            write(folder)
        with pytest.raises(writing.Unfinished):  # and nobody reads new tables beside old ones meanwhile
            writing.recover(folder)
    writing.recover(folder)
    assert state(folder) == OLD | NEW


def test_a_table_edited_by_hand_meanwhile_is_kept(folder):
    with writing.locked(folder):
        (folder / "england.csv").write_text("figures mended by hand\n")
        with pytest.raises(writing.Edited, match="england.csv was edited meanwhile; the edit stays"):
            writing.replace(folder, NEW)
    assert state(folder) == OLD | {"england.csv": "figures mended by hand\n"}


def test_links_and_modes_stay(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "figures.csv"
    elsewhere.write_text(OLD["england.csv"])
    (folder / "england.csv").unlink()
    (folder / "england.csv").symlink_to(elsewhere)
    (folder / "sources.csv").chmod(0o640)
    write(folder)
    assert (folder / "england.csv").is_symlink() and elsewhere.read_text() == NEW["england.csv"]
    assert (folder / "sources.csv").stat().st_mode & 0o777 == 0o640


def test_a_link_to_another_disk_stays(folder, tmp_path_factory, monkeypatch):
    def fail(*_) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    elsewhere = tmp_path_factory.mktemp("elsewhere") / "figures.csv"
    elsewhere.write_text(OLD["england.csv"])
    (folder / "england.csv").unlink()
    (folder / "england.csv").symlink_to(elsewhere)
    monkeypatch.setattr(writing.os, "replace", fail)
    write(folder)
    assert elsewhere.read_text() == NEW["england.csv"] and state(folder) == OLD | NEW


def test_a_disk_that_cannot_lock_is_used_with_a_word(folder, monkeypatch, capsys):
    import filelock

    def fail(*_, **__) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(filelock.FileLock, "acquire", fail)
    write(folder)
    assert state(folder) == OLD | NEW and "cannot be locked (No locks available)" in capsys.readouterr().err


def test_reading_needs_no_lock(folder, monkeypatch):
    """Neither a library for it nor the right to write."""
    monkeypatch.setitem(sys.modules, "filelock", None)
    writing.recover(folder)
    assert state(folder) == OLD


def test_who_comes_second_is_told_so_and_who_comes_after_a_death_is_not(folder):
    ready, go = os.pipe()
    child = os.fork()
    if child == 0:
        with writing.locked(folder):
            os.write(go, b"x")
            time.sleep(60)
        os._exit(0)
    try:
        os.read(ready, 1)
        with pytest.raises(writing.Busy, match="another iapt is changing .*try again"), writing.locked(folder):
            pass
        writing.recover(folder)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    write(folder)
    assert state(folder) == OLD | NEW


def test_what_a_writer_at_work_has_staged_is_left_alone(folder):
    (folder / ".adding.england.csv").write_text("half of it")
    with writing.locked(folder):
        writing_side = folder / ".adding.sources.csv"
        writing_side.write_text("half")
        writing.recover(folder)
        assert writing_side.exists()
    writing.recover(folder)
    assert state(folder) == OLD


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """An addition to a small copy of the data; the rehearsal, which writes nothing there, is left out."""
    copy = shrink_data(tmp_path, monkeypatch)
    (tmp_path / "x.csv").write_bytes(change(month=NEXT))
    monkeypatch.setattr(recording, "rehearse", lambda *_: None)
    return copy, additions.plan([read(tmp_path / "x.csv")])


def test_an_error_at_any_system_call_of_an_addition_leaves_before_or_after_and_says_so(planned, monkeypatch):
    copy, found = planned
    files = {path: path.read_bytes() for path in copy.iterdir()}
    before, states, failed = digest(copy), [], True
    while failed:
        failures = []
        with monkeypatch.context() as patch:
            fail_at(patch, len(states), lambda: failures.append(1) or fail(errno.EIO))
            try:
                with writing.locked(copy):
                    recording.write(found, {})
            except ValueError as error:  # what the command line shows as one line
                assert "Input/output error" in str(error)
        failed = bool(failures)
        writing.recover(copy)
        (copy / locks.NAME).unlink(missing_ok=True)  # no longer locked, where it could not be removed
        states.append(digest(copy))
        for path, content in files.items():
            path.write_bytes(content)
    assert len(states) > 20 and before == states[0] != states[-1] and all(state in (before, states[-1]) for state in states)


def test_fifty_kills_at_random_moments_leave_the_data_before_or_after(planned):
    copy, additions_planned = planned

    def work() -> None:
        with writing.locked(copy):
            recording.write(additions_planned, {})

    files = {path: path.read_bytes() for path in copy.iterdir()}
    before, began = digest(copy), time.perf_counter()
    in_child(work)
    seconds, after = time.perf_counter() - began, digest(copy)
    assert after != before
    chance, outcomes = random.Random(1), []
    for _ in range(50):
        for path, content in files.items():
            path.write_bytes(content)
        child = os.fork()
        if child == 0:
            try:
                work()
            finally:
                os._exit(0)
        time.sleep(chance.uniform(0, 1.1 * seconds))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        writing.recover(copy)
        (copy / locks.NAME).unlink(missing_ok=True)  # a killed process leaves its file, no longer locked
        outcomes.append(digest(copy))
        assert outcomes[-1] in (before, after)
    assert before in outcomes


@pytest.mark.parametrize("place", ["fsync", "copyfile"], ids=["for the tables", "for the rehearsal"])
def test_a_full_disk_is_told_and_the_data_stay(tmp_path, monkeypatch, capsys, place):
    copy = shrink_data(tmp_path, monkeypatch)
    (tmp_path / "x.csv").write_bytes(change(month=NEXT))
    before = digest(copy)

    def fail(*_) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os if place == "fsync" else shutil, place, fail)
    assert cli.main(["add", "--accept", str(tmp_path / "x.csv")]) == 2
    assert "No space left on device; they are as they were" in capsys.readouterr().err
    assert digest(copy) == before
