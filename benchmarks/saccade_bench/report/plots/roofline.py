"""How near arms come to what the machine can compute and move, where both were measured.

Of an arm's ``limit`` ``flops`` and ``bytes`` are those of one frame; of the machine's ``peaks`` ``flops_per_s`` and
``bytes_per_s`` are numbers, or numbers by name where there are several. What lacks is left out. (Williams, Waterman and
Patterson, Roofline, 2009.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saccade_bench.document import ArmReport, Document
from saccade_bench.report.cells import median_ms
from saccade_bench.report.plots.colors import key, shapes, styles
from saccade_bench.report.plots.scales import Scale, scale_over
from saccade_bench.report.plots.svg import LEFT, RIGHT, Figure, marker, path, text, x_axis, y_axis

TOP, BOTTOM, HEIGHT = 36, 266, 310
GIGA = 1e9


def figures(made: Document) -> list[Figure]:
    peaks = made.machine.get("peaks")
    points = [(arm, *place) for arm in made.by_role("arm") if (place := _place(arm)) is not None]
    if not isinstance(peaks, Mapping) or not points:
        return []
    tops, slopes = (_by_name(peaks.get(each)) for each in ("flops_per_s", "bytes_per_s"))
    if not tops or not slopes:
        return []
    knees = [top / slope for top in tops.values() for slope in slopes.values()]
    style, shape = styles(made), shapes(made)
    x = scale_over([*knees, *(across for _, across, _ in points)], LEFT, RIGHT, is_log=True, room=0.15)
    fastest = max(tops.values()) / GIGA
    y = scale_over([fastest * 1.3, *(speed for *_, speed in points)], BOTTOM, TOP, is_log=True)
    marks = [marker(shape[arm.name], x(a), y(s), f"dot {style[arm.name]}", 6) for arm, a, s in points]
    return [
        Figure(
            "Roofline",
            "The machine's limits, and where arms are below them: under the slope memory is what holds an arm back, "
            "under the flat part arithmetic. Work is counted from the graph, time is the median in the engine.",
            " ".join(_words(arm, across, speed) for arm, across, speed in points),
            HEIGHT,
            x_axis(x, TOP, BOTTOM, "operations for each byte, logarithmic")
            + y_axis(y, LEFT, RIGHT, "billions of operations a second, logarithmic")
            + "".join(_roof(name, top, slope, x, y) for name, top in tops.items() for slope in slopes.values())
            + "".join(marks),
            tuple((key(style[arm.name], shape[arm.name]), arm.name) for arm, _, _ in points),
        )
    ]


def _place(arm: ArmReport) -> tuple[float, float] | None:
    """Operations for each byte, and billions of them a second."""
    middle = median_ms(arm, "engine") or median_ms(arm, "wall")
    flops, moved = (_positive((arm.limit or {}).get(name)) for name in ("flops", "bytes"))
    if middle is None or flops is None or moved is None:
        return None
    return flops / moved, flops / (middle / 1000) / GIGA


def _roof(name: str, top: float, slope: float, x: Scale, y: Scale) -> str:
    """From the left edge up to the knee and flat from there, within the figure."""
    top, slope = top / GIGA, slope / GIGA
    begin, knee = max(x.low, y.low / slope), top / slope
    points = [(begin, begin * slope), (knee, top), (x.high, top)]
    named = text(name, RIGHT - 2, y(top) - 5, "tick", "end") if name else ""
    return path([(x(across), y(up)) for across, up in points], "roof") + named


def _by_name(peak: Any) -> dict[str, float]:
    several = peak if isinstance(peak, Mapping) else {"": peak}
    return {str(name): found for name, value in several.items() if (found := _positive(value)) is not None}


def _positive(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and value > 0 else None


def _words(arm: ArmReport, across: float, speed: float) -> str:
    limit = arm.limit or {}
    said = f"{arm.name}: {speed:.1f} billion operations a second, {across:.1f} for each byte"
    if (share := _positive(limit.get("share"))) is not None:
        said += f", {100 * share:.0f} % of its limit"
    if (least := _positive(limit.get("limit_ms"))) is not None:
        said += f" of {least:.2f} ms"
    return f"{said}, bound by {limit['bound']}." if isinstance(limit.get("bound"), str) else f"{said}."
