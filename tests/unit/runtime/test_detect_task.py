"""A detection task opened from a bundle: frames in, boxes that own their arrays out."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import saccade
from saccade.boxes import iou_matrix
from saccade.errors import FrameError, RequestError
from saccade.kinds.detect import compare_boxes

pytestmark = pytest.mark.torch

VARIANTS = ("fp32-cpu", "fp32-gpu")


def frame_of(seed: int, height: int = 80, width: int = 110) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    return np.kron(coarse, np.ones((8, 8, 1), np.uint8))[:height, :width].copy()


def same(one: saccade.Detections, other: saccade.Detections) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("xyxy", "confidence", "class_id"))


def whole(result: saccade.Detections) -> saccade.Detections:
    """The boxes that the frame's edge does not cut: suppression sees boxes as the network gave them."""
    height, width = result.frame_hw
    inside = ((result.xyxy > 0) & (result.xyxy < (width, height, width, height))).all(1)
    return replace(
        result, xyxy=result.xyxy[inside], confidence=result.confidence[inside], class_id=result.class_id[inside]
    )


def most_overlap(result: saccade.Detections, *, agnostic: bool) -> float:
    """The largest IoU of two boxes, of one class unless ``agnostic``."""
    rivals = np.ones((len(result),) * 2) if agnostic else result.class_id[:, None] == result.class_id[None]
    return float(np.triu(iou_matrix(result.xyxy, result.xyxy) * rivals, 1).max(initial=0))


@pytest.fixture(params=VARIANTS)
def task(tiny_detector_bundle: Path, request: pytest.FixtureRequest) -> saccade.DetectTask:
    opened = saccade.open(tiny_detector_bundle, device="cpu", variant=request.param, threads=1)
    assert isinstance(opened, saccade.DetectTask)
    return opened


