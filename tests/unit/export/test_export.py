"""Anyone's network: outputs of every kind, one class, other channel orders, failed captures, failed proofs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.tiny import (
    TinyDict,
    TinyDynamic,
    TinyNet,
    TinyShares,
    TinyTuple,
    export_tiny,
    save_weights,
    seeded,
    segment_request,
    tiny_spec,
)

import saccade
from saccade.errors import CaptureError, CheckError, OutputError, RequestError
from saccade_export.exporting import export_bundle
from saccade_export.precision.graphs import model_of
from saccade_export.segmentation import SegmentPlan
from saccade_export.twin import SegmentTwin

pytestmark = pytest.mark.torch


def frame_of(seed: int, height: int = 70, width: int = 90) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 10 + 1, width // 10 + 1, 3), np.uint8)
    return np.kron(coarse, np.ones((10, 10, 1), np.uint8))[:height, :width].copy()


def test_one_of_several_outputs_is_chosen_by_name(tmp_path: Path) -> None:
    first = saccade.open(export_tiny(tmp_path, TinyDict, output="out"))(frame_of(0)).class_map
    twin = SegmentTwin(seeded(TinyNet), tiny_spec())
    assert np.mean(first == twin(frame_of(0))) >= 0.999
    other = saccade.open(export_tiny(tmp_path, TinyDict, output="aux"))(frame_of(0)).class_map
    assert not np.array_equal(first, other)


def test_a_softmax_over_classes_is_spelled_out_for_cpus_alone(tmp_path: Path) -> None:
    bundle = saccade.open_bundle(export_tiny(tmp_path, TinyShares))
    operators = {
        variant.target: {node.op_type for node in model_of(bundle, variant).graph}
        for variant in bundle.manifest.variants
    }
    assert {target: "Softmax" in found for target, found in operators.items()} == {"cpu": False, "gpu": True}
    found = saccade.open(bundle)(frame_of(0)).class_map
    assert np.mean(found == SegmentTwin(seeded(TinyShares), tiny_spec())(frame_of(0))) >= 0.999


def test_tuples_and_lists_are_chosen_from_by_number(tmp_path: Path) -> None:
    first = saccade.open(export_tiny(tmp_path, TinyTuple, output="0"))(frame_of(0)).class_map
    second = saccade.open(export_tiny(tmp_path, TinyTuple, output="1"))(frame_of(0)).class_map
    twin = SegmentTwin(seeded(TinyNet), tiny_spec())
    assert np.mean(first == twin(frame_of(0))) >= 0.999
    assert not np.array_equal(first, second)


def test_several_outputs_without_a_choice_are_listed(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"out float32 \(2, 3, 8, 12\), aux .*--output"):
        export_tiny(tmp_path, TinyDict)
    assert not (tmp_path / "tiny.saccade").exists()


def test_one_class_is_thresholded_and_the_threshold_can_change(tmp_path: Path) -> None:
    spec = tiny_spec(1, threshold=0.6)
    task = saccade.open(export_tiny(tmp_path, spec=spec, arguments={"classes": 1}))
    assert task.classes == ("background", "class0")
    shares = [float(np.mean(task(frame_of(0), threshold=t).class_map)) for t in (0.01, 0.3, 0.6, 0.9, 0.999)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > shares[-1]
    assert float(np.mean(task(frame_of(0)).class_map)) == shares[2]
    with pytest.raises(RequestError, match="between 0 and 1"):
        task(frame_of(0), threshold=1.5)


def test_confidence_is_the_softmax_of_the_upsampled_scores(tmp_path: Path) -> None:
    task = saccade.open(export_tiny(tmp_path, spec=tiny_spec(has_confidence=True)))
    frame = frame_of(0)
    result = task(frame)
    twin = SegmentTwin(seeded(TinyNet), tiny_spec())
    with torch.inference_mode():
        scores = twin.network(twin._image(frame))
        scores = torch.nn.functional.interpolate(scores, frame.shape[:2], mode="bilinear", align_corners=False)
        expected = scores.softmax(1).max(1).values[0].numpy()
    assert result.confidence is not None
    np.testing.assert_allclose(result.confidence, expected, atol=1e-4)


def test_confidence_of_one_class_is_that_of_the_side_chosen(tmp_path: Path) -> None:
    spec = tiny_spec(1, has_confidence=True)
    result = saccade.open(export_tiny(tmp_path, spec=spec, arguments={"classes": 1}))(frame_of(0))
    assert result.confidence is not None
    assert result.confidence.min() >= 0.5 - 1e-6
    assert 0 < result.class_map.mean() < 1


def test_a_bgr_network_gets_bgr(tmp_path: Path) -> None:
    rgb = saccade.open(export_tiny(tmp_path, name="rgb"))(frame_of(0)).class_map
    bgr_task = saccade.open(export_tiny(tmp_path, name="bgr", spec=tiny_spec(channel_order="bgr")))
    assert not np.array_equal(bgr_task(frame_of(0)).class_map, rgb)
    twin = SegmentTwin(seeded(TinyNet), tiny_spec(channel_order="bgr"))
    assert np.mean(bgr_task(frame_of(0)).class_map == twin(frame_of(0))) >= 0.999


def test_a_network_that_dynamo_refuses_falls_back_with_a_reason_and_the_same_proof(tmp_path: Path) -> None:
    said: list[str] = []
    weights = save_weights(seeded(TinyDynamic), tmp_path / "w.safetensors")
    request = segment_request(weights, network="TinyDynamic")
    report = export_bundle(request, tmp_path / "d.saccade", said.append)
    assert report.capture_fallback
    assert any("dynamo cannot capture" in line for line in said)
    assert all(proof.worst >= 0.999 and proof.frames >= 4 for proof in report.proofs)


def test_a_class_list_of_the_wrong_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"4 classes were given .* gives 3 scores"):
        export_tiny(tmp_path, spec=tiny_spec(4))
    with pytest.raises(RequestError, match="one score, but this network gives 3; name a class for each"):
        export_tiny(tmp_path, spec=tiny_spec(1))


def test_a_network_that_does_not_match_its_bundle_is_not_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = export_tiny(tmp_path).read_bytes()

    honest = SegmentPlan.expect
    monkeypatch.setattr(SegmentPlan, "expect", lambda plan, _, frame: honest(plan, seeded(TinyNet, seed=9), frame))
    with pytest.raises(CheckError, match="differs from its network"):
        export_tiny(tmp_path)
    assert (tmp_path / "tiny.saccade").read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_a_proof_that_cannot_fail_is_refused(tmp_path: Path) -> None:
    network = seeded(TinyNet)
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.copy_(torch.tensor([5.0, 5.0, 5.0]))
    weights = save_weights(network, tmp_path / "w.safetensors")
    with pytest.raises(CheckError, match="cannot tell this network"):
        export_bundle(segment_request(weights), tmp_path / "f.saccade")


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        export_bundle(
            segment_request(save_weights(seeded(TinyNet), tmp_path / "w.safetensors")), tmp_path / "file" / "x.saccade"
        )


def test_equal_tensors_are_stored_once(tmp_path: Path) -> None:
    bundle = saccade.open_bundle(export_tiny(tmp_path, arguments={"width": 32}, spec=tiny_spec()))
    parameters = sum(value.nbytes for value in seeded(TinyNet, width=32).state_dict().values())
    assert len(bundle.manifest.variants) == 2
    assert len(bundle.member("graphs/weights.bin")) <= 1.05 * parameters
