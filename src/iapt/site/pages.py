"""One page for people: an executed notebook as self-contained HTML that contacts no other host.

Written with Jinja from the outputs themselves: nbconvert's own templates drop the alternative text of figures
and load scripts from elsewhere.
"""

import base64
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

import jinja2
import mistune

import iapt
from iapt import runs
from iapt import charts, words

TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("iapt.site"), undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
FOLDED = ("parameters", "injected-parameters", "setup", "ask")
"""Tags of cells that are part of the machinery, not of the story."""

_markdown = mistune.create_markdown(escape=True, plugins=["table"])


def to_html(text: str, *, inline: bool = False) -> str:
    """Markdown as HTML, anything in it that looks like HTML escaped; `inline` without its paragraph."""
    rendered = _markdown(text).strip()
    return rendered.removeprefix("<p>").removesuffix("</p>") if inline else rendered


def render(run: runs.Run, notebook: dict, there: Iterable[str] | None = None) -> str:
    """The page of one executed notebook, its code folded away; it links to the reports named in `there`, or to all."""
    root = "../" * (run.name.count("/") + 1)
    return fill(
        "report.html.j2",
        run.title,
        root,
        run.name,
        there,
        parts=collect_parts(notebook),
        vintage=describe_vintage(run),
        repeat=_find_twin(run, there),
    )


def _find_twin(run: runs.Run, there: Iterable[str] | None) -> dict | None:
    """The same notebook in the other vintage, to link to."""
    known = {name: run for name, run in runs.load().items() if there is None or name in there}
    name = run.name.removesuffix("-2020") if run.name.endswith("-2020") else f"{run.name}-2020"
    return (
        {"name": name, "title": known[name].title} if name in known and known[name].notebook == run.notebook else None
    )


def fill(template: str, title: str, root: str, here: str, there: Iterable[str] | None = None, **parts: object) -> str:
    """A page of the site from its template, with style, script and navigation to the reports in `there`, or all, inside it."""
    folder = Path(__file__).parent / "templates"
    style, script = ((folder / name).read_text(encoding="utf-8") for name in ("style.css", "script.js"))
    digest = base64.b64encode(hashlib.sha256(f"\n{script}".encode()).digest()).decode()
    links = [
        {"name": run.name, "title": run.title}
        for run in runs.load().values()
        if (there is None or run.name in there)
        and (not run.name.endswith("-2020") or run.name in ("target-2020", "claims-2020"))
    ]
    links.append({"name": "method", "title": "Data and method"})
    frame = {
        "title": title,
        "root": root,
        "here": here,
        "style": style,
        "script": script,
        "digest": digest,
        "links": links,
        "version": iapt.__version__,
    }
    return TEMPLATES.get_template(template).render(**({"wide": False} | frame | parts))


def describe_vintage(run: runs.Run) -> str:
    """The vintage and the other parameters of a run in one line."""
    values = run.values()
    others = (
        [run.title]
        if "/" in run.name
        else [f"{name.replace('_', ' ')} {value}" for name, value in values.items() if name != "as_of"]
    )
    return "; ".join([capitalise(words.vintage(values["as_of"])), *others])


def capitalise(text: str) -> str:
    """The text with a capital first letter, the rest as it is."""
    return text[0].upper() + text[1:]


def collect_parts(notebook: dict) -> list[dict]:
    """What a page shows of an executed notebook: heading, answer, then text, charts, tables and code in order.

    The answer is the first output of Markdown. Frames and printed text are folded away with the code that made them.
    """
    parts, answered = [], False
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        tags = set(cell["metadata"].get("tags", []))
        if cell["cell_type"] == "markdown":
            if "ask" not in tags:
                parts.append({"kind": "heading" if not parts else "html", "html": add_anchors(to_html(source))})
            continue
        shown = []
        for part in filter(None, map(_read_output, cell["outputs"])):
            if part["kind"] == "text":
                shown.append(part["text"])
            elif part["kind"] == "html" and not answered:
                answered = True
                parts.insert(1, part | {"kind": "answer"})
            else:
                parts.append(part)
        if shown or not tags & set(FOLDED):
            parts.append({"kind": "code", "text": source, "shown": shown})
    return parts


def add_anchors(text: str) -> str:
    """The HTML with an address for each heading of the second level."""
    return re.sub(r"<h2>(.*?)</h2>", lambda found: f'<h2 id="{words.slug(found[1])}">{found[1]}</h2>', text)


def _read_output(output: dict) -> dict | None:
    bundle = {
        mime: "".join(content) if isinstance(content, list) else content
        for mime, content in output.get("data", {}).items()
    }
    if charts.MIME in bundle:
        card = bundle[charts.MIME]
        narrow = base64.b64encode(card["narrow"].encode()).decode()
        return {"kind": "chart", "card": card, "narrow": narrow, **embed(bundle["image/svg+xml"])}
    if words.TABLE_MIME in bundle:
        return {"kind": "table", "card": bundle[words.TABLE_MIME], "html": bundle["text/html"]}
    if "text/markdown" in bundle:
        return {"kind": "html", "html": to_html(bundle["text/markdown"])}
    if "image/png" in bundle:
        alt = bundle.get("text/plain", "picture")
        return {"kind": "picture", "png": bundle["image/png"].strip(), "alt": alt}
    if output["output_type"] == "stream" and output["name"] == "stderr":
        return None
    text = bundle.get("text/plain") or output.get("text") or output.get("traceback", "")
    text = re.sub(r"\x1b\[[0-9;]*m", "", text if isinstance(text, str) else "\n".join(text))
    return {"kind": "text", "text": text} if text else None


def embed(svg: str) -> dict:
    """A picture to embed: the SVG in base64, with its width and height in pixels."""
    width, height = (
        round(float(re.search(rf'<svg[^>]* {side}="([\d.]+)pt"', svg).group(1)) * 4 / 3) for side in ("width", "height")
    )
    return {"svg": base64.b64encode(svg.encode()).decode(), "width": width, "height": height}
