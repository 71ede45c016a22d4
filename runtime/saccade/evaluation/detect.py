"""Scores of a detector on images with labelled boxes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from saccade.datasets.boxes import BoxDataset
from saccade.datasets.coco import category_ids
from saccade.evaluation.classes import match_classes
from saccade.metrics.boxes import STATISTICS, BoxScores, box_scores, coco_library, recall_at_false_alarms
from saccade.results import Detections
from saccade.tasks.detect import DetectTask

SCORES = (*STATISTICS, "recall")

SCORED_CONFIDENCE = 0.001
"""Boxes down to here are scored, as is the custom: average precision is over all confidences."""

SCORED_DETECTIONS = 100
"""The most boxes of a frame that are scored, as in COCO's own limit."""

FALSE_ALARMS = 0.1


@dataclass(frozen=True)
class DetectionEvaluation:
    """What a detector reached on a dataset.

    ``recall`` is the share of objects found (IoU 0.5) at ``recall_confidence``, the lowest that keeps to
    ``false_alarms`` an image. ``class_ap`` and ``class_objects`` are by name, the former of classes that occur.
    ``found`` are the results, an image each, class ids and names as in the dataset. ``not_finite`` counts results whose
    boxes may be missing; ``task_ms`` is the mean time from frame to result.
    """

    box_scores: BoxScores
    class_ap: dict[str, float]
    class_objects: dict[str, int]
    recall: float
    recall_confidence: float
    false_alarms: float
    found: tuple[Detections, ...]
    not_finite: int
    task_ms: float

    @property
    def scores(self) -> dict[str, float]:
        """The scores by name, those of ``SCORES``; NaN where the dataset has no such object."""
        return {**{name: getattr(self.box_scores, name) for name in STATISTICS}, "recall": self.recall}

    @property
    def objects(self) -> int:
        return sum(self.class_objects.values())


def evaluate_detection(
    task: DetectTask,
    dataset: BoxDataset,
    *,
    iou: float | None = None,
    max_detections: int = SCORED_DETECTIONS,
    false_alarms: float = FALSE_ALARMS,
    classes_by_order: bool = False,
    progress: Callable[[int], None] | None = None,
) -> DetectionEvaluation:
    """Run ``task`` on every image and score its boxes, those of classes that the dataset knows.

    ``iou`` is suppression's, None for the bundle's own; ``max_detections`` may be at most the variant's candidates.
    ``progress`` is called after each image with the number done. Raises ``RequestError`` for classes or options that
    do not fit and without faster-coco-eval, ``DatasetError`` for an image that cannot be read or has another size.
    """
    coco_library()  # its absence shows before the work
    bundle_ids = match_classes(dataset.classes, task.classes, by_order=classes_by_order)
    found: list[Detections] = []
    for image in dataset.images:
        result = task(
            image.read(), confidence=SCORED_CONFIDENCE, iou=iou, max_detections=max_detections, classes=bundle_ids
        )
        found.append(_in_dataset_classes(result, dataset.classes, bundle_ids))
        if progress is not None:
            progress(len(found))
    return _scored(dataset, tuple(found), false_alarms)


def coco_entries(dataset: BoxDataset, evaluation: DetectionEvaluation) -> list[dict[str, Any]]:
    """All boxes found as COCO result entries, with the dataset's own ids of images and categories."""
    ids = category_ids(dataset)
    pairs = zip(dataset.images, evaluation.found, strict=True)
    return [entry for image, result in pairs for entry in result.to_coco(image.image_id, ids)]


def _in_dataset_classes(result: Detections, classes: tuple[str, ...], bundle_ids: tuple[int, ...]) -> Detections:
    """The boxes with the dataset's class ids; ``bundle_ids`` are the bundle's of each of its ``classes``."""
    dataset_id = np.full(len(result.classes), -1, np.int64)
    dataset_id[list(bundle_ids)] = np.arange(len(bundle_ids))
    colors = tuple(result.colors[index] for index in bundle_ids)
    return replace(result, class_id=dataset_id[result.class_id], classes=classes, colors=colors)


def _scored(dataset: BoxDataset, found: tuple[Detections, ...], false_alarms: float) -> DetectionEvaluation:
    boxes = [(result.xyxy, result.confidence, result.class_id) for result in found]
    scores = box_scores(dataset.images, boxes, len(dataset.classes))
    recall, confidence = recall_at_false_alarms(dataset.images, boxes, false_alarms)
    return DetectionEvaluation(
        box_scores=scores,
        class_ap={dataset.classes[index]: ap for index, ap in scores.class_ap.items()},
        class_objects=dict(zip(dataset.classes, dataset.object_counts().tolist(), strict=True)),
        recall=recall,
        recall_confidence=confidence,
        false_alarms=false_alarms,
        found=found,
        not_finite=sum(not result.finite for result in found),
        task_ms=float(np.mean([result.timing.total_ms for result in found])) if found else float("nan"),
    )
