"""What a variant may lose, on the task's own metric, and the frames that it is timed and measured on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from saccade.datasets import list_maps, read_coco, read_yolo
from saccade.datasets.boxes import BoxDataset
from saccade.datasets.images import read_image
from saccade.datasets.segmentation_folder import LabelledMap
from saccade.errors import RequestError
from saccade.evaluation import evaluate_detection, evaluate_segmentation
from saccade.evaluation.clean_images import degraded_images, list_images
from saccade.evaluation.detect import SCORED_DETECTIONS
from saccade.metrics.psnr import as_shown, psnr
from saccade.spec import Manifest, RestoreSpec
from saccade.tasks import DetectTask, RestoreTask, SegmentTask, Task
from saccade_export.precision.calls import Calls, asked_of, degraded_calls, levels_of

FEW = 32
"""Images that a layer's sensitivity is measured on."""

FEW_CLEAN = 6
"""Likewise for restorers: a mean over images varies less there, and each is restored at several levels."""

TIMED = 4
EQUAL_DB = 100.0
"""What the PSNR of equal images counts as in a mean."""


class Scorer(Protocol):
    """A task's metric on labelled images, in ``unit`` (points, or dB), of which ``budget`` may usually be lost."""

    @property
    def unit(self) -> str: ...

    @property
    def budget(self) -> float: ...

    def score(self, task: Task, few: bool = False) -> dict[str, float]:
        """What ``task`` reaches, on some images if ``few``. More is better; what is lost is lost by any of them."""
        ...

    def timed(self) -> Calls:
        """A few of the images, as the task is called with them."""
        ...

    @property
    def images(self) -> int: ...

    @property
    def folder(self) -> Path:
        """Where the images lie."""
        ...


def scorer_of(manifest: Manifest, data: Path, images: Path | None, split: str, limit: int | None) -> Scorer:
    """The metric of a bundle's task on ``data``, as ``saccade eval`` reads it. Raises ``DatasetError``."""
    task = manifest.task
    if task.kind == "segment":
        return SegmentScorer(list_maps(data, split)[:limit])
    if task.kind == "restore":
        return RestoreScorer(task, list_images(data)[:limit])
    boxes = read_yolo(data, task.classes) if data.is_dir() else read_coco(data, images)
    return DetectScorer(boxes.first(limit))


@dataclass(frozen=True)
class SegmentScorer:
    """See ``Scorer``: mean IoU over the classes."""

    maps: Sequence[LabelledMap]
    unit: str = "points of mIoU"
    budget: float = 0.5

    def score(self, task: Task, few: bool = False) -> dict[str, float]:
        assert isinstance(task, SegmentTask)
        maps = _spread(self.maps, FEW) if few else self.maps
        return {"miou": 100 * evaluate_segmentation(task, (item.read() for item in maps)).scores["miou"]}

    def timed(self) -> Calls:
        return [item.read()[0] for item in _spread(self.maps, TIMED)], lambda _: {}

    @property
    def images(self) -> int:
        return len(self.maps)

    @property
    def folder(self) -> Path:
        return self.maps[0].image.parent


@dataclass(frozen=True)
class DetectScorer:
    """See ``Scorer``: COCO's average precision."""

    boxes: BoxDataset
    unit: str = "points of AP"
    budget: float = 0.5

    def score(self, task: Task, few: bool = False) -> dict[str, float]:
        assert isinstance(task, DetectTask)
        boxes = replace(self.boxes, images=tuple(_spread(self.boxes.images, FEW))) if few else self.boxes
        most = min(task.candidates, SCORED_DETECTIONS)
        return {"ap": 100 * evaluate_detection(task, boxes, max_detections=most).scores["ap"]}

    def timed(self) -> Calls:
        return [item.read() for item in _spread(self.boxes.images, TIMED)], lambda _: {}

    @property
    def images(self) -> int:
        return len(self.boxes)

    @property
    def folder(self) -> Path:
        return self.boxes.images[0].path.parent


@dataclass(frozen=True)
class RestoreScorer:
    """See ``Scorer``: PSNR at each level of degradation and number of steps, of frames as a camera gives them."""

    spec: RestoreSpec
    paths: Sequence[Path]
    unit: str = "dB"
    budget: float = 0.15

    def score(self, task: Task, few: bool = False) -> dict[str, float]:
        assert isinstance(task, RestoreTask)
        paths = _spread(self.paths, FEW_CLEAN) if few else self.paths
        found: dict[str, list[float]] = {}
        for level in levels_of(self.spec):
            for _, degraded in degraded_images(paths, self.spec.mode, level):
                frame, asked = degraded.entering("uint8"), asked_of(self.spec, level, degraded)
                for steps in task.steps:
                    shown = as_shown(task(frame, steps=steps, **asked).image)
                    found.setdefault(f"psnr_{level:g}_n{steps}", []).append(min(psnr(shown, degraded.clean), EQUAL_DB))
        return {name: float(np.mean(values)) for name, values in found.items()}

    def timed(self) -> Calls:
        return degraded_calls(
            self.spec, [read_image(path) for path in _spread(self.paths, TIMED)], levels_of(self.spec)
        )

    @property
    def images(self) -> int:
        return len(self.paths)

    @property
    def folder(self) -> Path:
        return self.paths[0].parent


def lost(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    """The most that any of the scores lost; infinite where one is not a number any more."""
    losses = [before[name] - value for name, value in after.items()]
    return max(np.inf if np.isnan(loss) else loss for loss in losses)


def check_scores(scores: Mapping[str, float]) -> None:
    """Raise ``RequestError`` for a metric that says nothing of these images."""
    if any(np.isnan(value) for value in scores.values()):
        raise RequestError("the bundle in float32 has no score on --data: nothing is labelled that it could find")


def _spread(items: Sequence[Any], most: int) -> list[Any]:
    """At most ``most`` of ``items``, evenly spread."""
    step = max(1, -(-len(items) // most))
    return list(items[::step])
