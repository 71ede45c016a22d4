"""The ready-made bundles where there is no PyTorch: they verify, run and repeat themselves here."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

import saccade
from saccade import scenes
from saccade.metrics import ConfusionMatrix
from saccade.metrics.psnr import psnr
from saccade.running import Outputs, run_source
from saccade.sources import open_source
from saccade.spec import Variant
from saccade.verify import verify


@pytest.mark.parametrize("name", ["shipped_bundle", "plates_bundle", "denoise_bundle"])
def test_its_golden_frames_repeat_here(name: str, request: pytest.FixtureRequest) -> None:
    bundle = saccade.open_bundle(request.getfixturevalue(name))
    for variant in bundle.manifest.variants:
        with saccade.open(bundle, device="cpu", variant=variant.name) as task:
            assert all(check.passed for check in verify(bundle, task))


def test_one_two_and_four_steps_share_their_weights(denoise_bundle: Path) -> None:
    bundle = saccade.open_bundle(denoise_bundle)

    def size(variants: Iterable[Variant]) -> int:
        names = {name for variant in variants for name in (*variant.graphs.values(), *variant.weights)}
        return sum(bundle.manifest.members[name].size for name in names)

    variants = bundle.manifest.variants
    assert {variant.parameters.get("steps") for variant in variants} == {1, 2, 4, None}
    assert size(variants) <= 1.25 * size(v for v in variants if v.parameters.get("steps") == 1)


def test_it_takes_the_noise_of_a_night(denoise_bundle: Path) -> None:
    clean = scenes.render(1, 0, (180, 240)).image
    noisy = np.clip(np.rint(clean + np.random.default_rng(0).normal(0, 20, clean.shape)), 0, 255).astype(np.uint8)
    with saccade.open(denoise_bundle, device="cpu") as task:
        assert isinstance(task, saccade.RestoreTask)
        results = [task(noisy, steps=steps) for steps in (1, 2, 4)]
    for result in results:
        assert result.sigma == pytest.approx(20, abs=2.5)
        assert psnr(np.asarray(result.image, np.uint8), clean) > psnr(noisy, clean) + 6


def test_weights_on_disk_give_what_weights_in_memory_give(shipped_bundle: Path) -> None:
    """ONNX Runtime before 1.24 takes weights from files alone."""
    import onnxruntime

    from saccade.opening import graph_of

    bundle = saccade.open_bundle(shipped_bundle)
    frame = scenes.render(1, 0, (180, 240)).image
    with graph_of(bundle, bundle.variant("fp32-cpu")).on_disk() as path:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs = {"frames": frame[None], "channel_order": np.array([0, 1, 2], np.int64)}
    (expected,) = session.run(["class_map"], inputs)
    with saccade.open(bundle, device="cpu") as task:
        assert np.mean(task(frame).class_map == expected[0]) >= 0.9999
    assert not path.exists()


def test_it_knows_a_rendered_road(shipped_bundle: Path) -> None:
    confusion = ConfusionMatrix.empty(len(scenes.CLASSES))
    with saccade.open(shipped_bundle, device="cpu") as task:
        for index in range(6):
            scene = scenes.render(index, 30 * index, (360, 480))
            confusion = confusion.add(task(scene.image).class_map, scene.class_map)
    iou = dict(zip(scenes.CLASSES, confusion.class_iou, strict=True))
    assert iou["road"] > 0.6
    assert iou["sky"] > 0.6


def test_a_drive_is_run_and_kept(shipped_bundle: Path, tmp_path: Path) -> None:
    outputs = Outputs(tmp_path / "out", class_maps=True, contact_sheet=True)
    with saccade.open(shipped_bundle, device="cpu") as task, open_source("scenes:frames=5,size=160x120") as source:
        summary = run_source(task, source, outputs)
    assert summary.frames == 5
    assert {path.name for path in summary.files} == {"results.jsonl", "overlay.mp4", "class_maps", "contact_sheet.png"}
    assert all(path.exists() for path in summary.files)
    assert len(list((tmp_path / "out" / "class_maps").iterdir())) == 5


def test_plates_are_found_kept_and_blurred_without_pytorch(plates_bundle: Path, tmp_path: Path) -> None:
    outputs = Outputs(tmp_path / "out", blurred=("license_plate",))
    with saccade.open(plates_bundle, device="cpu") as task, open_source("scenes:frames=3,size=320x180") as source:
        assert isinstance(task, saccade.DetectTask)
        found = task(scenes.render(1, 0, (180, 320)).image, confidence=0.0, max_detections=7)
        assert len(found) == 7
        assert found.names == ["license_plate"] * 7
        summary = run_source(task, source, outputs)
    assert summary.frames == 3
    assert all(path.exists() for path in summary.files)
