"""``saccade eval`` of restorers: the table, the scores, what may be asked and what is refused."""

from __future__ import annotations

import hashlib
import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.archives import members_of, pack
from tests.commands import Called, call

import saccade
from saccade.evaluation.degradations import dark
from saccade.metrics import as_shown, energy_kept, noise_correlation, psnr, quality_library
from saccade.noise import measure_noise

pytestmark = pytest.mark.torch

Capture = pytest.CaptureFixture[str]

SIZES_HW = ((60, 80), (47, 65))


def pictures() -> list[np.ndarray]:
    found: list[np.ndarray] = []
    for seed, (height, width) in enumerate(SIZES_HW):
        coarse = np.random.default_rng(seed).integers(40, 216, (height // 5 + 1, width // 5 + 1, 3), np.uint8)
        found.append(np.kron(coarse, np.ones((5, 5, 1), np.uint8))[:height, :width])
    return found


def save(folder: Path, images: list[np.ndarray]) -> Path:
    folder.mkdir()
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{index}.png")
    return folder


def published_noise(sigma: float) -> list[np.ndarray]:
    return [(image + np.random.RandomState(0).normal(0, sigma, image.shape)).astype(np.float32) for image in pictures()]


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    return save(tmp_path / "clean", pictures())


@pytest.fixture(scope="module")
def other_modes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny restorer for each mode but denoising."""
    from tests.tiny import export_tiny_restorer

    folder = tmp_path_factory.mktemp("modes")
    return {
        "inpaint": export_tiny_restorer(folder, "inpaint"),
        "deblur": export_tiny_restorer(folder, "deblur"),
        "super-resolution": export_tiny_restorer(folder, "super-resolution"),
        "low-light": export_tiny_restorer(folder, "low-light"),
    }


def with_weights(bundle: Path, target: Path, change: Callable[[np.ndarray], np.ndarray]) -> Path:
    """``bundle`` with other weights, whole and consistent."""
    members = members_of(bundle)
    manifest = json.loads(members.pop("manifest.json"))
    weights = change(np.frombuffer(members["graphs/weights.bin"], np.float32)).tobytes()
    members["graphs/weights.bin"] = weights
    manifest["members"]["graphs/weights.bin"]["sha256"] = hashlib.sha256(weights).hexdigest()
    target.write_bytes(pack({**members, "manifest.json": json.dumps(manifest).encode()}))
    return target


def scored(capfd: Capture, bundle: Path, data: Path, *options: str | Path) -> Called:
    return call(capfd, "eval", bundle, "--data", data, "--threads", "1", *options)


def restored(bundle: Path, frames: list[np.ndarray], **asked: Any) -> list[np.ndarray]:
    """What the bundle makes of the frames, as the task itself gives it."""
    with saccade.open(bundle, device="cpu", threads=1) as task:
        return [task(frame, **asked).image for frame in frames]


class TestDenoising:
    def test_scores_are_those_of_what_the_task_gives(
        self, capfd: Capture, tiny_restorer_bundle: Path, clean: Path
    ) -> None:
        # Given the published noise, and what the task makes of it when it is told sigma.
        frames = published_noise(25)
        shown = [as_shown(image) for image in restored(tiny_restorer_bundle, frames, sigma=25.0)]
        # When the bundle is scored.
        said = scored(capfd, tiny_restorer_bundle, clean, "--json").document
        # Then each image has the scores of that.
        (level,) = said["levels"]
        assert (level["level"], level["sigma"]) == (25.0, 25.0)
        rows = zip(level["per_image"], shown, frames, pictures(), strict=True)
        for index, (row, image, frame, truth) in enumerate(rows):
            assert (row["name"], row["height"], row["width"]) == (f"{index}.png", *truth.shape[:2])
            assert (row["sigma"], row["steps"], row["finite"]) == (25.0, 1, True)
            assert row["scores"]["psnr"] == pytest.approx(psnr(image, truth))
            assert row["scores"]["input_psnr"] == pytest.approx(psnr(as_shown(frame), truth))
            assert row["scores"]["high_band"] == pytest.approx(energy_kept(image, truth))
            assert row["scores"]["noise_correlation"] == pytest.approx(noise_correlation(image, frame, truth))
        # And the level has their mean.
        mean = np.mean([psnr(image, truth) for image, truth in zip(shown, pictures(), strict=True)])
        assert said["scores"]["psnr"] == level["scores"]["psnr"] == pytest.approx(mean)
        assert (said["mode"], said["entry"], said["told"], said["steps"]) == ("denoise", "float32", "known", "auto")
        assert (said["images"], said["not_finite"], said["passed"]) == (2, 0, True)
        assert said["variant"].endswith("float32")

    def test_another_network_has_other_scores(
        self, capfd: Capture, tiny_restorer_bundle: Path, clean: Path, tmp_path: Path
    ) -> None:
        other = with_weights(tiny_restorer_bundle, tmp_path / "other.saccade", lambda weights: weights[::-1])
        one, two = (
            scored(capfd, bundle, clean, "--json").document["scores"] for bundle in (tiny_restorer_bundle, other)
        )
        assert one["input_psnr"] == two["input_psnr"]
        assert abs(one["psnr"] - two["psnr"]) > 0.01

    def test_as_text_it_is_a_row_for_each_sigma(self, capfd: Capture, tiny_restorer_bundle: Path, clean: Path) -> None:
        levels = ("--noise-sigma", "15", "--noise-sigma", "50")
        called = scored(capfd, tiny_restorer_bundle, clean, *levels)
        assert called.code == 0
        lines = called.out.splitlines()
        assert lines[0].startswith("denoise (fp32-cpu-n1-float32 on onnxruntime ")
        assert lines[1].startswith("2 images, denoise, float32 frames, sigma known, steps auto, ")
        columns = "noise sigma told psnr input_psnr ssim gmsd high_band noise_correlation"
        assert lines[3].split() == columns.split()
        assert [line.split()[:2] for line in lines[4:6]] == [["15", "15.00"], ["50", "50.00"]]
        assert "images" in called.err

    def test_several_levels_are_judged_by_the_worst(
        self, capfd: Capture, tiny_restorer_bundle: Path, clean: Path
    ) -> None:
        levels = ("--noise-sigma", "10", "--noise-sigma", "50")
        said = scored(capfd, tiny_restorer_bundle, clean, *levels, "--json").document
        scores = [level["scores"] for level in said["levels"]]
        assert [level["level"] for level in said["levels"]] == [10.0, 50.0]
        assert scores[0]["input_psnr"] > scores[1]["input_psnr"] + 10
        assert said["scores"]["psnr"] == min(score["psnr"] for score in scores)
        assert said["scores"]["noise_correlation"] == max(score["noise_correlation"] for score in scores)

    def test_a_cameras_frame_is_clamped_and_rounded(
        self, capfd: Capture, tiny_restorer_bundle: Path, clean: Path
    ) -> None:
        said = scored(capfd, tiny_restorer_bundle, clean, "--entry", "uint8", "--json").document
        frames = [as_shown(frame) for frame in published_noise(25)]
        shown = restored(tiny_restorer_bundle, frames, sigma=25.0)
        expected = [psnr(image, truth) for image, truth in zip(shown, pictures(), strict=True)]
        found = [row["scores"]["psnr"] for row in said["levels"][0]["per_image"]]
        assert found == pytest.approx(expected)
        assert (said["entry"], said["variant"]) == ("uint8", "fp32-cpu-n1")

    @pytest.mark.parametrize("told", ["measured", "tiles"])
    def test_noise_may_have_to_be_measured(
        self, capfd: Capture, tiny_restorer_bundle: Path, clean: Path, told: str
    ) -> None:
        said = scored(capfd, tiny_restorer_bundle, clean, "--sigma", told, "--json").document
        found = [row["sigma"] for row in said["levels"][0]["per_image"]]
        assert found == pytest.approx([measure_noise(frame).sigma for frame in published_noise(25)], rel=1e-5)
        assert said["told"] == told

    def test_steps_and_tiles_are_as_asked(self, capfd: Capture, tiny_restorer_bundle: Path, clean: Path) -> None:
        frames = published_noise(25)
        for options, asked in ((("--steps", "4"), {"steps": 4}), (("--tile", "100"), {"tile": 100})):
            said = scored(capfd, tiny_restorer_bundle, clean, *options, "--json").document
            shown = [as_shown(image) for image in restored(tiny_restorer_bundle, frames, sigma=25.0, **asked)]
            expected = [psnr(image, truth) for image, truth in zip(shown, pictures(), strict=True)]
            assert [row["scores"]["psnr"] for row in said["levels"][0]["per_image"]] == pytest.approx(expected)
            assert {row["steps"] for row in said["levels"][0]["per_image"]} == {asked.get("steps", 1)}

    def test_without_noise_nothing_is_lost(self, capfd: Capture, tiny_restorer_bundle: Path, clean: Path) -> None:
        called = scored(capfd, tiny_restorer_bundle, clean, "--noise-sigma", "0", "--json")
        assert called.code == 0
        (level,) = called.document["levels"]
        assert {row["steps"] for row in level["per_image"]} == {0}
        assert (level["scores"]["psnr"], level["scores"]["high_band"]) == (None, 1.0)  # infinite
        assert level["scores"]["noise_correlation"] is None

    def test_the_limit_counts_images(self, capfd: Capture, tiny_restorer_bundle: Path, clean: Path) -> None:
        said = scored(capfd, tiny_restorer_bundle, clean, "--limit", "1", "--json").document
        assert (said["images"], len(said["levels"][0]["per_image"])) == (1, 1)


@pytest.mark.slow
class TestOtherModes:
    def test_holes(self, capfd: Capture, other_modes: dict[str, Path], clean: Path) -> None:
        levels = ("--holes", "0.1", "--holes", "0.6")
        said = scored(capfd, other_modes["inpaint"], clean, *levels, "--json").document
        assert [level["level"] for level in said["levels"]] == [0.1, 0.6]
        assert [level["sigma"] for level in said["levels"]] == [None, None]
        few, many = (level["scores"] for level in said["levels"])
        assert few["input_psnr"] > many["input_psnr"]
        assert (few["noise_correlation"], said["told"], said["entry"]) == (None, None, "uint8")

    def test_a_blur(self, capfd: Capture, other_modes: dict[str, Path], clean: Path) -> None:
        said = scored(capfd, other_modes["deblur"], clean, "--json").document
        assert [(level["level"], level["sigma"]) for level in said["levels"]] == [(1.6, pytest.approx(1.6))]
        assert said["levels"][0]["scores"]["input_psnr"] > 15

    def test_resolution(self, capfd: Capture, other_modes: dict[str, Path], clean: Path) -> None:
        said = scored(capfd, other_modes["super-resolution"], clean, "--json").document
        rows = said["levels"][0]["per_image"]
        assert [(row["height"], row["width"]) for row in rows] == [(60, 80), (46, 64)]
        assert said["levels"][0]["level"] == 2.0
        for row, truth in zip(rows, pictures(), strict=True):
            cut = Image.fromarray(truth[: row["height"], : row["width"]])
            half = cut.resize((cut.width // 2, cut.height // 2), Image.Resampling.BICUBIC)
            baseline = np.array(half.resize(cut.size, Image.Resampling.BICUBIC))
            assert row["scores"]["input_psnr"] == pytest.approx(psnr(baseline, np.array(cut)))
        called = scored(capfd, other_modes["super-resolution"], clean)
        assert "input_psnr: of the frames enlarged bicubically" in called.out
        assert "noise_correlation" not in called.out

    def test_darkness(self, capfd: Capture, other_modes: dict[str, Path], clean: Path) -> None:
        said = scored(capfd, other_modes["low-light"], clean, "--gain", "4", "--gain", "12", "--json").document
        assert [(level["level"], level["sigma"]) for level in said["levels"]] == [(4.0, 1.0), (12.0, 1.0)]
        assert (said["told"], said["entry"]) == ("known", "uint8")
        for level in said["levels"]:
            degraded = [dark(image, level["level"]) for image in pictures()]
            frames = [each.entering("uint8") for each in degraded]
            asked = {"gain": level["level"], "gamma": 0.45, "shot": 0.2}
            shown = restored(other_modes["low-light"], frames, sigma=1.0, **asked)
            expected = [psnr(image, truth) for image, truth in zip(shown, pictures(), strict=True)]
            assert [row["scores"]["psnr"] for row in level["per_image"]] == pytest.approx(expected)
            without = [psnr(each.baseline, each.clean) for each in degraded]
            assert [row["scores"]["input_psnr"] for row in level["per_image"]] == pytest.approx(without)
        called = scored(capfd, other_modes["low-light"], clean)
        assert any(line.startswith("gain") for line in called.out.splitlines())
        assert any(line.startswith("8 ") for line in called.out.splitlines())

    @pytest.mark.parametrize(
        ("mode", "options", "message"),
        [
            ("deblur", ("--noise-sigma", "25"), "--noise-sigma is for mode 'denoise', but this bundle's is 'deblur'"),
            ("inpaint", ("--blur-sigma", "2"), "--blur-sigma is for mode 'deblur'"),
            ("super-resolution", ("--holes", "0.5"), "--holes is for mode 'inpaint'"),
            ("deblur", ("--blur-sigma", "9"), "--blur-sigma 9 is beyond what this bundle knows, "),
            ("deblur", ("--sigma", "measured"), "--sigma measured was asked for, but a deblur bundle must be told"),
            ("inpaint", ("--sigma", "known"), "--sigma was given, but this bundle's mode is 'inpaint'"),
            ("inpaint", ("--degraded", "."), "--degraded has no masks"),
            ("deblur", ("--degraded", "."), "must be known; give --blur-sigma"),
            ("low-light", ("--noise-sigma", "25"), "--noise-sigma is for mode 'denoise'"),
            ("low-light", ("--gain", "4", "--gain", "20"), "gain must be 1 to 16, which the network was trained for"),
            ("low-light", ("--gain", "1e-300"), "--gain"),
            ("deblur", ("--tile", "96"), "tile must be 0, for none, or above 96 pixels"),
            ("denoise", ("--gain", "8"), "--gain is for mode 'low-light', but this bundle's is 'denoise'"),
            ("low-light", ("--degraded", ".", "--gain", "4", "--gain", "8"), "--gain says how degraded"),
            ("low-light", ("--degraded", ".", "--sigma", "known"), "must be known; give --sigma measured"),
        ],
    )
    def test_what_a_mode_does_not_have_is_refused(
        self,
        capfd: Capture,
        other_modes: dict[str, Path],
        tiny_restorer_bundle: Path,
        tmp_path: Path,
        mode: str,
        options: tuple[str, ...],
        message: str,
    ) -> None:
        bundle = {**other_modes, "denoise": tiny_restorer_bundle}[mode]
        called = scored(capfd, bundle, tmp_path / "absent", *options)
        assert called.code == 2
        assert message in called.err


class TestPairs:
    @pytest.fixture
    def real(self, tmp_path: Path) -> Path:
        return save(tmp_path / "real", [as_shown(frame) for frame in published_noise(20)])

    def test_frames_are_measured_where_nobody_knows_sigma(
        self, capfd: Capture, tiny_restorer_bundle: Path, clean: Path, real: Path
    ) -> None:
        said = scored(capfd, tiny_restorer_bundle, clean, "--degraded", real, "--json").document
        (level,) = said["levels"]
        frames = [as_shown(frame) for frame in published_noise(20)]
        shown = restored(tiny_restorer_bundle, frames, sigma="measured")
        expected = [psnr(image, truth) for image, truth in zip(shown, pictures(), strict=True)]
        assert [row["scores"]["psnr"] for row in level["per_image"]] == pytest.approx(expected)
        assert (level["level"], said["told"], said["entry"]) == (None, "measured", "uint8")
        called = scored(capfd, tiny_restorer_bundle, clean, "--degraded", real)
        assert any(line.startswith("-      ") for line in called.out.splitlines())

    def test_a_sigma_that_is_known_may_be_told(
        self, capfd: Capture, tiny_restorer_bundle: Path, clean: Path, real: Path
    ) -> None:
        options = ("--degraded", real, "--noise-sigma", "20")
        said = scored(capfd, tiny_restorer_bundle, clean, *options, "--json").document
        assert (said["levels"][0]["level"], said["levels"][0]["sigma"], said["told"]) == (20.0, 20.0, "known")
        called = scored(capfd, tiny_restorer_bundle, clean, *options, "--noise-sigma", "30")
        assert called.code == 2
        assert "give one, but got 2" in called.err
        called = scored(capfd, tiny_restorer_bundle, clean, "--degraded", real, "--sigma", "known")
        assert called.code == 2
        assert "must be known; give --noise-sigma" in called.err

    @pytest.mark.slow
    def test_small_frames_are_paired_with_large_images(
        self, capfd: Capture, other_modes: dict[str, Path], tmp_path: Path
    ) -> None:
        large = save(tmp_path / "large", [image[:46, :64] for image in pictures()])
        small = save(tmp_path / "small", [image[:46:2, :64:2] for image in pictures()])
        options = ("--data", large, "--degraded", small, "--json")
        said = call(capfd, "eval", other_modes["super-resolution"], *options).document
        assert [(row["height"], row["width"]) for row in said["levels"][0]["per_image"]] == [(46, 64)] * 2

    @pytest.mark.slow
    def test_dark_frames_are_lifted_by_the_gain_that_is_told(
        self, capfd: Capture, other_modes: dict[str, Path], clean: Path, tmp_path: Path
    ) -> None:
        frames = [dark(image, 6.0).entering("uint8") for image in pictures()]
        options = ("--degraded", save(tmp_path / "night", frames), "--json")
        for told, asked in ((("--gain", "6"), {"gain": 6.0}), ((), {})):
            said = scored(capfd, other_modes["low-light"], clean, *options, *told).document
            shown = restored(other_modes["low-light"], frames, sigma="measured", **asked)
            expected = [psnr(image, truth) for image, truth in zip(shown, pictures(), strict=True)]
            assert [row["scores"]["psnr"] for row in said["levels"][0]["per_image"]] == pytest.approx(expected)
            assert said["told"] == "measured"
            without = [dark(image, 6.0).baseline for image in pictures()] if told else frames
            expected = [psnr(image, truth) for image, truth in zip(without, pictures(), strict=True)]
            assert [row["scores"]["input_psnr"] for row in said["levels"][0]["per_image"]] == pytest.approx(expected)

    def test_pairs_that_do_not_fit_are_code_3(
        self, capfd: Capture, tiny_restorer_bundle: Path, clean: Path, real: Path
    ) -> None:
        Image.fromarray(pictures()[0][:, :70]).save(real / "0.png")
        called = scored(capfd, tiny_restorer_bundle, clean, "--degraded", real)
        assert called.code == 3
        assert "0.png is 60x70, but its clean image is 60x80" in called.err
        (real / "0.png").unlink()
        called = scored(capfd, tiny_restorer_bundle, clean, "--degraded", real)
        assert called.code == 3
        assert "0.png needs one frame of its name" in called.err


class TestFloors:
    def test_floors_of_psnr_are_in_decibels_and_hold_at_every_level(
        self, capfd: Capture, tiny_restorer_bundle: Path, clean: Path
    ) -> None:
        levels = ("--noise-sigma", "10", "--noise-sigma", "50")
        said = scored(capfd, tiny_restorer_bundle, clean, *levels, "--json").document
        worse, better = sorted(level["scores"]["psnr"] for level in said["levels"])
        between = ("--at-least", f"psnr={(worse + better) / 2}")
        assert scored(capfd, tiny_restorer_bundle, clean, *levels, *between).code == 1
        assert scored(capfd, tiny_restorer_bundle, clean, *levels, "--at-least", "psnr=1").code == 0

    def test_scores_that_are_better_low_have_a_ceiling_at_every_level(
        self, capfd: Capture, tiny_restorer_bundle: Path, clean: Path
    ) -> None:
        levels = ("--noise-sigma", "10", "--noise-sigma", "50")
        said = scored(capfd, tiny_restorer_bundle, clean, *levels, "--json").document
        better, worse = sorted(abs(level["scores"]["noise_correlation"]) for level in said["levels"])
        between = ("--at-most", f"noise_correlation={(worse + better) / 2}")
        failed = scored(capfd, tiny_restorer_bundle, clean, *levels, *between, "--json")
        assert (failed.code, failed.document["passed"]) == (1, False)
        assert [check["passed"] for check in failed.document["at_most"]] == [False]
        passed = scored(capfd, tiny_restorer_bundle, clean, *levels, "--at-most", "noise_correlation=1")
        assert passed.code == 0
        assert ", at most 1" in passed.out

    @pytest.mark.parametrize("ceiling", ["psnr=30", "high_band=1"])
    def test_what_is_better_high_has_no_ceiling(
        self, capfd: Capture, tiny_restorer_bundle: Path, tmp_path: Path, ceiling: str
    ) -> None:
        called = scored(capfd, tiny_restorer_bundle, tmp_path / "absent", "--at-most", ceiling)
        assert called.code == 2
        assert "is better the higher it is; take --at-least; there are gmsd, noise_correlation" in called.err

    @pytest.mark.parametrize(
        ("floor", "message"),
        [
            ("psnr=-1", "a number from 0, as in psnr=30"),
            ("psnr=inf", "a number from 0, as in psnr=30"),
            ("psnr=nan", "a number from 0, as in psnr=30"),
            ("psnr=high", "a number from 0, as in psnr=30"),
            ("ssim=30", "a number from 0 to 1, as in ssim=0.5"),
            (
                "gmsd=0.1",
                "'gmsd' is better the lower it is; take --at-most; there are psnr, input_psnr, ssim, high_band",
            ),
            ("miou=0.5", "there is no score 'miou'; there are psnr"),
        ],
    )
    def test_what_is_no_floor_is_refused(
        self, capfd: Capture, tiny_restorer_bundle: Path, tmp_path: Path, floor: str, message: str
    ) -> None:
        called = scored(capfd, tiny_restorer_bundle, tmp_path / "absent", "--at-least", floor)
        assert called.code == 2
        assert message in called.err


class TestPerceivedScores:
    def test_they_are_there_with_the_library(self, capfd: Capture, tiny_restorer_bundle: Path, clean: Path) -> None:
        if quality_library() is None:
            pytest.skip("cv2.quality is missing: saccade[quality]")
        said = scored(capfd, tiny_restorer_bundle, clean, "--at-least", "ssim=0.01", "--json").document
        assert 0 < said["scores"]["ssim"] < 1
        assert 0 < said["scores"]["gmsd"] < 0.5
        assert said["notes"] == []

    def test_without_it_one_line_says_how_to_get_them(
        self, capfd: Capture, tiny_restorer_bundle: Path, clean: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "cv2", types.ModuleType("cv2"))
        said = scored(capfd, tiny_restorer_bundle, clean, "--json").document
        assert (said["scores"]["ssim"], said["scores"]["gmsd"]) == (None, None)
        assert said["passed"]
        line = "ssim and gmsd need cv2.quality, which is not installed: pip install 'saccade[quality]'"
        assert said["notes"] == [line]
        assert line in scored(capfd, tiny_restorer_bundle, clean).out.splitlines()
        called = scored(capfd, tiny_restorer_bundle, clean, "--at-least", "ssim=0.9")
        assert (called.code, called.out) == (2, "")
        assert line in called.err


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (
                ("--noise-sigma", "25", "--noise-sigma", "80"),
                "knows, 0 to 60 grey levels; give one within, or add --sigma measured",
            ),
            (("--variant", "fp32-cpu-n1"), "noise that is not clipped needs float32 frames, but the variants of this"),
            (("--variant", "fp32-cpu-n1-float32", "--entry", "uint8"), "--entry uint8 frames, but"),
            (("--steps", "3"), "3 steps were asked for, but this bundle carries 1, 2, 4"),
            (("--steps", "few"), "--steps must be a number or auto, but got 'few'"),
            (("--tile", "7"), "tile must be 0, for none, or above 96 pixels"),
            (("--split", "val"), "--split is for segmentation, but this bundle's task is restoration"),
            (("--iou", "0.5"), "--iou is for detection"),
            (("--noise-sigma", "nan"), "not a finite number"),
            (("--noise-sigma", "-1"), "not in the range"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
    )
    def test_what_does_not_fit_is_code_2(
        self, capfd: Capture, tiny_restorer_bundle: Path, clean: Path, options: tuple[str, ...], message: str
    ) -> None:
        called = scored(capfd, tiny_restorer_bundle, clean, *options)
        assert (called.code, called.out) == (2, "")
        assert message in called.err

    def test_sigma_beyond_the_range_may_be_measured(
        self, capfd: Capture, tiny_restorer_bundle: Path, clean: Path
    ) -> None:
        options = ("--noise-sigma", "80", "--sigma", "measured", "--json")
        said = scored(capfd, tiny_restorer_bundle, clean, *options).document
        assert said["levels"][0]["sigma"] <= 60

    def test_folders_that_hold_nothing_are_code_3(
        self, capfd: Capture, tiny_restorer_bundle: Path, tmp_path: Path
    ) -> None:
        called = scored(capfd, tiny_restorer_bundle, tmp_path)
        assert called.code == 3
        assert "holds no image" in called.err
        called = scored(capfd, tiny_restorer_bundle, tmp_path / "absent")
        assert called.code == 3
        assert "must be a folder of images, but it does not exist" in called.err

    def test_options_for_restorers_are_refused_for_maps(
        self, capfd: Capture, tiny_bundle: Path, tmp_path: Path
    ) -> None:
        called = scored(capfd, tiny_bundle, tmp_path, "--noise-sigma", "25")
        assert called.code == 2
        assert "--noise-sigma is for restoration, but this bundle's task is segmentation" in called.err

    def test_results_that_are_not_finite_are_code_1_and_said(
        self, capfd: Capture, tiny_restorer_bundle: Path, clean: Path, tmp_path: Path
    ) -> None:
        bundle = with_weights(tiny_restorer_bundle, tmp_path / "nan.saccade", lambda weights: weights * np.nan)
        called = scored(capfd, bundle, clean, "--json")
        assert (called.code, called.document["not_finite"], called.document["passed"]) == (1, 2, False)
        assert called.document["scores"]["psnr"] is None
        called = scored(capfd, bundle, clean)
        assert called.code == 1
        assert "2 results are not finite" in called.out
