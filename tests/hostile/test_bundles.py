"""Bundles that are damaged or made to harm: each is refused before anything in it is parsed, by a BundleError."""

from __future__ import annotations

import hashlib
import io
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.archives import members_of, pack

import saccade
from saccade.bundle import open_bundle
from saccade.errors import BundleError
from saccade.manifest import MANIFEST_NAME

pytestmark = pytest.mark.torch


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def refusal(path: Path) -> BundleError:
    with pytest.raises(BundleError) as caught:
        saccade.open(path)
    assert caught.value.field
    assert caught.value.reason
    return caught.value


def with_manifest(bundle: Path, target: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """The bundle with its manifest changed, everything else consistent."""
    members = members_of(bundle)
    manifest = json.loads(members[MANIFEST_NAME])
    changed = change(manifest)
    text = changed if isinstance(changed, bytes) else json.dumps(manifest).encode()
    return write(target, pack({**members, MANIFEST_NAME: text}))


def resealed(bundle: Path, target: Path, changed: dict[str, bytes]) -> Path:
    """The bundle with other members, and a manifest that states their sizes and hashes."""
    members = {**members_of(bundle), **changed}
    manifest = json.loads(members[MANIFEST_NAME])
    for name, data in changed.items():
        manifest["members"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return write(target, pack({**members, MANIFEST_NAME: json.dumps(manifest).encode()}))


def test_the_packer_of_these_tests_makes_bundles_that_open(tiny_bundle: Path, tmp_path: Path) -> None:
    assert open_bundle(write(tmp_path / "same.saccade", pack(members_of(tiny_bundle)))).manifest.name == "tiny"


@pytest.mark.parametrize(
    "data",
    [b"", b"PK", b"not a zip at all" * 100, b"\x89PNG\r\n" + bytes(1000), b"PK\x03\x04" + bytes(2000)],
    ids=["empty", "two bytes", "text", "image", "zip signature alone"],
)
def test_foreign_files_are_refused(data: bytes, tmp_path: Path) -> None:
    assert "bundle" in str(refusal(write(tmp_path / "x.saccade", data))) or "zip" in str(
        refusal(tmp_path / "x.saccade")
    )


def test_a_zip_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.saccade", pack({"readme.txt": b"hello"}))
    assert refusal(path).field == MANIFEST_NAME


def test_a_folder_or_a_missing_file_is_refused(tmp_path: Path) -> None:
    refusal(tmp_path)
    refusal(tmp_path / "absent.saccade")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_truncated_files_are_refused(tiny_bundle: Path, tmp_path: Path, share: float) -> None:
    data = tiny_bundle.read_bytes()
    refusal(write(tmp_path / "x.saccade", data[: int(len(data) * share)]))


def test_one_bit_anywhere_is_noticed(tiny_bundle: Path, tmp_path: Path) -> None:
    data = tiny_bundle.read_bytes()
    random = np.random.default_rng(0)
    for position in random.integers(0, len(data), 300):
        changed = bytearray(data)
        changed[position] ^= 1 << random.integers(8)
        path = write(tmp_path / "x.saccade", bytes(changed))
        try:
            open_bundle(path)
        except BundleError:
            continue
        # What no check covers must be what no reader uses: padding, times and versions in the zip's own headers.
        assert members_of(path) == members_of(tiny_bundle)


def test_a_changed_weight_is_refused_by_name(tiny_bundle: Path, tmp_path: Path) -> None:
    data = bytearray(tiny_bundle.read_bytes())
    weights = members_of(tiny_bundle)["graphs/weights.bin"]
    data[data.index(weights) + len(weights) // 2] ^= 1
    assert refusal(write(tmp_path / "x.saccade", bytes(data))).field == "graphs/weights.bin"


def test_a_changed_graph_is_refused_before_the_engine_sees_it(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("the engine was reached")

    monkeypatch.setattr("saccade.engines.load", fail)
    data = bytearray(tiny_bundle.read_bytes())
    graph = members_of(tiny_bundle)["graphs/main.fp32-cpu.onnx"]
    data[data.index(graph) + 5] ^= 1
    assert refusal(write(tmp_path / "x.saccade", bytes(data))).field == "graphs/main.fp32-cpu.onnx"
    with pytest.raises(AssertionError, match="reached"):
        saccade.open(tiny_bundle)


def test_a_member_of_the_wrong_size_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    members = members_of(tiny_bundle)
    members["graphs/weights.bin"] += b"\0"
    error = refusal(write(tmp_path / "x.saccade", pack(members)))
    assert error.field == "graphs/weights.bin"
    assert "bytes" in error.reason


def test_a_missing_or_an_extra_member_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    members = members_of(tiny_bundle)
    without = {name: data for name, data in members.items() if name != "golden/001.frame"}
    assert refusal(write(tmp_path / "a.saccade", pack(without))).field == "golden/001.frame"
    assert refusal(write(tmp_path / "b.saccade", pack({**members, "notes.txt": b"x"}))).field == "notes.txt"


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "a/../../evil",
        "/etc/evil",
        "C:\\evil",
        "a\\b",
        "a//b",
        "a/",
        ".hidden",
        "a b",
        "nul\0x",
        "ä",
        "a" * 300,
    ],
)
def test_hostile_member_names_are_refused_not_rewritten(tiny_bundle: Path, tmp_path: Path, name: str) -> None:
    before = {path for path in tmp_path.parent.rglob("*") if "evil" in path.name}
    members = {**members_of(tiny_bundle), name: b"x"}
    refusal(write(tmp_path / "x.saccade", pack(members)))
    assert {path for path in tmp_path.parent.rglob("*") if "evil" in path.name} == before


@pytest.mark.parametrize("name", ["../evil", "/evil", "graphs/../../evil", "a\\b"])
def test_hostile_names_in_the_manifest_are_refused(tiny_bundle: Path, tmp_path: Path, name: str) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["variants"][0]["graphs"]["main"] = name
        manifest["members"][name] = {"size": 1, "sha256": "0" * 64}

    assert "graphs" in refusal(with_manifest(tiny_bundle, tmp_path / "x.saccade", change)).field


def test_a_duplicate_key_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    def change(manifest: dict[str, Any]) -> bytes:
        return json.dumps(manifest).replace('"name": "tiny"', '"name": "tiny", "name": "other"', 1).encode()

    error = refusal(with_manifest(tiny_bundle, tmp_path / "x.saccade", change))
    assert "'name' twice" in error.reason


@pytest.mark.parametrize("version", [0, 2, 99, "1", 1.0, None])
def test_an_unknown_format_version_is_refused(tiny_bundle: Path, tmp_path: Path, version: object) -> None:
    error = refusal(with_manifest(tiny_bundle, tmp_path / "x.saccade", lambda m: m.update(format_version=version)))
    assert error.field == "manifest.format_version"


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "unknown field": lambda m: m.update(extra=1),
    "missing field": lambda m: m.pop("task"),
    "other format": lambda m: m.update(format="zip"),
    "unknown task": lambda m: m["task"].update(kind="classify"),
    "task of another kind": lambda m: m["task"].update(kind="detect"),
    "one colour too few": lambda m: m["task"]["colors"].pop(),
    "colour beyond a byte": lambda m: m["task"]["colors"][0].__setitem__(0, 256),
    "repeated class": lambda m: m["task"]["classes"].__setitem__(0, m["task"]["classes"][1]),
    "no classes": lambda m: m["task"].update(classes=[]),
    "zero std": lambda m: m["task"]["image"].update(std=[0, 1, 1]),
    "text as number": lambda m: m["task"]["image"].update(scale="255"),
    "truth value as number": lambda m: m["task"]["image"].update(scale=True),
    "huge network": lambda m: m["task"]["image"].update(size_hw=[1 << 20, 480]),
    "unknown resize": lambda m: m["task"]["image"].update(resize={"mode": "magic"}),
    "pixel format that is not built": lambda m: m["task"]["image"].update(pixel_formats=["nv12"]),
    "unknown pixel format": lambda m: m["task"]["image"].update(pixel_formats=["yuv9"]),
    "no variants": lambda m: m.update(variants=[]),
    "variants with one name": lambda m: m["variants"][1].update(name=m["variants"][0]["name"]),
    "target that is no name": lambda m: m["variants"][0].update(target="../cpu"),
    "graph of another stage": lambda m: m["variants"][0].update(graphs={"other": "graphs/main.fp32-cpu.onnx"}),
    "image prepared for nothing": lambda m: (
        m["stages"].append("image"),
        m["variants"][0].update(graphs={"image": m["variants"][0]["graphs"]["main"]}),
    ),
    "image and result in one graph": lambda m: (
        m["stages"].append("image"),
        m["variants"][0]["graphs"].update(image=m["variants"][0]["graphs"]["main"]),
    ),
    "stage without graph": lambda m: m.update(stages=["main", "second"]),
    "threshold with argmax": lambda m: m["task"].update(threshold=0.5),
    "another stage": lambda m: m.update(stages=["net"]),
    "graph and weights of one file name": lambda m: m["variants"][0].update(weights=["golden/main.fp32-cpu.onnx"]),
    "no golden frames": lambda m: m.update(golden=[]),
    "golden of another size": lambda m: m["golden"][0]["inputs"]["frame"].update(shape=[7, 48, 3]),
    "golden of another type": lambda m: m["golden"][0]["inputs"]["frame"].update(dtype="float32"),
    "golden of other dimensions": lambda m: m["golden"][0]["inputs"]["frame"].update(shape=[69120]),
    "golden without result": lambda m: m["golden"][0].update(results={}),
    "tolerance that anything meets": lambda m: m["variants"][0]["tolerances"].update(equal_pixels=-1),
    "text with an escape sequence": lambda m: m["provenance"].update(license="\x1b[2Jfree for all"),
    "text of two lines": lambda m: m["provenance"].update(license="none\nlicense free for all"),
    "key with a lone surrogate": lambda m: m["provenance"].update({"\ud800": "x"}),
    "member with a short hash": lambda m: m["members"]["graphs/weights.bin"].update(sha256="ab"),
    "negative size": lambda m: m["members"]["graphs/weights.bin"].update(size=-1),
    "manifest lists itself": lambda m: m["members"].update({MANIFEST_NAME: {"size": 1, "sha256": "0" * 64}}),
    "unknown tolerance": lambda m: m["variants"][0].update(tolerances={"luck": 1.0}),
    "nested too deep": lambda m: m["provenance"].update(x=json.loads("[" * 40 + "]" * 40)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_manifests_that_break_a_rule_are_refused(
    tiny_bundle: Path, tmp_path: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    def changed(manifest: dict[str, Any]) -> None:
        change(manifest)

    refusal(with_manifest(tiny_bundle, tmp_path / "x.saccade", changed))


DETECTOR_CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "confidence above one": lambda m: m["task"].update(confidence=1.5),
    "confidence that is no number": lambda m: m["task"].update(confidence="high"),
    "negative overlap": lambda m: m["task"].update(iou=-0.1),
    "no detection at most": lambda m: m["task"].update(max_detections=0),
    "very many detections": lambda m: m["task"].update(max_detections=10**6),
    "unknown suppression": lambda m: m["task"].update(suppression="soft"),
    "unknown resize": lambda m: m["task"]["image"].update(resize={"mode": "crop"}),
    "letterbox without its grey": lambda m: m["task"]["image"]["resize"].pop("pad"),
    "letterbox of no grey": lambda m: m["task"]["image"]["resize"].update(pad=256),
    "letterbox anchored elsewhere": lambda m: m["task"]["image"]["resize"].update(anchor="end"),
    "stretch with a grey": lambda m: m["task"]["image"].update(resize={"mode": "stretch", "pad": 114}),
    "threshold of segmentation": lambda m: m["task"].update(threshold=0.5),
    "variant without candidates": lambda m: m["variants"][0]["parameters"].pop("candidates"),
    "candidates without number": lambda m: m["variants"][0]["parameters"].update(candidates="all"),
    "candidates that are true": lambda m: m["variants"][0]["parameters"].update(candidates=True),
    "no candidates": lambda m: m["variants"][1]["parameters"].update(candidates=0),
    "unknown end": lambda m: m["variants"][0]["parameters"].update(ends_in="boxes"),
    "golden boxes of three sides": lambda m: m["golden"][0]["results"]["xyxy"].update(shape=[4, 3]),
    "golden boxes without classes": lambda m: m["golden"][0]["results"].pop("class_id"),
    "golden frame without pixels": lambda m: m["golden"][0]["inputs"]["frame"].update(shape=[0, 48, 3]),
    "golden floor that is no number": lambda m: m["golden"][0]["parameters"].update(floor="low"),
    "golden without a threshold": lambda m: m["golden"][0]["parameters"].pop("confidence"),
    "corners anywhere": lambda m: m["variants"][0]["tolerances"].update(box_px=1e9),
}


@pytest.mark.parametrize("change", DETECTOR_CHANGES.values(), ids=DETECTOR_CHANGES.keys())
def test_manifests_of_detectors_that_break_a_rule_are_refused(
    tiny_detector_bundle: Path, tmp_path: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    def changed(manifest: dict[str, Any]) -> None:
        change(manifest)

    refusal(with_manifest(tiny_detector_bundle, tmp_path / "x.saccade", changed))
    assert saccade.open_bundle(with_manifest(tiny_detector_bundle, tmp_path / "y.saccade", lambda _: None))


@pytest.mark.parametrize(
    "text",
    [b'"' + b'\\"' * 500_000, b'{"a": "' + b"\\" * 1_000_000, b"{" + b'"k":1,' * 150_000 + b'"k":1}'],
    ids=["open text of escapes", "backslashes", "one key very often"],
)
def test_hostile_manifests_are_refused_quickly(tiny_bundle: Path, tmp_path: Path, text: bytes) -> None:
    path = with_manifest(tiny_bundle, tmp_path / "x.saccade", lambda _: text)
    started = time.perf_counter()
    refusal(path)
    assert time.perf_counter() - started < 5.0


def test_a_directory_of_very_many_members_is_refused_before_it_is_read(tmp_path: Path) -> None:
    many = {f"member{index:05}": b"" for index in range(20_000)}
    assert "at most" in refusal(write(tmp_path / "x.saccade", pack(many))).reason


@pytest.mark.parametrize(
    "entry",
    ["session.model_external_initializers_file_folder_path", "session.disable_cpu_ep_fallback", "ep.context_enable"],
)
def test_a_bundle_sets_nothing_but_speed(tiny_bundle: Path, tmp_path: Path, entry: str) -> None:
    def change(manifest: dict[str, Any], name: str = entry) -> None:
        manifest["variants"][0]["engine_options"] = {"onnxruntime": {name: "0"}}

    def harmless(manifest: dict[str, Any]) -> None:
        change(manifest, "session.dynamic_block_base")

    with pytest.raises(saccade.errors.EngineError, match="the bundle sets"):
        saccade.open(with_manifest(tiny_bundle, tmp_path / "x.saccade", change))
    assert saccade.open(with_manifest(tiny_bundle, tmp_path / "y.saccade", harmless)).variant == "fp32-cpu"


def test_variants_for_unknown_targets_are_never_chosen(tiny_bundle: Path, tmp_path: Path) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["variants"][0]["target"] = "npu"
        manifest["variants"][1]["target"] = "cpu"

    assert saccade.open(with_manifest(tiny_bundle, tmp_path / "x.saccade", change)).variant == "fp32-gpu"


TEXTS = {
    "NaN": b'{"format": NaN}',
    "Infinity": b'{"format": -Infinity}',
    "not UTF-8": b'{"format": "\xff"}',
    "byte order mark": b"\xef\xbb\xbf{}",
    "a list": b"[]",
    "nothing": b"",
    "half": b'{"format": "sacc',
    "huge number": b'{"format": ' + b"9" * 5000 + b"}",
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "open brackets": b"[" * 100_000,
    "lone surrogate": b'{"format": "\\ud800"}',
    "too large": b'{"format": "' + b"a" * (1 << 20) + b'"}',
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_manifests_that_are_no_strict_json_are_refused(tiny_bundle: Path, tmp_path: Path, text: bytes) -> None:
    refusal(with_manifest(tiny_bundle, tmp_path / "x.saccade", lambda _: text))


def _zip(path: Path, build: Callable[[zipfile.ZipFile], None]) -> Path:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        build(archive)
    return write(path, buffer.getvalue())


def test_compressed_members_and_bombs_are_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path / "x.saccade", lambda z: z.writestr("bomb.bin", bytes(10**8), zipfile.ZIP_DEFLATED))
    assert "stored" in refusal(path).reason


def test_links_are_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    data = pack({**members_of(tiny_bundle), "link": b"/etc/passwd"}, mode=0o120777)
    assert "plain file" in refusal(write(tmp_path / "x.saccade", data)).reason


def test_comments_prefixes_and_trailing_bytes_are_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    data = tiny_bundle.read_bytes()
    refusal(write(tmp_path / "prefix.saccade", b"#!/bin/sh\n" + data))
    refusal(write(tmp_path / "suffix.saccade", data + b"payload"))
    refusal(write(tmp_path / "comment.saccade", data[:-2] + b"\x05\x00hello"))


def test_members_twice_or_unsorted_are_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    members = list(members_of(tiny_bundle).items())
    refusal(write(tmp_path / "twice.saccade", pack([*members, members[-1]])))
    refusal(write(tmp_path / "order.saccade", pack(members[::-1])))


def test_unaligned_members_are_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    error = refusal(write(tmp_path / "x.saccade", pack(members_of(tiny_bundle), alignment=1)))
    assert "multiple of 64" in error.reason


def test_a_graph_that_is_no_onnx_is_an_error_of_the_engine(tiny_bundle: Path, tmp_path: Path) -> None:
    path = resealed(tiny_bundle, tmp_path / "x.saccade", {"graphs/main.fp32-cpu.onnx": b"not an onnx graph"})
    with pytest.raises(saccade.errors.EngineError, match="refuses graph"):
        saccade.open(path)


def test_an_opset_that_the_engine_cannot_read_is_named(tiny_bundle: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(members_of(tiny_bundle)["graphs/main.fp32-cpu.onnx"])
    model.opset_import[0].version = 999
    path = resealed(tiny_bundle, tmp_path / "x.saccade", {"graphs/main.fp32-cpu.onnx": model.SerializeToString()})
    with pytest.raises(saccade.errors.EngineError, match=r"onnxruntime .* refuses graph .*opset"):
        saccade.open(path)
