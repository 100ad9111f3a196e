"""One report: its files, and the state that it is in.

A report is a folder: `index.html`, the executed notebook, `figures/` (SVG, PNG, CSV), `tables/` (CSV) and
`run.json` with the digests that tell whether it is still up to date. `iapt.running.runner` makes many.
"""

import base64
import hashlib
import json
import shutil
from pathlib import Path

from iapt import runs
from iapt.running import execution

# ---------------------------------------------------------------- writing


def make(run: runs.Run, folder: Path, fingerprint: dict[str, str], limit: int) -> list[str]:
    """Execute a run and write its report into an empty folder; the warnings that it printed.

    `fingerprint` is that of the run before its data were read. Raises what `execution.execute` raises.
    """
    warned = execution.execute(run, folder / "notebook.ipynb", run.values(), limit)
    write_report(run, folder, fingerprint)
    return warned


def write_report(run: runs.Run, folder: Path, fingerprint: dict[str, str]) -> None:
    """Write the figures, tables and page of the executed notebook in a folder."""
    for cell in runs.read_notebook(folder / "notebook.ipynb")["cells"]:
        for output in cell.get("outputs", []):
            write_exports(output.get("data", {}), folder)
    write_page(run, folder, fingerprint)


def write_exports(bundle: dict, folder: Path) -> None:
    """Write the figure or table that an output carries: picture files and the data as CSV."""
    from iapt.show import charts, words

    for mime, place in ((charts.MIME, "figures"), (words.TABLE_MIME, "tables")):
        if mime in bundle:
            (folder / place).mkdir(exist_ok=True)
            stem = folder / place / bundle[mime]["name"]
            stem.with_suffix(".csv").write_text(bundle[mime]["csv"], encoding="utf-8", newline="")
            if "image/svg+xml" in bundle:
                stem.with_suffix(".svg").write_text("".join(bundle["image/svg+xml"]), encoding="utf-8", newline="")
                stem.with_suffix(".png").write_bytes(base64.b64decode("".join(bundle["image/png"])))


def write_page(run: runs.Run, folder: Path, fingerprint: dict[str, str]) -> None:
    """Write the page of an executed notebook, and the state that the whole folder is now in."""
    from iapt.site import pages

    (folder / "index.html").write_text(
        pages.render(run, runs.read_notebook(folder / "notebook.ipynb")), encoding="utf-8"
    )
    state = {"fingerprint": fingerprint, "prose": run.prose_fingerprint(), "files": _digest_files(folder)}
    (folder / "run.json").write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")


def render_again(run: runs.Run, report: Path, folder: Path) -> None:
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
        json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8"
    )
    write_page(run, folder, run.fingerprint())


# ---------------------------------------------------------------- state


def state_of(run: runs.Run, report: Path) -> str:
    """The state of a report: `up to date`, `prose changed` (outputs are up to date), `missing`, `damaged`, or `older than …`.

    It names everything that it is older than: `older than the code and the data`.
    """
    try:
        state = json.loads((report / "run.json").read_text(encoding="utf-8"))
        stored, prose, files = dict(state["fingerprint"]), state["prose"], state["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return "missing"
    changed = [part for part, digest in run.fingerprint().items() if stored.get(part) != digest]
    if changed:
        return f"older than the {' and the '.join(changed)}"
    if files != _digest_files(report):
        return "damaged"
    return "up to date" if prose == run.prose_fingerprint() else "prose changed"


def _digest_files(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != "run.json")
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
