"""A canvas that keeps picture, class map and object ids in step, and the flat shapes painted on it.

Shapes are painted back to front; the last one to cover a pixel's centre owns it in all three.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from saccade.scenes.scene import SceneBox
from saccade.scenes.texture import Floats

Mask = npt.NDArray[np.bool_]
Window = tuple[slice, slice]
Colour = Sequence[float] | Sequence[Floats]
"""Red, green and blue, 0 to 255: three numbers, or three arrays that broadcast to the window."""


class Canvas:
    """The frame being painted: ``planes`` (3, H, W) float32 of 0 to 255, ``class_map`` and object ids (H, W)."""

    def __init__(self, size_hw: tuple[int, int]) -> None:
        self.size_hw = size_hw
        self.planes = np.zeros((3, *size_hw), np.float32)
        self.class_map = np.zeros(size_hw, np.uint8)
        self._ids = np.zeros(size_hw, np.uint16)
        self._labels: list[str] = [""]
        self._owners: list[int] = [0]

    def new_object(self, label: str, owner: int = 0) -> int:
        """Return the id of a new boxed object; pixels of a part also count for its ``owner``."""
        self._labels.append(label)
        self._owners.append(owner)
        return len(self._labels) - 1

    def window(self, left: float, top: float, right: float, bottom: float) -> Window | None:
        """Return the pixels whose centres lie in the rectangle, or None when there are none."""
        return window_of(self.size_hw, left, top, right, bottom)

    def paint(self, window: Window, mask: Mask | None, colour: Colour, class_id: int, object_id: int = 0) -> None:
        """Give the masked pixels of a window (all of them without a mask) a colour, a class and an object."""
        where: Mask | bool = True if mask is None else mask
        for plane, value in zip(self.planes, colour, strict=True):
            np.copyto(plane[window], value, where=where, casting="same_kind")
        np.copyto(self.class_map[window], np.uint8(class_id), where=where)
        np.copyto(self._ids[window], np.uint16(object_id), where=where)

    def rectangle(self, box: Sequence[float], colour: Colour, class_id: int, object_id: int = 0) -> None:
        """Fill left, top, right, bottom."""
        window = self.window(box[0], box[1], box[2], box[3])
        if window is not None:
            self.paint(window, None, colour, class_id, object_id)

    def polygon(
        self, corners: Sequence[tuple[float, float]], colour: Colour, class_id: int, object_id: int = 0
    ) -> None:
        """Fill a convex polygon of (col, row) corners."""
        found = self.polygon_mask(corners)
        if found is not None:
            self.paint(found[0], found[1], colour, class_id, object_id)

    def polygon_mask(self, corners: Sequence[tuple[float, float]]) -> tuple[Window, Mask] | None:
        """Return the window of a convex polygon and which of its pixels lie inside, or None when it covers none."""
        if len(corners) < 3:
            return None
        cols, rows = zip(*corners, strict=True)
        window = self.window(min(cols), min(rows), max(cols), max(rows))
        if window is None:
            return None
        left, right = _spans(corners, centres(window[0]))
        across = centres(window[1])
        return window, (across >= left) & (across < right)

    def ellipse(
        self, centre: tuple[float, float], radii: tuple[float, float], colour: Colour, class_id: int, object_id: int = 0
    ) -> None:
        """Fill an upright ellipse of (col, row) centre and radii."""
        window = self.window(centre[0] - radii[0], centre[1] - radii[1], centre[0] + radii[0], centre[1] + radii[1])
        if window is not None:
            self.paint(window, distance_squared(window, centre, radii) < 1, colour, class_id, object_id)

    def glow(self, centre: tuple[float, float], radii: tuple[float, float], colour: Sequence[float]) -> None:
        """Add light that fades out from the centre; a negative colour makes a soft shadow. Classes stay."""
        window = self.window(centre[0] - radii[0], centre[1] - radii[1], centre[0] + radii[0], centre[1] + radii[1])
        if window is None:
            return
        fade = np.maximum(1 - distance_squared(window, centre, radii), 0) ** 2
        for plane, value in zip(self.planes, colour, strict=True):
            plane[window] += np.float32(value) * fade

    def shade(self, centre: tuple[float, float], radii: tuple[float, float], strength: float) -> None:
        """Darken what is there, most at the centre. Classes stay."""
        window = self.window(centre[0] - radii[0], centre[1] - radii[1], centre[0] + radii[0], centre[1] + radii[1])
        if window is not None:
            fade = np.minimum(np.maximum(1 - distance_squared(window, centre, radii), 0) * 2.5, 1)
            self.planes[:, window[0], window[1]] *= 1 - np.float32(strength) * fade

    def boxes(self) -> tuple[SceneBox, ...]:
        """Return the tight box of every object of which a pixel is seen, in the order of their ids."""
        rows, cols = np.nonzero(self._ids)
        ids = self._ids[rows, cols]
        count = len(self._labels)
        low = np.full((2, count), np.iinfo(np.intp).max)
        high = np.full((2, count), -1)
        for axis, places in enumerate((cols, rows)):
            np.minimum.at(low[axis], ids, places)
            np.maximum.at(high[axis], ids, places)
        for part, owner in enumerate(self._owners):
            if owner:
                low[:, owner] = np.minimum(low[:, owner], low[:, part])
                high[:, owner] = np.maximum(high[:, owner], high[:, part])
        seen = [number for number in range(1, count) if high[0, number] >= 0]
        return tuple(_box(self._labels[number], low[:, number], high[:, number]) for number in seen)


def window_of(size_hw: tuple[int, int], left: float, top: float, right: float, bottom: float) -> Window | None:
    """Return the pixels of a frame whose centres lie in the rectangle, or None when there are none."""
    rows = _centres_between(top, bottom, size_hw[0])
    cols = _centres_between(left, right, size_hw[1])
    return (rows, cols) if rows.start < rows.stop and cols.start < cols.stop else None


def centres(pixels: slice) -> Floats:
    """Return where the centres of a window's rows or columns lie."""
    first: int = pixels.start
    last: int = pixels.stop
    return np.arange(first, last, dtype=np.float32) + np.float32(0.5)


