"""Golden frames of detection: they repeat here, and what differs is found. Entries that make no sense are refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.archives import members_of, pack
from tests.commands import call

import saccade
from saccade.errors import BundleError
from saccade.kinds.detect import BoxCheck
from saccade.manifest import MANIFEST_NAME
from saccade.verify import verify

pytestmark = pytest.mark.torch

WEIGHTS = "graphs/weights.bin"
Change = Callable[[dict[str, Any]], None]


def resealed(bundle: Path, target: Path, changed: dict[str, bytes], change_manifest: Change = lambda _: None) -> Path:
    """The bundle with other members and another manifest, whose sizes and hashes agree."""
    members = {**members_of(bundle), **changed}
    manifest = json.loads(members[MANIFEST_NAME])
    change_manifest(manifest)
    for name, data in changed.items():
        manifest["members"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    target.write_bytes(pack({**members, MANIFEST_NAME: json.dumps(manifest).encode()}))
    return target


def checks_of(path: Path, variant: str = "auto") -> list[BoxCheck]:
    bundle = saccade.open_bundle(path)
    with saccade.open(bundle, device="cpu", variant=variant, threads=1) as task:
        checks = list(verify(bundle, task))
    assert all(isinstance(check, BoxCheck) for check in checks)
    return checks  # type: ignore[return-value]


def scaled(data: bytes, factor: float) -> bytes:
    return (np.frombuffer(data, np.float32) * np.float32(factor)).tobytes()


@pytest.mark.parametrize("variant", ["fp32-cpu", "fp32-gpu"])
def test_golden_boxes_repeat(tiny_detector_bundle: Path, variant: str) -> None:
    checks = checks_of(tiny_detector_bundle, variant)
    golden = saccade.open_bundle(tiny_detector_bundle).manifest.golden
    assert [check.frame for check in checks] == [entry.inputs["frame"].member for entry in golden]
    assert [check.size_hw for check in checks] == [entry.inputs["frame"].shape[:2] for entry in golden]
    assert all(check.passed for check in checks)
    assert sum(check.boxes for check in checks) > 10
    assert all(set(asdict(check)) >= {"frame", "size_hw", "missing", "extra", "finite"} for check in checks)


def test_other_weights_fail(tiny_detector_bundle: Path, tmp_path: Path) -> None:
    weights = scaled(members_of(tiny_detector_bundle)[WEIGHTS], 1.1)
    checks = checks_of(resealed(tiny_detector_bundle, tmp_path / "x.saccade", {WEIGHTS: weights}))
    assert not any(check.passed for check in checks)
    assert all(check.missing for check in checks)


def test_weights_that_are_not_finite_fail(tiny_detector_bundle: Path, tmp_path: Path) -> None:
    weights = scaled(members_of(tiny_detector_bundle)[WEIGHTS], np.nan)
    checks = checks_of(resealed(tiny_detector_bundle, tmp_path / "x.saccade", {WEIGHTS: weights}))
    assert not any(check.finite or check.passed for check in checks)


def test_a_moved_golden_box_is_missing_and_told(
    capfd: pytest.CaptureFixture[str], tiny_detector_bundle: Path, tmp_path: Path
) -> None:
    # Given a bundle whose first golden frame has its surest box three pixels too far right.
    stored = saccade.open_bundle(tiny_detector_bundle).manifest.golden[0].results["xyxy"]
    xyxy = np.frombuffer(members_of(tiny_detector_bundle)[stored.member], np.float32).copy()
    xyxy[[0, 2]] += 3
    bundle = resealed(tiny_detector_bundle, tmp_path / "x.saccade", {stored.member: xyxy.tobytes()})
    # When it is verified, then that frame alone fails, for the command line too.
    first, *others = checks_of(bundle)
    assert (first.missing, first.extra, first.passed) == (1, 1, False)
    assert first.box_px == pytest.approx(3, abs=0.1)
    assert all(check.passed for check in others)
    called = call(capfd, "verify", bundle, "--threads", "1")
    assert called.code == 1
    assert f"DIFFERS: {first.sentence}" in called.out.splitlines()[0]
    assert all(f"equal: {check.sentence}" in called.out for check in others)
    assert called.out.splitlines()[-1].startswith("FAILED")
    as_json = call(capfd, "verify", bundle, "--threads", "1", "--json")
    assert (as_json.code, as_json.document["passed"]) == (1, False)
    assert [frame["missing"] for frame in as_json.document["frames"]] == [1, *(0 for _ in others)]


def test_a_golden_frame_may_be_without_boxes(tiny_detector_bundle: Path, tmp_path: Path) -> None:
    # Given a golden frame for which PyTorch gave nothing at the confidence that was asked for.
    entry = saccade.open_bundle(tiny_detector_bundle).manifest.golden[0]
    empty = {stored.member: b"" for stored in entry.results.values()}

    def change(manifest: dict[str, Any], confidence: float = 1.0) -> None:
        manifest["golden"][0]["parameters"].update(confidence=confidence, floor=1.0)
        for stored in manifest["golden"][0]["results"].values():
            stored["shape"][0] = 0

    # When this machine finds nothing either it passes; when it finds boxes from the floor on it fails.
    quiet = checks_of(resealed(tiny_detector_bundle, tmp_path / "x.saccade", empty, change))[0]
    assert (quiet.boxes, quiet.extra, quiet.passed) == (0, 0, True)

    def loud(manifest: dict[str, Any]) -> None:
        change(manifest, confidence=0.2)
        manifest["golden"][0]["parameters"].update(floor=0.25)

    found = checks_of(resealed(tiny_detector_bundle, tmp_path / "y.saccade", empty, loud))[0]
    assert found.extra > 0
    assert not found.passed


def _of_results(name: str, **stored: Any) -> Change:
    return lambda manifest: manifest["golden"][0]["results"][name].update(stored)


def _of_parameters(**numbers: Any) -> Change:
    return lambda manifest: manifest["golden"][0]["parameters"].update(numbers)


BROKEN: dict[str, Change] = {
    "boxes of three numbers": _of_results("xyxy", shape=[10, 3]),
    "fewer confidences than boxes": _of_results("confidence", shape=[1]),
    "no class ids": _of_results("class_id", shape=[0]),
    "confidences in rows": _of_results("confidence", shape=[1, 4]),
    "whole numbers as boxes": _of_results("xyxy", dtype="int32"),
    "no floor": lambda manifest: manifest["golden"][0]["parameters"].pop("floor"),
    "no confidence": lambda manifest: manifest["golden"][0]["parameters"].pop("confidence"),
    "a floor above all": _of_parameters(floor=1.5),
    "a text as floor": _of_parameters(floor="0.3"),
    "a truth value as confidence": _of_parameters(confidence=True),
    "an overlap above all": _of_parameters(iou=2),
    "no detections": _of_parameters(max_detections=0),
    "an empty frame": lambda manifest: manifest["golden"][0]["inputs"]["frame"]["shape"].__setitem__(0, 0),
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN.keys())
def test_golden_entries_that_make_no_sense_are_refused(
    tiny_detector_bundle: Path, tmp_path: Path, change: Change
) -> None:
    with pytest.raises(BundleError, match=r"manifest\.golden\[0\]"):
        saccade.open_bundle(resealed(tiny_detector_bundle, tmp_path / "x.saccade", {}, change))


def test_class_maps_of_another_size_than_their_frame_are_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    def change(manifest: dict[str, Any]) -> None:
        shape = manifest["golden"][0]["results"]["class_map"]["shape"]
        shape[0], shape[1] = shape[1], shape[0]

    with pytest.raises(BundleError, match="class_map"):
        saccade.open_bundle(resealed(tiny_bundle, tmp_path / "x.saccade", {}, change))
