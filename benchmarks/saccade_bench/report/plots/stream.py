"""What became of a camera's frames: how old each result was, and which frames were dropped."""

from __future__ import annotations

from itertools import accumulate

from saccade_bench.document import Document
from saccade_bench.report.plots.colors import styles
from saccade_bench.report.plots.scales import Scale, scale_over
from saccade_bench.report.plots.svg import LEFT, RIGHT, Figure, dots, element, line, short, text, x_axis
from saccade_bench.stream_report import StreamReport

STRIP, GAP, TOP = 62, 34, 24
DROPS = 8
FEW = 700


def figures(made: Document) -> list[Figure]:
    """A strip for each arm, its windows one after the other."""
    found = [(arm.name, arm.stream) for arm in made.arms if arm.stream is not None]
    if not found:
        return []
    style = styles(made)
    x = Scale(0, max(_seconds(stream) for _, stream in found), LEFT, RIGHT)
    ages = [age for _, stream in found for window in stream.windows for age in window.ages_ms]
    deadlines = [stream.deadline_ms for _, stream in found]
    bottom = TOP + len(found) * (STRIP + GAP) - GAP + DROPS
    content = [x_axis(x, TOP, bottom, "seconds of the camera")]
    for index, (name, stream) in enumerate(found):
        top = TOP + index * (STRIP + GAP)
        y = scale_over([*(age for age in ages if age > 0), *deadlines], top + STRIP, top)
        content += [text(short(name), LEFT, top - 8, "name"), _strip(stream, x, y, style[name])]
    return [
        Figure(
            "A camera's frames",
            "A dot is a result, at the time when its frame was due, as many milliseconds high as it was old; the line "
            "is the deadline. Marks below a strip are frames that were dropped.",
            " ".join(_words(name, stream) for name, stream in found),
            bottom + 44,
            "".join(content),
        )
    ]


def _strip(stream: StreamReport, x: Scale, y: Scale, style: str) -> str:
    lengths = [len(window.published_ms) for window in stream.windows]
    begins = list(accumulate(lengths, initial=0))[:-1]
    results = {
        (round(x((begin + frame) / stream.fps)), round(y(max(y.low, age))))
        for begin, window in zip(begins, stream.windows, strict=True)
        for frame, age in zip(window.frames, window.ages_ms, strict=True)
    }
    dropped = sorted(
        {
            round(x((begin + frame) / stream.fps))
            for begin, window in zip(begins, stream.windows, strict=True)
            for frame in window.dropped
        }
    )
    size = "dots large" if len(results) <= FEW else "dots"
    shown = element("path", d=dots(sorted(results)), class_=f"{size} {style}") if results else ""
    marks = "".join(f"M{across} {y.start + 2:g}v{DROPS - 2}" for across in dropped)
    return _axis(stream.deadline_ms, y) + shown + (element("path", d=marks, class_=f"line {style}") if marks else "")


def _axis(deadline_ms: float, y: Scale) -> str:
    """The deadline, and both ends where they are far enough from it."""
    ends = [end for end in (y.low, y.high) if abs(y(end) - y(deadline_ms)) > 16]
    lines = [line(LEFT, y(value), RIGHT, y(value), "grid") for value in ends]
    numbers = [text(f"{value:.0f}", LEFT - 6, y(value) + 5, "tick", "end") for value in (*ends, deadline_ms)]
    return "".join([*lines, line(LEFT, y(deadline_ms), RIGHT, y(deadline_ms), "axis"), *numbers])


def _seconds(stream: StreamReport) -> float:
    return sum(len(window.published_ms) for window in stream.windows) / stream.fps


def _words(name: str, stream: StreamReport) -> str:
    late = f"{stream.missed} results missed {stream.deadline_ms:g} ms"
    ran = f"{stream.processed} of {stream.published} frames were run and {stream.dropped} dropped"
    return f"{name}: {ran}, {late}, the longest outage was {stream.longest_outage_ms:.0f} ms."
