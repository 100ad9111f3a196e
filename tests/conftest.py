"""What several test modules share: vintages, a damaged copy of the data, notebooks executed once."""

import base64
import csv
import itertools
import json
import os
import shutil
from functools import cache
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import notebook
import pytest
from xdist.scheduler import LoadScopeScheduling

from iapt import data, runs
from iapt.paths import NOTEBOOKS, ROOT

VINTAGES = ("2015-03-31", "2016-06-30", "2018-06-30", "2020-05-01", "2021-12-31", "2023-06-30", "latest")


class Tables:
    """A copy of the data folder that a test may damage; rows are lists of dicts, as the csv module reads them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> list[dict[str, str]]:
        with (self.folder / f"{name}.csv").open(encoding="utf-8", newline="") as handle:
            return list(csv.DictReader(handle))

    def write(self, name: str, rows: list[dict[str, str]]) -> None:
        columns = self.columns(name)
        with (self.folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as handle:
            writer = csv.DictWriter(handle, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        data.forget()

    def columns(self, name: str) -> list[str]:
        package = json.loads((self.folder / "datapackage.json").read_text(encoding="utf-8"))
        return next(
            [field["name"] for field in part["schema"]["fields"]]
            for part in package["resources"]
            if part["name"] == name
        )

    def append(self, name: str, **row: str) -> int:
        """Add a row (columns not named stay empty); the number it has in the file."""
        rows = self.read(name)
        self.write(name, [*rows, {column: row.get(column, "") for column in self.columns(name)}])
        return len(rows) + 2

    def drop(self, name: str, **match: str) -> int:
        """Remove the rows that have all these values; how many there were."""
        rows = self.read(name)
        kept = [row for row in rows if any(row[column] != value for column, value in match.items())]
        self.write(name, kept)
        return len(rows) - len(kept)

    def change(self, name: str, new: dict[str, str], **match: str) -> int:
        """Change the first row that has all these values; its number in the file."""
        rows = self.read(name)
        position = next(i for i, row in enumerate(rows) if all(row[column] == value for column, value in match.items()))
        rows[position] |= new
        self.write(name, rows)
        return position + 2


TOGETHER = {
    "server": ("test_runner", "test_kernel", "test_cluster", *(path.stem for path in NOTEBOOKS.glob("*.ipynb"))),
    "site": ("test_site", "test_pages", "test_browser", "test_reports", "test_remote"),
    "notebooks": (
        "test_start", "test_claims", "test_finishing_recovery", "test_today", "test_hindsight", "test_prospects",
        "test_areas", "test_groups", "test_funnel", "test_inequality", "test_waits", "test_capacity",
        "test_numbers_of_record", "test_overview",
    ),
}  # fmt: skip
"""Files that use the same server of forks, the same pages or the same runs of notebooks, which are then made once."""
LONGEST = (*itertools.chain(*TOGETHER.values()), "test_additions", "test_notebooks", "test_command")
"""The files whose tests take longest begin first, so that none is left over at the end."""


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: many tests wait for another process."""
    return min(os.cpu_count() or 1, 4) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {stem: number for number, stem in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    config.option.loadscopereorder = False
    return ByFile(config, log)


class ByFile(LoadScopeScheduling):
    """Files stay whole, as the cells of a notebook run in order and the tests of a module share what is made once."""

    def _split_scope(self, nodeid: str) -> str:
        file = Path(nodeid.partition("::")[0])
        return next((name for name, stems in TOGETHER.items() if file.stem in stems), str(file))


def pytest_configure() -> None:
    """nbval, in the test command as a whole, runs the notebooks in kernels that need no start of their own."""
    if hasattr(os, "fork"):
        import kernels
        import nbval.kernel

        nbval.kernel.KernelManager = kernels.ServedManager


@pytest.fixture
def tables(tmp_path, monkeypatch) -> Tables:
    """The tables in a folder of their own, which is the data folder for as long as the test runs."""
    folder = tmp_path / "data"
    shutil.copytree(ROOT / "data", folder)
    monkeypatch.setenv("IAPT_DATA", str(folder))
    return Tables(folder)


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    """A small site of each kind of page, to read only."""
    import small_site

    return small_site.make(tmp_path_factory.mktemp("site"))


@cache
def read_notebooks() -> dict[str, dict]:
    """The committed notebooks by name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(NOTEBOOKS.glob("*.ipynb"))}


def tags_of(cell: dict) -> set[str]:
    return set(cell["metadata"].get("tags", []))


def bundle_of(value: object) -> dict:
    """What Jupyter keeps of a value that is shown: its texts and pictures by type."""
    if hasattr(value, "_repr_mimebundle_"):
        bundle = value._repr_mimebundle_()
        bundle = dict(bundle[0] if isinstance(bundle, tuple) else bundle)
    else:
        text = getattr(value, "data", None)
        bundle = {"text/plain": repr(value)} | ({"text/markdown": text} if isinstance(text, str) else {})
    png = bundle.get("image/png")
    return bundle | ({"image/png": base64.b64encode(png).decode()} if isinstance(png, bytes) else {})


def execute(name: str, as_of: str = "latest") -> dict:
    """A committed notebook of a vintage with outputs made now, in this process."""
    made = json.loads(json.dumps(read_notebooks()[name]))
    values = iter(notebook.run(name, as_of=as_of).shown)
    for cell in made["cells"]:
        if cell["cell_type"] == "code" and (value := next(values)) is not None:
            shown = {"output_type": "execute_result", "metadata": {}, "execution_count": 1, "data": bundle_of(value)}
            cell["outputs"] = [shown]
    return made


def run_of(name: str, as_of: str = "latest") -> runs.Run:
    """A run of a committed notebook that is listed under its own name."""
    return next(
        run
        for run in runs.load().values()
        if run.notebook.stem == name and run.parameters.get("as_of", "latest") == as_of
    )
