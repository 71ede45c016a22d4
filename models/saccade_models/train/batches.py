"""Batches of random views, the same for a seed whatever process makes them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np
from torch.utils.data import DataLoader

View = TypeVar("View", covariant=True)

Key = tuple[int, int]
"""Epoch and index of an image: all that a view may depend on beside the seed."""

MOST_WORKERS = 8


class Views(Protocol[View]):
    """Random views by key."""

    def __getitem__(self, key: Key) -> View: ...


def batches(
    views: Views[Any],
    images: int,
    batch: int,
    seed: int,
    epoch: int,
    collate: Callable[[Any], Any] | None = None,
) -> DataLoader[Any]:
    """One epoch: the images in random order, ``batch`` views at a time.

    Every batch is full, because statistics of a small one would mislead BatchNorm: the images left over wait for
    another epoch. Fewer images than ``batch`` make one smaller batch.
    """
    order = np.random.default_rng((seed, epoch)).permutation(images)
    count = max(1, images // batch)
    keys = [[(epoch, int(i)) for i in chunk] for chunk in np.array_split(order[: count * batch], count)]
    return DataLoader(views, batch_sampler=keys, num_workers=_workers(), collate_fn=collate)  # type: ignore[arg-type]


def _workers() -> int:
    """One core is left to the training itself."""
    return max(1, min(MOST_WORKERS, (os.cpu_count() or 2) - 1))
