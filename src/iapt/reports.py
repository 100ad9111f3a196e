"""One report: a notebook executed, its page written, and the state that the report is in.

A report is a folder: `index.html`, the executed notebook, `figures/` (SVG, PNG, CSV), `tables/` (CSV) and
`run.json` with the digests that tell whether it is still up to date. `iapt.runner` makes many.
"""

import base64
import errno
import hashlib
import itertools
import json
import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

from iapt import runs

LIMIT = 300
"""Seconds that one run may take."""
LONGEST_OUTPUT = 50_000
"""Characters of printed text that an output keeps."""
MOST_WARNINGS = 10
"""Different warnings of one run that are told."""


class KernelNotStarted(RuntimeError):
    """The kernel ended, or gave no answer, before the first cell; another attempt may succeed."""


# ---------------------------------------------------------------- execution


def make(run: runs.Run, folder: Path, fingerprint: dict[str, str], limit: int = LIMIT) -> list[str]:
    """Execute a run and write its report into an empty folder; the warnings that it printed.

    `fingerprint` is that of the run before its data were read. Raises what `execute` raises.
    """
    warned = execute(run, folder / "notebook.ipynb", run.values(), limit)
    write_report(run, folder, fingerprint)
    return warned


def execute(run: runs.Run, output: Path, values: dict[str, object], limit: int = LIMIT) -> list[str]:
    """Execute a run with papermill and write the notebook, the same bytes each time; the warnings that it printed.

    The kernel is the one that `iapt.kernel.prepare` has forked, or an ordinary Jupyter kernel where it has not.
    Raises PapermillExecutionError where a cell fails (`output` then holds the notebook so far) and KernelNotStarted.
    """
    papermill = import_papermill()
    import nbformat
    from traitlets.config import Config

    try:
        notebook = papermill.execute_notebook(
            str(run.notebook),
            str(output).replace("{", "{{").replace("}", "}}"),
            parameters=values,
            kernel_name="python3",
            language="python",
            cwd=str(run.notebook.parent),
            progress_bar=False,
            log_output=False,
            execution_timeout=limit,
            autosave_cell_every=0,
            shutdown_kernel="immediate",
            config=Config({"KernelManager": {"transport_encryption": "auto"}}),
        )
    except RuntimeError as error:
        if "before replying" in str(error) or "didn't respond" in str(error):
            raise KernelNotStarted(f"the kernel did not start: {error}") from None
        raise
    normalise(notebook)
    nbformat.write(notebook, output)
    return collect_warnings(notebook)


def import_papermill():
    """The module papermill, without the second that jsonschema spends on compiling a grammar of web addresses.

    JupyterLab brings rfc3987-syntax, which jsonschema imports where it can for a check that no notebook asks for.
    """
    hidden = {"rfc3987_syntax": None} if "rfc3987_syntax" not in sys.modules else {}
    sys.modules.update(hidden)
    import papermill

    for name in hidden:
        del sys.modules[name]
    return papermill


