"""Geometry of boxes in numpy: overlap, and the greedy suppression that graphs for GPUs leave to the CPU."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


def iou_matrix(a: Floats, b: Floats) -> Floats:
    """Intersection over union of every box of ``a`` (n, 4) with every one of ``b`` (m, 4), xyxy: (n, m).

    Boxes without area overlap nothing.
    """
    left_top = np.maximum(a[:, None, :2], b[None, :, :2])
    right_bottom = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(right_bottom - left_top, 0, None).prod(-1)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(-1), (b[:, 2:] - b[:, :2]).prod(-1)
    union = area_a[:, None] + area_b[None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def suppress(
    xyxy: Floats, confidence: Floats, class_id: npt.NDArray[np.integer], iou: float, *, agnostic: bool = False
) -> npt.NDArray[np.intp]:
    """Indices of the boxes that greedy suppression keeps, most confident first; equal confidences in their order.

    A box falls when it overlaps a kept one by more than ``iou``: one of its own class, or with ``agnostic`` of any.
    Takes n² memory, so give it the best few hundred boxes.
    """
    order = np.argsort(-confidence, kind="stable")
    overlaps = iou_matrix(xyxy[order], xyxy[order]) > iou
    if not agnostic:
        classes = class_id[order]
        overlaps &= classes[:, None] == classes[None]
    stands = np.ones(len(order), np.bool_)
    for index in range(len(order)):
        if stands[index]:
            stands[index + 1 :] &= ~overlaps[index, index + 1 :]
    return order[stands]
