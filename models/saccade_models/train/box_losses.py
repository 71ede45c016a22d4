"""Losses of detection heads, computed on raw outputs against the objects of each image of a batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from saccade.boxes import suppress
from saccade_models.train.assignment import Assignment, Objects, simota, task_aligned
from saccade_models.train.detecting import SUPPRESSION_IOU
from saccade_models.yolox_head import Cells, RawOutput

BOX_WEIGHT = 5.0
"""Weight of the box loss beside the others, as in YOLOX."""

MANY = 10
"""Cells that an object gets under one-to-many task-aligned matching."""

TAUGHT_CANDIDATES = 300
TAUGHT_CONFIDENCE = 0.01
"""Fainter boxes of the one-to-many head teach nothing."""


def detection_loss(outputs: Sequence[RawOutput], cells: Cells, objects: Sequence[Objects]) -> Tensor:
    """The sum over the heads: YOLOX's loss for a head with objectness, else the task-aligned one, many then one."""
    if outputs[0].objectness is not None:
        return yolox_loss(outputs[0], cells, objects)
    losses = [task_aligned_loss(output, cells, objects, k) for output, k in zip(outputs, (MANY, 1), strict=True)]
    return torch.stack(losses).sum()


def yolox_loss(output: RawOutput, cells: Cells, objects: Sequence[Objects]) -> Tensor:
    """Box 1 - IoU², objectness and classes by cross-entropy, each over the number of foreground cells."""
    assert output.objectness is not None
    boxes = cells.decode(output.offsets.float())
    objectness, classes = output.objectness.float(), output.classes.float()
    scores = (classes.sigmoid() * objectness.sigmoid()).detach().sqrt()
    is_object, box_loss, class_loss, count = torch.zeros_like(objectness), boxes.sum() * 0, classes.sum() * 0, 0
    for index, truth in enumerate(objects):
        found = simota(scores[index], boxes[index].detach(), cells, truth)
        is_object[index, found.cell] = 1.0
        overlap = paired_iou(boxes[index, found.cell], truth.xyxy[found.object])
        box_loss = box_loss + (1 - overlap.pow(2)).sum()
        target = functional.one_hot(truth.class_id[found.object], classes.shape[-1]) * found.quality[:, None]
        class_loss = class_loss + functional.binary_cross_entropy_with_logits(
            classes[index, found.cell], target, reduction="sum"
        )
        count += len(found.cell)
    objectness_loss = functional.binary_cross_entropy_with_logits(objectness, is_object, reduction="sum")
    return (BOX_WEIGHT * box_loss + class_loss + objectness_loss) / max(count, 1)


def task_aligned_loss(output: RawOutput, cells: Cells, objects: Sequence[Objects], candidates: int) -> Tensor:
    """Classes by cross-entropy against the match's quality, box by GIoU weighted with it; both over its sum."""
    boxes, classes = cells.decode(output.offsets.float()), output.classes.float()
    probabilities = classes.detach().sigmoid()
    target, box_loss = torch.zeros_like(classes), boxes.sum() * 0
    for index, truth in enumerate(objects):
        found = task_aligned(probabilities[index], boxes[index].detach(), cells, truth, candidates)
        target[index, found.cell, truth.class_id[found.object]] = found.quality
        box_loss = box_loss + _weighted_giou_loss(boxes[index], truth, found)
    class_loss = functional.binary_cross_entropy_with_logits(classes, target, reduction="sum")
    return (class_loss + BOX_WEIGHT * box_loss) / target.sum().clamp(1.0)


def distilled_loss(one: RawOutput, many: RawOutput, cells: Cells) -> Tensor:
    """Classes of the one-to-one head against what suppression leaves of the one-to-many head's boxes; no labels.

    Each box that is left is an object: the cell that the one-to-one head matches to it learns the box's confidence, all
    others learn nothing. So a score means what the one-to-many head's means, and ranks as it does.
    """
    teacher, taught = many.classes.detach().float().sigmoid(), one.classes.float()
    boxes = cells.decode(many.offsets.detach().float())
    target = torch.zeros_like(taught)
    for index in range(len(taught)):
        confidence, xyxy, class_id = _left_by_suppression(teacher[index], boxes[index])
        match = task_aligned(
            taught[index].detach().sigmoid(), boxes[index], cells, Objects(xyxy, class_id), 1, alpha=1.0, beta=4.0
        )
        target[index, match.cell, class_id[match.object]] = confidence[match.object]
    loss = functional.binary_cross_entropy_with_logits(taught, target, reduction="sum")
    return loss / target.sum().clamp(1.0)


def paired_iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes (n, 4) with their partners (n, 4): (n,)."""
    shared, union = _shared_and_union(a, b)
    return shared / union


def paired_giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised IoU (arXiv 1902.09630) of boxes (n, 4) with their partners (n, 4): (n,) in -1..1."""
    shared, union = _shared_and_union(a, b)
    hull = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).prod(-1).clamp(1e-7)
    return shared / union - (hull - union) / hull


def _left_by_suppression(probabilities: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Confidence (G,), xyxy (G, 4) and class ids (G,) of one image's boxes, of (A, C) and (A, 4)."""
    best, class_id = probabilities.max(1)
    kept = best.topk(min(TAUGHT_CANDIDATES, len(best))).indices
    kept = kept[best[kept] >= TAUGHT_CONFIDENCE]
    xyxy, confidence, classes = boxes[kept], best[kept], class_id[kept]
    left = suppress(xyxy.cpu().numpy(), confidence.cpu().numpy(), classes.cpu().numpy(), SUPPRESSION_IOU)
    stands = torch.from_numpy(left).to(boxes.device)
    return confidence[stands], xyxy[stands], classes[stands]


def _weighted_giou_loss(boxes: Tensor, truth: Objects, found: Assignment) -> Tensor:
    return ((1 - paired_giou(boxes[found.cell], truth.xyxy[found.object])) * found.quality).sum()


def _shared_and_union(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    shared = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(0).prod(-1)
    area_a, area_b = ((boxes[:, 2:] - boxes[:, :2]).prod(-1) for boxes in (a, b))
    return shared, (area_a + area_b - shared).clamp(1e-7)
