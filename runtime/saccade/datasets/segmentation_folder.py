"""Images and class maps in two folders, the layout of CamVid's SegNet split.

    root/train/images/0001.jpg   root/train/labels/0001.png
    root/val/images/...          root/val/labels/...

A label is a grey or palette PNG of the image's size whose pixel values are class ids; ids from the number of
classes up (CamVid's 11, or 255) are void: in no loss and no score.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from saccade.datasets.images import folder_images, read_image, refuse_shared_names
from saccade.errors import DatasetError

Pair = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]
"""An image uint8 (H, W, 3) RGB and its class ids uint8 (H, W)."""


@dataclass(frozen=True)
class LabelledMap:
    """One image with a class for each pixel, on disk."""

    image: Path
    labels: Path

    def read(self) -> Pair:
        """Both, decoded. Raises ``DatasetError`` when one is damaged, or they do not fit together."""
        image, labels = read_image(self.image), _read_labels(self.labels)
        if labels.shape != image.shape[:2]:
            raise DatasetError(f"{self.labels} is {labels.shape}, but its image is {image.shape[:2]}")
        return image, labels


def list_maps(root: Path, split: str) -> tuple[LabelledMap, ...]:
    """What one split holds, by name. Raises ``DatasetError`` for missing folders, and for images without a label."""
    folder = root / split
    if not (folder / "images").is_dir() or not (folder / "labels").is_dir():
        raise DatasetError(f"{folder} must hold the folders 'images' and 'labels', but has not both")
    paths = folder_images(folder / "images")
    refuse_shared_names(paths)
    maps = tuple(LabelledMap(path, folder / "labels" / f"{path.stem}.png") for path in paths)
    for item in maps:
        if not item.labels.exists():
            raise DatasetError(f"image {item.image.name} has no class map: {item.labels} does not exist")
    return maps


class SegmentationFolder:
    """One split, decoded into memory: ``dataset[i]`` is (image uint8 (H, W, 3) RGB, labels uint8 (H, W))."""

    def __init__(self, root: Path, split: str) -> None:
        maps = list_maps(root, split)
        self.names = [item.image.stem for item in maps]
        self._pairs = [item.read() for item in maps]

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> Pair:
        return self._pairs[index]

    def __iter__(self) -> Iterator[Pair]:
        return iter(self._pairs)

    def class_frequency(self, classes: int) -> npt.NDArray[np.float64]:
        """Share of the labelled pixels that each class has, (classes,). Sums to 1."""
        counts = np.zeros(classes, np.int64)
        for _, labels in self._pairs:
            counts += np.bincount(labels.ravel(), minlength=256)[:classes]
        return counts / np.sum(counts)


def _read_labels(path: Path) -> npt.NDArray[np.uint8]:
    from PIL import Image

    try:
        picture = Image.open(path)
        with picture:
            labels = np.array(picture)
    # Pillow's decoders answer damage with OSError, SyntaxError, ValueError, struct.error and others.
    except Exception as error:
        raise DatasetError(f"{path} cannot be read as an image: {error}") from error
    if picture.mode not in ("L", "P"):
        raise DatasetError(
            f"{path} must be a grey or palette PNG of class ids, but is {picture.mode}; "
            "turn colours into class ids first"
        )
    return labels
