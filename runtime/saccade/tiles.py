"""Large frames in overlapping tiles, blended so that no seam shows; frames padded to the sizes a network takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Span:
    """Where a tile lies along one axis, and how many of its first pixels are the last of the tile before it."""

    start: int
    stop: int
    shared: int

    def scaled(self, factor: int) -> Span:
        """The same in an image of ``factor`` times the size."""
        return Span(self.start * factor, self.stop * factor, self.shared * factor)


def spans(length: int, tile: int, overlap: int, multiple: int) -> list[Span]:
    """Where tiles of at most ``tile`` pixels lie along an axis, neighbours sharing at least ``overlap``.

    All start at multiples of ``multiple``, as the whole does: a network that halves its input then sees the same pixels
    together. The last one ends with the axis, and is about as long as the others. Tiles are longer than asked where
    they could not share ``overlap`` otherwise.
    """
    tile = max(tile // multiple, -(-overlap // multiple) + 1) * multiple
    if length <= tile:
        return [Span(0, length, 0)]
    stride = (tile - overlap) // multiple * multiple
    last = -(-(length - tile) // multiple) * multiple
    starts = [*range(0, last, stride), last]
    ends = [0, *(start + tile for start in starts)]
    return [
        Span(start, min(start + tile, length), max(0, end - start)) for start, end in zip(starts, ends, strict=False)
    ]


def blend(canvas: Array, part: Array, span: Span, axis: int) -> None:
    """Put a part into the canvas where ``span`` says along ``axis``, over what the part before it left.

    Weights rise over the middle quarter of what they share: pixels near an edge saw only a part of what is around them.
    A frame is put together along one axis and then along the other: edges of both would meet in the corners.
    """
    every = (slice(None),) * axis
    place = canvas[(*every, slice(span.start, span.stop))]
    first, rest = (*every, slice(0, span.shared)), (*every, slice(span.shared, None))
    place[rest] = part[rest]
    if not span.shared:
        return
    weight = _rise(span.shared).reshape(-1, *(1,) * (canvas.ndim - axis - 1))
    before = place[first].astype(np.float32)
    mixed = before + (part[first] - before) * weight
    place[first] = np.rint(mixed) if canvas.dtype == np.uint8 else mixed


def padded(image: Array, multiple: int) -> Array:
    """An image (N, H, W, …) with its right and bottom edges mirrored up to multiples; itself where it fits."""
    below, after = (-side % multiple for side in image.shape[1:3])
    if not below and not after:
        return image
    rest = [(0, 0)] * (image.ndim - 3)
    return np.pad(image, [(0, 0), (0, below), (0, after), *rest], mode="symmetric")


def _rise(shared: int) -> npt.NDArray[np.float32]:
    """Weights of a part over what it shares: 0 in the first three eighths, 1 in the last three."""
    position = np.arange(shared, dtype=np.float32) + 0.5
    return np.clip(4 * position / shared - 1.5, 0, 1).astype(np.float32)
