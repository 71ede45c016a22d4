"""Make what is in boxes unrecognisable for good.

Of each box only a coarse grid of mean colours is kept, rounded, and interpolated over the box. A mosaic or a blur that
keeps more can be undone where the possible contents are known, as letters on a plate are: Hill, Zhou, Saul and Shacham,
"On the (In)effectiveness of Mosaicing and Blurring as Tools for Document Redaction", PETS 2016.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from saccade.errors import FrameError

CELLS = 3
"""Mean colours that are kept along the longer side of a box."""

COLOR_STEP = 16
"""What the mean colours are rounded to."""

MARGIN = 0.15
"""How far a box is enlarged on each side, as a share of its own; a detector's box may cut off a border."""

LEAST_MARGIN_PX = 2

Pixels = npt.NDArray[np.uint8]


def blur_boxes(image: Pixels, xyxy: npt.NDArray[np.floating]) -> Pixels:
    """A copy of ``image`` uint8 (H, W, 3) in which what the boxes ``xyxy`` (n, 4) hold cannot be recognised.

    Boxes are enlarged by ``MARGIN``. One that is not finite could be anywhere: then the whole image is blurred.
    Raises ``FrameError`` for boxes of another shape.
    """
    if xyxy.ndim != 2 or xyxy.shape[1] != 4:
        raise FrameError(f"boxes must be (n, 4), but got {xyxy.shape}")
    if not np.isfinite(xyxy).all():
        return blur_all(image)
    blurred: Pixels = np.array(image)
    boxes: list[list[int]] = _enlarged(xyxy, image.shape[0], image.shape[1]).tolist()
    for left, top, right, bottom in boxes:
        region = blurred[top:bottom, left:right]
        if region.size:
            region[:] = _coarse(region)
    return blurred


def blur_all(image: Pixels) -> Pixels:
    """The whole of ``image`` uint8 (H, W, 3), blurred: for frames of which it is unknown what they show."""
    return _coarse(image)


def _enlarged(xyxy: npt.NDArray[np.floating], height: int, width: int) -> npt.NDArray[np.int64]:
    """Whole pixels around each box and its margin, as far as the image goes."""
    boxes = xyxy.astype(np.float64)
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    margin = np.maximum(MARGIN * sides, LEAST_MARGIN_PX)
    grown = np.concatenate((np.floor(boxes[:, :2] - margin), np.ceil(boxes[:, 2:] + margin)), axis=1)
    return np.clip(grown, 0, (width, height, width, height)).astype(np.int64)


def _coarse(region: Pixels) -> Pixels:
    """``region`` (h, w, 3) made anew from a grid of its mean colours."""
    height, width = region.shape[:2]
    rows = max(1, round(CELLS * height / max(height, width)))
    columns = max(1, round(CELLS * width / max(height, width)))
    grid = _cell_means(region, min(rows, height), min(columns, width))
    grid = np.clip(np.round(grid / COLOR_STEP) * COLOR_STEP, 0, 255)
    smooth: npt.NDArray[np.float64] = np.einsum(
        "yr,rcd,xc->yxd", _weights(height, grid.shape[0]), grid, _weights(width, grid.shape[1]), optimize=True
    )
    return np.round(smooth).astype(np.uint8)


def _cell_means(region: Pixels, rows: int, columns: int) -> npt.NDArray[np.float64]:
    height, width = region.shape[:2]
    tops, lefts = np.arange(rows) * height // rows, np.arange(columns) * width // columns
    sums = np.add.reduceat(np.add.reduceat(region, tops, axis=0, dtype=np.int64), lefts, axis=1)
    counts = np.outer(np.diff(tops, append=height), np.diff(lefts, append=width))
    return sums / counts[..., None]


def _weights(length: int, cells: int) -> npt.NDArray[np.float64]:
    """How much each of ``cells`` centres counts at each of ``length`` pixels: linear between them, (length, cells)."""
    position = np.clip((np.arange(length) + 0.5) * cells / length - 0.5, 0, cells - 1)
    return np.maximum(0, 1 - np.abs(position[:, None] - np.arange(cells)))
