"""Detection at its edges: no box, ten thousand, all alike, and a network that gives NaN."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.tiny import DETECTOR_SIZE_HW, detector_spec, save_weights
from torch import Tensor, nn

import saccade
from saccade_export.detection import DetectPlan
from saccade_export.exporting import ExportRequest, export_bundle
from saccade_export.seal import seal
from saccade_export.source import NetworkRequest

pytestmark = pytest.mark.torch

MANY = 10_000
AFTER_ENGINE_MS = 50.0
VARIANTS = ("fp32-cpu", "fp32-gpu")
FRAME = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)


class FixedBoxes(nn.Module):
    """``boxes`` (A, 4) and ``scores`` (A, C) whatever the image shows."""

    def __init__(self, count: int = MANY, classes: int = 3, spread: float = 1.0) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(0)
        corner = torch.rand(count, 2, generator=random) * 60
        self.boxes = nn.Parameter(torch.cat((corner, corner + 1 + torch.rand(count, 2, generator=random) * 30), dim=1))
        self.scores = nn.Parameter(0.5 + spread * (torch.rand(count, classes, generator=random) - 0.5))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        nothing = image.mean(dim=(1, 2, 3), keepdim=True)[:, 0] * 0
        return self.boxes[None] + nothing, self.scores[None] + nothing


def export(folder: Path, **arguments: float) -> Path:
    weights = save_weights(FixedBoxes(**arguments), folder / "w.safetensors")  # type: ignore[arg-type]
    source = NetworkRequest(f"{__name__}:FixedBoxes", weights, arguments)
    plan = DetectPlan(detector_spec("xyxy+scores", max_detections=100), "xyxy+scores")
    return export_bundle(ExportRequest(source, plan, "fixed"), folder / "fixed.saccade").bundle.path


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(tmp_path_factory.mktemp("many"))


def open_detector(path: Path, variant: str) -> saccade.DetectTask:
    task = saccade.open(path, variant=variant)
    assert isinstance(task, saccade.DetectTask)
    return task


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_box_is_an_empty_result(variant: str, many: Path) -> None:
    with open_detector(many, variant) as task:
        found = task(FRAME, confidence=1.0)
        assert (len(found), found.xyxy.shape, found.confidence.shape, found.class_id.shape) == (0, (0, 4), (0,), (0,))
        assert found.finite
        assert found.names == []
        assert found.to_coco(1) == []
        nothing, something = task([FRAME, FRAME], confidence=1.0)[0], task(FRAME)
        assert len(nothing) == 0
        assert len(something) > 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_ten_thousand_candidates_take_bounded_time(variant: str, many: Path) -> None:
    """All above the threshold: what follows the network, in the graph and after it, stays below the bound."""
    with open_detector(many, variant) as task:
        task(FRAME, confidence=0.0)
        timings = [task(FRAME, confidence=0.0, iou=iou).timing for iou in (0.01, 0.5, 1.0) * 5]
        assert sorted(timing.total_ms for timing in timings)[len(timings) // 2] <= AFTER_ENGINE_MS
        assert len(task(FRAME, confidence=0.0, iou=1.0, max_detections=300)) == 300
        assert len(task(FRAME, confidence=0.0, iou=0.01)) < 100


@pytest.mark.parametrize("variant", VARIANTS)
def test_equal_scores_keep_a_stable_order(variant: str, tmp_path: Path) -> None:
    path = export(tmp_path, spread=0.0, count=2000)
    boxes = FixedBoxes(2000, spread=0.0).boxes.detach().numpy()
    with open_detector(path, variant) as task:
        runs = [task(FRAME, iou=1.0, confidence=0.4, max_detections=20) for _ in range(5)]
        for one, other in itertools.pairwise(runs):
            np.testing.assert_array_equal(one.xyxy, other.xyxy)
        # The order is the network's own.
        scale = max(160 / DETECTOR_SIZE_HW[1], 120 / DETECTOR_SIZE_HW[0])
        np.testing.assert_allclose(
            runs[0].xyxy, np.clip(boxes[:20] * scale, 0, [160, 120, 160, 120]), rtol=0.02, atol=1
        )


def with_weights(bundle: Path, target: Path, change: Callable[[np.ndarray], np.ndarray]) -> Path:
    """The bundle with other values in its weights, sealed again."""
    opened = saccade.open_bundle(bundle)
    members = {name: bytes(opened.member(name)) for name in opened.manifest.members}
    weights = np.frombuffer(members["graphs/weights.bin"], np.float32)
    members["graphs/weights.bin"] = change(weights).astype(np.float32).tobytes()
    return seal(opened.manifest, members, target).path


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("variant", VARIANTS)
def test_weights_that_are_no_numbers_are_told_without_an_exception(
    variant: str, value: float, tiny_detector_bundle: Path, tmp_path: Path
) -> None:
    broken = with_weights(tiny_detector_bundle, tmp_path / "broken.saccade", lambda w: np.full_like(w, value))
    whole = with_weights(tiny_detector_bundle, tmp_path / "whole.saccade", lambda w: w)
    with open_detector(broken, variant) as task, open_detector(whole, variant) as control:
        assert not task(FRAME).finite
        assert len(task(FRAME)) == 0
        assert control(FRAME).finite
        assert len(control(FRAME)) > 0
