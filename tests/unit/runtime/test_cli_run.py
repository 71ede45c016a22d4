"""``saccade run``: every kind of source, every kind of output, and every way a run can end."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from tests.archives import members_of, pack
from tests.commands import IN_PROCESS_OF_ITS_OWN, call

import saccade

pytestmark = pytest.mark.torch

Pixels = npt.NDArray[np.uint8]
Capture = pytest.CaptureFixture[str]

SMALL_SCENES = "scenes:seed=3,frames=4,size=96x64"


def blocks(seed: int, height: int = 48, width: int = 64) -> Pixels:
    """A frame of coloured 8x8 blocks, on which the tiny network shows more than one class."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return np.kron(coarse, np.ones((8, 8, 1), np.uint8))


def save(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(blocks(seed)).save(path)
    return path


def encode(path: Path, count: int) -> Path:
    """A noisy H.264 video of 64x48 at 25 frames per second with a key frame every 10 frames."""
    container: Any = av.open(str(path), "w")
    with container:
        stream = container.add_stream("libx264", rate=Fraction(25), options={"preset": "ultrafast", "g": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(count):
            noise = np.random.default_rng(index).integers(0, 256, (48, 64, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text(encoding="utf-8").splitlines()]


def frames_in(video: Path) -> int:
    with av.open(str(video)) as container:
        return sum(1 for _ in container.decode(video=0))


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestSources:
    def test_an_image_gives_an_overlay_and_a_line(self, capfd: Capture, tiny_bundle: Path, tmp_path: Path) -> None:
        image = save(tmp_path / "street.png", 1)
        called = call(capfd, "run", tiny_bundle, "--source", image, "-o", tmp_path / "out")
        assert called.code == 0
        assert names_in(tmp_path / "out") == ["overlays", "results.jsonl"]
        overlay = np.array(Image.open(tmp_path / "out" / "overlays" / "street.png"))
        assert overlay.shape == (48, 64, 3)
        assert not np.array_equal(overlay, blocks(1))
        assert called.out.startswith("1 frames in ")
        assert f"wrote {tmp_path / 'out' / 'results.jsonl'}" in called.out

    def test_an_unreadable_image_in_a_folder_is_reported_and_the_others_are_there(
        self, capfd: Capture, tiny_bundle: Path, tmp_path: Path
    ) -> None:
        # Given a folder in which the second of three images is cut off.
        for name, seed in (("a", 1), ("b", 2), ("c", 3)):
            save(tmp_path / "in" / f"{name}.png", seed)
        broken = tmp_path / "in" / "b.png"
        broken.write_bytes(broken.read_bytes()[:60])
        # When it is run.
        called = call(capfd, "run", tiny_bundle, "--source", tmp_path / "in", "-o", tmp_path / "out", "--json")
        # Then the others have results, and the fault is in the code, on both streams and in its place in the lines.
        assert called.code == 1
        assert names_in(tmp_path / "out" / "overlays") == ["a.png", "c.png"]
        assert called.document["frames"] == 2
        assert [fault["name"] for fault in called.document["faults"]] == ["b.png"]
        assert "could not read b.png: " in called.err
        assert [line["name"] for line in lines_of(tmp_path / "out")] == ["a", "b.png", "c"]
        assert lines_of(tmp_path / "out")[1]["error"]

    def test_a_glob_gives_its_matches(self, capfd: Capture, tiny_bundle: Path, tmp_path: Path) -> None:
        for name in ("left_2.png", "left_1.png", "right_1.png"):
            save(tmp_path / name, 1)
        called = call(capfd, "run", tiny_bundle, "--source", f"{tmp_path}/left_*.png", "-o", tmp_path / "out")
        assert called.code == 0
        assert [line["name"] for line in lines_of(tmp_path / "out")] == ["left_1", "left_2"]

    def test_images_of_one_name_do_not_overwrite_each_other(
        self, capfd: Capture, tiny_bundle: Path, tmp_path: Path
    ) -> None:
        # Given two cameras whose frames have the same names.
        save(tmp_path / "left" / "0001.png", 1)
        save(tmp_path / "right" / "0001.png", 2)
        # When both are run by one glob.
        source = f"{tmp_path}/*/0001.png"
        called = call(capfd, "run", tiny_bundle, "--source", source, "-o", tmp_path / "out", "--class-maps")
        # Then each has files of its own, under the name in its line.
        assert called.code == 0
        names = [line["name"] for line in lines_of(tmp_path / "out")]
        assert names == ["0001", "0001_2"]
        for folder in ("overlays", "class_maps"):
            assert names_in(tmp_path / "out" / folder) == ["0001.png", "0001_2.png"]
        task = saccade.open(tiny_bundle)
        for name, seed in zip(names, (1, 2), strict=True):
            found = np.array(Image.open(tmp_path / "out" / "class_maps" / f"{name}.png"))
            np.testing.assert_array_equal(found, task(blocks(seed)).class_map)

    def test_a_video_gives_a_video(self, capfd: Capture, tiny_bundle: Path, tmp_path: Path) -> None:
        called = call(
            capfd, "run", tiny_bundle, "--source", encode(tmp_path / "drive.mp4", 12), "-o", tmp_path / "out", "--json"
        )
        assert called.code == 0
        assert called.document["frames"] == 12
        assert names_in(tmp_path / "out") == ["overlay.mp4", "results.jsonl"]
        assert frames_in(tmp_path / "out" / "overlay.mp4") == 12
        assert [line["frame_id"] for line in lines_of(tmp_path / "out")] == list(range(12))

    def test_a_video_that_ends_early_is_code_1_and_its_last_line(
        self, capfd: Capture, tiny_bundle: Path, tmp_path: Path
    ) -> None:
        video = encode(tmp_path / "drive.mkv", 60)
        video.write_bytes(video.read_bytes()[: video.stat().st_size * 6 // 10])
        called = call(capfd, "run", tiny_bundle, "--source", video, "-o", tmp_path / "out")
        assert called.code == 1
        *results, fault = lines_of(tmp_path / "out")
        assert fault["name"] == "drive.mkv"
        assert fault["error"].startswith(f"ended early: {len(results)} of 60 frames")
        assert fault["error"] in called.err
        assert frames_in(tmp_path / "out" / "overlay.mp4") == len(results) > 20

    def test_rendered_scenes_need_no_file(self, capfd: Capture, tiny_bundle: Path, tmp_path: Path) -> None:
        called = call(capfd, "run", tiny_bundle, "--source", SMALL_SCENES, "-o", tmp_path / "out")
        assert called.code == 0
        assert frames_in(tmp_path / "out" / "overlay.mp4") == len(lines_of(tmp_path / "out")) == 4

    def test_scores_that_are_not_finite_are_code_1_and_said(
        self, capfd: Capture, tiny_bundle: Path, tmp_path: Path
    ) -> None:
        # Given a bundle, whole and consistent, all of whose larger weights are NaN.
        members = members_of(tiny_bundle)
        manifest = json.loads(members["manifest.json"])
        weights = np.full(len(members["graphs/weights.bin"]) // 4, np.nan, np.float32).tobytes()
        manifest["members"]["graphs/weights.bin"]["sha256"] = hashlib.sha256(weights).hexdigest()
        changed = {"graphs/weights.bin": weights, "manifest.json": json.dumps(manifest).encode()}
        bundle = tmp_path / "nan.saccade"
        bundle.write_bytes(pack({**members, **changed}))
        # When it runs, then no result is passed off as one.
        called = call(capfd, "run", bundle, "--source", SMALL_SCENES, "-o", tmp_path / "out", "--json")
        assert called.code == 1
        assert called.document["not_finite"] == called.document["frames"] == 4
        assert not any(line["finite"] for line in lines_of(tmp_path / "out"))
        called = call(capfd, "run", bundle, "--source", SMALL_SCENES, "-o", tmp_path / "out")
        assert (called.code, "4 frames gave scores that are not finite" in called.out) == (1, True)


class TestOutputs:
    def test_class_maps_hold_the_class_ids(self, capfd: Capture, tiny_bundle: Path, tmp_path: Path) -> None:
        save(tmp_path / "in" / "a.png", 1)
        save(tmp_path / "in" / "b.png", 2)
        arguments = ("--source", tmp_path / "in", "-o", tmp_path / "out", "--class-maps", "--no-overlays")
        assert call(capfd, "run", tiny_bundle, *arguments).code == 0
        assert names_in(tmp_path / "out") == ["class_maps", "results.jsonl"]
        task, ids = saccade.open(tiny_bundle), set[int]()
        for name, seed in (("a", 1), ("b", 2)):
            picture = Image.open(tmp_path / "out" / "class_maps" / f"{name}.png")
            expected = task(blocks(seed)).class_map
            np.testing.assert_array_equal(np.array(picture), expected)
            colors = np.array(task.spec.colors, np.uint8)[expected]
            np.testing.assert_array_equal(np.array(picture.convert("RGB")), colors)
            ids |= set(np.unique(expected).tolist())
        assert len(ids) > 1  # else a constant image would pass

    def test_a_line_has_all_but_the_pixels(self, capfd: Capture, tiny_bundle: Path, tmp_path: Path) -> None:
        image = save(tmp_path / "street.png", 1)
        arguments = ("--source", image, "-o", tmp_path / "out", "--device", "cpu", "--threads", "1")
        assert call(capfd, "run", tiny_bundle, *arguments).code == 0
        (line,) = lines_of(tmp_path / "out")
        assert (line["name"], line["frame_id"], line["width"], line["height"]) == ("street", 0, 64, 48)
        assert (line["engine"], line["device"], line["variant"]) == ("onnxruntime", "cpu", "fp32-cpu")
        result = saccade.open(tiny_bundle)(blocks(1))
        assert line["class_shares"] == pytest.approx(dict(result.class_shares()), abs=1e-6)
        assert sum(line["class_shares"].values()) == pytest.approx(1, abs=1e-5)
        assert line["finite"] is True
        assert line["age_ms"] > 0
        assert all(value >= 0 for value in line["timing"].values())

    def test_as_json_it_says_what_ran_and_what_was_written(
        self, capfd: Capture, tiny_bundle: Path, tmp_path: Path
    ) -> None:
        arguments = ("--source", SMALL_SCENES, "-o", tmp_path / "out", "--contact-sheet", "--class-maps", "--json")
        said = call(capfd, "run", tiny_bundle, *arguments).document
        assert (said["frames"], said["faults"], said["not_finite"], said["interrupted"]) == (4, [], 0, False)
        assert said["engine"] == "onnxruntime"
        assert said["fps"] > 0
        assert sorted(Path(path).name for path in said["files"]) == names_in(tmp_path / "out")
        assert (tmp_path / "out" / "contact_sheet.png").is_file()

    def test_nothing_but_lines_without_overlays(self, capfd: Capture, tiny_bundle: Path, tmp_path: Path) -> None:
        arguments = ("--source", SMALL_SCENES, "-o", tmp_path / "out", "--no-overlays")
        assert call(capfd, "run", tiny_bundle, *arguments).code == 0
        assert names_in(tmp_path / "out") == ["results.jsonl"]

    @pytest.mark.parametrize("limit", [1, 3])
    def test_the_limit_is_a_count_of_frames(
        self, capfd: Capture, tiny_bundle: Path, tmp_path: Path, limit: int
    ) -> None:
        arguments = ("--source", SMALL_SCENES, "-o", tmp_path / "out", "--limit", str(limit), "--json")
        called = call(capfd, "run", tiny_bundle, *arguments)
        assert called.code == 0
        assert called.document["frames"] == len(lines_of(tmp_path / "out")) == limit
        assert frames_in(tmp_path / "out" / "overlay.mp4") == limit

    def test_the_legend_and_the_opacity_change_the_overlay(
        self, capfd: Capture, tiny_bundle: Path, tmp_path: Path
    ) -> None:
        image = save(tmp_path / "street.png", 1)
        pictures = {}
        for name, options in {"plain": ("--no-legend", "--opacity", "0"), "legend": ("--opacity", "0")}.items():
            assert call(capfd, "run", tiny_bundle, "--source", image, "-o", tmp_path / name, *options).code == 0
            pictures[name] = np.array(Image.open(tmp_path / name / "overlays" / "street.png"))
        np.testing.assert_array_equal(pictures["plain"], blocks(1))
        assert not np.array_equal(pictures["legend"], blocks(1))


class TestRefusals:
    def test_a_folder_that_cannot_be_written_is_code_3_and_leaves_nothing(
        self, capfd: Capture, tiny_bundle: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("in the way")
        arguments = ("--source", SMALL_SCENES, "-o", tmp_path / "file" / "out", "--json")
        called = call(capfd, "run", tiny_bundle, *arguments)
        assert called.code == called.document["exit_code"] == 3
        assert called.document["error"]["kind"] == "OutputError"
        assert str(tmp_path / "file" / "out") in called.document["error"]["message"]
        assert names_in(tmp_path) == ["file"]
        assert (tmp_path / "file").read_text() == "in the way"

    @pytest.mark.parametrize("name", ["absent.png", "absent.mp4", "absent", "absent_*.png"])
    def test_a_source_that_does_not_exist_is_code_3_and_leaves_nothing(
        self, capfd: Capture, tiny_bundle: Path, tmp_path: Path, name: str
    ) -> None:
        called = call(capfd, "run", tiny_bundle, "--source", tmp_path / name, "-o", tmp_path / "out")
        assert called.code == 3
        assert "absent" in called.err
        assert names_in(tmp_path) == []

    def test_a_bundle_that_does_not_exist_is_code_3(self, capfd: Capture, tmp_path: Path) -> None:
        called = call(capfd, "run", tmp_path / "absent.saccade", "--source", SMALL_SCENES, "-o", tmp_path / "out")
        assert called.code == 3
        assert "absent.saccade" in called.err

    @pytest.mark.parametrize(
        "options",
        [
            ("--source", "rtsp://camera/1"),
            ("--source", "scenes:light=noon"),
            ("--source", SMALL_SCENES, "--fast"),
            ("--source", SMALL_SCENES, "--opacity", "2"),
            ("--source", SMALL_SCENES, "--opacity", "nan"),
            ("--source", SMALL_SCENES, "--limit", "0"),
            ("--source", SMALL_SCENES, "--device", "tpu"),
            ("--source", SMALL_SCENES, "--variant", "int4"),
            (),
        ],
        ids=lambda options: " ".join(options) or "no source",
    )
    def test_misuse_is_code_2_and_leaves_nothing(
        self, capfd: Capture, tiny_bundle: Path, tmp_path: Path, options: tuple[str, ...]
    ) -> None:
        called = call(capfd, "run", tiny_bundle, *options, "-o", tmp_path / "out")
        assert (called.code, called.out) == (2, "")
        assert "rror: " in called.err
        assert names_in(tmp_path) == []

    def test_a_gpu_where_none_is_is_code_2_and_said(
        self, capfd: Capture, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("saccade.engines.gpu_description", lambda: None)
        called = call(capfd, "run", tiny_bundle, "--source", SMALL_SCENES, "--device", "cuda", "-o", tmp_path / "out")
        assert called.code == 2
        assert "device 'cuda' was asked for, but no NVIDIA GPU is here; pass device='cpu'" in called.err
        assert names_in(tmp_path) == []

    def test_a_gpu_that_the_engine_cannot_use_is_code_2_and_what_it_can_is_said(
        self, capfd: Capture, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from saccade.engines.onnxruntime import sessions

        monkeypatch.setattr("saccade.engines.gpu_description", lambda: "NVRM version: a driver")
        monkeypatch.setattr(sessions, "available", lambda: ("CPUExecutionProvider",))
        asked = ("--engine", "onnxruntime", "--device", "cuda", "-o", tmp_path / "out")
        called = call(capfd, "run", tiny_bundle, "--source", SMALL_SCENES, *asked)
        assert called.code == 2
        assert "has CPUExecutionProvider; install saccade[cuda]" in called.err
        assert names_in(tmp_path) == []


def heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
def test_an_interrupt_is_code_130_and_leaves_valid_files(
    tiny_bundle: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    # Given a run that would take hours.
    out = tmp_path / "out"
    source = "scenes:frames=100000,size=96x64"
    process = subprocess.Popen(
        [*IN_PROCESS_OF_ITS_OWN, "run", str(tiny_bundle), "--source", source, "-o", str(out), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background makes its children ignore the interrupt.
        preexec_fn=heed_interrupts,
    )
    try:
        # When it is interrupted after some frames.
        growing = out / ".results.jsonl.part"
        deadline = time.monotonic() + 120
        while not (growing.exists() and growing.read_text().count("\n") >= 8):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "no frame was done in two minutes"
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        said, complaints = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    # Then the code says so, and what was done until then is there, whole.
    assert process.returncode == 130, complaints
    assert "Traceback" not in complaints
    results = lines_of(out)
    assert [line["frame_id"] for line in results] == list(range(len(results)))
    assert names_in(out) == ["overlay.mp4", "results.jsonl"]
    assert len(results) >= frames_in(out / "overlay.mp4") >= len(results) - 1 >= 7
    if options:
        assert json.loads(said)["interrupted"] is True
    else:
        assert said.startswith("interrupted; what was done so far is kept\n")
