"""Still images: one file, the images of a folder, or the matches of a glob."""

from __future__ import annotations

import glob
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from saccade.errors import RequestError, SourceError
from saccade.sources.base import SourceFault, SourceFrame

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


class ImageSource:
    """The images at ``paths`` in that order. One that cannot be read yields a fault, and the next one follows."""

    def __init__(self, uri: str, paths: Sequence[Path]) -> None:
        _require_pillow()
        self.uri = uri
        self.length: int | None = len(paths)
        self.frame_rate: float | None = None
        self.is_video = False
        self._paths = tuple(paths)

    def __iter__(self) -> Iterator[SourceFrame | SourceFault]:
        frame_id = 0
        for path in self._paths:
            try:
                image = read_image(path)
            # Pillow's decoders answer damage with OSError, SyntaxError, ValueError, struct.error and others.
            except Exception as error:
                yield SourceFault(path.name, f"cannot be read as an image: {error}")
                continue
            yield SourceFrame(image, "rgb24", frame_id, path.stem, time.monotonic_ns())
            frame_id += 1

    def close(self) -> None:
        """Nothing is held between images."""

    def __enter__(self) -> ImageSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_mask(path: Path) -> npt.NDArray[np.uint8]:
    """The picture at ``path`` as a mask, uint8 (H, W): 1 where it is nearer to its brightest value than to black.

    Raises ``SourceError`` for a picture with transparency: which part of it is meant cannot be known.
    """
    _require_pillow()
    from PIL import Image

    try:
        image = Image.open(path)
        with image:
            is_transparent = "A" in image.getbands() or "transparency" in image.info
        brightest = read_image(path).max(axis=2)
    except Exception as error:  # as above
        raise SourceError(f"mask {path} cannot be read as an image: {error}") from error
    if is_transparent:
        raise SourceError(f"mask {path} is partly transparent; make it white in holes and black elsewhere")
    return (brightest > brightest.max() / 2).astype(np.uint8)


class MaskFolder:
    """Masks of frames in a folder, each a picture with its frame's name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._paths = {path.stem: path for path in folder_images(folder)}

    def of(self, name: str) -> npt.NDArray[np.uint8]:
        """The mask of the frame ``name``, see ``read_mask``. Raises ``SourceError``."""
        if name not in self._paths:
            raise SourceError(f"{self.folder} holds no mask named {name}, as its frame is")
        return read_mask(self._paths[name])


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """The image at ``path``, upright by its EXIF orientation: uint8 (H, W, 3) RGB.

    Raises whatever Pillow raises, and ``ValueError`` for more than 8 bits of grey, which Pillow would clip.
    """
    from PIL import Image, ImageOps

    image = Image.open(path)
    with image:
        if image.mode in ("I", "F") or image.mode.startswith("I;16"):
            raise ValueError(f"it holds more than 8 bits per pixel of grey (mode {image.mode}); convert it to 8 bits")
        return np.array(ImageOps.exif_transpose(image).convert("RGB"))


def folder_images(folder: Path) -> list[Path]:
    """The images directly in ``folder``, sorted by name. Raises ``SourceError`` if there are none."""
    paths = _images_among(folder.iterdir())
    if not paths:
        raise SourceError(f"folder {folder} holds no image; looked for {' '.join(IMAGE_SUFFIXES)}, not in subfolders")
    return paths


def glob_images(pattern: str) -> list[Path]:
    """The images that ``pattern`` matches, sorted by path. Raises ``SourceError`` if there are none."""
    matches = glob.glob(pattern, recursive=True)  # noqa: PTH207 - Path.glob refuses absolute patterns
    paths = _images_among(Path(match) for match in matches)
    if not paths:
        found = f"{len(matches)} files, but no image ({' '.join(IMAGE_SUFFIXES)})" if matches else "nothing"
        raise SourceError(f"{pattern} matches {found}")
    return paths


def _images_among(paths: Iterator[Path]) -> list[Path]:
    return sorted(path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())


def _require_pillow() -> None:
    try:
        import PIL.Image  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError as error:
        raise RequestError("images are read with Pillow, which is missing: pip install saccade[video]") from error
