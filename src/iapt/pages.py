"""Pages for people: an executed notebook as one self-contained HTML page, the index, and the gallery.

The pages are written with Jinja from the outputs themselves, as nbconvert's templates lose the alternative
text of figures and load scripts from other hosts.
"""

import base64
import os
import re
from pathlib import Path

import jinja2
import mistune

import iapt
from iapt import charts, runs, words

TEMPLATES = jinja2.Environment(loader=jinja2.PackageLoader("iapt"), undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
FOLDED = ("parameters", "injected-parameters", "setup")
"""Tags of cells that are part of the machinery, not of the story."""

_markdown = mistune.create_markdown(escape=True, plugins=["table"])


def render(run: runs.Run, notebook: dict) -> str:
    """The page of one executed notebook. Its code is folded away; all text from outputs is escaped."""
    return TEMPLATES.get_template("report.html.j2").render(
        **_frame(run.title, "../", run.name), parts=_collect_parts(notebook), vintage=describe_vintage(run)
    )


def describe_vintage(run: runs.Run) -> str:
    """The vintage and parameters of a run in one line."""
    values = run.values()
    others = ", ".join(f"{name} {value}" for name, value in values.items() if name != "as_of")
    return _capitalise(words.vintage(values["as_of"])) + (f"; {others}" if others else "")


def _capitalise(text: str) -> str:
    return text[0].upper() + text[1:]


def _frame(title: str, root: str, here: str) -> dict:
    style = (Path(__file__).parent / "templates" / "style.css").read_text(encoding="utf-8")
    return {"title": title, "root": root, "here": here, "style": style, "links": list(runs.load().values()), "version": iapt.__version__, "wide": not here}


def _collect_parts(notebook: dict) -> list[dict]:
    parts, answered = [], False
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append({"kind": "heading" if not parts else "html", "html": _markdown(source)})
            continue
        outputs = [_read_output(output) for output in cell["outputs"]]
        for part in filter(None, outputs):
            if part["kind"] == "html" and not answered:
                part["kind"], answered = "answer", True
            parts.append(part)
        if not set(FOLDED) & set(cell["metadata"].get("tags", [])):
            parts.append({"kind": "code", "text": source})
    return parts


def _read_output(output: dict) -> dict | None:
    bundle = output.get("data", {})
    if charts.MIME in bundle:
        return {"kind": "chart", "card": bundle[charts.MIME], **_embed(bundle["image/svg+xml"])}
    if words.TABLE_MIME in bundle:
        return {"kind": "table", "card": bundle[words.TABLE_MIME], "html": bundle["text/html"]}
    if "text/markdown" in bundle:
        return {"kind": "html", "html": _markdown(bundle["text/markdown"])}
    if "image/png" in bundle:
        return {"kind": "html", "html": f'<p><img src="data:image/png;base64,{bundle["image/png"].strip()}" alt=""></p>'}
    text = bundle.get("text/plain") or output.get("text") or "\n".join(output.get("traceback", []))
    return {"kind": "text", "text": re.sub(r"\x1b\[[0-9;]*m", "", text)} if text else None


def _embed(svg: str) -> dict:
    width, height = (round(float(re.search(rf'<svg[^>]* {side}="([\d.]+)pt"', svg).group(1)) * 4 / 3) for side in ("width", "height"))
    return {"svg": base64.b64encode(svg.encode()).decode(), "width": width, "height": height}


# ---------------------------------------------------------------- index and gallery


def read_card(run: runs.Run, folder: Path) -> dict:
    """What the index says of a report: its answer, its first figure, its vintage."""
    notebook = runs.read_notebook(folder / "notebook.ipynb")
    bundles = [output["data"] for cell in notebook["cells"] if cell["cell_type"] == "code" for output in cell["outputs"] if "data" in output]
    answer = next(("".join(bundle["text/markdown"]) for bundle in bundles if "text/markdown" in bundle), "")
    card = {"name": run.name, "title": run.title, "answer_text": answer, "answer": mistune.html(answer).strip().removeprefix("<p>").removesuffix("</p>"), "vintage": describe_vintage(run), "svg": "", "alt": ""}
    chart = next((bundle for bundle in bundles if charts.MIME in bundle), None)
    if chart:
        card |= {"alt": chart[charts.MIME]["alt"], "figure": chart[charts.MIME]["name"], "headline": chart[charts.MIME]["title"], **_embed("".join(chart["image/svg+xml"]))}
    return card


def write_index(all_runs: list[runs.Run], out: Path) -> None:
    """Write the index of the reports that are there, and the gallery that a repository's front shows."""
    cards = [read_card(run, out / run.name) for run in all_runs if (out / run.name / "notebook.ipynb").exists()]
    if not cards:
        return
    newest = [card for card in cards if not card["name"].endswith("-2020")]
    then = [card for card in cards if card["name"].endswith("-2020")]
    groups = [{"title": title, "cards": group} for title, group in (("Today", newest), ("As it stood in May 2020", then)) if group]
    page = TEMPLATES.get_template("index.html.j2").render(
        **_frame("Access to NHS psychological therapies in England", "", ""), groups=groups, answer=f"<p>{cards[0]['answer']}</p>", vintage=_capitalise(words.vintage("latest"))
    )
    _replace(out / "index.html", page)
    _replace(out / "README.md", _write_gallery(cards))


def _write_gallery(cards: list[dict]) -> str:
    lines = ["# Reports", "", "Made by `make reports` from the figures in `data/`; open `index.html` for the pages.", ""]
    for card in cards:
        lines += [f"## {card['title']}", "", card["answer_text"], ""]
        if "figure" in card:
            lines += [f"![{card['alt']}]({card['name']}/figures/{card['figure']}.svg)", ""]
    return "\n".join(lines)


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)
