"""A notebook executed by papermill, and its outputs made the same each time."""

import itertools
import os
import re
import shutil
import tempfile
from collections import Counter
from pathlib import Path

from iapt import runs
from iapt.running import failures

LIMIT = 300
"""Seconds that one run may take."""
LONGEST_OUTPUT = 50_000
"""Characters of printed text that an output keeps."""
MOST_WARNINGS = 10
"""Different warnings of one run that are told."""


def execute(run: runs.Run, output: Path, values: dict[str, object], limit: int = LIMIT) -> list[str]:
    """Execute a run with papermill and write the notebook, the same bytes each time; the warnings that it printed.

    The kernel is the one that `iapt.running.kernel.prepare` has forked, or an ordinary Jupyter kernel where it has not.
    Raises PapermillExecutionError where a cell fails (`output` then holds the notebook so far) and KernelNotStarted.
    """
    from iapt.running import engine  # isort: skip

    import nbformat
    from traitlets.config import Config

    try:
        notebook = engine.execute_notebook(
            str(run.notebook),
            str(output).replace("{", "{{").replace("}", "}}"),
            parameters=values,
            engine_name=engine.NAME,
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
            raise failures.KernelNotStarted(f"the kernel did not start: {error}") from None
        raise
    normalise(notebook)
    nbformat.write(notebook, output)
    return collect_warnings(notebook)


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
            if (more := len(output.get("text", "")) - LONGEST_OUTPUT) > 0:
                output.text = f"{output.text[:LONGEST_OUTPUT]}\n[{more:,} more characters were printed]\n"
            if output.get("name") == "stderr":
                output.text = re.sub(r"^/\S{0,300}ipykernel_\d+/\d+\.py:", "line ", output.text, flags=re.MULTILINE)
                output.text = re.sub(r"^/\S{0,300}/([\w.-]+/[\w.-]+\.py:\d+: )", r"\1", output.text, flags=re.MULTILINE)


def _merge_streams(outputs: list) -> list:
    """Between two other outputs, what was printed as one text, then errors as one: how they mix is chance."""
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
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    for text in (output.text for output in outputs if output.get("name") == "stderr"):
        warned = False
        for line in filter(str.strip, text.splitlines()):
            if not (warned and line.startswith("  ")):  # the line of code that follows a warning
                lines[_word_warning(line)] += 1
            warned = "Warning: " in line
    told = [f"{line} ({times} times)" if times > 1 else line for line, times in lines.items()]
    more = len(told) - MOST_WARNINGS
    return [*told[:MOST_WARNINGS], *([f"and {more} more, in its notebook"] if more > 0 else [])]


def _word_warning(line: str) -> str:
    missing = re.search(r"findfont: Font family \W*([\w .-]+?)\W* not found", line)
    if missing:
        return f"the font {missing[1]} is not installed; another one was drawn instead"
    return re.sub(r"^(line \d+|\S+:\d+): (?=\w*Warning: )", "", line).strip()


def refresh(path: Path) -> None:
    """Run a committed notebook with its defaults in an ordinary kernel and keep its outputs, normalised.

    Raises RunError, with the cell, where it fails, and where somebody edited the notebook meanwhile; it then stays.
    """
    run, read = runs.Run(path.stem, path, path.stem), path.read_bytes()
    beside = path.with_name(f".{path.name}")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        output = Path(folder) / path.name
        try:
            execute(run, output, {})
        except Exception as error:
            raise runs.RunError(f"{path.name} failed {failures.explain(error, output)}") from None
        try:
            shutil.copyfile(output, beside)
            shutil.copymode(path, beside)
            if path.read_bytes() != read:
                raise runs.RunError(f"{path.name} was edited while it ran; it is as you saved it: refresh it again")
            os.replace(beside, path)
        except OSError as error:
            raise runs.RunError(f"{path.name}: {failures.describe_trouble(error, path)}") from None
        finally:
            beside.unlink(missing_ok=True)
