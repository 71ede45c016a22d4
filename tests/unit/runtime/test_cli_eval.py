"""``saccade eval``: kinds of data, what is said and written, and every way that it can end."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.archives import members_of, pack
from tests.commands import call

import saccade
from saccade.metrics.boxes import STATISTICS

pytest.importorskip("faster_coco_eval")
pytestmark = pytest.mark.torch

Capture = pytest.CaptureFixture[str]

CLASSES = ("class0", "class1", "class2")
SIZES_HW = ((60, 80), (96, 64))
SURE = 0.4


def save_pictures(folder: Path) -> None:
    folder.mkdir(parents=True)
    for index, (height, width) in enumerate(SIZES_HW):
        coarse = np.random.default_rng(index).integers(0, 256, (height // 4, width // 4, 3), np.uint8)
        Image.fromarray(np.kron(coarse, np.ones((4, 4, 1), np.uint8))).save(folder / f"{index}.png")


@pytest.fixture
def boxes(tiny_detector_bundle: Path, tmp_path: Path) -> Path:
    """A folder of two pictures and what the detector sees in them: as labels.json, and as YOLO's labels/."""
    save_pictures(tmp_path / "data" / "images")
    (tmp_path / "data" / "labels").mkdir()
    content: dict[str, Any] = {"images": [], "annotations": []}
    content["categories"] = [{"id": 90 - 10 * index, "name": name} for index, name in enumerate(CLASSES)]
    with saccade.open(tiny_detector_bundle, device="cpu", threads=1) as task:
        for index, (height, width) in enumerate(SIZES_HW):
            name = f"{index}.png"
            result = task(np.array(Image.open(tmp_path / "data" / "images" / name)), confidence=SURE)
            content["images"].append({"id": 7 + index, "file_name": name, "width": width, "height": height})
            lines: list[str] = []
            for (left, top, right, bottom), class_id in zip(result.xyxy.tolist(), result.class_id, strict=True):
                bbox = [left, top, right - left, bottom - top]
                content["annotations"].append(
                    {"image_id": 7 + index, "category_id": 90 - 10 * int(class_id), "bbox": bbox}
                )
                centre = (left + right) / 2 / width, (top + bottom) / 2 / height
                lines.append(f"{class_id} {centre[0]} {centre[1]} {(right - left) / width} {(bottom - top) / height}")
            (tmp_path / "data" / "labels" / f"{index}.txt").write_text("\n".join(lines))
    (tmp_path / "data" / "labels.json").write_text(json.dumps(content))
    return tmp_path / "data"


