"""Frames to measure values on, as a task is called with them: restorers get them degraded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from saccade.cli.eval_restore import USUAL_LEVEL
from saccade.evaluation.degradations import DEGRADATIONS, Degraded
from saccade.spec import RestoreSpec, TaskSpec
from saccade_export.user_frames import Frame

NOISE_LEVELS = (15.0, 25.0, 50.0)
MIDDLE = 256

Calls = tuple[list[Frame], Callable[[int], Mapping[str, Any]]]
"""Frames, and the arguments of each one's call beside it."""


def calls_for(task: TaskSpec, frames: Sequence[Frame]) -> Calls:
    """Calls with ``frames``. A restorer's are taken as clean, and degraded by less and by more."""
    if not isinstance(task, RestoreSpec):
        return list(frames), lambda _: {}
    low, high = task.sigma_range
    spread = (low, *levels_of(task), high) if task.mode in ("denoise", "deblur") else levels_of(task)
    return degraded_calls(task, list(map(_middle, frames)), [level for level in spread if level > task.dead_zone])


def levels_of(task: RestoreSpec) -> tuple[float, ...]:
    """What clean images are degraded by, one after the other."""
    usual = USUAL_LEVEL.get(task.mode, float(task.scale))
    low, high = task.sigma_range
    if task.mode == "denoise":
        low = max(low, task.dead_zone)
        return tuple(level for level in NOISE_LEVELS if low < level <= high) or ((low + high) / 2,)
    if task.mode == "deblur":
        return (min(max(usual, low), high),)
    if task.light is not None:
        return (min(max(usual, task.light.gain_range[0]), task.light.gain_range[1]),)
    return (usual,)


def degraded_calls(task: RestoreSpec, frames: Sequence[Frame], levels: Sequence[float]) -> Calls:
    """Calls with clean ``frames``, each degraded by one of ``levels`` in turn, as a camera gives it."""
    chosen = [levels[index % len(levels)] for index in range(len(frames))]
    made = [DEGRADATIONS[task.mode](frame, level) for frame, level in zip(frames, chosen, strict=True)]
    asked = [asked_of(task, level, degraded) for level, degraded in zip(chosen, made, strict=True)]
    return [degraded.entering("uint8") for degraded in made], lambda index: asked[index]


def asked_of(task: RestoreSpec, level: float, degraded: Degraded) -> dict[str, Any]:
    """What a call is told beside the frame; a dark frame's noise is measured, as nobody knows it."""
    sigma = "measured" if task.mode == "low-light" else level
    told = {"sigma": sigma} if task.takes_sigma else {}
    holes = {} if degraded.mask is None else {"mask": degraded.mask}
    return {**degraded.light, **told, **holes}


def _middle(frame: Frame) -> Frame:
    """A restorer looks no further than a few hundred pixels, and measuring takes all values of all layers."""
    top, left = (max(0, (side - MIDDLE) // 2) for side in frame.shape[:2])
    return frame[top : top + MIDDLE, left : left + MIDDLE]
