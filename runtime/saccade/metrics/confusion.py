"""Scores of vision tasks in numpy: one definition for training, export and the device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class ConfusionMatrix:
    """Counts of labelled pixels: ``counts[truth, predicted]``, int64, (classes, classes)."""

    counts: npt.NDArray[np.int64]

    @classmethod
    def empty(cls, classes: int) -> ConfusionMatrix:
        return cls(np.zeros((classes, classes), np.int64))

    def add(self, predicted: npt.NDArray[np.integer], truth: npt.NDArray[np.integer]) -> ConfusionMatrix:
        """This matrix with one more class map counted.

        ``predicted`` and ``truth`` have one shape and hold class ids. Pixels whose truth is no class id
        (void, 255, ...) are ignored; a predicted id that is no class raises ``ValueError``.
        """
        if predicted.shape != truth.shape:
            raise ValueError(f"predicted and truth must have one shape, but got {predicted.shape} and {truth.shape}")
        classes = len(self.counts)
        valid = (truth >= 0) & (truth < classes)
        found = predicted[valid].astype(np.int64)
        if found.size and (found.min() < 0 or found.max() >= classes):
            raise ValueError(f"predicted ids must be in 0..{classes - 1}, but got {found.min()}..{found.max()}")
        cells = truth[valid].astype(np.int64) * classes + found
        return ConfusionMatrix(self.counts + np.bincount(cells, minlength=classes**2).reshape(classes, classes))

    @property
    def class_iou(self) -> npt.NDArray[np.float64]:
        """Intersection over union of each class, (classes,); NaN where neither truth nor prediction has it."""
        hit = np.diag(self.counts).astype(np.float64)
        union = self.counts.sum(0) + self.counts.sum(1) - np.diag(self.counts)
        return np.divide(hit, union, out=np.full(len(hit), np.nan), where=union > 0)

    @property
    def mean_iou(self) -> float:
        """Mean of ``class_iou`` over the classes that occur (the Jaccard index, macro-averaged)."""
        iou = self.class_iou
        return float(np.nanmean(iou)) if np.isfinite(iou).any() else float("nan")

    @property
    def pixel_accuracy(self) -> float:
        """Share of labelled pixels whose class is right."""
        total = self.counts.sum()
        return float(np.trace(self.counts) / total) if total else float("nan")