@pytest.fixture
def maps(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A folder with the split ``val``: two pictures and what the segmenter says of them."""
    save_pictures(tmp_path / "maps" / "val" / "images")
    (tmp_path / "maps" / "val" / "labels").mkdir()
    with saccade.open(tiny_bundle, device="cpu", threads=1) as task:
        for index in range(len(SIZES_HW)):
            result = task(np.array(Image.open(tmp_path / "maps" / "val" / "images" / f"{index}.png")))
            Image.fromarray(result.class_map).save(tmp_path / "maps" / "val" / "labels" / f"{index}.png")
    return tmp_path / "maps"


def resealed(bundle: Path, target: Path, change: Callable[[dict[str, Any], dict[str, bytes]], None]) -> Path:
    """``bundle`` with a changed manifest and members, whole and consistent."""
    members = members_of(bundle)
    manifest = json.loads(members.pop("manifest.json"))
    change(manifest, members)
    for name, content in members.items():
        manifest["members"][name]["sha256"] = hashlib.sha256(content).hexdigest()
    target.write_bytes(pack({**members, "manifest.json": json.dumps(manifest).encode()}))
    return target


class TestBoxes:
    @pytest.mark.parametrize("data", ["labels.json", "."], ids=["coco", "yolo"])
    def test_both_layouts_give_the_scores(
        self, capfd: Capture, tiny_detector_bundle: Path, boxes: Path, data: str
    ) -> None:
        called = call(capfd, "eval", tiny_detector_bundle, "--data", boxes / data, "--json")
        assert called.code == 0
        said = called.document
        assert said["scores"] == pytest.approx({**said["scores"], "ap": 1.0, "ap50": 1.0, "recall": 1.0})
        assert set(said["scores"]) == {*STATISTICS, "recall"}
        assert said["scores"]["ap_large"] is None
        assert (said["images"], said["not_finite"], said["passed"]) == (2, 0, True)
        assert said["objects"] == sum(entry["objects"] for entry in said["classes"].values()) > 3
        assert (said["task"], said["engine"], said["device"], said["variant"]) == (
            "detect",
            "onnxruntime",
            "cpu",
            "fp32-cpu",
        )
        assert said["identity"] == saccade.open_bundle(tiny_detector_bundle).identity

    def test_as_text_it_is_a_table(self, capfd: Capture, tiny_detector_bundle: Path, boxes: Path) -> None:
        called = call(capfd, "eval", tiny_detector_bundle, "--data", boxes, "--false-alarms", "0.5")
        assert called.code == 0
        lines = called.out.splitlines()
        assert lines[0].startswith("tiny (fp32-cpu on onnxruntime ")
        assert lines[1].startswith("2 images, ")
        assert "ap         1.000  IoU 0.50 to 0.95" in lines
        assert any(line.startswith("recall     1.000  IoU 0.50, at most 0.5 false alarms an image") for line in lines)
        table = lines[lines.index("class   ap     objects") :]
        assert all(line.split()[1] == "1.000" for line in table[1:])
        assert "images" in called.err

    def test_pycocotools_gives_the_same_from_the_results_file(
        self, capfd: Capture, tiny_detector_bundle: Path, boxes: Path, tmp_path: Path
    ) -> None:
        # Given annotations that are a little off, so that scores lie between 0 and 1.
        pytest.importorskip("pycocotools")
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        content = json.loads((boxes / "labels.json").read_text())
        for number, entry in enumerate(content["annotations"], start=1):
            entry["bbox"] = [value + 0.5 * (number % 3) for value in entry["bbox"][:2]] + entry["bbox"][2:]
            entry |= {"id": number, "iscrowd": 0, "area": entry["bbox"][2] * entry["bbox"][3]}
        (boxes / "labels.json").write_text(json.dumps(content))
        # When they are scored and the results are written.
        results = tmp_path / "results.json"
        arguments = ("--data", boxes / "labels.json", "--drop-bad-boxes", "--results", results, "--json")
        said = call(capfd, "eval", tiny_detector_bundle, *arguments).document
        assert said["files"] == [str(results)]
        assert 0.1 < said["scores"]["ap"] < 0.95
        # Then the reference reads both files and agrees.
        kept = [entry for entry in content["annotations"] if not _is_named(entry, said["left_out_boxes"])]
        (tmp_path / "kept.json").write_text(json.dumps({**content, "annotations": kept}))
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO(str(tmp_path / "kept.json"))
            evaluation = COCOeval(truth, truth.loadRes(str(results)), "bbox")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        for name, value in zip(STATISTICS, evaluation.stats, strict=False):
            assert said["scores"][name] == (None if value < 0 else pytest.approx(value, abs=1e-9))

    def test_the_limit_counts_images(self, capfd: Capture, tiny_detector_bundle: Path, boxes: Path) -> None:
        said = call(capfd, "eval", tiny_detector_bundle, "--data", boxes, "--limit", "1", "--json").document
        assert said["images"] == 1

    def test_suppression_may_be_changed(self, capfd: Capture, tiny_detector_bundle: Path, boxes: Path) -> None:
        counts: list[int] = []
        for iou in ("0.01", "1"):
            results = boxes / "results.json"
            call(capfd, "eval", tiny_detector_bundle, "--data", boxes, "--iou", iou, "--results", results)
            counts.append(len(json.loads(results.read_text())))
        assert counts[0] < counts[1]

    def test_a_bundle_of_fewer_candidates_is_scored_on_those(
        self, capfd: Capture, tiny_detector_bundle: Path, boxes: Path, tmp_path: Path
    ) -> None:
        def fewer(manifest: dict[str, Any], _: dict[str, bytes]) -> None:
            manifest["task"]["max_detections"] = 5
            for variant in manifest["variants"]:
                variant["parameters"]["candidates"] = 5

        bundle = resealed(tiny_detector_bundle, tmp_path / "few.saccade", fewer)
        results = tmp_path / "results.json"
        assert call(capfd, "eval", bundle, "--data", boxes, "--results", results).code == 0
        assert len(json.loads(results.read_text())) == 5 * len(SIZES_HW)

    def test_a_bundle_without_suppression_takes_no_iou(self, capfd: Capture, boxes: Path, tmp_path: Path) -> None:
        from tests.tiny import export_tiny_detector

        bundle = export_tiny_detector(tmp_path, "yolov10")
        assert call(capfd, "eval", bundle, "--data", boxes, "--json").document["images"] == 2
        called = call(capfd, "eval", bundle, "--data", boxes, "--iou", "0.5")
        assert called.code == 2
        assert "iou" in called.err

    def test_bad_boxes_are_refused_or_left_out_and_said(
        self, capfd: Capture, tiny_detector_bundle: Path, boxes: Path
    ) -> None:
        with (boxes / "labels" / "1.txt").open("a") as file:
            file.write("\n0 0.5 0.5 0 0.1\n")
        called = call(capfd, "eval", tiny_detector_bundle, "--data", boxes, "--json")
        assert called.code == called.document["exit_code"] == 3
        assert called.document["error"]["kind"] == "DatasetError"
        assert "1 bad boxes: 1.txt line" in called.document["error"]["message"]
        called = call(capfd, "eval", tiny_detector_bundle, "--data", boxes, "--drop-bad-boxes", "--json")
        assert (called.code, len(called.document["left_out_boxes"])) == (0, 1)
        called = call(capfd, "eval", tiny_detector_bundle, "--data", boxes, "--drop-bad-boxes")
        assert "1 bad boxes were left out, the first: 1.txt line" in called.out

    def test_other_class_names_are_refused_until_the_order_is_asked_for(
        self, capfd: Capture, tiny_detector_bundle: Path, boxes: Path
    ) -> None:
        (boxes / "classes.txt").write_text("a\nb\nc\n")
        called = call(capfd, "eval", tiny_detector_bundle, "--data", boxes)
        assert called.code == 2
        assert "the dataset's 3 are a, b, c, the bundle's 3 are class0, class1, class2" in called.err
        assert "--classes-by-order" in called.err
        said = call(capfd, "eval", tiny_detector_bundle, "--data", boxes, "--classes-by-order", "--json").document
        assert said["scores"]["ap"] == 1.0
        assert set(said["classes"]) == {"a", "b", "c"}

    def test_results_that_are_not_finite_are_code_1_and_said(
        self, capfd: Capture, tiny_detector_bundle: Path, boxes: Path, tmp_path: Path
    ) -> None:
        def spoil(_: dict[str, Any], members: dict[str, bytes]) -> None:
            count = len(members["graphs/weights.bin"]) // 4
            members["graphs/weights.bin"] = np.full(count, np.nan, np.float32).tobytes()

        bundle = resealed(tiny_detector_bundle, tmp_path / "nan.saccade", spoil)
        called = call(capfd, "eval", bundle, "--data", boxes, "--json")
        assert called.code == 1
        assert (called.document["not_finite"], called.document["passed"]) == (2, False)
        assert "2 results are not finite" in call(capfd, "eval", bundle, "--data", boxes).out


def _is_named(entry: dict[str, Any], faults: list[str]) -> bool:
    return any(fault.startswith(f"annotation {entry['id']} ") for fault in faults)


class TestMaps:
    def test_a_split_gives_its_scores(self, capfd: Capture, tiny_bundle: Path, maps: Path) -> None:
        said = call(capfd, "eval", tiny_bundle, "--data", maps, "--json").document
        assert said["scores"] == {"miou": 1.0, "pixel_accuracy": 1.0}
        assert set(said["classes"]) == set(CLASSES)
        assert (said["images"], said["labelled_share"], said["task"]) == (2, 1.0, "segment")

    def test_another_split_may_be_named(self, capfd: Capture, tiny_bundle: Path, maps: Path) -> None:
        (maps / "val").rename(maps / "holdout")
        called = call(capfd, "eval", tiny_bundle, "--data", maps)
        assert called.code == 3
        assert "must hold the folders 'images' and 'labels'" in called.err
        called = call(capfd, "eval", tiny_bundle, "--data", maps, "--split", "holdout", "--limit", "1")
        assert called.code == 0
        assert called.out.splitlines()[1].startswith("1 images, 100.0% of pixels labelled, ")
        assert "miou            1.000  mean over the classes that occur" in called.out

    def test_other_labels_do_not_score(self, capfd: Capture, tiny_bundle: Path, maps: Path) -> None:
        for path in (maps / "val" / "labels").iterdir():
            Image.fromarray((np.array(Image.open(path)) + 1) % 3).save(path)
        said = call(capfd, "eval", tiny_bundle, "--data", maps, "--json").document
        assert said["scores"]["pixel_accuracy"] == 0.0


class TestFloors:
    def test_a_score_below_its_floor_is_code_1(self, capfd: Capture, tiny_detector_bundle: Path, boxes: Path) -> None:
        floors = ("--at-least", "ap50=0.6", "--at-least", "ap_large=0.1")
        called = call(capfd, "eval", tiny_detector_bundle, "--data", boxes, *floors, "--json")
        assert (called.code, called.document["passed"]) == (1, False)
        assert called.document["at_least"] == [
            {"score": "ap50", "at_least": 0.6, "value": 1.0, "passed": True},
            {"score": "ap_large", "at_least": 0.1, "value": None, "passed": False},  # no such object: nothing shown
        ]
        called = call(capfd, "eval", tiny_detector_bundle, "--data", boxes, *floors)
        assert called.code == 1
        assert "holds: ap50 1.0000, at least 0.6" in called.out
        assert "FAILED: ap_large nan, at least 0.1" in called.out

    def test_scores_that_hold_are_code_0(self, capfd: Capture, tiny_bundle: Path, maps: Path) -> None:
        floors = ("--at-least", "miou=1", "--at-least", "pixel_accuracy=0.5")
        assert call(capfd, "eval", tiny_bundle, "--data", maps, *floors).code == 0

    @pytest.mark.parametrize(
        ("floor", "message"),
        [
            ("ap50=0.5", "there is no score 'ap50'; there are miou, pixel_accuracy"),
            ("miou", "a number from 0 to 1, as in miou=0.5"),
            ("miou=high", "a number from 0 to 1"),
            ("miou=60", "a number from 0 to 1"),
            ("miou=nan", "a number from 0 to 1"),
        ],
    )
    def test_what_is_no_floor_is_refused_before_the_work(
        self, capfd: Capture, tiny_bundle: Path, tmp_path: Path, floor: str, message: str
    ) -> None:
        called = call(capfd, "eval", tiny_bundle, "--data", tmp_path / "absent", "--at-least", floor)
        assert called.code == 2
        assert message in called.err


class TestRefusals:
    @pytest.mark.parametrize(
        "options",
        [
            ("--iou", "0.5"),
            ("--results", "x.json"),
            ("--images", "x"),
            ("--false-alarms", "0.1"),
            ("--drop-bad-boxes",),
            ("--classes-by-order",),
        ],
        ids=lambda options: options[0],
    )
    def test_options_for_boxes_are_refused_for_maps(
        self, capfd: Capture, tiny_bundle: Path, maps: Path, options: tuple[str, ...]
    ) -> None:
        called = call(capfd, "eval", tiny_bundle, "--data", maps, *options)
        assert called.code == 2
        assert f"{options[0]} is for detection, but this bundle's task is segmentation" in called.err

    def test_and_the_other_way_round(self, capfd: Capture, tiny_detector_bundle: Path, boxes: Path) -> None:
        called = call(capfd, "eval", tiny_detector_bundle, "--data", boxes, "--split", "val")
        assert called.code == 2
        assert "--split is for segmentation, but" in called.err
        called = call(capfd, "eval", tiny_detector_bundle, "--data", boxes, "--images", boxes / "images")
        assert called.code == 2
        assert "--images is for a COCO json" in called.err

    def test_data_that_is_not_there_is_code_3(self, capfd: Capture, tiny_detector_bundle: Path, tmp_path: Path) -> None:
        called = call(capfd, "eval", tiny_detector_bundle, "--data", tmp_path / "absent.json")
        assert called.code == 3
        assert "absent.json" in called.err

    def test_a_place_that_cannot_be_written_shows_before_the_work(
        self, capfd: Capture, tiny_detector_bundle: Path, tmp_path: Path
    ) -> None:
        results = tmp_path / "absent" / "results.json"
        called = call(capfd, "eval", tiny_detector_bundle, "--data", tmp_path / "absent.json", "--results", results)
        assert called.code == 3
        assert "results.json cannot be written" in called.err

    def test_a_failure_leaves_no_results(
        self, capfd: Capture, tiny_detector_bundle: Path, boxes: Path, tmp_path: Path
    ) -> None:
        (boxes / "images" / "1.png").write_bytes((boxes / "images" / "1.png").read_bytes()[:-40])
        results = tmp_path / "out" / "results.json"
        results.parent.mkdir()
        called = call(capfd, "eval", tiny_detector_bundle, "--data", boxes, "--results", results)
        assert called.code == 3
        assert "1.png cannot be read as an image" in called.err
        assert list(results.parent.iterdir()) == []

    @pytest.mark.parametrize(
        "options",
        [(), ("--limit", "0"), ("--iou", "2"), ("--iou", "nan"), ("--false-alarms", "-1"), ("--device", "tpu")],
        ids=lambda options: " ".join(options) or "no data",
    )
    def test_misuse_is_code_2(
        self, capfd: Capture, tiny_detector_bundle: Path, boxes: Path, options: tuple[str, ...]
    ) -> None:
        data = ("--data", boxes) if options else ()
        called = call(capfd, "eval", tiny_detector_bundle, *data, *options)
        assert (called.code, called.out) == (2, "")

    def test_a_missing_library_names_the_extra_before_the_work(
        self, capfd: Capture, tiny_detector_bundle: Path, boxes: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
        (boxes / "images" / "0.png").write_bytes(b"")  # would be code 3
        called = call(capfd, "eval", tiny_detector_bundle, "--data", boxes / "labels.json")
        assert called.code == 2
        assert "pip install 'saccade[eval]'" in called.err
