"""What a YOLOX finds in an image, the way training sees images, and what it scores on a split."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from saccade.boxes import suppress
from saccade.datasets import BoxDataset
from saccade.letterbox import fit, letterboxed
from saccade.metrics import BoxScores, box_scores
from saccade_models.train.box_views import PAD
from saccade_models.yolox import YOLOX
from saccade_models.yolox_head import Cells

SCORED_CONFIDENCE = 0.001
SUPPRESSION_IOU = 0.65
MOST_CANDIDATES = 1000

Found = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]
"""xyxy float32 (n, 4) in the image's pixels, confidence float32 (n,), class_id int64 (n,); most confident first."""


def as_input(images: Tensor) -> Tensor:
    """uint8 (N, H, W, 3) RGB to what YOLOX takes: float32 (N, 3, H, W), BGR, 0..255."""
    return images.flip(-1).movedim(-1, 1).float().contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def detect(
    network: YOLOX,
    image: np.ndarray[Any, np.dtype[np.uint8]],
    size_hw: tuple[int, int],
    *,
    confidence: float = SCORED_CONFIDENCE,
    most: int = 100,
) -> Found:
    """The ``most`` confident boxes of one RGB image (H, W, 3), one class each, at ``confidence`` or better.

    The one-to-one head's best boxes as they are, the others after suppression by class. The network must be in
    evaluation mode.
    """
    device = next(network.parameters()).device
    seen = torch.from_numpy(letterboxed(image, size_hw, PAD))
    rows = network(as_input(seen[None].to(device)))[0]
    scores, class_id = _class_probabilities(rows, network.classes).max(1)
    kept = scores.topk(min(MOST_CANDIDATES, len(scores))).indices
    kept = kept[scores[kept] >= confidence]
    boxes = Cells.of(size_hw, device).decode(rows[:, :4])[kept].cpu().numpy()
    xyxy = fit((image.shape[0], image.shape[1]), size_hw).to_frame(boxes)
    found = xyxy, scores[kept].cpu().numpy(), class_id[kept].cpu().numpy()
    stands = slice(None) if network.output == "one" else suppress(*found, SUPPRESSION_IOU)
    xyxy_kept, confidence_kept, class_kept = (part[stands][:most] for part in found)
    return xyxy_kept, confidence_kept, class_kept


def score(network: YOLOX, dataset: BoxDataset, size_hw: tuple[int, int]) -> BoxScores:
    """COCO's scores over a whole split, on the network's device."""
    network.eval()
    found = [detect(network, image.read(), size_hw) for image in dataset.images]
    return box_scores(dataset.images, found, len(dataset.classes))


def _class_probabilities(rows: Tensor, classes: int) -> Tensor:
    """(A, classes) of rows with or without objectness, see ``YOLOX``."""
    return rows[:, 4:] if rows.shape[1] == 4 + classes else rows[:, 4:5] * rows[:, 5:]
