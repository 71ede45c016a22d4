"""mIoU against torchmetrics, and the rules about void."""

from __future__ import annotations

import numpy as np
import pytest

from saccade.metrics import ConfusionMatrix


def random_maps(seed: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes + 1, (40, 60)).astype(np.uint8)  # the last id is void
    predicted = np.where(random.random(truth.shape) < 0.6, truth, random.integers(0, classes, truth.shape))
    return np.minimum(predicted, classes - 1).astype(np.uint8), truth


@pytest.mark.torch
def test_iou_is_torchmetrics() -> None:
    torch = pytest.importorskip("torch")
    from torchmetrics.classification import MulticlassJaccardIndex

    oracle = MulticlassJaccardIndex(11, average=None, ignore_index=11)
    confusion = ConfusionMatrix.empty(11)
    for seed in range(3):
        predicted, truth = random_maps(seed, 11)
        confusion = confusion.add(predicted, truth)
        oracle.update(torch.from_numpy(predicted.astype(np.int64)), torch.from_numpy(truth.astype(np.int64)))
    expected = oracle.compute().numpy()
    np.testing.assert_allclose(confusion.class_iou, expected, atol=1e-6)
    assert confusion.mean_iou == pytest.approx(expected.mean(), abs=1e-6)


def test_void_pixels_count_for_nothing() -> None:
    truth = np.array([[0, 1, 11, 255]], np.uint8)
    right = ConfusionMatrix.empty(2).add(np.array([[0, 1, 0, 1]], np.uint8), truth)
    other = ConfusionMatrix.empty(2).add(np.array([[0, 1, 1, 0]], np.uint8), truth)
    assert np.array_equal(right.counts, other.counts)
    assert right.mean_iou == 1.0


def test_classes_that_never_occur_are_left_out_of_the_mean() -> None:
    confusion = ConfusionMatrix.empty(3).add(np.array([0, 1], np.uint8), np.array([0, 0], np.uint8))
    np.testing.assert_allclose(confusion.class_iou, [0.5, 0.0, np.nan])
    assert confusion.mean_iou == 0.25
    assert confusion.pixel_accuracy == 0.5
    assert np.isnan(ConfusionMatrix.empty(3).mean_iou)


def test_maps_of_other_shapes_or_ids_are_refused() -> None:
    empty = ConfusionMatrix.empty(3)
    with pytest.raises(ValueError, match="one shape"):
        empty.add(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8))
    with pytest.raises(ValueError, match=r"must be in 0\.\.2"):
        empty.add(np.full((2, 2), 7, np.uint8), np.zeros((2, 2), np.uint8))
