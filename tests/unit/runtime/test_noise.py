"""Measured noise: rendered scenes and textures with noise that is known."""

from __future__ import annotations

import numpy as np
import pytest

from saccade import scenes
from saccade.errors import FrameError, RequestError
from saccade.noise import measure_noise, tile_map


def scene(light: str = "day") -> np.ndarray:
    return scenes.render(seed=3, frame=5, size_hw=(270, 480), light=light).image


def noisy(image: np.ndarray, sigma: float, *, clipped: bool, seed: int = 0) -> np.ndarray:
    found = image + np.random.default_rng(seed).normal(0, sigma, image.shape)
    return np.clip(np.rint(found), 0, 255).astype(np.uint8) if clipped else found.astype(np.float32)


GRADIENT = np.stack(np.broadcast_arrays(np.linspace(40, 200, 320)[None, :], np.linspace(60, 180, 240)[:, None]), -1)
GRADIENT = np.concatenate([GRADIENT, GRADIENT[..., :1]], axis=-1)


@pytest.mark.parametrize("sigma", [5.0, 15.0, 25.0, 50.0])
@pytest.mark.parametrize("clipped", [False, True])
def test_noise_on_a_gradient_is_found(sigma: float, clipped: bool) -> None:
    found = measure_noise(noisy(GRADIENT, sigma, clipped=clipped)).sigma
    assert found == pytest.approx(sigma, rel=0.06 if clipped else 0.03)


@pytest.mark.parametrize("light", ["day", "night"])
def test_more_noise_reads_more(light: str) -> None:
    frame = scene(light)
    found = [measure_noise(noisy(frame, sigma, clipped=True)).sigma for sigma in (5, 10, 15, 25, 50)]
    assert found == sorted(found)
    # Half of the noise must not pass for all of it.
    assert (
        measure_noise(noisy(frame, 12.5, clipped=False)).sigma
        < 0.8 * measure_noise(noisy(frame, 25, clipped=False)).sigma
    )


def test_tiles_find_where_the_noise_is() -> None:
    frame = noisy(GRADIENT, 6, clipped=False)
    frame[:, 160:] = noisy(GRADIENT[:, 160:], 30, clipped=False)
    estimate = measure_noise(frame)
    found = tile_map(estimate, (240, 320))
    assert found.shape == (240, 320)
    assert found.dtype == np.float32
    assert found[:, :60].max() < 10
    assert found[:, 260:].min() > 20


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 40), (40, 1), (3, 5), (8, 8), (9, 200)])
def test_tiny_frames_give_a_number(size_hw: tuple[int, int]) -> None:
    estimate = measure_noise(np.random.default_rng(0).integers(0, 256, (*size_hw, 3)).astype(np.uint8))
    assert np.isfinite(estimate.sigma)
    assert np.isfinite(estimate.tiles).all()
    assert tile_map(estimate, size_hw).shape == size_hw


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("level", [0, 1, 128, 255])
def test_a_constant_frame_has_no_noise(level: int) -> None:
    assert measure_noise(np.full((120, 160, 3), level, np.uint8)).sigma == 0


def test_a_night_sky_at_black_does_not_hide_the_noise() -> None:
    frame = GRADIENT.copy()
    frame[:120] = 0
    estimate = measure_noise(noisy(frame, 20, clipped=True))
    assert estimate.sigma == pytest.approx(20, rel=0.15)
    assert estimate.clipped > 0.3


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (np.full((20, 20, 3), np.nan, np.float32), "finite grey levels"),
        (np.full((20, 20, 3), np.inf, np.float32), "finite grey levels"),
        (np.zeros((20, 20), np.uint8), "must be uint8"),
        (np.zeros((20, 20, 4), np.float32), "must be"),
        (np.zeros((20, 20, 3), np.float64), "must be uint8"),
    ],
)
def test_what_is_no_frame_is_refused(frame: np.ndarray, says: str) -> None:
    with pytest.raises(FrameError, match=says):
        measure_noise(frame)


def test_tiles_smaller_than_a_block_are_refused() -> None:
    with pytest.raises(RequestError, match="at least 8"):
        measure_noise(np.zeros((20, 20, 3), np.uint8), tile=4)
