"""One picture or class map into a PNG."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from saccade.errors import FrameError, RequestError
from saccade.writers.files import begin_part, output_errors


def write_png(path: str | os.PathLike[str], image: npt.NDArray[np.uint8], palette: npt.ArrayLike | None = None) -> None:
    """Writes uint8 RGB (H, W, 3) or class ids (H, W) to ``path``, which appears only when it is whole.

    Class ids are the pixel values of a grey PNG, or of a palette PNG if ``palette`` gives their (C, 3) colours.
    Raises ``OutputError`` for what cannot be written, ``FrameError`` for another kind of array.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise RequestError("images are written with Pillow, which is missing: pip install saccade[video]") from error
    _check(image)
    picture = Image.fromarray(np.ascontiguousarray(image))
    if palette is not None:
        picture.putpalette(_palette_bytes(image, palette))
    target = Path(path)
    part = begin_part(target)
    try:
        with output_errors(target):
            picture.save(part, format="PNG")
            part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _check(image: npt.NDArray[np.uint8]) -> None:
    is_rgb = image.ndim == 3 and image.shape[2] == 3
    if image.dtype != np.uint8 or 0 in image.shape or not (is_rgb or image.ndim == 2):
        raise FrameError(f"a PNG is made from uint8 (H, W, 3) or (H, W), but got {image.dtype} {image.shape}")


def _palette_bytes(image: npt.NDArray[np.uint8], palette: npt.ArrayLike) -> bytes:
    colors = np.asarray(palette)
    if image.ndim != 2:
        raise FrameError(f"a palette colours class ids (H, W), but the image is {image.shape}")
    if colors.ndim != 2 or colors.shape[1] != 3 or len(colors) > 256 or colors.min() < 0 or colors.max() > 255:
        raise FrameError(f"palette must be at most 256 colours (C, 3) of 0..255, but got {colors.shape}")
    return colors.astype(np.uint8).tobytes()
