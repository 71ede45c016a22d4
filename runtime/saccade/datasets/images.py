"""Image files of datasets: pixels and size, upright by their EXIF orientation as labelling tools show them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from saccade.errors import DatasetError
from saccade.sources import images as sources

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}

_ORIENTATION = 0x0112  # EXIF 2.32, 4.6.4: tag 274
_SIDEWAYS = (5, 6, 7, 8)


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """An image file as uint8 (H, W, 3) RGB, upright. Raises ``DatasetError``."""
    try:
        return sources.read_image(path)
    except ImportError:
        raise
    # Pillow's decoders answer damage with OSError, SyntaxError, ValueError, struct.error and others.
    except Exception as error:
        raise DatasetError(f"{path} cannot be read as an image: {error}") from error


def image_size(path: Path) -> tuple[int, int]:
    """Height and width of an image file, upright, from its header alone. Raises ``DatasetError``."""
    from PIL import Image

    try:
        image = Image.open(path)
        with image:
            lies_sideways = image.getexif().get(_ORIENTATION) in _SIDEWAYS
            return (image.width, image.height) if lies_sideways else (image.height, image.width)
    except Exception as error:
        raise DatasetError(f"{path} cannot be read as an image: {error}") from error


def folder_images(folder: Path) -> list[Path]:
    """The images directly in ``folder``, by name. Raises ``DatasetError`` where there are none."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise DatasetError(f"{folder} holds no image; looked for {' '.join(sorted(IMAGE_SUFFIXES))}, not in subfolders")
    return paths


def refuse_shared_names(paths: list[Path]) -> None:
    """Raise ``DatasetError`` where two images differ in their suffix alone: one label file would be of both."""
    seen: dict[str, Path] = {}
    for path in paths:
        if path.stem in seen:
            raise DatasetError(f"{seen[path.stem]} and {path.name} would share one label file; rename one of them")
        seen[path.stem] = path
