"""Draw small SVG pictures: lines, arrows, text with indices, and axes with curves.

A picture is white with dark ink, so it is legible on light and on dark pages. Coordinates are pixels, y downward, rounded to one
decimal.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence

INK, GRAY, PALE = "#222222", "#8a8a8a", "#d5d5d5"
BLUE, ORANGE, GREEN, RED = "#1f6fb4", "#c65a00", "#1d7d3f", "#c02a2a"
STYLE = (
    "text{font-family:'DejaVu Sans',Verdana,Helvetica,sans-serif}"
    ".m{font-family:'STIX Two Text','Times New Roman','DejaVu Serif',serif;font-style:italic}"
    ".h{paint-order:stroke;stroke:#fff;stroke-width:7px;stroke-linejoin:round}"
)


def number(value: float) -> str:
    """Return a coordinate with at most one decimal."""
    return f"{round(float(value), 1) + 0.0:g}"


class Picture:
    """Collect the elements of an SVG picture of fixed size."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.width, self.height = width, height
        self.elements = [f"<title>{escape(title)}</title>", f"<style>{STYLE}</style>"]
        self.rect(0, 0, width, height, fill="#ffffff", stroke="none", radius=8)

    def add(self, tag: str, **attributes: object) -> None:
        """Append an element; floats are coordinates, and underscores in names are hyphens."""
        listed = (
            f'{name.replace("_", "-")}="{number(value) if isinstance(value, float | int) else value}"'
            for name, value in attributes.items()
            if value is not None
        )
        self.elements.append(f"<{tag} {' '.join(listed)}/>")

    def rect(
        self, x: float, y: float, width: float, height: float, fill="none", stroke=INK, radius=0, line=1.6, dash=None
    ):
        style = {"fill": fill, "stroke": stroke, "stroke_width": line, "stroke_dasharray": dash}
        self.add("rect", x=x, y=y, width=width, height=height, rx=radius, **style)

    def circle(self, x: float, y: float, r: float, fill="#ffffff", stroke=INK, line=1.6):
        self.add("circle", cx=x, cy=y, r=r, fill=fill, stroke=stroke, stroke_width=line)

    def path(self, points: Iterable[tuple[float, float]], color=INK, line=1.6, dash=None):
        """Draw a polyline."""
        listed = " ".join(f"{number(x)},{number(y)}" for x, y in points)
        style = {"stroke": color, "stroke_width": line, "stroke_dasharray": dash, "stroke_linejoin": "round"}
        self.add("polyline", points=listed, fill="none", **style)

    def line(self, x1: float, y1: float, x2: float, y2: float, color=INK, line=1.6, dash=None):
        self.add("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=color, stroke_width=line, stroke_dasharray=dash)

    def arrow(self, x1: float, y1: float, x2: float, y2: float, color=INK, line=1.6, dash=None):
        """Draw a line with an arrowhead at its end."""
        length = math.hypot(x2 - x1, y2 - y1)
        ux, uy = (x2 - x1) / length, (y2 - y1) / length
        self.line(x1, y1, x2 - 7 * ux, y2 - 7 * uy, color, line, dash)
        corners = ((x2, y2), (x2 - 10 * ux + 4.5 * uy, y2 - 10 * uy - 4.5 * ux))
        corners += ((x2 - 10 * ux - 4.5 * uy, y2 - 10 * uy + 4.5 * ux),)
        self.add("polygon", points=" ".join(f"{number(x)},{number(y)}" for x, y in corners), fill=color)

    def text(self, x: float, y: float, text: str, size=15, color=INK, anchor="middle", math=False, halo=False):
        """Write text centered vertically on y; ``_{…}`` and ``^{…}`` are indices."""
        kinds = " ".join(["m"] * math + ["h"] * halo)
        spans, shift = [], 0.0
        for piece in re.split(r"([_^]\{[^}]*\})", text):
            if not piece:
                continue
            index = re.fullmatch(r"([_^])\{(.*)\}", piece)
            want = 0.0 if not index else (0.28 if index[1] == "_" else -0.4) * size
            shape = f' font-size="{number(0.72 * size)}"' if index else ""
            spans.append(f'<tspan dy="{number(want - shift)}"{shape}>{escape(index[2] if index else piece)}</tspan>')
            shift = want
        self.elements.append(
            f'<text x="{number(x)}" y="{number(y + 0.35 * size)}" font-size="{number(size)}" text-anchor="{anchor}" '
            f'fill="{color}"' + (f' class="{kinds}"' if kinds else "") + f">{''.join(spans)}</text>"
        )

    def math(self, x: float, y: float, text: str, size=18, **settings: object):
        """Write a formula."""
        self.text(x, y, text, size, math=True, **settings)

    def label(self, x1: float, y1: float, x2: float, y2: float, at: float, text: str, size=16, color=INK):
        """Write a formula on a line, at a fraction of its length."""
        self.math(x1 + at * (x2 - x1), y1 + at * (y2 - y1), text, size, color=color, halo=True)

    def neuron(self, x: float, y: float, text: str = "", r=24, color=INK, size=18):
        """Draw a circle with a formula."""
        self.circle(x, y, r, stroke=color)
        if text:
            self.math(x, y, text, size, color=color)

    def box(self, x: float, y: float, width: float, height: float, text: str, color=INK, size=15, math=False):
        """Draw a rectangle centered on (x, y) with text."""
        self.rect(x - width / 2, y - height / 2, width, height, "#ffffff", color, radius=5)
        self.text(x, y, text, size, color, math=math)

    def __str__(self) -> str:
        size = f'width="{self.width}" height="{self.height}" viewBox="0 0 {self.width} {self.height}"'
        return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', *self.elements, "</svg>", ""])


class Axes:
    """Draw in data coordinates within a rectangle (left, top, width, height) of a picture."""

    def __init__(
        self, picture: Picture, place: Sequence[float], x: Sequence[float], y: Sequence[float], log=""
    ) -> None:
        self.picture, self.place, self.log = picture, place, log
        self.x_range, self.y_range = x, y

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return the pixels of a point."""
        left, top, width, height = self.place

        def part(value: float, limits: Sequence[float], log: bool) -> float:
            low, high, value = (math.log(v) if log else v for v in (*limits, value))
            return (value - low) / (high - low)

        return (
            left + width * part(x, self.x_range, "x" in self.log),
            top + height * (1 - part(y, self.y_range, "y" in self.log)),
        )

    def frame(self, x_ticks: dict[float, str], y_ticks: dict[float, str], x_label="", y_label="", title="", math=True):
        """Draw the left and lower border with ticks and labels, and a pale grid."""
        left, top, width, height = self.place
        bottom = top + height
        for tick, text in x_ticks.items():
            x, _ = self.at(tick, self.y_range[0])
            self.picture.line(x, top, x, bottom + 4, PALE, 1)
            self.picture.text(x, bottom + 16, text, 15)
        for tick, text in y_ticks.items():
            _, y = self.at(self.x_range[0], tick)
            self.picture.line(left - 4, y, left + width, y, PALE, 1)
            self.picture.text(left - 8, y, text, 15, anchor="end")
        self.picture.line(left, top, left, bottom)
        self.picture.line(left, bottom, left + width, bottom)
        write = self.picture.math if math else self.picture.text
        if x_label:
            write(left + width / 2, bottom + 38, x_label, 17)
        if y_label:
            write(left - 6, top - 16, y_label, 17, anchor="middle")
        if title:
            self.picture.text(left + width / 2, top - 18, title, 16)

    def clip(self, points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
        """Return the points within the vertical range."""
        return [(x, y) for x, y in points if self.y_range[0] <= y <= self.y_range[1]]

    def curve(self, x: Iterable[float], y: Iterable[float], color=BLUE, line=2.4, dash=None):
        self.picture.path(
            [self.at(*point) for point in self.clip(zip(map(float, x), map(float, y), strict=True))], color, line, dash
        )

    def function(self, f: Callable, low: float, high: float, color=BLUE, line=2.4, dash=None, count=121):
        """Draw f, which maps a list of numbers to numbers."""
        x = [low + (high - low) * i / (count - 1) for i in range(count)]
        self.curve(x, f(x), color, line, dash)

    def points(self, x: Iterable[float], y: Iterable[float], color=BLUE, r=3.5, fill=None):
        for point in self.clip(zip(map(float, x), map(float, y), strict=True)):
            self.picture.circle(*self.at(*point), r, fill or color, color)

    def text(self, x: float, y: float, text: str, size=15, color=INK, math=True, **settings: object):
        self.picture.text(*self.at(x, y), text, size, color, math=math, halo=True, **settings)


def escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
