"""Peers: the table, what is refused, and that those that run here give the first arm's result, or are marked."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

import saccade
from saccade import scenes
from saccade.errors import CheckError, RequestError
from saccade_bench.agreement import LEAST, agreement, is_same_result
from saccade_bench.arms import Arm, RunningArm, saved_frames
from saccade_bench.bare import network_of
from saccade_bench.cli import bench
from saccade_bench.document import ArmReport, document
from saccade_bench.peers.ncnn_opencv import converted
from saccade_bench.peers.registry import PEERS, AskedPeer, lent_code, peer_arms, read_peer, work_of
from saccade_bench.report.terminal import show

TINY = """
import sys
from saccade_bench.serving import Way, serve
def open_way(spec):
    ran = []
    return Way(ran.append, engine_ns=lambda: 7, about={"known": spec["known"], "modules": list(sys.modules)})
serve(open_way)
"""


def installed(monkeypatch: pytest.MonkeyPatch, folder: Path, **versions: str) -> None:
    """An environment of peers with distributions of these names, and no Python that works."""
    monkeypatch.setenv("SACCADE_PEERS", str(folder))
    for environment in {peer.environment for peer in PEERS.values()}:
        site = folder / environment / "lib" / "python3.11" / "site-packages"
        for name, version in versions.items():
            (site / f"{name}-{version}.dist-info").mkdir(parents=True)
            (site / f"{name}-{version}.dist-info" / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
        (folder / environment / "bin").mkdir(parents=True)
        (folder / environment / "bin" / "python").touch()


def reports(*agreements: float | None) -> list[ArmReport]:
    samples = [[1.0, 1.1], [1.0, 1.2]]
    return [
        ArmReport(f"arm {index}", role, {"task": "segment"}, samples, samples, [], 1, 2, 3, 4, agreement=found)
        for index, (role, found) in enumerate([*(("arm", each) for each in agreements), ("again", None)])
    ]


def here(name: str) -> AskedPeer:
    """A peer that runs in this Python in place of its own."""
    return AskedPeer(PEERS[name], None)


def run_first(arm: Arm, folder: Path) -> Path:
    path = folder / f"{arm.name}.npz"
    running = RunningArm(replace(arm, spec={**arm.spec, "result": str(path)}))
    try:
        running.wait_until_ready()
        turn = running.run(0, 2)
    finally:
        running.close()
    assert len(turn.wall_ms) == len(turn.engine_ms) == 2
    assert all(engine < wall for engine, wall in zip(turn.engine_ms, turn.wall_ms, strict=True))
    return path


def agreements(
    path: Path, asked: Sequence[AskedPeer], folder: Path, python: str | None, size_hw: tuple[int, int], **image: Any
) -> dict[str, Any]:
    """Of peers with a bundle on a frame of a scene, in ``python`` or their own; ``image`` changes their spec."""
    frame = scenes.render(1, 0, size_hw).image
    frames = str(saved_frames([frame], folder))
    arms = peer_arms(asked, saccade.open_bundle(path), frames, folder, 1)
    first = folder / "first.npz"
    with saccade.open(path, engine="onnxruntime", threads=1) as task:
        from saccade_bench.ways.bundle import arrays_of

        np.savez(first, **arrays_of(task(frame)))
    told = [
        replace(arm, python=python or arm.python, spec={**arm.spec, "image": {**arm.spec["image"], **image}})
        for arm in arms
    ]
    return {arm.name: agreement(first, run_first(arm, folder)) for arm in told}


def test_every_peer_is_a_module_of_its_own_that_is_named_as_asked() -> None:
    folder = Path(saccade.__file__).parents[2] / "benchmarks" / "saccade_bench" / "peers"
    assert all(name == peer.name for name, peer in PEERS.items())
    assert all((folder / f"{peer.module}.py").exists() for peer in PEERS.values())


def test_no_peers_file_has_the_name_of_a_library() -> None:
    # A file that is run by its path would find its neighbour in the library's place.
    names = {peer.module for peer in PEERS.values()}
    assert not names & {"onnxruntime", "openvino", "model_api", "ultralytics", "ncnn", "torch", "cv2"}


class TestWhatIsRefused:
    def test_an_unknown_peer(self) -> None:
        with pytest.raises(RequestError, match="'fastest' is no peer; there are opencv-tutorial, opencv-careful"):
            read_peer("fastest")

    def test_a_peer_that_is_not_installed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SACCADE_PEERS", str(tmp_path))
        with pytest.raises(RequestError, match=r"peer model-api is not installed: .* run make bench-peers"):
            read_peer("model-api")

    def test_a_peer_of_which_a_package_is_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        installed(monkeypatch, tmp_path, onnxruntime="1.31.1")
        with pytest.raises(RequestError, match="opencv-python-headless is missing"):
            read_peer("opencv-careful")

    def test_a_peer_without_the_file_that_it_needs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        installed(monkeypatch, tmp_path, ultralytics="8")
        with pytest.raises(RequestError, match=r"ask for ultralytics-onnx=yolo11n\.onnx"):
            read_peer("ultralytics-onnx")
        with pytest.raises(RequestError, match=r"absent.onnx, which peer ultralytics-onnx is to run, does not exist"):
            read_peer("ultralytics-onnx=absent.onnx")

    def test_a_peer_that_does_other_work(self, tiny_detector_bundle: Path, tmp_path: Path) -> None:
        bundle = saccade.open_bundle(tiny_detector_bundle)
        with pytest.raises(RequestError, match=r"opencv-careful does not take .* which gives cells; .*: opencv-yolox"):
            peer_arms([here("opencv-careful")], bundle, "frames.npy", tmp_path, 1)

    def test_detectors_without_suppression(self, plates_bundle: Path, tmp_path: Path) -> None:
        with pytest.raises(RequestError, match="plates has nothing to suppress"):
            peer_arms([here("opencv-yolox")], saccade.open_bundle(plates_bundle), "frames.npy", tmp_path, 1)

    def test_restorers(self, denoise_bundle: Path, tmp_path: Path) -> None:
        with pytest.raises(RequestError, match="takes frames of any size"):
            peer_arms([here("opencv-careful")], saccade.open_bundle(denoise_bundle), "frames.npy", tmp_path, 1)

    def test_the_command_ends_with_the_error(self, shipped_bundle: Path, tmp_path: Path) -> None:
        given = [str(shipped_bundle), "--peer", "opencv-careful", "--smoke"]
        done = CliRunner().invoke(bench, given, env={"SACCADE_PEERS": str(tmp_path)})
        assert isinstance(done.exception, RequestError)


def test_the_list_says_what_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, tmp_path, ultralytics="8.4.190")
    rows = json.loads(CliRunner().invoke(bench, ["--list-peers", "--json"]).stdout)["peers"]
    assert {row["name"]: row["installed"] for row in rows if row["installed"]} == {
        "ultralytics-onnx": "8.4.190", "ultralytics-openvino": "8.4.190",
    }  # fmt: skip
    shown = CliRunner().invoke(bench, ["--list-peers"]).stdout
    assert "opencv-careful" in shown
    assert "not installed" in shown
    assert "run make bench-peers" in shown


def test_a_peer_meets_the_lent_code_alone(tmp_path: Path) -> None:
    program = tmp_path / "tiny.py"
    program.write_text(TINY, encoding="utf-8")
    environment = {"PYTHONPATH": str(lent_code(tmp_path)), "PYTHONSAFEPATH": "1"}
    running = RunningArm(Arm("tiny", str(program), {"known": 3}, sys.executable, environment))
    try:
        about = running.wait_until_ready().about
        turn = running.run(0, 3)
    finally:
        running.close()
    assert about["known"] == 3
    assert not {"saccade", "numpy"} & set(about["modules"])
    assert turn.engine_ms == (7e-6,) * 3


def test_what_a_peer_must_know_is_json(shipped_bundle: Path, plates_bundle: Path) -> None:
    work = [json.loads(json.dumps(work_of(saccade.open_bundle(path)))) for path in (shipped_bundle, plates_bundle)]
    assert work[0]["image"]["size_hw"] == [360, 480]
    assert work[1]["image"]["resize"]["mode"] == "letterbox"
    assert work[1]["suppression"] == "none"


class TestWithOpenCv:
    """The peers that this Python's own libraries can run."""

    @pytest.fixture(autouse=True)
    def libraries(self) -> None:
        pytest.importorskip("cv2", reason="OpenCV is not installed")
        pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
        pytest.importorskip("onnx", reason="onnx is not installed")

    def test_a_segmenter(self, shipped_bundle: Path, tmp_path: Path) -> None:
        found = self.agreements(shipped_bundle, ["opencv-tutorial", "opencv-careful", "opencv-careful-bytes"], tmp_path)
        assert found["opencv-careful"] > 0.9999
        # Frames resized as bytes have whole grey levels: the tutorial's map is near, but not the same.
        assert 0.99 < found["opencv-tutorial"] < LEAST["segment"]
        assert found["opencv-tutorial"] == found["opencv-careful-bytes"]

    def test_detectors(self, tmp_path: Path) -> None:
        pytest.importorskip("torch")
        from tests.tiny import DETECTOR_SIZE_HW, export_tiny_detector

        for head, name in (("yolox", "opencv-yolox"), ("yolov8", "opencv-yolov8")):
            path = export_tiny_detector(tmp_path, head, name=head)
            # Of the input's own size, as a random network makes much of a grey level.
            assert self.agreements(path, [name], tmp_path, size_hw=DETECTOR_SIZE_HW)[name] == 1

    def test_a_twin_with_another_mean_is_marked(self, shipped_bundle: Path, tmp_path: Path) -> None:
        found = self.agreements(shipped_bundle, ["opencv-careful"], tmp_path, mean=[0.7, 0.2, 0.1])["opencv-careful"]
        assert found < 0.95
        assert not is_same_result("segment", found)

    def agreements(
        self, path: Path, names: Sequence[str], folder: Path, size_hw: tuple[int, int] = (720, 1280), **image: Any
    ) -> dict[str, Any]:
        return agreements(path, [here(name) for name in names], folder, sys.executable, size_hw, **image)


