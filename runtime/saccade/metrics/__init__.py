"""Scores of vision tasks: one definition for training, export, evaluation and the benchmark."""

from saccade.metrics.boxes import BoxScores, box_scores, recall_at_false_alarms
from saccade.metrics.confusion import ConfusionMatrix

__all__ = ["BoxScores", "ConfusionMatrix", "box_scores", "recall_at_false_alarms"]
