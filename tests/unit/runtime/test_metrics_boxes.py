"""Box scores against pycocotools, from the files that both read; recall at a false-alarm rate by hand."""

from __future__ import annotations

import contextlib
import io
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from saccade.datasets import BoxDataset, LabelledImage, box_area, write_coco
from saccade.datasets.coco import write_results
from saccade.errors import RequestError
from saccade.metrics import BoxScores, box_scores, recall_at_false_alarms
from saccade.metrics.boxes import STATISTICS, Boxes

pytest.importorskip("faster_coco_eval")

SIZE = 400
NOTHING: Boxes = (np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int64))


def labelled(
    xyxy: Sequence[Sequence[float]],
    class_id: Sequence[int] | None = None,
    is_crowd: Sequence[bool] | None = None,
    image_id: int = 1,
) -> LabelledImage:
    boxes = np.array(xyxy, np.float64).reshape(-1, 4)
    return LabelledImage(
        image_id=image_id,
        path=Path(f"{image_id}.png"),
        size_hw=(SIZE, SIZE),
        xyxy=boxes,
        class_id=np.array(class_id or [0] * len(boxes), np.int64),
        is_crowd=np.array(is_crowd or [False] * len(boxes), np.bool_),
        area=box_area(boxes),
    )


def boxes(*rows: tuple[Sequence[float], float] | tuple[Sequence[float], float, int]) -> Boxes:
    """Found boxes from (xyxy, confidence) or (xyxy, confidence, class)."""
    return (
        np.array([row[0] for row in rows], np.float32).reshape(-1, 4),
        np.array([row[1] for row in rows], np.float32),
        np.array([row[2] if len(row) > 2 else 0 for row in rows], np.int64),
    )


def random_boxes(random: np.random.Generator, count: int) -> np.ndarray:
    """Boxes of all sizes on a grid of quarter pixels, which json and float32 hold exactly."""
    size = np.exp(random.uniform(np.log(4), np.log(250), (count, 2)))
    corner = random.uniform(0, SIZE - size)
    return np.round(np.concatenate((corner, corner + size), 1) * 4) / 4


def random_case(seed: int, classes: int, images: int = 12) -> tuple[BoxDataset, list[Boxes]]:
    """Objects of all sizes, some of them crowds, some with an area far below their box; hits, misses and ties."""
    random = np.random.default_rng(seed)
    truth: list[LabelledImage] = []
    found: list[Boxes] = []
    for index in range(images):
        count = int(random.integers(0, 9))
        xyxy, class_id = random_boxes(random, count), random.integers(0, classes, count)
        truth.append(
            LabelledImage(
                image_id=int(random.integers(1000)) * images + index,
                path=Path(f"{index}.png"),
                size_hw=(SIZE, SIZE),
                xyxy=xyxy,
                class_id=class_id,
                is_crowd=random.random(count) < 0.2,
                area=np.round(box_area(xyxy) * random.choice([1.0, 0.25], count), 2),
            )
        )
        near = np.round((xyxy + random.normal(0, 3, xyxy.shape)).clip(0, SIZE) * 4) / 4
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        stray = random_boxes(random, 4)
        every = np.concatenate((near, near[::2], stray)).astype(np.float32)
        labels = np.concatenate((class_id, class_id[::2], random.integers(0, classes, 4)))
        found.append((every, np.round(random.random(len(every)), 1).astype(np.float32), labels))
    return BoxDataset(tuple(f"class{index}" for index in range(classes)), tuple(truth)), found


def by_pycocotools(folder: Path, dataset: BoxDataset, found: Sequence[Boxes]) -> dict[str, float]:
    """The scores from our two files by the reference implementation."""
    pytest.importorskip("pycocotools")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    entries = [
        {"image_id": image.image_id, "category_id": int(c) + 1, "bbox": [*box[:2], *(box[2:] - box[:2])], "score": s}
        for image, (xyxy, confidence, class_id) in zip(dataset.images, found, strict=True)
        for box, s, c in zip(xyxy.astype(np.float64), confidence.tolist(), class_id, strict=True)
    ]
    write_coco(dataset, folder / "truth.json")
    write_results(entries, folder / "results.json")
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(folder / "truth.json"))
        evaluation = COCOeval(truth, truth.loadRes(str(folder / "results.json")), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: math.nan if v < 0 else float(v) for name, v in zip(STATISTICS, evaluation.stats, strict=False)}


def as_dict(scores: BoxScores) -> dict[str, float]:
    return {name: getattr(scores, name) for name in STATISTICS}


