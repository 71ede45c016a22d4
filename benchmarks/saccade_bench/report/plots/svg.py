"""SVG as text: elements, escaped; axes and their grids. Colours and sizes of letters are the page's style."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from saccade_bench.report.plots.scales import Scale

WIDTH = 480
"""Of every figure, in its own units, so that letters are as large as the text beside them, on a phone too."""

LEFT, RIGHT = 58, 466
LONGEST_NAME = 50

CORNERS = (
    ((-1, -1), (1, -1), (1, 1), (-1, 1)),
    ((0, -1.3), (1.2, 1), (-1.2, 1)),
    ((0, -1.4), (1.4, 0), (0, 1.4), (-1.4, 0)),
)
"""Of the markers after the circle: a square, a triangle, a diamond."""


@dataclass(frozen=True)
class Figure:
    """A plot and what is said of it. ``description`` has the numbers, for who cannot see the picture.

    ``legend`` names the styles that ``content``, SVG of ``height`` units, uses.
    """

    title: str
    caption: str
    description: str
    height: float
    content: str
    legend: tuple[tuple[str, str], ...] = ()


def element(tag: str, content: str = "", **attributes: object) -> str:
    """``content`` is SVG; attributes are escaped. ``class_`` is class, ``stroke_width`` is stroke-width."""
    told = "".join(f' {name.strip("_").replace("_", "-")}="{_shown(value)}"' for name, value in attributes.items())
    return f"<{tag}{told}>{content}</{tag}>" if content else f"<{tag}{told}/>"


def text(said: str, x: float, y: float, style: str = "", anchor: str = "start") -> str:
    return element("text", escape(said), x=x, y=y, text_anchor=anchor, **({"class_": style} if style else {}))


def line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    return element("path", d=f"M{_shown(x1)} {_shown(y1)}L{_shown(x2)} {_shown(y2)}", class_=style)


def path(points: Iterable[tuple[float, float]], style: str) -> str:
    """A line through points."""
    return element("path", d="M" + "L".join(f"{_shown(x)} {_shown(y)}" for x, y in points), class_=style)


def box(x: float, y: float, width: float, height: float, style: str) -> str:
    return element("rect", x=x, y=y, width=max(0.0, width), height=height, class_=style)


def marker(shape: int, x: float, y: float, style: str, size: float = 5) -> str:
    """One of four shapes, so that arms differ without colour too."""
    if shape % (len(CORNERS) + 1) == 0:
        return element("circle", cx=x, cy=y, r=size, class_=style)
    corners = CORNERS[shape % (len(CORNERS) + 1) - 1]
    points = "L".join(f"{_shown(x + across * size)} {_shown(y + down * size)}" for across, down in corners)
    return element("path", d=f"M{points}Z", class_=style)


def dots(places: list[tuple[int, int]]) -> str:
    """Dots as lines without length, each from the one before: the shortest that SVG has."""
    steps, before = [], (0, 0)
    for place in places:
        steps.append(f"m{place[0] - before[0]} {place[1] - before[1]}h0")
        before = place
    return "".join(steps).replace(" -", "-")


def x_axis(scale: Scale, top: float, bottom: float, label: str) -> str:
    """Grid lines between ``top`` and ``bottom``, their numbers and what they are below."""
    lines = [line(scale(tick), top, scale(tick), bottom, "grid") for tick in scale.ticks]
    numbers = [text(_number(tick), scale(tick), bottom + 17, "tick", "middle") for tick in scale.ticks]
    return "".join([*lines, *numbers, text(label, RIGHT, bottom + 37, "label", "end")])


def y_axis(scale: Scale, left: float, right: float, label: str) -> str:
    """Grid lines between ``left`` and ``right``, their numbers, and what they are above."""
    lines = [line(left, scale(tick), right, scale(tick), "grid") for tick in scale.ticks]
    numbers = [text(_number(tick), left - 6, scale(tick) + 5, "tick", "end") for tick in scale.ticks]
    return "".join([*lines, *numbers, text(label, 2, min(scale.start, scale.end) - 10, "label")])


def short(name: str) -> str:
    """A name that fits a figure's width: the middle is left out, since variants and engines are at the end."""
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME // 3]}…{name[-(LONGEST_NAME - LONGEST_NAME // 3 - 1) :]}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"


def _shown(value: object) -> str:
    """A number with no more digits than can be seen, anything else escaped."""
    if isinstance(value, float):
        return f"{value:.1f}".removesuffix(".0")
    return escape(str(value))
