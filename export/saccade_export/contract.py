"""Write a task contract from what a user says about a network."""

from __future__ import annotations

from saccade.classes import Color
from saccade.errors import RequestError
from saccade.spec import ChannelOrder, DetectSpec, ImageSpec, Resize, Scores, SegmentSpec, Suppression

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


def _check_scale(scale: float, std: tuple[float, float, float]) -> None:
    if scale <= 0 or min(std) <= 0:
        raise RequestError(f"scale and std must be above 0, but are {scale} and {std}")
