"""The forked kernel: as fresh as an ordinary one, with the same outputs to the byte."""

import os

import pytest
import tiny

from iapt.running import kernel

SPOIL = """
import builtins, os, random, sys, warnings
import matplotlib as mpl, numpy as np, pandas as pd
from iapt import data
from iapt import charts
left_behind = "a variable"
builtins.left_behind = "a builtin"
mpl.rcParams["lines.linewidth"] = 99
pd.set_option("display.max_rows", 3)
np.seterr(all="raise")
np.random.seed(1); random.seed(1)
os.environ["LEFT_BEHIND"] = "1"
os.chdir("/")
sys.path.append("/left/behind")
sys.modules["left_behind"] = sys
charts.MIME = 99
data.load()["england"].drop(data.load()["england"].index, inplace=True)
warnings.simplefilter("error")
"""
LOOK = """
import builtins, os, random, sys, warnings
import matplotlib as mpl, numpy as np, pandas as pd
from iapt import data
from iapt import charts
print("left_behind" in globals(), hasattr(builtins, "left_behind"), mpl.rcParams["lines.linewidth"], pd.get_option("display.max_rows"))
print([f for f in warnings.filters if f[0] == "error" and f[2] is Warning], np.geterr()["divide"], os.environ.get("LEFT_BEHIND"), os.getcwd() != "/")
print("/left/behind" in sys.path, "left_behind" in sys.modules, charts.MIME, len(data.load()["england"]) > 100)
"""
CLEAN = "False False 1.5 60\n[] warn None True\nFalse False application/vnd.iapt.chart+json True\n"


@pytest.mark.parametrize("order", [("spoil", "look"), ("look", "spoil")])
def test_nothing_reaches_another_run(tmp_path, order):
    """One after the other, in both orders: variables, rcParams, warning filters, options, environment, folder, data."""
    cells = {"spoil": SPOIL, "look": LOOK}
    results = tiny.make([tiny.make_run(tmp_path, name, cells[name]) for name in order], tmp_path / "out", workers=1)
    assert [(name, result.state) for name, result in results.items()] == [(name, "made") for name in order]
    assert tiny.read_text(tmp_path / "out" / "look") == CLEAN


def test_random_numbers_are_not_shared(tmp_path):
    chosen = [
        tiny.make_run(tmp_path, name, "import random, numpy as np\nprint(np.random.random(), random.random())")
        for name in ("a", "b", "c")
    ]
    tiny.make(chosen, tmp_path / "out")
    numbers = [number for name in ("a", "b", "c") for number in tiny.read_text(tmp_path / "out" / name).split()]
    assert len(set(numbers)) == 6


OUTPUTS = (
    tiny.CHART,
    tiny.TABLE,
    "import matplotlib.pyplot as plt\nplt.plot([1, 2], [2, 1])\nplt.title('drawn with pyplot')",
    "import warnings\nwarnings.warn('careful')\nprint('said')\nimport sys\nprint('noted', file=sys.stderr)",
    tiny.BELOW,
    "pd.DataFrame({'a': [1, 2]})",
    "from iapt import data\nstarts = data.table(['started_treatment'], 'year', as_of)\n"
    "charts.over_time(starts, title='Starts', unit='Referrals', name='access_by_year')",
    "import os\nprint(os.path.basename(os.getcwd()), __name__, '' in sys.path, sorted(n for n in globals() if not "
    "n.startswith('_')))",
)


def test_ordinary_kernel_gives_the_same(tmp_path):
    """Page, pictures, tables, notebook and state, byte for byte."""
    run = tiny.make_run(tmp_path, "one", *OUTPUTS)
    forked, ordinary = (tmp_path / name / "out" for name in ("forked", "ordinary"))
    for out in (forked, ordinary):
        out.parent.mkdir()
        results = tiny.make([run], out, kernel=out is ordinary)
        assert results["one"].state == "made", results["one"].message
        assert results["one"].warnings == ("UserWarning: careful", "noted")
    text = tiny.read_text(forked / "one")
    assert "from below\n" in text and f"{tmp_path.name} __main__ True" in text
    assert (forked / "one" / "notebook.ipynb").read_text().count('"image/png"') >= 3
    assert (forked / "one" / "notebook.ipynb").read_bytes() == (ordinary / "one" / "notebook.ipynb").read_bytes()
    assert tiny.digest(forked) == tiny.digest(ordinary)
    assert {"figures/access_by_year.png", "figures/line.svg", "tables/table.csv"} <= set(tiny.digest(forked / "one"))


def test_kernel_that_died_before_its_orders(tmp_path, monkeypatch):
    """Papermill hears at once that it did not start, instead of waiting for a minute."""
    from iapt.running import execution, failures, kernel

    monkeypatch.setenv("JUPYTER_DEFAULT_PROVISIONER_NAME", "local-provisioner")
    kernel.prepare()
    os.kill(kernel._pid, 9)
    os.waitpid(kernel._pid, 0)
    run = tiny.make_run(tmp_path, "one", "1")
    with pytest.raises(failures.KernelNotStarted, match="did not start"):
        execution.execute(run, tmp_path / "out.ipynb", run.values())
    kernel.KernelProvisionerFactory.clear_instance()


def test_a_kernel_that_cannot_start_ends_and_does_not_go_on_as_its_parent(monkeypatch):
    def fail() -> None:
        raise OSError("the port is taken")

    monkeypatch.setenv("JUPYTER_DEFAULT_PROVISIONER_NAME", "local-provisioner")
    monkeypatch.setattr(kernel, "_become_kernel", fail)
    kernel.prepare()
    os.write(kernel._orders, b"{}")
    os.close(kernel._orders)
    assert os.waitpid(kernel._pid, 0)[1] == 0
