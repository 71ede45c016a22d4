"""Boxes as COCO json: ``images``, ``annotations`` with ``bbox`` [x, y, width, height], ``categories``.

Format: https://cocodataset.org/#format-data. Category ids may be any integers; classes are numbered from 0 in the
order of their ids.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from saccade.datasets.boxes import BoxDataset, LabelledImage, check_boxes, refuse_bad_boxes, refuse_missing
from saccade.errors import DatasetError
from saccade.writers.files import begin_part, output_errors

Entry = dict[str, Any]

KEYS = ("images", "annotations", "categories")
SHOWN_IDS = 10


def read_coco(annotations: Path, images: Path | None = None, *, drop_bad_boxes: bool = False) -> BoxDataset:
    """The dataset in a COCO json.

    Images lie in ``images``; without it, where the first of them is: in the folder beside the json that has its name
    (``val2017.json``, ``val2017/``), in ``images/`` beside it, or beside it. Raises ``DatasetError`` for a file that is
    no COCO json, for images that are missing, for unknown categories or images, and for bad boxes unless they are to be
    dropped.
    """
    content = _read_json(annotations)
    try:
        names = {_whole(entry, "id"): str(entry["name"]) for entry in content["categories"]}
        sizes = {_whole(entry, "id"): _size(entry) for entry in content["images"]}
        _refuse_repeated(annotations, content, names)
        objects, faults = _objects(annotations, content["annotations"], sizes, names)
        folder = images or _image_folder(annotations, content["images"])
        class_of = {category: index for index, category in enumerate(sorted(names))}
        found = tuple(_labelled(entry, folder, objects[entry["id"]], class_of) for entry in content["images"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DatasetError(f"{annotations} is no COCO json: an entry lacks or garbles {error}") from error
    refuse_bad_boxes(annotations, [] if drop_bad_boxes else faults)
    refuse_missing(annotations, [image.path for image in found if not image.path.is_file()])
    return BoxDataset(tuple(names[category] for category in class_of), found, tuple(class_of), tuple(faults))


def write_coco(dataset: BoxDataset, path: Path, description: str = "") -> None:
    """The dataset as COCO json, images named by their file names alone. Raises ``OutputError``."""
    ids = category_ids(dataset)
    annotations: list[Entry] = []
    for image in dataset.images:
        for box, class_id, crowd, area in zip(image.xyxy, image.class_id, image.is_crowd, image.area, strict=True):
            left, top, right, bottom = (float(value) for value in box)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image.image_id,
                    "category_id": ids[class_id],
                    "bbox": [left, top, round(right - left, 4), round(bottom - top, 4)],
                    "area": round(float(area), 4),
                    "iscrowd": int(crowd),
                }
            )
    content = {
        "info": {"description": description},
        "categories": [{"id": ids[index], "name": name} for index, name in enumerate(dataset.classes)],
        "images": [
            {"id": image.image_id, "file_name": image.path.name, "height": image.size_hw[0], "width": image.size_hw[1]}
            for image in dataset.images
        ],
        "annotations": annotations,
    }
    _write_json(path, content)


def write_results(entries: list[Entry], path: Path) -> None:
    """COCO result entries, as ``Detections.to_coco`` makes them, into one file. Raises ``OutputError``."""
    _write_json(path, entries)


def category_ids(dataset: BoxDataset) -> tuple[int, ...]:
    """The id of each class in the dataset's file."""
    return dataset.category_ids or tuple(range(1, len(dataset.classes) + 1))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"annotations {path} cannot be read as JSON: {error}") from error
    found: Entry = cast(Entry, content) if isinstance(content, dict) else {}
    missing = [key for key in KEYS if not isinstance(found.get(key), list)]
    if missing:
        raise DatasetError(f"{path} is no COCO json of boxes: it lacks the lists {', '.join(missing)}")
    return found


