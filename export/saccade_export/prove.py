"""Hold a bundle against the network it was made from, on whole frames: what ships is what was trained.

A comparison that cannot fail proves nothing, so each proof has a control: what the same network with its weights
shuffled gives for the same frames, which must differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from saccade import scenes
from saccade.errors import CheckError
from saccade.tasks import Task
from saccade_export.plan import Expected, Frame, Plan

SCENE_SIZES_HW = ((360, 480), (270, 480), (240, 320), (121, 203))
SCENE_LIGHTS = ("day", "dusk", "night", "day")


@dataclass(frozen=True)
class Case:
    """A named frame, what PyTorch gives for it, and what the control gives."""

    name: str
    frame: Frame
    expected: Expected
    control: Expected


@dataclass(frozen=True)
class Proof:
    """How a variant agreed with PyTorch: shares of equal pixels or matched boxes over ``frames`` frames.

    ``control_best`` is the best share that the network with shuffled weights reached on one of them; on at least one
    frame it must not agree. ``deviations`` are the largest by name, where the task has such.
    """

    variant: str
    frames: int
    worst: float
    mean: float
    control_best: float
    deviations: dict[str, float]


def scene_frames() -> list[Frame]:
    """Rendered road scenes of several sizes and lights: frames for proofs where no data is at hand."""
    return [
        scenes.render(seed=index, frame=10 * index, size_hw=size, light=light).image
        for index, (size, light) in enumerate(zip(SCENE_SIZES_HW, SCENE_LIGHTS, strict=True))
    ]


def prove(task: Task, plan: Plan, cases: Sequence[Case], progress: Callable[[int, int], None] | None = None) -> Proof:
    """Compare ``task`` with PyTorch on every case. Raises ``CheckError`` naming what differs, or the control."""
    found, controls = [], []
    for index, case in enumerate(cases):
        agreement = plan.agree(task, case.frame, case.expected)
        if not agreement.passed:
            raise CheckError(
                f"variant {task.variant} differs from its network on {case.name} "
                f"({case.frame.shape[1]}x{case.frame.shape[0]}): {agreement.sentence}; nothing was written"
            )
        found.append(agreement)
        controls.append(plan.agree(task, case.frame, case.control))
        if progress is not None:
            progress(index + 1, len(cases))
    if all(control.passed for control in controls):
        raise CheckError(
            "the proof cannot tell this network from one with shuffled weights: both give the same result on every "
            "frame; check the weights (a network that has hardly learned changes nothing), or pass frames that show "
            "more with --images"
        )
    deviations = {name: max(a.worst[name] for a in found) for name in found[0].worst}
    shares = [agreement.share for agreement in found]
    best = max(control.share for control in controls)
    return Proof(task.variant, len(cases), min(shares), float(np.mean(shares)), best, deviations)
