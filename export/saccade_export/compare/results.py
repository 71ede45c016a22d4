"""How far the results of two variants or engines are from each other, frame by frame, as the task counts it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from saccade.kinds.detect import compare_boxes
from saccade.kinds.restore import compare_images
from saccade.kinds.segment import equal_share
from saccade.results import Detections, Restoration, Segmentation
from saccade.tasks import Task
from saccade_export.compare.calls import Call
from saccade_export.compare.sides import Side


@dataclass(frozen=True)
class Difference:
    """What differs in one frame: numbers by name, whether the looser side's tolerances allow it, and a sentence."""

    frame: str
    numbers: dict[str, float]
    passed: bool
    sentence: str


def differences(sides: tuple[Side, Side], calls: Sequence[Call]) -> list[Difference]:
    """Run both sides on the CPU, and compare what they give for each call."""
    with sides[0].open() as one, sides[1].open() as other:
        results = [(_result(sides[0], one, call), _result(sides[1], other, call)) for call in calls]
    return [_difference(call, pair, sides) for call, pair in zip(calls, results, strict=True)]


def _result(side: Side, task: Task, call: Call) -> Any:
    return task(side.entering(call.frame), **call.asked)


def _difference(call: Call, results: tuple[Any, Any], sides: tuple[Side, Side]) -> Difference:
    allowed = _looser(sides[0].variant.tolerances, sides[1].variant.tolerances)
    first, second = results
    if isinstance(first, Segmentation):
        share = equal_share(first.class_map, second.class_map)
        sentence = f"{share:.4%} of pixels are equal (at least {allowed['equal_pixels']:.2%})"
        return Difference(call.name, {"equal_pixels": share}, share >= allowed["equal_pixels"], sentence)
    if isinstance(first, Restoration):
        wanted = np.clip(np.rint(first.image), 0, 255).astype(np.uint8)
        most = compare_images({1: second}, wanted[None], [1]).most
        sentence = f"{most} grey levels apart at most (at most {allowed['grey_levels']:g})"
        return Difference(call.name, {"grey_levels": most}, most <= allowed["grey_levels"], sentence)
    return _of_boxes(call, first, second, allowed)


def _of_boxes(call: Call, first: Detections, second: Detections, allowed: Mapping[str, float]) -> Difference:
    boxes = [(each.xyxy, each.confidence, each.class_id) for each in (first, second)]
    found = compare_boxes(
        boxes[1], boxes[0], floor=call.floor, box_px=allowed["box_px"], confidence=allowed["confidence"]
    )
    count = int((first.confidence >= call.floor).sum())
    passed = max(found.missing, found.extra) <= allowed.get("unmatched", 0.0) * count
    sentence = (
        f"{count} boxes, {found.missing} missing, {found.extra} extra; corners within {found.box_px:.3g} px, "
        f"confidences within {found.confidence:.2g}"
    )
    numbers = {"missing": found.missing, "extra": found.extra, "box_px": found.box_px, "confidence": found.confidence}
    return Difference(call.name, numbers, passed, sentence)


def _looser(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    """Of two sides' tolerances the one that allows more; a share of equal pixels allows more where it is less."""
    names = {**first, **second}
    return {
        name: (min if name == "equal_pixels" else max)(side[name] for side in (first, second) if name in side)
        for name in names
    }
