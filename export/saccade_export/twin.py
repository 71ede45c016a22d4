"""The eager twins: the task contract in plain PyTorch, from raw frame to result, sharing no code with the lowerings."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from saccade.spec import DetectSpec, ImageSpec, Letterbox, RestoreSpec, SegmentSpec
from saccade_export.heads import Head

Network = Callable[[Tensor], Any]
"""An image batch float32 (N, 3, h, w) to what the network gives: a tensor, or a tuple of tensors."""


Restorer = Callable[[Tensor, Tensor, Tensor], Tensor]
"""A bridge's network: state (N, 3, H, W), map (N, 1, H, W) and time (N,) to velocity (N, 3, H, W)."""


class SegmentTwin:
    """What a segmentation bundle must do, computed by the network it was made from.

    Called with an RGB frame uint8 (H, W, 3), it gives the class map uint8 (H, W).
    """

    def __init__(self, network: Network, spec: SegmentSpec) -> None:
        self.network = network
        self.spec = spec

    @torch.inference_mode()
    def __call__(self, frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        scores = _single(self.network(self._image(frame)))
        scores = functional.interpolate(scores, size=frame.shape[:2], mode="bilinear", align_corners=False)[0]
        if self.spec.decision == "argmax":
            return scores.argmax(0).to(torch.uint8).numpy()
        assert self.spec.threshold is not None
        if self.spec.scores == "probabilities":
            return (scores[0] >= self.spec.threshold).to(torch.uint8).numpy()
        threshold = torch.logit(torch.tensor(self.spec.threshold, dtype=torch.float64)).float()
        return (scores[0] >= threshold).to(torch.uint8).numpy()

    def _image(self, frame: npt.NDArray[np.uint8]) -> Tensor:
        pixels = _planes(frame, self.spec.image)
        return _normalised(_resized(pixels, self.spec.image.size_hw), self.spec.image)


class DetectTwin:
    """What a detection bundle must do, computed by the network it was made from.

    Called with an RGB frame uint8 (H, W, 3) and thresholds, it gives ``xyxy`` (n, 4), ``confidence`` (n,) and
    ``class_id`` (n,), most confident first.
    """

    def __init__(self, network: Network, spec: DetectSpec, head: Head) -> None:
        self.network, self.spec, self.head = network, spec, head

    def __call__(
        self, frame: npt.NDArray[np.uint8], confidence: float | None = None, candidates: int = 1000
    ) -> dict[str, npt.NDArray[Any]]:
        return self.choose(frame, self.raw(frame), confidence, candidates)

    @torch.inference_mode()
    def raw(self, frame: npt.NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        """All boxes (1, A, 4) in pixels of the input and their scores (1, A, C): what the network alone decides."""
        outputs = self.network(self._image(frame)[0])
        return self.head.eager((outputs,) if isinstance(outputs, Tensor) else outputs)

    @torch.inference_mode()
    def choose(
        self,
        frame: npt.NDArray[np.uint8],
        raw: tuple[Tensor, Tensor],
        confidence: float | None = None,
        candidates: int = 1000,
    ) -> dict[str, npt.NDArray[Any]]:
        """The detections among the ``raw`` boxes of a frame."""
        _, scale, offset = self._image(frame)
        boxes, scores = raw
        best, class_id = scores[0].max(-1)
        order = torch.sort(best, descending=True, stable=True).indices[:candidates]
        order = order[best[order] >= (self.spec.confidence if confidence is None else confidence)]
        boxes, best, class_id = boxes[0, order], best[order], class_id[order]
        if self.spec.suppression != "none":
            stands = _greedy(boxes, class_id if self.spec.suppression == "class" else class_id * 0, self.spec.iou)
            boxes, best, class_id = boxes[stands], best[stands], class_id[stands]
        limit = torch.tensor([frame.shape[1], frame.shape[0]] * 2).float()
        placed = torch.minimum(((boxes - offset) / scale).clamp(min=0), limit)
        most = self.spec.max_detections
        return {
            "xyxy": placed[:most].float().numpy(),
            "confidence": best[:most].numpy(),
            "class_id": class_id[:most].numpy(),
        }

    def _image(self, frame: npt.NDArray[np.uint8]) -> tuple[Tensor, Tensor, Tensor]:
        """The network's input, and what takes its pixels back to the frame: a factor and an offset, x y x y."""
        contract = self.spec.image
        pixels = _planes(frame, contract)
        height, width = frame.shape[:2]
        inner_h, inner_w = contract.size_hw
        top = left = 0
        grey = 0
        resize = _resized
        if isinstance(contract.resize, Letterbox):
            resize = _resized_bytes
            ratio = min(Fraction(inner_h, height), Fraction(inner_w, width))
            inner_h, inner_w = (max(1, int(side * ratio)) for side in (height, width))
            if contract.resize.anchor == "centre":
                top, left = (contract.size_hw[0] - inner_h) // 2, (contract.size_hw[1] - inner_w) // 2
            grey = contract.resize.pad
        resized = resize(pixels, (inner_h, inner_w))
        image = torch.full((1, 3, *contract.size_hw), float(grey))
        image[..., top : top + inner_h, left : left + inner_w] = resized
        scale = torch.tensor([inner_w / width, inner_h / height] * 2)
        return _normalised(image, contract), scale, torch.tensor([left, top] * 2)


class RestoreTwin:
    """What a restoration bundle must do, computed by the network it was made from."""

    def __init__(self, network: Restorer, spec: RestoreSpec) -> None:
        self.network, self.spec = network, spec

    def __call__(
        self,
        frame: npt.NDArray[np.uint8],
        steps: int,
        *,
        sigma: float = 0.0,
        mask: npt.NDArray[np.uint8] | None = None,
        noise: npt.NDArray[np.float32] | None = None,
        **light: float,
    ) -> npt.NDArray[np.uint8]:
        """An RGB frame (H, W, 3) restored, times the scale; ``noise`` (H, W, 3) is what fills holes, in the state.

        ``light`` are the gain, gamma and shot of mode "low-light".
        """
        given = torch.from_numpy(np.array(frame)).float()
        pixels = self.exact(given, steps, sigma=sigma, mask=mask, noise=noise, **light)
        return pixels.clamp(0, 255).round().to(torch.uint8).numpy()

    @torch.inference_mode()
    def exact(
        self,
        frame: Tensor,
        steps: int,
        *,
        sigma: float = 0.0,
        mask: npt.NDArray[np.uint8] | None = None,
        noise: npt.NDArray[np.float32] | None = None,
        **light: float,
    ) -> Tensor:
        """The same in grey levels as they come, float32: neither rounded nor clamped."""
        state = self._state(frame)
        holes = None if mask is None else self._mirrored(torch.from_numpy(mask != 0).float()[None, None])
        if self.spec.takes_mask:
            assert holes is not None
            assert noise is not None
            filling = self._mirrored(torch.from_numpy(noise).permute(2, 0, 1)[None])
            state = torch.where(holes > 0, filling, state)  # in the network's order, whatever the frame's
        level = torch.full((1, 1, *state.shape[2:]), sigma if self.spec.takes_sigma else 1.0)
        map_ = (level if holes is None else holes) * self.spec.map_per_sigma
        if self.spec.light is not None:
            state, map_ = _lifted(state, sigma, **light)
        # A bridge in N steps at the table's times, by its definition and not by the table's weights.
        for time, following in pairwise((*self.spec.tables[str(steps)].times, 0.0)):
            state = state - (time - following) * self.network(state, map_, torch.tensor([time]))
        height, width = (side * self.spec.scale for side in frame.shape[:2])
        planes = state[0, :, :height, :width]
        ordered = planes if self.spec.image.channel_order == "rgb" else planes.flip(0)
        return ((ordered + 1) * 127.5).permute(1, 2, 0)

    def _state(self, frame: Tensor) -> Tensor:
        planes = frame.permute(2, 0, 1)[None]
        planes = self._mirrored(planes if self.spec.image.channel_order == "rgb" else planes.flip(1)) / 127.5 - 1
        if self.spec.scale == 1:
            return planes
        # With antialias PyTorch takes Keys' kernel with a = -0.5, as Pillow; enlarging has no aliasing to fight.
        return functional.interpolate(planes, scale_factor=self.spec.scale, mode="bicubic", antialias=True)

    def _mirrored(self, planes: Tensor) -> Tensor:
        """Planes (1, C, H, W) with their right and bottom edges mirrored up to the multiples that the network takes."""
        for axis in (2, 3):
            length = planes.shape[axis]
            wanted = -(-length // self.spec.image.multiple) * self.spec.image.multiple
            position = torch.arange(wanted) % (2 * length)
            planes = planes.index_select(axis, torch.where(position < length, position, 2 * length - 1 - position))
        return planes


def _lifted(state: Tensor, sigma: float, gain: float, gamma: float, shot: float) -> tuple[Tensor, Tensor]:
    """A state (1, 3, H, W) of dark light made bright, and how far its noise goes then, (1, 1, H, W)."""
    grey_levels = (state + 1) * 127.5
    seen = functional.avg_pool2d(grey_levels.mean(1, keepdim=True), 5, 1, 2, count_include_pad=False).clamp(min=0)
    spread = (sigma**2 + 1 / 12 + shot * seen).sqrt()  # a twelfth is the variance of rounding to bytes
    bright, up, down = (
        (gain * light.clamp(min=0) / 255) ** gamma for light in (grey_levels, seen + spread, seen - spread)
    )
    return 2 * bright - 1, up - down


def _planes(frame: npt.NDArray[np.uint8], contract: ImageSpec) -> Tensor:
    """An RGB frame (H, W, 3) as float32 (1, 3, H, W) in the network's channel order."""
    rgb = torch.from_numpy(np.array(frame)).permute(2, 0, 1)[None].float()
    return rgb if contract.channel_order == "rgb" else rgb.flip(1)


def _resized(planes: Tensor, size_hw: tuple[int, int]) -> Tensor:
    return functional.interpolate(planes, size=size_hw, mode="bilinear", align_corners=False)


def _resized_bytes(planes: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Planes of whole numbers resized to whole numbers, see ``saccade.letterbox``: one axis, then the other."""
    for axis, length in ((2, size_hw[0]), (3, size_hw[1])):
        planes = _mixed(planes.double(), axis, length)
    return torch.floor(planes).float()


def _mixed(planes: Tensor, axis: int, length: int) -> Tensor:
    """Neighbours along an axis mixed in 1024ths, which float64 holds exactly."""
    most = planes.shape[axis] - 1
    scale = torch.tensor(length).float() / torch.tensor(planes.shape[axis]).float()
    position = ((torch.arange(length).float() + 0.5) / scale - 0.5).clamp(0, most)
    lower = position.floor().long()
    share = torch.floor((position - lower.float()) * 1024).double() / 1024
    share = share.reshape([-1 if dimension == axis else 1 for dimension in range(4)])
    above = planes.index_select(axis, (lower + 1).clamp(max=most))
    return planes.index_select(axis, lower) * (1 - share) + above * share


def _normalised(image: Tensor, contract: ImageSpec) -> Tensor:
    mean, std = (torch.tensor(values)[None, :, None, None] for values in (contract.mean, contract.std))
    return (image / contract.scale - mean) / std


def _single(outputs: Any) -> Tensor:
    return outputs if isinstance(outputs, Tensor) else outputs[0]


def _greedy(boxes: Tensor, groups: Tensor, iou: float) -> list[int]:
    """Indices of the boxes (n, 4), best first, that no better box of their group overlaps by more than ``iou``."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    standing: list[int] = []
    for index in range(len(boxes)):
        others = torch.tensor([other for other in standing if groups[other] == groups[index]], dtype=torch.long)
        low = torch.maximum(boxes[others, :2], boxes[index, :2])
        high = torch.minimum(boxes[others, 2:], boxes[index, 2:])
        shared = (high - low).clamp(min=0).prod(-1)
        if not bool((shared > iou * (areas[others] + areas[index] - shared)).any()):
            standing.append(index)
    return standing
