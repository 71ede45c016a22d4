"""Detection: golden boxes, what a run may ask for, a result's line, its picture, the task's description."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from saccade.bundle import Bundle
from saccade.draw import draw_boxes
from saccade.errors import RequestError
from saccade.kinds.look import Look
from saccade.results import Detections
from saccade.spec import DetectSpec, Golden, Variant
from saccade.tasks.detect import DetectTask, check_most, check_suppression_asked

SHOWN_CLASSES = 20
"""How many classes a sentence names before it counts the rest."""

Boxes = tuple[npt.NDArray[np.floating], npt.NDArray[np.floating], npt.NDArray[np.integer]]
"""Boxes of one frame: xyxy (n, 4) in its pixels, confidence (n,), class_id (n,)."""


@dataclass(frozen=True)
class BoxDifference:
    """How far the boxes that were found are from those that were expected.

    ``box_px`` and ``confidence`` are the worst differences of a corner and of a confidence, over the boxes that must be
    found, each with its partner, or without one with the nearest box of its class. ``missing`` and ``extra`` count the
    boxes without a partner that should have one.
    """

    box_px: float
    confidence: float
    missing: int
    extra: int

    @property
    def passed(self) -> bool:
        return not self.missing and not self.extra


@dataclass(frozen=True)
class BoxCheck:
    """One golden frame: how many boxes PyTorch gave from the floor on, and how this machine's differ from them.

    ``most_unmatched`` is the share of the boxes that may be missing, and that may be extra.
    """

    frame: str
    size_hw: tuple[int, int]
    boxes: int
    missing: int
    extra: int
    box_px: float
    most_box_px: float
    confidence: float
    most_confidence: float
    finite: bool
    most_unmatched: float = 0.0

    @property
    def passed(self) -> bool:
        return self.finite and max(self.missing, self.extra) <= self.most_unmatched * self.boxes

    @property
    def sentence(self) -> str:
        allowed = f" (at most {self.most_unmatched:.0%} of each)" if self.most_unmatched else ""
        return (
            f"{self.boxes} boxes, {self.missing} missing, {self.extra} extra{allowed}; "
            f"corners within {self.box_px:.3g} px (at most {self.most_box_px:g}), "
            f"confidences within {self.confidence:.2g} (at most {self.most_confidence:g})"
            + ("" if self.finite else ", scores not finite")
        )


@dataclass(frozen=True)
class DetectRequest:
    """What a run asks of each frame; what is None is the bundle's. The fields are those of calling a ``DetectTask``."""

    confidence: float | None = None
    iou: float | None = None
    max_detections: int | None = None
    classes: tuple[str, ...] | None = None
    agnostic: bool | None = None


def check(bundle: Bundle, golden: Golden, task: DetectTask) -> BoxCheck:
    """Repeat one golden frame with ``task`` and hold its boxes against PyTorch's."""
    frame, numbers = golden.inputs["frame"], golden.parameters
    result = task(
        bundle.array(frame),
        pixel_format=str(numbers.get("pixel_format", "rgb24")),
        confidence=float(numbers["confidence"]),
        iou=float(numbers["iou"]) if "iou" in numbers else None,
        max_detections=int(numbers["max_detections"]) if "max_detections" in numbers else None,
    )
    xyxy, confidence, class_id = (bundle.array(golden.results[name]) for name in ("xyxy", "confidence", "class_id"))
    floor, most = float(numbers["floor"]), bundle.variant(task.variant).tolerances
    difference = compare_boxes(
        (result.xyxy, result.confidence, result.class_id),
        (xyxy, confidence, class_id),
        floor=floor,
        box_px=most["box_px"],
        confidence=most["confidence"],
    )
    return BoxCheck(
        frame=frame.member,
        size_hw=result.frame_hw,
        boxes=int((confidence >= floor).sum()),
        missing=difference.missing,
        extra=difference.extra,
        box_px=difference.box_px,
        most_box_px=most["box_px"],
        confidence=difference.confidence,
        most_confidence=most["confidence"],
        most_unmatched=most.get("unmatched", 0.0),
        finite=result.finite,
    )


def compare_boxes(found: Boxes, expected: Boxes, *, floor: float, box_px: float, confidence: float) -> BoxDifference:
    """Hold found boxes against expected ones, one to one, the nearest pairs first.

    Partners have one class, all corners within ``box_px`` pixels and confidences within ``confidence``. Expected boxes
    from ``floor`` on must have a partner, and found ones from ``floor`` + ``confidence`` on; give expected boxes to
    below the floor, so that one at its edge has a partner on either side.
    """
    distance, gap = _differences(found, expected)
    partner = _partners(distance, (distance <= box_px) & (gap <= confidence))
    is_due = np.asarray(expected[1], np.float64) >= floor
    is_alone = np.ones(len(found[1]), np.bool_)
    is_alone[partner[partner >= 0]] = False
    extra = is_alone & (np.asarray(found[1], np.float64) >= floor + confidence)
    worst_px, worst_gap = _worst(distance[is_due], gap[is_due], partner[is_due])
    return BoxDifference(worst_px, worst_gap, int((is_due & (partner < 0)).sum()), int(extra.sum()))


