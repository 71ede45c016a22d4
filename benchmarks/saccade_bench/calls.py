"""What a bundle's task is called with, so that every call does the same usual work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from saccade.spec import RestoreSpec, TaskSpec, Variant
from saccade_export.precision.calls import degraded_calls, levels_of
from saccade_export.user_frames import Frame

STEPWISE = 4
"""Steps of a variant that takes any number."""


def usual_calls(task: TaskSpec, frames: Sequence[Frame]) -> tuple[list[Frame], dict[str, Any]]:
    """Frames, and the arguments of each call beside its frame. A restorer's are degraded by one usual level."""
    if not isinstance(task, RestoreSpec):
        return list(frames), {}
    levels = levels_of(task)
    degraded, asked_of = degraded_calls(task, frames, [levels[len(levels) // 2]])
    return degraded, dict(asked_of(0))


def steps_asked(task: TaskSpec, variant: Variant) -> dict[str, int]:
    """The number of steps to ask ``variant`` for: nothing but for restorers."""
    return {"steps": int(variant.parameters.get("steps", STEPWISE))} if isinstance(task, RestoreSpec) else {}
