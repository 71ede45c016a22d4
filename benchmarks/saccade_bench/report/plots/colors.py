"""One colour, dash and marker for an arm in every figure and in the table; grey for what only measures the machine."""

from __future__ import annotations

from html import escape

from saccade_bench.document import Document
from saccade_bench.report.plots.svg import element, line, marker

COLORS = 6
"""Colours of the page's style, c0 to c5: those of Okabe and Ito, which colour-blind readers tell apart."""


def styles(made: Document) -> dict[str, str]:
    """The style's classes of each arm, by name. From the seventh on colours come again, dashed."""
    ours = {name: f"c{index % COLORS}" + (" dashed" if index >= COLORS else "") for name, index in shapes(made).items()}
    return {**{arm.name: "grey" for arm in made.arms}, **ours}


def shapes(made: Document) -> dict[str, int]:
    """The marker of each arm, by name; the network alone is compared as they are."""
    return {arm.name: index for index, arm in enumerate((*made.by_role("arm"), *made.by_role("network")))}


def key(style: str, shape: int | None = None) -> str:
    """A small picture of a style: a line, and the marker on it where there is one."""
    shown = line(0, 7, 24, 7, f"line {style}") + ("" if shape is None else marker(shape, 12, 7, f"dot {style}", 4.5))
    return element("svg", shown, class_="key", viewBox="0 0 24 14", aria_hidden="true")


def legend(entries: tuple[tuple[str, str], ...]) -> str:
    """Keys and names as HTML, so that they break into lines as text does. Keys are SVG, names are escaped here."""
    return "".join(f"<li>{shown} {escape(name)}</li>" for shown, name in entries)
