"""What a camera of constant rate found of an arm: age, drops, misses, outages, and a ledger that must balance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from saccade.errors import CheckError
from saccade_bench.samples import Percentile, percentiles

MS = 1e-6


@dataclass(frozen=True)
class Window:
    """A window of one arm: see ``streams.constant_stream``, in milliseconds. ``fps`` is the camera's."""

    fps: float
    published_ms: Sequence[float]
    frames: Sequence[int]
    started_ms: Sequence[float]
    done_ms: Sequence[float]
    dropped: Sequence[int]

    @property
    def ages_ms(self) -> list[float]:
        """From when each frame was due until its result was there."""
        return [done - frame * 1000 / self.fps for frame, done in zip(self.frames, self.done_ms, strict=True)]

    @property
    def service_ms(self) -> list[float]:
        """How long each run took."""
        return [done - start for start, done in zip(self.started_ms, self.done_ms, strict=True)]

    @property
    def late_ms(self) -> list[float]:
        """How much later than due the camera itself was: the machine's, not the arm's."""
        return [when - frame * 1000 / self.fps for frame, when in enumerate(self.published_ms)]


@dataclass(frozen=True)
class StreamReport:
    """All windows of an arm. ``missed`` are results older than ``deadline_ms``."""

    fps: float
    deadline_ms: float
    published: int
    processed: int
    dropped: int
    missed: int
    longest_outage_ms: float
    age: Sequence[Percentile]
    service: Sequence[Percentile]
    windows: Sequence[Window]


def window_of(fps: float, said: Mapping[str, Any]) -> Window:
    """A window from what an arm said of it. Raises ``CheckError`` where a frame is lost, doubled or out of order."""
    published, started, done = ([each * MS for each in said[what]] for what in ("published", "started", "done"))
    window = Window(fps, published, said["frames"], started, done, said["dropped"])
    check_ledger(window)
    return window


def check_ledger(window: Window) -> None:
    """Raises ``CheckError`` unless every published frame was either run or dropped, once, in order."""
    if sorted((*window.frames, *window.dropped)) != list(range(len(window.published_ms))):
        raise CheckError(
            f"of {len(window.published_ms)} frames {len(window.frames)} were run and {len(window.dropped)} dropped, "
            "which does not account for each of them once"
        )
    if list(window.frames) != sorted(window.frames):
        raise CheckError("frames were run out of order")


def stream_report(windows: Sequence[Window], deadline_ms: float) -> StreamReport:
    ages = [age for window in windows for age in window.ages_ms]
    service = [each for window in windows for each in window.service_ms]
    outages = [later - earlier for window in windows for earlier, later in pairwise(window.done_ms)]
    return StreamReport(
        windows[0].fps,
        deadline_ms,
        published=sum(len(window.published_ms) for window in windows),
        processed=len(ages),
        dropped=sum(len(window.dropped) for window in windows),
        missed=sum(age > deadline_ms for age in ages),
        longest_outage_ms=max(outages, default=0.0),
        age=percentiles(ages),
        service=percentiles(service),
        windows=list(windows),
    )
