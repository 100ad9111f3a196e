"""A matplotlib figure as a small SVG and a PNG, and the room that texts take in it.

Coordinates of the SVG are points (1/72 inch) rounded to hundredths, so that every processor writes the same.
"""

import functools
import io
import re
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from PIL import Image, ImageFont

FONT = "DejaVu Sans"
SVG = "{http://www.w3.org/2000/svg}"
ET.register_namespace("", SVG.strip("{}"))
ET.register_namespace("xlink", "http://www.w3.org/1999/xlink")


@functools.cache
def _font(bold: bool) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(f"{mpl.get_data_path()}/fonts/ttf/{name}", 1000, layout_engine=ImageFont.Layout.BASIC)


@functools.lru_cache(4096)
def measure(text: str, size: float, bold: bool = False) -> float:
    """The width of a line of text in points."""
    return _font(bold).getlength(text) * size / 1000


def wrap(text: str, width: float, size: float, bold: bool = False) -> list[str]:
    """The text in lines no wider than so many points, but for wider words; `Q4 2025/26` is one word."""
    lines: list[str] = []
    for word in re.sub(r"(?<=\bQ\d) (?=\d{4})|(?<=\d) (?=million)", "\u00a0", text).split(" "):
        if lines and measure(f"{lines[-1]} {word}", size, bold) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return [line.replace("\u00a0", " ") for line in lines if line]


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG of 64 colours, two pixels for each point."""
    figure.set_dpi(144)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    figure.set_dpi(72)
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    small = picture.quantize(64, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    small.putpalette([255 if part >= 250 else part for part in small.getpalette()])
    small.save(buffer := io.BytesIO(), "png")
    return buffer.getvalue()


class _Renderer(RendererSVG):
    """Measures a text once, in however many pictures it stands."""

    @staticmethod
    @functools.lru_cache(4096)
    def get_text_width_height_descent(text: str, font: FontProperties, ismath: bool) -> tuple[float, float, float]:
        return text_to_path.get_text_width_height_descent(text, font, ismath)


def to_svg(figure: Figure, name: str, alt: str, titles: Mapping[str, Sequence[str]]) -> str:
    """The figure as SVG; `name` keeps its identifiers apart from those of other pictures on a page.

    `titles` holds, for the group identifier of an artist, what hovering over each of its points shows.
    """
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    renderer = _Renderer(*72 * figure.get_size_inches(), buffer := io.StringIO(), metadata=nothing)
    figure.draw(renderer)
    renderer.finalize()
    page = ET.fromstring(buffer.getvalue())
    for group in page.iter(f"{SVG}g"):
        points = [part for part in group.iter() if part.tag in (f"{SVG}use", f"{SVG}path") and "id" not in part.attrib]
        for point, title in zip(points, titles.get(group.get("id"), ())):
            point.set("pointer-events", "all")
            ET.SubElement(point, f"{SVG}title").text = title
    page[:] = _flatten(page[1:])  # the first holds a style that would reach the whole page
    key = f"p{zlib.crc32(name.encode()):x}"
    names = {part.get("id"): f"{key}-{number}" for number, part in enumerate(page.iterfind(".//*[@id]"))}
    for part in page.iter():
        part.tail = None
        if part.tag not in (f"{SVG}text", f"{SVG}title"):
            part.text = None
        part.attrib = {key: _shorten(key, value, names) for key, value in part.items() if value[:10] != "rotate(-0 "}
    look = {"font-family": f"{FONT}, Verdana, sans-serif", "stroke-linejoin": "round", "role": "img", "aria-label": alt}
    page.attrib |= look
    return ET.tostring(page, "unicode") + "\n"


def _flatten(parts: Sequence[ET.Element]) -> list[ET.Element]:
    """The parts in their order, without the groups that say nothing of how they are drawn."""
    plain = lambda part: part.tag == f"{SVG}g" and part.keys() in ([], ["id"])
    return [one for part in parts for one in (_flatten(part) if plain(part) else [part])]


def _shorten(key: str, value: str, names: Mapping[str, str]) -> str:
    """The value of an attribute with numbers in hundredths, halves upwards, and with identifiers by their new names."""
    if key == "id" or "#" in value and key != "style":
        return re.sub(r"\w+(?=\)?$)", lambda old: names.get(old[0], old[0]), value)
    value = re.sub(r"-?\d+\.\d+", lambda number: f"{round(float(number[0]) + 1e-6, 2) + 0.0:.6g}", value)
    if key == "d":
        return re.sub(r"\s*([A-Za-z])\s*", r"\1", value.strip())
    return value.replace(f"font-family: '{FONT}'; ", "").replace("; ", ";").replace(": ", ":")
