"""``saccade export --task restore``: what a user says, what the bundle then holds, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file
from tests.commands import Called, call
from tests.tiny import TinyBridge, save_weights, seeded

import saccade
from saccade.errors import BundleError
from saccade.spec import RestoreSpec, Tiling
from saccade_export.contract import restore_spec
from saccade_export.exporting import ExportRequest, export_bundle
from saccade_export.restoration import RestorePlan
from saccade_export.source import NetworkRequest
from saccade_export.step_tables import bridge_table
from saccade_models.bridge_unet import BridgeUNet

pytestmark = pytest.mark.torch

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return save_weights(seeded(TinyBridge), tmp_path / "weights.safetensors")


def export(capfd: Capture, weights: Path, *more: str | Path, network: str = "tests.tiny:TinyBridge") -> Called:
    """``saccade export --task restore`` of the tiny bridge into ``x.saccade`` beside its weights."""
    files = ("--weights", weights, "-o", weights.parent / "x.saccade")
    return call(capfd, "export", network, *files, "--task", "restore", *more)


def test_all_that_was_said_is_in_the_bundle(capfd: Capture, weights: Path, tmp_path: Path) -> None:
    called = export(
        capfd,
        weights,
        *("--mode", "denoise", "--steps", "3", "--sigma", "12", "--sigma-range", "5", "40", "--dead-zone", "6"),
        *("--multiple", "4", "--tile", "256", "--overlap", "32", "--grey-levels", "2", "--color", "bgr", "--json"),
    )
    assert called.code == 0, called.err
    opened = saccade.open_bundle(tmp_path / "x.saccade")
    spec = opened.manifest.task
    assert isinstance(spec, RestoreSpec)
    assert (spec.mode, spec.steps, spec.sigma, spec.sigma_range, spec.dead_zone) == ("denoise", (3,), 12, (5, 40), 6)
    assert (spec.image.multiple, spec.image.channel_order, spec.tiling) == (4, "bgr", Tiling(256, 32))
    assert spec.tables == {"3": bridge_table(3)}
    assert {variant.tolerances["grey_levels"] for variant in opened.manifest.variants} == {2}
    assert {proof["variant"] for proof in called.document["proofs"]} == {v.name for v in opened.manifest.variants}
    assert all(golden.parameters["sigma"] == 12 for golden in opened.manifest.golden)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        *((("--steps", text), "--steps") for text in ("0", "-1", "51", "1,,2", "1.5", "many", "1,2,3,4,5,6,7", "²")),
        (("--steps", ""), "--steps"),
        (("--steps", "9" * 5000), "--steps"),
        (("--sigma-range", "40", "5"), "a range of sigma must rise"),
        (("--sigma-range", "-1", "5"), "--sigma-range"),
        (("--sigma-range", "0", "256"), "a range of sigma must rise within 0 to 255"),
        (("--sigma-range", "nan", "5"), "not a finite number"),
        (("--sigma-range", "5"), "--sigma-range"),
        (("--sigma", "61"), "the default sigma must be 0 to 60"),
        (("--sigma", "-1"), "--sigma"),
        (("--sigma", "inf"), "not a finite number"),
        (("--sigma", "measured"), "--sigma"),
        (("--dead-zone", "61"), "the dead zone must be from 0 to below 60"),
        (("--dead-zone", "60"), "the dead zone must be from 0 to below 60"),
        (("--sigma", "2"), "the default sigma must be above the dead zone of 3, in which frames stay as they are"),
        (("--dead-zone", "-3"), "--dead-zone"),
        (("--mode", "sharpen"), "--mode"),
        (("--mode", "inpaint", "--sigma-range", "0", "60"), "has no sigma"),
        (("--mode", "super-resolution", "--sigma", "5"), "sigma"),
        (("--mode", "inpaint", "--dead-zone", "3"), "dead zone"),
        (("--mode", "deblur", "--sigma", "3"), "the default sigma must be 1 to 2.2"),
        (("--multiple", "0"), "--multiple"),
        (("--multiple", "257"), "--multiple"),
        (("--tile", "63"), "--tile"),
        (("--tile", "128", "--overlap", "64"), "--overlap must be below half of --tile 128"),
        (("--tile", "64"), "--overlap must be below half of --tile 64"),
        (("--grey-levels", "65"), "--grey-levels"),
        (("--imgsz", "64"), "--imgsz is not for --task restore"),
        (("--head", "yolox"), "--head is not for --task restore"),
        (("--threshold", "0.5"), "--threshold is not for --task restore"),
        (("--classes", "classes.txt"), "is not for --task restore"),
        (("--output", "0"), "--output is not for --task restore"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else None,
)
def test_what_cannot_be_meant_is_code_2(capfd: Capture, weights: Path, options: tuple[str, ...], said: str) -> None:
    called = export(capfd, weights, *options)
    assert (called.code, called.out) == (2, "")
    assert said in called.err
    assert [path.name for path in weights.parent.iterdir()] == ["weights.safetensors"]


@pytest.mark.parametrize("task", ["segment", "detect"])
def test_options_of_restoration_are_for_restoration(capfd: Capture, weights: Path, task: str) -> None:
    for option in (("--mode", "denoise"), ("--steps", "1"), ("--sigma", "5"), ("--tile", "128"), ("--overlap", "8")):
        called = export(capfd, weights, *option, "--task", task)
        assert called.code == 2
        assert f"{option[0]} is not for --task {task}" in called.err


@pytest.mark.parametrize(
    ("task", "option"),
    [
        ("restore", ("--pad", "0")),
        ("restore", ("--conf", "0")),
        ("restore", ("--nms",)),
        ("restore", ("--confidence",)),
        ("restore", ("--output", "0")),
        ("restore", ("--classes", "c.txt")),
        ("segment", ("--sigma", "0")),
        ("segment", ("--grey-levels", "0")),
        ("detect", ("--overlap", "0")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)
def test_a_zero_was_given_too(capfd: Capture, weights: Path, task: str, option: tuple[str, ...]) -> None:
    called = export(capfd, weights, *option, "--task", task)
    assert called.code == 2
    assert f"{option[0]} is not for --task {task}; drop it" in called.err


def test_what_was_switched_off_was_given_too(capfd: Capture, weights: Path) -> None:
    assert "--nms is not for --task restore; drop it" in export(capfd, weights, "--no-nms").err


def test_weights_of_another_mode_are_refused(capfd: Capture, weights: Path, tmp_path: Path) -> None:
    network = seeded(TinyBridge)
    for mode, code in (("inpaint", 2), ("denoise", 0)):
        save_file(network.state_dict(), weights, {"config": json.dumps({"mode": mode})})
        called = export(capfd, weights, "--steps", "1")
        assert called.code == code
        assert ("was trained for mode 'inpaint', but is to be exported as 'denoise'" in called.err) == (code == 2)


def test_the_arguments_that_weights_were_trained_with_are_told(capfd: Capture, weights: Path) -> None:
    wide = BridgeUNet(widths=(8, 8, 8), blocks=(1, 1, 1))
    save_file(wide.state_dict(), weights, {"config": json.dumps({"widths": [8, 8, 8], "blocks": [1, 1, 1]})})
    for arguments in ((), ("--arg", "widths=[8,8,16]", "--arg", "blocks=[1,1,1]")):
        called = export(capfd, weights, *arguments, network="saccade_models.bridge_unet:BridgeUNet")
        assert called.code == 3
        assert "it was trained with --arg widths=[8,8,8] --arg blocks=[1,1,1]" in called.err


def test_a_restorer_comes_from_pytorch(capfd: Capture, weights: Path, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"")
    called = call(capfd, "export", tmp_path / "net.onnx", "--task", "restore", "-o", tmp_path / "x.saccade")
    assert called.code == 2
    assert "a restorer is exported from PyTorch code" in called.err


def test_a_table_that_adds_noise_is_no_bundle(weights: Path, tmp_path: Path) -> None:
    """The steps of a restorer are given none."""
    usual: dict[str, Any] = {"1": bridge_table(1)}
    noisy = replace(usual["1"], rows=((1.0, -1.0, 0.5),))
    plan = RestorePlan(restore_spec("denoise", {"1": noisy}))
    request = ExportRequest(NetworkRequest("tests.tiny:TinyBridge", weights), plan, "noisy")
    with pytest.raises(BundleError, match=r"tables.1: must add no noise"):
        export_bundle(request, tmp_path / "noisy.saccade")
    assert [path.name for path in tmp_path.iterdir()] == ["weights.safetensors"]