def normalise(notebook) -> None:
    """Strip what differs from run to run: times, paths, kernel versions, run metadata; ids become positions."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for position, cell in enumerate(notebook.cells):
        cell.id = f"cell-{position:02d}"
        cell.metadata = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
        if "outputs" in cell:
            cell.outputs = _merge_streams(cell.outputs)
        for output in cell.get("outputs", []):
            if len(output.get("text", "")) > LONGEST_OUTPUT:
                output.text = f"{output.text[:LONGEST_OUTPUT]}\n[{len(output.text) - LONGEST_OUTPUT:,} more characters were printed]\n"
            if output.get("name") == "stderr":
                output.text = re.sub(r"^/\S{0,300}ipykernel_\d+/\d+\.py:", "line ", output.text, flags=re.MULTILINE)
                output.text = re.sub(r"^/\S{0,300}/([\w.-]+/[\w.-]+\.py:\d+: )", r"\1", output.text, flags=re.MULTILINE)


def _merge_streams(outputs: list) -> list:
    """The outputs with what was printed between two others as one text and then one of errors: how they mix is chance."""
    merged: list = []
    for output in outputs:
        before = list(itertools.takewhile(lambda earlier: earlier.output_type == "stream", reversed(merged)))
        same = next((earlier for earlier in before if earlier.name == output.get("name")), None)
        if same:
            same.text += output.text
        elif before and output.get("name") == "stdout":
            merged.insert(-1, output)
        else:
            merged.append(output)
    return merged


def collect_warnings(notebook) -> list[str]:
    """The different lines that a notebook printed to its error output, with how often each came."""
    lines: Counter[str] = Counter()
    for text in (output.text for cell in notebook.cells for output in cell.get("outputs", []) if output.get("name") == "stderr"):
        warned = False
        for line in filter(str.strip, text.splitlines()):
            if not (warned and line.startswith("  ")):  # the line of code that follows a warning
                lines[_word_warning(line)] += 1
            warned = "Warning: " in line
    told = [f"{line} ({times} times)" if times > 1 else line for line, times in lines.items()]
    return told if len(told) <= MOST_WARNINGS else [*told[:MOST_WARNINGS], f"and {len(told) - MOST_WARNINGS} more, in its notebook"]


def _word_warning(line: str) -> str:
    missing = re.search(r"findfont: Font family \W*([\w .-]+?)\W* not found", line)
    if missing:
        return f"the font {missing[1]} is not installed; another one was drawn instead"
    return re.sub(r"^(line \d+|\S+:\d+): (?=\w*Warning: )", "", line).strip()


def refresh(path: Path) -> None:
    """Run a committed notebook with its defaults in an ordinary kernel and keep its outputs, normalised.

    Raises RunError, with the cell, where it fails; the notebook is as it was then.
    """
    run = runs.Run(path.stem, path, path.stem)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / path.name
        try:
            execute(run, output, {})
        except Exception as error:
            raise runs.RunError(f"{path.name} failed {explain(error, output)}") from None
        shutil.copyfile(output, path.with_name(f".{path.name}"))
    os.replace(path.with_name(f".{path.name}"), path)


# ---------------------------------------------------------------- writing


def write_report(run: runs.Run, folder: Path, fingerprint: dict[str, str]) -> None:
    """Write the figures, tables and page of the executed notebook in a folder."""
    for cell in runs.read_notebook(folder / "notebook.ipynb")["cells"]:
        for output in cell.get("outputs", []):
            write_exports(output.get("data", {}), folder)
    write_page(run, folder, fingerprint)


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


def write_page(run: runs.Run, folder: Path, fingerprint: dict[str, str]) -> None:
    """Write the page of an executed notebook, and the state that the whole folder is now in."""
    from iapt import pages

    (folder / "index.html").write_text(pages.render(run, runs.read_notebook(folder / "notebook.ipynb")), encoding="utf-8")
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
        cells.append((executed.pop(0) if cell["cell_type"] == "code" else cell) | {"metadata": tags, "source": "".join(cell["source"]).splitlines(keepends=True)})
        if executed and "injected-parameters" in executed[0]["metadata"].get("tags", []):
            cells.append(executed.pop(0))
    notebook["cells"] = [cell | {"id": f"cell-{position:02d}"} for position, cell in enumerate(cells)]
    (folder / "notebook.ipynb").write_text(json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
    write_page(run, folder, run.fingerprint())


# ---------------------------------------------------------------- state


def state_of(run: runs.Run, report: Path) -> str:
    """`up to date`, `prose changed` (its outputs are up to date), `missing`, `damaged`, or what it is older than, such as `older than the data`."""
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


# ---------------------------------------------------------------- failure


def explain(error: BaseException | str, partial: Path) -> str:
    """Where and how a run failed, in one block: nearest heading, the lines that failed, the error.

    `partial` is the notebook as papermill last wrote it, if it did.
    """
    from jupyter_client.kernelspec import NoSuchKernel
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    if isinstance(error, PapermillExecutionError):
        trace = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback))
        numbers = re.findall(rf"Cell In\[{error.exec_count}\], line (\d+)", trace)
        frames = re.findall(r"^File (\S+?):(\d+), in (\w+)", trace, re.MULTILINE)
        raised = f"\n(raised in {'/'.join(Path(frames[-1][0]).parts[-2:])}, line {frames[-1][1]}, in {frames[-1][2]})" if frames else ""
        return f"{_locate(partial, int(numbers[-1]) if numbers else 0)}\n{error.ename}: {error.evalue}{raised}"
    if isinstance(error, DeadKernelError):
        error = "the kernel died: a cell ended it, or the system did (out of memory?)"
    elif isinstance(error, CellTimeoutError):
        error = "the cell took too long"
    elif isinstance(error, OSError):
        return describe_trouble(error, partial)
    elif isinstance(error, NoSuchKernel):
        error = f"there is no Jupyter kernel named {error.name}; install it with: python -m ipykernel install --sys-prefix"
    elif isinstance(error, KernelNotStarted):
        error = str(error)
    elif isinstance(error, BaseException):
        error = f"{type(error).__name__}: {error}"
    return f"{_locate(partial)}\n{error}"


def _locate(partial: Path, number: int = 0) -> str:
    """The heading above the cell in which a notebook stopped, and the cell's lines around a line number."""
    try:
        cells = [cell for cell in runs.read_notebook(partial)["cells"] if "papermill-error-cell-tag" not in cell["metadata"].get("tags", [])]
    except (runs.RunError, OSError):
        return "in a cell that is not known"
    started = [i for i, cell in enumerate(cells) if cell["metadata"].get("papermill", {}).get("start_time") and cell["cell_type"] == "code"]
    if not started:
        return "before its first cell"
    prose = [line for cell in cells[: started[-1]] if cell["cell_type"] == "markdown" for line in "".join(cell["source"]).splitlines()]
    heading = next((line.strip("# ") for line in reversed(prose) if line.startswith("#")), "start")
    lines = "".join(cells[started[-1]]["source"]).splitlines()
    first = max(0, number - 3)
    shown = [f"{'>' if i == number else ' '} {i:>3}  {line}" for i, line in enumerate(lines[first : first + 6], start=first + 1)]
    return "\n".join([f"in the section “{heading}”:", *shown])


def describe_trouble(error: OSError, place: Path) -> str:
    """What a failing disk or folder means for the person at the keyboard."""
    where = error.filename or place
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"the disk is full at {where}; free some space and run it again (nothing was replaced)"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{where} cannot be written; choose another folder with --out (nothing was replaced)"
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"{where} is a file, not a folder; choose another folder with --out"
    return f"{type(error).__name__}: {error}"
