"""Where a frame lands in a network's input of another shape when its aspect is kept.

The frame is scaled until it just fits, and the rest of the input is padding: to the right and below ("start", YOLOX's
way), or half on each side ("centre", Ultralytics'). All of it is integer arithmetic, so that graphs, twins and numpy
agree to the pixel; boxes go back by the exact ratio of the sizes, axis by axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Anchor = Literal["start", "centre"]
ANCHORS: tuple[Anchor, ...] = ("start", "centre")


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