class TestScores:
    @pytest.mark.parametrize(("seed", "classes"), [(0, 1), (1, 1), (2, 3), (3, 3), (4, 8)])
    def test_they_are_pycocotools_scores(self, tmp_path: Path, seed: int, classes: int) -> None:
        dataset, found = random_case(seed, classes)
        scores = box_scores(dataset.images, found, classes)
        assert as_dict(scores) == pytest.approx(by_pycocotools(tmp_path, dataset, found), abs=1e-9, nan_ok=True)
        assert 0.1 < scores.ap < 0.9
        assert scores.ap == pytest.approx(float(np.mean(list(scores.class_ap.values()))))

    @pytest.mark.parametrize("changed", ["area", "is_crowd", "found"])
    def test_areas_crowds_and_boxes_all_count(self, tmp_path: Path, changed: str) -> None:
        # Given scores of one case, and the reference's of the same case but for one thing.
        dataset, found = random_case(2, 3)
        images = dataset.images
        if changed == "area":
            images = tuple(replace(image, area=box_area(image.xyxy)) for image in images)
        elif changed == "is_crowd":
            images = tuple(replace(image, is_crowd=np.zeros_like(image.is_crowd)) for image in images)
        else:
            found = [(xyxy + 2, *rest) for xyxy, *rest in found]
        other = by_pycocotools(tmp_path, replace(dataset, images=images), found)
        # Then they differ: the comparison above would have seen it.
        scores = as_dict(box_scores(dataset.images, random_case(2, 3)[1], 3))
        assert max(abs(scores[name] - other[name]) for name in STATISTICS) > 0.01

    def test_a_perfect_detector_has_one_everywhere(self) -> None:
        image = labelled([[10, 10, 20, 20], [30, 30, 90, 90], [100, 100, 300, 300]])
        scores = box_scores([image], [(image.xyxy, np.array([0.9, 0.8, 0.7]), image.class_id)], 1)
        assert as_dict(scores) == pytest.approx({**dict.fromkeys(STATISTICS, 1.0), "ar1": 1 / 3})
        assert scores.class_ap == {0: 1.0}

    def test_a_detector_that_finds_nothing_has_zero(self, tmp_path: Path) -> None:
        dataset, _ = random_case(0, 2)
        scores = box_scores(dataset.images, [NOTHING] * len(dataset), 2)
        assert set(as_dict(scores).values()) == {0.0}
        assert scores.class_ap == {0: 0.0, 1: 0.0}

    @pytest.mark.parametrize("found", [NOTHING, boxes(([1, 1, 9, 9], 0.9))], ids=["nothing", "a box"])
    def test_without_objects_there_is_no_score(self, found: Boxes) -> None:
        for images, given in (([labelled([])], [found]), ([], [])):
            scores = box_scores(images, given, 1)
            assert all(math.isnan(value) for value in as_dict(scores).values())
            assert scores.class_ap == {}

    def test_a_size_or_a_class_that_does_not_occur_has_no_score(self) -> None:
        image = labelled([[10, 10, 20, 20]], [1])
        scores = box_scores([image], [(image.xyxy, np.array([0.9]), image.class_id)], 3)
        assert (scores.ap, scores.ap_small) == (1.0, 1.0)
        assert math.isnan(scores.ap_medium)
        assert scores.class_ap == {1: 1.0}

    def test_ids_may_be_any_and_large(self) -> None:
        images = [labelled([[1, 1, 50, 50]], image_id=number) for number in (-3, 0, 2**62)]
        found = [(image.xyxy, np.array([0.5]), image.class_id) for image in images]
        assert box_scores(images, found, 1).ap == 1.0

    def test_it_prints_nothing(self, capfd: pytest.CaptureFixture[str]) -> None:
        dataset, found = random_case(0, 1)
        box_scores(dataset.images, found, 1)
        assert capfd.readouterr() == ("", "")

    def test_what_does_not_fit_together_is_refused(self) -> None:
        image = labelled([[1, 1, 50, 50]])
        with pytest.raises(ValueError, match="each of the 1 images, but are for 0"):
            box_scores([image], [], 1)
        with pytest.raises(ValueError, match="id of its own"):
            box_scores([image, image], [NOTHING, NOTHING], 1)
        with pytest.raises(ValueError, match=r"class ids must be in 0\.\.0"):
            box_scores([image], [boxes(([1, 1, 9, 9], 0.9, 1))], 1)

    def test_without_the_library_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
        with pytest.raises(RequestError, match=r"pip install 'saccade\[eval\]'"):
            box_scores([labelled([[1, 1, 50, 50]])], [NOTHING], 1)


