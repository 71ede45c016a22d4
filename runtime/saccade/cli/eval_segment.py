"""``saccade eval`` for class maps: the IoU of each class."""

from __future__ import annotations

from pathlib import Path

from saccade.cli.eval_outcome import Outcome, progress_bar
from saccade.datasets import list_maps
from saccade.evaluation import evaluate_segmentation
from saccade.tasks import SegmentTask


def score_maps(task: SegmentTask, data: Path, split: str, limit: int | None) -> Outcome:
    """Run ``task`` on the images of a split. Raises ``DatasetError``."""
    maps = list_maps(data, split)[:limit]
    with progress_bar(len(maps)) as progress:
        return Outcome(evaluate_segmentation(task, (item.read() for item in maps), progress=progress))
