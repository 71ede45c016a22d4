"""From the options of ``saccade export`` to the plan of a task: defaults by task and head, and what does not fit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from saccade.classes import read_classes
from saccade.errors import RequestError
from saccade.spec import Letterbox, Resize, Stretch, Tiling
from saccade.step_table import MAX_STEPS
from saccade.task_fields import MAX_SIZE
from saccade_export.contract import detect_spec, restore_spec, segment_spec
from saccade_export.detection import BOX_PX, CONFIDENCE, DetectPlan
from saccade_export.heads import HEADS
from saccade_export.plan import Plan
from saccade_export.restoration import GREY_LEVELS, RestorePlan
from saccade_export.segmentation import EQUAL_PIXELS, SegmentPlan
from saccade_export.step_tables import bridge_table

Options = dict[str, Any]

MAX_FORMS = 6
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

OF_SEGMENT = ("scores", "threshold", "confidence", "equal_pixels")
OF_DETECT = ("head", "resize", "pad", "conf", "iou", "max_det", "nms", "agnostic_nms", "box_px", "box_confidence")
OF_RESTORE = ("mode", "steps", "sigma", "sigma_range", "dead_zone", "multiple", "tile", "overlap", "grey_levels")
OF_IMAGES = ("classes", "imgsz", "mean", "std", "scale", "outputs")
"""Options that not all tasks have; those of images are for segmentation and detection."""

UNSAID = {"confidence": False, "agnostic_nms": False, "outputs": ()}
"""What options are that nobody gave; all others are None. A 0 was given."""

SPELT = {"outputs": "output"}

FOREIGN = {
    "segment": (*OF_DETECT, *OF_RESTORE),
    "detect": (*OF_SEGMENT, *OF_RESTORE),
    "restore": (*OF_SEGMENT, *OF_DETECT, *OF_IMAGES),
}


def plan_of(task: str, options: Options) -> Plan:
    """The plan that the options ask for. Raises ``RequestError`` for options of another task or out of range."""
    if foreign := [name for name in FOREIGN[task] if options[name] != UNSAID.get(name)]:
        spelt = SPELT.get(foreign[0], foreign[0].replace("_", "-"))
        raise RequestError(f"--{spelt} is not for --task {task}; drop it")
    if task != "restore" and (missing := [name for name in ("classes", "imgsz") if options[name] is None]):
        raise RequestError(f"--task {task} needs --{missing[0]}")
    return PLANS[task](options)


def _restore_plan(options: Options) -> RestorePlan:
    usual = Tiling()
    tiling = Tiling(_default(options["tile"], usual.size), _default(options["overlap"], usual.overlap))
    if 2 * tiling.overlap >= tiling.size:
        raise RequestError(f"--overlap must be below half of --tile {tiling.size}, but is {tiling.overlap}")
    spec = restore_spec(
        options["mode"] or "denoise",
        {str(steps): bridge_table(steps) for steps in _steps(_default(options["steps"], "1,2,4"))},
        channel_order=options["color"] or "rgb",
        multiple=_default(options["multiple"], 8),
        sigma_range=options["sigma_range"],
        sigma=options["sigma"],
        dead_zone=options["dead_zone"],
        tiling=tiling,
    )
    return RestorePlan(spec, _default(options["grey_levels"], GREY_LEVELS))


def _steps(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    numbers = {int(part) for part in parts if part.isdecimal() and len(part) < 4}
    if len(parts) > MAX_FORMS or len(numbers) < len(set(parts)) or not numbers <= set(range(1, MAX_STEPS + 1)):
        raise RequestError(
            f"--steps must be up to {MAX_FORMS} numbers from 1 to {MAX_STEPS}, such as 1,2,4, but got {text[:40]!r}"
        )
    return sorted(numbers)


def _segment_plan(options: Options) -> SegmentPlan:
    names, colors = read_classes(options["classes"])
    spec = segment_spec(
        names,
        colors,
        size_hw=_size(options["imgsz"]),
        channel_order=options["color"] or "rgb",
        scale=options["scale"] or 255.0,
        mean=_triple("--mean", options["mean"]) or IMAGENET_MEAN,
        std=_triple("--std", options["std"]) or IMAGENET_STD,
        scores=options["scores"] or "logits",
        threshold=options["threshold"],
        has_confidence=options["confidence"],
    )
    return SegmentPlan(spec, EQUAL_PIXELS if options["equal_pixels"] is None else options["equal_pixels"])


def _detect_plan(options: Options) -> DetectPlan:
    if options["head"] is None:
        raise RequestError(f"--task detect needs --head, what the network gives: {', '.join(HEADS)}")
    names, colors = read_classes(options["classes"])
    size_hw = _size(options["imgsz"])
    head = HEADS[options["head"]](len(names), size_hw)
    suppresses = _default(options["nms"], head.needs_suppression)
    if not suppresses and (options["iou"] is not None or options["agnostic_nms"]):
        raise RequestError(f"head {head.name!r} goes without suppression; drop --iou and --agnostic-nms, or say --nms")
    usual = head.input_defaults
    spec = detect_spec(
        names,
        colors,
        size_hw=size_hw,
        channel_order=options["color"] or usual.channel_order,
        scale=options["scale"] or usual.scale,
        mean=_triple("--mean", options["mean"]) or (0.0, 0.0, 0.0),
        std=_triple("--std", options["std"]) or (1.0, 1.0, 1.0),
        resize=_resize(options, usual.resize),
        confidence=_default(options["conf"], 0.25),
        iou=_default(options["iou"], 0.65),
        max_detections=_default(options["max_det"], 300),
        suppression="none" if not suppresses else "agnostic" if options["agnostic_nms"] else "class",
    )
    return DetectPlan(
        spec, head.name, _default(options["box_px"], BOX_PX), _default(options["box_confidence"], CONFIDENCE)
    )


PLANS: dict[str, Callable[[Options], Plan]] = {
    "segment": _segment_plan,
    "detect": _detect_plan,
    "restore": _restore_plan,
}


def _resize(options: Options, usual: Resize) -> Resize:
    mode, pad = options["resize"], options["pad"]
    if mode is None and pad is None:
        return usual
    if mode == "stretch":
        if pad is not None:
            raise RequestError("--pad is the grey of a letterbox; with --resize stretch there is none, so drop it")
        return Stretch()
    if mode is None and not isinstance(usual, Letterbox):
        raise RequestError("--pad is the grey of a letterbox; say --resize letterbox too")
    anchor = "centre" if mode == "letterbox-centre" else "start"
    if mode is None and isinstance(usual, Letterbox):
        anchor = usual.anchor
    return Letterbox(_default(pad, 114), anchor)


def _default(value: Any, otherwise: Any) -> Any:
    return otherwise if value is None else value


def _size(text: str) -> tuple[int, int]:
    parts = text.lower().split("x")
    if not all(part.isdecimal() and len(part) < 7 and 0 < int(part) <= MAX_SIZE for part in parts) or len(parts) > 2:
        raise RequestError(
            f"--imgsz must be HEIGHTxWIDTH such as 360x480, or one number, each at most {MAX_SIZE}, but got {text!r}"
        )
    return int(parts[0]), int(parts[-1])


def _triple(option: str, text: str | None) -> tuple[float, float, float] | None:
    if text is None:
        return None
    try:
        first, second, third = (finite(option, float(part)) for part in text.split(","))
    except ValueError as error:
        raise RequestError(f"{option} must be three numbers such as 0.5,0.5,0.5, but got {text!r}") from error
    return first, second, third


def finite(option: str, value: float) -> float:
    """``value`` unless it is NaN or infinite. Raises ``RequestError``."""
    if not math.isfinite(value):
        raise RequestError(f"{option} must be finite, but got {value}")
    return value
