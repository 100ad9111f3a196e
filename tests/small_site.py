"""A small site of each kind of page, its notebooks run in this process."""

import copy
import json
from pathlib import Path

import notebook as notebooks
import tiny
from conftest import bundle_of, read_notebooks

from iapt import runs
from iapt.running import reports, runner

NAMES = ("access", "waits", "claims-2020", "areas/e92000001", "areas/qwo", "areas/qhg")


def execute(run: runs.Run) -> dict:
    """The notebook of a run with the outputs that it has now."""
    notebook = copy.deepcopy(read_notebooks()[run.notebook.stem])
    values = iter(notebooks.run(run.notebook.stem, **run.values()).shown)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            value = next(values)
            shown = {"output_type": "execute_result", "metadata": {}, "execution_count": 1}
            cell["outputs"] = [] if value is None else [shown | {"data": bundle_of(value)}]
    return notebook


def list_states() -> list[tuple[runs.Run, str]]:
    """The runs of the site, each with the state of its report."""
    chosen = [run for run in runs.list_all(runs.load()) if run.name in NAMES]
    return [(run, "older than the data" if run.name == "waits" else "up to date") for run in chosen]


def make(out: Path) -> Path:
    """Write the reports and all pages around them into a folder."""
    chosen = [run for run, _ in list_states()]
    links = runner.name_links(chosen)
    for run in chosen:
        (out / run.name).mkdir(parents=True)
        (out / run.name / "notebook.ipynb").write_text(json.dumps(execute(run)), encoding="utf-8")
        reports.write_report(run, out / run.name, reports.Basis({}, "", links))
    tiny.write_site(list_states(), out)
    return out
