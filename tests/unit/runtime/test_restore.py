"""The restoration task: what a call may ask, and what comes back. With a small random network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.hostile.test_bundles import with_manifest

import saccade
from saccade.errors import FrameError, RequestError
from saccade.gain_table import CameraNoise
from saccade.kinds import KINDS
from saccade.kinds.look import Look

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def task(tiny_restorer_bundle: Path) -> Iterator[saccade.RestoreTask]:
    with saccade.open(tiny_restorer_bundle, threads=1) as opened:
        assert isinstance(opened, saccade.RestoreTask)
        yield opened


def frame(height: int = 50, width: int = 70, sigma: float = 20.0) -> np.ndarray:
    random = np.random.default_rng(0)
    base = np.linspace(60, 180, width)[None, :, None] + np.zeros((height, 1, 3))
    return np.clip(base + random.normal(0, sigma, base.shape), 0, 255).astype(np.uint8)


class TestResults:
    def test_image_sigma_and_steps_come_back(self, task: saccade.RestoreTask) -> None:
        image = frame()
        result = task(image, sigma=20.0, steps=2, frame_id=7)
        assert result.image.shape == image.shape
        assert result.image.dtype == np.uint8
        assert (result.sigma, result.steps, result.finite) == (20.0, 2, True)
        assert result.origin.frame_id == 7
        assert result.origin.variant == task.variant == "fp32-cpu-n2"
        assert result.timing.engine_ms > 0

    def test_steps_and_sigma_change_the_image(self, task: saccade.RestoreTask) -> None:
        images = [task(frame(), sigma=s, steps=n).image for s, n in ((20.0, 1), (20.0, 2), (20.0, 4), (40.0, 1))]
        for index, image in enumerate(images):
            assert not any(np.array_equal(image, other) for other in images[:index])

    def test_auto_takes_one_step(self, task: saccade.RestoreTask) -> None:
        assert task(frame(), sigma=20.0).steps == 1

    def test_what_is_prepared_is_what_runs(self, tiny_restorer_bundle: Path) -> None:
        with saccade.open(tiny_restorer_bundle, threads=1) as opened:
            assert isinstance(opened, saccade.RestoreTask)
            for steps, entry, variant in ((4, "uint8", "fp32-cpu-n4"), ("auto", "float32", "fp32-cpu-n1-float32")):
                opened.prepare(steps, entry)
                assert opened.variant == variant
                result = opened(frame().astype(entry), sigma=20.0, steps=steps)
                assert result.origin.variant == variant
            with pytest.raises(RequestError, match="3 steps were asked for"):
                opened.prepare(3)
            with pytest.raises(RequestError, match="1 steps on float16 frames were asked for"):
                opened.prepare(1, "float16")

    def test_noise_is_measured_by_default(self, task: saccade.RestoreTask) -> None:
        result = task(frame(200, 200))
        assert result.sigma == pytest.approx(20, abs=2)
        assert result.measured == result.sigma
        assert task(frame(), sigma=20.0).measured is None
        np.testing.assert_array_equal(result.image, task(frame(200, 200), sigma=result.sigma).image)

    @pytest.mark.parametrize("how", ["measured", "tiles"])
    def test_noise_beyond_what_the_network_knows_is_told(self, task: saccade.RestoreTask, how: str) -> None:
        random = np.random.default_rng(0)
        loud = (128 + random.normal(0, 90, (200, 200, 3))).astype(np.float32)
        result = task(loud, sigma=how)
        assert result.sigma == 60.0
        assert result.measured == pytest.approx(90, rel=0.05)
        assert KINDS["restore"].record(result)["measured"] == round(result.measured, 3)

    def test_a_cameras_noise_is_summed_up_as_it_is_used(self, task: saccade.RestoreTask) -> None:
        flat = np.full((64, 64, 3), 200, np.uint8)
        within = task(flat, sigma=CameraNoise(3.0, 0.5))
        assert within.sigma == pytest.approx((3.0**2 + 0.5 * 200) ** 0.5)
        np.testing.assert_array_equal(within.image, task(flat, sigma=within.sigma).image)
        beyond = task(flat, sigma=CameraNoise(2.0, 255.0))
        assert beyond.sigma == 60.0
        np.testing.assert_array_equal(beyond.image, task(flat, sigma=60.0).image)

    def test_a_map_is_summed_up_by_its_mean_square(self, task: saccade.RestoreTask) -> None:
        half = np.zeros((50, 70))
        half[:, :35] = 20.0
        assert task(frame(), sigma=half).sigma == pytest.approx(20 / 2**0.5)

    def test_below_the_dead_zone_a_frame_stays_as_it_is(self, task: saccade.RestoreTask) -> None:
        image = frame(sigma=0)
        result = task(image, sigma=2.0)
        assert result.steps == 0
        np.testing.assert_array_equal(result.image, image)
        assert not np.shares_memory(result.image, image)

    def test_a_batch_is_each_of_its_frames(self, task: saccade.RestoreTask) -> None:
        frames = [frame(64, 64, sigma) for sigma in (1.0, 15.0, 30.0)]
        for given in (frames, np.stack(frames)):
            results = task(given)
            assert [result.steps for result in results] == [0, 1, 1]
            for result, one in zip(results, frames, strict=True):
                single = task(one)
                assert int(np.abs(result.image.astype(int) - single.image).max()) <= 1
                assert result.sigma == pytest.approx(single.sigma)

    def test_a_map_of_one_number_is_that_number(self, task: saccade.RestoreTask) -> None:
        image = frame()
        found = task(image, sigma=np.full(image.shape[:2], 25.0))
        np.testing.assert_array_equal(found.image, task(image, sigma=25.0).image)
        half = np.full(image.shape[:2], 25.0)
        half[:, :35] = 0
        np.testing.assert_array_equal(task(image, sigma=half).image[:, :35], image[:, :35])

    def test_floats_go_in_and_out_beyond_the_range(self, task: saccade.RestoreTask) -> None:
        image = frame().astype(np.float32) * 1.4 - 40
        result = task(image, sigma=20.0, steps=4)
        assert result.image.dtype == np.float32
        assert result.image.min() < 0
        assert result.image.max() > 255

    def test_bgr_frames_give_bgr(self, task: saccade.RestoreTask) -> None:
        image = frame()
        image[..., 0] //= 2
        swapped = task(image[..., ::-1], sigma=20.0, pixel_format="bgr24").image[..., ::-1]
        np.testing.assert_array_equal(swapped, task(image, sigma=20.0).image)

    @pytest.mark.parametrize("size_hw", [(1, 1), (1, 9), (3, 200), (8, 8), (129, 131)])
    def test_any_size(self, task: saccade.RestoreTask, size_hw: tuple[int, int]) -> None:
        result = task(frame(*size_hw), sigma=20.0)
        assert result.image.shape == (*size_hw, 3)

    def test_tiles_are_the_whole(self, task: saccade.RestoreTask) -> None:
        image = frame(300, 410)
        for steps in (1, 4):
            whole = task(image, sigma=25.0, steps=steps, tile=0).image.astype(int)
            tiled = task(image, sigma=25.0, steps=steps, tile=128).image.astype(int)
            assert int(np.abs(whole - tiled).max()) <= 1
        corner = task(image[:128, :128], sigma=25.0, steps=4).image.astype(int)
        assert int(np.abs(whole[:128, :128] - corner).max()) > 1  # a tile alone is not the whole

    def test_results_own_their_arrays(self, task: saccade.RestoreTask) -> None:
        first = task(frame(), sigma=20.0)
        kept = first.image.copy()
        task(frame()[::-1].copy(), sigma=40.0)
        np.testing.assert_array_equal(first.image, kept)

    def test_a_clone_gives_the_same(self, task: saccade.RestoreTask) -> None:
        with task.clone() as other:
            np.testing.assert_array_equal(other(frame(), sigma=20.0).image, task(frame(), sigma=20.0).image)


class TestForms:
    def test_stepwise_is_unrolled(self, task: saccade.RestoreTask, tiny_restorer_bundle: Path) -> None:
        image = frame().astype(np.float32)
        with saccade.open(tiny_restorer_bundle, variant="fp32-cpu-stepwise-float32", threads=1) as stepwise:
            assert isinstance(stepwise, saccade.RestoreTask)
            assert stepwise.steps == (1, 2, 4)
            for steps in stepwise.steps:
                found, wanted = (t(image, sigma=20.0, steps=steps).image for t in (stepwise, task))
                assert float(np.abs(found - wanted).max()) / 255 <= 5e-6
            with pytest.raises(FrameError, match="must be float32"):
                stepwise(frame(), sigma=20.0)

    def test_a_variant_asked_for_is_the_only_one(self, tiny_restorer_bundle: Path) -> None:
        with saccade.open(tiny_restorer_bundle, variant="fp32-cpu-n2", threads=1) as pinned:
            assert isinstance(pinned, saccade.RestoreTask)
            assert pinned(frame(), sigma=20.0).steps == 2
            with pytest.raises(RequestError, match="carries 2"):
                pinned(frame(), sigma=20.0, steps=4)


class TestGoldenFrames:
    def test_each_number_of_steps_is_held_to_its_own_variant(self, tiny_restorer_bundle: Path, tmp_path: Path) -> None:
        def allow(manifest: dict[str, Any]) -> None:
            for variant in manifest["variants"]:
                variant["tolerances"]["grey_levels"] = 8 * variant["parameters"].get("steps", 5)

        bundle = saccade.open_bundle(with_manifest(tiny_restorer_bundle, tmp_path / "x.saccade", allow))
        with saccade.open(bundle, device="cpu", threads=1) as opened:
            check = KINDS["restore"].check(bundle, bundle.manifest.golden[0], opened)
        assert check.passed
        assert [(step.steps, step.variant, step.most_grey_levels) for step in check.steps] == [
            (1, "fp32-cpu-n1", 8), (2, "fp32-cpu-n2", 16), (4, "fp32-cpu-n4", 32),
        ]  # fmt: skip
        one, *others = check.steps
        for bad in (replace(one, grey_levels=9), replace(one, finite=False)):
            assert not replace(check, steps=(bad, *others)).passed
        assert "off in 2 steps (at most 16 for fp32-cpu-n2); " in check.sentence


class TestRefusals:
    @pytest.mark.parametrize(
        ("asked", "says"),
        [
            ({"sigma": 61.0}, "must be 0 to 60 grey levels"),
            ({"sigma": -1.0}, "must be 0 to 60 grey levels"),
            ({"sigma": float("nan")}, "must be 0 to 60 grey levels"),
            ({"sigma": np.zeros((3, 4))}, "map of the frame's 50x70"),
            ({"sigma": "loud"}, "'measured' or 'tiles'"),
            ({"steps": 3}, "carries 1, 2, 4"),
            ({"tile": 60}, "above 96 pixels"),
            ({"mask": np.zeros((50, 70), bool)}, "mode is denoise"),
        ],
    )
    def test_what_is_not_carried(self, task: saccade.RestoreTask, asked: dict[str, object], says: str) -> None:
        with pytest.raises(RequestError, match=says):
            task(frame(), **{"sigma": 20.0, **asked})

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            (np.full((20, 20, 3), np.nan, np.float32), "no numbers"),
            (np.zeros((20, 20, 3), np.float64), "must be uint8 or float32"),
            (np.zeros((20, 20), np.uint8), "must be uint8 or float32"),
            (np.zeros((0, 20, 3), np.uint8), "1 to 16384"),
            ([], "at least one frame"),
        ],
    )
    def test_what_is_no_frame(self, task: saccade.RestoreTask, given: np.ndarray, says: str) -> None:
        with pytest.raises(FrameError, match=says):
            task(given, sigma=20.0)

    def test_waiting_for_nothing(self, task: saccade.RestoreTask) -> None:
        with pytest.raises(RequestError, match="without submit"):
            task.wait()


def test_before_and_after_are_side_by_side(task: saccade.RestoreTask) -> None:
    image = frame(64, 80)
    result = task(image, sigma=20.0)
    kind = KINDS["restore"]
    np.testing.assert_array_equal(kind.picture(image, result, Look()), result.image)
    both = kind.picture(image, result, Look(before_after=True))
    assert both.shape == (64, 160, 3)
    np.testing.assert_array_equal(both[:40, :80], image[:40])
    np.testing.assert_array_equal(both[:40, 80:], result.image[:40])
