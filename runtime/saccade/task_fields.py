"""Read the task contract out of a manifest, field by field, each with its type and range."""

from __future__ import annotations

from collections.abc import Callable

from saccade.fields import Fields
from saccade.letterbox import ANCHORS
from saccade.spec import (
    MAX_CLASSES,
    MAX_DETECTIONS,
    RESTORING,
    SUPPRESSIONS,
    DetectSpec,
    FullImageSpec,
    ImageSpec,
    Letterbox,
    LightSpec,
    PixelFormat,
    Resize,
    RestoreSpec,
    SegmentSpec,
    Stretch,
    TaskSpec,
    Tiling,
)
from saccade.step_table import MAX_STEPS, StepTable, read_step_table

MAX_SIZE = 1 << 14
"""The largest height or width of a frame or a network's input."""

MAX_SIGMA = 255.0

Colors = tuple[tuple[int, int, int], ...]


def read_task(fields: Fields) -> TaskSpec:
    """The contract in ``fields``. Raises ``BundleError`` that names the field at fault."""
    read = READERS[fields.choice("kind", tuple(READERS))]
    task = read(fields)
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


def _read_restore(fields: Fields) -> RestoreSpec:
    low, high = fields.numbers("sigma_range", 2)
    spec = RestoreSpec(
        image=_read_full_image(fields.table("image")),
        mode=fields.choice("mode", RESTORING),
        map_per_sigma=fields.number("map_per_sigma"),
        tables=_read_tables(fields.table("tables")),
        sigma_range=(low, high),
        sigma=fields.optional_number("sigma"),
        dead_zone=fields.number("dead_zone"),
        scale=fields.integer("scale", 1, 4),
        hole_spread=fields.number("hole_spread"),
        light=None if (light := fields.optional_table("light")) is None else _read_light(light),
        tiling=_read_tiling(fields.table("tiling")),
    )
    if not 0 <= low <= high <= MAX_SIGMA:
        raise fields.refusal("sigma_range", f"must rise from 0 or more to at most {MAX_SIGMA}, but is {low} to {high}")
    if spec.sigma is not None and not low <= spec.sigma <= high:
        raise fields.refusal("sigma", f"must be in sigma_range, {low} to {high}, but is {spec.sigma}")
    if spec.mode == "deblur" and spec.sigma is None:
        raise fields.refusal("sigma", "must be a number for mode 'deblur': a blur is not measured")
    for name, value in (("map_per_sigma", spec.map_per_sigma), ("hole_spread", spec.hole_spread)):
        if not 0 <= value <= MAX_SIGMA:
            raise fields.refusal(name, f"must be 0 to {MAX_SIGMA}, but is {value}")
    if not 0 <= spec.dead_zone <= high:
        raise fields.refusal("dead_zone", f"must be 0 to {high}, but is {spec.dead_zone}")
    if (spec.light is not None) != (spec.mode == "low-light"):
        raise fields.refusal("light", f"must be there for mode 'low-light' alone, but the mode is {spec.mode!r}")
    if spec.mode == "low-light" and spec.dead_zone:
        raise fields.refusal("dead_zone", f"must be 0 for mode 'low-light': all are lifted, but is {spec.dead_zone}")
    if (spec.scale > 1) != (spec.mode == "super-resolution"):
        raise fields.refusal("scale", f"must be above 1 for mode 'super-resolution' alone, but is {spec.scale}")
    return spec


def _read_light(fields: Fields) -> LightSpec:
    low, high = {"gain_range": 0.01, "gamma_range": 0.1, "shot_range": 0.0}, {"gamma_range": 10.0}
    ranges = {name: _range(fields, name, least, high.get(name, 1e3)) for name, least in low.items()}
    light = LightSpec(**ranges, gamma=fields.number("gamma"), exposure=fields.number("exposure"))
    least, most = light.gamma_range
    if not least <= light.gamma <= most:
        raise fields.refusal("gamma", f"must be in gamma_range, {least} to {most}, but is {light.gamma}")
    if not 0 < light.exposure < 1:
        raise fields.refusal("exposure", f"must be between 0 and 1, but is {light.exposure}")
    fields.finish()
    return light


def _range(fields: Fields, name: str, least: float, most: float) -> tuple[float, float]:
    low, high = fields.numbers(name, 2)
    if not least <= low <= high <= most:
        raise fields.refusal(name, f"must rise within {least:g} to {most:g}, but is {low:g} to {high:g}")
    return low, high


def _read_full_image(fields: Fields) -> FullImageSpec:
    image = FullImageSpec(
        channel_order=fields.choice("channel_order", ("rgb", "bgr")),
        multiple=fields.integer("multiple", 1, 256),
        pixel_formats=tuple(_pixel_format(name, fields) for name in fields.texts("pixel_formats", 1, 8)),
    )
    fields.finish()
    return image


def _read_tables(fields: Fields) -> dict[str, StepTable]:
    names = fields.names()
    if not names:
        raise fields.refusal("1", "or another number of steps is missing: there is no table")
    tables: dict[str, StepTable] = {}
    for name in names:
        table = fields.table(name)
        tables[name] = read_step_table(table)
        table.finish()
        if name != str(tables[name].steps):
            raise fields.refusal(name, f"must be named by its number of steps, 1 to {MAX_STEPS}")
        if tables[name].takes_noise:
            raise fields.refusal(name, "must add no noise: the steps of a restorer are given none")
    return tables


def _read_tiling(fields: Fields) -> Tiling:
    tiling = Tiling(size=fields.integer("size", 64, MAX_SIZE), overlap=fields.integer("overlap", 0, 1024))
    fields.finish()
    if 2 * tiling.overlap >= tiling.size:
        raise fields.refusal("overlap", f"must be below half of the size {tiling.size}, but is {tiling.overlap}")
    return tiling


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


READERS: dict[str, Callable[[Fields], TaskSpec]] = {
    "segment": _read_segment,
    "detect": _read_detect,
    "restore": _read_restore,
}
"""What reads the rest of a contract, by its kind."""


def _triple(values: tuple[float, ...]) -> tuple[float, float, float]:
    first, second, third = values
    return first, second, third
