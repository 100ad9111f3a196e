"""One report: what is kept of a run, and what is said of one that fails. The runs are made once, side by side."""

import json
import os
import re
import sys
from dataclasses import replace

import pytest
import tiny
from nbformat import v4

from iapt import cli, runs
from iapt.running import execution, reports, runner

CELLS = {
    "good": (tiny.CHART, tiny.TABLE),
    "function": (
        "## First",
        "def halve(x):\n    return x / 0",
        "## Then it breaks",
        "before = 1\nvalue = before + 1\nhalve(value)\nafter = 2\nlast = 3",
    ),
    "package": ("## Deep", "from iapt import data\ndata.series('nothing', 'year')"),
    "syntax": ("## Bad grammar", "x = 1\nif x\n    y = 2"),
    "exits": ("## The end", "import os\nos._exit(3)", "1"),
    "killed": ("## Out of memory", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"),
    "killed whole": ("import os, signal\nos.killpg(0, signal.SIGKILL)",),
    "hangs": ("## For ever", "while True:\n    pass"),
    "stubborn": (
        "import signal\nfor number in (signal.SIGINT, signal.SIGTERM):\n    signal.signal(number, "
        "signal.SIG_IGN)\nwhile True:\n    pass",
    ),
    "prints": ("for i in range(50):\n    print('x' * 100_000)",),
    "prints and fails": ("for i in range(20):\n    print('x' * 100_000)\n1 / 0",),
    "parts": (f"{tiny.BELOW}import os\nos.write(1, b'from the file itself\\n')\nwait_for('the file itself')",),
    "warns": (
        "import warnings\nfor i in range(3):\n    warnings.warn(f'beware {i % 2}')",
        "import sys\nprint('noise', file=sys.stderr)",
    ),
    "fonts": (
        "import logging\nfrom matplotlib.figure import Figure\nimport matplotlib as mpl, io\nwith "
        "mpl.rc_context({'font.family': 'Nowhere Sans'}):\n    figure = Figure()\n    figure.text(0, 0, 'text')\n  "
        "  figure.savefig(io.BytesIO())",
    ),
    "threads": ("import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\nprint('done')",),
}
LIMIT = 10


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of the reports, and the results by name."""
    folder = tmp_path_factory.mktemp("reports")
    chosen = [tiny.make_run(folder, name, *cells) for name, cells in CELLS.items()]
    results = tiny.make(chosen, folder / "out", limit=LIMIT)
    assert len(results) == len(CELLS)
    return folder / "out", results


GOOD = {"good", "prints", "parts", "warns", "fonts", "threads"}


def test_each_run_ends_as_it_should(made):
    out, results = made
    assert {name for name, result in results.items() if result.state == "made"} == GOOD
    assert {name for name, result in results.items() if result.state == "failed"} == set(CELLS) - GOOD
    assert {path.name for path in out.iterdir()} == GOOD | {f"{name}.failed.ipynb" for name in set(CELLS) - GOOD}


def test_report_is_complete(made):
    out, _ = made
    assert set(tiny.digest(out / "good")) == {
        "figures/line.csv",
        "figures/line.png",
        "figures/line.svg",
        "tables/table.csv",
        "index.html",
        "notebook.ipynb",
        "run.json",
    }
    assert (out / "good" / "tables" / "table.csv").read_text() == "a\n1\n2\n"


def test_failure_names_section_lines_and_error(made):
    out, results = made
    assert results["function"].message.splitlines() == [
        "in the section “Then it breaks”:",
        "    1  before = 1",
        "    2  value = before + 1",
        ">   3  halve(value)",
        "    4  after = 2",
        "    5  last = 3",
        "ZeroDivisionError: division by zero",
        f"the notebook so far: {out / 'function.failed.ipynb'}",
    ]
    assert re.search(
        r"“Deep”(.*\n)*>   2  data.series.*\nValueError: .*nothing(.*\n)+?\(raised in data/vintages.py, line \d+, in \w+\)",
        results["package"].message,
    )
    assert re.search(r"“Bad grammar”(.*\n)*>   2  if x\n(.*\n)*SyntaxError: expected ':'", results["syntax"].message)


def test_dead_kernels_are_told_from_hanging_ones(made):
    _, results = made
    for name, heading, line in (("exits", "The end", "os._exit(3)"), ("killed", "Out of memory", "os.kill")):
        assert (
            f"“{heading}”" in results[name].message
            and line in results[name].message
            and "the kernel died" in results[name].message
        )
        assert results[name].seconds < LIMIT
    assert "killed by signal 9 (out of memory?)" in results["killed whole"].message
    assert results["killed whole"].seconds < LIMIT
    for name in ("hangs", "stubborn"):
        assert "while True:" in results[name].message and f"longer than {LIMIT} seconds" in results[name].message
        assert LIMIT <= results[name].seconds < 2 * LIMIT


def test_partial_notebook_is_readable(made):
    out, _ = made
    for name in set(CELLS) - GOOD:
        assert len(runs.read_notebook(out / f"{name}.failed.ipynb")["cells"]) >= len(CELLS[name]) + 2


def test_long_output_is_cut(made):
    out, _ = made
    text = tiny.read_text(out / "prints")
    assert len(text) < execution.LONGEST_OUTPUT + 100
    assert text.endswith(f"[{50 * 100_001 - execution.LONGEST_OUTPUT:,} more characters were printed]\n")
    assert (out / "prints" / "index.html").stat().st_size < 500_000


def test_output_of_child_processes_is_kept(made):
    out, _ = made
    assert tiny.read_text(out / "parts") == "from below\nfrom the file itself\n"


def test_warnings_are_collected(made):
    out, results = made
    assert results["warns"].warnings == (
        "UserWarning: beware 0 (2 times)",
        "UserWarning: beware 1",
        "noise",
    ) or results["warns"].warnings == ("UserWarning: beware 0", "UserWarning: beware 1", "noise")
    assert "ipykernel_" not in (out / "warns" / "notebook.ipynb").read_text()
    assert results["fonts"].warnings and results["fonts"].warnings[0].startswith(
        "the font Nowhere Sans is not installed; another one was drawn instead"
    )
    assert results["good"].warnings == ()


def test_no_machine_in_the_report(made):
    out, _ = made
    for name in GOOD:
        for file in ("notebook.ipynb", "index.html", "run.json"):
            text = (out / name / file).read_text()
            assert str(out.parent) not in text and str(runs.ROOT) not in text and "papermill" not in text


# ---------------------------------------------------------------- parts


def test_warnings_that_are_many():
    lines = "".join(f"/x/site-packages/lib/mod.py:{n}: FutureWarning: number {n}\n  old_call()\n" for n in range(15))
    notebook = v4.new_notebook(
        cells=[
            v4.new_code_cell(
                "1",
                outputs=[
                    v4.new_output("stream", name="stderr", text=lines),
                    v4.new_output("stream", name="stdout", text="quiet"),
                ],
            )
        ]
    )
    execution.normalise(notebook)
    told = execution.collect_warnings(notebook)
    assert told[0] == "FutureWarning: number 0" and told[-1] == "and 5 more, in its notebook" and len(told) == 11
    printed = notebook.cells[0].outputs[1].text
    assert "/x/" not in printed and "lib/mod.py:3:" in printed


def test_streams_in_one_order():
    """What a cell prints to its two streams arrives mixed by chance."""
    parts = [
        ("stderr", "a"),
        ("stdout", "b"),
        ("stderr", "c"),
        ("", ""),
        ("stdout", "d"),
        ("stdout", "e"),
        ("stderr", "f"),
        ("stdout", "g"),
    ]
    outputs = [
        v4.new_output("stream", name=name, text=text) if name else v4.new_output("display_data") for name, text in parts
    ]
    notebook = v4.new_notebook(cells=[v4.new_code_cell("1", outputs=outputs)])
    execution.normalise(notebook)
    assert [(output.get("name"), output.get("text")) for output in notebook.cells[0].outputs] == [
        ("stdout", "b"),
        ("stderr", "ac"),
        (None, None),
        ("stdout", "deg"),
        ("stderr", "f"),
    ]


def test_state_tells_what_changed(made, tmp_path, monkeypatch):
    out, results = made
    run, report = results["good"].run, out / "good"
    state = lambda run=run, report=report: reports.state_of(run, report)
    assert state() == "up to date"
    assert state(report=out / "nowhere") == "missing"
    assert state(run=runs.replace(run, parameters={"number": 2})) == "older than the parameters"
    assert state(run=runs.replace(run, data=("groups",))) == "older than the data"
    monkeypatch.setattr(runs, "digest_package", lambda: "new")
    assert state() == "older than the package"
    monkeypatch.undo()
    assert state(run=runs.replace(run, title="New")) == "prose changed"
    for name in sorted(file for file in tiny.digest(report) if file != "run.json"):
        old = (report / name).read_bytes()
        (report / name).write_bytes(old + b" ")
        assert state() == "damaged", name
        (report / name).write_bytes(old)
    (report / "figures" / "stray.svg").write_text("")
    assert state() == "damaged"
    (report / "figures" / "stray.svg").unlink()
    stored = (report / "run.json").read_text()
    for text in ("", "{}", "[]", '{"fingerprint": 1, "prose": 2, "files": 3}', stored[:50]):
        (report / "run.json").write_text(text)
        assert state() == "missing", text
    (report / "run.json").write_text(stored)
    assert state() == "up to date"


def test_missing_kernel(tmp_path, monkeypatch):
    """A kernel specification that is not there is named, with the command that installs it."""
    from jupyter_client import kernelspec

    run = tiny.make_run(tmp_path, "one", "1")
    missing = lambda self, name: (_ for _ in ()).throw(kernelspec.NoSuchKernel(name))
    monkeypatch.setattr(kernelspec.KernelSpecManager, "get_kernel_spec", missing)
    (result,) = runner.make_all([run], tmp_path / "out", kernel=True)
    assert result.state == "failed"
    assert "no Jupyter kernel is named python3; install it with: python -m ipykernel install" in result.message


def test_braces_in_the_folder(tmp_path):
    """papermill fills braces in paths; here they are part of the name."""
    (result,) = runner.make_all([tiny.make_run(tmp_path, "one", "1")], tmp_path / "{as_of} {x}")
    assert result.state == "made", result.message


def test_refresh_keeps_outputs_and_says_what_failed(tmp_path):
    path = tiny.write_notebook(tmp_path / "a.ipynb", "number + 1")
    execution.refresh(path)
    first = path.read_bytes()
    assert json.loads(first)["cells"][2]["outputs"][0]["data"]["text/plain"] == ["2"]
    execution.refresh(path)
    assert path.read_bytes() == first
    broken = tiny.write_notebook(tmp_path / "b.ipynb", "## Here", "1 / 0").read_bytes()
    with pytest.raises(runs.RunError, match="(?s)b.ipynb failed in the section “Here”.*ZeroDivisionError"):
        execution.refresh(tmp_path / "b.ipynb")
    assert (tmp_path / "b.ipynb").read_bytes() == broken
    assert {file.name for file in tmp_path.iterdir()} == {"a.ipynb", "b.ipynb"}


def test_refresh_keeps_an_edit_saved_meanwhile(tmp_path):
    edit = f"import pathlib\nfile = pathlib.Path({str(tmp_path / 'a.ipynb')!r})\nfile.write_text('edited')"
    path = tiny.write_notebook(tmp_path / "a.ipynb", edit)
    (tmp_path / ".a.ipynb").write_text("left by a refresh that was killed")
    with pytest.raises(runs.RunError, match="a.ipynb was edited while it ran; it is as you saved it"):
        execution.refresh(path)
    assert path.read_text() == "edited" and {file.name for file in tmp_path.iterdir()} == {"a.ipynb"}


# ---------------------------------------------------------------- the command


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """`iapt` with runs of its own: what it returns and prints."""
    known = {
        "good": tiny.make_run(tmp_path, "good", "number"),
        "bad": tiny.make_run(
            tmp_path, "bad", "import warnings; warnings.warn('careful')", "## Break", "1 / 0", number=4
        ),
    }
    monkeypatch.setattr(runs, "load", lambda: known)
    for name in ("REPORTS", "RESULTS"):
        monkeypatch.setattr(cli, name, tmp_path / name.lower())
    monkeypatch.setattr(runner, "REPORTS", tmp_path / "reports")

    def call(*arguments: str) -> tuple[int, str, str]:
        try:
            code = cli.main(["report", *arguments])
        except SystemExit as refused:  # argparse
            code = refused.code
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_command_tells_of_failures(command, tmp_path):
    code, out, err = command()
    assert code == 1
    assert re.search(r"\[\d/2\] good +made .* it was missing", out) and re.search(r"2 runs in .* s: ", out)
    assert "bad with number=4" in err and "> " in err and "to run it alone: iapt report bad\n" in err
    assert err.count("ZeroDivisionError") == 1 and "Traceback" not in err
    assert "failed: bad; the last good report of each is kept" in err
    code, out, err = command("good")
    assert code == 0 and "good: unchanged, nothing it is made from has changed" in out and err == ""


def test_command_that_reproduces_a_failure_does(command, tmp_path):
    """Copied from the message, with --set and --out, it fails in the same way."""
    folder = str(tmp_path / "a folder")
    _, _, err = command("bad", "--set", "number=7", "--out", folder)
    alone = re.search(r"to run it alone: iapt report (.*)", err)[1]
    assert alone == f"bad --set number=7 --out '{folder}'"
    import shlex

    code, _, again = command(*shlex.split(alone))
    assert (
        code == 1
        and "bad-number-7 with number=7" in again
        and (tmp_path / "a folder" / "bad-number-7.failed.ipynb").exists()
    )


def test_command_collects_warnings(command, tmp_path):
    tiny.write_notebook(tmp_path / "bad.ipynb", "import sys\nprint('careful', file=sys.stderr)")
    code, out, err = command("bad")
    assert code == 0 and err == "warning: bad: careful\n"


def test_command_marks_old_reports(command, tmp_path):
    """A report whose notebook fails with new data stays, and the front page says so."""
    tiny.write_notebook(tmp_path / "bad.ipynb", "1")
    assert command()[0] == 0
    page = tmp_path / "reports" / "index.html"
    assert "older than the data" not in page.read_text()
    tiny.write_notebook(tmp_path / "bad.ipynb", "1 / 0")
    assert command()[0] == 1
    assert page.read_text().count("older than the data") == 1
    assert (tmp_path / "reports" / "bad" / "index.html").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["good", "--set", "nunber=1"],
        ["good", "--set", "number"],
        ["good", "--set", "number=x"],
        ["--each", "colour"],
        ["--limit", "0"],
        ["--limit", "soon"],
    ],
)
def test_command_asked_wrongly(command, arguments, tmp_path):
    code, out, err = command(*arguments)
    assert code == 2 and re.match("iapt( report)?: ", err.splitlines()[-1]) and "Traceback" not in err
    assert not (tmp_path / "reports").exists()


def test_a_damaged_page_around_the_reports_is_written_again(command, tmp_path):
    assert command("good")[0] == 0
    out = tmp_path / "reports"
    whole = tiny.digest(out)
    for page in ("index.html", "method/index.html", "site.json"):
        (out / page).write_bytes((out / page).read_bytes()[:100])
        code, _, err = command("good")
        assert code == 0 and (page == "site.json" or f"{page} had been edited; what you had is kept in" in err)
        assert (out / page).exists() and tiny.digest(out).items() >= whole.items(), page
        (out / page).unlink()
        assert command("good")[0] == 0 and tiny.digest(out).items() >= whole.items(), page


def test_front_page_lists_all_that_is_in_the_folder(command, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "NOTEBOOKS", tmp_path)
    assert command("good", "--set", "number=5")[0] == 0
    assert command("good", "--set", "number=6")[0] == 0
    page = (tmp_path / "results" / "index.html").read_text()
    assert "good-number-5/index.html" in page and "good-number-6/index.html" in page
    assert not (tmp_path / "results" / "README.md").exists()
    links = re.findall(r'href="([^":#]+)"', page)
    assert links and all((tmp_path / "results" / link).exists() for link in links), links


def test_a_report_made_alone_leaves_the_gallery_as_it_is(command, tmp_path):
    gallery = tmp_path / "reports" / "README.md"
    gallery.parent.mkdir()
    gallery.write_text("<!-- written by iapt report -->\nthe gallery that git keeps")
    assert command("good")[0] == 0 and "git keeps" in gallery.read_text()
    tiny.write_notebook(tmp_path / "bad.ipynb", "1")
    assert command()[0] == 0 and "git keeps" not in gallery.read_text()


def test_a_printed_document_of_somebody_is_not_replaced(command, tmp_path):
    own = tmp_path / "reports" / "reports.pdf"
    own.parent.mkdir()
    own.write_bytes(b"years of work")
    code, _, err = command("good", "--pdf")
    assert code == 2 and "reports.pdf was not written by iapt" in err and own.read_bytes() == b"years of work"


def test_runs_that_are_unchanged_are_one_line(command, tmp_path, monkeypatch):
    many = [replace(runs.load()["good"], name=f"many/{number}", asked=("many",)) for number in range(3)]
    monkeypatch.setattr(runs, "select", lambda *_: many)
    assert command("many")[1].count("many/") == 3
    out = command("many")[1]
    assert "many (3 reports): unchanged, nothing it is made from has changed\n" in out and "many/" not in out


def test_all_reports_are_made_although_nobody_reads_on(command, tmp_path, monkeypatch):
    """As in `iapt report | head -1`."""
    reading, writing = os.pipe()
    os.close(reading)
    tiny.write_notebook(tmp_path / "bad.ipynb", "1")
    with os.fdopen(writing, "w") as closed, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", closed)
        assert cli.main(["report"]) == 0
    assert all((tmp_path / "reports" / name).exists() for name in ("good/run.json", "bad/run.json", "index.html"))


@pytest.mark.parametrize("place", ["good/thesis.tex", "index.html"])
def test_command_replaces_nothing_that_is_not_its_own(command, tmp_path, place):
    """A folder of somebody's in place of a report, a page of somebody's in place of ours."""
    own = tmp_path / "papers" / place
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text("years of work")
    code, _, err = command("good", "--out", str(tmp_path / "papers"))
    assert (
        code == 2
        and "choose another place with --out" in err
        and str(own.relative_to(tmp_path)) in err.replace(" holds ", "/")
    )
    assert own.read_text() == "years of work"
    own.unlink()
    assert command("good", "--out", str(tmp_path / "papers"))[0] == 0
    assert command("good", "--out", str(tmp_path / "papers"), "--force")[0] == 0
