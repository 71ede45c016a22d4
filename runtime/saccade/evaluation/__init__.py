"""Scores of an open task on images whose truth is known: one function a kind of task."""

from saccade.evaluation.classes import match_classes
from saccade.evaluation.detect import DetectionEvaluation, coco_entries, evaluate_detection
from saccade.evaluation.restore import RestorationEvaluation, evaluate_restoration
from saccade.evaluation.segment import SegmentationEvaluation, evaluate_segmentation

__all__ = [
    "DetectionEvaluation",
    "RestorationEvaluation",
    "SegmentationEvaluation",
    "coco_entries",
    "evaluate_detection",
    "evaluate_restoration",
    "evaluate_segmentation",
    "match_classes",
]
