"""Clean images in a folder, degraded as they are read or beside their real camera frames of the same names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from saccade.datasets.images import image_size, read_image
from saccade.errors import DatasetError
from saccade.evaluation.degradations import DEGRADATIONS, Degraded, enlarged, lifted
from saccade.sources.images import folder_images
from saccade.spec import Restoring

Sample = tuple[str, Degraded]
"""An image's file name, and what is scored on it."""


def list_images(folder: Path) -> list[Path]:
    """The images directly in ``folder``, by name. Raises ``DatasetError`` or ``SourceError`` where there are none."""
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise DatasetError(f"{folder} must be a folder of images, but it {found}")
    return folder_images(folder)


def pair_up(clean: Sequence[Path], folder: Path, scale: int = 1) -> list[tuple[Path, Path]]:
    """Each clean image and the frame in ``folder`` that has its name, whatever the suffix.

    Raises ``DatasetError`` for an image without a frame or with two, and for a frame whose size times ``scale`` is not
    the image's.
    """
    frames: dict[str, list[Path]] = {}
    for path in list_images(folder):
        frames.setdefault(path.stem, []).append(path)
    return [(path, _partner(path, frames.get(path.stem, []), folder, scale)) for path in clean]


def degraded_images(paths: Sequence[Path], mode: Restoring, level: float) -> Iterator[Sample]:
    """Clean images, each degraded by ``level`` as a restorer of ``mode`` undoes it. Raises ``DatasetError``."""
    for path in paths:
        yield path.name, DEGRADATIONS[mode](read_image(path), level)


def paired_images(
    pairs: Sequence[tuple[Path, Path]], scale: int = 1, light: Mapping[str, float] | None = None
) -> Iterator[Sample]:
    """Clean images and their frames; without a restorer, frames are enlarged bicubically, and dark ones lifted.

    ``light`` is what is known of dark frames, gain and gamma, as in ``Degraded``. Raises ``DatasetError``.
    """
    for clean, path in pairs:
        frame = read_image(path)
        baseline = frame if scale == 1 else enlarged(frame, scale)
        if light:
            baseline = lifted(frame, light["gain"], light["gamma"])
        yield clean.name, Degraded(read_image(clean), frame, baseline, light=light or {})


def _partner(clean: Path, found: list[Path], folder: Path, scale: int) -> Path:
    if len(found) != 1:
        have = f"has {' and '.join(path.name for path in found)}" if found else f"has no {clean.stem}.*"
        raise DatasetError(f"{clean.name} needs one frame of its name in {folder}, but that folder {have}")
    wanted, size = image_size(clean), image_size(found[0])
    if (size[0] * scale, size[1] * scale) != wanted:
        times = f" (times {scale})" if scale > 1 else ""
        raise DatasetError(
            f"{found[0]} is {size[0]}x{size[1]}{times}, but its clean image is {wanted[0]}x{wanted[1]} "
            "(height x width); pairs must show the same pixels"
        )
    return found[0]
