"""Detections as other libraries and people read them."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from saccade.errors import RequestError
from saccade.results import Detections, Origin, Timing

CLASSES = ("car", "person", "licence plate")


def detections(*class_ids: int) -> Detections:
    """A box for each class id, ten pixels apart, each less confident than the one before."""
    count = len(class_ids)
    left = 10 * np.arange(count, dtype=np.float32)
    return Detections(
        xyxy=np.stack((left, left, left + 5, left + 8), axis=1),
        confidence=(0.9 - 0.1 * np.arange(count)).astype(np.float32),
        class_id=np.array(class_ids, np.int64),
        classes=CLASSES,
        colors=((255, 0, 0), (0, 255, 0), (0, 0, 255)),
        frame_hw=(48, 64),
        finite=True,
        timing=Timing(1.0, 2.0, 3.0),
        origin=Origin(7, "onnxruntime", "cpu", "fp32-cpu"),
    )


def test_boxes_have_names_and_are_found_by_them() -> None:
    found = detections(2, 0, 2)
    assert len(found) == 3
    assert found.names == ["licence plate", "car", "licence plate"]
    np.testing.assert_array_equal(found.of("licence plate"), found.xyxy[[0, 2]])
    assert found.of("person").shape == (0, 4)
    with pytest.raises(KeyError, match="car, person, licence plate"):
        found.of("truck")
    assert found.timing.total_ms == 6


def test_coco_entries_are_json_with_width_and_height() -> None:
    entries = detections(2, 0).to_coco(42)
    assert json.loads(json.dumps(entries)) == entries
    assert [entry["category_id"] for entry in entries] == [3, 1]
    assert entries[1] == {"image_id": 42, "category_id": 1, "bbox": [10, 10, 5, 8], "score": pytest.approx(0.8)}


def test_coco_entries_take_the_datasets_ids() -> None:
    assert [entry["category_id"] for entry in detections(2, 0).to_coco(1, [5, 6, 90])] == [90, 5]
    with pytest.raises(ValueError, match="one for each of the 3 classes, but are 2"):
        detections(2).to_coco(1, [5, 6])


def test_no_box_is_no_entry() -> None:
    nothing = detections()
    assert len(nothing) == 0
    assert nothing.names == nothing.to_coco(1) == []


def test_without_supervision_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(RequestError, match="supervision is not installed; run pip install supervision"):
        detections().to_supervision()


def test_supervision_reads_them() -> None:
    pytest.importorskip("supervision", reason="supervision is not installed")
    found = detections(2, 0)
    read = found.to_supervision()
    np.testing.assert_array_equal(read.xyxy, found.xyxy)
    np.testing.assert_array_equal(read.confidence, found.confidence)
    np.testing.assert_array_equal(read.class_id, found.class_id)
    assert read.data["class_name"].tolist() == ["licence plate", "car"]
    assert len(detections().to_supervision()) == 0
