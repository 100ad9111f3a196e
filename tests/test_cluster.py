"""Runs on a cluster: the same bytes, also when a worker is lost. Needs the extra `cluster`."""

import gc
import os
import shutil
import signal
import subprocess
import sys
import threading

import psutil
import pytest
import tiny

from iapt import runs
from iapt.running import cluster, runner


@pytest.fixture(scope="module")
def workers():
    """A cluster of two worker processes on this machine."""
    distributed = pytest.importorskip("distributed")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTEST_CURRENT_TEST", raising=False)
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as local:
            yield local


CELLS = (
    tiny.CHART,
    tiny.TABLE,
    tiny.BELOW,
    "print(number)",
    "import warnings\nwarnings.warn('careful')",
)


def test_same_reports_to_the_byte(workers, tmp_path):
    """Three runs, one of which fails, on the cluster and here."""
    chosen = [tiny.make_run(tmp_path, f"run{i}", *CELLS, number=i) for i in range(2)] + [
        tiny.make_run(tmp_path, "bad", "## Here", "1 / 0")
    ]
    here = tiny.make(chosen, tmp_path / "here")
    there = {
        result.run.name: result
        for result in runner.make_all(chosen, tmp_path / "there", scheduler=workers.scheduler_address)
    }
    assert (
        there["bad"].state == "failed"
        and "“Here”" in there["bad"].message
        and "ZeroDivisionError" in there["bad"].message
    )
    assert {name: (result.state, result.warnings) for name, result in there.items()} == {
        name: (result.state, result.warnings) for name, result in here.items()
    }
    whole = lambda out: {name: value for name, value in tiny.digest(out).items() if "failed" not in name}
    assert len(whole(tmp_path / "here")) == 2 * 7
    assert whole(tmp_path / "there") == whole(tmp_path / "here")
    assert (tmp_path / "there" / "bad.failed.ipynb").exists() and list((tmp_path / "there").glob(".*")) == []
    assert {
        result.state for result in runner.make_all(chosen[:2], tmp_path / "there", scheduler="tcp://nowhere:1")
    } == {"unchanged"}


def test_runs_of_a_lost_worker_go_to_another(workers, tmp_path):
    """One of the two workers is killed in the middle of its run."""
    running = tmp_path / "running"
    running.mkdir()
    cell = (
        f"import os, time, pathlib, psutil\npathlib.Path({str(running)!r}, "
        f"f'{{number}}-{{os.getpid()}}').touch()\ntime.sleep(0.5)\nprint(number)"
    )
    chosen = [tiny.make_run(tmp_path, f"run{i}", cell, number=i) for i in range(4)]
    killed = []

    def kill_one() -> None:
        busy = tiny.wait_until(lambda: [int(file.name.partition("-")[2]) for file in running.iterdir()], 60)
        above = {process.pid for process in psutil.Process(busy[0]).parents()}
        (victim,) = above & {nanny.pid for nanny in workers.workers.values()}
        os.kill(victim, signal.SIGKILL)
        killed.append((victim, busy[0]))

    killer = threading.Thread(target=kill_one)
    killer.start()
    results = {
        result.run.name: result
        for result in runner.make_all(chosen, tmp_path / "out", scheduler=workers.scheduler_address)
    }
    killer.join()
    assert {name: result.state for name, result in results.items()} == {f"run{i}": "made" for i in range(4)}, [
        result.message for result in results.values()
    ]
    assert [tiny.read_text(tmp_path / "out" / f"run{i}") for i in range(4)] == [f"{i}\n" for i in range(4)]
    assert len(list(running.iterdir())) > 4, "the run that was lost was not tried again"
    tiny.wait_until(lambda: not psutil.pid_exists(killed[0][1]), 10)


def test_data_travel_once(workers, tmp_path, tables, monkeypatch):
    """Tables other than those of the workers' own folder are used, and sent once, not with every run."""
    tables.change("measures", {"label": "A label from here"}, measure="started_treatment")
    chosen = [
        tiny.make_run(tmp_path, f"run{i}", "from iapt import data\ndata.label('started_treatment')", number=i)
        for i in range(2)
    ]
    packed, pack = [], cluster.pack
    monkeypatch.setattr(cluster, "pack", lambda waiting: packed.append(pack(waiting)) or packed[-1])
    results = list(runner.make_all(chosen, tmp_path / "out", scheduler=workers.scheduler_address))
    assert {result.state for result in results} == {"made"}, results
    assert "A label from here" in tiny.read_text(tmp_path / "out" / "run1")
    assert len(packed) == 1 and "data/england.csv" in packed[0].files and "notebooks/run0.ipynb" in packed[0].files


def test_other_version_on_a_worker(workers, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "digest_package", lambda: "another")
    (result,) = runner.make_all(
        [tiny.make_run(tmp_path, "one", "1")], tmp_path / "out", scheduler=workers.scheduler_address
    )
    assert result.state == "failed" and "has another version of the package" in result.message


def test_no_worker(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "PATIENCE", "1s")
    with distributed.LocalCluster(n_workers=0, dashboard_address=None) as empty:
        with pytest.raises(runs.RunError, match="has no workers; start one: dask worker tcp://"):
            run = tiny.make_run(tmp_path, "one", "1")
            list(runner.make_all([run], tmp_path / "out", scheduler=empty.scheduler_address))


def test_encrypted_as_dask_does_it(tmp_path, monkeypatch):
    """With the certificates that dask's own configuration names, the worker answers."""
    distributed = pytest.importorskip("distributed")
    import dask

    key, card = tmp_path / "key.pem", tmp_path / "card.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    if not shutil.which("openssl") or subprocess.run([*make, "-keyout", key, "-out", card], capture_output=True).returncode:
        pytest.skip("certificates need openssl")
    sides = {f"distributed.comm.tls.{side}.{kind}": str(file) for side in ("scheduler", "worker", "client") for kind, file in (("key", key), ("cert", card))}
    with dask.config.set({"distributed.comm.tls.ca-file": str(card), "distributed.comm.require-encryption": True} | sides):
        security = distributed.Security(require_encryption=True)
        with distributed.LocalCluster(
            n_workers=1, processes=True, threads_per_worker=1, dashboard_address=None, protocol="tls://", security=security
        ) as local:
            assert local.scheduler_address.startswith("tls://")
            monkeypatch.setattr(runs, "digest_package", lambda: "another")
            run = tiny.make_run(tmp_path, "one", "1")
            (result,) = runner.make_all([run], tmp_path / "out", scheduler=local.scheduler_address)
            assert "has another version of the package" in result.message


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense", "foo://127.0.0.1:9", "tls://127.0.0.1:9"])
def test_no_scheduler(tmp_path, monkeypatch, address):
    """Nor does what was begun hang afterwards, or complain."""
    pytest.importorskip("distributed")
    complaints = []
    monkeypatch.setattr(cluster, "PATIENCE", "0.2s")
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)
    with pytest.raises(runs.RunError, match=f"no dask scheduler answers at {address}"):
        list(runner.make_all([tiny.make_run(tmp_path, "one", "1")], tmp_path / "out", scheduler=address))
    gc.collect()
    assert list((tmp_path / "out").iterdir()) == [] and complaints == []


def test_dask_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(runs.RunError, match=r"--scheduler needs dask; install it with: pip install 'iapt\[cluster\]'"):
        list(runner.make_all([tiny.make_run(tmp_path, "one", "1")], tmp_path / "out", scheduler="tcp://127.0.0.1:9"))
