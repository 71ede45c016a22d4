"""What the commands about a bundle and about this machine say, and with which exit code."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.archives import members_of, pack
from tests.commands import call, call_apart

import saccade
from saccade.manifest import MANIFEST_NAME

COMMANDS = ("train", "export", "info", "verify", "run", "doctor")
WEIGHTS = "graphs/weights.bin"


def resealed(bundle: Path, target: Path, changed: dict[str, bytes], provenance: dict[str, str] | None = None) -> Path:
    """The bundle with other members and more provenance, and a manifest that agrees with all of it."""
    members = {**members_of(bundle), **changed}
    manifest = json.loads(members[MANIFEST_NAME])
    manifest["provenance"].update(provenance or {})
    for name, data in changed.items():
        manifest["members"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    target.write_bytes(pack({**members, MANIFEST_NAME: json.dumps(manifest).encode()}))
    return target


@pytest.fixture
def damaged_bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """The tiny bundle with one bit of its weights flipped."""
    data = bytearray(tiny_bundle.read_bytes())
    weights = members_of(tiny_bundle)[WEIGHTS]
    data[data.index(weights) + len(weights) // 2] ^= 1
    path = tmp_path / "damaged.saccade"
    path.write_bytes(data)
    return path


@pytest.fixture(scope="module")
def other_weights(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The weights of a tiny network from another seed."""
    pytest.importorskip("torch")
    from tests.tiny import export_tiny

    return members_of(export_tiny(tmp_path_factory.mktemp("other"), seed=1))[WEIGHTS]


