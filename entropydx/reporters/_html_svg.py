"""Charts as lists of marks. A template draws them; every text in them is escaped there, like all text of the page.

Colours are classes of the style sheet, so that a chart follows the reader's light or dark mode.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One element of an SVG."""

    tag: str
    """path, rect, circle, line or text."""
    attributes: dict[str, str]
    text: str = ""
    """Of a text."""
    title: str = ""
    """What a pointer that rests on it reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A drawing with its words: what a reader hears who does not see it."""

    width: int
    height: int
    label: str
    marks: tuple[Mark, ...]
    kind: str = ""
    """A class for the style sheet."""


def px(value: float) -> str:
    """Return a coordinate at a tenth of a pixel."""
    return f"{round(value, 1) + 0.0:g}"


def line(a: Point, b: Point, style: str) -> Mark:
    """Return a straight line."""
    return Mark(tag="line", attributes={"x1": px(a[0]), "y1": px(a[1]), "x2": px(b[0]), "y2": px(b[1]), "class": style})


def rect(corner: Point, size: Point, style: str, title: str = "") -> Mark:
    """Return a rectangle; a negative size reaches to the left or upwards."""
    left, top = min(corner[0], corner[0] + size[0]), min(corner[1], corner[1] + size[1])
    attributes = {"x": px(left), "y": px(top), "width": px(abs(size[0])), "height": px(abs(size[1])), "class": style}
    return Mark(tag="rect", attributes=attributes, title=title)


def circle(centre: Point, radius: float, style: str, title: str = "") -> Mark:
    """Return a circle."""
    attributes = {"cx": px(centre[0]), "cy": px(centre[1]), "r": px(radius), "class": style}
    return Mark(tag="circle", attributes=attributes, title=title)


def diamond(centre: Point, radius: float, style: str, title: str = "") -> Mark:
    """Return a square that stands on a corner."""
    x, y = centre
    corners = [(x, y - radius), (x + radius, y), (x, y + radius), (x - radius, y)]
    return path(corners, style, closed=True, title=title)


def path(points: Sequence[Point], style: str, *, closed: bool = False, title: str = "") -> Mark:
    """Return a line through points, or the area that it bounds."""
    d = "M" + "L".join(f"{px(x)} {px(y)}" for x, y in points) + "Z" * closed
    return Mark(tag="path", attributes={"d": d, "class": style}, title=title)


def text(at: Point, words: str, style: str = "lab", anchor: str = "middle") -> Mark:
    """Return a line of text; anchor is start, middle or end."""
    attributes = {"x": px(at[0]), "y": px(at[1]), "class": style, "text-anchor": anchor}
    return Mark(tag="text", attributes=attributes, text=words)


# ── axes ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """A rectangle of a chart, and the ranges that it stands for."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: int = 360
    height: int = 230
    left: int = 40
    right: int = 12
    top: int = 12
    bottom: int = 40
    log2: bool = False
    """Whether x is drawn on a logarithmic scale."""

    def at(self, x: float, y: float) -> Point:
        """Return where a point lies, in pixels; what is outside lies on the border."""
        return self.across(x), self.up(y)

    def across(self, x: float) -> float:
        """Return the horizontal place of a value."""
        low, high = self.x
        share = (_log2(x) - _log2(low)) / (_log2(high) - _log2(low)) if self.log2 else (x - low) / (high - low)
        return self.left + min(max(share, 0.0), 1.0) * (self.width - self.left - self.right)

    def up(self, y: float) -> float:
        """Return the vertical place of a value."""
        low, high = self.y
        share = min(max((y - low) / (high - low), 0.0), 1.0)
        return self.height - self.bottom - share * (self.height - self.top - self.bottom)

    def frame(self, xs: Iterable[tuple[float, str]], ys: Iterable[tuple[float, str]], x_name: str) -> list[Mark]:
        """Return grid, ticks and the name of the horizontal axis."""
        floor, right = self.height - self.bottom, self.width - self.right
        marks = []
        for value, name in ys:
            y = self.up(value)
            marks += [line((self.left, y), (right, y), "grid"), text((self.left - 6, y + 4), name, anchor="end")]
        marks.append(line((self.left, floor), (right, floor), "axis"))
        for value, name in xs:
            marks.append(text((self.across(value), floor + 16), name))
        return [*marks, text(((self.left + right) / 2, self.height - 5), x_name, "lab name")]


def _log2(x: float) -> float:
    return math.log2(max(x, 1e-12))


def round_ticks(low: float, high: float, most: int = 4) -> list[float]:
    """Return round numbers between two, at most `most` + 1 of them."""
    raw = (high - low) / most
    if raw <= 0:
        return [low]
    size = 10 ** math.floor(math.log10(raw))
    step = next(size * m for m in (1, 2, 2.5, 5, 10) if size * m >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]
