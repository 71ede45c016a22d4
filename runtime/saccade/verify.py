"""Repeat a bundle's golden frames on this machine and hold the results against PyTorch's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from saccade.bundle import Bundle
from saccade.tasks.segment import SegmentTask


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


def verify(bundle: Bundle, task: SegmentTask) -> Iterator[FrameCheck]:
    """Check every golden frame of ``bundle`` with ``task``, which may run any of its variants."""
    tolerances = bundle.variant(task.variant).tolerances
    for golden in bundle.manifest.golden:
        frame, expected = golden.inputs["frame"], golden.results["class_map"]
        result = task(bundle.array(frame), pixel_format=str(golden.parameters.get("pixel_format", "rgb24")))
        yield FrameCheck(
            frame.member,
            result.class_map.shape,
            equal_share(result.class_map, bundle.array(expected)),
            tolerances["equal_pixels"],
            result.finite,
        )


def equal_share(found: npt.NDArray[np.uint8], wanted: npt.NDArray[np.uint8]) -> float:
    """The share of pixels in which two class maps of one shape agree."""
    if found.shape != wanted.shape:
        raise ValueError(f"class maps must have one shape, but have {found.shape} and {wanted.shape}")
    return int(np.count_nonzero(found == wanted)) / found.size
