"""Charts in one style: each builder takes a DataFrame and gives a chart with caption, alternative text and data."""

from iapt.charts.chart import COLOURS, MIME, OTHERS, STYLE, Chart
from iapt.charts.lines import fan, over_time, panels
from iapt.charts.points import bars, canvas, framed, funnel, intervals, scatter

__all__ = [
    "COLOURS", "MIME", "OTHERS", "STYLE", "Chart", "bars", "canvas", "fan", "framed", "funnel", "intervals", "over_time",
    "panels", "scatter",
]  # fmt: skip
