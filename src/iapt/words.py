"""Numbers, sentences and tables in the style of British official statistics."""

import html
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from numbers import Number

import numpy as np
import pandas as pd
from IPython.display import Markdown

from iapt import data
from iapt.data import periods

TABLE_MIME = "application/vnd.iapt.table+json"


def count(value: float) -> str:
    """A count in full: `1,257,718`."""
    return f"{value:,.0f}".replace("-", "−")


def million(value: float) -> str:
    """A large count for reading: `1.26 million`, the round `1.5 million`, below a million `147,800`."""
    if abs(value) >= 995_000:
        digits = 2 if value % 100_000 else 1 if value % 1_000_000 else 0
        return f"{value / 1e6:.{digits}f} million"
    return f"{round(value, -2) if abs(value) >= 10_000 else value:,.0f}"


def percent(value: float, digits: int = 0) -> str:
    """A percentage that is already on the scale of 100: `8%`, `50.1%`."""
    return f"{round(value, digits) + 0.0:.{digits}f}%".replace("-", "−")


def signed(value: float, digits: int = 0) -> str:
    """A difference with its sign: `+2.6`, `−78,637`."""
    return f"{round(value, digits) + 0.0:+,.{digits}f}".replace("-", "−")


def chance(probability: float) -> str:
    """A probability in per cent, to the nearest whole one: `8%`; `under 1%` and `over 99%` at the ends."""
    if probability < 0.01:
        return "under 1%"
    return "over 99%" if probability > 0.99 else percent(100 * probability)


def listed(items: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *head, last = items
    return f"{', '.join(head)} and {last}" if head else last


def when(period: pd.Period) -> str:
    """A period for people: `2018/19`, `Q3 2018/19` or `October 2018`."""
    return periods.label(period)


def vintage(as_of: str, newest: pd.Period | None = None) -> str:
    """The vintage for people: `as known on 1 May 2020`, or the month in which the newest figures end."""
    limit = data.day(as_of)
    if limit is None:
        return f"newest figures, to {periods.label((newest or data.newest_month()).asfreq('M'))}"
    return f"as known on {limit.day} {limit:%B %Y}"


def against(target: pd.Series, starts: pd.Series) -> str:
    """Where a target stands: reached, missed by how much, or how much more is needed and by when.

    `target` is a row of `data.targets`, so its name is the year; `starts` the yearly counts it is set on.
    """
    year, goal = target.name, target["target"]
    opening = f"The target of {million(goal)} in {when(year)}"
    if year in starts.dropna().index:
        gap = starts[year] - goal
        return f"{opening} was " + (
            "reached." if gap >= 0 else f"missed by {count(-gap)} ({percent(-100 * gap / goal)})."
        )
    latest = starts.dropna()
    missing = goal - latest.iloc[-1]
    if missing <= 0:
        return f"{opening} has been passed already."
    return f"{opening} needs {count(missing)} more a year ({percent(100 * missing / latest.iloc[-1])} more)."


def compare(now: float, before: float, what: str) -> str:
    """A value beside an earlier one: `5% fewer than the year before`, or `level with the year before`."""
    change = 100 * (now / before - 1)
    if abs(change) < 0.05:
        return f"level with {what}"
    return f"{percent(abs(change), 1 if abs(change) < 10 else 0)} {'more' if change > 0 else 'fewer'} than {what}"


def headline(answer: str, *more: str) -> Markdown:
    """The answer of a notebook: its first sentence in bold, computed from the figures."""
    return Markdown(" ".join([f"**{answer}**", *filter(None, more)]))


# ---------------------------------------------------------------- tables


@dataclass(frozen=True)
class Table:
    """A table of a report. Its numbers stay numbers: the page shows them as `formats` says, the CSV keeps them.

    Numbers stand to the right, missing ones are a dash, and an address is a link under the name of its host.
    """

    name: str
    caption: str
    frame: pd.DataFrame
    formats: dict[str, str | Callable[[float], str]] = field(default_factory=dict)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict:
        return {
            "text/html": self._as_html(),
            "text/plain": f"{self.caption}\n\n{self._as_shown().to_string(index=False)}",
            TABLE_MIME: {"name": self.name, "title": self.caption, "csv": write_csv(self.frame)},
        }

    def _as_shown(self) -> pd.DataFrame:
        return pd.DataFrame(
            {name: _show_column(column, self.formats.get(name)) for name, column in self.frame.items()}
        )

    def _as_html(self) -> str:
        right = [
            column.notna().any() and column.dropna().map(lambda value: isinstance(value, Number)).all()
            for _, column in self.frame.items()
        ]
        cell = lambda tag, text, number: (
            f"<{tag}{' class=number' if number else ''}{' scope=col' if tag == 'th' else ''}>{_link(str(text))}</{tag}>"
        )
        row = lambda tag, texts: f"<tr>{''.join(cell(tag, *pair) for pair in zip(texts, right))}</tr>"
        body = "\n".join(row("td", texts) for texts in self._as_shown().itertuples(index=False))
        caption = html.escape(self.caption)
        return (
            f'<div class="table" role="region" tabindex="0" aria-label="{caption}"><table>\n<caption>{caption}</caption>\n'
            f"<thead>{row('th', self.frame.columns)}</thead>\n<tbody>\n{body}\n</tbody></table></div>"
        )


def _link(text: str) -> str:
    """The text as HTML; an address is a link under the name of its host."""
    shown = html.escape(text)
    if not re.fullmatch(r"https?://[^\s<>]+", text):
        return shown
    return f'<a href="{shown}">{html.escape(text.split("/")[2])}</a>'


def table(frame: pd.DataFrame, caption: str, *, name: str = "", **formats: str | Callable[[float], str]) -> Table:
    """A DataFrame as a table of the report, with its caption.

    An index that has a name, such as the years, becomes the first column. `formats` maps columns to how their
    numbers are shown, `"{:.1f}%"` or a function such as `words.million`; spaces in column names are written `_`.
    `name` is what the CSV of the table is called.
    """
    named = [level for level in frame.index.names if level]
    shown = frame.reset_index() if named else frame.reset_index(drop=True)
    shown.columns = [_title(str(column)) for column in shown.columns]
    formats = {_title(column): write for column, write in formats.items()}
    unknown = formats.keys() - set(shown.columns)
    if unknown:
        raise ValueError(f"no column {', '.join(sorted(unknown))}; the columns are {', '.join(shown.columns)}")
    return Table(name or slug(caption), caption, shown, formats)


def slug(text: str) -> str:
    """The text as a file name: `What became of it?` is `what_became_of_it`."""
    return re.sub(r"\W+", "_", text.lower()).strip("_")[:60]


def _title(column: str) -> str:
    text = column.replace("_", " ")
    return text[:1].upper() + text[1:]


def _show_column(column: pd.Series, form: str | Callable[[float], str] | None) -> list[str]:
    """The values of a column as texts; numbers below a thousand all with as many decimals."""
    shown = [_show(value, form) for value in column]
    if form is None and pd.api.types.is_float_dtype(column) and column.abs().max() < 1000:
        digits = max(len(text.partition(".")[2]) for text in shown)
        return [_show(value, f"{{:.{digits}f}}") for value in column]
    return shown


def _show(value: object, form: str | Callable[[float], str] | None) -> str:
    if not isinstance(value, pd.Period) and pd.isna(value):
        return "–"
    if callable(form):
        return form(value)
    if form:
        return form.format(value).replace("-", "−")
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | int | np.number):
        return _format_float(value).replace("-", "−")
    return str(name_period(value))


