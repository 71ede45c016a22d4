"""Write a task contract from what a user says about a network."""

from __future__ import annotations

from saccade.classes import Color
from saccade.errors import RequestError
from saccade.spec import ChannelOrder, ImageSpec, Scores, SegmentSpec

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
    if scale <= 0 or min(std) <= 0:
        raise RequestError(f"scale and std must be above 0, but are {scale} and {std}")
    one_class = len(names) == 1
    if threshold is not None and not one_class:
        raise RequestError(f"a threshold is for one-class networks, but {len(names)} classes were given")
    image = ImageSpec(size_hw, channel_order, scale, mean, std)
    if not one_class:
        return SegmentSpec(image, names, colors, "argmax", scores, None, has_confidence)
    chosen = DEFAULT_THRESHOLD if threshold is None else threshold
    return SegmentSpec(image, (BACKGROUND, *names), ((0, 0, 0), *colors), "threshold", scores, chosen, has_confidence)
