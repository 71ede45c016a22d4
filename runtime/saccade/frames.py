"""What a caller may hand in as a frame, and the errors for everything else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from saccade.errors import FrameError
from saccade.manifest import MAX_SIZE
from saccade.spec import PIXEL_FORMATS, PixelFormat

Frame = npt.NDArray[np.uint8]


def check_frame(frame: Any) -> Frame:
    """``frame`` itself if it is uint8 (H, W, 3) with 1 <= H, W <= 16384; any strides. Raises ``FrameError``."""
    found = as_array(frame)
    if found.dtype != np.uint8 or found.ndim != 3 or found.shape[2] != 3:
        raise FrameError(f"a frame must be uint8 (H, W, 3), but got {found.dtype} {found.shape}; {_advice(found)}")
    check_sides(found)
    return found


def check_sides(frame: npt.NDArray[Any]) -> None:
    """Raise ``FrameError`` unless height and width are 1 to 16384."""
    height, width = frame.shape[:2]
    if not (1 <= height <= MAX_SIZE and 1 <= width <= MAX_SIZE):
        raise FrameError(f"a frame's height and width must be 1 to {MAX_SIZE}, but got {height} and {width}")


def as_array(frame: Any) -> npt.NDArray[Any]:
    """A numpy array as it is, or a view of another library's CPU array (DLPack). Raises ``FrameError``."""
    if isinstance(frame, np.ndarray):
        return cast("npt.NDArray[Any]", frame)
    if not hasattr(frame, "__dlpack__"):
        raise FrameError(f"a frame must be a numpy array, but got {type(frame).__name__}; pass np.asarray(image)")
    try:
        return np.from_dlpack(frame)
    except (BufferError, RuntimeError, TypeError) as error:
        raise FrameError(
            f"{type(frame).__name__} cannot be seen as a CPU array: {error}; copy it to the CPU"
        ) from error


def check_pixel_format(pixel_format: str, taken: Sequence[PixelFormat]) -> PixelFormat:
    """``pixel_format`` if the bundle takes it. Raises ``FrameError``."""
    for known in taken:
        if pixel_format == known:
            return known
    if pixel_format in PIXEL_FORMATS:
        raise FrameError(
            f"pixel format {pixel_format!r} was declared, but this bundle takes {', '.join(taken)}; convert the frame"
        )
    raise FrameError(f"pixel format {pixel_format!r} is not known; declare one of {', '.join(taken)}")


def from_buffer(buffer: Any, height: int, width: int, stride: int | None = None) -> Frame:
    """A view (H, W, 3) of a camera's packed 24-bit buffer, without a copy.

    ``stride`` is the distance of two rows in bytes, 3 * ``width`` where rows are not padded. Raises ``FrameError``
    when the stride is too short for the width or the buffer too short for the height.
    """
    row = 3 * width
    stride = row if stride is None else stride
    if height < 1 or width < 1 or stride < row:
        raise FrameError(f"{height} rows of {width} pixels need a stride of at least {row} bytes, but got {stride}")
    data = np.frombuffer(buffer, np.uint8)
    needed = stride * (height - 1) + row
    if data.size < needed:
        raise FrameError(f"{height} rows with a stride of {stride} need {needed} bytes, but the buffer has {data.size}")
    return np.lib.stride_tricks.as_strided(data, (height, width, 3), (stride, 3, 1), writeable=False)


def _advice(found: npt.NDArray[Any]) -> str:
    if found.ndim == 3 and found.shape[0] == 3 and found.dtype != np.uint8:
        return "pass the camera's frame itself, not a network's input"
    if found.ndim == 2:
        return "repeat a grey frame with np.repeat(frame[..., None], 3, axis=2)"
    if found.ndim == 3 and found.shape[2] == 4:
        return "drop the alpha channel with frame[..., :3]"
    if found.dtype != np.uint8:
        return "pass the 8-bit frame before any scaling"
    return "pass rows, columns, then three channels"
