"""A figure drawn elsewhere, such as a grid of seaborn, with what every chart of the house carries."""

import textwrap
from collections.abc import Sequence

import pandas as pd
from matplotlib import pyplot
from matplotlib.figure import Figure

from iapt.charts.chart import QUIET, Chart, balance
from iapt.charts.lines import open_chart


class FramedFigure(Chart):
    """A finished figure between a title and a caption. It keeps its size, on a telephone too."""

    def take(self, figure: Figure) -> None:
        figure.set_layout_engine("none")
        pyplot.close(figure)
        self.figure, self.size = figure, tuple(figure.get_size_inches())
        self.places = [(axes, axes.get_position().bounds) for axes in figure.axes]

    def _lay_out(self, width: float) -> None:
        for artist in self._placed:
            artist.remove()
        wide, high = self.size
        title, unit = balance(self.title, int(wide * 9.2)), textwrap.wrap(self.unit, int(wide * 12))
        foot = textwrap.wrap(self.caption, int(wide * 16.4))
        top, bottom = 0.3 + 0.24 * len(title) + 0.18 * len(unit), 0.2 + 0.155 * len(foot)
        total = top + high + bottom
        self.figure.set_size_inches(wide, total)
        for axes, (x, y, across, up) in self.places:
            axes.set_position((x, (bottom + y * high) / total, across, up * high / total))
        write = lambda inches, text, **style: self.figure.text(0.08 / wide, 1 - inches / total, text, **style)
        self._placed = [
            write(0.1, "\n".join(title), va="top", fontsize=12.5, weight="bold", linespacing=1.25),
            write(0.14 + 0.24 * len(title), "\n".join(unit), va="top", fontsize=10, color=QUIET),
            write(total - 0.08, "\n".join(foot), va="bottom", fontsize=7.8, color=QUIET, linespacing=1.35),
        ]


def framed(
    figure: Figure,
    frame: pd.DataFrame,
    *,
    title: str,
    unit: str,
    alt: str,
    name: str = "",
    measures: Sequence[str] = (),
    as_of: str = "",
) -> Chart:
    """A figure of one's own, such as `sns.relplot(...).figure`, with title, caption, data and alternative text.

    `frame` is the data kept beside the picture, its named index first; `alt` says what is drawn, with the numbers.
    Raises ValueError where the frame is empty or its vintage is not known.
    """
    chart = open_chart(FramedFigure, frame, title, unit, name, measures, as_of, figure.get_size_inches()[1])
    chart.take(figure)
    named = [level for level in frame.index.names if level]
    chart.drawn = frame.reset_index() if named else frame.reset_index(drop=True)
    chart.said.append(alt)
    return chart
