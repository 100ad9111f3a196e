"""Links that pages get by what they say: terms to the glossary, names of areas to the pages of these."""

import html
import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from iapt import data, words
from iapt.site import AROUND, OF_AREAS, about

QUIET = ("a", "h1", "h2", "h3", "h4", "code", "pre", "summary")
"""Elements whose words are not linked."""


@cache
def terms() -> dict[str, dict]:
    """Each term with its `meaning`, the `words` by which a text uses it, and its `id`."""
    entries = tomllib.loads((Path(__file__).parent / "templates" / "glossary.toml").read_text(encoding="utf-8"))
    return {
        name: {"id": words.slug(name), "words": entry.get("words", [name]), "meaning": entry["meaning"]}
        for name, entry in sorted(entries.items(), key=lambda item: item[0].lower())
    }


@cache
def _pattern() -> tuple[re.Pattern, dict[str, str]]:
    ids = {word.lower(): entry["id"] for entry in terms().values() for word in entry["words"]}
    longest = sorted(ids, key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, longest))})\b", re.IGNORECASE), ids


def link_terms(text: str, root: str, seen: set[str]) -> str:
    """The HTML with each term that is not in `seen` linked to the glossary at its first use; `seen` grows by these.

    `root` leads from the page to the front of the site.
    """
    pattern, ids = _pattern()
    quiet, parts = 0, []

    def refer(found: re.Match) -> str:
        term = ids[found[0].lower()]
        if term in seen:
            return found[0]
        seen.add(term)
        return f'<a class="term" href="{root}glossary/index.html#{term}">{found[0]}</a>'

    for part in re.split(r"(<[^>]+>)", text):
        tag = re.match(r"<(/?)(\w+)", part)
        if tag and tag[2] in QUIET:
            quiet += -1 if tag[1] else 1
        parts.append(part if tag or quiet else pattern.sub(refer, part))
    return "".join(parts)


def mend_links(text: str, there: Iterable[str], root: str) -> str:
    """The HTML with its links to other reports, written as from one beside them, made to fit or taken out."""
    there = {*there, *AROUND}
    there |= set(OF_AREAS) if any(name.startswith("areas/") for name in there) else set()

    def refer(found: re.Match) -> str:
        page = found[1]
        return f'<a href="{root}{page}/index.html{found[2]}">{found[3]}</a>' if page in there else found[3]

    return re.sub(r'<a href="(?:\.\./)+([\w-]+(?:/[\w-]+)?)/index\.html(#[^"]*|)">(.*?)</a>', refer, text)


def find_pages(there: Iterable[str]) -> dict[str, str]:
    """The names of areas as HTML, with the folders of their pages, as far as these are there."""
    places, there = data.places()["name"], set(there)
    pages = {html.escape(name): f"areas/{code.lower()}" for code, name in places.items()}
    return {name: page for name, page in pages.items() if page in there}


def link_names(text: str, pages: dict[str, str], root: str) -> str:
    """The HTML of a table with the names of areas linked to their pages."""

    def refer(found: re.Match) -> str:
        page = pages.get(found[2])
        return f'{found[1]}<a href="{root}{page}/index.html">{found[2]}</a></td>' if page else found[0]

    return re.sub(r"(<td[^>]*>)([^<]+)</td>", refer, text) if pages else text


def refer_to_area(code: str, there: list[str], root: str) -> str:
    """The name of an area as HTML, linked to its page, or to its line in the index of areas where that has one."""
    place, page = data.places().loc[code], f"areas/{code.lower()}"
    name = html.escape(place["name"])
    if page in there:
        return f'<a href="{root}{page}/index.html">{name}</a>'
    return f'<a href="{root}areas/index.html#{code.lower()}">{name}</a>' if place["first_day"] else name


def describe_successors(area: str, there: list[str], root: str) -> str:
    """Where a board that has ended goes on, as a paragraph with links; empty for any other area."""
    code = data.find_place(area)
    after = dict.fromkeys(data.successors(code))
    if not after:
        return ""
    day = about.write_day(data.places().at[code, "last_day"])
    boards = words.listed(refer_to_area(other, there, root) for other in after)
    return f'<p class="note">This board ended on {day}. Its area is now part of {boards}.</p>'
