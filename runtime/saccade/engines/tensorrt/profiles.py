"""The least, usual and most shape of each input whose shape varies, from the frames that an engine must take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from saccade.engines.frame_range import FrameRange
from saccade.errors import EngineError

Shape = tuple[int, ...]

LAYOUTS: dict[str, tuple[str | int, ...]] = {
    "frames": ("N", "H", "W", 3),
    "noise": ("N", "H", "W", 3),
    "state": ("N", 3, "sH", "sW"),
    "map": ("N", 1, "sH", "sW"),
    "level": ("N", 1, "H or 1", "W or 1"),
    "gain": ("N", 1, 1, 1),
    "gamma": ("N", 1, 1, 1),
    "shot": ("N", 1, 1, 1),
    "time": ("N",),
}
"""What the format's inputs are made of: N frames of H by W, sH and sW where they have the restored frame's size, and
the noise's level, which is of the frame's size or, usually, one number a frame."""


@dataclass(frozen=True)
class ShapeRange:
    """The least, usual and most shape of an input."""

    least: Shape
    usual: Shape
    most: Shape

    def holds(self, shape: Shape) -> bool:
        return len(shape) == len(self.most) and all(
            least <= side <= most for least, side, most in zip(self.least, shape, self.most, strict=True)
        )


def shape_range(name: str, shape: Sequence[int], frames: FrameRange) -> ShapeRange:
    """The range of an input whose ``shape`` has -1 where it varies.

    Raises ``EngineError`` for an input that the format does not know.
    """
    layout = LAYOUTS.get(name)
    if layout is None or len(layout) != len(shape):
        raise EngineError(
            f"input {name!r} varies in its shape {tuple(shape)}, and this version of saccade does not know how; "
            "update saccade, or export the bundle again"
        )
    ends = (
        _sides(frames.least_hw, 1, frames.scale, one_number=True),
        _sides(frames.usual_hw, frames.batch, frames.scale, one_number=True),
        _sides(frames.most_hw, frames.batch, frames.scale, one_number=False),
    )
    least, usual, most = (
        tuple(side if side >= 0 else _side(axis, sides) for axis, side in zip(layout, shape, strict=True))
        for sides in ends
    )
    return ShapeRange(least, usual, most)


def _sides(size_hw: tuple[int, int], count: int, scale: int, *, one_number: bool) -> dict[str, int]:
    height, width = size_hw
    return {
        "N": count,
        "H": height,
        "W": width,
        "sH": height * scale,
        "sW": width * scale,
        "H or 1": 1 if one_number else height,
        "W or 1": 1 if one_number else width,
    }


def _side(axis: str | int, sides: dict[str, int]) -> int:
    return sides[axis] if isinstance(axis, str) else axis
