"""The peak signal-to-noise ratio of a restored image, and the 8 bits in which images are compared."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


def as_shown(image: npt.NDArray[Any]) -> Pixels:
    """Grey levels as a screen shows them: clamped to 0..255 and rounded, uint8 of the same shape.

    uint8 comes back as it is. Raises ``ValueError`` for numbers that are not finite.
    """
    if image.dtype == np.uint8:
        return image
    if not bool(np.isfinite(image).all()):
        raise ValueError("an image must hold finite grey levels, but some are NaN or infinite")
    return np.rint(np.clip(image, 0, 255)).astype(np.uint8)


def psnr(image: Pixels, clean: Pixels) -> float:
    """10 log10(255² / mean squared error) in dB over all pixels and channels of two uint8 (H, W, 3).

    Infinite where they are equal. Raises ``ValueError`` for other types and shapes.
    """
    check_pair(image, clean)
    error = float(np.mean((image.astype(np.float64) - clean) ** 2))
    return 10 * math.log10(255**2 / error) if error else math.inf


def check_pair(image: npt.NDArray[Any], clean: npt.NDArray[Any]) -> None:
    """Raise ``ValueError`` unless both are uint8 (H, W, 3) of one size, and not empty."""
    for name, found in (("image", image), ("clean", clean)):
        if found.dtype != np.uint8 or found.ndim != 3 or found.shape[2] != 3 or not found.size:
            raise ValueError(f"{name} must be uint8 (H, W, 3), but got {found.dtype} {found.shape}")
    if image.shape != clean.shape:
        raise ValueError(f"image and clean must have one size, but are {image.shape[:2]} and {clean.shape[:2]}")
