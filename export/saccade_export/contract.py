"""Write a task contract from what a user says about a network."""

from __future__ import annotations

from dataclasses import dataclass

from saccade.classes import Color
from saccade.errors import RequestError
from saccade.spec import (
    ChannelOrder,
    DetectSpec,
    FullImageSpec,
    ImageSpec,
    LightSpec,
    Resize,
    RestoreSpec,
    Restoring,
    Scores,
    SegmentSpec,
    Suppression,
    Tiling,
)
from saccade.step_table import StepTable
from saccade.task_fields import MAX_SIGMA

BACKGROUND = "background"
DEFAULT_THRESHOLD = 0.5


def segment_spec(
    names: tuple[str, ...],
    colors: tuple[Color, ...],
    *,
    size_hw: tuple[int, int],
    channel_order: ChannelOrder = "rgb",
    scale: float = 255.0,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    scores: Scores = "logits",
    threshold: float | None = None,
    has_confidence: bool = False,
) -> SegmentSpec:
    """The contract of a segmentation network.

    One name makes a one-class network: thresholded, with "background" as class 0. Raises ``RequestError`` for a
    threshold on several classes or a scale or std that is not above 0.
    """
    _check_scale(scale, std)
    one_class = len(names) == 1
    if threshold is not None and not one_class:
        raise RequestError(f"a threshold is for one-class networks, but {len(names)} classes were given")
    image = ImageSpec(size_hw, channel_order, scale, mean, std)
    if not one_class:
        return SegmentSpec(image, names, colors, "argmax", scores, None, has_confidence)
    chosen = DEFAULT_THRESHOLD if threshold is None else threshold
    return SegmentSpec(image, (BACKGROUND, *names), ((0, 0, 0), *colors), "threshold", scores, chosen, has_confidence)


def detect_spec(
    names: tuple[str, ...],
    colors: tuple[Color, ...],
    *,
    size_hw: tuple[int, int],
    channel_order: ChannelOrder,
    scale: float,
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0),
    std: tuple[float, float, float] = (1.0, 1.0, 1.0),
    resize: Resize,
    confidence: float,
    iou: float,
    max_detections: int,
    suppression: Suppression,
) -> DetectSpec:
    """The contract of a detection network. Raises ``RequestError`` for thresholds outside 0 to 1."""
    _check_scale(scale, std)
    for name, value in (("--conf", confidence), ("--iou", iou)):
        if not 0 <= value <= 1:
            raise RequestError(f"{name} must be 0 to 1, but got {value}")
    image = ImageSpec(size_hw, channel_order, scale, mean, std, resize=resize)
    return DetectSpec(image, names, colors, confidence, iou, max_detections, suppression)


@dataclass(frozen=True)
class Usual:
    """What a mode of restoration has unless it is said: units of the map, range and default of sigma, dead zone."""

    map_per_sigma: float
    sigma_range: tuple[float, float] = (0.0, 0.0)
    sigma: float | None = None
    dead_zone: float = 0.0
    scale: int = 1
    hole_spread: float = 0.0
    light: LightSpec | None = None


USUAL: dict[Restoring, Usual] = {
    "denoise": Usual(1 / 127.5, (0.0, 60.0), dead_zone=3.0),
    "low-light": Usual(1 / 255, (0.0, 12.0), light=LightSpec()),
    "deblur": Usual(1 / 16, (1.0, 2.2), 1.6),
    "inpaint": Usual(1.0, hole_spread=0.5),
    "super-resolution": Usual(0.1, scale=2),
}


def restore_spec(
    mode: Restoring,
    tables: dict[str, StepTable],
    *,
    channel_order: ChannelOrder = "rgb",
    multiple: int = 8,
    sigma_range: tuple[float, float] | None = None,
    sigma: float | None = None,
    dead_zone: float | None = None,
    tiling: Tiling | None = None,
) -> RestoreSpec:
    """The contract of a restorer that was trained as ``saccade train --task restore`` trains one.

    Raises ``RequestError`` for numbers that the mode does not have, or out of range.
    """
    usual = USUAL[mode]
    low, high = sigma_range or usual.sigma_range
    if sigma_range is not None and not usual.sigma_range[1]:
        raise RequestError(f"mode {mode!r} has no sigma, so it has no range of it; drop --sigma-range")
    if not 0 <= low <= high <= MAX_SIGMA:
        raise RequestError(f"a range of sigma must rise within 0 to {MAX_SIGMA:g}, but is {low:g} to {high:g}")
    if dead_zone and usual.light is not None:
        raise RequestError(f"mode {mode!r} lifts every frame, so it has no dead zone; drop --dead-zone")
    zone = (usual.dead_zone if usual.dead_zone < high else 0.0) if dead_zone is None else dead_zone
    if zone and not 0 <= zone < high:
        raise RequestError(f"the dead zone must be from 0 to below {high:g}, but is {zone:g}")
    unsaid = None if usual.sigma is None else min(max(usual.sigma, low), high)
    chosen = unsaid if sigma is None else sigma
    if chosen is not None and not low <= chosen <= high:
        raise RequestError(f"the default sigma must be {low:g} to {high:g}, but is {chosen:g}")
    if chosen is not None and zone and chosen <= zone:
        raise RequestError(
            f"the default sigma must be above the dead zone of {zone:g}, in which frames stay as they are, "
            f"but is {chosen:g}; set --dead-zone too"
        )
    return RestoreSpec(
        image=FullImageSpec(channel_order, multiple),
        mode=mode,
        map_per_sigma=usual.map_per_sigma,
        tables=tables,
        sigma_range=(low, high),
        sigma=chosen,
        dead_zone=zone,
        scale=usual.scale,
        hole_spread=usual.hole_spread,
        light=usual.light,
        tiling=tiling or Tiling(),
    )


def _check_scale(scale: float, std: tuple[float, float, float]) -> None:
    if scale <= 0 or min(std) <= 0:
        raise RequestError(f"scale and std must be above 0, but are {scale} and {std}")
