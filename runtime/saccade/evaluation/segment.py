"""Scores of a segmenter on images with a class for each pixel."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from saccade.datasets.segmentation_folder import Pair
from saccade.metrics.confusion import ConfusionMatrix
from saccade.tasks.segment import SegmentTask

SCORES = ("miou", "pixel_accuracy")


@dataclass(frozen=True)
class SegmentationEvaluation:
    """What a segmenter reached on a dataset.

    ``confusion`` counts the labelled pixels, ``labelled_share`` of all; ids that are none of ``classes`` are void.
    ``not_finite`` counts results whose class map means nothing; ``task_ms`` is the mean time from frame to result.
    """

    confusion: ConfusionMatrix
    classes: tuple[str, ...]
    images: int
    labelled_share: float
    not_finite: int
    task_ms: float

    @property
    def scores(self) -> dict[str, float]:
        """The scores by name, those of ``SCORES``; NaN where no pixel is labelled."""
        return {"miou": self.confusion.mean_iou, "pixel_accuracy": self.confusion.pixel_accuracy}

    @property
    def class_iou(self) -> dict[str, float]:
        """Intersection over union of each class; NaN where neither truth nor result has it."""
        return dict(zip(self.classes, self.confusion.class_iou.tolist(), strict=True))


def evaluate_segmentation(
    task: SegmentTask, pairs: Iterable[Pair], *, progress: Callable[[int], None] | None = None
) -> SegmentationEvaluation:
    """Run ``task`` on every image of ``pairs`` and count its class map against the labels.

    ``pairs`` may be a ``SegmentationFolder``, or what ``list_maps`` found, read as it is needed. ``progress`` is called
    after each image with the number done. Raises ``DatasetError`` for a pair that cannot be read.
    """
    confusion = ConfusionMatrix.empty(len(task.classes))
    done = not_finite = pixels = 0
    task_ms = 0.0
    for image, labels in pairs:
        result = task(image)
        confusion = confusion.add(result.class_map, labels)
        done, pixels = done + 1, pixels + labels.size
        not_finite += not result.finite
        task_ms += result.timing.total_ms
        if progress is not None:
            progress(done)
    return SegmentationEvaluation(
        confusion=confusion,
        classes=task.classes,
        images=done,
        labelled_share=int(confusion.counts.sum()) / pixels if pixels else float("nan"),
        not_finite=not_finite,
        task_ms=task_ms / done if done else float("nan"),
    )
