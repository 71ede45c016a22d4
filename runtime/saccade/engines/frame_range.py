"""Which frames an engine must take, for engines that are built for a range of shapes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from saccade.errors import RequestError
from saccade.spec import Manifest, RestoreSpec

Size = tuple[int, int]

USUAL_HW: Size = (720, 1280)
MOST_HW: Size = (1080, 1920)


@dataclass(frozen=True)
class FrameRange:
    """Sizes (height, width) of the smallest, the usual and the largest frame, and how many come at once at most.

    ``scale`` is the size of a restored frame over the given one's.
    """

    least_hw: Size
    usual_hw: Size
    most_hw: Size
    batch: int = 1
    scale: int = 1

    def holds(self, size_hw: Size) -> bool:
        return all(
            least <= side <= most for least, side, most in zip(self.least_hw, size_hw, self.most_hw, strict=True)
        )

    def __str__(self) -> str:
        sizes = " to ".join(f"{width}x{height}" for height, width in (self.least_hw, self.most_hw))
        return f"{sizes}, best at {self.usual_hw[1]}x{self.usual_hw[0]}, up to {self.batch} at once"


def frame_range(
    manifest: Manifest,
    least_hw: Size | None = None,
    usual_hw: Size | None = None,
    most_hw: Size | None = None,
    batch: int = 1,
) -> FrameRange:
    """The range for a bundle: what is asked for, else up to full HD, widened to what else is asked for.

    A restorer pads frames to whole multiples and cuts larger ones into tiles, which is where its range ends. Where no
    sizes are asked for, the golden frames are within the range. Raises ``RequestError`` for sizes out of order.
    """
    task = manifest.task
    multiple, scale, default_most = 1, 1, MOST_HW
    if isinstance(task, RestoreSpec):
        multiple, scale = task.image.multiple, task.scale
        default_most = (task.tiling.size, task.tiling.size)
    else:
        shapes = [golden.inputs["frame"].shape for golden in manifest.golden if "frame" in golden.inputs]
        default_most = _each(max, default_most, *((shape[0], shape[1]) for shape in shapes))
    usual = usual_hw or _each(min, USUAL_HW, most_hw or default_most)
    if usual_hw is None and least_hw is not None:
        usual = _each(max, usual, least_hw)
    most = most_hw or _each(max, default_most, usual)
    least = least_hw or (1, 1)
    ends = (least, usual, most)
    if _each(max, least, usual) != usual or _each(min, most, usual) != usual:
        words = " <= ".join(f"{width}x{height}" for height, width in ends)
        raise RequestError(f"frames must be ordered as least <= usual <= most in width and height, but are {words}")
    sizes = [(-(-height // multiple) * multiple, -(-width // multiple) * multiple) for height, width in ends]
    return FrameRange(sizes[0], sizes[1], sizes[2], batch, scale)


def _each(choose: Callable[..., int], *sizes: Size) -> Size:
    return choose(*(size[0] for size in sizes)), choose(*(size[1] for size in sizes))
