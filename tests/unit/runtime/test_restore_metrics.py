"""Scores of restored images against formulas of their own and torchmetrics."""

from __future__ import annotations

import math
import sys
import types
from collections.abc import Callable

import numpy as np
import pytest

from saccade.errors import RequestError
from saccade.metrics import as_shown, energy_kept, gmsd, noise_correlation, psnr, quality_library, ssim

SIZE_HW = (120, 160)

needs_quality = pytest.mark.skipif(quality_library() is None, reason="cv2.quality is missing: saccade[quality]")


def waves(period: float, amplitude: float = 40.0, *, down: bool = False) -> np.ndarray:
    """A cosine of this period in pixels around middle grey, float64 (H, W, 3), across or down."""
    rows, columns = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]]
    return 128 + amplitude * np.cos(2 * np.pi / period * ((rows if down else columns) + 0.3))[..., None] * np.ones(3)


def picture() -> np.ndarray:
    """A frame of smooth and of fine shapes in three different channels, uint8 (H, W, 3)."""
    rows, columns = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]] / 25
    shapes = np.sin(rows * columns**1.5)[..., None] * np.array([60, 30, -50])
    return np.clip(128 + shapes, 0, 255).astype(np.uint8)


def with_noise(clean: np.ndarray, sigma: float, seed: int = 0) -> np.ndarray:
    return as_shown(clean + np.random.default_rng(seed).normal(0, sigma, clean.shape))


class TestPsnr:
    def test_it_is_the_formula_over_all_pixels_and_channels(self) -> None:
        clean = picture()
        noisy = with_noise(clean, 12)
        squares = [(int(a) - int(b)) ** 2 for a, b in zip(noisy.ravel(), clean.ravel(), strict=True)]
        assert psnr(noisy, clean) == pytest.approx(20 * math.log10(255 / math.sqrt(sum(squares) / len(squares))))

    def test_one_level_everywhere_is_48_db_and_two_are_6_less(self) -> None:
        clean = picture().clip(5, 250)
        assert psnr(clean + 1, clean) == pytest.approx(48.1308, abs=1e-4)
        assert psnr(clean + 2, clean) == pytest.approx(48.1308 - 6.0206, abs=1e-4)

    def test_equal_images_are_infinitely_near(self) -> None:
        assert psnr(picture(), picture()) == math.inf

    @pytest.mark.parametrize(
        ("image", "message"),
        [
            (picture().astype(np.float32), r"image must be uint8 \(H, W, 3\), but got float32"),
            (picture()[..., 0], "image must be uint8"),
            (picture()[:, :100], r"one size, but are \(120, 100\) and \(120, 160\)"),
            (picture()[:0], "image must be uint8"),
        ],
        ids=["floats", "grey", "size", "empty"],
    )
    @pytest.mark.parametrize("score", [psnr, ssim, gmsd])
    def test_what_cannot_be_compared_is_refused(
        self, score: Callable[[np.ndarray, np.ndarray], float], image: np.ndarray, message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            score(image, picture())


class TestAsShown:
    def test_it_clamps_and_rounds(self) -> None:
        shown = as_shown(np.array([-3.0, 0.4, 0.6, 254.6, 300.0], np.float32))
        assert (shown.tolist(), shown.dtype) == ([0, 0, 1, 255, 255], np.uint8)

    def test_bytes_stay_as_they_are(self) -> None:
        image = picture()
        assert as_shown(image) is image

    @pytest.mark.parametrize("value", [math.nan, math.inf])
    def test_what_is_no_number_is_refused(self, value: float) -> None:
        with pytest.raises(ValueError, match="finite"):
            as_shown(np.array([value]))


class TestQuality:
    @needs_quality
    @pytest.mark.torch
    @pytest.mark.parametrize("sigma", [3, 10, 40])
    def test_ssim_is_torchmetrics_with_the_papers_window_and_with_no_other(self, sigma: float) -> None:
        torch = pytest.importorskip("torch")
        from torchmetrics.functional.image import structural_similarity_index_measure

        clean = picture()
        noisy = with_noise(clean, sigma)
        planes = [torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float32)) for image in (noisy, clean)]
        oracle, other = (
            float(structural_similarity_index_measure(*planes, data_range=255.0, sigma=width)) for width in (1.5, 2.5)
        )
        assert ssim(noisy, clean) == pytest.approx(oracle, abs=5e-4)
        assert ssim(noisy, clean) != pytest.approx(other, abs=5e-3)

    @needs_quality
    @pytest.mark.parametrize("sigma", [10, 40])
    def test_gmsd_is_the_papers(self, sigma: float) -> None:
        clean = picture()
        noisy = with_noise(clean, sigma)
        expected = np.mean([_gmsd(noisy[..., index], clean[..., index]) for index in range(3)])
        # OpenCV halves images at another phase.
        assert gmsd(noisy, clean) == pytest.approx(expected, rel=0.2)
        assert gmsd(with_noise(clean, 2 * sigma), clean) != pytest.approx(expected, rel=0.2)

    @needs_quality
    def test_equal_images_are_perfect_and_a_channel_counts_a_third(self) -> None:
        clean = picture()
        assert (ssim(clean, clean), gmsd(clean, clean)) == (1.0, 0.0)
        one, all_three = clean.copy(), with_noise(clean, 30)
        one[..., 1] = all_three[..., 1]
        grey, grey_noisy = (np.repeat(image[..., 1:2], 3, axis=2) for image in (clean, all_three))
        assert 1 - ssim(one, clean) == pytest.approx((1 - ssim(grey_noisy, grey)) / 3)
        assert gmsd(one, clean) == pytest.approx(gmsd(grey_noisy, grey) / 3)

    @needs_quality
    def test_an_image_too_small_to_be_halved_has_no_gmsd(self) -> None:
        assert math.isnan(gmsd(picture()[:1], picture()[:1]))

    @pytest.mark.parametrize("library", [None, types.ModuleType("cv2")], ids=["no OpenCV", "no contributed modules"])
    def test_without_the_library_the_extra_is_named(
        self, monkeypatch: pytest.MonkeyPatch, library: types.ModuleType | None
    ) -> None:
        monkeypatch.setitem(sys.modules, "cv2", library)
        assert quality_library() is None
        for score in (ssim, gmsd):
            with pytest.raises(RequestError, match=r"pip install 'saccade\[quality\]'"):
                score(picture(), picture())


