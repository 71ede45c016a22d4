"""How far the results of two variants or engines are from each other, frame by frame, as the task counts it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from saccade.kinds.detect import compare_boxes
from saccade.kinds.restore import compare_images
from saccade.kinds.segment import equal_share
from saccade.results import Detections, Restoration, Segmentation
from saccade_export.compare.sides import Side
from saccade_export.user_frames import Frame

FLOOR = 0.25
"""Boxes are compared from this confidence on, where the frame does not say from which."""


@dataclass(frozen=True)
class Difference:
    """What differs in one frame: numbers by name, whether the looser side's tolerances allow it, and a sentence."""

    frame: str
    numbers: dict[str, float]
    passed: bool
    sentence: str


def difference(name: str, results: tuple[Any, Any], sides: tuple[Side, Side], floor: float = FLOOR) -> Difference:
    """Compare what two sides gave for one frame."""
    allowed = _looser(sides[0].variant.tolerances, sides[1].variant.tolerances)
    first, second = results
    if isinstance(first, Segmentation):
        share = equal_share(first.class_map, second.class_map)
        sentence = f"{share:.4%} of pixels are equal (at least {allowed['equal_pixels']:.2%})"
        return Difference(name, {"equal_pixels": share}, share >= allowed["equal_pixels"], sentence)
    if isinstance(first, Restoration):
        wanted = np.clip(np.rint(first.image), 0, 255).astype(np.uint8)
        most = compare_images({1: second}, wanted[None], [1]).most
        sentence = f"{most} grey levels apart at most (at most {allowed['grey_levels']:g})"
        return Difference(name, {"grey_levels": most}, most <= allowed["grey_levels"], sentence)
    return _of_boxes(name, first, second, allowed, floor)


def _of_boxes(
    name: str, first: Detections, second: Detections, allowed: Mapping[str, float], floor: float
) -> Difference:
    boxes = [(each.xyxy, each.confidence, each.class_id) for each in (first, second)]
    found = compare_boxes(boxes[1], boxes[0], floor=floor, box_px=allowed["box_px"], confidence=allowed["confidence"])
    count = int((first.confidence >= floor).sum())
    passed = max(found.missing, found.extra) <= allowed.get("unmatched", 0.0) * count
    sentence = (
        f"{count} boxes, {found.missing} missing, {found.extra} extra; corners within {found.box_px:.3g} px, "
        f"confidences within {found.confidence:.2g}"
    )
    numbers = {"missing": found.missing, "extra": found.extra, "box_px": found.box_px, "confidence": found.confidence}
    return Difference(name, numbers, passed, sentence)


def _looser(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    """Of two sides' tolerances the one that allows more; a share of equal pixels allows more where it is less."""
    names = {**first, **second}
    return {
        name: (min if name == "equal_pixels" else max)(side[name] for side in (first, second) if name in side)
        for name in names
    }


def frames_of(side: Side) -> list[tuple[str, Frame, dict[str, Any]]]:
    """The golden frames, with their names and what each call is asked."""
    found: list[tuple[str, Frame, dict[str, Any]]] = []
    for golden in side.bundle.manifest.golden:
        asked = {name: value for name, value in golden.parameters.items() if name not in ("floor",)}
        asked |= {name: side.bundle.array(array) for name, array in golden.inputs.items() if name != "frame"}
        frame = golden.inputs["frame"]
        found.append((frame.member, side.bundle.array(frame), asked))
    return found
