"""What tutorials do around YOLO networks: a letterbox by OpenCV, thresholds, suppression, boxes of the frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def letterbox(frame: Any, image: Mapping[str, Any]) -> tuple[Any, float, tuple[int, int]]:
    """An RGB frame as the network's input float32 (1, 3, h, w), by what it was scaled, and where it begins, x y."""
    import cv2

    height, width = image["size_hw"]
    ratio = min(height / frame.shape[0], width / frame.shape[1])
    inner_h, inner_w = int(frame.shape[0] * ratio), int(frame.shape[1] * ratio)
    centred = image["resize"]["anchor"] == "centre"
    top, left = ((height - inner_h) // 2, (width - inner_w) // 2) if centred else (0, 0)
    padded = np.full((height, width, 3), image["resize"]["pad"], np.uint8)
    padded[top : top + inner_h, left : left + inner_w] = cv2.resize(
        frame, (inner_w, inner_h), interpolation=cv2.INTER_LINEAR
    )
    if image["channel_order"] == "bgr":
        padded = padded[..., ::-1]
    tensor = np.ascontiguousarray(padded.transpose(2, 0, 1)[None], np.float32)
    return (tensor if image["scale"] == 1 else tensor / np.float32(image["scale"])), ratio, (left, top)


def suppressed(boxes: Any, scores: Any, spec: Mapping[str, Any]) -> dict[str, Any]:
    """The result that is left of boxes xyxy (n, 4) and their scores by class (n, classes), most confident first."""
    import cv2

    classes = scores.argmax(axis=1)
    confidence = scores[np.arange(len(scores)), classes]
    likely = confidence > spec["confidence"]
    boxes, confidence, classes = boxes[likely], confidence[likely], classes[likely]
    sides = np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), axis=1)
    groups = classes if spec["suppression"] == "class" else np.zeros_like(classes)
    kept: Any = cv2.dnn.NMSBoxesBatched(
        sides.tolist(), confidence.tolist(), groups.tolist(), spec["confidence"], spec["iou"]
    )
    kept = np.array(kept, int).reshape(-1)
    kept = kept[np.argsort(-confidence[kept], kind="stable")][: spec["max_detections"]]
    return {"boxes": boxes[kept], "confidence": confidence[kept], "classes": classes[kept].astype(np.int64)}


def placed(boxes: Any, ratio: float, start_xy: tuple[int, int], shape: tuple[int, ...]) -> Any:
    """Boxes xyxy of the network's input in pixels of the frame, inside it."""
    moved = (boxes - np.array(start_xy * 2, np.float32)) / np.float32(ratio)
    return np.clip(moved, 0, np.array([shape[1], shape[0]] * 2, np.float32))
