"""What a restorer is scored on undoing: clean images in, degraded ones out, with numpy and Pillow.

All randomness is numpy's legacy generator, seeded with 0 for each image: the protocol of the published denoising
tables, in which every method sees the same noise (FFDNet, Zhang et al., IEEE TIP 27, 2018, and those after it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from saccade.errors import DatasetError
from saccade.metrics.psnr import as_shown
from saccade.spec import Restoring

Pixels = npt.NDArray[np.uint8]

DARK_SIGMA, DARK_SHOT, DARK_GAMMA = 1.0, 0.2, 0.45
"""A dark frame: noise of variance sigma**2 + shot * grey level, and the gamma that follows the gain."""


@dataclass(frozen=True)
class Degraded:
    """A clean image and what became of it.

    ``clean`` uint8 (H, W, 3). ``frame`` is what the restorer gets: uint8, or float32 in grey levels that may lie beyond
    0..255, (H, W, 3) over the scale. ``baseline`` uint8 (H, W, 3) is what one has without a restorer. ``mask`` bool
    (H, W) is true in holes. ``light`` is what a restorer of dark frames is told beside sigma: gain, gamma, shot.
    """

    clean: Pixels
    frame: npt.NDArray[Any]
    baseline: Pixels
    mask: npt.NDArray[np.bool_] | None = None
    light: Mapping[str, float] = field(default_factory=dict[str, float])

    def entering(self, entry: str) -> npt.NDArray[Any]:
        """``frame`` as "float32", or clamped and rounded to "uint8" as a camera gives it."""
        return as_shown(self.frame) if entry == "uint8" else self.frame.astype(np.float32)


def noisy(clean: Pixels, sigma: float) -> Degraded:
    """White Gaussian noise of ``sigma`` grey levels, float32 and not clipped."""
    noise = np.random.RandomState(0).normal(0, sigma, clean.shape)
    frame = (clean + noise).astype(np.float32)
    return Degraded(clean, frame, as_shown(frame))


def dark(clean: Pixels, gain: float) -> Degraded:
    """A camera's frame with so little light that it takes ``gain`` > 0 and a gamma to look like the clean image.

    float32, not rounded. The noise is the sensor's own and that of photons. The baseline is the frame as bytes under
    the gain and the gamma alone.
    """
    light = 255 * (clean / 255) ** (1 / DARK_GAMMA) / gain
    noise = np.random.RandomState(0).normal(0, 1, clean.shape) * np.sqrt(DARK_SIGMA**2 + DARK_SHOT * light)
    frame = (light + noise).astype(np.float32)
    return Degraded(
        clean,
        frame,
        lifted(as_shown(frame), gain, DARK_GAMMA),
        light={"gain": gain, "gamma": DARK_GAMMA, "shot": DARK_SHOT},
    )


def lifted(frame: Pixels, gain: float, gamma: float) -> Pixels:
    """A dark frame under a gain and a gamma alone."""
    return as_shown(255 * np.minimum(gain * (frame / 255), 1) ** gamma)


def with_holes(clean: Pixels, share: float) -> Degraded:
    """A random ``share`` of the pixels missing, and black."""
    mask = np.random.RandomState(0).uniform(size=clean.shape[:2]) < share
    frame = np.where(mask[..., None], np.uint8(0), clean)
    return Degraded(clean, frame, frame, mask)


def blurred(clean: Pixels, sigma: float) -> Degraded:
    """A Gaussian blur of ``sigma`` > 0 pixels over 4 sigma each way, edges mirrored, in 8 bits."""
    reach = int(4 * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    turned = np.transpose(_down_columns(clean, kernel), (1, 0, 2))
    frame = as_shown(np.transpose(_down_columns(turned, kernel), (1, 0, 2)))
    return Degraded(clean, frame, frame)


def made_smaller(clean: Pixels, scale: float) -> Degraded:
    """The resolution over ``scale``, a whole number, bicubically and antialiased as Pillow does, in 8 bits.

    The clean image is first cut at its right and bottom edges to multiples of ``scale``. The baseline is bicubic too.
    Raises ``DatasetError`` for an image that is smaller than that.
    """
    from PIL import Image

    times = int(scale)
    height, width = (side // times for side in clean.shape[:2])
    if not (height and width):
        raise DatasetError(f"an image of {clean.shape[0]}x{clean.shape[1]} cannot be made {times} times smaller")
    cut = clean[: height * times, : width * times]
    frame = Image.fromarray(cut).resize((width, height), Image.Resampling.BICUBIC)
    return Degraded(cut, np.array(frame), enlarged(np.array(frame), times))


def enlarged(frame: Pixels, scale: int) -> Pixels:
    """The frame at ``scale`` times its size, bicubically as Pillow does."""
    from PIL import Image

    height, width = frame.shape[:2]
    return np.array(Image.fromarray(frame).resize((width * scale, height * scale), Image.Resampling.BICUBIC))


def _down_columns(image: npt.NDArray[Any], kernel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Each column convolved with ``kernel``, symmetric and of odd length."""
    height = image.shape[0]
    reach = len(kernel) // 2
    padded = np.pad(image, ((reach, reach), (0, 0), (0, 0)), mode="reflect" if height > 1 else "edge")
    total = np.zeros(image.shape)
    for index, weight in enumerate(kernel.tolist()):
        total += weight * padded[index : index + height]
    return total


DEGRADATIONS: dict[Restoring, Callable[[Pixels, float], Degraded]] = {
    "denoise": noisy,
    "low-light": dark,
    "inpaint": with_holes,
    "deblur": blurred,
    "super-resolution": made_smaller,
}
"""What each mode of restoration undoes, by how much."""
