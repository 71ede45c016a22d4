"""Scores of a task on labelled images. The truth is what the tiny networks themselves find, so it is known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import saccade
from saccade.datasets import BoxDataset, LabelledImage, SegmentationFolder, box_area, list_maps
from saccade.errors import DatasetError, RequestError
from saccade.evaluation import (
    SegmentationEvaluation,
    coco_entries,
    evaluate_detection,
    evaluate_segmentation,
    match_classes,
)
from saccade.evaluation.report import content, number, summary, table
from saccade.tasks import DetectTask, SegmentTask

SURE = 0.4
SIZES_HW = ((60, 80), (96, 64), (48, 48))


def picture(seed: int, size_hw: tuple[int, int]) -> np.ndarray:
    """A frame of coloured 8x8 blocks, on which the tiny networks find more than one class."""
    coarse = np.random.default_rng(seed).integers(0, 256, (size_hw[0] // 4, size_hw[1] // 4, 3), np.uint8)
    return np.kron(coarse, np.ones((4, 4, 1), np.uint8))


def save_pictures(folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{index}.png" for index in range(len(SIZES_HW))]
    for index, path in enumerate(paths):
        Image.fromarray(picture(index, SIZES_HW[index])).save(path)
    return paths


def seen_by(task: DetectTask, paths: list[Path], classes: tuple[str, ...]) -> BoxDataset:
    """A dataset whose objects are the sure boxes of ``task``, of those of its classes that ``classes`` names."""
    images: list[LabelledImage] = []
    for index, path in enumerate(paths):
        frame = np.array(Image.open(path))
        result = task(frame, confidence=SURE, classes=list(classes))
        xyxy = result.xyxy.astype(np.float64)
        kept = (xyxy[:, 2:] > xyxy[:, :2]).all(1)
        images.append(
            LabelledImage(
                image_id=10 + index,
                path=path,
                size_hw=(frame.shape[0], frame.shape[1]),
                xyxy=xyxy[kept],
                class_id=np.array([classes.index(name) for name in result.names], np.int64)[kept],
                is_crowd=np.zeros(int(kept.sum()), np.bool_),
                area=box_area(xyxy[kept]),
            )
        )
    return BoxDataset(classes, tuple(images), tuple(5 * index + 2 for index in range(len(classes))))


class TestClasses:
    def test_names_decide_whatever_their_order(self) -> None:
        assert match_classes(("car", "person"), ("person", "van", "car")) == (2, 0)

    def test_by_order_places_decide(self) -> None:
        assert match_classes(("car", "person"), ("person", "car"), by_order=True) == (0, 1)
        assert match_classes(("Auto", "Mensch"), ("person", "car"), by_order=True) == (0, 1)

    def test_other_names_of_equal_indexoffer_the_order(self) -> None:
        with pytest.raises(RequestError, match=r"1 of the dataset's classes \(Auto\).*person, car.*--classes-by-order"):
            match_classes(("person", "Auto"), ("person", "car"))

    def test_classes_that_the_bundle_lacks_are_named(self) -> None:
        with pytest.raises(RequestError, match=r"lacks 2 of the dataset's classes \(bus, van\)") as refused:
            match_classes(("car", "bus", "van"), ("person", "car"))
        assert "--classes-by-order" not in str(refused.value)

    def test_an_order_between_lists_of_two_lengths_is_refused(self) -> None:
        with pytest.raises(RequestError, match="equally many: the dataset's 1 are car, the bundle's 2 are person, car"):
            match_classes(("car",), ("person", "car"), by_order=True)


@pytest.fixture(scope="module")
def detector(tiny_detector_bundle: Path) -> Iterator[DetectTask]:
    with saccade.open(tiny_detector_bundle, device="cpu", threads=1) as task:
        assert isinstance(task, DetectTask)
        yield task


@pytest.mark.torch
class TestDetection:
    @pytest.fixture(autouse=True)
    def _library(self) -> None:
        pytest.importorskip("faster_coco_eval")

    @pytest.fixture
    def paths(self, tmp_path: Path) -> list[Path]:
        return save_pictures(tmp_path)

    @pytest.mark.parametrize("classes", [("class0", "class1", "class2"), ("class2", "class0", "class1"), ("class1",)])
    def test_a_detector_finds_what_it_sees_under_any_order_of_classes(
        self, detector: DetectTask, paths: list[Path], classes: tuple[str, ...]
    ) -> None:
        dataset = seen_by(detector, paths, classes)
        seen: list[int] = []
        evaluation = evaluate_detection(detector, dataset, false_alarms=0, progress=seen.append)
        assert evaluation.objects == sum(len(image.xyxy) for image in dataset.images) > 3
        assert evaluation.scores["ap"] == evaluation.scores["recall"] == 1.0
        assert evaluation.recall_confidence == pytest.approx(SURE, abs=0.2)
        assert evaluation.class_ap == {name: 1.0 for name, count in evaluation.class_objects.items() if count}
        assert (seen, evaluation.not_finite) == ([1, 2, 3], 0)
        assert evaluation.task_ms > 0
        assert {name for result in evaluation.found for name in result.names} <= set(classes)
        assert sum(len(result) for result in evaluation.found) > evaluation.objects  # down to a low confidence

    def test_classes_in_the_wrong_order_do_not_score(self, detector: DetectTask, paths: list[Path]) -> None:
        dataset = seen_by(detector, paths, ("class2", "class0", "class1"))
        wrong = evaluate_detection(detector, dataset, classes_by_order=True)
        assert wrong.scores["ap"] < 0.5
        renamed = replace(dataset, classes=("a", "b", "c"))
        with pytest.raises(RequestError, match="--classes-by-order"):
            evaluate_detection(detector, renamed)
        assert evaluate_detection(detector, renamed, classes_by_order=True).scores == wrong.scores

    def test_boxes_that_moved_do_not_score(self, detector: DetectTask, paths: list[Path]) -> None:
        dataset = seen_by(detector, paths, detector.classes)
        moved = tuple(replace(image, xyxy=image.xyxy + 30) for image in dataset.images)
        assert evaluate_detection(detector, replace(dataset, images=moved)).scores["ap50"] < 0.5

    def test_entries_have_the_datasets_ids(self, detector: DetectTask, paths: list[Path]) -> None:
        dataset = seen_by(detector, paths, ("class2", "class0"))
        evaluation = evaluate_detection(detector, dataset)
        entries = coco_entries(dataset, evaluation)
        assert len(entries) == sum(len(result) for result in evaluation.found)
        assert {entry["image_id"] for entry in entries} == {10, 11, 12}
        assert {entry["category_id"] for entry in entries} == {2, 7}
        first = evaluation.found[0]
        assert entries[0]["category_id"] == {"class2": 2, "class0": 7}[first.names[0]]
        assert first.colors == (detector.spec.colors[2], detector.spec.colors[0])

    def test_suppression_and_the_most_boxes_are_the_callers(self, detector: DetectTask, paths: list[Path]) -> None:
        dataset = seen_by(detector, paths, detector.classes)
        few = evaluate_detection(detector, dataset, max_detections=2)
        assert max(len(result) for result in few.found) == 2
        strict, lax = (evaluate_detection(detector, dataset, iou=iou) for iou in (0.01, 1.0))
        assert sum(map(len, strict.found)) < sum(map(len, lax.found))
        with pytest.raises(RequestError, match="max_detections must be 1 to 126"):
            evaluate_detection(detector, dataset, max_detections=127)

    def test_an_image_of_another_size_is_refused(self, detector: DetectTask, paths: list[Path]) -> None:
        dataset = seen_by(detector, paths, detector.classes)
        Image.fromarray(picture(0, (20, 20))).save(paths[1])
        with pytest.raises(DatasetError, match=r"1\.png is 20x20 \(upright\), but its annotations are for 64x96"):
            evaluate_detection(detector, dataset)

    def test_without_objects_there_is_no_score_but_a_count(self, detector: DetectTask, paths: list[Path]) -> None:
        none = np.empty((0, 4)), np.empty(0, np.int64), np.empty(0, np.bool_), np.empty(0)
        images = tuple(LabelledImage(i, path, SIZES_HW[i], *none) for i, path in enumerate(paths))
        evaluation = evaluate_detection(detector, BoxDataset(("class1",), images))
        assert all(math.isnan(value) for value in evaluation.scores.values())
        assert (len(evaluation.found), evaluation.objects) == (3, 0)
        said = content(evaluation)
        assert set(said["scores"].values()) == {None}
        assert said["classes"] == {"class1": {"ap": None, "objects": 0}}
        assert "0 objects" in summary(evaluation)
        assert any(line.startswith("ap ") and " - " in line for line in table(evaluation))


@pytest.mark.torch
class TestSegmentation:
    @pytest.fixture
    def folder(self, tiny_bundle: Path, tmp_path: Path) -> Path:
        """Pictures whose labels are what the tiny network says of them, but void in the top rows of the first."""
        save_pictures(tmp_path / "val" / "images")
        (tmp_path / "val" / "labels").mkdir()
        with saccade.open(tiny_bundle, device="cpu", threads=1) as task:
            for path in sorted((tmp_path / "val" / "images").iterdir()):
                labels = task(np.array(Image.open(path))).class_map
                if path.stem == "0":
                    labels[:10] = 255
                Image.fromarray(labels).save(tmp_path / "val" / "labels" / path.name)
        return tmp_path

    def evaluated(self, bundle: Path, folder: Path) -> SegmentationEvaluation:
        with saccade.open(bundle, device="cpu", threads=1) as task:
            assert isinstance(task, SegmentTask)
            return evaluate_segmentation(task, (item.read() for item in list_maps(folder, "val")))

    def test_a_segmenter_agrees_with_itself(self, tiny_bundle: Path, folder: Path) -> None:
        evaluation = self.evaluated(tiny_bundle, folder)
        pixels = sum(height * width for height, width in SIZES_HW)
        assert evaluation.scores == {"miou": 1.0, "pixel_accuracy": 1.0}
        assert evaluation.labelled_share == pytest.approx(1 - 10 * 80 / pixels)
        assert (evaluation.images, evaluation.not_finite) == (3, 0)
        assert set(evaluation.class_iou) == {"class0", "class1", "class2"}

    def test_another_network_does_not(self, folder: Path, tmp_path: Path) -> None:
        from tests.tiny import export_tiny

        evaluation = self.evaluated(export_tiny(tmp_path, seed=5), folder)
        assert evaluation.scores["miou"] < 0.6
        assert evaluation.scores["pixel_accuracy"] < 0.9

    def test_a_folder_in_memory_scores_alike(self, tiny_bundle: Path, folder: Path) -> None:
        seen: list[int] = []
        with saccade.open(tiny_bundle, device="cpu", threads=1) as task:
            assert isinstance(task, SegmentTask)
            held = evaluate_segmentation(task, SegmentationFolder(folder, "val"), progress=seen.append)
        listed = self.evaluated(tiny_bundle, folder)
        np.testing.assert_array_equal(held.confusion.counts, listed.confusion.counts)
        assert seen == [1, 2, 3]

    def test_without_pairs_there_is_no_score(self, tiny_bundle: Path) -> None:
        with saccade.open(tiny_bundle, device="cpu", threads=1) as task:
            assert isinstance(task, SegmentTask)
            evaluation = evaluate_segmentation(task, [])
        assert math.isnan(evaluation.scores["miou"])
        assert content(evaluation)["labelled_share"] is None


def test_numbers_that_json_cannot_hold_are_none() -> None:
    assert [number(value) for value in (0.5, math.nan, math.inf)] == [0.5, None, None]
