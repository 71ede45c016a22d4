"""Hold a bundle against the network it was made from, on whole frames: what ships is what was trained.

A comparison that cannot fail proves nothing, so each proof has a control: the same frames against the same network with
its weights shuffled, which must differ.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from saccade import scenes
from saccade.errors import CheckError
from saccade.tasks.segment import SegmentTask
from saccade.verify import equal_share
from saccade_export.twin import SegmentTwin

Frame = npt.NDArray[np.uint8]

SCENE_SIZES_HW = ((360, 480), (270, 480), (240, 320), (121, 203))
SCENE_LIGHTS = ("day", "dusk", "night", "day")


@dataclass(frozen=True)
class Proof:
    """How a variant agreed with PyTorch: shares of equal pixels over ``frames`` frames.

    ``control_best`` is the best share that the network with shuffled weights reached on one of them; on at least one
    frame its share must be below the tolerance.
    """

    variant: str
    frames: int
    worst: float
    mean: float
    control_best: float


def scene_frames() -> list[Frame]:
    """Rendered road scenes of several sizes and lights: frames for proofs where no data is at hand."""
    return [
        scenes.render(seed=index, frame=10 * index, size_hw=size, light=light).image
        for index, (size, light) in enumerate(zip(SCENE_SIZES_HW, SCENE_LIGHTS, strict=True))
    ]


def prove(
    task: SegmentTask,
    twin: SegmentTwin,
    frames: Sequence[tuple[str, Frame]],
    tolerance: float,
    progress: Callable[[int, int], None] | None = None,
) -> Proof:
    """Compare ``task`` with ``twin`` on named frames. Raises ``CheckError`` naming the worst frame, or the control."""
    control = SegmentTwin(shuffled(twin.network), twin.spec)
    shares: list[float] = []
    control_shares: list[float] = []
    for index, (name, frame) in enumerate(frames):
        found = task(frame).class_map
        shares.append(equal_share(found, twin(frame)))
        control_shares.append(equal_share(found, control(frame)))
        if shares[-1] < tolerance:
            raise CheckError(
                f"variant {task.variant} differs from PyTorch: {shares[-1]:.4%} of the pixels of {name} "
                f"({frame.shape[1]}x{frame.shape[0]}) are equal, but {tolerance:.4%} must be; nothing was written"
            )
        if progress is not None:
            progress(index + 1, len(frames))
    proof = Proof(task.variant, len(frames), min(shares), float(np.mean(shares)), max(control_shares))
    if min(control_shares) >= tolerance:
        raise CheckError(
            "the proof cannot tell this network from one with shuffled weights: both give the same class map on every "
            "frame; check the weights, or pass frames that show every class with --images"
        )
    return proof


def shuffled(network: nn.Module, seed: int = 0) -> nn.Module:
    """A copy of the network whose every parameter has its values in another order."""
    other = copy.deepcopy(network)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in other.parameters():
            order = torch.randperm(parameter.numel(), generator=generator)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
    return other
