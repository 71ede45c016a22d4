"""A detection dataset made in code: bright squares on dark noise, 64x64, one an image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from saccade.datasets import BoxDataset, LabelledImage, box_area

SIDE = 24


def rectangles(folder: Path, seed: int, count: int, classes: tuple[str, ...] = ("square",)) -> BoxDataset:
    """``count`` images in ``folder`` with their boxes; the same seed makes the same."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    return BoxDataset(classes, tuple(_image(folder / f"{seed}-{i}.png", i + 1, random) for i in range(count)))


def with_wrong_labels(dataset: BoxDataset) -> BoxDataset:
    """Each image with the box of the next."""
    shifted = (*dataset.images[1:], dataset.images[0])
    images = (
        LabelledImage(i.image_id, i.path, i.size_hw, other.xyxy, other.class_id, other.is_crowd, other.area)
        for i, other in zip(dataset.images, shifted, strict=True)
    )
    return BoxDataset(dataset.classes, tuple(images))


def _image(path: Path, image_id: int, random: np.random.Generator) -> LabelledImage:
    pixels = random.integers(0, 90, (64, 64, 3), dtype=np.uint8)
    left, top = random.integers(0, 64 - SIDE, 2)
    pixels[top : top + SIDE, left : left + SIDE] = random.integers(190, 255, 3)
    Image.fromarray(pixels).save(path)
    xyxy = np.array([[left, top, left + SIDE, top + SIDE]], np.float64)
    return LabelledImage(image_id, path, (64, 64), xyxy, np.zeros(1, np.int64), np.zeros(1, np.bool_), box_area(xyxy))
