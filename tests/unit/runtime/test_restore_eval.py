"""What restorers are scored on undoing, and the pairs that are scored instead."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from saccade.errors import DatasetError, SourceError
from saccade.evaluation.clean_images import degraded_images, list_images, pair_up, paired_images
from saccade.evaluation.degradations import (
    DARK_GAMMA,
    DARK_SHOT,
    DARK_SIGMA,
    DEGRADATIONS,
    blurred,
    dark,
    enlarged,
    made_smaller,
    noisy,
    with_holes,
)
from saccade.spec import RESTORING


def picture(height: int = 60, width: int = 80, seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (-(-height // 4), -(-width // 4), 3), np.uint8)
    return np.kron(coarse, np.ones((4, 4, 1), np.uint8))[:height, :width]


def save(folder: Path, *names: str, size_hw: tuple[int, int] = (60, 80)) -> list[Path]:
    folder.mkdir(exist_ok=True)
    for index, name in enumerate(names):
        Image.fromarray(picture(*size_hw, seed=index)).save(folder / name)
    return [folder / name for name in names]


class TestNoise:
    def test_it_is_that_of_the_published_tables(self) -> None:
        clean = picture()
        random = np.random.RandomState(0)
        degraded = noisy(clean, 25)
        assert degraded.frame.dtype == np.float32
        np.testing.assert_array_equal(degraded.frame, (clean + random.normal(0, 25, clean.shape)).astype(np.float32))
        assert degraded.frame.min() < 0
        assert degraded.frame.max() > 255
        np.testing.assert_array_equal(degraded.frame, noisy(clean, 25).frame)

    def test_a_camera_gives_it_in_8_bits(self) -> None:
        degraded = noisy(picture(), 25)
        np.testing.assert_array_equal(degraded.entering("uint8"), np.rint(degraded.frame.clip(0, 255)))
        np.testing.assert_array_equal(degraded.entering("uint8"), degraded.baseline)
        assert degraded.entering("float32") is not degraded.frame
        np.testing.assert_array_equal(degraded.entering("float32"), degraded.frame)

    def test_no_noise_changes_nothing(self) -> None:
        np.testing.assert_array_equal(noisy(picture(), 0).frame, picture())


def test_holes_are_a_share_of_the_pixels_and_black() -> None:
    clean = picture(200, 200).clip(1)
    degraded = with_holes(clean, 0.25)
    assert degraded.mask is not None
    assert degraded.mask.mean() == pytest.approx(0.25, abs=0.01)
    assert not degraded.frame[degraded.mask].any()
    np.testing.assert_array_equal(degraded.frame[~degraded.mask], clean[~degraded.mask])
    assert with_holes(clean, 0).frame.min() > 0
    assert not with_holes(clean, 1).frame.any()


class TestBlur:
    @pytest.mark.torch
    @pytest.mark.parametrize("sigma", [1.0, 1.6, 2.2])
    def test_it_is_what_training_blurs_by(self, sigma: float) -> None:
        torch = pytest.importorskip("torch")
        from saccade_models.train.degradations import blurred_by

        clean = picture()
        planes = torch.from_numpy(clean.transpose(2, 0, 1)[None].astype(np.float64))
        expected, other = (blurred_by(planes, width)[0].numpy().transpose(1, 2, 0) for width in (sigma, sigma + 0.1))
        assert blurred(clean, sigma).frame.dtype == np.uint8
        assert np.abs(blurred(clean, sigma).frame - expected).max() < 0.51
        assert np.abs(blurred(clean, sigma).frame - other).max() > 1

    @pytest.mark.parametrize("size_hw", [(1, 9), (9, 1), (2, 2), (1, 1)])
    def test_images_smaller_than_its_reach_are_blurred_too(self, size_hw: tuple[int, int]) -> None:
        grey = np.full((*size_hw, 3), 77, np.uint8)
        np.testing.assert_array_equal(blurred(grey, 1.6).frame, grey)


class TestResolution:
    @pytest.mark.torch
    def test_it_is_what_training_halves_by(self) -> None:
        torch = pytest.importorskip("torch")
        from torch.nn import functional

        clean = picture() // 2 + 64  # so that nothing overshoots: Pillow clips between rows and columns
        planes = torch.from_numpy(clean.transpose(2, 0, 1)[None].astype(np.float32))
        half = functional.interpolate(planes, scale_factor=0.5, mode="bicubic", antialias=True, align_corners=False)
        expected = half[0].numpy().transpose(1, 2, 0)
        degraded = made_smaller(clean, 2.0)
        assert np.abs(degraded.frame - expected).max() <= 1.01
        np.testing.assert_array_equal(degraded.baseline, enlarged(degraded.frame, 2))

    def test_odd_sides_are_cut_first(self) -> None:
        degraded = made_smaller(picture(61, 83), 2)
        assert (degraded.clean.shape, degraded.frame.shape) == ((60, 82, 3), (30, 41, 3))
        assert degraded.baseline.shape == degraded.clean.shape
        np.testing.assert_array_equal(degraded.frame, made_smaller(picture(61, 83)[:60, :82], 2).frame)

    def test_what_cannot_be_smaller_is_refused(self) -> None:
        with pytest.raises(DatasetError, match="1x9 cannot be made 2 times smaller"):
            made_smaller(picture(1, 9), 2)


class TestDarkness:
    @pytest.mark.parametrize("gain", [1.0, 8.0])
    def test_gain_and_gamma_bring_the_mean_frame_back(self, gain: float) -> None:
        grey = np.full((200, 200, 3), 120, np.uint8)
        degraded = dark(grey, gain)
        assert degraded.frame.dtype == np.float32
        assert degraded.light == {"gain": gain, "gamma": DARK_GAMMA, "shot": DARK_SHOT}
        seen = float(degraded.frame.mean())
        assert 255 * (gain * seen / 255) ** DARK_GAMMA == pytest.approx(120, abs=0.5)
        assert degraded.frame.var() == pytest.approx(DARK_SIGMA**2 + DARK_SHOT * seen, rel=0.02)

    def test_without_a_restorer_one_has_the_bytes_under_gain_and_gamma(self) -> None:
        degraded = dark(picture(), 8.0)
        bright = 255 * np.minimum(8 * (degraded.entering("uint8") / 255), 1) ** DARK_GAMMA
        np.testing.assert_array_equal(degraded.baseline, np.rint(bright))


def test_every_mode_has_its_degradation() -> None:
    assert set(DEGRADATIONS) == {*RESTORING}


class TestFolders:
    def test_images_are_read_by_name_and_degraded(self, tmp_path: Path) -> None:
        save(tmp_path, "b.png", "a.bmp")
        (tmp_path / "notes.txt").write_text("x")
        (tmp_path / "deeper").mkdir()
        paths = list_images(tmp_path)
        assert [path.name for path in paths] == ["a.bmp", "b.png"]
        samples = dict(degraded_images(paths, "denoise", 10))
        np.testing.assert_array_equal(samples["b.png"].clean, picture(seed=0))
        np.testing.assert_array_equal(samples["a.bmp"].frame, noisy(picture(seed=1), 10).frame)

    def test_folders_without_images_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match="holds no image"):
            list_images(tmp_path)
        with pytest.raises(DatasetError, match="must be a folder of images, but it does not exist"):
            list_images(tmp_path / "absent")
        (path,) = save(tmp_path, "a.png")
        with pytest.raises(DatasetError, match="but it is a file"):
            list_images(path)

    def test_a_damaged_image_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_bytes(b"none")
        with pytest.raises(DatasetError, match=r"a\.png cannot be read as an image"):
            list(degraded_images(list_images(tmp_path), "denoise", 10))

    def test_pairs_are_found_by_their_stem(self, tmp_path: Path) -> None:
        clean = save(tmp_path / "clean", "a.png", "b.png")
        save(tmp_path / "real", "extra.png", "b.bmp", "a.png")
        pairs = pair_up(clean, tmp_path / "real")
        assert [(one.name, other.name) for one, other in pairs] == [("a.png", "a.png"), ("b.png", "b.bmp")]
        name, degraded = next(iter(paired_images(pairs)))
        assert name == "a.png"
        np.testing.assert_array_equal(degraded.frame, picture(seed=2))
        np.testing.assert_array_equal(degraded.baseline, degraded.frame)

    def test_an_image_without_a_frame_or_with_two_is_refused(self, tmp_path: Path) -> None:
        clean = save(tmp_path / "clean", "a.png")
        save(tmp_path / "real", "b.png")
        with pytest.raises(DatasetError, match=r"a\.png needs one frame of its name in .*real, .* has no a\.\*"):
            pair_up(clean, tmp_path / "real")
        save(tmp_path / "real", "a.png", "a.bmp")
        with pytest.raises(DatasetError, match=r"has a\.bmp and a\.png"):
            pair_up(clean, tmp_path / "real")

    def test_a_frame_of_another_size_is_refused(self, tmp_path: Path) -> None:
        clean = save(tmp_path / "clean", "a.png")
        save(tmp_path / "real", "a.png", size_hw=(30, 40))
        with pytest.raises(DatasetError, match=r"a\.png is 30x40, but its clean image is 60x80 \(height x width\)"):
            pair_up(clean, tmp_path / "real")
        pairs = pair_up(clean, tmp_path / "real", 2)
        ((_, degraded),) = paired_images(pairs, 2)
        np.testing.assert_array_equal(degraded.baseline, enlarged(degraded.frame, 2))
        with pytest.raises(DatasetError, match=r"30x40 \(times 3\), but"):
            pair_up(clean, tmp_path / "real", 3)
