"""How latencies are distributed: how many frames take longer than so many milliseconds, down to the rarest."""

from __future__ import annotations

import numpy as np

from saccade_bench.document import ArmReport, Document
from saccade_bench.report.cells import work_words
from saccade_bench.report.plots.colors import key, shapes, styles
from saccade_bench.report.plots.scales import Scale, scale_over
from saccade_bench.report.plots.svg import LEFT, RIGHT, Figure, line, marker, path, text, x_axis
from saccade_bench.samples import PERCENTS

TOP, BOTTOM, HEIGHT = 34, 286, 330
POINTS = 240


def figures(made: Document) -> list[Figure]:
    arms = [arm for arm in (*made.by_role("again"), *made.by_role("arm")) if arm.samples("wall")]
    if not arms:
        return []
    style, shape = styles(made), shapes(made)
    x = scale_over([sample for arm in arms for sample in arm.samples("wall")], LEFT, RIGHT, room=0.03)
    most = max(len(arm.samples("wall")) for arm in arms)
    y = Scale(1.0, 0.7 / most, TOP, BOTTOM, True)
    content = [x_axis(x, TOP, BOTTOM, f"milliseconds {work_words(made)}" + (", logarithmic" if x.is_log else ""))]
    content += [text("percentile, rarer downwards", 2, TOP - 14, "label")]
    for percent in PERCENTS:
        if (at := y((100 - percent) / 100)) <= BOTTOM:
            content += [
                line(LEFT, at, RIGHT, at, "grid"),
                text(f"p{percent:g}", LEFT - 6, at + 5, "tick", "end"),
            ]
    content += [_curve(arm, x, y, style[arm.name], shape.get(arm.name)) for arm in arms]
    ours = [arm for arm in arms if arm.role == "arm"]
    entries = [(key(style[arm.name], shape[arm.name]), arm.name) for arm in ours]
    again = [(key("grey"), f"{arm.name} (the same twice)") for arm in arms if arm.role == "again"]
    return [
        Figure(
            "Latency",
            "At p99 one frame in a hundred takes longer. Further left is faster, a steeper line is steadier. "
            "Marks are where there are enough samples to say a percentile.",
            " ".join(_words(arm) for arm in ours),
            HEIGHT,
            "".join(content),
            (*entries, *again),
        )
    ]


def _curve(arm: ArmReport, x: Scale, y: Scale, style: str, shape: int | None) -> str:
    """A point for each share; shares are as far apart as the eye sees them, down to the last single samples."""
    ordered = np.sort(arm.samples("wall"))
    count = len(ordered)
    rare = np.unique(np.geomspace(1, count, POINTS).round().astype(int))[::-1]
    points = [(x(float(ordered[count - each])), y(each / count)) for each in rare]
    marks = [
        marker(shape, x(found.value), y(1 - found.percent / 100), f"dot {style}", 4.5)
        for found in arm.percentiles("wall")
        if shape is not None
    ]
    return path(points, f"line {style}") + "".join(marks)


def _words(arm: ArmReport) -> str:
    found = ", ".join(f"p{each.percent:g} {each.value:.2f} ms" for each in arm.percentiles("wall"))
    samples = arm.samples("wall")
    return f"{arm.name}: {found or 'too few samples for percentiles'}, slowest of {len(samples)} {max(samples):.2f} ms."
