"""A matplotlib figure as a small SVG and a PNG.

matplotlib's own SVG writes each letter as a path, and its PNG walks through the figure once more. Here the figure is
drawn once into a list of marks. Text stays text, of the width for which it was laid out whatever font a reader has.
Coordinates are points (1/72 inch) from the top left, rounded to hundredths, so that every processor writes the same.
"""

import base64
import functools
import html
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import matplotlib as mpl
import numpy as np
from matplotlib.backend_bases import GraphicsContextBase, RendererBase
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, weight_dict
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, Transform
from PIL import Image, ImageDraw, ImageFont

FONT = "DejaVu Sans"
ZOOM = 2
"""Pixels of the PNG for each point."""
ASCENT, DESCENT = 0.76, 0.24
"""Height of a line of text above and below its baseline, in sizes of its font."""
LETTERS = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C"}


@functools.cache
def _font(size: float, bold: bool) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(f"{mpl.get_data_path()}/fonts/ttf/{name}", size, layout_engine=ImageFont.Layout.BASIC)


@functools.cache
def _advance(letter: str, bold: bool) -> float:
    return _font(1000, bold).getlength(letter) / 1000


@functools.lru_cache(4096)
def measure(text: str, size: float, bold: bool = False) -> float:
    """The width of a line of text in points."""
    return size * sum(_advance(letter, bold) for letter in text)


def wrap(text: str, width: float, size: float, bold: bool = False) -> list[str]:
    """The text in lines no wider than so many points, but for wider words; `Q4 2025/26` is one word."""
    lines: list[str] = []
    for word in re.sub(r"(?<=\bQ\d) (?=\d{4})|(?<=\d) (?=million)", "\u00a0", text).split(" "):
        if lines and measure(f"{lines[-1]} {word}", size, bold) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return [line.replace("\u00a0", " ") for line in lines if line]


@dataclass
class Mark:
    """A shape with its fill and what hovering over it shows, or a text, or an image with its lower left corner."""

    gc: GraphicsContextBase
    path: Path | None = None
    fill: tuple | None = None
    title: str = ""
    text: str = ""
    image: np.ndarray | None = None
    at: tuple[float, float] = (0, 0)
    size: float = 0
    bold: bool = False
    angle: float = 0


@dataclass
class Pen(RendererBase):
    """What matplotlib draws a figure with: it keeps each shape and text as a mark. Hatching is not drawn.

    `titles` holds, for the group identifier of a collection, what hovering over each of its points shows.
    """

    width: float
    height: float
    titles: Mapping[str, Iterable[str]] = field(default_factory=dict)
    marks: list[Mark] = field(default_factory=list)
    _current: Iterator[str] = iter(())

    def __post_init__(self) -> None:
        super().__init__()

    __hash__ = object.__hash__

    def get_canvas_width_height(self) -> tuple[float, float]:
        return self.width, self.height

    def points_to_pixels(self, points: float) -> float:
        return points

    def get_text_width_height_descent(self, s: str, prop: FontProperties, ismath: object) -> tuple[float, float, float]:
        if ismath:
            return super().get_text_width_height_descent(s, prop, ismath)
        size = prop.get_size_in_points()
        return measure(s, size, _is_bold(prop)), size * (ASCENT + DESCENT), size * DESCENT

    def open_group(self, s: str, gid: str | None = None) -> None:
        self._current = iter(self.titles.get(gid, ()))

    def get_image_magnification(self) -> float:
        return ZOOM

    def _keep(self, gc: GraphicsContextBase) -> GraphicsContextBase:
        kept = self.new_gc()
        kept.copy_properties(gc)
        if (clip := gc.get_clip_rectangle()) is not None:
            kept.set_clip_rectangle(clip.frozen())
        return kept

    def draw_path(
        self, gc: GraphicsContextBase, path: Path, transform: Transform, rgbFace: tuple | None = None
    ) -> None:
        title = next(self._current, "")
        if title or _is_visible(gc, rgbFace):
            shape = path.cleaned(transform, remove_nans=True, curves=True)
            shape.vertices[:, 1] = self.height - shape.vertices[:, 1]
            self.marks.append(Mark(self._keep(gc), shape, rgbFace, title))

    def draw_image(self, gc: GraphicsContextBase, x: float, y: float, im: np.ndarray, transform: object = None) -> None:
        self.marks.append(Mark(self._keep(gc), image=np.array(im), at=(x, y)))

    def draw_text(
        self, gc: GraphicsContextBase, x: float, y: float, s: str, prop: FontProperties, angle: float,
        ismath: object = False, mtext: object = None,
    ) -> None:  # fmt: skip
        if ismath:
            return super().draw_text(gc, x, y, s, prop, angle, ismath, mtext)
        size = prop.get_size_in_points()
        self.marks.append(Mark(self._keep(gc), text=s, at=(x, y), size=size, bold=_is_bold(prop), angle=angle))


