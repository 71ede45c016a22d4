"""Detection: frame to boxes.

A graph for CPUs ends in detections: suppressed, sorted, padded to the number asked for, with a count. A graph for GPUs
ends in a fixed number of candidates, since a size that depends on the data breaks CUDA graphs; what suppression is left
is done here, over at most as many boxes, which are then taken to the frame. Such a graph is also told here which pixels
a letterboxed frame is made of. The variant's parameters say which (``ends_in``, ``candidates``).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, overload

import numpy as np
import numpy.typing as npt

from saccade.boxes import suppress
from saccade.engines.base import Array, Engine, OutputSpec
from saccade.errors import FrameError, RequestError
from saccade.frames import Frame
from saccade.letterbox import Placement, fit
from saccade.results import Detections
from saccade.spec import DetectSpec, ImageSpec, Letterbox, PixelFormat, Variant
from saccade.tasks.frame_task import FrameTask, Pending, is_batch


@dataclass(frozen=True)
class _Thresholds:
    """What a call asks for, checked: ``words`` as it was said, and the ``inputs`` of the graph that follow."""

    words: tuple[Any, ...]
    iou: float
    max_detections: int
    agnostic: bool
    inputs: dict[str, Array]


@dataclass(frozen=True)
class _Placed:
    """Frames of one size in the network's input, and the tables of rows and columns that a graph takes."""

    placement: Placement
    sampling: tuple[Array, Array]


