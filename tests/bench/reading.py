"""Reading level of the front page and of the answers of all reports: a report, no test.

Needs textstat up to 0.7.3 (later ones download a dictionary), which no environment of this project has:
pip install textstat==0.7.3; python tests/bench/reading.py reports
"""

import html
import re
import sys
from pathlib import Path

import textstat


def read_prose(page: Path) -> str:
    """The answer of a report, or the headings and paragraphs of another page, as sentences.

    A decimal point is written as a comma, because textstat takes every point for the end of a sentence.
    """
    text = page.read_text(encoding="utf-8")
    main = text[text.index("<main") : text.index("</main>")]
    answer = re.findall(r'<div class="answer">(.*?)</div>', main, re.S) if (page.parent / "notebook.ipynb").exists() else []
    found = answer or re.findall(r"<(?:p|h[1-3])\b[^>]*>(.*?)</(?:p|h[1-3])>", main, re.S)
    plain = [html.unescape(re.sub(r"<[^>]+>", "", part)).strip() for part in found]
    return re.sub(r"(?<=\d)\.(?=\d)", ",", " ".join(part if part[-1:] in ".?" else f"{part}." for part in plain))


for page in [*sorted(Path(sys.argv[1]).glob("index.html")), *sorted(Path(sys.argv[1]).glob("*/index.html"))]:
    print(f"grade {textstat.flesch_kincaid_grade(read_prose(page)):4.1f}  {page.relative_to(sys.argv[1])}")