def _is_visible(gc: GraphicsContextBase, fill: tuple | None) -> bool:
    return gc.get_linewidth() > 0 or fill is not None and tuple(fill[3:]) != (0,)


def _is_bold(prop: FontProperties) -> bool:
    return weight_dict.get(prop.get_weight(), prop.get_weight()) >= 600


def draw(figure: Figure, titles: Mapping[str, Iterable[str]]) -> Pen:
    """The marks of a figure."""
    figure.set_dpi(72)
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        if not axis.get_label_text():
            axis.set_label_coords(0, 0)  # or matplotlib looks twice for a place for what is not there
    pen = Pen(*(figure.get_size_inches() * 72), titles)
    figure.draw(pen)
    return pen


# ---------------------------------------------------------------- SVG


def _number(value: float) -> str:
    """Hundredths, halves always upwards, so that the last bit of a processor decides nothing."""
    return f"{round(value + 1e-6, 2) + 0.0:.6g}"


def to_svg(pen: Pen, name: str, alt: str) -> str:
    """The marks as SVG; `name` keeps its identifiers apart from those of other pictures on a page."""
    clips: dict[tuple, str] = {}
    body = "".join(_write(mark, pen.height, clips, name) for mark in pen.marks)
    frames = "".join(
        f'<clipPath id="{key}"><rect x="{x}" y="{y}" width="{wide}" height="{high}"/></clipPath>'
        for (x, y, wide, high), key in clips.items()
    )
    width, height = _number(pen.width), _number(pen.height)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}pt" height="{height}pt" viewBox="0 0 {width} {height}" '
        f'font-family="{FONT}, Verdana, sans-serif" role="img" aria-label="{html.escape(alt)}">{frames}{body}</svg>\n'
    )


def _opacity(name: str, value: float) -> str:
    return "" if value == 1 else f' {name}="{_number(value)}"'


def _write(mark: Mark, height: float, clips: dict[tuple, str], name: str) -> str:
    if mark.image is not None:
        return _write_image(mark, height)
    return _write_text(mark) if mark.text else _write_shape(mark, height, clips, name)


def _write_image(mark: Mark, height: float) -> str:
    high, wide = (side / ZOOM for side in mark.image.shape[:2])
    Image.fromarray(mark.image[::-1]).save(buffer := io.BytesIO(), "png")
    x, y, *size = map(_number, (mark.at[0], height - mark.at[1] - high, wide, high))
    held = base64.b64encode(buffer.getvalue()).decode()
    return f'<image x="{x}" y="{y}" width="{size[0]}" height="{size[1]}" href="data:image/png;base64,{held}"/>'


def _write_text(mark: Mark) -> str:
    x, y = map(_number, mark.at)
    bold = ' font-weight="bold"' if mark.bold else ""
    turned = f' transform="rotate({_number(-mark.angle)} {x} {y})"' if mark.angle else ""
    return (
        f'<text x="{x}" y="{y}" font-size="{_number(mark.size)}"{bold} '
        f'fill="{to_hex(mark.gc.get_rgb())}" textLength="{_number(measure(mark.text, mark.size, mark.bold))}"'
        f"{turned}{_opacity('opacity', mark.gc.get_rgb()[3])}>{html.escape(mark.text, quote=False)}</text>"
    )


