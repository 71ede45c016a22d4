"""Random views of images with boxes: scaled crops, mosaics, mixup, mirror and light. Numpy and Pillow only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from saccade_models.train.augment import log_uniform, other_light, span

PAD = 114
"""Grey of what lies beyond an image's edge, the field's usual letterbox value."""

LEAST_VISIBLE = 0.4
"""Share of a box's area that must lie in the view for the box to stay."""

LEAST_PX = 3.0


@dataclass(frozen=True)
class BoxViews:
    """How far a view may go.

    ``scale`` is network pixels per image pixel, log-uniform; ``focus`` is the chance that a crop is placed around an
    object; ``mosaic`` the chance of four images in one view (YOLOv4's, arXiv 2004.10934); ``mixup`` that of two views
    averaged (arXiv 1710.09412).
    """

    size_hw: tuple[int, int]
    scale: tuple[float, float] = (0.5, 1.6)
    aspect: tuple[float, float] = (0.8, 1.25)
    focus: float = 0.8
    mosaic: float = 0.6
    mixup: float = 0.0
    mirror: float = 0.5
    light: float = 0.4
    grey: float = 0.1
    blur: float = 0.15


@dataclass(frozen=True)
class View:
    """``image`` uint8 (h, w, 3) RGB with its boxes: ``xyxy`` float32 (n, 4) in its pixels, ``class_id`` int64 (n,)."""

    image: npt.NDArray[np.uint8]
    xyxy: npt.NDArray[np.float32]
    class_id: npt.NDArray[np.int64]


Load = Callable[[int], View]


def random_view(load: Load, index: int, count: int, views: BoxViews, random: np.random.Generator) -> View:
    """A view of image ``index``, alone or with others out of ``count``."""
    view = _mosaic(load, index, count, views, random)
    if random.random() < views.mixup:
        other = _mosaic(load, int(random.integers(count)), count, views, random)
        average = (view.image.astype(np.uint16) + other.image) // 2
        view = _stacked(average.astype(np.uint8), [view, other])
    if random.random() < views.mirror:
        width = view.image.shape[1]
        mirrored = np.stack([width - view.xyxy[:, 2], view.xyxy[:, 1], width - view.xyxy[:, 0], view.xyxy[:, 3]], 1)
        view = View(view.image[:, ::-1], mirrored, view.class_id)
    return View(_other_camera(view.image, views, random), view.xyxy, view.class_id)


def _mosaic(load: Load, index: int, count: int, views: BoxViews, random: np.random.Generator) -> View:
    if random.random() >= views.mosaic:
        return _crop(load(index), views.size_hw, views, random)
    height, width = views.size_hw
    y, x = (int(length * random.uniform(0.3, 0.7)) for length in views.size_hw)
    canvas, tiles = np.empty((height, width, 3), np.uint8), []
    for number, (top, left, bottom, right) in enumerate(
        ((0, 0, y, x), (0, x, y, width), (y, 0, height, x), (y, x, height, width))
    ):
        chosen = index if number == 0 else int(random.integers(count))
        tile = _crop(load(chosen), (bottom - top, right - left), views, random)
        canvas[top:bottom, left:right] = tile.image
        tiles.append(View(tile.image, tile.xyxy + _corners(left, top), tile.class_id))
    return _stacked(canvas, tiles)


def _crop(source: View, size_hw: tuple[int, int], views: BoxViews, random: np.random.Generator) -> View:
    """A crop of ``size_hw`` at a random scale, around an object or anywhere, ``PAD`` beyond the edge."""
    scale = log_uniform(views.scale, random)
    aspect = log_uniform(views.aspect, random) ** 0.5
    focus = None
    if len(source.xyxy) and random.random() < views.focus:
        box = source.xyxy[random.integers(len(source.xyxy))]
        focus = (float(box[1] + box[3]) / 2, float(box[0] + box[2]) / 2)
    top, bottom, out_top, out_bottom = span(
        source.image.shape[0], size_hw[0], scale * aspect, random, focus and focus[0]
    )
    left, right, out_left, out_right = span(
        source.image.shape[1], size_hw[1], scale / aspect, random, focus and focus[1]
    )
    canvas = np.full((*size_hw, 3), PAD, np.uint8)
    size = (out_right - out_left, out_bottom - out_top)
    resized = Image.fromarray(source.image).resize(size, Image.Resampling.BILINEAR, box=(left, top, right, bottom))
    canvas[out_top:out_bottom, out_left:out_right] = np.asarray(resized)
    factor = _corners(size[0] / (right - left), size[1] / (bottom - top))
    moved = (source.xyxy - _corners(left, top)) * factor
    moved += _corners(out_left, out_top)
    return _visible(canvas, moved, source.class_id)


def _visible(image: npt.NDArray[np.uint8], xyxy: npt.NDArray[np.float32], class_id: npt.NDArray[np.int64]) -> View:
    """The boxes clipped to the view; those that are mostly outside, or too small to see, are dropped."""
    height, width = image.shape[:2]
    clipped = np.clip(xyxy, 0, _corners(width, height))
    sides = clipped[:, 2:] - clipped[:, :2]
    share = sides.prod(1) / np.maximum((xyxy[:, 2:] - xyxy[:, :2]).prod(1), 1e-6)
    keep = (share >= LEAST_VISIBLE) & (sides.min(1, initial=np.inf) >= LEAST_PX)
    return View(image, clipped[keep], class_id[keep])


def _stacked(image: npt.NDArray[np.uint8], parts: list[View]) -> View:
    return View(image, np.concatenate([p.xyxy for p in parts]), np.concatenate([p.class_id for p in parts]))


def _corners(x: float, y: float) -> npt.NDArray[np.float32]:
    """The same for both corners of a box: (4,)."""
    return np.array([x, y, x, y], np.float32)


def _other_camera(image: npt.NDArray[np.uint8], views: BoxViews, random: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Other light and colour; now and then no colour at all, or a lens a little out of focus."""
    image = other_light(image, views.light, random)
    if random.random() < views.grey:
        image = np.repeat(image.mean(axis=-1, keepdims=True).astype(np.uint8), 3, axis=-1)
    if random.random() < views.blur:
        blurred = Image.fromarray(image).filter(ImageFilter.GaussianBlur(random.uniform(0.3, 1.3)))
        image = np.array(blurred)  # a copy: Pillow's own memory is read-only
    return np.ascontiguousarray(image)