def name_period(value: object) -> object:
    """A year or quarter as its name, `2023/24`; a month as `2018-10`; anything else as it is."""
    if not isinstance(value, pd.Period):
        return value
    return str(value) if value.freqstr == "M" else periods.label(value)


def neutralise(value: object) -> object:
    """What a spreadsheet will not run: text that begins like a formula gets an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and re.match(r"[=+@\t\r-]", value) else value


def write_csv(frame: pd.DataFrame, digits: int = 9) -> str:
    """A table as CSV: numbers to nine digits, so that every processor writes the same, and periods by their names."""
    plain = frame.rename(columns=neutralise).map(lambda value: neutralise(name_period(value)))
    return plain.to_csv(index=False, lineterminator="\n", float_format=f"%.{digits}g")


def provenance(measures: Iterable[str], as_of: str, *tables: str) -> Table:
    """The sources of these measures known on a day, each with its address, its route here and the number of its figures.

    Of the figures for England, or of those in the `tables` named (areas, groups).
    """
    known = pd.concat([data.known(as_of, held) for held in tables or ("england",)])
    counts = known[known["measure"].isin(list(measures))]["source"].value_counts()
    cards = data.load()["sources"].set_index("id").loc[sorted(counts.index)]
    shown = pd.DataFrame(
        {
            "Source": cards["title"],
            "Publisher": cards["publisher"],
            "Published": [row.published or f"assumed {row.lag_days:.0f} days after each period"
                          for row in cards.itertuples()],
            "Figures": counts[cards.index],
            "Address": cards["url"],
            "Read in": cards["via"],
            "Licence": cards["licence"],
        }
    ).reset_index(drop=True)
    newest = known["period"].max() if tables and "england" not in tables else None
    return Table("sources", f"Sources of the figures on this page ({vintage(as_of, newest)})", shown)


def _format_float(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.4g}"


pd.set_option("display.float_format", _format_float, "display.max_columns", 20, "display.width", 120)
