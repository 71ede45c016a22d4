"""Likeness as people see it, by OpenCV's contributed module ``cv2.quality`` (the extra ``quality``)."""

from __future__ import annotations

import math
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from saccade.errors import RequestError
from saccade.metrics.psnr import check_pair

Pixels = npt.NDArray[np.uint8]

HOW_TO_INSTALL = "need cv2.quality, which is not installed: pip install 'saccade[quality]'"


def quality_library() -> Any | None:
    """``cv2.quality``, or None where OpenCV is missing or is built without it."""
    try:
        return getattr(import_module("cv2"), "quality", None)
    except ImportError:
        return None


def ssim(image: Pixels, clean: Pixels) -> float:
    """Structural similarity of two uint8 (H, W, 3), the mean of the channels: 1 for equal images, higher is better.

    Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", IEEE TIP 13, 2004, with
    Gaussian windows of 11x11 and sigma 1.5. Raises ``RequestError`` without ``cv2.quality``, ``ValueError`` for other
    types and shapes.
    """
    check_pair(image, clean)
    return _channel_mean(_required().QualitySSIM_compute(clean, image)[0])


def gmsd(image: Pixels, clean: Pixels) -> float:
    """Gradient magnitude similarity deviation of two uint8 (H, W, 3), the mean of the channels: 0 for equal images,
    lower is better. NaN for a side of one pixel, as images are halved first.

    Xue et al., "Gradient Magnitude Similarity Deviation: A Highly Efficient Perceptual Image Quality Index", IEEE TIP
    23, 2014. Raises ``RequestError`` without ``cv2.quality``, ``ValueError`` for other types and shapes.
    """
    check_pair(image, clean)
    if min(clean.shape[:2]) < 2:
        return math.nan
    return _channel_mean(_required().QualityGMSD_compute(clean, image)[0])


def _required() -> Any:
    library = quality_library()
    if library is None:
        raise RequestError(f"SSIM and GMSD {HOW_TO_INSTALL}")
    return library


def _channel_mean(scalar: tuple[float, ...]) -> float:
    """OpenCV gives a score a channel, and a fourth that is 0."""
    return float(np.mean(scalar[:3]))
