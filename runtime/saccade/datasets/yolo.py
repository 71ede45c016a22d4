"""Boxes as YOLO txt: ``images/`` and ``labels/`` side by side, a text file an image, ``class x y width height`` a line.

Numbers are the centre and size as fractions of the image, classes count from 0 and are named by a class list. An image
without a text file has no objects.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from saccade.classes import read_classes
from saccade.datasets.boxes import BoxDataset, LabelledImage, box_area, check_boxes, refuse_bad_boxes
from saccade.datasets.images import folder_images, image_size, refuse_shared_names
from saccade.errors import DatasetError

CLASS_LIST = "classes.txt"


def read_yolo(folder: Path, classes: tuple[str, ...], *, drop_bad_boxes: bool = False) -> BoxDataset:
    """The dataset in ``folder``, which holds ``images/`` and ``labels/``.

    ``classes`` name the ids, unless a ``classes.txt`` in ``folder`` or among the labels does. Raises ``DatasetError``
    for missing folders, labels without their image, lines that are not five numbers, unknown classes, and for bad
    boxes unless they are to be dropped.
    """
    images, labels = folder / "images", folder / "labels"
    if not images.is_dir() or not labels.is_dir():
        raise DatasetError(f"{folder} must hold the folders 'images' and 'labels', but has not both")
    paths = folder_images(images)
    refuse_shared_names(paths)
    _refuse_orphans(labels, images, {path.stem for path in paths})
    names = _own_classes(folder) or classes
    faults: list[str] = []
    found = [_labelled(i + 1, path, labels / f"{path.stem}.txt", names, faults) for i, path in enumerate(paths)]
    refuse_bad_boxes(folder, [] if drop_bad_boxes else faults)
    return BoxDataset(names, tuple(found), left_out=tuple(faults))


def _own_classes(folder: Path) -> tuple[str, ...] | None:
    """The class list that labelling tools leave beside the labels."""
    lists = [path for path in (folder / CLASS_LIST, folder / "labels" / CLASS_LIST) if path.is_file()]
    return read_classes(lists[0])[0] if lists else None


def _refuse_orphans(labels: Path, images: Path, stems: set[str]) -> None:
    orphans = sorted(p.name for p in labels.glob("*.txt") if p.stem not in stems and p.name != CLASS_LIST)
    if orphans:
        raise DatasetError(
            f"{labels} holds {len(orphans)} files without an image in {images}, the first is {orphans[0]}; "
            "add the images or remove the labels"
        )


def _labelled(image_id: int, path: Path, label: Path, classes: tuple[str, ...], faults: list[str]) -> LabelledImage:
    """One image and its good boxes; a sentence about each bad one joins ``faults``."""
    size_hw = image_size(path)
    lines = _read_lines(label, classes) if label.exists() else {}
    rows = np.array(list(lines.values()), np.float64).reshape(-1, 5)
    xyxy = _xyxy(rows[:, 1:], size_hw)
    found = check_boxes(xyxy, size_hw)
    faults += [f"{label.name} line {line} {fault}" for line, fault in zip(lines, found, strict=True) if fault]
    good = np.array([fault is None for fault in found], np.bool_)
    return LabelledImage(
        image_id=image_id,
        path=path,
        size_hw=size_hw,
        xyxy=xyxy[good],
        class_id=rows[good, 0].astype(np.int64),
        is_crowd=np.zeros(int(good.sum()), np.bool_),
        area=box_area(xyxy[good]),
    )


def _xyxy(fractions: npt.NDArray[np.float64], size_hw: tuple[int, int]) -> npt.NDArray[np.float64]:
    size_wh = np.array(size_hw[::-1], np.float64)
    centre, size = fractions[:, :2] * size_wh, fractions[:, 2:] * size_wh
    return np.concatenate((centre - size / 2, centre + size / 2), axis=1)


def _read_lines(label: Path, classes: tuple[str, ...]) -> dict[int, list[float]]:
    """The five numbers of each line that is not empty, by line number from 1."""
    try:
        texts = label.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"labels {label} cannot be read: {error}") from error
    return {n: _numbers(text, f"{label} line {n}", classes) for n, text in enumerate(texts, start=1) if text.strip()}


def _numbers(text: str, where: str, classes: tuple[str, ...]) -> list[float]:
    try:
        row = [float(word) for word in text.split()]
    except ValueError:
        row = []
    if len(row) != 5:
        raise DatasetError(f"{where} must be 'class x y width height', but is {text[:60]!r}")
    if row[0] not in range(len(classes)):
        raise DatasetError(
            f"{where} has unknown class {text.split()[0]}; the {len(classes)} classes count from 0: "
            f"{', '.join(classes[:10])}{', …' if len(classes) > 10 else ''}"
        )
    return row
