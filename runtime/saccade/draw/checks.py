"""What drawing takes: pictures and colours, checked."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from saccade.errors import FrameError, RequestError


def check_image(image: npt.NDArray[np.uint8]) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise FrameError(f"image must be uint8 (H, W, 3), but got {image.dtype} {image.shape}")


def check_colors(colors: npt.ArrayLike) -> npt.NDArray[np.int64]:
    table = np.asarray(colors)
    if table.ndim != 2 or table.shape[1] != 3 or not len(table) or table.dtype.kind not in "ui":
        raise RequestError(f"colors must be whole numbers (C, 3), but got {table.dtype} {table.shape}")
    if table.min() < 0 or table.max() > 255:
        raise RequestError(f"colors must be in 0..255, but got {table.min()}..{table.max()}")
    return table.astype(np.int64)