class TestCommandLine:
    @pytest.mark.parametrize("option", ["--help", "-h"])
    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_has_help(self, capfd: pytest.CaptureFixture[str], command: str, option: str) -> None:
        called = call(capfd, command, option)
        assert called.code == 0
        assert called.out.startswith(f"Usage: saccade {command}")

    def test_the_help_lists_every_command_in_the_order_of_their_use(self, capfd: pytest.CaptureFixture[str]) -> None:
        called = call(capfd, "--help")
        assert called.code == 0
        listed = [line.split()[0] for line in called.out.partition("Commands:")[2].splitlines() if line.strip()]
        assert [name for name in listed if name in COMMANDS] == list(COMMANDS)

    def test_the_version_is_the_packages(self, capfd: pytest.CaptureFixture[str]) -> None:
        called = call(capfd, "--version")
        assert (called.code, called.out) == (0, f"saccade, version {saccade.__version__}\n")

    @pytest.mark.parametrize(
        "arguments",
        [("fly",), ("--fast",), ("info",), ("info", "a", "b"), ("doctor", "--fast"), ("verify", "x", "--threads", "0")],
        ids=" ".join,
    )
    def test_misuse_is_told_on_standard_error_with_code_2(
        self, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...]
    ) -> None:
        called = call(capfd, *arguments)
        assert called.code == 2
        assert called.out == ""
        assert "Error:" in called.err

    @pytest.mark.parametrize("arguments", [("info",), ("doctor", "--fast"), ("run", "x"), ("export",), ("train",)])
    def test_misuse_is_json_too_where_json_is_asked_for(
        self, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...]
    ) -> None:
        called = call(capfd, *arguments, "--json")
        assert called.code == called.document["exit_code"] == 2
        assert called.document["error"]["message"] in called.err

    def test_an_interrupt_before_any_result_is_code_130(
        self, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("saccade.cli.doctor.examine", interrupt)
        assert call(capfd, "doctor").code == 130
        called = call(capfd, "doctor", "--json")
        assert called.code == called.document["exit_code"] == 130

    def test_a_missing_library_names_the_extra_that_brings_it(
        self, capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "saccade_models.train.segmentation", None)
        called = call(capfd, "train", "--data", tmp_path, "-o", tmp_path / "run", "--json")
        assert called.code == called.document["exit_code"] == 2
        assert "pip install 'saccade[models]'" in called.err


@pytest.mark.torch
class TestInfo:
    def test_it_shows_what_the_bundle_is_and_under_which_terms(
        self, capfd: pytest.CaptureFixture[str], tiny_bundle: Path, tmp_path: Path
    ) -> None:
        terms = {"license": "for research only", "dataset": "streets of Ulm"}
        bundle = resealed(tiny_bundle, tmp_path / "x.saccade", {}, terms)
        called = call(capfd, "info", bundle)
        assert called.code == 0
        shown = [line.split(maxsplit=1) for line in called.out.splitlines()]
        assert ["license", "for research only"] in shown
        assert ["dataset", "streets of Ulm"] in shown
        assert ["identity", saccade.open_bundle(bundle).identity] in shown
        assert ["network", "tests.tiny:TinyNet"] in shown
        assert "segment, argmax of 3 classes: class0, class1, class2\n" in called.out
        assert "32x48 (height x width), rgb" in called.out
        assert "torch " in called.out

    def test_of_a_detector_it_shows_classes_thresholds_and_the_letterbox(
        self, capfd: pytest.CaptureFixture[str], tiny_detector_bundle: Path
    ) -> None:
        called = call(capfd, "info", tiny_detector_bundle)
        assert called.code == 0
        assert "detect, boxes of 3 classes: class0, class1, class2\n" in called.out
        assert "confidence from 0.25, at most 50 a frame, suppressed where boxes of one class overlap" in called.out
        assert "64x96 (height x width), bgr, resize letterbox (at the top left, the rest 114 grey)" in called.out
        assert "box_px <= " in called.out
        as_json = call(capfd, "info", tiny_detector_bundle, "--json")
        assert as_json.document["task"]["suppression"] == "class"

    def test_its_lines_have_whole_and_different_names(
        self, capfd: pytest.CaptureFixture[str], tiny_bundle: Path
    ) -> None:
        called = call(capfd, "info", tiny_bundle)
        column = called.out.index("tiny (")
        names = [line[:column].strip() for line in called.out.splitlines()]
        assert "weights sha256" in names
        assert [name for name in names if name != "variant"] == list(dict.fromkeys(n for n in names if n != "variant"))
        assert all(line[column:].strip() for line in called.out.splitlines())

    def test_as_json_it_is_the_whole_manifest(self, capfd: pytest.CaptureFixture[str], tiny_bundle: Path) -> None:
        called = call(capfd, "info", tiny_bundle, "--json")
        assert called.code == 0
        opened = saccade.open_bundle(tiny_bundle)
        assert called.document["identity"] == opened.identity
        assert called.document["bytes"] == tiny_bundle.stat().st_size
        assert called.document["task"]["classes"] == list(opened.manifest.task.classes)
        assert set(called.document["members"]) == set(opened.manifest.members)

    def test_a_damaged_bundle_is_refused_by_the_part_at_fault(
        self, capfd: pytest.CaptureFixture[str], damaged_bundle: Path
    ) -> None:
        called = call(capfd, "info", damaged_bundle)
        assert (called.code, called.out) == (3, "")
        assert WEIGHTS in called.err
        assert "Traceback" not in called.err

    def test_an_error_is_json_too(self, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        called = call(capfd, "info", tmp_path / "absent.saccade", "--json")
        assert called.code == called.document["exit_code"] == 3
        assert called.document["error"]["kind"] == "BundleError"
        assert "absent.saccade" in called.document["error"]["message"]


@pytest.mark.torch
class TestVerify:
    def test_a_good_bundle_passes_frame_by_frame(self, capfd: pytest.CaptureFixture[str], tiny_bundle: Path) -> None:
        called = call(capfd, "verify", tiny_bundle)
        assert called.code == 0
        golden = saccade.open_bundle(tiny_bundle).manifest.golden
        assert [line.split()[1] for line in called.out.splitlines()[:-1]] == [
            entry.inputs["frame"].member for entry in golden
        ]
        assert called.out.splitlines()[-1] == f"passed: {len(golden)} golden frames of tiny"

    def test_all_variants_are_verified_on_demand(self, capfd: pytest.CaptureFixture[str], tiny_bundle: Path) -> None:
        called = call(capfd, "verify", tiny_bundle, "--all-variants", "--device", "cpu", "--json")
        assert called.code == 0
        manifest = saccade.open_bundle(tiny_bundle).manifest
        names = [frame["variant"] for frame in called.document["frames"]]
        assert sorted(names) == sorted(v.name for v in manifest.variants for _ in manifest.golden)
        assert called.document["passed"] is True

    def test_a_flipped_bit_is_named_before_the_engine_is_reached(
        self,
        capfd: pytest.CaptureFixture[str],
        tiny_bundle: Path,
        damaged_bundle: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def fail(*_: object) -> None:
            raise AssertionError("the engine was reached")

        monkeypatch.setattr("saccade.engines.load", fail)
        called = call(capfd, "verify", damaged_bundle)
        assert called.code == 3
        assert WEIGHTS in called.err
        assert called.out == ""
        with pytest.raises(AssertionError, match="reached"):
            call(capfd, "verify", tiny_bundle)

    def test_other_weights_fail_and_the_frames_that_differ_are_listed(
        self, capfd: pytest.CaptureFixture[str], tiny_bundle: Path, other_weights: bytes, tmp_path: Path
    ) -> None:
        # Given a bundle that is whole and consistent, but holds the weights of another network.
        bundle = resealed(tiny_bundle, tmp_path / "other.saccade", {WEIGHTS: other_weights})
        golden = [entry.inputs["frame"].member for entry in saccade.open_bundle(bundle).manifest.golden]
        # When it is verified, then every golden frame is listed as different.
        called = call(capfd, "verify", bundle)
        assert called.code == 1
        assert [line.split()[1] for line in called.out.splitlines() if "DIFFERS" in line] == golden
        assert called.out.splitlines()[-1].startswith("FAILED")
        as_json = call(capfd, "verify", bundle, "--json")
        assert as_json.code == 1
        assert as_json.document["passed"] is False
        assert [frame["frame"] for frame in as_json.document["frames"] if not frame["passed"]] == golden

    def test_the_same_weights_sealed_again_pass(
        self, capfd: pytest.CaptureFixture[str], tiny_bundle: Path, tmp_path: Path
    ) -> None:
        same = members_of(tiny_bundle)[WEIGHTS]
        assert call(capfd, "verify", resealed(tiny_bundle, tmp_path / "same.saccade", {WEIGHTS: same})).code == 0

    def test_a_changed_golden_frame_alone_is_the_one_listed(
        self, capfd: pytest.CaptureFixture[str], tiny_bundle: Path, tmp_path: Path
    ) -> None:
        name = "golden/002.frame"
        inverted = bytes(255 - value for value in members_of(tiny_bundle)[name])
        called = call(capfd, "verify", resealed(tiny_bundle, tmp_path / "x.saccade", {name: inverted}))
        assert called.code == 1
        assert [line.split()[1] for line in called.out.splitlines() if "DIFFERS" in line] == [name]

    def test_a_variant_that_is_not_there_is_refused_with_those_that_are(
        self, capfd: pytest.CaptureFixture[str], tiny_bundle: Path
    ) -> None:
        called = call(capfd, "verify", tiny_bundle, "--variant", "int4")
        assert called.code == 2
        assert "fp32-cpu, fp32-gpu" in called.err

    def test_a_gpu_that_is_not_here_is_refused(
        self, capfd: pytest.CaptureFixture[str], tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("saccade.engines.gpu_description", lambda: None)
        called = call(capfd, "verify", tiny_bundle, "--device", "cuda", "--json")
        assert called.code == called.document["exit_code"] == 2
        assert "no NVIDIA GPU is here" in called.document["error"]["message"]


class TestDoctor:
    def test_a_sound_machine_has_no_problem(self, capfd: pytest.CaptureFixture[str]) -> None:
        called = call(capfd, "doctor")
        assert called.code == 0
        assert f"saccade {saccade.__version__}" in called.out
        assert "auto uses   onnxruntime on" in called.out
        assert "problem" not in called.out

    def test_as_json_it_says_engines_packages_and_the_choice(self, capfd: pytest.CaptureFixture[str]) -> None:
        found = call(capfd, "doctor", "--json").document
        assert found["engines"]["onnxruntime"]["installed"] is True
        assert "cpu" in found["engines"]["onnxruntime"]["devices"]
        assert found["auto"]["engine"] == "onnxruntime"
        assert found["packages"]["numpy"]
        assert found["problems"] == []

    @pytest.mark.parametrize(
        ("cpuinfo", "has_vnni"),
        [
            ("model name\t: Old\nflags\t\t: fpu avx2 avx512f\n", False),
            ("flags\t\t: fpu avx2 avx512f avx512_vnni\n", True),
            ("flags\t\t: fpu avx2 avx_vnni\nvmx flags\t: vnmi\n", True),
            ("Features\t: fp asimd asimddp i8mm\n", None),
            ("", None),
        ],
    )
    def test_a_processor_whose_8_bits_may_overflow_is_told_and_no_problem(
        self,
        capfd: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        cpuinfo: str,
        has_vnni: bool | None,
    ) -> None:
        monkeypatch.setattr("saccade.machine.cpuinfo", lambda: cpuinfo)
        called = call(capfd, "doctor")
        assert called.code == 0
        assert ("8 bits      no VNNI" in called.out) == (has_vnni is False)
        assert ("processor   Old, " in called.out) == ("Old" in cpuinfo)
        assert call(capfd, "doctor", "--json").document["vnni"] is has_vnni

    def test_two_builds_of_onnx_runtime_over_each_other_are_found(self, tmp_path: Path) -> None:
        environment = with_distributions(tmp_path, {"onnxruntime": "1.22.0", "onnxruntime-gpu": "1.20.1"})
        called = call_apart("doctor", environment=environment)
        assert called.code == 1
        assert "onnxruntime 1.22.0 and onnxruntime-gpu 1.20.1 are both installed" in called.out
        assert "pip uninstall onnxruntime onnxruntime-gpu" in called.out
        as_json = call_apart("doctor", "--json", environment=environment)
        assert as_json.code == 1
        assert len(as_json.document["problems"]) == 1

    def test_one_build_alone_is_no_clash(self, tmp_path: Path) -> None:
        called = call_apart("doctor", environment=with_distributions(tmp_path, {"onnxruntime": "1.22.0"}))
        assert called.code == 0
        assert "onnxruntime 1.22.0" in called.out

    def test_an_engine_that_is_missing_is_told_with_how_to_get_it(
        self, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("saccade.engines.find_spec", lambda _: None)
        called = call(capfd, "doctor")
        assert called.code == 1
        assert "pip install 'saccade[ort]'" in called.out
        assert "pip install 'saccade[openvino]'" in called.out
        assert "auto uses   nothing" in called.out

    def test_the_engine_that_is_there_is_used(
        self, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pytest.importorskip("openvino")
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        called = call(capfd, "doctor")
        assert called.code == 0
        assert "auto uses   openvino on cpu" in called.out

    @pytest.mark.parametrize(
        "content",
        ["raise ImportError('libcudart.so.12: cannot open shared object file')", None],
        ids=["a library missing", "an empty folder left by pip uninstall"],
    )
    def test_an_engine_that_cannot_be_loaded_is_a_problem_not_a_crash(
        self, tmp_path: Path, content: str | None
    ) -> None:
        # Given an onnxruntime that is found but does not work, before any other on the path.
        (tmp_path / "onnxruntime").mkdir()
        (tmp_path / "onnxruntime" / "__init__.py").write_text(content or "")
        called = call_apart("doctor", "--json", environment={**os.environ, "PYTHONPATH": str(tmp_path)})
        # Then doctor still says all it knows, with this among the problems.
        assert called.code == 1
        found: dict[str, Any] = called.document
        assert found["packages"]["numpy"]
        assert found["auto"] is None
        assert any("onnxruntime" in problem and "cannot be loaded" in problem for problem in found["problems"])


def with_distributions(folder: Path, versions: dict[str, str]) -> dict[str, str]:
    """The environment of a process for which pip has installed ``versions``, before what it has anyway."""
    for name, version in versions.items():
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return {**os.environ, "PYTHONPATH": str(folder)}
