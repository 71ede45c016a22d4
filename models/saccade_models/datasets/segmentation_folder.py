"""Images and class maps in two folders, the layout of CamVid's SegNet split.

    root/train/images/0001.jpg   root/train/labels/0001.png
    root/val/images/...          root/val/labels/...

A label is a grey or palette PNG of the image's size whose pixel values are class ids; ids from the number of
classes up (CamVid's 11, or 255) are void: in no loss and no score.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from saccade.errors import DatasetError

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png"}


class SegmentationFolder:
    """One split, decoded into memory: ``dataset[i]`` is (image uint8 (H, W, 3) RGB, labels uint8 (H, W))."""

    def __init__(self, root: Path, split: str) -> None:
        self.names, self._pairs = [], []
        for image_path in _image_paths(root / split):
            label_path = root / split / "labels" / f"{image_path.stem}.png"
            self.names.append(image_path.stem)
            self._pairs.append(_read_pair(image_path, label_path))

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        return self._pairs[index]

    def class_frequency(self, classes: int) -> npt.NDArray[np.float64]:
        """Share of the labelled pixels that each class has, (classes,). Sums to 1."""
        counts = sum(np.bincount(labels.ravel(), minlength=256)[:classes] for _, labels in self._pairs)
        return counts / np.sum(counts)


def _image_paths(folder: Path) -> list[Path]:
    if not (folder / "images").is_dir() or not (folder / "labels").is_dir():
        raise DatasetError(f"{folder} must hold the folders 'images' and 'labels', but has not both")
    paths = sorted(path for path in (folder / "images").iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise DatasetError(f"{folder / 'images'} holds no .jpg or .png image")
    return paths


def _read_pair(image_path: Path, label_path: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    if not label_path.exists():
        raise DatasetError(f"image {image_path.name} has no class map: {label_path} does not exist")
    image = np.array(_open(image_path).convert("RGB"))
    label_image = _open(label_path)
    if label_image.mode not in ("L", "P"):
        raise DatasetError(
            f"{label_path} must be a grey or palette PNG of class ids, but is {label_image.mode}; "
            "turn colours into class ids first"
        )
    labels = np.array(label_image)
    if labels.shape != image.shape[:2]:
        raise DatasetError(f"{label_path} is {labels.shape}, but its image is {image.shape[:2]}")
    return image, labels


def _open(path: Path) -> Image.Image:
    try:
        image = Image.open(path)
        image.load()
    except (OSError, UnidentifiedImageError) as error:
        raise DatasetError(f"{path} cannot be read as an image: {error}") from error
    return image
