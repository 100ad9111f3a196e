"""Numbers and sentences in the style of British official statistics."""

import html
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd
from IPython.display import Markdown

from iapt import data
from iapt.data import periods

TABLE_MIME = "application/vnd.iapt.table+json"


def count(value: float) -> str:
    """A count in full: `1,257,718`."""
    return f"{value:,.0f}"


def million(value: float) -> str:
    """A large count for reading: `1.26 million`, the round `1.5 million`, below a million `147,800`."""
    if abs(value) >= 995_000:
        digits = 2 if value % 100_000 else 1 if value % 1_000_000 else 0
        return f"{value / 1e6:.{digits}f} million"
    return f"{round(value, -2) if abs(value) >= 10_000 else value:,.0f}"


def percent(value: float, digits: int = 0) -> str:
    """A percentage that is already on the scale of 100: `8%`, `50.1%`."""
    return f"{round(value, digits) + 0.0:.{digits}f}%".replace("-", "−")


def listed(items: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *head, last = items
    return f"{', '.join(head)} and {last}" if head else last


def vintage(as_of: str) -> str:
    """The vintage for people: `as known on 1 May 2020`, or the newest month in the data."""
    limit = data.day(as_of)
    if limit is None:
        return f"newest figures, to {periods.label(data.newest_month())}"
    return f"as known on {limit.day} {limit:%B %Y}"


def say(*sentences: str) -> Markdown:
    """Computed sentences as one paragraph of the notebook."""
    return Markdown(" ".join(filter(None, sentences)))


@dataclass(frozen=True)
class Table:
    """A table of a report: shown as HTML or Markdown, and kept as CSV under its name."""

    name: str
    caption: str
    frame: pd.DataFrame

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        card = {"name": self.name, "title": self.caption, "csv": self.frame.to_csv(index=False, lineterminator="\n")}
        return {
            "text/html": self._as_html(),
            "text/plain": f"{self.caption}\n\n{self.frame.to_string(index=False, na_rep='–')}",
            TABLE_MIME: card,
        }

    def _as_html(self) -> str:
        numeric = [_is_numeric(self.frame[name]) for name in self.frame.columns]
        cell = lambda tag, text, right: (
            f"<{tag}{' class=number' if right else ''}{' scope=col' if tag == 'th' else ''}>{html.escape('–' if pd.isna(text) else str(text))}</{tag}>"
        )
        head = "".join(cell("th", name, right) for name, right in zip(self.frame.columns, numeric))
        body = "\n".join(
            "<tr>" + "".join(cell("td", text, right) for text, right in zip(row, numeric)) + "</tr>"
            for row in self.frame.itertuples(index=False)
        )
        caption = html.escape(self.caption)
        return f'<div class="table" role="region" tabindex="0" aria-label="{caption}"><table>\n<caption>{caption}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'


def _is_numeric(column: pd.Series) -> bool:
    return all(str(value)[:1].isdigit() or str(value)[:1] in "−–+<" for value in column.dropna())
