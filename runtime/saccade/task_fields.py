"""Read the task contract out of a manifest, field by field, each with its type and range."""

from __future__ import annotations

from saccade.fields import Fields
from saccade.letterbox import ANCHORS
from saccade.spec import (
    MAX_CLASSES,
    MAX_DETECTIONS,
    SUPPRESSIONS,
    DetectSpec,
    ImageSpec,
    Letterbox,
    PixelFormat,
    Resize,
    SegmentSpec,
    Stretch,
    TaskSpec,
)

MAX_SIZE = 1 << 14
"""The largest height or width of a frame or a network's input."""

Colors = tuple[tuple[int, int, int], ...]


def read_task(fields: Fields) -> TaskSpec:
    """The contract in ``fields``. Raises ``BundleError`` that names the field at fault."""
    kind = fields.choice("kind", ("segment", "detect"))
    task = _read_segment(fields) if kind == "segment" else _read_detect(fields)
    fields.finish()
    return task


def _read_segment(fields: Fields) -> SegmentSpec:
    decision = fields.choice("decision", ("argmax", "threshold"))
    classes, colors = _read_classes(fields, least=2)
    threshold = fields.optional_number("threshold")
    if (decision == "threshold") != (threshold is not None) or (threshold is not None and not 0 < threshold < 1):
        raise fields.refusal("threshold", f"must be between 0 and 1 for decision 'threshold' alone, but is {threshold}")
    if decision == "threshold" and len(classes) != 2:
        raise fields.refusal("classes", f"must be two for decision 'threshold', but are {len(classes)}")
    return SegmentSpec(
        image=_read_image(fields.table("image")),
        classes=classes,
        colors=colors,
        decision=decision,
        scores=fields.choice("scores", ("logits", "probabilities")),
        threshold=threshold,
        has_confidence=fields.boolean("has_confidence"),
    )


def _read_detect(fields: Fields) -> DetectSpec:
    classes, colors = _read_classes(fields, least=1)
    return DetectSpec(
        image=_read_image(fields.table("image")),
        classes=classes,
        colors=colors,
        confidence=_share(fields, "confidence"),
        iou=_share(fields, "iou"),
        max_detections=fields.integer("max_detections", 1, MAX_DETECTIONS),
        suppression=fields.choice("suppression", SUPPRESSIONS),
    )


def _read_classes(fields: Fields, least: int) -> tuple[tuple[str, ...], Colors]:
    classes = fields.texts("classes", least, MAX_CLASSES)
    if len(set(classes)) != len(classes):
        raise fields.refusal("classes", "must differ from each other")
    colors = fields.rows("colors", least, MAX_CLASSES, width=3, low=0, high=255)
    if len(colors) != len(classes):
        raise fields.refusal("colors", f"must be one for each of the {len(classes)} classes, but are {len(colors)}")
    return classes, tuple((red, green, blue) for red, green, blue in colors)


def _share(fields: Fields, name: str) -> float:
    value = fields.number(name)
    if not 0 <= value <= 1:
        raise fields.refusal(name, f"must be 0 to 1, but is {value}")
    return value


def _read_image(fields: Fields) -> ImageSpec:
    height, width = fields.integers("size_hw", 2, 1, MAX_SIZE)
    image = ImageSpec(
        size_hw=(height, width),
        channel_order=fields.choice("channel_order", ("rgb", "bgr")),
        scale=fields.number("scale"),
        mean=_triple(fields.numbers("mean", 3)),
        std=_triple(fields.numbers("std", 3)),
        pixel_formats=tuple(_pixel_format(name, fields) for name in fields.texts("pixel_formats", 1, 8)),
        resize=_read_resize(fields.table("resize")),
    )
    fields.finish()
    if image.scale <= 0 or min(image.std) <= 0:
        raise fields.refusal("std", "and scale must be above 0")
    return image


def _read_resize(fields: Fields) -> Resize:
    mode = fields.choice("mode", ("stretch", "letterbox"))
    resize = (
        Stretch()
        if mode == "stretch"
        else Letterbox(pad=fields.integer("pad", 0, 255), anchor=fields.choice("anchor", ANCHORS))
    )
    fields.finish()
    return resize


def _pixel_format(name: str, fields: Fields) -> PixelFormat:
    """The formats that graphs of this version take; "nv12" joins when a lowering for it is built."""
    for known in ("rgb24", "bgr24"):
        if name == known:
            return known
    raise fields.refusal("pixel_formats", f"must be rgb24 or bgr24 in this version, but hold {name[:40]!r}")


def _triple(values: tuple[float, ...]) -> tuple[float, float, float]:
    first, second, third = values
    return first, second, third
