"""Class colours over a frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from saccade.draw.checks import check_colors, check_image
from saccade.errors import FrameError, RequestError


def overlay(
    image: npt.NDArray[np.uint8], class_map: npt.NDArray[Any], colors: npt.ArrayLike, opacity: float = 0.5
) -> npt.NDArray[np.uint8]:
    """``image`` uint8 (H, W, 3) tinted by the colour (C, 3) of each pixel's class in ``class_map`` (H, W).

    ``opacity`` 0 shows the image, 1 the colours. Pixels whose id is not in 0..C-1 stay as they are.
    Raises ``FrameError`` for arrays that do not fit, ``RequestError`` for an opacity or colours that do not.
    """
    check_image(image)
    table = check_colors(colors)
    if class_map.shape != image.shape[:2] or class_map.dtype.kind not in "uib":
        raise FrameError(
            f"class_map must be integers of the image's size {image.shape[:2]}, "
            f"but got {class_map.dtype} {class_map.shape}"
        )
    if not 0 <= opacity <= 1:
        raise RequestError(f"opacity must be 0 to 1, but got {opacity}")
    # Fixed point with 8 fraction bits: 255 * 256 + 128 is the largest value, so 16 bits suffice.
    weight = round(256 * opacity)
    untouched = (class_map < 0) | (class_map >= len(table))
    has_untouched = bool(untouched.any())
    ids = np.where(untouched, 0, class_map) if has_untouched else class_map
    blended = np.take((table * weight + 128).astype(np.uint16), ids, axis=0)
    blended += np.multiply(image, np.uint16(256 - weight), dtype=np.uint16)
    blended >>= 8
    tinted = blended.astype(np.uint8)
    if has_untouched:
        tinted[untouched] = image[untouched]
    return tinted
