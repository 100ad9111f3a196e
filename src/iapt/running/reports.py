"""One report: its files, and the state that it is in.

A report is a folder: `index.html`, the executed notebook, `figures/` (SVG, PNG, CSV), `tables/` (CSV) and
`run.json`, which says of which run it is and holds the digests that tell whether it is up to date.
"""

import base64
import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from iapt import runs
from iapt.paths import read_file
from iapt.running import execution


@dataclass(frozen=True)
class Basis:
    """What a report is made from, taken before any of it is read, so that it is never newer than the report.

    `links` are the names of the reports beside it that its page may link to.
    """

    fingerprint: dict[str, str]
    prose: str
    links: tuple[str, ...] = ()


def take_basis(run: runs.Run, links: Iterable[str] = ()) -> Basis:
    """The basis of a run as it is now. Raises RunError where a table or the notebook is missing."""
    return Basis(run.fingerprint(), run.prose_fingerprint(), tuple(links))


# ---------------------------------------------------------------- writing


def make(run: runs.Run, folder: Path, basis: Basis, limit: int) -> list[str]:
    """Execute a run and write its report into an empty folder; the warnings that it printed.

    Raises what `execution.execute` raises.
    """
    warned = execution.execute(run, folder / "notebook.ipynb", run.values(), limit)
    write_report(run, folder, basis)
    return warned


def write_report(run: runs.Run, folder: Path, basis: Basis) -> None:
    """Write the figures, tables and page of the executed notebook in a folder."""
    for cell in runs.read_notebook(folder / "notebook.ipynb")["cells"]:
        for output in cell.get("outputs", []):
            write_exports(output.get("data", {}), folder)
    write_page(run, folder, basis)


def write_exports(bundle: dict, folder: Path) -> None:
    """Write the figure or table that an output carries: picture files and the data as CSV."""
    from iapt import charts, words

    for mime, place in ((charts.MIME, "figures"), (words.TABLE_MIME, "tables")):
        if mime in bundle:
            (folder / place).mkdir(exist_ok=True)
            stem = folder / place / bundle[mime]["name"]
            stem.with_suffix(".csv").write_text(bundle[mime]["csv"], encoding="utf-8", newline="")
            if "image/svg+xml" in bundle:
                stem.with_suffix(".svg").write_text("".join(bundle["image/svg+xml"]), encoding="utf-8", newline="")
                stem.with_suffix(".png").write_bytes(base64.b64decode("".join(bundle["image/png"])))


def write_page(run: runs.Run, folder: Path, basis: Basis) -> None:
    """Write the page of an executed notebook, and the state that the whole folder is now in."""
    from iapt.site import pages

    page = pages.render(run, runs.read_notebook(folder / "notebook.ipynb"), basis.links)
    (folder / "index.html").write_text(page, encoding="utf-8", newline="")
    state = {
        "run": {"notebook": run.notebook.stem, "title": run.title, "parameters": run.parameters, "data": run.data},
        "fingerprint": basis.fingerprint,
        "prose": basis.prose,
        "links": basis.links,
        "files": digest_files(folder),
    }
    (folder / "run.json").write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8", newline="")


def render_again(run: runs.Run, report: Path, folder: Path, basis: Basis) -> None:
    """Write into an empty folder a copy of a report with the notebook's present prose around the outputs it has."""
    shutil.copytree(report, folder, dirs_exist_ok=True)
    notebook = runs.read_notebook(report / "notebook.ipynb")
    executed = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    cells = []
    for cell in runs.read_notebook(run.notebook)["cells"]:
        tags = {"tags": cell["metadata"]["tags"]} if cell["metadata"].get("tags") else {}
        cells.append(
            (executed.pop(0) if cell["cell_type"] == "code" else cell)
            | {"metadata": tags, "source": "".join(cell["source"]).splitlines(keepends=True)}
        )
        if executed and "injected-parameters" in executed[0]["metadata"].get("tags", []):
            cells.append(executed.pop(0))
    notebook["cells"] = [cell | {"id": f"cell-{position:02d}"} for position, cell in enumerate(cells)]
    (folder / "notebook.ipynb").write_text(
        json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8", newline=""
    )
    write_page(run, folder, basis)


def link_again(run: runs.Run, report: Path, folder: Path, links: tuple[str, ...]) -> None:
    """Write into an empty folder a copy of a report whose page has other links; its state is as it was."""
    stored = read_state(report)
    shutil.copytree(report, folder, dirs_exist_ok=True)
    write_page(run, folder, Basis(stored["fingerprint"], stored["prose"], links))


# ---------------------------------------------------------------- state


def state_of(run: runs.Run, report: Path, basis: Basis | None = None) -> str:
    """The state of a report: `up to date`, `prose changed`, `missing`, `damaged`, or `older than …`.

    Where only prose has changed the outputs are up to date. Everything that the report is older than is named:
    `older than the code and the data`.
    """
    stored = read_state(report)
    if stored is None:
        return "missing"
    now = basis or take_basis(run)
    changed = [part for part, digest in now.fingerprint.items() if stored["fingerprint"].get(part) != digest]
    if changed:
        return f"older than the {' and the '.join(changed)}"
    if stored["files"] != digest_files(report):
        return "damaged"
    return "up to date" if stored["prose"] == now.prose else "prose changed"


def read_state(report: Path) -> dict | None:
    """What a folder's `run.json` says; None where the folder is no report of ours."""
    kinds = {"run": dict, "fingerprint": dict, "prose": str, "links": list, "files": dict}
    try:
        state = json.loads(read_file(report / "run.json"))
        return state if all(isinstance(state[name], kind) for name, kind in kinds.items()) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def find_all(out: Path, known: Iterable[runs.Run]) -> list[runs.Run]:
    """The runs whose reports are in a folder: the known ones first, in their order, then others by name."""
    listed = {run.name: run for run in known}
    order = {name: place for place, name in enumerate(listed)}
    names = {
        mark.parent.relative_to(out).as_posix()
        for mark in out.glob("[!.]*/**/run.json")
        if (mark.parent / "notebook.ipynb").exists()
    }
    found = [listed.get(name) or _restore(name, read_state(out / name)) for name in names]
    return sorted(filter(None, found), key=lambda run: (order.get(run.name, len(order)), run.name))


def _restore(name: str, state: dict | None) -> runs.Run | None:
    if state is None or not (notebook := runs.path_of(state["run"]["notebook"])).exists():
        return None
    return runs.Run(name, notebook, state["run"]["title"], state["run"]["parameters"], tuple(state["run"]["data"]))


def digest_files(folder: Path) -> dict[str, str]:
    """The digest of every file of a report but `run.json`, by path; hidden files are not looked at."""
    files = {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*")) if file.is_file()}
    return {path: runs.digest_file(file) for path, file in files.items() if path != "run.json" and path[0] != "."}
