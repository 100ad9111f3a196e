"""One page for people: an executed notebook as self-contained HTML that contacts no other host.

Written with Jinja from the outputs themselves: nbconvert's own templates drop the alternative text of figures
and load scripts from elsewhere.
"""

import base64
import hashlib
import html
import re
from collections.abc import Iterable
from functools import cache
from itertools import cycle
from pathlib import Path

import jinja2
import mistune

from iapt import charts, data, runs, words
from iapt.site import about, links

TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("iapt.site"), undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
TEMPLATES.filters["zip"] = zip
FOLDED = ("parameters", "injected-parameters", "setup", "ask")
"""Tags of cells that are part of the machinery, not of the story."""
ANNUAL = {"08_area": "areas", "09_areas_compared": "areas", "10_groups": "groups"}
"""Notebooks whose figures come out once a year, and the table that holds these."""

_markdown = mistune.create_markdown(escape=True, plugins=["table"])


def to_html(text: str, *, inline: bool = False) -> str:
    """Markdown as HTML, anything in it that looks like HTML escaped; `inline` without its paragraph."""
    rendered = _markdown(text).strip()
    return rendered.removeprefix("<p>").removesuffix("</p>") if inline else rendered


def render(run: runs.Run, notebook: dict, there: Iterable[str] | None = None) -> str:
    """The page of one executed notebook, its code folded away; it links to the reports named in `there`, or to all."""
    there = list_names(there)
    parts = collect_parts(notebook)
    if "/" in run.name and parts[0]["kind"] == "heading":
        question = parts[0]["html"].replace("<h1>", '<p class="question">').replace("</h1>", "</p>")
        parts[0] = parts[0] | {"html": f"<h1>{html.escape(run.title)}</h1>\n{question}"}
    if (area := run.parameters.get("area")) and (note := links.describe_successors(area, there, find_root(run.name))):
        parts.insert(2, {"kind": "note", "html": note})
    first = {part["kind"]: part for part in reversed(parts)}
    return fill(
        "report.html.j2",
        run.title,
        run.name,
        there,
        description=first.get("answer", {}).get("plain", run.title),
        picture=f"figures/{first['chart']['card']['name']}.png" if "chart" in first else "",
        parts=finish(parts, run.name, there),
        vintage=describe_vintage(run),
        settings="" if run.name in there or run.name in runs.load() else describe_settings(run),
        repeat=_find_twin(run, there),
    )


def list_names(there: Iterable[str] | None) -> list[str]:
    """The names of these reports, or of all reports that can be made."""
    return [run.name for run in runs.list_all(runs.load())] if there is None else list(there)


def find_root(folder: str) -> str:
    """The way from a page in a folder of the site to its front."""
    return "../" * (folder.count("/") + 1) if folder else ""


def _find_twin(run: runs.Run, there: list[str]) -> dict | None:
    """The same notebook in the other vintage, to link to."""
    name = run.name.removesuffix("-2020") if run.name.endswith("-2020") else f"{run.name}-2020"
    twin = runs.load().get(name)
    return {"name": name, "title": twin.title} if twin and name in there and twin.notebook == run.notebook else None


def fill(template: str, title: str, folder: str, there: Iterable[str] | None = None, **parts: object) -> str:
    """The page of a folder of the site from its template, with style, script, menu and what all pages say.

    `there` are the names of the reports beside it.
    """
    style, script = _read_frame()
    menu, address, path = about.menu(list_names(there)), about.address(), f"{folder}/" if folder else ""
    frame = {
        "title": title,
        "site": about.SITE,
        "folder": folder,
        "root": find_root(folder),
        "path": f"{path}index.html",
        "shared": address and address + path,
        "style": style,
        "script": script,
        "digest": base64.b64encode(hashlib.sha256(f"\n{script}".encode()).digest()).decode(),
        "menu": menu,
        "with_downloads": len(menu) > 1,
        "address": address,
        "cite": about.citation(),
        "dates": about.dates(),
        "description": f"{title}: official figures on NHS talking therapies in England, with their sources.",
        "picture": "",
    }
    return TEMPLATES.get_template(template).render(frame | parts)


@cache
def _read_frame() -> tuple[str, str]:
    folder = Path(__file__).parent / "templates"
    return tuple((folder / name).read_text(encoding="utf-8") for name in ("style.css", "script.js"))


def describe_vintage(run: runs.Run) -> str:
    """Of when the figures of a run are: its vintage, and the newest year where figures of it come out once a year."""
    as_of = run.values()["as_of"]
    known, table = capitalise(words.vintage(as_of)), ANNUAL.get(run.notebook.stem)
    newest = find_newest(table or "areas", as_of) if table or "areas" in run.data else ""
    if not newest:
        return known
    return f"{known.partition(',')[0]}, to {newest}" if table else f"{known}; annual reports to {newest}"


@data.remember
def find_newest(table: str, as_of: str) -> str:
    """The newest year of a table that was known on a day, for people; empty where none was."""
    held = data.known(as_of, table)["period"]
    return words.when(held.max()) if len(held) else ""


def describe_settings(run: runs.Run) -> str:
    """The parameters that a run was asked for, in one line."""
    values = {name.replace("_", " "): value for name, value in run.parameters.items() if name != "as_of"}
    shown = (f"{name}: {value:,}" if isinstance(value, int) else f"{name}: {value}" for name, value in values.items())
    return write_years("; ".join(shown))


