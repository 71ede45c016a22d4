"""``saccade bench`` on small bundles: what it measures, prints and writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.commands import call

from saccade import scenes
from saccade.errors import RequestError
from saccade_bench import turns
from saccade_bench.chosen import bundle_arms, frames_for, read_asked
from saccade_bench.document import read

pytestmark = pytest.mark.torch
Capture = pytest.CaptureFixture[str]

SMALL = ("--source", "scenes:size=96x64", "--frames", "2", "--threads", "1", "--smoke")
FRAMES = [scenes.render(1, index, (64, 96)).image for index in range(2)]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(turns.TIERS, "smoke", turns.Effort(samples=64, most_s=1.0))


def names(folder: Path, *arms: str) -> list[str]:
    return [arm.name for arm in bundle_arms([read_asked(each) for each in arms], FRAMES, folder, None)]


class TestArms:
    def test_a_bundle_alone_stands_for_all_that_can_run_here(self, tiny_bundle: Path, tmp_path: Path) -> None:
        stem = tiny_bundle.stem
        assert names(tmp_path, str(tiny_bundle)) == [f"{stem}:fp32-cpu@onnxruntime", f"{stem}:fp32-cpu@openvino"]

    def test_a_restorer_is_run_in_every_number_of_steps(self, tiny_restorer_bundle: Path, tmp_path: Path) -> None:
        arms = bundle_arms([read_asked(str(tiny_restorer_bundle))], FRAMES, tmp_path, None)
        steps = {(arm.spec["variant"], arm.spec["asked"]["steps"]) for arm in arms}
        assert steps == {("fp32-cpu-n1", 1), ("fp32-cpu-n2", 2), ("fp32-cpu-n4", 4)}
        assert all(arm.spec["asked"]["sigma"] == 25.0 for arm in arms)

    def test_variant_engine_and_threads_may_be_chosen(self, tiny_bundle: Path, tmp_path: Path) -> None:
        asked = read_asked(f"{tiny_bundle}:fp32-cpu@openvino*2")
        assert (asked.variant, asked.engine, asked.threads) == ("fp32-cpu", "openvino", 2)
        [arm] = bundle_arms([asked], FRAMES, tmp_path, 1)
        assert (arm.name, arm.spec["threads"]) == (f"{tiny_bundle.stem}:fp32-cpu@openvino*2", 2)

    @pytest.mark.parametrize("text", ["network.onnx", "a.saccade*two", "a.saccade:", "a.saccade@"])
    def test_what_is_no_arm_is_told(self, text: str) -> None:
        with pytest.raises(RequestError, match=r"an arm is BUNDLE\.saccade"):
            read_asked(text)

    def test_arms_of_other_work_or_twice_the_same_are_refused(
        self, tiny_bundle: Path, tiny_detector_bundle: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(RequestError, match="these are for detect and segment"):
            names(tmp_path, str(tiny_bundle), str(tiny_detector_bundle))
        with pytest.raises(RequestError, match="asked for twice"):
            names(tmp_path, f"{tiny_bundle}@onnxruntime", f"{tiny_bundle}:fp32-cpu")

    def test_a_restorer_s_frames_are_degraded_and_others_are_not(
        self, tiny_bundle: Path, tiny_restorer_bundle: Path, tmp_path: Path
    ) -> None:
        import numpy as np

        kept, noisy = (
            np.load(frames_for(read_asked(str(path)).bundle.manifest.task, FRAMES, tmp_path)["frames"])
            for path in (tiny_bundle, tiny_restorer_bundle)
        )
        assert np.array_equal(kept, FRAMES)
        assert 5 < np.std(noisy.astype(float) - kept) < 40


class TestCommand:
    def test_arms_are_measured_compared_and_written(self, capfd: Capture, tiny_bundle: Path, tmp_path: Path) -> None:
        called = call(capfd, "bench", tiny_bundle, *SMALL, "-o", tmp_path / "out")
        assert called.code == 0, called.err
        assert "frame to result" in called.out
        assert "noise floor: wall" in called.out
        made = read(tmp_path / "out" / "bench.json")
        assert [arm.role for arm in made.arms] == ["arm", "arm", "again", "yardstick"]
        first, other = made.arms[:2]
        assert first.about["engine"] == "onnxruntime"
        assert other.about["engine"] == "openvino"
        assert min(first.agreement or 0, other.agreement or 0) > 0.99
        assert len(first.samples("wall")) == len(first.samples("cpu")) == len(first.samples("engine")) >= 32
        assert all(engine < wall for engine, wall in zip(first.samples("engine"), first.samples("wall"), strict=True))
        assert 0 < first.imported_ms < first.opened_ms < first.first_ms
        assert first.peak_mb > 30
        assert {each.what for each in made.differences} == {"wall", "cpu", "engine"}
        assert made.settings["width"] == 96

    def test_an_earlier_run_is_compared_with(
        self, capfd: Capture, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = (f"{tiny_bundle}@onnxruntime", *SMALL)
        assert call(capfd, "bench", *asked, "-o", tmp_path).code == 0
        path = tmp_path / "bench.json"
        again = call(capfd, "bench", *asked, "--against", path, "--fail-over", "900%", "--json")
        assert (again.code, again.document["passed"]) == (0, True)
        content = json.loads(path.read_text())
        content["arms"][0]["cpu"] = [[sample / 20 for sample in turn] for turn in content["arms"][0]["cpu"]]
        path.write_text(json.dumps(content))
        slower = call(capfd, "bench", *asked, "--against", path)
        assert slower.code == 1
        assert "more than --fail-over 3%" in slower.out

    def test_the_network_alone_stands_beside_them(
        self, capfd: Capture, tiny_bundle: Path, tiny_restorer_bundle: Path
    ) -> None:
        called = call(capfd, "bench", f"{tiny_bundle}:fp32-cpu@onnxruntime", "--bare", *SMALL)
        assert called.code == 0, called.err
        (line,) = (line for line in called.out.splitlines() if line.lstrip().startswith("network alone"))
        assert "another result" not in line
        found = call(capfd, "bench", f"{tiny_bundle}:fp32-cpu@onnxruntime", "--bare", *SMALL, "--json").document
        first, alone, *_ = found["arms"]
        assert (first["role"], alone["role"], alone["agreement"]) == ("arm", "network", None)
        for wall, engine in zip(alone["wall"], alone["engine"], strict=True):
            assert all(0 < inside <= outside for inside, outside in zip(engine, wall, strict=True))
        assert "network alone" in {each["name"] for each in found["differences"]}
        refused = call(capfd, "bench", tiny_restorer_bundle, "--bare", *SMALL)
        assert refused.code == 2
        assert "takes frames of any size: there is no bare network beside it" in refused.err

    def test_a_camera_of_constant_rate(self, capfd: Capture, tiny_bundle: Path) -> None:
        called = call(capfd, "bench", f"{tiny_bundle}@onnxruntime", *SMALL, "--fps", "40", "--json")
        assert called.code == 0, called.err
        stream = called.document["arms"][0]["stream"]
        assert stream["published"] == stream["processed"] + stream["dropped"] == 40
        assert called.document["settings"]["scenario"] == "constant-stream"

    def test_several_frames_at_once(self, capfd: Capture, tiny_bundle: Path) -> None:
        called = call(capfd, "bench", f"{tiny_bundle}@onnxruntime", *SMALL, "--scenario", "offline", "--batch", "4")
        assert called.code == 0, called.err
        assert "4 frames" in called.out
        assert "frames a second" in called.out

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (("--fps", "0"), "--fps"),
            (("--fps", "30", "--batch", "2"), "--batch is for multi-stream and offline"),
            (("--scenario", "offline", "--fps", "30"), "--fps and --deadline are for --scenario constant-stream"),
            (("--batch", "2"), "--batch is for --scenario multi-stream or offline"),
            (("--fail-over", "much"), "is not a percentage above 0"),
            (("--source", "absent.mp4"), "absent.mp4"),
            (("--against", "absent.json"), "absent.json is no document"),
        ],
    )
    def test_misuse_is_told_before_anything_runs(
        self, capfd: Capture, tiny_bundle: Path, options: tuple[str, ...], said: str
    ) -> None:
        called = call(capfd, "bench", tiny_bundle, *options)
        assert called.code in (2, 3)
        assert said in called.err

    def test_a_file_in_the_folder_s_place_is_told(self, capfd: Capture, tiny_bundle: Path, tmp_path: Path) -> None:
        (tmp_path / "out").write_text("mine")
        called = call(capfd, "bench", tiny_bundle, *SMALL, "-o", tmp_path / "out")
        assert called.code == 3
        assert "--output names a folder" in called.err
        assert (tmp_path / "out").read_text() == "mine"