def _write_shape(mark: Mark, height: float, clips: dict[tuple, str], name: str) -> str:
    gc, codes = mark.gc, mark.path.codes
    seen = mark.path.vertices[(codes != Path.STOP) & (codes != Path.CLOSEPOLY)]
    style, fill, width = "", mark.fill, gc.get_linewidth()
    if not len(seen):
        return ""
    forced = gc.get_alpha() if gc.get_forced_alpha() else None
    style += f' fill="{to_hex(fill) if fill is not None else "none"}"'
    if fill is not None and len(fill) == 4 and forced is None:
        style += _opacity("fill-opacity", fill[3])
    if width:
        style += f' stroke="{to_hex(gc.get_rgb())}" stroke-width="{_number(width)}"'
        style += _opacity("stroke-opacity", gc.get_rgb()[3]) if forced is None else ""
        offset, dashes = gc.get_dashes()
        if dashes is not None:
            style += f' stroke-dasharray="{" ".join(map(_number, dashes))}"'
        if gc.get_capstyle() != "butt":
            style += f' stroke-linecap="{gc.get_capstyle().replace("projecting", "square")}"'
        style += f' stroke-linejoin="{gc.get_joinstyle()}"' if gc.get_joinstyle() != "miter" else ""
    style += _opacity("opacity", forced) if forced is not None else ""
    low, high = seen.min(axis=0), seen.max(axis=0)
    clip = gc.get_clip_rectangle()
    if clip is not None and (
        low[0] < clip.x0 - 1 or high[0] > clip.x1 + 1 or low[1] < height - clip.y1 - 1 or high[1] > height - clip.y0 + 1
    ):
        frame = tuple(map(_number, (clip.x0, height - clip.y1, clip.width, clip.height)))
        style += f' clip-path="url(#{clips.setdefault(frame, f"{name}-{len(clips)}")})"'
    end = f"><title>{html.escape(mark.title, quote=False)}</title></{{}}>" if mark.title else "/>"
    if len(seen) == 25 and Path.CURVE4 in codes:
        x, y = (low + high) / 2
        radius = _number((high - low)[0] / 2)
        return f'<circle cx="{_number(x)}" cy="{_number(y)}" r="{radius}"{style}{end.format("circle")}'
    return f'<path d="{_write_path(mark.path)}"{style}{end.format("path")}'


def _write_path(path: Path) -> str:
    parts, before = [], None
    for code, (x, y) in zip(path.codes.tolist(), path.vertices.tolist()):
        if code == Path.CLOSEPOLY:
            parts.append("Z")
        elif code != Path.STOP:
            parts.append(f"{LETTERS[code] if code != before or code == Path.MOVETO else ' '}{_number(x)} {_number(y)}")
        before = code
    return "".join(parts)


# ---------------------------------------------------------------- PNG


def to_png(pen: Pen) -> bytes:
    """The marks as a PNG of 64 colours: the shapes painted by matplotlib, the texts over them by Pillow."""
    size = (round(pen.width * ZOOM), round(pen.height * ZOOM))
    agg = RendererAgg(*size, 72 * ZOOM)
    turn = Affine2D().scale(ZOOM, -ZOOM).translate(0, size[1])
    for mark in pen.marks:
        gc = agg.new_gc()
        gc.copy_properties(mark.gc)
        if (clip := gc.get_clip_rectangle()) is not None:
            gc.set_clip_rectangle(clip.transformed(Affine2D().scale(ZOOM)))
        if mark.path is not None and _is_visible(gc, mark.fill):
            agg.draw_path(gc, mark.path, turn, mark.fill)
        elif mark.image is not None:
            agg.draw_image(gc, *(round(part * ZOOM) for part in mark.at), mark.image)
    picture = Image.frombuffer("RGBA", size, agg.buffer_rgba(), "raw", "RGBA", 0, 1).convert("RGB")
    brush = ImageDraw.Draw(picture)
    for mark in pen.marks:
        if mark.text:
            _paint_text(picture, brush, mark)
    small = picture.quantize(64, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    small.putpalette([255 if part >= 250 else part for part in small.getpalette()])
    buffer = io.BytesIO()
    small.save(buffer, "png")
    return buffer.getvalue()


def _paint_text(picture: Image.Image, brush: ImageDraw.ImageDraw, mark: Mark) -> None:
    x, y = mark.at[0] * ZOOM, mark.at[1] * ZOOM
    font, colour = _font(mark.size * ZOOM, mark.bold), to_hex(mark.gc.get_rgb())
    if not mark.angle:
        brush.text((x, y), mark.text, colour, font, anchor="ls")
        return
    half = int(font.getlength(mark.text)) + 2 * int(mark.size * ZOOM)
    mask = Image.new("L", (2 * half, 2 * half))
    ImageDraw.Draw(mask).text((half, half), mark.text, 255, font, anchor="ls")
    picture.paste(colour, (round(x) - half, round(y) - half), mask.rotate(mark.angle))
