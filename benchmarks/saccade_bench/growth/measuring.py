"""Axes measured one after the other, the points of each in turns, every point in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from saccade_bench.chosen import read_asked
from saccade_bench.growth.axes import AXES, Planned, Work, reason_against, work_of
from saccade_bench.growth.document import Axis, Document, Point, axis_of, spread_of
from saccade_bench.machine.about import about_machine
from saccade_bench.machine.watching import Watcher
from saccade_bench.overhead import frames_of_one_size
from saccade_bench.turns import TIERS, Effort, Measured, Tell, Watch, in_long_turns, in_turns

FRAMES = 8
"""Different frames, as many as the largest batch takes."""

LEAST_ROUNDS = 3
CLIP_ROUNDS = {"smoke": 2, "quick": 3, "publish": 10}
"""By tier: a run of a clip is a whole clip."""


@dataclass(frozen=True)
class Request:
    """What was asked for: ``bundle`` as an arm of ``saccade bench`` is written, and the names of axes."""

    bundle: str
    source: str
    axes: Sequence[str]
    tier: str


def run(request: Request, tell: Tell) -> Document:
    """Measure all axes. Raises ``RequestError`` for what does not go together, ``CheckError`` for an arm that fails."""
    asked = read_asked(request.bundle)
    frames = frames_of_one_size(request.source, FRAMES)
    with TemporaryDirectory(prefix="saccade-growth-") as name:
        work = work_of(asked, request.source, frames, Path(name), request.tier)
        tell("making frames", 0, 1)
        reasons = {axis: reason_against(axis, work) for axis in request.axes}
        planned = {axis: AXES[axis](work) for axis, reason in reasons.items() if reason is None}
        with Watcher() as watcher:
            found = {axis: _measured(axis, points, work, tell, watcher.follow) for axis, points in planned.items()}
        axes = [
            Axis(axis, (), left_out=reason) if reason else axis_of(axis, points_of(planned[axis], found[axis]))
            for axis, reason in reasons.items()
        ]
    return Document(_settings(request, work), _about(found), about_machine(watcher.result()), axes)


def points_of(planned: Sequence[Planned], found: Sequence[Measured]) -> list[Point]:
    return [_point(each, measured) for each, measured in zip(planned, found, strict=True)]


def _measured(axis: str, planned: Sequence[Planned], work: Work, tell: Tell, watch: Watch) -> list[Measured]:
    """The points of an axis share the time that a tier allows an arm."""
    arms = [each.arm for each in planned]

    def told(what: str, done: int, total: int) -> None:
        tell(f"{axis}: {what}", done, total)

    if axis == "clip":
        return in_long_turns(arms, CLIP_ROUNDS[work.tier], told, watch)
    tier = TIERS[work.tier]
    return in_turns(arms, Effort(tier.samples, tier.most_s / len(arms), LEAST_ROUNDS), told, watch)


def _point(planned: Planned, measured: Measured) -> Point:
    shared = planned.frames if planned.is_time_shared else 1
    walls = [sample for turn in measured.rounds("wall") for sample in turn]
    engines = [sample for turn in measured.rounds("engine") for sample in turn]
    outside = [wall - engine for wall, engine in zip(walls, engines, strict=True)] if engines else []
    return Point(
        label=planned.label,
        amount=planned.amount,
        ms=spread_of([wall / shared for wall in walls]),
        outside_ms=spread_of(outside) if outside else None,
        frames_per_s=spread_of([1000 * planned.frames / wall for wall in walls]),
        peak_mb=measured.peak_mb,
        given_mb=planned.given_mb,
        threads=measured.start.about.get("threads"),
        rounds_ms=[median(turn) / shared for turn in measured.rounds("wall") if turn],
        samples=len(walls),
    )


def _settings(request: Request, work: Work) -> dict[str, Any]:
    height, width, _ = work.frames[0].shape
    return {
        "bundle": request.bundle, "source": request.source, "axes": list(request.axes), "tier": request.tier,
        "frames": len(work.frames), "width": width, "height": height, "threads": work.asked.threads,
        **vars(TIERS[request.tier]), "least_rounds": LEAST_ROUNDS, "clip_rounds": CLIP_ROUNDS[request.tier],
    }  # fmt: skip


def _about(found: Mapping[str, Sequence[Measured]]) -> dict[str, Any]:
    """What every arm says of itself alike: all but its threads. Nothing where no axis was measured."""
    arms = [measured for axis in found.values() for measured in axis]
    return {name: said for name, said in arms[0].start.about.items() if name != "threads"} if arms else {}
