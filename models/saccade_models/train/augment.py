"""Random views of a labelled driving image: scale, aspect, crop, mirror, light and colour. Numpy and Pillow only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

IGNORED = 255
"""The label of pixels that no loss counts."""


@dataclass(frozen=True)
class Augmentation:
    """How far a view may go. Scales are log-uniform in the given range; the rest is uniform."""

    crop_hw: tuple[int, int]
    scale: tuple[float, float] = (0.6, 1.9)
    aspect: tuple[float, float] = (0.75, 1.33)
    light: float = 0.35
    mirror: float = 0.5


def random_view(
    image: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.uint8],
    augmentation: Augmentation,
    random: np.random.Generator,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """A view of size ``crop_hw``: uint8 (h, w, 3) and its labels (h, w), ``IGNORED`` beyond the image's edge."""
    image, labels = _scaled_crop(image, labels, augmentation, random)
    if random.random() < augmentation.mirror:
        image, labels = image[:, ::-1], labels[:, ::-1]
    return other_light(image, augmentation.light, random), np.ascontiguousarray(labels)


def _scaled_crop(
    image: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.uint8],
    augmentation: Augmentation,
    random: np.random.Generator,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    scale = log_uniform(augmentation.scale, random)
    aspect = log_uniform(augmentation.aspect, random) ** 0.5
    view_h, view_w = augmentation.crop_hw
    (top, bottom, out_top, out_bottom) = span(image.shape[0], view_h, scale * aspect, random)
    (left, right, out_left, out_right) = span(image.shape[1], view_w, scale / aspect, random)
    box, size = (left, top, right, bottom), (out_right - out_left, out_bottom - out_top)

    view = np.zeros((view_h, view_w, 3), np.uint8)
    view_labels = np.full((view_h, view_w), IGNORED, np.uint8)
    inside = np.s_[out_top:out_bottom, out_left:out_right]
    view[inside] = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR, box=box))
    view_labels[inside] = np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST, box=box))
    return view, view_labels


def span(
    length: int, view: int, scale: float, random: np.random.Generator, focus: float | None = None
) -> tuple[float, float, int, int]:
    """Where a view reads from along one axis, and where in the view that lands: (start, stop, out start, out stop).

    With ``focus``, a position along the axis, the view holds that position.
    """
    wanted = view / scale
    if wanted <= length:
        low, high = (0.0, length - wanted) if focus is None else (max(0.0, focus - wanted), min(focus, length - wanted))
        start = random.uniform(low, max(low, high))
        return start, start + wanted, 0, view
    filled = max(1, int(length * scale))
    out_start = int(random.integers(0, view - filled + 1))
    return 0, length, out_start, out_start + filled


def log_uniform(bounds: tuple[float, float], random: np.random.Generator) -> float:
    return float(np.exp(random.uniform(np.log(bounds[0]), np.log(bounds[1]))))


def other_light(image: npt.NDArray[np.uint8], strength: float, random: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Gamma, gain per channel (white balance), contrast and saturation, each within ``1 ± strength``."""
    gamma, gain, contrast, saturation = 1 + random.uniform(-strength, strength, 4)
    balance = gain * (1 + random.uniform(-0.3, 0.3, 3) * strength)
    curve = (np.arange(256) / 255) ** gamma
    curve = ((curve - 0.5) * contrast + 0.5)[:, None] * balance
    lit = np.stack([curve[:, c].astype(np.float32)[image[..., c]] for c in range(3)], axis=-1)
    grey = lit.mean(axis=-1, keepdims=True)
    return (np.clip(grey + (lit - grey) * np.float32(saturation), 0, 1) * 255).astype(np.uint8)
