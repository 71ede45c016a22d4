"""What every report says of a document, as text: sentences, the table of all axes, and a table for each."""

from __future__ import annotations

from saccade_bench.growth.document import FLAT_SHARE, Axis, Document, Spread
from saccade_bench.growth.words import WORDS
from saccade_bench.report.cells import joined

OVERVIEW = ("what grows", "from", "to", "time a frame", "frames a second", "memory")
OVERVIEW_WORDS = OVERVIEW[:3]


def overview(made: Document) -> list[list[str]]:
    """A row for each axis that was measured: its first point and its last."""
    return [_row(axis) for axis in made.axes if axis.points]


def columns(axis: Axis) -> list[str]:
    """The first is the point's name; what no point has is left out."""
    outside = ["outside the engine"] if has_outside(axis) else []
    given = ["of it given frames"] if _has_given(axis) else []
    words = WORDS[axis.name]
    return [words.grows, words.time, "10 to 90 %", *outside, "frames a second", "memory", *given, "samples"]


def rows(axis: Axis) -> list[list[str]]:
    """A row for each point, with a cell for each of ``columns``."""
    return [
        [
            point.label,
            f"{point.ms.median:.2f} ms",
            f"{point.ms.low:.2f} to {point.ms.high:.2f}",
            *([_spread(point.outside_ms)] if point.outside_ms is not None and has_outside(axis) else []),
            f"{point.frames_per_s.median:.1f}",
            f"{point.peak_mb:.0f} MB",
            *([f"{point.given_mb:.0f} MB"] if _has_given(axis) else []),
            str(point.samples),
        ]
        for point in axis.points
    ]


def sentences(made: Document) -> list[str]:
    """What was found, an axis each, what was left out, and whether anything disturbed the machine."""
    said = [told for axis in made.axes for told in _sentences(axis)]
    disturbed = disturbance(made)
    return [*said, f"{disturbed[0].upper()}{disturbed[1:]}."] if disturbed else said


def disturbance(made: Document) -> str:
    """What disturbed the machine; nothing where nothing did."""
    reasons = made.machine.get("disturbed")
    return f"the machine was disturbed: {'; '.join(map(str, reasons))}" if reasons else ""


def memory_sentence(axis: Axis) -> str:
    """By how much memory grows along an axis that was measured."""
    first, last = axis.points[0], axis.points[-1]
    grown = last.peak_mb - first.peak_mb
    limit = f"{100 * FLAT_SHARE:g} % of {first.peak_mb:.0f} MB"
    verdict = f"no more than {limit}: it is flat" if axis.is_flat else f"more than {limit}: it is not flat"
    return f"Memory grows by {grown:.1f} MB from {first.label} to {last.label} frames, {verdict}"


def conditions(made: Document) -> str:
    """Bundle, machine and settings in a line; what is not known is left out."""
    settings, about, machine = made.settings, made.about, made.machine
    threads = settings.get("threads")
    known = (
        joined("{}", settings.get("bundle")),
        joined("{} on {} {}", about.get("variant"), about.get("engine"), about.get("engine_version")),
        joined("{} at {}x{}", settings.get("source"), settings.get("width"), settings.get("height")),
        joined("{} cores of {}", machine.get("cores"), machine.get("processor")),
        "" if threads is None else f"{threads} thread{'' if threads == 1 else 's'}",
        joined("{} tier", settings.get("tier")),
        joined("saccade {}", machine.get("saccade")),
        joined("{}", machine.get("when")),
    )
    return ", ".join(each for each in known if each)


def _row(axis: Axis) -> list[str]:
    first, last = axis.points[0], axis.points[-1]
    grown = f" ({last.amount / first.amount:.3g} x)" if last is not first else ""
    return [
        WORDS[axis.name].grows,
        first.label,
        f"{last.label}{grown}",
        _change(first.ms.median, last.ms.median, "ms", 2),
        _change(first.frames_per_s.median, last.frames_per_s.median, "", 1),
        _change(first.peak_mb, last.peak_mb, "MB", 0),
    ]


def _sentences(axis: Axis) -> list[str]:
    words = WORDS[axis.name]
    if not axis.points:
        return [f"{words.title} is left out: {axis.left_out}."]
    first, last = axis.points[0], axis.points[-1]
    rates = f"frames a second {_change(first.frames_per_s.median, last.frames_per_s.median, '', 1)}, "
    span = first.label if last is first else f"{first.label} to {last.label}"
    said = (
        f"{words.title}, {span} {words.grows}: {rates if axis.name == 'cameras' else ''}"
        f"{words.time} {_change(first.ms.median, last.ms.median, 'ms', 2)}, "
        f"memory {_change(first.peak_mb, last.peak_mb, 'MB', 0)}."
    )
    return [said, f"{memory_sentence(axis)}."] if axis.name == "clip" else [said]


def _change(first: float, last: float, unit: str, digits: int) -> str:
    shown = f"{first:,.{digits}f} → {last:,.{digits}f} {unit}".strip()
    return f"{shown} ({last / first:.2f} x)"


def _spread(found: Spread) -> str:
    return f"{found.median:.2f} ms ({found.low:.2f} to {found.high:.2f})"


def has_outside(axis: Axis) -> bool:
    """Whether every point knows its time outside the engine."""
    return all(point.outside_ms is not None for point in axis.points)


def _has_given(axis: Axis) -> bool:
    return any(point.given_mb > 0 for point in axis.points)
