"""Semantic segmentation: frame to class map."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from saccade.engines.base import Array, Engine, EngineInfo, OutputSpec
from saccade.errors import FrameError, RequestError
from saccade.frames import Frame, check_frame, check_pixel_format
from saccade.results import Origin, Segmentation, Timing
from saccade.spec import PixelFormat, SegmentSpec

# Order of the frame's channels that gives the network's order.
_SAME = np.array([0, 1, 2], np.int64)
_SWAPPED = np.array([2, 1, 0], np.int64)


class SegmentTask:
    """A segmentation bundle, open for one thread: call it with a frame, ``clone`` it for another thread."""

    def __init__(
        self, spec: SegmentSpec, engine: Engine, *, variant: str = "", pixel_format: PixelFormat = "rgb24"
    ) -> None:
        self.spec = spec
        self.variant = variant
        self.pixel_format: PixelFormat = pixel_format
        self._engine = engine
        self._info = engine.describe()
        self._frames_seen = 0

    @property
    def classes(self) -> tuple[str, ...]:
        return self.spec.classes

    def describe(self) -> EngineInfo:
        """The engine that runs: library, version, device, threads."""
        return self._info

    @overload
    def __call__(
        self,
        frame: Frame,
        *,
        pixel_format: str | None = None,
        threshold: float | None = None,
        captured_ns: int | None = None,
    ) -> Segmentation: ...

    @overload
    def __call__(
        self,
        frame: Sequence[Frame],
        *,
        pixel_format: str | None = None,
        threshold: float | None = None,
        captured_ns: int | None = None,
    ) -> list[Segmentation]: ...

    def __call__(
        self,
        frame: Any,
        *,
        pixel_format: str | None = None,
        threshold: float | None = None,
        captured_ns: int | None = None,
    ) -> Segmentation | list[Segmentation]:
        """The class map of a frame, uint8 (H, W, 3), or of each in a batch: (N, H, W, 3), or a list of one size.

        ``pixel_format`` overrides what was declared at opening; ``threshold`` the bundle's (one-class models only);
        ``captured_ns`` (``time.monotonic_ns``) lets the result know its age. Raises ``FrameError`` or ``RequestError``.
        """
        started = time.perf_counter_ns()
        frames, is_batch = _as_batch(frame)
        inputs = self._inputs(frames, pixel_format, threshold)
        outputs = self._outputs(frames.shape)
        ready = time.perf_counter_ns()
        arrays = self._engine.run(inputs, outputs)
        computed = time.perf_counter_ns()
        results = self._results(arrays, (started, ready, computed), captured_ns)
        return results if is_batch else results[0]

    def clone(self) -> SegmentTask:
        """The same bundle for another thread: shared weights, buffers of its own."""
        return SegmentTask(self.spec, self._engine.clone(), variant=self.variant, pixel_format=self.pixel_format)

    def close(self) -> None:
        self._engine.close()

    def __enter__(self) -> SegmentTask:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _inputs(self, frames: Frame, pixel_format: str | None, threshold: float | None) -> dict[str, Array]:
        declared = check_pixel_format(pixel_format or self.pixel_format, self.spec.image.pixel_formats)
        same = declared == f"{self.spec.image.channel_order}24"
        inputs: dict[str, Array] = {"frames": frames, "channel_order": _SAME if same else _SWAPPED}
        if self.spec.decision == "threshold":
            inputs["threshold"] = _score_threshold(self.spec, threshold)
        elif threshold is not None:
            raise RequestError("a threshold was given, but this bundle takes the class with the highest score")
        return inputs

    def _outputs(self, shape: tuple[int, ...]) -> dict[str, OutputSpec]:
        count, height, width, _ = shape
        outputs = {"class_map": OutputSpec((count, height, width), np.uint8), "finite": OutputSpec((count,), np.bool_)}
        if self.spec.has_confidence:
            outputs["confidence"] = OutputSpec((count, height, width), np.float32)
        return outputs

    def _results(self, arrays: Any, stamps: tuple[int, int, int], captured_ns: int | None) -> list[Segmentation]:
        class_maps = arrays["class_map"].copy()
        confidences = arrays["confidence"].copy() if self.spec.has_confidence else [None] * len(class_maps)
        finite = arrays["finite"].tolist()
        age_ms = None if captured_ns is None else (time.monotonic_ns() - captured_ns) / 1e6
        started, ready, computed = stamps
        timing = Timing((ready - started) / 1e6, (computed - ready) / 1e6, (time.perf_counter_ns() - computed) / 1e6)
        first = self._frames_seen
        self._frames_seen += len(class_maps)
        return [
            Segmentation(
                class_map=class_map,
                confidence=confidence,
                classes=self.spec.classes,
                colors=self.spec.colors,
                finite=is_finite,
                timing=timing,
                origin=Origin(first + index, self._info.name, self._info.device, self.variant, age_ms),
            )
            for index, (class_map, confidence, is_finite) in enumerate(
                zip(class_maps, confidences, finite, strict=True)
            )
        ]


def _as_batch(frame: Any) -> tuple[Frame, bool]:
    """Frames as one contiguous uint8 (N, H, W, 3), without a copy where the caller's memory allows it."""
    if isinstance(frame, np.ndarray) and frame.ndim != 4:
        return np.ascontiguousarray(check_frame(frame))[None], False
    frames = [check_frame(item) for item in frame]
    if not frames:
        raise FrameError("a batch must hold at least one frame, but is empty")
    if isinstance(frame, np.ndarray):
        return np.ascontiguousarray(frame), True  # type: ignore[reportUnknownArgumentType]
    if len({item.shape for item in frames}) > 1:
        sizes = ", ".join(sorted({f"{item.shape[1]}x{item.shape[0]}" for item in frames}))
        raise FrameError(f"the frames of a batch must have one size, but have {sizes}; call once for each size")
    return np.stack(frames), True


def _score_threshold(spec: SegmentSpec, threshold: float | None) -> npt.NDArray[np.float32]:
    probability = spec.threshold if threshold is None else threshold
    assert probability is not None
    if not 0 < probability < 1:
        raise RequestError(f"a threshold must be a probability between 0 and 1, but got {probability}")
    score = probability if spec.scores == "probabilities" else math.log(probability / (1 - probability))
    return np.array([score], np.float32)
