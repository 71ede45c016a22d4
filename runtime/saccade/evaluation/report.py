"""An evaluation as a table for people, and as JSON."""

from __future__ import annotations

import math
from typing import Any

from saccade.evaluation.detect import DetectionEvaluation
from saccade.evaluation.segment import SegmentationEvaluation

Evaluation = DetectionEvaluation | SegmentationEvaluation


def table(evaluation: Evaluation) -> list[str]:
    """Lines of text: the scores, then the classes."""
    notes = _notes(evaluation)
    rows = [(name, _shown(value), notes.get(name, "")) for name, value in evaluation.scores.items()]
    return [*_aligned(rows), "", *_aligned(_class_rows(evaluation))]


def summary(evaluation: Evaluation) -> str:
    """What was scored and how long a frame took, in one line."""
    speed = f"{evaluation.task_ms:.1f} ms from frame to result (mean)"
    if isinstance(evaluation, DetectionEvaluation):
        return f"{len(evaluation.found)} images, {evaluation.objects} objects, {speed}"
    return f"{evaluation.images} images, {evaluation.labelled_share:.1%} of pixels labelled, {speed}"


def content(evaluation: Evaluation) -> dict[str, Any]:
    """All of it but boxes and pixels, for JSON: what is NaN is None."""
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


def number(value: float) -> float | None:
    """``value`` as JSON can hold it."""
    return value if math.isfinite(value) else None


def _notes(evaluation: Evaluation) -> dict[str, str]:
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


def _class_rows(evaluation: Evaluation) -> list[tuple[str, ...]]:
    if isinstance(evaluation, SegmentationEvaluation):
        return [("class", "iou"), *((name, _shown(iou)) for name, iou in evaluation.class_iou.items())]
    occurring = {name: count for name, count in evaluation.class_objects.items() if count}
    rows = ((name, _shown(evaluation.class_ap[name]), str(count)) for name, count in occurring.items())
    return [("class", "ap", "objects"), *rows]


def _shown(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