def _gmsd(image: np.ndarray, clean: np.ndarray) -> float:
    """Xue et al. 2014, equations 2 to 5, T = 170, on one channel."""

    def gradient(channel: np.ndarray) -> np.ndarray:
        wide = channel.astype(float)
        half = (wide[::2, ::2] + wide[1::2, ::2] + wide[::2, 1::2] + wide[1::2, 1::2]) / 4
        edged = np.pad(half, 1, mode="reflect")
        across = sum(edged[i : i + half.shape[0], 2:] - edged[i : i + half.shape[0], :-2] for i in range(3)) / 3
        down = sum(edged[2:, i : i + half.shape[1]] - edged[:-2, i : i + half.shape[1]] for i in range(3)) / 3
        return np.hypot(across, down)

    a, b = gradient(image), gradient(clean)
    return float(((2 * a * b + 170) / (a**2 + b**2 + 170)).std())


class TestHighBand:
    @pytest.mark.parametrize("down", [False, True], ids=["across", "down"])
    def test_half_the_amplitude_of_fine_waves_is_a_quarter_of_the_energy(self, down: bool) -> None:
        assert energy_kept(waves(3, 20, down=down), waves(3, 40, down=down)) == pytest.approx(0.25, rel=1e-4)

    def test_coarse_waves_are_not_in_it(self) -> None:
        fine, coarse, both = waves(3), waves(24), waves(3) + waves(24) - 128
        assert energy_kept(coarse, fine) < 0.005
        assert energy_kept(both, fine) == pytest.approx(1, abs=0.05)

    def test_it_is_three_quarters_of_white_noise(self) -> None:
        # Given white noise, whose energy is spread evenly, beside waves whose energy is known: amplitude² / 2 a pixel.
        noise = np.random.default_rng(0).normal(0, 10, (*SIZE_HW, 3))
        expected = 0.75 * 100 / (40**2 / 2)
        assert energy_kept(noise, waves(2.5)) == pytest.approx(expected, rel=0.1)

    def test_smoothing_loses_it_and_noise_adds_to_it(self) -> None:
        clean = with_noise(picture(), 8)
        smooth = as_shown((clean[1:-1].astype(float) + clean[:-2] + clean[2:]) / 3)
        assert energy_kept(smooth, clean[1:-1]) < 0.8
        assert energy_kept(clean, clean) == 1.0
        assert energy_kept(with_noise(clean, 10, seed=1), clean) > 1.5

    @pytest.mark.parametrize("clean", [np.full((16, 16, 3), 90, np.uint8), picture()[:7]], ids=["flat", "small"])
    def test_without_texture_there_is_no_ratio(self, clean: np.ndarray) -> None:
        assert math.isnan(energy_kept(clean, clean))
        assert math.isnan(noise_correlation(clean, clean, clean))

    def test_two_sizes_are_refused(self) -> None:
        with pytest.raises(ValueError, match="one size"):
            energy_kept(picture()[:100], picture())
        with pytest.raises(ValueError, match="one size"):
            noise_correlation(picture(), picture()[:100], picture())


class TestNoiseCorrelation:
    def test_noise_that_was_only_weakened_is_recognised(self) -> None:
        clean = picture().astype(np.float32)
        noise = np.random.default_rng(0).normal(0, 20, clean.shape).astype(np.float32)
        assert noise_correlation(clean + 0.1 * noise, clean + noise, clean) == pytest.approx(1, abs=1e-4)
        assert noise_correlation(clean - 0.1 * noise, clean + noise, clean) == pytest.approx(-1, abs=1e-4)

    def test_an_error_of_its_own_is_not_noise(self) -> None:
        clean = picture()
        assert noise_correlation(with_noise(clean, 5, seed=1), with_noise(clean, 20), clean) == pytest.approx(
            0, abs=0.02
        )

    def test_noise_of_a_coarser_kind_is_not_seen(self) -> None:
        clean, noise = waves(3), waves(24) - 128
        rest = np.random.default_rng(0).normal(0, 5, clean.shape)
        assert abs(noise_correlation(clean + 0.1 * noise + 0.1 * rest[::-1], clean + noise + rest, clean)) < 0.1
