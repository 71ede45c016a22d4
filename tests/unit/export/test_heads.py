"""Every head: proven on both targets against eager PyTorch, and refused with the shapes when it does not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.tiny import CELLS, DETECTOR_SIZE_HW, TinyDetector, detector_spec, export_detector, seeded

import saccade
from saccade.errors import CheckError, RequestError
from saccade.spec import Letterbox, Stretch
from saccade_export.detection import DetectPlan
from saccade_export.heads import HEADS
from saccade_export.twin import DetectTwin

pytestmark = pytest.mark.torch


def frame_of(seed: int, height: int = 70, width: int = 90) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 10 + 1, width // 10 + 1, 3), np.uint8)
    return np.kron(coarse, np.ones((10, 10, 1), np.uint8))[:height, :width].copy()


@pytest.mark.parametrize("head", HEADS)
def test_every_head_is_proven_on_both_targets(head: str, tmp_path: Path) -> None:
    # Given a network of this layout, when it is exported, then both graphs agree with PyTorch and the control does not.
    report = export_detector(tmp_path, head)
    assert [proof.variant for proof in report.proofs] == ["fp32-cpu", "fp32-gpu"]
    assert all(proof.worst == 1 and proof.deviations["box_px"] < 0.05 for proof in report.proofs)
    assert all(proof.control_best < 1 for proof in report.proofs)
    # And both find boxes in frames that no proof has seen, the twin's.
    twin = DetectTwin(seeded(TinyDetector, head=head), detector_spec(head), HEADS[head](3, DETECTOR_SIZE_HW))
    expected = twin(frame_of(3))
    assert len(expected["xyxy"]) > 3
    for variant in ("fp32-cpu", "fp32-gpu"):
        with saccade.open(report.bundle.path, variant=variant) as task:
            found = task(frame_of(3))
            assert isinstance(found, saccade.Detections)
            np.testing.assert_allclose(found.xyxy, expected["xyxy"], atol=0.05)
            np.testing.assert_array_equal(found.class_id, expected["class_id"])


@pytest.mark.parametrize("resize", [Letterbox(0, "start"), Letterbox(200, "centre"), Stretch()])
@pytest.mark.parametrize("size_hw", [(33, 200), (200, 33), (64, 96), (1, 1), (7, 5)])
def test_every_resize_takes_frames_of_every_shape(
    resize: Letterbox | Stretch, size_hw: tuple[int, int], tmp_path: Path
) -> None:
    spec = detector_spec(resize=resize)
    report = export_detector(tmp_path, spec=spec)
    twin = DetectTwin(seeded(TinyDetector), spec, HEADS["yolox"](3, DETECTOR_SIZE_HW))
    frame = np.random.default_rng(1).integers(0, 256, (*size_hw, 3), np.uint8)
    expected = twin(frame)
    with saccade.open(report.bundle.path) as task:
        found = task(frame)
    assert isinstance(found, saccade.Detections)
    if size_hw == (1, 1):  # all cells see one pixel: which of equal boxes comes first is the engine's affair
        assert found.confidence.max() == pytest.approx(expected["confidence"].max(), abs=1e-4)
    else:
        np.testing.assert_allclose(found.xyxy, expected["xyxy"], atol=0.02)
    assert found.xyxy.min(initial=0) >= 0
    assert (found.xyxy <= [size_hw[1], size_hw[0]] * 2).all()


SHAPES = {
    "yolox": ([(CELLS, 7)], rf"expects \(N, {CELLS}, 8\) for 3 classes at 64x96, but .* gives \(N, {CELLS}, 7\)"),
    "yolox-one-to-one": ([(CELLS - 1, 7)], rf"expects \(N, {CELLS}, 7\).* gives \(N, {CELLS - 1}, 7\)"),
    "yolov5": ([(10, 9)], r"expects \(N, A, 8\) .* gives \(N, 10, 9\)"),
    "yolov8": ([(10, 7)], r"expects \(N, 7, A\) .* gives \(N, 10, 7\)"),
    "yolov10": ([(10, 7)], r"expects \(N, A, 6\), .* gives \(N, 10, 7\)"),
    "xyxy+scores": ([(10, 4), (9, 3)], r"expects \(N, A, 4\) and \(N, A, 3\).* gives \(N, 10, 4\) and \(N, 9, 3\)"),
    "detr": ([(10, 4), (10, 3)], r"expects \(N, A, 3\) and \(N, A, 4\).* gives \(N, 10, 4\) and \(N, 10, 3\)"),
}


@pytest.mark.parametrize("head", HEADS)
def test_outputs_that_do_not_fit_are_named_with_what_was_expected(head: str) -> None:
    shapes, said = SHAPES[head]
    with pytest.raises(RequestError, match=said):
        HEADS[head](3, DETECTOR_SIZE_HW).check(shapes)


def test_a_size_that_is_no_multiple_of_the_stride_is_named() -> None:
    with pytest.raises(RequestError, match=r"multiples of 32.*--imgsz is 60x96"):
        HEADS["yolox"](3, (60, 96)).check([(CELLS, 8)])


def test_more_detections_than_candidates_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="--max-det is 127, but a graph for cpu keeps 126"):
        export_detector(tmp_path, spec=detector_spec(max_detections=127))


def test_suppression_is_in_the_cpu_graph_alone_and_only_where_needed(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    for head, wanted in (("yolox", {"fp32-cpu": True, "fp32-gpu": False}), ("yolox-one-to-one", {})):
        bundle = export_detector(tmp_path, head, name=head).bundle
        for variant in bundle.manifest.variants:
            model = onnx.load_from_string(bytes(bundle.member(variant.graphs["main"])))
            has = any(node.op_type == "NonMaxSuppression" for node in model.graph.node)
            assert has == wanted.get(variant.name, False)


def test_a_bundle_of_other_boxes_is_not_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = DetectPlan.expect
    other = seeded(TinyDetector, seed=5)
    with torch.no_grad():
        monkeypatch.setattr(DetectPlan, "expect", lambda plan, _, frame: honest(plan, other, frame))
        with pytest.raises(CheckError, match=r"boxes are not within 0\.5 px"):
            export_detector(tmp_path)
    assert not list(tmp_path.glob("*.saccade"))
