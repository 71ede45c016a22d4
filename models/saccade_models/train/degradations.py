"""What a restorer undoes, one function a degradation: clean states in, the degraded ones and their map out.

The map, (N, 1, H, W), says how far each pixel may be off, in the way that ``BridgeUNet`` takes it and the runtime
gives it; it is said for each degradation. All randomness comes from PyTorch's own generator.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

GREY_LEVEL = 1 / 127.5
"""One of 255 grey levels in units of the state."""

LARGEST_SIGMA = 60.0
SR_MAP = 0.1
"""The map of super-resolution, the same everywhere: how far bicubic pixels are off, roughly."""

BLUR_MAP = 1 / 16
"""The map of a blur of one pixel."""

HOLE_SPREAD = 0.5
"""Standard deviation of the noise that holes are filled with."""

ROUNDING = 1 / 12
"""The variance of rounding to bytes."""

GAIN_RANGE, GAMMA_RANGE, SHOT_RANGE = (1.0, 16.0), (0.4, 1.0), (0.0, 1.0)
LARGEST_DARK_SIGMA = 12.0
"""In grey levels before the gain; after it, noise of light goes to ``LARGEST_SIGMA`` at most."""


@dataclass(frozen=True)
class Degraded:
    """``image`` (N, C, H, W) and ``map`` (N, 1, H, W)."""

    image: Tensor
    map: Tensor


Degradation = Callable[[Tensor], Degraded]


def noise(clean: Tensor) -> Degraded:
    """White Gaussian noise of 0 to 60 grey levels; the map is its standard deviation.

    A quarter is as 8-bit cameras give it, clipped and rounded; an eighth varies over the image. The map of one in
    seven is off by up to a quarter, as measured ones are.
    """
    count = len(clean)
    sigma = _uniform(count, 0, LARGEST_SIGMA, clean) * GREY_LEVEL
    ramps = 1 + 0.8 * (2 * _smooth(clean) - 1)
    field = torch.where(_chance(count, 1 / 8, clean), sigma * ramps, sigma).expand(-1, 1, *clean.shape[2:])
    noisy = clean + field * torch.randn_like(clean)
    noisy = torch.where(_chance(count, 1 / 4, clean), in_8_bits(noisy), noisy)
    wrong = torch.where(_chance(count, 1 / 7, clean), _uniform(count, 0.85, 1.25, clean), torch.ones_like(sigma))
    return Degraded(noisy, field * wrong)


def low_light(clean: Tensor) -> Degraded:
    """A camera in the dark: little light, its photons' noise and the sensor's own, bytes, then a gain and a gamma.

    The variance of noise in squared grey levels is sigma**2 + shot * light. An eighth of the maps is off by up to a
    quarter, a quarter of the frames has not been rounded to bytes.
    """
    count = len(clean)
    gain = torch.exp(_uniform(count, math.log(GAIN_RANGE[0]), math.log(GAIN_RANGE[1]), clean))
    gamma = _uniform(count, *GAMMA_RANGE, clean)
    most = LARGEST_SIGMA / gain
    sigma = _uniform(count, 0, 1, clean) * most.clamp(max=LARGEST_DARK_SIGMA)
    shot = _uniform(count, *SHOT_RANGE, clean) * (most**2 * gain / 255).clamp(max=1)
    light = 255 * ((clean + 1) / 2) ** (1 / gamma) / gain
    noisy = light + (sigma**2 + shot * light).sqrt() * torch.randn_like(light)
    is_exact = _chance(count, 1 / 4, clean)
    noisy = torch.where(is_exact, noisy, noisy.round().clamp(0, 255))
    lifted = lift(noisy, sigma, gain, gamma, shot)
    wrong = torch.where(_chance(count, 1 / 8, clean), _uniform(count, 0.85, 1.25, clean), torch.ones_like(sigma))
    return Degraded(lifted.image, lifted.map * wrong)


def lift(grey_levels: Tensor, sigma: Tensor, gain: Tensor, gamma: Tensor, shot: Tensor) -> Degraded:
    """Dark light (N, 3, H, W) made bright, and its noise with it: half of what one sigma up and down make.

    ``sigma`` is the noise where it is dark, in grey levels, without that of rounding; the numbers are (N, 1, 1, 1).
    """
    grey = grey_levels.mean(1, keepdim=True)
    seen = functional.avg_pool2d(grey, 5, stride=1, padding=2, count_include_pad=False).clamp(min=0)
    spread = (sigma**2 + ROUNDING + shot * seen).sqrt()
    values = grey_levels, seen + spread, seen - spread
    bright, up, down = ((gain * value.clamp(min=0) / 255) ** gamma for value in values)
    return Degraded(2 * bright - 1, up - down)


def holes(clean: Tensor) -> Degraded:
    """Missing pixels, single ones or rectangles, filled with noise; the map is 1 there and 0 elsewhere."""
    count, _, height, width = clean.shape
    scattered = torch.rand(count, 1, height, width, device=clean.device) < _uniform(count, 0.05, 0.9, clean)
    rectangles = torch.zeros_like(scattered)
    for index in range(count):
        for _ in range(int(torch.randint(1, 7, ()))):
            high, wide = (int(torch.randint(3, side // 4 + 4, ())) for side in (height, width))
            top, left = int(torch.randint(0, height - high + 1, ())), int(torch.randint(0, width - wide + 1, ()))
            rectangles[index, :, top : top + high, left : left + wide] = True
    missing = torch.where(_chance(count, 0.7, clean), scattered, rectangles)
    return Degraded(torch.where(missing, HOLE_SPREAD * torch.randn_like(clean), clean), missing.float())


def halving(clean: Tensor) -> Degraded:
    """Half the resolution and bicubically back, in 8 bits as cameras give it; the map is ``SR_MAP``."""
    half = in_8_bits(_bicubic(clean, 0.5))
    return Degraded(_bicubic(half, 2.0), torch.full_like(clean[:, :1], SR_MAP))


def blur(clean: Tensor) -> Degraded:
    """A Gaussian blur of 1 to 2.2 pixels, two thirds of them in 8 bits; the map is ``BLUR_MAP`` times the blur."""
    sigma = _uniform(len(clean), 1.0, 2.2, clean)
    blurred = torch.cat([blurred_by(image[None], float(width)) for image, width in zip(clean, sigma, strict=True)])
    blurred = torch.where(_chance(len(clean), 2 / 3, clean), in_8_bits(blurred), blurred)
    return Degraded(blurred, (sigma * BLUR_MAP).expand(-1, 1, *clean.shape[2:]))


def blurred_by(image: Tensor, sigma: float) -> Tensor:
    """A Gaussian blur over 4 sigma each way, edges mirrored."""
    reach = int(4 * sigma + 0.5)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=image.device) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).to(image.dtype)
    channels = image.shape[1]
    padded = functional.pad(image, (reach,) * 4, mode="reflect")
    across = functional.conv2d(padded, kernel.expand(channels, 1, 1, -1), groups=channels)
    return functional.conv2d(across, kernel[:, None].expand(channels, 1, -1, 1), groups=channels)


def in_8_bits(state: Tensor) -> Tensor:
    """The state clipped to black and white and rounded to grey levels."""
    return (((state + 1) * 127.5).round().clamp(0, 255)) / 127.5 - 1


def _bicubic(image: Tensor, factor: float) -> Tensor:
    """Bicubic resizing with antialiasing: Keys' kernel with a = -0.5, as Pillow and MATLAB resize."""
    return functional.interpolate(image, scale_factor=factor, mode="bicubic", antialias=True, align_corners=False)


def _uniform(count: int, low: float, high: float, like: Tensor) -> Tensor:
    """One number an image, (N, 1, 1, 1)."""
    return low + (high - low) * torch.rand(count, 1, 1, 1, device=like.device)


def _chance(count: int, share: float, like: Tensor) -> Tensor:
    return torch.rand(count, 1, 1, 1, device=like.device) < share


def _smooth(like: Tensor) -> Tensor:
    """Slow random changes over the image, 0 to 1, (N, 1, H, W)."""
    coarse = torch.rand(len(like), 1, 4, 4, device=like.device)
    return functional.interpolate(coarse, size=like.shape[2:], mode="bicubic", align_corners=True).clamp(0, 1)


DEGRADATIONS: dict[str, Degradation] = {
    "denoise": noise,
    "low-light": low_light,
    "inpaint": holes,
    "super-resolution": halving,
    "deblur": blur,
}
"""What each mode of restoration undoes."""
