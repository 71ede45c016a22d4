"""An evaluation as a table for people, and as JSON."""

from __future__ import annotations

import math
from typing import Any

from saccade.evaluation import restore_report
from saccade.evaluation.detect import DetectionEvaluation
from saccade.evaluation.restore import RestorationEvaluation
from saccade.evaluation.rows import aligned, number, shown
from saccade.evaluation.segment import SegmentationEvaluation

LabelledEvaluation = DetectionEvaluation | SegmentationEvaluation
Evaluation = LabelledEvaluation | RestorationEvaluation


def table(evaluation: Evaluation) -> list[str]:
    """Lines of text: the scores, then the classes; a restorer's by level of degradation."""
    if isinstance(evaluation, RestorationEvaluation):
        return restore_report.table(evaluation)
    notes = _notes(evaluation)
    rows = [(name, shown(value), notes.get(name, "")) for name, value in evaluation.scores.items()]
    return [*aligned(rows), "", *aligned(_class_rows(evaluation))]


def summary(evaluation: Evaluation) -> str:
    """What was scored and how long a frame took, in one line."""
    if isinstance(evaluation, RestorationEvaluation):
        return restore_report.summary(evaluation)
    speed = f"{evaluation.task_ms:.1f} ms from frame to result (mean)"
    if isinstance(evaluation, DetectionEvaluation):
        return f"{len(evaluation.found)} images, {evaluation.objects} objects, {speed}"
    return f"{evaluation.images} images, {evaluation.labelled_share:.1%} of pixels labelled, {speed}"


def content(evaluation: Evaluation) -> dict[str, Any]:
    """All of it but boxes and pixels, for JSON: what is NaN is None."""
    if isinstance(evaluation, RestorationEvaluation):
        return restore_report.content(evaluation)
    shared: dict[str, Any] = {
        "scores": {name: number(value) for name, value in evaluation.scores.items()},
        "not_finite": evaluation.not_finite,
        "task_ms": number(evaluation.task_ms),
    }
    if isinstance(evaluation, SegmentationEvaluation):
        classes = {name: {"iou": number(iou)} for name, iou in evaluation.class_iou.items()}
        labelled = number(evaluation.labelled_share)
        return {**shared, "classes": classes, "images": evaluation.images, "labelled_share": labelled}
    return {
        **shared,
        "classes": {
            name: {"ap": number(evaluation.class_ap.get(name, math.nan)), "objects": count}
            for name, count in evaluation.class_objects.items()
        },
        "images": len(evaluation.found),
        "objects": evaluation.objects,
        "false_alarms": evaluation.false_alarms,
        "recall_confidence": number(evaluation.recall_confidence),
    }


def _notes(evaluation: LabelledEvaluation) -> dict[str, str]:
    if isinstance(evaluation, SegmentationEvaluation):
        return {"miou": "mean over the classes that occur"}
    at = "" if math.isnan(evaluation.recall_confidence) else f", at confidence {evaluation.recall_confidence:.3f}"
    return {
        "ap": "IoU 0.50 to 0.95",
        "ap_small": "below 32x32 pixels",
        "ap_large": "from 96x96 pixels",
        "ar1": "most recall with 1 box an image",
        "recall": f"IoU 0.50, at most {evaluation.false_alarms:g} false alarms an image{at}",
    }


def _class_rows(evaluation: LabelledEvaluation) -> list[tuple[str, ...]]:
    if isinstance(evaluation, SegmentationEvaluation):
        return [("class", "iou"), *((name, shown(iou)) for name, iou in evaluation.class_iou.items())]
    occurring = {name: count for name, count in evaluation.class_objects.items() if count}
    rows = ((name, shown(evaluation.class_ap[name]), str(count)) for name, count in occurring.items())
    return [("class", "ap", "objects"), *rows]
