"""Places for the texts of a chart: labels to the right of the axes, and tags within them, clear of what is drawn.

All sizes are points; a picture has 72 of them in an inch, as `Chart.render` sets it.
"""

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.lines import Line2D
from matplotlib.transforms import Affine2D, Bbox, Transform

from iapt.charts.picture import measure, wrap

AROUND = [
    (radius * across, radius * up)
    for radius in (6, 12, 20, 30, 42, 56, 72)
    for across, up in ((1, 0), (-1, 0), (0, 1), (0, -1), (0.8, 0.8), (-0.8, 0.8), (0.8, -0.8), (-0.8, -0.8))
]
"""Where the name of a point may stand, the best first."""


def _in_points(axes: Axes) -> Transform:
    """For artists whose places are points from the lower left of the figure."""
    return Affine2D().scale(1 / 72) + axes.figure.dpi_scale_trans


def place_labels(axes: Axes, labels: list[tuple], above: float) -> tuple[list[Artist], list[Bbox]]:
    """Labels (x, y, lines, colour) to the right of the axes, moved apart, with a line to each point; and their boxes.

    They reach no more than so many points `above` the axes.
    """
    spots = [(*axes.transData.transform((x, y)), 5.6 * len(lines), lines, colour) for x, y, lines, colour in labels]
    spots.sort(key=lambda spot: spot[1])
    floor, heights = axes.bbox.y0 - 4, []
    for _, y, half, *_ in spots:
        heights.append(max(y, floor + half))
        floor = heights[-1] + half
    ceiling, drawn, boxes = axes.bbox.y1 + above, [], []
    for (x, y, half, lines, colour), height in zip(spots[::-1], heights[::-1]):
        height = min(height, ceiling - half)
        ceiling = height - half
        right = axes.bbox.x1 + 8
        widest = max(measure(line, 9, True) for line in lines)
        boxes.append(Bbox.from_extents(right, height - half, right + widest, height + half))
        drawn += [
            axes.figure.text(
                right, height, "\n".join(lines), transform=_in_points(axes), color=colour, fontsize=9,
                weight="bold", linespacing=1.12, va="center",
            ),
            _add_line(axes, [(x + 4, y), (right - 2, height)], colour),
        ]  # fmt: skip
    return drawn, boxes


def place_tags(axes: Axes, tags: list[dict], taken: list[Bbox], edge: float) -> list[Artist]:
    """Each tag at the place, of those that it may take, which covers least; far from its point it has a line to it.

    They keep clear of what is `taken`, such as by labels, and of the `edge` of their room. Upright ones come last.
    """
    frame, drawn, dots, taken = axes.bbox, [], _sample(axes), list(taken)
    inside = Bbox.from_extents(frame.x0, frame.y0 + 1, min(frame.x1 + 60, edge - 4), frame.y1 + 15)
    places = {"data": axes.transData, "top": axes.get_xaxis_transform(), "side": axes.get_yaxis_transform()}
    for tag in sorted(tags, key=lambda tag: tag.get("angle", 0)):
        size, angle, where = 8.5, tag.get("angle", 0), tag.get("where", "data")
        text = tag["text"] if frame.width > 240 else tag.get("short", tag["text"])
        lines = wrap(text, min(150, 0.6 * frame.width) if where == "data" else frame.width - 6, size)
        extent = [max(measure(line, size) for line in lines), 1.1 * size * len(lines)]
        spot = places[where].transform(tag["at"])
        room = np.array(extent[::-1] if angle else extent)
        shifts = np.array(tag["shifts"])
        lows = spot + shifts + room * (np.sign(np.round(shifts, 1)) - 1) / 2
        lows = np.maximum(inside.min, np.minimum(lows, inside.max - room))
        best = int(np.argmin(_cost(lows, lows + room, taken, dots)))
        box = Bbox([lows[best], lows[best] + room])
        taken.append(box)
        drawn.append(
            axes.figure.text(
                *(box.min + box.max) / 2, "\n".join(lines), transform=_in_points(axes), fontsize=size,
                color=tag["colour"], rotation=angle, ha="center", va="center", linespacing=1.1,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.3, "alpha": 0.75},
            )
        )  # fmt: skip
        if where == "data" and max(map(abs, tag["shifts"][best])) > 14:
            drawn.append(_add_line(axes, [spot, np.clip(spot, box.min, box.max)], tag["colour"]))
    return drawn


def _add_line(axes: Axes, ends: list, colour: str) -> Artist:
    line = Line2D(*zip(*ends), color=colour, linewidth=0.7, alpha=0.6, transform=_in_points(axes))
    return axes.figure.add_artist(line)


def _sample(axes: Axes) -> np.ndarray:
    """Places every three points along the lines but upright ones, and thrice the points of a scatter."""
    found = [np.empty((0, 2))]
    for line in axes.lines:
        path = line.get_transform().transform(np.asarray(line.get_xydata(), float))
        if not len(path) or not np.ptp(path[:, 0]):
            continue
        for start, end in zip(path[:-1], path[1:]):
            found.append(np.linspace(start, end, max(2, int(np.hypot(*(end - start)) // 3))))
    for points in axes.collections:
        if isinstance(points, PathCollection):
            found += [axes.transData.transform(np.asarray(points.get_offsets(), float))] * 3
    return np.concatenate(found)


def _cost(lows: np.ndarray, highs: np.ndarray, taken: list[Bbox], dots: np.ndarray) -> np.ndarray:
    """What speaks against each place: other texts above all, then lines and points that it covers, then its rank."""
    covered = ((dots > lows[:, None] - 2) & (dots < highs[:, None] + 2)).all(axis=2).sum(axis=1)
    crowded = sum(((lows < box.max) & (highs > box.min)).all(axis=1) for box in taken)
    return 1000 * crowded + 20 * covered + np.arange(len(lows))
