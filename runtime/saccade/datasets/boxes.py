"""Images with labelled boxes, whatever file they came from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from saccade.datasets.images import read_image
from saccade.errors import DatasetError

EDGE_PX = 1.0
"""How far a box may reach over the frame's edge before it is called wrong: annotators round outwards."""

SHOWN_BOXES = 3


@dataclass(frozen=True)
class LabelledImage:
    """One image and its objects.

    ``xyxy`` float64 (n, 4) in pixels; ``class_id`` int64 (n,) counts the dataset's ``classes`` from 0; ``is_crowd``
    bool (n,) marks regions of many objects, which no score counts; ``area`` float64 (n,) is each object's own area in
    pixels, which decides whether COCO calls it small, medium or large: ``box_area`` where only boxes are known.
    """

    image_id: int
    path: Path
    size_hw: tuple[int, int]
    xyxy: npt.NDArray[np.float64]
    class_id: npt.NDArray[np.int64]
    is_crowd: npt.NDArray[np.bool_]
    area: npt.NDArray[np.float64]

    def read(self) -> npt.NDArray[np.uint8]:
        """The pixels, uint8 (H, W, 3) RGB. Raises ``DatasetError`` when they are not of the size that was stated."""
        image = read_image(self.path)
        if image.shape[:2] != self.size_hw:
            raise DatasetError(
                f"{self.path} is {image.shape[1]}x{image.shape[0]} (upright), but its annotations are for "
                f"{self.size_hw[1]}x{self.size_hw[0]}; put the image that was labelled there, or correct the size"
            )
        return image


@dataclass(frozen=True)
class BoxDataset:
    """All images of one split. Each image exists, each box lies in its image and has an area.

    ``category_ids`` are the file's own ids of ``classes``, for results in its terms; None: they count from 1.
    ``left_out`` says of each bad box that was dropped what was wrong with it.
    """

    classes: tuple[str, ...]
    images: tuple[LabelledImage, ...]
    category_ids: tuple[int, ...] | None = None
    left_out: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    def where(self, chosen: Callable[[LabelledImage], bool]) -> BoxDataset:
        """The part whose images are ``chosen``."""
        return replace(self, images=tuple(image for image in self.images if chosen(image)))

    def first(self, count: int | None) -> BoxDataset:
        """The first ``count`` images; None: all of them."""
        return replace(self, images=self.images[:count])

    def object_counts(self) -> npt.NDArray[np.int64]:
        """How many objects each class has, (classes,), crowds not among them."""
        counts = np.zeros(len(self.classes), np.int64)
        for image in self.images:
            counts += np.bincount(image.class_id[~image.is_crowd], minlength=len(self.classes))
        return counts


def box_area(xyxy: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The area of each box (n, 4): (n,)."""
    return (xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1])


def check_boxes(xyxy: npt.NDArray[np.float64], size_hw: tuple[int, int]) -> list[str | None]:
    """What is wrong with each box (n, 4) in an image of ``size_hw``; None where nothing is."""
    return [_fault(box, size_hw) for box in xyxy]


def refuse_bad_boxes(where: Path, faults: Sequence[str]) -> None:
    """Raise ``DatasetError`` that counts the faults and shows the first of them."""
    if faults:
        more = f"; and {len(faults) - SHOWN_BOXES} more" if len(faults) > SHOWN_BOXES else ""
        raise DatasetError(
            f"{where} has {len(faults)} bad boxes: {'; '.join(faults[:SHOWN_BOXES])}{more}. "
            "Correct them, or leave them out with --drop-bad-boxes"
        )


def refuse_missing(where: Path, missing: Sequence[Path]) -> None:
    """Raise ``DatasetError`` that names the first of the images that are not there."""
    if missing:
        raise DatasetError(
            f"{where} lists {len(missing)} images that do not exist, the first is {missing[0]}; "
            "if they lie elsewhere, name their folder with --images"
        )


def _fault(box: npt.NDArray[np.float64], size_hw: tuple[int, int]) -> str | None:
    left, top, right, bottom = box
    height, width = size_hw
    if not np.isfinite(box).all():
        return "is not finite"
    if right < left or bottom < top:
        return f"has negative size {right - left:g} x {bottom - top:g}"
    if right == left or bottom == top:
        return f"has no area ({right - left:g} x {bottom - top:g})"
    if min(left, top) < -EDGE_PX or right > width + EDGE_PX or bottom > height + EDGE_PX:
        return f"reaches out of its image: {left:g}, {top:g} to {right:g}, {bottom:g} in {width} x {height}"
    return None
