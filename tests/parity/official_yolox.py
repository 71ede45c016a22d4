"""YOLOX's published evaluation protocol, as its authors describe it, apart from all of our own code for boxes.

OpenCV bilinear resize by the smaller ratio, truncated; grey 114 right and below; BGR, 0..255; objectness times the best
class; confidence 0.001; suppression of boxes of one class above an overlap of 0.65; boxes divided by the ratio.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

SIZE = 416
CONFIDENCE, IOU = 0.001, 0.65

Boxes = tuple[np.ndarray, np.ndarray, np.ndarray]


def preprocess(bgr: np.ndarray) -> tuple[np.ndarray, float]:
    """The network's input (1, 3, 416, 416), and the ratio of its pixels to the image's."""
    padded = np.full((SIZE, SIZE, 3), 114, np.uint8)
    ratio = min(SIZE / bgr.shape[0], SIZE / bgr.shape[1])
    size_wh = int(bgr.shape[1] * ratio), int(bgr.shape[0] * ratio)
    padded[: size_wh[1], : size_wh[0]] = cv2.resize(bgr, size_wh, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(padded.transpose(2, 0, 1), np.float32)[None], ratio


def stretched(bgr: np.ndarray) -> tuple[np.ndarray, float]:
    """Another preprocessing, without a letterbox: what must not give the same result."""
    image = cv2.resize(bgr, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(image.transpose(2, 0, 1), np.float32)[None], SIZE / max(bgr.shape[:2])


def detect(
    network: Callable[[np.ndarray], np.ndarray], bgr: np.ndarray, prepare: Callable[..., Any] = preprocess
) -> Boxes:
    """Boxes of one image: xyxy (n, 4), confidence (n,), class_id (n,), in order of confidence."""
    image, ratio = prepare(bgr)
    rows = decoded(network(image)[0])
    scores = rows[:, 4:5] * rows[:, 5:]
    class_id, confidence = scores.argmax(1), scores.max(1)
    xyxy = np.concatenate((rows[:, :2] - rows[:, 2:4] / 2, rows[:, :2] + rows[:, 2:4] / 2), axis=1) / ratio
    likely = confidence >= CONFIDENCE
    xyxy, confidence, class_id = xyxy[likely], confidence[likely], class_id[likely]
    kept = [int(i) for c in np.unique(class_id) for i in suppressed(xyxy, confidence, np.flatnonzero(class_id == c))]
    order = np.array(sorted(kept, key=lambda index: -confidence[index]), dtype=int)
    return xyxy[order], confidence[order], class_id[order]


def decoded(rows: np.ndarray) -> np.ndarray:
    """Raw rows (3549, 85) with centre and size in pixels of the input."""
    rows, start = rows.copy(), 0
    for stride in (8, 16, 32):
        side = SIZE // stride
        level = rows[start : start + side * side]
        xv, yv = np.meshgrid(np.arange(side), np.arange(side))
        level[:, :2] = (level[:, :2] + np.stack((xv, yv), 2).reshape(-1, 2)) * stride
        level[:, 2:4] = np.exp(level[:, 2:4]) * stride
        start += side * side
    return rows


def suppressed(xyxy: np.ndarray, confidence: np.ndarray, candidates: np.ndarray) -> list[int]:
    """Of the ``candidates`` (all of one class) those that no better one overlaps by more than ``IOU``."""
    order = candidates[np.argsort(-confidence[candidates], kind="stable")]
    kept = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(int(best))
        low, high = np.maximum(xyxy[best, :2], xyxy[rest, :2]), np.minimum(xyxy[best, 2:], xyxy[rest, 2:])
        shared = np.clip(high - low, 0, None).prod(1)
        areas = [(boxes[..., 2:] - boxes[..., :2]).prod(-1) for boxes in (xyxy[best], xyxy[rest])]
        order = rest[shared / (areas[0] + areas[1] - shared) <= IOU]
    return kept
