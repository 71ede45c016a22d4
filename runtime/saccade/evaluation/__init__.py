"""Scores of an open task on labelled images: one function a kind of task."""

from saccade.evaluation.classes import match_classes
from saccade.evaluation.detect import DetectionEvaluation, coco_entries, evaluate_detection
from saccade.evaluation.segment import SegmentationEvaluation, evaluate_segmentation

__all__ = [
    "DetectionEvaluation",
    "SegmentationEvaluation",
    "coco_entries",
    "evaluate_detection",
    "evaluate_segmentation",
    "match_classes",
]