@pytest.fixture(scope="module")
def unsuppressed_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose network gives one box an object."""
    pytest.importorskip("torch")
    from tests.tiny import export_tiny_detector

    return export_tiny_detector(tmp_path_factory.mktemp("unsuppressed"), "detr")


class TestResults:
    def test_boxes_lie_in_the_frame_the_most_confident_first(self, task: saccade.DetectTask) -> None:
        result = task(frame_of(0), captured_ns=time.monotonic_ns())
        assert len(result) == len(result.xyxy) == len(result.confidence) == len(result.class_id) > 5
        assert (result.xyxy.dtype, result.confidence.dtype, result.class_id.dtype) == (np.float32, np.float32, np.int64)
        assert (result.xyxy >= 0).all()
        assert (result.xyxy <= (110, 80, 110, 80)).all()
        assert (result.xyxy[:, 2:] >= result.xyxy[:, :2]).all()
        assert (np.diff(result.confidence) <= 0).all()
        assert result.confidence.min() >= task.spec.confidence
        assert set(result.class_id.tolist()) <= {0, 1, 2}
        assert (result.frame_hw, result.finite) == ((80, 110), True)
        assert (result.origin.engine, result.origin.device, result.origin.variant) == (
            "onnxruntime",
            "cpu",
            task.variant,
        )
        assert result.timing.engine_ms > 0
        assert result.origin.age_ms is not None
        assert result.origin.age_ms >= result.timing.total_ms

    def test_the_variants_agree(self, tiny_detector_bundle: Path) -> None:
        found = []
        for variant in VARIANTS:
            with saccade.open(tiny_detector_bundle, device="cpu", variant=variant) as task:
                result = task(frame_of(0), confidence=0.2)  # type: ignore[call-arg]
                found.append((result.xyxy, result.confidence, result.class_id))
        assert compare_boxes(*found, floor=0.25, box_px=0.01, confidence=1e-4).passed
        assert not compare_boxes(
            *[(part[0] + i, *part[1:]) for i, part in enumerate(found)], floor=0.25, box_px=0.01, confidence=1e-4
        ).passed

    def test_no_two_boxes_of_a_class_overlap_by_more_than_asked(self, task: saccade.DetectTask) -> None:
        strict, loose = (whole(task(frame_of(1), iou=iou, confidence=0.05)) for iou in (0.1, 1.0))
        assert 0 < most_overlap(strict, agnostic=False) <= 0.1 + 1e-4 < most_overlap(strict, agnostic=True)
        assert most_overlap(loose, agnostic=False) > 0.2

    def test_held_results_do_not_change(self, task: saccade.DetectTask) -> None:
        held = [task(frame_of(seed)) for seed in range(40)]
        again = [task(frame_of(seed)) for seed in range(40)]
        assert all(same(first, second) for first, second in zip(held, again, strict=True))
        assert len({result.xyxy.tobytes() for result in held}) == 40

    def test_weights_that_are_not_finite_are_flagged(self, tiny_detector_bundle: Path, tmp_path: Path) -> None:
        path = poison(tiny_detector_bundle, tmp_path / "poisoned.saccade")
        for variant in VARIANTS:
            with saccade.open(path, device="cpu", variant=variant) as task:
                assert task(frame_of(0)).finite is False


class TestWhatACallAsksFor:
    def test_a_higher_confidence_keeps_the_surest(self, task: saccade.DetectTask) -> None:
        everything = task(frame_of(0), confidence=0.3)
        surest = task(frame_of(0), confidence=0.5)
        count = int((everything.confidence >= 0.5).sum())
        assert 0 < len(surest) == count < len(everything)
        np.testing.assert_array_equal(surest.xyxy, everything.xyxy[:count])

    def test_fewer_detections_are_the_first(self, task: saccade.DetectTask) -> None:
        everything, few = task(frame_of(0)), task(frame_of(0), max_detections=3)
        assert len(few) == 3 < len(everything)
        np.testing.assert_array_equal(few.xyxy, everything.xyxy[:3])

    @pytest.mark.parametrize("classes", [["class1"], [1], "class1", 1, ["class1", 1]])
    def test_classes_are_kept_by_name_or_id(self, task: saccade.DetectTask, classes: Any) -> None:
        everything, kept = task(frame_of(0)), task(frame_of(0), classes=classes)
        assert 0 < len(kept) < len(everything)
        np.testing.assert_array_equal(kept.xyxy, everything.of("class1"))
        assert set(kept.names) == {"class1"}
        assert len(task(frame_of(0), classes=[])) == 0

    def test_agnostic_suppression_compares_all_boxes(self, task: saccade.DetectTask) -> None:
        by_class, agnostic = task(frame_of(0), iou=0.3), task(frame_of(0), iou=0.3, agnostic=True)
        assert 0 < len(agnostic) < len(by_class)
        assert most_overlap(whole(agnostic), agnostic=True) <= 0.3 + 1e-4 < most_overlap(whole(by_class), agnostic=True)

    def test_a_call_changes_nothing_for_the_next(self, task: saccade.DetectTask) -> None:
        expected = task(frame_of(0))
        task(frame_of(0), confidence=0.9, iou=0.1, max_detections=1, classes=[2], agnostic=True)
        assert same(task(frame_of(0)), expected)

    @pytest.mark.parametrize(
        ("asked", "reason"),
        [
            ({"classes": ["car"]}, "class 'car' is not in the model; its 3 classes are class0, class1, class2"),
            ({"classes": [3]}, "class 3 is not in the model"),
            ({"classes": [-1]}, "class -1 is not"),
            ({"confidence": 1.1}, "confidence must be 0 to 1, but got 1.1"),
            ({"confidence": float("nan")}, "confidence must be"),
            ({"iou": -0.1}, "iou must be 0 to 1"),
            ({"max_detections": 0}, "max_detections must be 1 to"),
            ({"max_detections": 100_000}, "candidates of variant"),
        ],
    )
    def test_what_cannot_be_is_refused(self, task: saccade.DetectTask, asked: dict[str, Any], reason: str) -> None:
        with pytest.raises(RequestError, match=reason):
            task(frame_of(0), **asked)
        assert len(task(frame_of(0))) > 5  # and the task goes on

    @pytest.mark.parametrize("asked", [{"iou": 0.5}, {"agnostic": True}])
    def test_suppression_where_there_is_none_is_refused(self, unsuppressed_bundle: Path, asked: dict[str, Any]) -> None:
        with saccade.open(unsuppressed_bundle) as task:
            assert task.spec.suppression == "none"  # type: ignore[union-attr]
            assert len(task(frame_of(0), confidence=0.05)) > 0  # type: ignore[call-arg]
            with pytest.raises(RequestError, match="needs none; drop them"):
                task(frame_of(0), **asked)


class TestFrames:
    def test_a_batch_gives_what_single_frames_give(self, task: saccade.DetectTask) -> None:
        frames = [frame_of(seed) for seed in range(3)]
        single = [task(frame) for frame in frames]
        for batch in (frames, np.stack(frames)):
            results = task(batch)
            assert isinstance(results, list)
            for found, expected in zip(results, single, strict=True):
                assert len(found) == len(expected)
                np.testing.assert_allclose(found.xyxy, expected.xyxy, atol=1e-3)
                np.testing.assert_array_equal(found.class_id, expected.class_id)

    def test_bgr_frames_are_swapped_where_declared(self, task: saccade.DetectTask) -> None:
        frame = frame_of(1)
        expected, swapped = task(frame), np.ascontiguousarray(frame[..., ::-1])
        assert same(task(swapped, pixel_format="bgr24"), expected)
        assert not same(task(swapped), expected)

    def test_strides_do_not_matter(self, task: saccade.DetectTask) -> None:
        view = frame_of(2, 160, 220)[::2, 1::2]
        assert same(task(view), task(view.copy()))

    @pytest.mark.parametrize("size_hw", [(1, 1), (2, 300), (300, 2), (64, 96), (65, 97)])
    def test_boxes_of_any_frame_lie_in_it(self, task: saccade.DetectTask, size_hw: tuple[int, int]) -> None:
        result = task(frame_of(0, *size_hw), confidence=0.05)
        height, width = size_hw
        assert result.frame_hw == size_hw
        assert ((result.xyxy >= 0) & (result.xyxy <= (width, height, width, height))).all()

    def test_frame_ids_count_up_or_are_the_cameras(self, task: saccade.DetectTask) -> None:
        assert [task(frame_of(0)).origin.frame_id for _ in range(2)] == [0, 1]
        assert task(frame_of(0), frame_id=70).origin.frame_id == 70
        assert [result.origin.frame_id for result in task([frame_of(0), frame_of(1)])] == [71, 72]

    def test_submit_and_wait_give_what_calling_gives(self, task: saccade.DetectTask) -> None:
        expected = task(frame_of(0), confidence=0.4)
        task.submit(frame_of(0), confidence=0.4)
        (result,) = task.wait()
        assert same(result, expected)
        with pytest.raises(RequestError, match="without submit"):
            task.wait()

    def test_what_is_no_frame_is_refused(self, task: saccade.DetectTask) -> None:
        for frame in (np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.uint8), "frame.png", []):
            with pytest.raises(FrameError):
                task(frame)  # type: ignore[call-overload]


def test_two_threads_on_two_clones_give_what_one_gives(task: saccade.DetectTask) -> None:
    frames = [frame_of(seed) for seed in range(20)]
    expected = [task(frame) for frame in frames]
    found: dict[int, list[saccade.Detections]] = {}

    def work(index: int, own: saccade.DetectTask) -> None:
        found[index] = [own(frame) for frame in frames]

    threads = [threading.Thread(target=work, args=(index, task.clone())) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    for results in found.values():
        assert all(same(a, b) for a, b in zip(results, expected, strict=True))


def poison(bundle: Path, target: Path) -> Path:
    """The bundle with weights that are not finite, sealed again."""
    import hashlib
    import json

    from tests.archives import members_of, pack

    members = members_of(bundle)
    weights = np.full(len(members["graphs/weights.bin"]) // 4, np.nan, np.float32).tobytes()
    manifest = json.loads(members["manifest.json"])
    manifest["members"]["graphs/weights.bin"]["sha256"] = hashlib.sha256(weights).hexdigest()
    changed = {"graphs/weights.bin": weights, "manifest.json": json.dumps(manifest).encode()}
    target.write_bytes(pack({**members, **changed}))
    return target
