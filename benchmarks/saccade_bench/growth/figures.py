"""A figure for each axis: a panel for time, one for frames a second where cameras share them, one for memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from saccade_bench.growth.cells import has_outside, memory_sentence
from saccade_bench.growth.document import Axis, Document, Point, Spread
from saccade_bench.growth.words import WORDS
from saccade_bench.report.plots.colors import key
from saccade_bench.report.plots.scales import Scale
from saccade_bench.report.plots.svg import LEFT, RIGHT, Figure, line, marker, path, text, y_axis

TOP, PANEL, GAP, BELOW = 34, 128, 42, 48
ROOM = 1.15
"""Of the largest value: what is above it has room for its number."""

SIDE = 0.35
"""Left of the first point and right of the last. Points are equally far apart: each is a multiple of the last."""


@dataclass(frozen=True)
class Series:
    """A line through the points of an axis, which all have its value."""

    name: str
    style: str
    shape: int
    value: Callable[[Point], Spread | None]


@dataclass(frozen=True)
class Panel:
    """Series of one unit, from 0 up."""

    label: str
    series: Sequence[Series]


def figures(made: Document) -> list[Figure]:
    return [_figure(axis) for axis in made.axes if axis.points]


def _figure(axis: Axis) -> Figure:
    words, panels = WORDS[axis.name], _panels(axis)
    x = Scale(-SIDE, len(axis.points) - 1 + SIDE, LEFT, RIGHT)
    bottom = TOP + len(panels) * (PANEL + GAP) - GAP
    content = [_panel(axis, panel, x, TOP + index * (PANEL + GAP)) for index, panel in enumerate(panels)]
    content += [text(point.label, x(number), bottom + 18, "tick", "middle") for number, point in enumerate(axis.points)]
    content.append(text(words.grows, RIGHT, bottom + 38, "label", "end"))
    shown = [series for panel in panels for series in panel.series]
    caption = f"{words.caption} {memory_sentence(axis)}." if axis.name == "clip" else words.caption
    return Figure(
        words.title,
        f"{caption} Lines up and down are the 10th and the 90th percentile.",
        " ".join(_described(axis, series) for series in shown),
        bottom + BELOW,
        "".join(content),
        tuple((key(series.style, series.shape), series.name) for series in shown),
    )


def _panels(axis: Axis) -> list[Panel]:
    time = [Series(WORDS[axis.name].time, "c0", 0, lambda point: point.ms)]
    if has_outside(axis):
        time.append(Series("outside the engine", "c1", 1, lambda point: point.outside_ms))
    memory = [Series("memory", "c2", 2, lambda point: _exact(point.peak_mb))]
    if axis.name == "resolution":
        memory.append(Series("of it given frames", "grey", 3, lambda point: _exact(point.given_mb)))
    panels = [Panel("milliseconds", time), Panel("megabytes", memory)]
    if axis.name == "cameras":
        together = Series("frames a second, all cameras", "c3", 1, lambda point: point.frames_per_s)
        panels.insert(0, Panel("frames a second", [together]))
    return panels


def _panel(axis: Axis, panel: Panel, x: Scale, top: float) -> str:
    """Grid lines across for round values and up for each point, then the series."""
    bottom = top + PANEL
    most = max(found.high for series in panel.series for found in _values(axis, series))
    y = Scale(0.0, ROOM * max(most, 1e-9), bottom, top)
    grid = [line(x(number), top, x(number), bottom, "grid") for number in range(len(axis.points))]
    drawn = [_series(_values(axis, series), series, x, y) for series in panel.series]
    return "".join([y_axis(y, LEFT, RIGHT, panel.label), *grid, *drawn])


def _series(values: Sequence[Spread], series: Series, x: Scale, y: Scale) -> str:
    places = [(x(number), y(found.median)) for number, found in enumerate(values)]
    spreads = [
        line(x(number), y(found.low), x(number), y(found.high), f"interval {series.style}")
        for number, found in enumerate(values)
        if found.high > found.low
    ]
    marks = [marker(series.shape, across, down, f"dot {series.style}") for across, down in places]
    numbers = [
        text(_number(found.median), x(number), y(found.high) - 8, "value", "middle")
        for number, found in enumerate(values)
    ]
    return "".join([path(places, f"line {series.style}"), *spreads, *marks, *numbers])


def _values(axis: Axis, series: Series) -> list[Spread]:
    return [found for point in axis.points if (found := series.value(point)) is not None]


def _described(axis: Axis, series: Series) -> str:
    values = zip(axis.points, _values(axis, series), strict=True)
    return f"{series.name}: {', '.join(f'{_number(found.median)} at {point.label}' for point, found in values)}."


def _exact(value: float) -> Spread:
    return Spread(value, value, value)


def _number(value: float) -> str:
    """Three digits, more where they stand before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
