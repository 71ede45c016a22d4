"""Which cells learn which object: SimOTA for YOLOX's head, task-aligned for heads without objectness.

Both look at one image: A cells, C classes, G objects. What they return has no gradient.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from saccade_models.yolox_head import Cells

REACH = 2.5
"""SimOTA's centre prior: how many strides a cell's centre may lie from an object's, as in the reference code of the
paper (it has taken 1.5 since)."""

SMALLEST_STRIDE = 8.0


@dataclass(frozen=True)
class Objects:
    """The labelled objects of one image: ``xyxy`` (G, 4) in pixels of the view, ``class_id`` (G,)."""

    xyxy: Tensor
    class_id: Tensor


@dataclass(frozen=True)
class Assignment:
    """For each of F foreground cells: its index (F,), its object's index (F,), how good a target it is (F,) 0..1."""

    cell: Tensor
    object: Tensor
    quality: Tensor


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes (n, 4) and (m, 4), xyxy: (n, m)."""
    shared = (torch.minimum(a[:, None, 2:], b[None, :, 2:]) - torch.maximum(a[:, None, :2], b[None, :, :2])).clamp(0)
    shared = shared.prod(-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).clamp(0).prod(-1) for boxes in (a, b)]
    return shared / (areas[0][:, None] + areas[1][None] - shared).clamp(1e-7)


@torch.no_grad()
def simota(probabilities: Tensor, boxes: Tensor, cells: Cells, objects: Objects, candidates: int = 10) -> Assignment:
    """Simplified optimal transport (arXiv 2107.08430, section 2.1, SimOTA).

    ``probabilities`` (A, C) are class times objectness, geometric mean; ``boxes`` (A, 4). Each object takes as many
    cells as its best ``candidates`` IoUs sum to, those of least cost; a cell that two objects want goes to the cheaper.
    """
    near_centre, inside = _centre_priors(cells, objects)
    eligible = (near_centre | inside).any(0).nonzero()[:, 0]
    if not len(eligible):
        return _nothing(boxes)
    iou = pairwise_iou(objects.xyxy, boxes[eligible])
    wanted = functional.one_hot(objects.class_id, probabilities.shape[1]).float()
    scores = probabilities[eligible].clamp(1e-7, 1 - 1e-7)
    miss = -(wanted @ scores.log().T + (1 - wanted) @ (1 - scores).log().T)
    cost = miss + 3.0 * -(iou + 1e-8).log() + 1e5 * ~(near_centre & inside)[:, eligible]
    counts = iou.topk(min(candidates, iou.shape[1]), dim=1).values.sum(1).int().clamp(1)
    taken = torch.zeros_like(cost, dtype=torch.bool)
    for row, count in enumerate(counts.tolist()):
        taken[row, cost[row].topk(min(count, cost.shape[1]), largest=False).indices] = True
    contested = taken.sum(0) > 1
    taken[:, contested] = functional.one_hot(cost[:, contested].argmin(0), len(cost)).bool().T
    rows, columns = taken.nonzero(as_tuple=True)
    return Assignment(eligible[columns], rows, iou[rows, columns])


@torch.no_grad()
def task_aligned(
    probabilities: Tensor,
    boxes: Tensor,
    cells: Cells,
    objects: Objects,
    candidates: int,
    alpha: float = 0.5,
    beta: float = 6.0,
) -> Assignment:
    """The ``candidates`` cells of highest probability^alpha · IoU^beta for each object.

    TOOD (arXiv 2108.07755, section 3.2); with ``candidates`` 1 it is the one-to-one match of YOLOv10 (arXiv
    2405.14458, section 3.1), which shares alpha and beta with the one-to-many match. A cell's centre must lie in the
    object, or, for objects thinner than two cells, within one smallest stride of its centre. A cell that several
    objects want goes to that of them which it overlaps most. The quality is the metric, scaled so that each object's
    best cell has its best IoU.
    """
    if not len(objects.xyxy):
        return _nothing(boxes)
    iou = pairwise_iou(objects.xyxy, boxes)
    metric = probabilities[:, objects.class_id].T.pow(alpha) * iou.pow(beta)
    metric = metric.masked_fill(~_within(cells, objects), -1.0)
    values, chosen = metric.topk(min(candidates, metric.shape[1]), dim=1)
    taken = torch.zeros_like(metric, dtype=torch.bool).scatter_(1, chosen, values > 0)
    contested = taken.sum(0) > 1
    wanting = (iou * taken)[:, contested]
    taken[:, contested] = functional.one_hot(wanting.argmax(0), len(iou)).bool().T
    metric, overlap = metric * taken, iou * taken
    scale = overlap.amax(1, keepdim=True) / metric.amax(1, keepdim=True).clamp(1e-9)
    rows, columns = taken.nonzero(as_tuple=True)
    return Assignment(columns, rows, (metric * scale)[rows, columns])


def _centre_priors(cells: Cells, objects: Objects) -> tuple[Tensor, Tensor]:
    """Cells near each object's centre, and cells in its box: two masks (G, A)."""
    centre = (objects.xyxy[:, :2] + objects.xyxy[:, 2:]) / 2
    away = (cells.centre[None] - centre[:, None]).abs().amax(-1)
    return away < REACH * cells.stride[:, 0], _in_box(cells.centre, objects.xyxy)


def _within(cells: Cells, objects: Objects) -> Tensor:
    centre = (objects.xyxy[:, :2] + objects.xyxy[:, 2:]) / 2
    half = ((objects.xyxy[:, 2:] - objects.xyxy[:, :2]) / 2).clamp(SMALLEST_STRIDE)
    return _in_box(cells.centre, torch.cat((centre - half, centre + half), dim=1))


def _in_box(points: Tensor, xyxy: Tensor) -> Tensor:
    """Points (A, 2) in boxes (G, 4): (G, A)."""
    past = torch.cat((points[None] - xyxy[:, None, :2], xyxy[:, None, 2:] - points[None]), dim=-1)
    return past.amin(-1) > 0


def _nothing(boxes: Tensor) -> Assignment:
    none = torch.zeros(0, dtype=torch.long, device=boxes.device)
    return Assignment(none, none, boxes.new_zeros(0))