OBJECT, ELSEWHERE, CROWD = [10, 10, 50, 50], [200, 200, 250, 250], [300, 300, 390, 390]


class TestRecall:
    """One image of one object unless said; the confidence is the lowest that keeps to the false alarms."""

    @pytest.mark.parametrize(
        ("found", "per_image", "expected"),
        [
            (boxes((OBJECT, 0.9)), 0, (1.0, 0.9)),
            (boxes((OBJECT, 0.9), (ELSEWHERE, 0.5)), 0, (1.0, 0.9)),
            (boxes((OBJECT, 0.9), (ELSEWHERE, 0.5)), 1, (1.0, 0.5)),
            (boxes((OBJECT, 0.4), (ELSEWHERE, 0.5)), 0, (0.0, math.nan)),
            (boxes((OBJECT, 0.4), (ELSEWHERE, 0.5)), 1, (1.0, 0.4)),
            (boxes((OBJECT, 0.5), (ELSEWHERE, 0.5)), 0, (0.0, math.nan)),  # equal confidences fall together
            (boxes((OBJECT, 0.9), (OBJECT, 0.8)), 0, (1.0, 0.9)),  # a second box on one object is a false alarm
            (boxes((OBJECT, 0.9), (OBJECT, 0.8)), 1, (1.0, 0.8)),
            (boxes((OBJECT, 0.9, 1)), 0, (0.0, math.nan)),  # another class
            (boxes(([10, 10, 50, 30], 0.9)), 0, (1.0, 0.9)),  # half of it: IoU 0.5
            (boxes(([10, 10, 50, 29], 0.9)), 0, (0.0, math.nan)),
            (NOTHING, 0, (0.0, math.nan)),
        ],
    )
    def test_by_hand(self, found: Boxes, per_image: float, expected: tuple[float, float]) -> None:
        assert recall_at_false_alarms([labelled([OBJECT])], [found], per_image) == pytest.approx(expected, nan_ok=True)

    def test_the_most_confident_box_takes_the_object_it_fits_best(self) -> None:
        # Given two objects that overlap, and a box between them that fits the second better.
        image = labelled([[0, 0, 100, 100], [20, 0, 120, 100]])
        found = boxes(([15, 0, 115, 100], 0.9), ([0, 0, 100, 100], 0.8))
        assert recall_at_false_alarms([image], [found], 0) == pytest.approx((1.0, 0.8))

    def test_crowds_are_neither_objects_nor_do_they_make_false_alarms(self) -> None:
        image = labelled([OBJECT, CROWD], [0, 0], [False, True])
        inside, outside = [310, 310, 330, 330], [295, 295, 302, 302]
        found = boxes((inside, 0.95), (OBJECT, 0.9), (inside, 0.85))
        assert recall_at_false_alarms([image], [found], 0) == pytest.approx((1.0, 0.9))
        assert recall_at_false_alarms([image], [boxes((outside, 0.95), (OBJECT, 0.9))], 0)[0] == 0.0
        assert recall_at_false_alarms([image], [boxes((inside, 0.95, 1), (OBJECT, 0.9))], 0)[0] == 0.0

    def test_false_alarms_are_counted_over_all_images(self) -> None:
        # Given four images with an object each, found ever less confidently, and an alarm after every one.
        images = [labelled([OBJECT], image_id=number) for number in range(4)]
        found = [boxes((OBJECT, 0.9 - 0.2 * n), (ELSEWHERE, 0.8 - 0.2 * n)) for n in range(4)]
        for allowed, recall in ((0, 0.25), (0.25, 0.5), (0.49, 0.5), (0.5, 0.75), (1, 1.0)):
            assert recall_at_false_alarms(images, found, allowed)[0] == recall

    def test_a_rate_that_floats_cannot_hold_still_allows_its_alarms(self) -> None:
        assert 0.29 * 100 < 29
        images = [labelled([OBJECT], image_id=number) for number in range(100)]
        found = [boxes((ELSEWHERE, 0.9), (OBJECT, 0.5)) if n < 29 else NOTHING for n in range(100)]
        assert recall_at_false_alarms(images, found, 0.29)[0] == pytest.approx(0.29)
        assert recall_at_false_alarms(images, found, 0.28)[0] == 0.0

    def test_without_objects_it_is_nan(self) -> None:
        for image in (labelled([]), labelled([CROWD], [0], [True])):
            assert math.isnan(recall_at_false_alarms([image], [boxes((ELSEWHERE, 0.9))], 1)[0])