def write_years(text: str) -> str:
    """The text with its financial years as people write them: `2023-24` is `2023/24`; a date stays a date."""
    return re.sub(r"\b(\d{4})-(\d\d)\b(?!-)", r"\1/\2", text)


def capitalise(text: str) -> str:
    """The text with a capital first letter, the rest as it is."""
    return text[0].upper() + text[1:]


def collect_parts(notebook: dict) -> list[dict]:
    """What a page shows of an executed notebook: heading, answer, then text, charts and tables in order.

    The answer is the first output of Markdown. The code of a section, with the frames and text that it printed, is
    folded away at the end of the section. The table of sources comes last.
    """
    parts, cells, answered = [], [], False
    for cell in notebook["cells"]:
        source, tags = "".join(cell["source"]), set(cell["metadata"].get("tags", []))
        if cell["cell_type"] == "markdown":
            if cells and source.startswith("## "):
                parts.append({"kind": "code", "cells": cells})
                cells = []
            if "ask" not in tags:
                title = source.partition("\n")[0].removeprefix("# ")
                parts.append({"kind": "html" if parts else "heading", "html": to_html(source), "title": title})
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
            cells.append({"text": source, "shown": shown})
    parts += [{"kind": "code", "cells": cells}] if cells else []
    return sorted(parts, key=lambda part: part["kind"] == "table" and part["card"]["name"] == "sources")


def finish(parts: list[dict], folder: str, there: list[str]) -> list[dict]:
    """The parts with addresses for headings, figures and tables, terms and areas linked, and a contents list."""
    root, seen, finished, contents = find_root(folder), set(), [], []
    taken = {part["card"]["name"] for part in parts if part["kind"] == "chart"}
    areas = links.find_pages(name for name in there if name != folder)
    for part in parts:
        if part["kind"] in ("html", "answer"):
            text, headings = add_anchors(part["html"], taken)
            contents += headings
            part = part | {"html": links.link_terms(links.mend_links(text, there, root), root, seen)}
        elif part["kind"] == "table":
            name = _take(f"table_{part['card']['name']}", taken)
            part = part | {"id": name, "html": links.link_names(mend_table(part["html"]), areas, root)}
        finished.append(part)
    if len(contents) > 2:
        top = [place for place, part in enumerate(finished[:3]) if part["kind"] in ("heading", "answer", "note")]
        finished.insert(max(top, default=0) + 1, {"kind": "contents", "links": contents})
    return finished


def mend_table(text: str) -> str:
    """The HTML of a table whose caption stays whole when it scrolls; long words can be broken, dates cannot.

    Where a cell holds much text, each says the name of its column, for a telephone that shows rows as lists.
    """
    if re.search(r"<td>[^<]{112,}", text):
        heads = cycle(re.findall(r"<th(?=[ >])[^>]*>(.*?)</th>", text))
        text = re.sub(r"<td(?=[ >])", lambda _: f'<td data-head="{next(heads)}"', text)
        text = text.replace('class="table"', 'class="table prose"')
    text = re.sub(r"(?<=>)(\d{4})-(\d\d)-(\d\d)(?=</td>)", "\\1\u2011\\2\u2011\\3", text)
    text = re.sub(r"<caption>(.*?)</caption>", r"<caption><span>\1</span></caption>", text)
    give_way = lambda word: re.sub(r"([/_.-])(?=\w)", r"\1<wbr>", word[0])
    return re.sub(r"[^\s<>]{25,}(?=[^<>]*<)", give_way, text)


def add_anchors(text: str, taken: set[str]) -> tuple[str, list[tuple[str, str]]]:
    """The HTML with an address for each heading, and address and text of those of the second level.

    No address is one of those `taken`, to which the new ones are added.
    """
    contents = []

    def name(found: re.Match) -> str:
        plain = re.sub(r"<[^>]+>", "", found[2])
        address = _take(words.slug(html.unescape(plain)) or "section", taken)
        if found[1] == "2":
            contents.append((address, plain))
        return f'<h{found[1]} id="{address}">{found[2]}</h{found[1]}>'

    return re.sub(r"<h([2-4])>(.*?)</h\1>", name, text), contents


def _take(name: str, taken: set[str]) -> str:
    free = next(each for each in (name, *(f"{name}_{number}" for number in range(2, 1000))) if each not in taken)
    taken.add(free)
    return free


def _read_output(output: dict) -> dict | None:
    bundle = {
        mime: "".join(content) if isinstance(content, list) else content
        for mime, content in output.get("data", {}).items()
    }
    if charts.MIME in bundle:
        card, svg = bundle[charts.MIME], bundle["image/svg+xml"]
        return {"kind": "chart", "card": card, "inline": svg, "wide": embed(svg), "narrow": embed(card["narrow"])}
    if words.TABLE_MIME in bundle:
        return {"kind": "table", "card": bundle[words.TABLE_MIME], "html": bundle["text/html"]}
    if "text/markdown" in bundle:
        text, shown = bundle["text/markdown"], to_html(bundle["text/markdown"])
        return {"kind": "html", "html": shown, "plain": html.unescape(re.sub(r"<[^>]+>", "", shown)), "text": text}
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
    sides = {side: re.search(rf'<svg[^>]* {side}="([\d.]+)pt"', svg)[1] for side in ("width", "height")}
    pixels = {side: round(float(points) * 4 / 3) for side, points in sides.items()}
    return pixels | {"svg": base64.b64encode(svg.encode()).decode()}
