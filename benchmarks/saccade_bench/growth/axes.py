"""The axes along which work grows, and the points of each: an arm of its own for every point."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from saccade.machine import usable_cores
from saccade.opening import choose
from saccade_bench.arms import Arm
from saccade_bench.chosen import Asked, Frame, bundle_arms

SIZES = ((640, 360), (960, 540), (1280, 720), (1920, 1080), (2560, 1440))
"""Width and height: from a quarter of 1280x720 in pixels to four times that."""

BATCHES = (1, 2, 4, 8)
CAMERAS = (1, 2, 4)
THREADS = (1, 2, 4, 8)
LENGTHS = {"smoke": (30, 90), "quick": (30, 300), "publish": (100, 1000)}
"""Frames of a clip, by tier. From 30 on an encoder's look-ahead is full: 6 frames of 768x432 took 187 MB, 30 to 300
took 205 to 223."""

RESIZED = 4
"""Different frames of each size: an arm holds them all, and 2560x1440 has 11 MB a frame."""

CAMERAS_WAY, CLIP_WAY = "saccade_bench.ways.cameras", "saccade_bench.ways.clip"


@dataclass(frozen=True)
class Work:
    """What all axes are measured with. ``asked`` names variant and engine; ``folder`` takes what arms read."""

    asked: Asked
    device: str
    source: str
    frames: Sequence[Frame]
    folder: Path
    tier: str


@dataclass(frozen=True)
class Planned:
    """A point that is to be measured: its name, how much work it is on its axis, and its arm.

    A run of the arm is of ``frames``; where ``is_time_shared`` its time is divided by them, and else each takes all.
    """

    label: str
    amount: int
    arm: Arm
    frames: int = 1
    is_time_shared: bool = True

    @property
    def given_mb(self) -> float:
        """What the frames that its process holds take of its memory, in MB."""
        path = self.arm.spec.get("frames")
        return 0.0 if path is None else Path(path).stat().st_size / 1e6


def work_of(asked: Asked, source: str, frames: Sequence[Frame], folder: Path, tier: str) -> Work:
    """Engine and variant are chosen here, once for all points. Raises what ``saccade.open`` does for its choice."""
    engine, device, variant = choose(asked.bundle, asked.engine or "auto", "auto", asked.variant or "auto")
    return Work(replace(asked, engine=engine, variant=variant.name), device, source, frames, folder, tier)


def reason_against(axis: str, work: Work) -> str | None:
    """Why an axis is left out for this bundle on this machine; None where it is measured."""
    variant = work.asked.bundle.variant(work.asked.variant or "")
    if axis == "batch" and variant.parameters.get("batch") == 1:
        return f"{variant.name} takes one frame at a time"
    if axis == "threads" and work.device != "cpu":
        return f"{variant.name} runs on {work.device}, whose work threads of the CPU do not share"
    return None


def resolution(work: Work) -> list[Planned]:
    """The same view in more pixels."""
    return [
        Planned(label, width * height, _arm(replace(work, frames=_resized(work.frames, width, height)), label))
        for width, height in SIZES
        for label in [f"{width}x{height}"]
    ]


def batch(work: Work) -> list[Planned]:
    """More frames in one call."""
    arm = _arm(work, "batch")
    return [Planned(str(count), count, replace(arm, name=f"{count} at once", batch=count), count) for count in BATCHES]


def cameras(work: Work) -> list[Planned]:
    """Clones of one task, a thread and a frame each."""
    arm = _arm(work, "cameras")
    return [
        Planned(str(count), count, _changed(arm, f"{count} cameras", CAMERAS_WAY, cameras=count), count, False)
        for count in CAMERAS
    ]


def threads(work: Work) -> list[Planned]:
    """More of this machine's cores for one frame."""
    arm = _arm(work, "threads")
    return [
        Planned(str(count), count, _changed(arm, f"{count} threads", arm.module, threads=count))
        for count in THREADS
        if count <= usable_cores()
    ]


def clip(work: Work) -> list[Planned]:
    """A longer video, from reading to writing overlays."""
    arm = _arm(work, "clip")
    arm = replace(arm, spec={name: told for name, told in arm.spec.items() if name != "frames"})
    return [
        Planned(str(count), count, _changed(arm, f"{count} frames", CLIP_WAY, source=work.source, length=count), count)
        for count in LENGTHS[work.tier]
    ]


AXES: dict[str, Callable[[Work], list[Planned]]] = {
    "resolution": resolution, "batch": batch, "cameras": cameras, "threads": threads, "clip": clip,
}  # fmt: skip


def _arm(work: Work, name: str) -> Arm:
    """The bundle from frame to result; what its process reads lies in a folder of ``name``."""
    folder = work.folder / name
    folder.mkdir()
    [arm] = bundle_arms([work.asked], work.frames, folder, None)
    return replace(arm, name=name)


def _changed(arm: Arm, name: str, module: str, **told: Any) -> Arm:
    return replace(arm, name=name, module=module, spec={**arm.spec, **told})


def _resized(frames: Sequence[Frame], width: int, height: int) -> list[Frame]:
    from PIL import Image

    size, filtered = (width, height), Image.Resampling.BILINEAR
    return [np.asarray(Image.fromarray(frame).resize(size, filtered)) for frame in frames[:RESIZED]]