class DetectTask(FrameTask[Detections]):
    """A detection bundle, open for one thread: call it with a frame, ``clone`` it for another thread."""

    def __init__(
        self, spec: DetectSpec, engine: Engine, variant: Variant, *, pixel_format: PixelFormat = "rgb24"
    ) -> None:
        super().__init__(spec.image, engine, variant, pixel_format)
        self.spec = spec
        self._candidates = int(variant.parameters["candidates"])
        self._ends_in_candidates = variant.parameters["ends_in"] == "candidates"
        self._single_frames = variant.parameters.get("batch") == 1
        self._thresholds: _Thresholds | None = None
        self._last_placed: _Placed | None = None

    @property
    def candidates(self) -> int:
        """The most boxes that a frame can give, before suppression."""
        return self._candidates

    @property
    def classes(self) -> tuple[str, ...]:
        return self.spec.classes

    @overload
    def __call__(
        self,
        frame: Frame,
        *,
        confidence: float | None = None,
        iou: float | None = None,
        max_detections: int | None = None,
        classes: Sequence[str | int] | None = None,
        agnostic: bool | None = None,
        pixel_format: str | None = None,
        frame_id: int | None = None,
        captured_ns: int | None = None,
    ) -> Detections: ...

    @overload
    def __call__(
        self,
        frame: Sequence[Frame],
        *,
        confidence: float | None = None,
        iou: float | None = None,
        max_detections: int | None = None,
        classes: Sequence[str | int] | None = None,
        agnostic: bool | None = None,
        pixel_format: str | None = None,
        frame_id: int | None = None,
        captured_ns: int | None = None,
    ) -> list[Detections]: ...

    def __call__(
        self,
        frame: Any,
        *,
        confidence: float | None = None,
        iou: float | None = None,
        max_detections: int | None = None,
        classes: Sequence[str | int] | None = None,
        agnostic: bool | None = None,
        pixel_format: str | None = None,
        frame_id: int | None = None,
        captured_ns: int | None = None,
    ) -> Detections | list[Detections]:
        """The boxes in a frame, uint8 (H, W, 3), or in each of a batch: (N, H, W, 3), or a list of one size.

        What is None is the bundle's. ``confidence``: least one, 0 to 1. ``iou``: overlap above which the less confident
        box goes, and ``agnostic``: whether boxes of other classes count (bundles that suppress). ``max_detections``:
        most boxes a frame. ``classes``: names or ids to keep. ``pixel_format``, ``frame_id``, ``captured_ns``: as for
        ``SegmentTask``. Raises ``FrameError`` or ``RequestError``.
        """
        self.submit(
            frame,
            confidence=confidence,
            iou=iou,
            max_detections=max_detections,
            classes=classes,
            agnostic=agnostic,
            pixel_format=pixel_format,
            frame_id=frame_id,
            captured_ns=captured_ns,
        )
        results = self.wait()
        return results if is_batch(frame) else results[0]

    def submit(
        self,
        frame: Any,
        *,
        confidence: float | None = None,
        iou: float | None = None,
        max_detections: int | None = None,
        classes: Sequence[str | int] | None = None,
        agnostic: bool | None = None,
        pixel_format: str | None = None,
        frame_id: int | None = None,
        captured_ns: int | None = None,
    ) -> None:
        """Hand over a frame or a batch without waiting, where the engine works on its own. Then call ``wait``.

        The arrays must stay unchanged until then. Takes and raises what calling the task does.
        """
        started = time.perf_counter_ns()
        asked = self._asked(confidence, iou, max_detections, classes, agnostic)
        if self._single_frames and is_batch(frame) and len(frame) > 1:
            raise FrameError(
                f"this bundle's network takes one frame at a time, but got {len(frame)}; call once for each"
            )
        self._hand_over(
            frame,
            lambda shape: self._inputs(shape, asked),
            lambda shape: self._outputs(shape[0], asked),
            started=started,
            pixel_format=pixel_format,
            frame_id=frame_id,
            captured_ns=captured_ns,
        )
        self._thresholds = asked

    def clone(self) -> DetectTask:
        """The same bundle for another thread: shared weights, buffers of its own."""
        return DetectTask(self.spec, self._engine.clone(), self._variant, pixel_format=self.pixel_format)

    def __enter__(self) -> DetectTask:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _asked(
        self,
        confidence: float | None,
        iou: float | None,
        max_detections: int | None,
        classes: Sequence[str | int] | None,
        agnostic: bool | None,
    ) -> _Thresholds:
        """What a call asks for, checked; the very same as before where it asks for the same."""
        kept = classes if classes is None or isinstance(classes, str | int) else tuple(classes)
        words = (confidence, iou, max_detections, kept, agnostic)
        if self._thresholds is not None and self._thresholds.words == words:
            return self._thresholds
        spec = self.spec
        check_suppression_asked(spec, iou, agnostic)
        least = spec.confidence if confidence is None else confidence
        overlap = spec.iou if iou is None else iou
        for name, value in (("confidence", least), ("iou", overlap)):
            if not 0 <= value <= 1:
                raise RequestError(f"{name} must be 0 to 1, but got {value}")
        most = spec.max_detections if max_detections is None else max_detections
        check_most(most, self._variant)
        across = spec.suppression == "agnostic" if agnostic is None else agnostic
        inputs: dict[str, Array] = {
            "least_confidence": np.array([least], np.float32),
            "wanted": _wanted(spec.classes, classes),
        }
        if not self._ends_in_candidates:
            inputs["max_detections"] = np.array([most], np.int64)
            if spec.suppression != "none":
                inputs["iou"] = np.array([overlap], np.float32)
                inputs["compare_classes"] = np.array([not across], np.int64)
        return _Thresholds(words, overlap, most, across, inputs)

    def _inputs(self, shape: tuple[int, ...], asked: _Thresholds) -> dict[str, Array]:
        if not (self._ends_in_candidates and isinstance(self.spec.image.resize, Letterbox)):
            return asked.inputs
        rows, columns = self._placed((shape[1], shape[2])).sampling
        return {**asked.inputs, "rows": rows, "columns": columns}

    def _outputs(self, count: int, asked: _Thresholds) -> dict[str, OutputSpec]:
        rows = self._candidates if self._ends_in_candidates else asked.max_detections
        return {
            "xyxy": OutputSpec((count, rows, 4), np.float32),
            "confidence": OutputSpec((count, rows), np.float32),
            "class_id": OutputSpec((count, rows), np.int64),
            "count": OutputSpec((count,), np.int64),
            "finite": OutputSpec((count,), np.bool_),
        }

    def _results(self, arrays: Mapping[str, Array], pending: Pending, computed: int) -> list[Detections]:
        assert self._thresholds is not None
        frame_hw = (pending.shape[1], pending.shape[2])
        found = [self._kept(arrays, index, self._thresholds, frame_hw) for index in range(pending.shape[0])]
        finite: list[bool] = arrays["finite"].tolist()
        timing = self._timing(pending, computed)
        return [
            Detections(
                xyxy=xyxy,
                confidence=confidence,
                class_id=class_id,
                classes=self.spec.classes,
                colors=self.spec.colors,
                frame_hw=frame_hw,
                finite=is_finite,
                timing=timing,
                origin=origin,
            )
            for (xyxy, confidence, class_id), is_finite, origin in zip(
                found, finite, self._origins(pending), strict=True
            )
        ]

    def _kept(
        self, arrays: Mapping[str, Array], index: int, asked: _Thresholds, frame_hw: tuple[int, int]
    ) -> tuple[Array, Array, Array]:
        """Copies of one frame's boxes: those that count, and where the graph left it to the CPU those that stand."""
        count = max(0, int(arrays["count"][index]))
        names = ("xyxy", "confidence", "class_id")
        xyxy, confidence, class_id = (cast(Array, arrays[name][index, :count].copy()) for name in names)
        if not self._ends_in_candidates:
            return xyxy, confidence, class_id
        if self.spec.suppression == "none":
            stands = np.arange(min(count, asked.max_detections))
        else:
            stands = suppress(xyxy, confidence, class_id, asked.iou, agnostic=asked.agnostic)[: asked.max_detections]
        placement = self._placed(frame_hw).placement
        return placement.to_frame(xyxy[stands]), confidence[stands], class_id[stands]

    def _placed(self, frame_hw: tuple[int, int]) -> _Placed:
        """Where frames of this size lie in the network's input: of the last size as it was."""
        if self._last_placed is None or self._last_placed.placement.frame_hw != frame_hw:
            self._last_placed = _place(self.spec.image, frame_hw)
        return self._last_placed


