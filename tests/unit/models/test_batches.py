"""The order in which an epoch meets the images."""

from __future__ import annotations

import pytest

from saccade_models.train.batches import Key, batches

pytestmark = pytest.mark.torch


class Echo:
    """Views that are their own keys."""

    def __getitem__(self, key: Key) -> Key:
        return key


def epoch_of(epoch: int, images: int = 6, batch: int = 4, seed: int = 0) -> list[list[Key]]:
    return list(batches(Echo(), images, batch, seed, epoch, collate=list))


def test_batches_are_full_and_no_image_comes_twice() -> None:
    [keys, more] = epoch_of(3, images=11)
    assert len(keys) == len(more) == 4
    assert len({*keys, *more}) == 8
    assert {epoch for epoch, _ in keys} == {3}


def test_images_that_fill_no_batch_come_in_another_epoch() -> None:
    epochs = [[index for batch in epoch_of(epoch) for _, index in batch] for epoch in range(4)]
    assert all(len(set(indices)) == 4 for indices in epochs)
    assert {index for indices in epochs for index in indices} == set(range(6))


def test_fewer_images_than_a_batch_make_one_batch() -> None:
    [keys] = epoch_of(0, batch=8)
    assert sorted(keys) == [(0, index) for index in range(6)]


def test_seed_and_epoch_decide_the_order() -> None:
    assert epoch_of(1, images=12) == epoch_of(1, images=12)
    assert epoch_of(1, images=12) != epoch_of(1, images=12, seed=1)
    assert [key[1] for key in epoch_of(1, images=12)[0]] != [key[1] for key in epoch_of(2, images=12)[0]]