def _write_json(path: Path, content: Any) -> None:
    part = begin_part(path)
    try:
        with output_errors(path):
            part.write_text(json.dumps(content) + "\n", encoding="utf-8")
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _image_folder(annotations: Path, entries: list[Entry]) -> Path:
    """The first of the usual folders that has the first image."""
    beside = annotations.parent
    candidates = (annotations.with_suffix(""), beside / "images", beside)
    having = (folder for folder in candidates if entries and (folder / entries[0]["file_name"]).is_file())
    return next(having, beside)


def _whole(entry: Entry, key: str) -> int:
    value = entry[key]
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"'{key}': it must be a whole number, but is {value!r}")
    return value


def _size(entry: Entry) -> tuple[int, int]:
    height, width = _whole(entry, "height"), _whole(entry, "width")
    if height < 1 or width < 1:
        raise ValueError(f"'width' or 'height': image {entry['id']} cannot be {width}x{height}")
    return height, width


def _refuse_repeated(where: Path, content: Entry, names: Mapping[int, str]) -> None:
    given: dict[str, Iterable[object]] = {
        "image id": (entry["id"] for entry in content["images"]),
        "category id": (entry["id"] for entry in content["categories"]),
        "category name": names.values(),
    }
    for what, values in given.items():
        repeated = [value for value, count in Counter(values).items() if count > 1]
        if repeated:
            raise DatasetError(f"{where} uses the {what} {repeated[0]!r} more than once; each must have its own")


def _objects(
    where: Path, annotations: list[Entry], sizes: dict[int, tuple[int, int]], names: dict[int, str]
) -> tuple[defaultdict[int, list[Entry]], list[str]]:
    """The good annotations by image, and a sentence about each bad one."""
    objects: defaultdict[int, list[Entry]] = defaultdict(list)
    faults: list[str] = []
    for number, entry in enumerate(annotations):
        label = f"annotation {entry.get('id', f'at {number}')}"
        category, image = _whole(entry, "category_id"), _whole(entry, "image_id")
        if category not in names:
            known = ", ".join(map(str, sorted(names)[:SHOWN_IDS])) + (", …" if len(names) > SHOWN_IDS else "")
            raise DatasetError(f"{label} of {where} has unknown category {category}; known: {known}")
        if image not in sizes:
            raise DatasetError(f"{label} of {where} belongs to image {image}, which is not listed")
        fault = check_boxes(_xyxy([entry]), sizes[image])[0]
        if fault is None:
            objects[image].append(entry)
        else:
            faults.append(f"{label} {fault}")
    return objects, faults


def _labelled(entry: Entry, folder: Path, objects: list[Entry], class_of: dict[int, int]) -> LabelledImage:
    return LabelledImage(
        image_id=entry["id"],
        path=folder / entry["file_name"],
        size_hw=_size(entry),
        xyxy=_xyxy(objects),
        class_id=np.array([class_of[item["category_id"]] for item in objects], np.int64),
        is_crowd=np.array([item.get("iscrowd", 0) == 1 for item in objects], np.bool_),
        area=np.array([_area(item) for item in objects], np.float64),
    )


def _xyxy(objects: list[Entry]) -> npt.NDArray[np.float64]:
    xywh = np.array([_four_numbers(item["bbox"]) for item in objects], np.float64).reshape(-1, 4)
    return np.concatenate((xywh[:, :2], xywh[:, :2] + xywh[:, 2:]), axis=1)


def _four_numbers(bbox: list[Any]) -> list[float]:
    if len(bbox) != 4 or not all(_is_number(value) for value in bbox):
        raise ValueError(f"'bbox': it must be [x, y, width, height], but is {str(bbox)[:60]}")
    return [float(value) for value in bbox]


def _area(item: Entry) -> float:
    """The annotation's own area, else its box's."""
    area = item.get("area", item["bbox"][2] * item["bbox"][3])
    if not _is_number(area) or not 0 <= area < float("inf"):
        raise ValueError(f"'area': it must be a number from 0, but is {area!r}")
    return float(area)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
