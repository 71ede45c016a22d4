"""The images of a detection dataset as training takes them: whole, and as random views."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from saccade.datasets import BoxDataset
from saccade.datasets.images import image_size
from saccade_models.train.assignment import Objects
from saccade_models.train.batches import Key
from saccade_models.train.box_views import BoxViews, View, random_view

HELD_IN_MEMORY = 2 << 30
"""Bytes of decoded images up to which a dataset is kept decoded."""


class BoxImages:
    """A dataset as whole views, decoded once where memory allows. Crowds are no objects to learn."""

    def __init__(self, dataset: BoxDataset) -> None:
        self.labels = dataset.images
        needed = 3 * sum(math.prod(image.size_hw) for image in self.labels)
        self.decoded = [image.read() for image in self.labels] if needed <= HELD_IN_MEMORY else None

    def __len__(self) -> int:
        return len(self.labels)

    def view(self, index: int) -> View:
        label = self.labels[index]
        image = label.read() if self.decoded is None else self.decoded[index]
        real = ~label.is_crowd
        return View(image, label.xyxy[real].astype(np.float32), label.class_id[real])


class RandomViews:
    """Random views as a torch dataset: the key (epoch, index) and the seed decide the view.

    From ``calm_from`` on, an epoch, views are neither mosaics nor mixed.
    """

    def __init__(self, images: BoxImages, lively: BoxViews, calm: BoxViews, calm_from: float, seed: int) -> None:
        self.images, self.lively, self.calm, self.calm_from, self.seed = images, lively, calm, calm_from, seed

    def __getitem__(self, key: Key) -> tuple[Tensor, Objects]:
        epoch, index = key
        views = self.calm if epoch >= self.calm_from else self.lively
        random = np.random.default_rng((self.seed, epoch, index))
        view = random_view(self.images.view, index, len(self.images), views, random)
        return torch.from_numpy(view.image), Objects(torch.from_numpy(view.xyxy), torch.from_numpy(view.class_id))


def collate(samples: Sequence[tuple[Tensor, Objects]]) -> tuple[Tensor, list[Objects]]:
    """A batch: the images in one tensor, the objects in a list."""
    return torch.stack([image for image, _ in samples]), [objects for _, objects in samples]


def refuse_other_sizes(dataset: BoxDataset) -> None:
    """Raise ``DatasetError`` for the first image whose file is not of the size that its labels are for."""
    for image in dataset.images:
        if image_size(image.path) != image.size_hw:
            image.read()  # says which, and what to do
