"""How near two arms' results on the same frame are, before anybody compares their times."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from saccade.boxes import iou_matrix
from saccade.kinds.segment import equal_share
from saccade.metrics.psnr import as_shown, psnr

MOST_DB = 100.0
"""The PSNR of equal images, which has no number."""

SAME_BOX_IOU = 0.9
"""Boxes of one class that overlap so far are one box."""


LEAST = {"segment": 0.999, "detect": 0.95, "restore": 48.1}
"""From here on two results are the same, by task: 48.1 dB are one grey level everywhere."""


def is_same_result(task: str, found: float | None) -> bool:
    """Whether an arm that agrees so far with the first one did the same work; what cannot be compared did not."""
    return found is not None and found >= LEAST.get(task, 0.0)


def agreement(first: Path, other: Path) -> float | None:
    """Of two saved results: the share of equal pixels, the PSNR of images in dB, or the share of boxes that match.

    Boxes count against the larger number of the two. None for results of different kinds.
    """
    one, two = (dict(np.load(path)) for path in (first, other))
    if one.keys() != two.keys():
        return None
    if "boxes" in one:
        return _matched(one, two)
    (first_pixels,), (other_pixels,) = one.values(), two.values()
    if first_pixels.shape != other_pixels.shape:
        return None
    if "class_map" in one:
        return equal_share(first_pixels, other_pixels)
    return min(MOST_DB, psnr(as_shown(first_pixels), as_shown(other_pixels)))


def _matched(one: Mapping[str, Any], two: Mapping[str, Any]) -> float:
    most = max(len(one["boxes"]), len(two["boxes"]))
    if most == 0:
        return 1.0
    if min(len(one["boxes"]), len(two["boxes"])) == 0:
        return 0.0
    overlaps = iou_matrix(one["boxes"], two["boxes"])
    overlaps[one["classes"][:, None] != two["classes"][None]] = 0.0
    matched = 0
    while overlaps.size and overlaps.max() >= SAME_BOX_IOU:
        row, column = np.unravel_index(overlaps.argmax(), overlaps.shape)
        overlaps[row], overlaps[:, column] = 0.0, 0.0
        matched += 1
    return matched / most
