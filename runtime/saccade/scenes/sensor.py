"""From painted light to a camera's bytes: lens blur, exposure, shot and read noise."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from saccade.scenes.light import LIGHTS, Light
from saccade.scenes.texture import Floats, clamp, numbers


def expose(planes: Floats, light: Light, seed: int, frame: int) -> npt.NDArray[np.uint8]:
    """Return (H, W, 3) uint8 from (3, H, W) floats of 0 to 255.

    Noise has the variance read² + shot · signal, drawn anew in each frame; both act on displayed values.
    """
    generator = np.random.default_rng((seed, frame, 2, list(LIGHTS).index(light.name)))
    gain = np.float32(_gain(seed, frame))
    _, height, width = planes.shape
    image = np.empty((height, width, 3), np.uint8)
    for channel, plane in enumerate(planes):
        signal = clamp(_blur(plane) * gain, 0, 255)
        spread = np.sqrt(signal * np.float32(light.shot_noise) + np.float32(light.read_noise**2))
        signal += spread * _normal(generator, (height, width))
        image[:, :, channel] = clamp(signal + np.float32(0.5), 0, 255)
    return image


def _gain(seed: int, frame: int) -> float:
    """Return the exposure: a slow hunt around 1 and a small step in each frame."""
    look = numbers(seed, 3)
    hunt = 0.05 * math.sin(0.031 * frame + 6.28 * look[0]) + 0.02 * math.sin(0.11 * frame + 6.28 * look[1])
    return 1.0 + hunt + 0.01 * (numbers(seed, 4, frame)[0] - 0.5)


def _blur(plane: Floats) -> Floats:
    """Blur with weights 1 4 1 down and across: a soft lens, and what makes hard edges look antialiased."""
    down = plane * np.float32(4 / 6)
    down[1:] += plane[:-1] * np.float32(1 / 6)
    down[:-1] += plane[1:] * np.float32(1 / 6)
    down[[0, -1]] += plane[[0, -1]] * np.float32(1 / 6)
    both = down * np.float32(4 / 6)
    down *= np.float32(1 / 6)
    both[:, 1:] += down[:, :-1]
    both[:, :-1] += down[:, 1:]
    both[:, [0, -1]] += down[:, [0, -1]]
    return both


@lru_cache(maxsize=1)
def _quantiles() -> Floats:
    """Return the middle of each 256th part of the normal distribution, by turning its distribution function around."""
    places = np.linspace(-4.0, 4.0, 2001)
    below = [0.5 + 0.5 * math.erf(place / math.sqrt(2)) for place in places]
    return np.interp((np.arange(256) + 0.5) / 256, below, places).astype(np.float32)


def _normal(generator: np.random.Generator, size_hw: tuple[int, int]) -> Floats:
    """Return normal noise in 256 steps: a byte picks a quantile, several times faster than exact draws."""
    height, width = size_hw
    steps = np.frombuffer(generator.bytes(height * width), np.uint8)
    return np.reshape(_quantiles().take(steps), (height, width))
