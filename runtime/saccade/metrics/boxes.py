"""Average precision of boxes, by faster-coco-eval (the extra ``eval``), and recall at a false-alarm rate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from saccade.boxes import iou_matrix
from saccade.datasets.boxes import LabelledImage
from saccade.errors import RequestError

Boxes = tuple[npt.NDArray[np.floating], npt.NDArray[np.floating], npt.NDArray[np.integer]]
"""What a detector found in one image: xyxy (n, 4), confidence (n,), class_id (n,)."""

STATISTICS = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar1", "ar10", "ar100")


@dataclass(frozen=True)
class BoxScores:
    """COCO's averages over IoU 0.50 to 0.95, each 0 to 1; NaN where the dataset has no such object.

    ``class_ap`` holds the AP of each class that occurs, by class id.
    """

    ap: float
    ap50: float
    ap75: float
    ap_small: float
    ap_medium: float
    ap_large: float
    ar1: float
    ar10: float
    ar100: float
    class_ap: dict[int, float]


def box_scores(images: Sequence[LabelledImage], found: Sequence[Boxes], classes: int) -> BoxScores:
    """COCO's box scores: small, medium and large by the objects' own areas, at most 100 boxes a class and image.

    Raises ``RequestError`` without faster-coco-eval, ``ValueError`` for image ids that repeat and class ids that are
    not in 0..classes - 1.
    """
    _check(images, found, classes)
    coco, coco_eval = coco_library()
    if not images:
        return BoxScores(**dict.fromkeys(STATISTICS, math.nan), class_ap={})
    entries = [entry for image, boxes in zip(images, found, strict=True) for entry in _results(image.image_id, boxes)]
    truth = coco(_coco(images, classes))
    evaluation = coco_eval(truth, truth.loadRes(entries), "bbox")
    evaluation.run()
    values = [math.nan if value < 0 else float(value) for value in evaluation.stats[: len(STATISTICS)]]
    return BoxScores(**dict(zip(STATISTICS, values, strict=True)), class_ap=_class_ap(evaluation))


def coco_library() -> tuple[Any, Any]:
    """faster-coco-eval's ``COCO`` and ``COCOeval``. Raises ``RequestError`` without it."""
    try:
        from faster_coco_eval import COCO, COCOeval_faster  # type: ignore[import-untyped]
    except ImportError as error:
        raise RequestError("average precision needs faster-coco-eval: pip install 'saccade[eval]'") from error
    return COCO, COCOeval_faster


def recall_at_false_alarms(
    images: Sequence[LabelledImage], found: Sequence[Boxes], per_image: float, iou: float = 0.5
) -> tuple[float, float]:
    """The recall at the lowest confidence that gives at most ``per_image`` false alarms an image, and that confidence.

    Boxes of all images meet objects of their class in order of confidence, each object once, at ``iou`` or better. A
    box that meets none is a false alarm, unless at least ``iou`` of it lies in a crowd of its class. Where even the
    most confident boxes are too many, the recall is 0 and the confidence NaN; without objects the recall is NaN.
    """
    rows = sorted((row for image, boxes in zip(images, found, strict=True) for row in _hits(image, boxes, iou)))
    total = sum(int((~image.is_crowd).sum()) for image in images)
    allowed = math.floor(per_image * len(images) + 1e-9)  # 0.29 * 100 is below 29 in floating point
    hits = alarms = 0
    recall, confidence = 0.0, math.nan
    for index, (minus_score, hit) in enumerate(rows):
        hits, alarms = hits + hit, alarms + (not hit)
        if alarms > allowed:
            break
        if index + 1 == len(rows) or rows[index + 1][0] > minus_score:  # equal confidences stand or fall together
            recall, confidence = hits / max(total, 1), -minus_score
    return (recall, confidence) if total else (math.nan, confidence)


def _hits(image: LabelledImage, boxes: Boxes, iou: float) -> Iterator[tuple[float, bool]]:
    """Minus the confidence of each box that counts, and whether it meets an object."""
    xyxy, confidence, class_id = boxes
    wide = xyxy.astype(np.float64)
    real, crowd = ~image.is_crowd, image.is_crowd
    overlap = iou_matrix(wide, image.xyxy[real]) * (class_id[:, None] == image.class_id[real])
    in_crowd = (_share_inside(wide, image.xyxy[crowd]) * (class_id[:, None] == image.class_id[crowd]) >= iou).any(1)
    for index in np.argsort(-confidence, kind="stable"):
        best = int(overlap[index].argmax()) if overlap.shape[1] else -1
        hit = best >= 0 and bool(overlap[index, best] >= iou)
        if hit:
            overlap[:, best] = -1.0
        if hit or not in_crowd[index]:
            yield -float(confidence[index]), hit


def _share_inside(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The share of every box of ``a`` (n, 4) that lies in every one of ``b`` (m, 4): (n, m)."""
    shared = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    area = (a[:, 2:] - a[:, :2]).prod(-1)[:, None]
    inside = np.clip(shared, 0, None).prod(-1)
    return np.divide(inside, area, out=np.zeros_like(inside), where=area > 0)


def _check(images: Sequence[LabelledImage], found: Sequence[Boxes], classes: int) -> None:
    if len(images) != len(found):
        raise ValueError(f"boxes must be given for each of the {len(images)} images, but are for {len(found)}")
    if len({image.image_id for image in images}) != len(images):
        raise ValueError("each image must have an id of its own, but some repeat")
    ids = [*(image.class_id for image in images), *(class_id for _, _, class_id in found)]
    if any(part.size and (part.min() < 0 or part.max() >= classes) for part in ids):
        raise ValueError(f"class ids must be in 0..{classes - 1}, but some are not")


def _coco(images: Sequence[LabelledImage], classes: int) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = []
    for image in images:
        rows = zip(image.xyxy.tolist(), image.class_id, image.is_crowd, image.area, strict=True)
        for (left, top, right, bottom), class_id, crowd, area in rows:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image.image_id,
                    "category_id": int(class_id),
                    "bbox": [left, top, right - left, bottom - top],
                    "area": float(area),
                    "iscrowd": int(crowd),
                }
            )
    return {
        "images": [{"id": i.image_id, "height": i.size_hw[0], "width": i.size_hw[1]} for i in images],
        "annotations": annotations,
        "categories": [{"id": index, "name": str(index)} for index in range(classes)],
    }


def _results(image_id: int, boxes: Boxes) -> list[dict[str, Any]]:
    xyxy, confidence, class_id = boxes
    xywh = np.concatenate((xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]), axis=1).astype(np.float64)
    return [
        {"image_id": image_id, "category_id": int(c), "bbox": box, "score": float(s)}
        for box, s, c in zip(xywh.tolist(), confidence, class_id, strict=True)
    ]


def _class_ap(evaluation: Any) -> dict[int, float]:
    """Mean over IoUs and recalls of the precision at all areas and 100 boxes: axes (iou, recall, class, area, max)."""
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    found = {c: precision[:, :, i] for i, c in enumerate(evaluation.params.catIds)}
    return {int(c): float(p[p > -1].mean()) for c, p in found.items() if (p > -1).any()}
