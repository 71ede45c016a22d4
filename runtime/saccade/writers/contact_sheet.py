"""Many pictures on one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from saccade.errors import FrameError, RequestError

_GAP = 4
_BACKGROUND = 24


def contact_sheet(
    images: Sequence[npt.NDArray[np.uint8]], columns: int = 3, width: int = 1440
) -> npt.NDArray[np.uint8]:
    """``images``, each uint8 (H, W, 3), row by row on one sheet uint8 (h, w, 3), at most ``width`` pixels wide.

    A tile has the shape of the first image; others are fitted into it whole. Raises ``RequestError`` without images
    or without room for the columns, ``FrameError`` for another kind of array.
    """
    _check(images, columns, width)
    columns = min(columns, len(images))
    tile_width = (width - _GAP * (columns - 1)) // columns
    tile_height = max(1, round(tile_width * images[0].shape[0] / images[0].shape[1]))
    rows = -(-len(images) // columns)
    sheet_size = (rows * (tile_height + _GAP) - _GAP, columns * (tile_width + _GAP) - _GAP, 3)
    sheet = np.full(sheet_size, _BACKGROUND, np.uint8)
    for index, image in enumerate(images):
        fitted = _fit(image, tile_height, tile_width)
        height, fitted_width = fitted.shape[:2]
        top = index // columns * (tile_height + _GAP) + (tile_height - height) // 2
        left = index % columns * (tile_width + _GAP) + (tile_width - fitted_width) // 2
        sheet[top : top + height, left : left + fitted_width] = fitted
    return sheet


def _fit(image: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.uint8]:
    """``image`` scaled, with its shape kept, to the largest size within ``height`` and ``width``."""
    try:
        from PIL import Image
    except ImportError as error:
        raise RequestError("images are resized with Pillow, which is missing: pip install saccade[video]") from error
    scale = min(height / image.shape[0], width / image.shape[1])
    fitted_size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.array(picture.resize(fitted_size, Image.Resampling.LANCZOS))


def _check(images: Sequence[npt.NDArray[np.uint8]], columns: int, width: int) -> None:
    if not images:
        raise RequestError("a contact sheet needs at least one image, but got none")
    if columns < 1 or width < columns * (_GAP + 1):
        raise RequestError(f"a contact sheet {width} pixels wide has no room for {columns} columns")
    for image in images:
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise FrameError(f"contact sheet images must be uint8 (H, W, 3), but got {image.dtype} {image.shape}")