def _place(image: ImageSpec, frame_hw: tuple[int, int]) -> _Placed:
    if isinstance(image.resize, Letterbox):
        placement = fit(frame_hw, image.size_hw, image.resize.anchor)
    else:
        placement = Placement(frame_hw, image.size_hw, (0, 0))
    return _Placed(placement, placement.sampling(image.size_hw))


def check_suppression_asked(spec: DetectSpec, iou: float | None, agnostic: bool | None) -> None:
    """Raises ``RequestError`` for what only bundles that suppress can be asked."""
    if spec.suppression == "none" and (iou is not None or agnostic is not None):
        raise RequestError("iou and agnostic are for suppression, but this bundle's network needs none; drop them")


def check_most(max_detections: int, variant: Variant) -> None:
    """Raises ``RequestError`` unless the variant's graph keeps as many candidates."""
    candidates = int(variant.parameters["candidates"])
    if not 1 <= max_detections <= candidates:
        raise RequestError(
            f"max_detections must be 1 to {candidates}, the candidates of variant {variant.name}, "
            f"but got {max_detections}"
        )


def _wanted(classes: tuple[str, ...], chosen: Sequence[str | int] | None) -> npt.NDArray[np.bool_]:
    """Which classes a call keeps, bool (C,). Raises ``RequestError`` for a class that the model does not have."""
    if chosen is None:
        return np.ones(len(classes), np.bool_)
    wanted = np.zeros(len(classes), np.bool_)
    for item in [chosen] if isinstance(chosen, str | int) else chosen:
        if isinstance(item, str) and item in classes:
            wanted[classes.index(item)] = True
        elif not isinstance(item, str) and 0 <= item < len(classes):
            wanted[item] = True
        else:
            shown = ", ".join(classes[:20]) + (f", and {len(classes) - 20} more" if len(classes) > 20 else "")
            raise RequestError(f"class {item!r} is not in the model; its {len(classes)} classes are {shown}")
    return wanted
