"""Semantic segmentation: frame to class map."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast, overload

import numpy as np
import numpy.typing as npt

from saccade.engines.base import Array, Engine, OutputSpec
from saccade.errors import RequestError
from saccade.frames import Frame
from saccade.results import Segmentation
from saccade.spec import PixelFormat, SegmentSpec, Variant
from saccade.tasks.frame_task import FrameTask, Pending, is_batch


class SegmentTask(FrameTask[Segmentation]):
    """A segmentation bundle, open for one thread: call it with a frame, ``clone`` it for another thread."""

    def __init__(
        self, spec: SegmentSpec, engine: Engine, variant: Variant, *, pixel_format: PixelFormat = "rgb24"
    ) -> None:
        super().__init__(spec.image, engine, variant, pixel_format)
        self.spec = spec

    @property
    def classes(self) -> tuple[str, ...]:
        return self.spec.classes

    @overload
    def __call__(
        self,
        frame: Frame,
        *,
        pixel_format: str | None = None,
        threshold: float | None = None,
        frame_id: int | None = None,
        captured_ns: int | None = None,
    ) -> Segmentation: ...

    @overload
    def __call__(
        self,
        frame: Sequence[Frame],
        *,
        pixel_format: str | None = None,
        threshold: float | None = None,
        frame_id: int | None = None,
        captured_ns: int | None = None,
    ) -> list[Segmentation]: ...

    def __call__(
        self,
        frame: Any,
        *,
        pixel_format: str | None = None,
        threshold: float | None = None,
        frame_id: int | None = None,
        captured_ns: int | None = None,
    ) -> Segmentation | list[Segmentation]:
        """The class map of a frame, uint8 (H, W, 3), or of each in a batch: (N, H, W, 3), or a list of one size.

        ``pixel_format`` overrides what was declared at opening; ``threshold`` the bundle's (one-class models only);
        ``frame_id`` is the camera's number of the (first) frame, else frames are counted; ``captured_ns``
        (``time.monotonic_ns``) lets the result know its age. Raises ``FrameError`` or ``RequestError``.
        """
        self.submit(frame, pixel_format=pixel_format, threshold=threshold, frame_id=frame_id, captured_ns=captured_ns)
        results = self.wait()
        return results if is_batch(frame) else results[0]

    def submit(
        self,
        frame: Any,
        *,
        pixel_format: str | None = None,
        threshold: float | None = None,
        frame_id: int | None = None,
        captured_ns: int | None = None,
    ) -> None:
        """Hand over a frame or a batch without waiting, where the engine works on its own. Then call ``wait``.

        The arrays must stay unchanged until then. Takes and raises what calling the task does.
        """
        self._hand_over(
            frame,
            lambda _: self._inputs(threshold),
            self._outputs,
            started=time.perf_counter_ns(),
            pixel_format=pixel_format,
            frame_id=frame_id,
            captured_ns=captured_ns,
        )

    def clone(self) -> SegmentTask:
        """The same bundle for another thread: shared weights, buffers of its own."""
        return SegmentTask(self.spec, self._engine.clone(), self._variant, pixel_format=self.pixel_format)

    def __enter__(self) -> SegmentTask:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _inputs(self, threshold: float | None) -> dict[str, Array]:
        if self.spec.decision == "threshold":
            return {"threshold": _score_threshold(self.spec, threshold)}
        if threshold is not None:
            raise RequestError("a threshold was given, but this bundle takes the class with the highest score")
        return {}

    def _outputs(self, shape: tuple[int, ...]) -> dict[str, OutputSpec]:
        count, height, width, _ = shape
        outputs = {"class_map": OutputSpec((count, height, width), np.uint8), "finite": OutputSpec((count,), np.bool_)}
        if self.spec.has_confidence:
            outputs["confidence"] = OutputSpec((count, height, width), np.float32)
        return outputs

    def _results(self, arrays: Mapping[str, Array], pending: Pending, computed: int) -> list[Segmentation]:
        class_maps: list[npt.NDArray[np.uint8]] = list(cast(Array, arrays["class_map"].copy()))
        confidences: list[npt.NDArray[np.float32] | None] = [None] * len(class_maps)
        if self.spec.has_confidence:
            confidences = list(cast(Array, arrays["confidence"].copy()))
        finite: list[bool] = arrays["finite"].tolist()
        timing = self._timing(pending, computed)
        return [
            Segmentation(
                class_map=class_map,
                confidence=confidence,
                classes=self.spec.classes,
                colors=self.spec.colors,
                finite=is_finite,
                timing=timing,
                origin=origin,
            )
            for class_map, confidence, is_finite, origin in zip(
                class_maps, confidences, finite, self._origins(pending), strict=True
            )
        ]


def _score_threshold(spec: SegmentSpec, threshold: float | None) -> npt.NDArray[np.float32]:
    probability = spec.threshold if threshold is None else threshold
    assert probability is not None
    if not 0 < probability < 1:
        raise RequestError(f"a threshold must be a probability between 0 and 1, but got {probability}")
    score = probability if spec.scores == "probabilities" else math.log(probability / (1 - probability))
    return np.array([score], np.float32)