class TestWithNcnn:
    """In its own environment, as this Python has none."""

    @pytest.fixture(autouse=True)
    def libraries(self) -> None:
        if PEERS["ncnn"].version() is None:
            pytest.skip("peer ncnn is not installed: make bench-peers")
        pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
        pytest.importorskip("onnx", reason="onnx is not installed")

    def test_a_segmenter(self, shipped_bundle: Path, tmp_path: Path) -> None:
        assert agreements(shipped_bundle, [read_peer("ncnn")], tmp_path, None, (720, 1280))["ncnn"] > 0.9999

    def test_a_network_that_was_converted_before(
        self, shipped_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (site,) = (PEERS["ncnn"].python.parents[1] / "lib").glob("python3*/site-packages")
        monkeypatch.setattr(sys, "path", [*sys.path, str(site)])  # for pnnx's program
        (network := tmp_path / "given.onnx").write_bytes(network_of(saccade.open_bundle(shipped_bundle))[0])
        (folder := tmp_path / "converted").mkdir()
        asked = read_peer(f"ncnn={converted(network, (360, 480), folder)}")
        assert agreements(shipped_bundle, [asked], tmp_path, None, (720, 1280))[asked.name] > 0.9999

    @pytest.mark.torch
    @pytest.mark.parametrize("head", ["yolox", "yolov8"])
    def test_detectors(self, head: str, tmp_path: Path) -> None:
        pytest.importorskip("torch")
        from tests.tiny import DETECTOR_SIZE_HW, export_tiny_detector

        path = export_tiny_detector(tmp_path, head, name=head)
        assert agreements(path, [read_peer("ncnn")], tmp_path, None, DETECTOR_SIZE_HW)["ncnn"] == 1

    def test_a_twin_with_another_mean_is_marked(self, shipped_bundle: Path, tmp_path: Path) -> None:
        told = {"mean": [0.7, 0.2, 0.1]}
        found = agreements(shipped_bundle, [read_peer("ncnn")], tmp_path, None, (360, 480), **told)["ncnn"]
        assert not is_same_result("segment", found)

    @pytest.mark.parametrize("name", ["network.onnx", "network.param"])
    def test_a_file_that_is_no_network(self, name: str, shipped_bundle: Path, tmp_path: Path) -> None:
        (file := tmp_path / "hostile" / name).parent.mkdir()
        file.write_bytes(b"\x00no network\xff" * 20)
        with pytest.raises(CheckError, match=f"'ncnn={name}' failed"):
            agreements(shipped_bundle, [read_peer(f"ncnn={file}")], tmp_path, None, (360, 480))


class TestMarks:
    def test_another_result_is_told_and_the_same_is_not(self) -> None:
        with (console := Console(width=200, record=True, quiet=False, file=sys.stderr)).capture() as captured:
            show(document({}, {}, reports(1.0, 0.9995, 0.9972, None)), console)
        lines = {line.split("  ")[0].strip(): line for line in captured.get().splitlines()}
        assert "another result" not in lines["arm 1"]
        assert "another result" in lines["arm 2"]
        assert "another result" in lines["arm 3"]
        assert "less than 99.90 %" in captured.get()

    def test_nothing_is_said_where_all_are_the_same(self) -> None:
        with (console := Console(width=200, file=sys.stderr)).capture() as captured:
            show(document({}, {}, reports(1.0, 0.9995)), console)
        assert "another result" not in captured.get()

    @pytest.mark.parametrize(
        ("task", "same", "other"), [("segment", 0.999, 0.99), ("detect", 1.0, 0.9), ("restore", 60.0, 40.0)]
    )
    def test_the_bound_is_the_tasks(self, task: str, same: float, other: float) -> None:
        assert is_same_result(task, same)
        assert not is_same_result(task, other)
        assert not is_same_result(task, None)


@pytest.mark.parametrize("name", ["opencv-careful", "ncnn", "model-api"])
def test_a_peer_in_its_own_environment(name: str, shipped_bundle: Path, tmp_path: Path) -> None:
    if PEERS[name].version() is None:
        pytest.skip(f"peer {name} is not installed: make bench-peers")
    frames = str(saved_frames([scenes.render(1, 0, (360, 480)).image], tmp_path))
    (arm,) = peer_arms([read_peer(name)], saccade.open_bundle(shipped_bundle), frames, tmp_path, 1)
    running = RunningArm(replace(arm, spec={**arm.spec, "result": str(tmp_path / "result.npz")}))
    try:
        assert running.wait_until_ready().about["task"] == "segment"
    finally:
        running.close()
    assert np.load(tmp_path / "result.npz")["class_map"].shape == (360, 480)
