"""A frame in a network's input of another shape when its aspect is kept: where it lands, and its pixels there.

The frame is scaled until it just fits, and the rest of the input is padding: to the right and below ("start", YOLOX's
way), or half on each side ("centre", Ultralytics'). Boxes go back by the exact ratio of the sizes, axis by axis.

All of it is exact, so that graphs, twins and numpy agree to the bit. Sizes are integers. Pixels are bytes, as OpenCV's
and so those that detectors are trained on: bilinear between half-pixel centres, the weight of the farther neighbour
rounded down to 1/1024, the sum rounded down to a byte. ONNX Runtime resizes bytes in channels-last order like this, and
faster than it could turn a whole frame into floats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Anchor = Literal["start", "centre"]
ANCHORS: tuple[Anchor, ...] = ("start", "centre")

WEIGHTS = 1 << 10
"""Two neighbours share this many parts."""

NOTHING = -1
"""The weight of a row or column of the input that the frame does not reach."""


@dataclass(frozen=True)
class Placement:
    """The frame, resized to ``inner_hw``, has its top left corner at ``offset_yx`` of the input."""

    frame_hw: tuple[int, int]
    inner_hw: tuple[int, int]
    offset_yx: tuple[int, int]

    @property
    def scale_xy(self) -> tuple[float, float]:
        """Input pixels per frame pixel, along x and y."""
        return self.inner_hw[1] / self.frame_hw[1], self.inner_hw[0] / self.frame_hw[0]

    def to_frame(self, xyxy: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Boxes (n, 4) in pixels of the input to pixels of the frame, cut at its edges."""
        frame, inner, offset = (
            np.array([*pair[::-1], *pair[::-1]], np.float32) for pair in (self.frame_hw, self.inner_hw, self.offset_yx)
        )
        return np.clip((xyxy - offset) * (frame / inner), 0, frame, dtype=np.float32)

    def sampling(self, size_hw: tuple[int, int]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """What each row and each column of an input of ``size_hw`` is made of: int64 (3, h) and (3, w).

        Two neighbours in the frame, and the second one's weight in ``WEIGHTS``; ``NOTHING`` where padding is.
        """
        rows, columns = (
            _samples(*lengths) for lengths in zip(self.frame_hw, self.inner_hw, self.offset_yx, size_hw, strict=True)
        )
        return rows, columns


def fit(frame_hw: tuple[int, int], size_hw: tuple[int, int], anchor: Anchor = "start") -> Placement:
    """Where a frame lies in an input of ``size_hw``; the shorter side is rounded down, as YOLOX does, to 1 at least."""
    height, width = frame_hw
    wanted_h, wanted_w = size_hw
    if wanted_h * width <= wanted_w * height:
        inner = (wanted_h, max(1, width * wanted_h // height))
    else:
        inner = (max(1, height * wanted_w // width), wanted_w)
    offset = (0, 0) if anchor == "start" else ((wanted_h - inner[0]) // 2, (wanted_w - inner[1]) // 2)
    return Placement(frame_hw, inner, offset)


def letterboxed(
    image: npt.NDArray[np.uint8], size_hw: tuple[int, int], pad: int, anchor: Anchor = "start"
) -> npt.NDArray[np.uint8]:
    """An image uint8 (H, W, C) in an input of ``size_hw``, uint8 (*size_hw, C); the rest of it is ``pad``."""
    height, width = image.shape[:2]
    rows, columns = (axis.astype(np.int32) for axis in fit((height, width), size_hw, anchor).sampling(size_hw))
    right, below = columns[2, :, None], rows[2, :, None, None]
    sides = [image[rows[end]] for end in (0, 1)]
    across = [side[:, columns[0]] * (WEIGHTS - right) + side[:, columns[1]] * right for side in sides]
    resized = (across[0] * (WEIGHTS - below) + across[1] * below) // WEIGHTS**2
    is_frame = (below != NOTHING) & (right != NOTHING)
    return np.where(is_frame, resized, pad).astype(np.uint8)


def _samples(frame: int, inner: int, offset: int, wanted: int) -> npt.NDArray[np.int64]:
    """One axis of ``Placement.sampling``. The positions are float32, in the order of ONNX Runtime's operations."""
    ones: npt.NDArray[np.float32] = np.ones(inner, np.float32)
    scale = ones * np.float32(inner) / np.float32(frame)
    position = (np.arange(inner, dtype=np.float32) + np.float32(0.5)) / scale - np.float32(0.5)
    position = position.clip(0, np.float32(frame - 1))
    first = position.astype(np.int64)
    second = np.minimum(first + 1, frame - 1)
    weight = ((position - first) * WEIGHTS).astype(np.int64)
    samples = np.zeros((3, wanted), np.int64)
    samples[2] = NOTHING
    samples[:, offset : offset + inner] = first, second, weight
    return samples