def distance_squared(window: Window, centre: tuple[float, float], radii: tuple[float, float]) -> Floats:
    """Return the squared distance of each pixel of a window from a centre, in radii."""
    rows = (centres(window[0]) - np.float32(centre[1])) / np.float32(radii[1])
    cols = (centres(window[1]) - np.float32(centre[0])) / np.float32(radii[0])
    return (rows * rows)[:, None] + cols * cols


def _centres_between(low: float, high: float, count: int) -> slice:
    return slice(min(max(math.ceil(low - 0.5), 0), count), min(max(math.ceil(high - 0.5), 0), count))


def _box(label: str, low: npt.NDArray[np.intp], high: npt.NDArray[np.intp]) -> SceneBox:
    return SceneBox(label, (float(low[0]), float(low[1]), float(high[0] + 1), float(high[1] + 1)))


def _spans(corners: Sequence[tuple[float, float]], rows: Floats) -> tuple[Floats, Floats]:
    """Return the left and right end of a convex polygon on each row, as columns to broadcast."""
    start = np.array(corners, np.float64)
    run = np.concatenate((start[1:], start[:1])) - start
    run[run[:, 1] == 0, 1] = 1e-9  # a level edge: no row's centre crosses it
    down = rows[:, None] - start[:, 1]
    is_past = down >= 0
    crossed = is_past != (down >= run[:, 1])
    places = start[:, 0] + down * (run[:, 0] / run[:, 1])
    left = np.where(crossed, places, np.inf).min(axis=1, keepdims=True)
    right = np.where(crossed, places, -np.inf).max(axis=1, keepdims=True)
    return left, right
