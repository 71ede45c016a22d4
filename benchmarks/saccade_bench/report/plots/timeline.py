"""Every sample in the order in which it was taken: drifts and accidents of the machine are seen in all arms at once."""

from __future__ import annotations

import statistics

import numpy as np

from saccade_bench.document import ArmReport, Document
from saccade_bench.report.plots.colors import styles
from saccade_bench.report.plots.scales import Scale
from saccade_bench.report.plots.svg import LEFT, RIGHT, Figure, dots, element, line, short, text, x_axis

STRIP, GAP = 46, 26
TOP = 22
USUAL = 99
"""Percentile up to which samples set the height of a strip; what is beyond is drawn at its edge."""

FEW = 700
"""Up to so many samples dots are large enough to be seen each."""

LEAST_HIGH, LEAST_LOW = 1.15, 0.95


def figures(made: Document) -> list[Figure]:
    arms = [arm for arm in made.arms if arm.samples("wall")]
    if not arms:
        return []
    style = styles(made)
    bottom = TOP + len(arms) * (STRIP + GAP) - GAP
    x = Scale(0, len(arms[0].wall), LEFT, RIGHT)
    low, high = _range(arms)
    content = [x_axis(x, TOP, bottom, "round")]
    for index, arm in enumerate(arms):
        top = TOP + index * (STRIP + GAP)
        y = Scale(low, high, top + STRIP, top, True)
        content += [text(short(arm.name), LEFT, top - 6, "name"), _axis(y), _points(arm, x, y, style[arm.name])]
    return [
        Figure(
            "Every sample in its order",
            "Each arm's times over its own median, all on one scale. What happens in all strips at once was the "
            "machine's doing; the grey ones always do the same work. Triangles are samples beyond the strip.",
            " ".join(_words(arm) for arm in arms),
            bottom + 44,
            "".join(content),
        )
    ]


def _range(arms: list[ArmReport]) -> tuple[float, float]:
    shares = [np.array(arm.samples("wall")) / statistics.median(arm.samples("wall")) for arm in arms]
    high = max(float(np.percentile(share, USUAL, method="lower")) for share in shares)
    return min(LEAST_LOW, *(float(share.min()) for share in shares)), max(LEAST_HIGH, high)


def _axis(y: Scale) -> str:
    """The median and both ends."""
    shown = [1.0, *(end for end in (y.low, y.high) if abs(y(end) - y(1.0)) > 13)]
    return "".join(
        line(LEFT, y(value), RIGHT, y(value), "grid") + text(f"{value:.2g}x", LEFT - 6, y(value) + 5, "tick", "end")
        for value in shown
    )


def _points(arm: ArmReport, x: Scale, y: Scale, style: str) -> str:
    """A dot for each sample; those that the eye cannot tell apart are drawn once."""
    middle = statistics.median(arm.samples("wall"))
    placed = [
        (round(x(number + (place + 0.5) / len(turn))), sample / middle)
        for number, turn in enumerate(arm.wall)
        for place, sample in enumerate(turn)
    ]
    inside = sorted({(across, round(y(share))) for across, share in placed if share <= y.high})
    beyond = sorted({across for across, share in placed if share > y.high})
    size = "dots" if len(placed) > FEW else "dots large"
    drawn = element("path", d=dots(inside), class_=f"{size} {style}")
    edge = "".join(f"M{across - 3} {y.end + 5:g}l3-5 3 5z" for across in beyond)
    return drawn + (element("path", d=edge, class_=f"dot {style}") if edge else "")


def _words(arm: ArmReport) -> str:
    samples = arm.samples("wall")
    middle = statistics.median(samples)
    late = max(samples) / middle
    return f"{arm.name}: median {middle:.2f} ms, fastest {min(samples) / middle:.2f} and slowest {late:.2f} times that."
