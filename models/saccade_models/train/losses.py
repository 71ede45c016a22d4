"""Losses of semantic segmentation on logits (N, C, h, w) against labels (N, H, W), uint8 or int64."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from saccade_models.train.augment import IGNORED


def class_weights(frequency: npt.NDArray[np.float64], base: float = 1.10) -> Tensor:
    """``1 / ln(base + frequency)`` scaled to a mean of 1: ENet's weighting (arXiv 1606.02147, section 5.2).

    A smaller ``base`` favours rare classes more.
    """
    weights = 1 / np.log(base + frequency)
    return torch.from_numpy(weights / weights.mean()).float()


def cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Weighted cross-entropy of the logits, upsampled bilinearly to the labels' size."""
    logits = functional.interpolate(logits, size=labels.shape[-2:], mode="bilinear", align_corners=False)
    return functional.cross_entropy(logits, labels, weights, ignore_index=IGNORED)


def lovasz_softmax(logits: Tensor, labels: Tensor) -> Tensor:
    """A convex surrogate of 1 - mean IoU over the classes present in the batch.

    Berman, Triki, Blaschko: "The Lovász-Softmax loss", arXiv 1705.08790, equations 8 and 11. ``labels`` has the
    logits' size.
    """
    probabilities = logits.softmax(1).movedim(1, -1).flatten(0, -2)
    labels = labels.flatten()
    counted = labels != IGNORED
    probabilities, labels = probabilities[counted], labels[counted]
    losses = []
    for index in labels.unique().tolist():
        truth = (labels == index).float()
        errors, order = (truth - probabilities[:, index]).abs().sort(descending=True)
        losses.append(torch.dot(errors, _jaccard_gradient(truth[order])))
    return torch.stack(losses).mean() if losses else logits.sum() * 0


def _jaccard_gradient(sorted_truth: Tensor) -> Tensor:
    """The Jaccard loss after each of the first k errors, differenced (algorithm 1 of the paper)."""
    total = sorted_truth.sum()
    intersection = total - sorted_truth.cumsum(0)
    union = total + (1 - sorted_truth).cumsum(0)
    jaccard = 1 - intersection / union
    return torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])
