"""Documents of saccade_bench.growth that were never run, with numbers that are known."""

from __future__ import annotations

from collections.abc import Sequence

from saccade_bench.growth.document import Axis, Document, Point, Spread, axis_of

SETTINGS = {"bundle": "road.saccade", "source": "drive.mp4", "tier": "quick", "width": 960, "height": 540}
ABOUT = {"task": "segment", "variant": "fp32-cpu", "engine": "onnxruntime", "engine_version": "1.2.3"}
MACHINE = {"saccade": "0.1.0", "processor": "Abacus 9000", "cores": 2, "when": "2026-11-22T00:00:00Z"}
LABELS = {
    "resolution": ("640x360", "2560x1440"),
    "batch": ("1", "8"),
    "cameras": ("1", "2", "4"),
    "threads": ("1", "2"),
    "clip": ("30", "300"),
}


def point(label: str, amount: int, ms: float, peak_mb: float, is_silent: bool = False) -> Point:
    """``ms`` within a tenth, of which a twentieth is outside the engine unless it ``is_silent``."""
    outside = None if is_silent else Spread(0.05 * ms, 0.04 * ms, 0.06 * ms)
    rate = Spread(1000 / ms, 900 / ms, 1100 / ms)
    return Point(label, amount, Spread(ms, 0.9 * ms, 1.1 * ms), outside, rate, peak_mb, 12.0, 2, [ms, ms], 8)


def axis(name: str, ms: float = 20.0, peak_mb: float = 200.0, grows_mb: float = 8.0) -> Axis:
    """Each point takes half as long again as the one before, and ``grows_mb`` more memory."""
    points = [
        point(label, 10**index, ms * 1.5**index, peak_mb + grows_mb * index, name in ("cameras", "clip"))
        for index, label in enumerate(LABELS[name])
    ]
    return axis_of(name, points)


def made_up_growth(axes: Sequence[Axis] | None = None, **machine: object) -> Document:
    """All five axes unless told."""
    return Document(SETTINGS, ABOUT, {**MACHINE, **machine}, list(map(axis, LABELS)) if axes is None else list(axes))