def _differences(found: Boxes, expected: Boxes) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Of every expected box (n) with every found one (m): the worst corner's distance, infinite between classes, and
    the difference of the confidences, both (n, m)."""
    corners = np.abs(np.subtract(expected[0][:, None], found[0][None], dtype=np.float64))
    distance = np.where(expected[2][:, None] == found[2][None], corners.max(-1, initial=0), np.inf)
    gap = np.abs(np.subtract(expected[1][:, None], found[1][None], dtype=np.float64))
    return np.nan_to_num(distance, nan=np.inf, posinf=np.inf), np.nan_to_num(gap, nan=np.inf, posinf=np.inf)


def _partners(distance: npt.NDArray[np.float64], fits: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """The found box of each expected one, -1 for none: of the pairs that fit the nearest, then of what is left."""
    rows, columns = np.nonzero(fits)
    partner = np.full(distance.shape[0], -1, np.int64)
    is_taken = np.zeros(distance.shape[1], np.bool_)
    for index in np.argsort(distance[rows, columns], kind="stable"):
        row, column = rows[index], columns[index]
        if partner[row] < 0 and not is_taken[column]:
            partner[row], is_taken[column] = column, True
    return partner


def _worst(
    distance: npt.NDArray[np.float64], gap: npt.NDArray[np.float64], partner: npt.NDArray[Any]
) -> tuple[float, float]:
    if not distance.size:
        return 0.0, 0.0
    rows = np.arange(len(distance))
    column = np.where(partner < 0, distance.argmin(1), partner)
    known = np.isfinite(distance[rows, column]) & np.isfinite(gap[rows, column])
    return (
        float(distance[rows, column][known].max(initial=0)),
        float(gap[rows, column][known].max(initial=0)),
    )


def pick_classes(asked: Sequence[str], known: tuple[str, ...]) -> tuple[str, ...]:
    """The classes that texts such as "car,person" or "2" ask for, by name or id, each once.

    Raises ``RequestError`` for one that the model does not have.
    """
    picked = [_class_name(part.strip(), known) for text in asked for part in _parts(text, known)]
    return tuple(dict.fromkeys(picked))


def check_request(request: DetectRequest, spec: DetectSpec, variant: Variant) -> None:
    """Raises ``RequestError`` for what this bundle's task would refuse at its first frame."""
    check_suppression_asked(spec, request.iou, request.agnostic)
    if request.max_detections is not None:
        check_most(request.max_detections, variant)


def record(result: Detections) -> dict[str, Any]:
    """The boxes, most confident first; those of a broken network that are not finite are left out."""
    rows = zip(result.xyxy.tolist(), result.confidence.tolist(), result.class_id.tolist(), strict=True)
    return {
        "boxes": [
            {
                "xyxy": [round(side, 2) for side in xyxy],
                "confidence": round(confidence, 4),
                "class": result.classes[class_id],
                "class_id": class_id,
            }
            for xyxy, confidence, class_id in rows
            if np.isfinite([*xyxy, confidence]).all()
        ]
    }


def picture(image: npt.NDArray[np.uint8], result: Detections, look: Look) -> npt.NDArray[np.uint8]:
    """``image`` with the boxes in the colours of their classes, each with its name and confidence."""
    colors = np.array(result.colors, np.uint8)[result.class_id]
    named = zip(result.names, result.confidence.tolist(), strict=True)
    labels = [f"{name} {confidence:.2f}" for name, confidence in named] if look.has_names else None
    return draw_boxes(image, result.xyxy, colors, labels)


def describe(spec: DetectSpec) -> list[tuple[str, str]]:
    """Classes, thresholds and suppression."""
    compared = {"class": "of one class", "agnostic": "of any class"}
    suppressed = (
        "no suppression needed"
        if spec.suppression == "none"
        else f"suppressed where boxes {compared[spec.suppression]} overlap by more than IoU {spec.iou:g}"
    )
    return [
        ("task", f"{spec.kind}, boxes of {len(spec.classes)} classes: {_named(spec.classes)}"),
        ("boxes", f"confidence from {spec.confidence:g}, at most {spec.max_detections} a frame, {suppressed}"),
    ]


def held_to(tolerances: dict[str, float]) -> str:
    return ", ".join(f"{name} <= {value:g}" for name, value in tolerances.items())


def _parts(text: str, known: tuple[str, ...]) -> list[str]:
    """A list at its commas, but not a class whose name has one."""
    return [text] if text in known else text.split(",")


def _class_name(text: str, known: tuple[str, ...]) -> str:
    names = {str(index): name for index, name in enumerate(known)} | {name: name for name in known}
    if text not in names:
        raise RequestError(f"class {text!r} is not in the model; its {len(known)} classes are {_named(known)}")
    return names[text]


def _named(classes: tuple[str, ...]) -> str:
    more = f", and {len(classes) - SHOWN_CLASSES} more" if len(classes) > SHOWN_CLASSES else ""
    return ", ".join(classes[:SHOWN_CLASSES]) + more
