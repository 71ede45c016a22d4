"""Adapters for the raw outputs of common detectors, by the name that ``--head`` takes."""

from __future__ import annotations

from collections.abc import Callable

from saccade_export.heads.decoded import BoxesAndScoresHead, DetrHead, Yolov5Head, Yolov8Head, Yolov10Head
from saccade_export.heads.head import Head
from saccade_export.heads.yolox import YoloxHead, YoloxOneToOneHead

HEADS: dict[str, Callable[[int, tuple[int, int]], Head]] = {
    kind.name: kind
    for kind in (YoloxHead, YoloxOneToOneHead, Yolov5Head, Yolov8Head, Yolov10Head, BoxesAndScoresHead, DetrHead)
}
"""Each is made for a number of classes and an input size (height, width)."""

__all__ = ["HEADS", "Head"]
