"""Clean images for training restorers, held decoded, and random crops of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from saccade.datasets.images import folder_images, read_image
from saccade.errors import DatasetError
from saccade_models.train.batches import Key

Pixels = npt.NDArray[np.uint8]


def read_split(folder: Path, every: int, crop: int) -> tuple[list[Pixels], list[Pixels]]:
    """The images directly in ``folder`` by name: each ``every``-th is for validation, one at least; the rest train.

    Raises ``DatasetError`` where there are too few, and for one that is lower or narrower than ``crop``.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} is no folder; --data must be one of clean images")
    paths = folder_images(folder)
    images = [read_image(path) for path in paths]
    for path, image in zip(paths, images, strict=True):
        if min(image.shape[:2]) < crop:
            raise DatasetError(
                f"crops of {crop} pixels were asked for, but {path} is {image.shape[0]}x{image.shape[1]}; "
                "choose smaller ones with --crop, or leave the image out"
            )
    if len(images) < 2:
        raise DatasetError(f"{folder} holds {len(images)} images, but one to train on and one to score on are needed")
    return [image for index, image in enumerate(images) if index % every], images[::every]


class RandomCrops:
    """Square crops uint8 (3, size, size), turned and mirrored; a key of epoch and index, and the seed, decide one.

    Indices beyond the images go round: an epoch may take several crops of each.
    """

    def __init__(self, images: list[Pixels], size: int, seed: int) -> None:
        self.images, self.size, self.seed = images, size, seed

    def __getitem__(self, key: Key) -> Tensor:
        epoch, index = key
        random = np.random.default_rng((self.seed, epoch, index))
        image = self.images[index % len(self.images)]
        top, left = (int(random.integers(0, side - self.size + 1)) for side in image.shape[:2])
        crop = np.rot90(image[top : top + self.size, left : left + self.size], int(random.integers(4)))
        if random.random() < 0.5:
            crop = crop[:, ::-1]
        return torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1)))


def as_state(images: Tensor) -> Tensor:
    """Images 0..255 as states: float32, black -1, white 1."""
    return images.float() / 127.5 - 1


def as_pixels(state: Tensor) -> Tensor:
    """States as whole pixels 0..255, clamped and rounded, float32."""
    return ((state + 1) * 127.5).clamp(0, 255).round()
