"""Segmentation: golden class maps, their line, their picture, their description."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from saccade.bundle import Bundle
from saccade.draw import legend, overlay
from saccade.kinds.look import Look
from saccade.results import Segmentation
from saccade.spec import Golden, SegmentSpec
from saccade.tasks import SegmentTask


@dataclass(frozen=True)
class FrameCheck:
    """One golden frame: the share of its pixels whose class is PyTorch's, and the least share that passes."""

    frame: str
    size_hw: tuple[int, int]
    equal_pixels: float
    least_equal_pixels: float
    finite: bool

    @property
    def passed(self) -> bool:
        return self.finite and self.equal_pixels >= self.least_equal_pixels

    @property
    def sentence(self) -> str:
        not_finite = "" if self.finite else ", scores not finite"
        return f"{self.equal_pixels:.4%} of pixels (at least {self.least_equal_pixels:.2%}){not_finite}"


def check(bundle: Bundle, golden: Golden, task: SegmentTask) -> FrameCheck:
    """Repeat one golden frame with ``task`` and count the pixels of PyTorch's class."""
    frame, expected = golden.inputs["frame"], golden.results["class_map"]
    result = task(bundle.array(frame), pixel_format=str(golden.parameters.get("pixel_format", "rgb24")))
    return FrameCheck(
        frame.member,
        result.class_map.shape,
        equal_share(result.class_map, bundle.array(expected)),
        bundle.variant(task.variant).tolerances["equal_pixels"],
        result.finite,
    )


def equal_share(found: npt.NDArray[np.uint8], wanted: npt.NDArray[np.uint8]) -> float:
    """The share of pixels in which two class maps of one shape agree."""
    if found.shape != wanted.shape:
        raise ValueError(f"class maps must have one shape, but have {found.shape} and {wanted.shape}")
    return int(np.count_nonzero(found == wanted)) / found.size


def record(result: Segmentation) -> dict[str, Any]:
    """The share of the frame that each class has."""
    return {"class_shares": {name: round(share, 6) for name, share in result.class_shares().items()}}


def picture(image: npt.NDArray[np.uint8], result: Segmentation, look: Look) -> npt.NDArray[np.uint8]:
    """``image`` tinted by the classes, with a legend of those that occur."""
    tinted = overlay(image, result.class_map, result.colors, look.opacity)
    if not look.has_names:
        return tinted
    return legend(tinted, result.classes, result.colors, present=np.unique(result.class_map))


def describe(spec: SegmentSpec) -> list[tuple[str, str]]:
    """Decision, classes, and for one class the threshold."""
    lines = [("task", f"{spec.kind}, {spec.decision} of {len(spec.classes)} classes: {', '.join(spec.classes)}")]
    return lines if spec.threshold is None else [*lines, ("threshold", f"{spec.threshold:g}")]


def held_to(tolerances: dict[str, float]) -> str:
    return ", ".join(f"{name} >= {value:g}" for name, value in tolerances.items())
