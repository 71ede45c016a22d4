"""What a variant may lose, on the task's own metric, and the frames that it is timed and measured on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from saccade.cli.eval_restore import USUAL_LEVEL
from saccade.datasets import list_maps, read_coco, read_yolo
from saccade.datasets.boxes import BoxDataset
from saccade.datasets.images import read_image
from saccade.datasets.segmentation_folder import LabelledMap
from saccade.errors import RequestError
from saccade.evaluation import evaluate_detection, evaluate_segmentation
from saccade.evaluation.clean_images import degraded_images, list_images
from saccade.evaluation.degradations import DEGRADATIONS, Degraded
from saccade.evaluation.detect import SCORED_DETECTIONS
from saccade.metrics.psnr import as_shown, psnr
from saccade.spec import Manifest, RestoreSpec
from saccade.tasks import DetectTask, RestoreTask, SegmentTask, Task
from saccade_export.user_frames import Frame

FEW = 32
"""Images that a layer's sensitivity is measured on."""

FEW_CLEAN = 6
"""Likewise for restorers: a mean over images varies less there, and each is restored at several levels."""

TIMED = 4
MIDDLE = 256
NOISE_LEVELS = (15.0, 25.0, 50.0)

Calls = tuple[list[Frame], Callable[[int], Mapping[str, Any]]]
"""Frames, and the arguments of each one's call beside it."""


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

    def calibrating(self, frames: Sequence[Frame]) -> Calls:
        """Frames to measure ranges on, as the task is called with them."""
        ...

    @property
    def images(self) -> int: ...


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

    def calibrating(self, frames: Sequence[Frame]) -> Calls:
        return list(frames), lambda _: {}

    @property
    def images(self) -> int:
        return len(self.maps)


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

    def calibrating(self, frames: Sequence[Frame]) -> Calls:
        return list(frames), lambda _: {}

    @property
    def images(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True)
class RestoreScorer:
    """See ``Scorer``: PSNR at each level of degradation and number of steps, of frames as a camera gives them."""

    spec: RestoreSpec
    paths: Sequence[Path]
    unit: str = "dB"
    budget: float = 0.15

    @property
    def levels(self) -> tuple[float, ...]:
        """What images are degraded by, one after the other."""
        if self.spec.mode != "denoise":
            return (USUAL_LEVEL.get(self.spec.mode, float(self.spec.scale)),)
        low, high = self.spec.sigma_range
        return tuple(level for level in NOISE_LEVELS if low <= level <= high) or ((low + high) / 2,)

    def score(self, task: Task, few: bool = False) -> dict[str, float]:
        assert isinstance(task, RestoreTask)
        paths = _spread(self.paths, FEW_CLEAN) if few else self.paths
        found: dict[str, list[float]] = {}
        for level in self.levels:
            for _, degraded in degraded_images(paths, self.spec.mode, level):
                frame, asked = degraded.entering("uint8"), self._asked(level, degraded)
                for steps in task.steps:
                    shown = as_shown(task(frame, steps=steps, **asked).image)
                    found.setdefault(f"psnr_{level:g}_n{steps}", []).append(psnr(shown, degraded.clean))
        return {name: float(np.mean(values)) for name, values in found.items()}

    def timed(self) -> Calls:
        return self._degraded([read_image(path) for path in _spread(self.paths, TIMED)], self.levels)

    def calibrating(self, frames: Sequence[Frame]) -> Calls:
        """Each frame is taken as clean and degraded, by less and by more."""
        low, high = self.spec.sigma_range
        spread = (low, *self.levels, high) if self.spec.mode in ("denoise", "deblur") else self.levels
        return self._degraded(list(map(_middle, frames)), [level for level in spread if level > self.spec.dead_zone])

    def _degraded(self, frames: Sequence[Frame], levels: Sequence[float]) -> Calls:
        chosen = [levels[index % len(levels)] for index in range(len(frames))]
        made = [DEGRADATIONS[self.spec.mode](frame, level) for frame, level in zip(frames, chosen, strict=True)]
        asked = [self._asked(level, degraded) for level, degraded in zip(chosen, made, strict=True)]
        return [degraded.entering("uint8") for degraded in made], lambda index: asked[index]

    def _asked(self, level: float, degraded: Degraded) -> dict[str, Any]:
        """What a call is told beside the frame; a dark frame's noise is measured, as nobody knows it."""
        sigma = "measured" if self.spec.mode == "low-light" else level
        told = {"sigma": sigma} if self.spec.takes_sigma else {}
        holes = {} if degraded.mask is None else {"mask": degraded.mask}
        return {**degraded.light, **told, **holes}

    @property
    def images(self) -> int:
        return len(self.paths)


def lost(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    """The most that any of the scores lost; infinite where one is not a number any more."""
    losses = [before[name] - value for name, value in after.items()]
    return max(np.inf if np.isnan(loss) else loss for loss in losses)


def check_scores(scores: Mapping[str, float]) -> None:
    """Raise ``RequestError`` for a metric that says nothing of these images."""
    if any(np.isnan(value) for value in scores.values()):
        raise RequestError("the bundle in float32 has no score on --data: nothing is labelled that it could find")


def _middle(frame: Frame) -> Frame:
    """A restorer looks no further than a few hundred pixels, and measuring takes all values of all layers."""
    top, left = (max(0, (side - MIDDLE) // 2) for side in frame.shape[:2])
    return frame[top : top + MIDDLE, left : left + MIDDLE]


def _spread(items: Sequence[Any], most: int) -> list[Any]:
    """At most ``most`` of ``items``, evenly spread."""
    step = max(1, -(-len(items) // most))
    return list(items[::step])
