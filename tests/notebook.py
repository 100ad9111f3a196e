"""Notebooks run in the process of a test, so that the test can look at their DataFrames, charts and tables by name."""

import __future__
import ast
import json
from functools import cache
from pathlib import Path

from IPython.display import Markdown

from iapt import data
from iapt.charts import Chart
from iapt.paths import NOTEBOOKS
from iapt.words import Table


class Shown(dict):
    """The names that a notebook leaves behind; `shown` holds what its cells of code display, in order."""

    shown: list[object]

    def named(self, name: str) -> object:
        """The chart or table of this name. Raises StopIteration where the notebook shows none."""
        return next(result for result in self.shown if isinstance(result, Chart | Table) and result.name == name)

    def write(self) -> list[str]:
        """What is shown, as text: words and data of charts, tables, headline, frames."""
        texts = []
        for part in self.shown:
            if isinstance(part, Chart):
                texts += [part.title, part.unit, part.alt, part.caption, part.data.to_csv()]
            elif isinstance(part, Table):
                texts += [part.caption, part._as_shown().to_csv()]
            else:
                texts.append(getattr(part, "data", None) or str(part))
        return texts

    @property
    def headline(self) -> str:
        return next(result.data for result in self.shown if isinstance(result, Markdown))


def run(stem: str, edit: dict[str, str] | None = None, **parameters: object) -> Shown:
    """Run the code cells of a notebook with these parameters, after replacing text in them as `edit` says.

    The same run of the same tables is made once. An edit whose text is in no cell fails.
    """
    return _run(stem, tuple((edit or {}).items()), tuple(sorted(parameters.items())), *_state_of(data.folder()))


def _state_of(folder: Path) -> tuple[Path, int]:
    return folder, max(path.stat().st_mtime_ns for path in folder.iterdir())


@cache
def _run(stem: str, edit: tuple, parameters: tuple, *_state: object) -> Shown:
    names, shown, left = Shown(), [], {old for old, _ in edit}
    for cell in json.loads((NOTEBOOKS / f"{stem}.ipynb").read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        source = "".join(cell["source"])
        left -= {old for old in left if old in source}
        for old, new in edit:
            source = source.replace(old, new)
        *body, last = ast.parse(source).body
        if not isinstance(last, ast.Expr):
            body, last = [*body, last], None
        exec(compile(ast.Module(body, []), stem, "exec", __future__.annotations.compiler_flag), names)
        shown.append(eval(compile(ast.Expression(last.value), stem, "eval"), names) if last else None)
        if "parameters" in cell["metadata"].get("tags", []):
            names.update(parameters)
    assert not left, f"{stem} has no {left} to edit"
    names.shown = shown
    return names
