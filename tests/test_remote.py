"""Reports in storage of other kinds, with local stand-ins."""

import json
import shutil
import sys

import pytest
import tiny

from iapt import cli, runs
from iapt.running import remote


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    known = {name: tiny.make_run(tmp_path, name, "number", number=i) for i, name in enumerate(("one", "two"))}
    monkeypatch.setattr(runs, "load", lambda: known)
    monkeypatch.setattr(remote, "RESULTS", tmp_path / "results")

    def call(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(["report", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def place(tmp_path, request) -> str:
    pytest.importorskip("fsspec")
    return "memory://reports" if request.param == "memory" else f"local://{tmp_path}/storage"


def read(place: str) -> dict[str, bytes]:
    import fsspec

    system, root = fsspec.core.url_to_fs(place)
    return {name.removeprefix(root).strip("/"): system.cat_file(name) for name in system.find(root)}


@pytest.mark.parametrize("place", ["memory", "file"], indirect=True)
def test_reports_arrive_whole(command, place, tmp_path):
    code, out, err = command("--out", place)
    assert code == 0 and f"2 reports copied to {place}" in out, err
    local = remote.choose_local(place)
    there = read(place)
    assert there == {name: (local / name).read_bytes() for name in tiny.digest(local)}
    assert {"index.html", "one/index.html", "one/run.json", "two/notebook.ipynb"} <= set(there)
    assert f"0 reports copied to {place}" in command("--out", place)[1]
    tiny.write_notebook(tmp_path / "one.ipynb", "number + 1")
    assert f"1 report copied to {place}" in command("--out", place)[1]
    assert (
        read(place)["one/notebook.ipynb"]
        == (local / "one" / "notebook.ipynb").read_bytes()
        != there["one/notebook.ipynb"]
    )


def write_report(folder, **files: str) -> None:
    """A report of these files, old ones gone."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "run.json").write_text(json.dumps({"files": files}))


def test_mark_of_a_whole_report_comes_last(tmp_path, monkeypatch):
    """A copy that breaks off leaves no run.json, and is made up for by the next; what is no longer part of it goes."""
    pytest.importorskip("fsspec")
    local, place = tmp_path / "local", f"local://{tmp_path}/storage"
    write_report(local / "one", **{"index.html": "old", "figures/a.svg": "old"})
    assert remote.send(local, place, ["one"]) == ["one"]
    write_report(local / "one", **{"index.html": "new", "figures/b.svg": "new"})
    put = remote._put

    def break_off(system, content, address):
        if address.endswith("index.html"):
            raise OSError("the line is cut")
        put(system, content, address)

    monkeypatch.setattr(remote, "_put", break_off)
    with pytest.raises(
        runs.RunError, match=f"{place} cannot be written: OSError: the line is cut. The reports are in {local}"
    ):
        remote.send(local, place, ["one"])
    assert "one/run.json" not in read(place)
    monkeypatch.undo()
    assert remote.send(local, place, ["one"]) == ["one"]
    assert read(place) == {f"one/{name}": (local / "one" / name).read_bytes() for name in tiny.digest(local / "one")}


def test_an_address_of_a_file_system_here_is_a_folder(command, tmp_path):
    """So that nothing of a person's is replaced there, and what was edited is kept."""
    own = tmp_path / "papers" / "one" / "thesis.tex"
    own.parent.mkdir(parents=True)
    own.write_text("years of work")
    code, _, err = command("--out", f"file://{tmp_path}/papers")
    assert code == 2 and "thesis.tex, which is not part of a report" in err and own.read_text() == "years of work"
    own.unlink()
    assert command("one", "--out", f"file://localhost{tmp_path}/papers")[0] == 0
    (own.parent / "notebook.ipynb").write_text("mine")
    assert command("one", "--out", f"file://{tmp_path}/papers")[0] == 0
    assert (tmp_path / "papers" / "one.edited" / "notebook.ipynb").read_text() == "mine"


def test_unknown_storage_and_missing_library(command, tmp_path, monkeypatch):
    pytest.importorskip("fsspec")
    monkeypatch.setattr("iapt.running.runner.make_all", None)  # before any work
    code, _, err = command("one", "--out", "nonsense://bucket/reports")
    assert code == 2 and "nonsense://bucket/reports cannot be written" in err and "nonsense" in err
    monkeypatch.setitem(sys.modules, "fsspec", None)
    code, _, err = command("one", "--out", "s3://bucket/reports")
    assert code == 2 and "s3://bucket/reports needs another library; install it with: pip install 'fsspec[s3]'" in err


def test_failed_runs_are_not_copied(command, tmp_path):
    pytest.importorskip("fsspec")
    tiny.write_notebook(tmp_path / "two.ipynb", "1 / 0")
    place = f"local://{tmp_path}/storage"
    code, out, err = command("--out", place)
    assert code == 1 and f"1 report copied to {place}" in out
    assert not any(name.startswith("two") for name in read(place))


@pytest.mark.parametrize("place", ["one/thesis.tex", "index.html", "one/index.html", "one/.git/config", "one"])
def test_nothing_of_somebody_else_is_replaced(tmp_path, place):
    pytest.importorskip("fsspec")
    local, storage = tmp_path / "local", tmp_path / "storage"
    write_report(local / "one", **{"index.html": "new"})
    (local / "index.html").write_text("front page")
    (local / "site.json").write_text(json.dumps({"of": "", "pages": {"index.html": ""}}))
    (storage / place).parent.mkdir(parents=True)
    (storage / place).write_text("years of work")
    with pytest.raises(runs.RunError, match="choose another place with --out"):
        remote.send(local, f"local://{storage}", ["one"])
    assert read(f"local://{storage}") == {place: b"years of work"}
