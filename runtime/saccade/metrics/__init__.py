"""Scores of vision tasks: one definition for training, export, evaluation and the benchmark."""

from saccade.metrics.boxes import BoxScores, box_scores, recall_at_false_alarms
from saccade.metrics.confusion import ConfusionMatrix
from saccade.metrics.high_band import energy_kept, noise_correlation
from saccade.metrics.psnr import as_shown, psnr
from saccade.metrics.quality import gmsd, quality_library, ssim

__all__ = [
    "BoxScores",
    "ConfusionMatrix",
    "as_shown",
    "box_scores",
    "energy_kept",
    "gmsd",
    "noise_correlation",
    "psnr",
    "quality_library",
    "recall_at_false_alarms",
    "ssim",
]
