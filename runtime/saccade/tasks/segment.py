"""Semantic segmentation: frame to class map."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast, overload

import numpy as np
import numpy.typing as npt

from saccade.engines.base import Array, Engine, EngineInfo, OutputSpec
from saccade.errors import FrameError, RequestError
from saccade.frames import Frame, as_array, check_frame, check_pixel_format
from saccade.results import Origin, Segmentation, Timing
from saccade.spec import PixelFormat, SegmentSpec

# Order of the frame's channels that gives the network's order.
_SAME = np.array([0, 1, 2], np.int64)
_SWAPPED = np.array([2, 1, 0], np.int64)


FRAME_BATCH_DIMENSIONS = 4


@dataclass(frozen=True)
class _Pending:
    """What ``wait`` must know of what ``submit`` handed over; times in nanoseconds of ``time.perf_counter_ns``."""

    started: int
    ready: int
    count: int
    first_id: int
    captured_ns: int | None


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
        self._next_id = 0
        self._pending: _Pending | None = None

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
        return results if _is_batch(frame) else results[0]

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
        started = time.perf_counter_ns()
        frames = self._as_batch(frame)
        inputs = self._inputs(frames, pixel_format, threshold)
        outputs = self._outputs(frames.shape)
        ready = time.perf_counter_ns()
        self._engine.submit(inputs, outputs)
        first_id = self._next_id if frame_id is None else frame_id
        self._pending = _Pending(started, ready, len(frames), first_id, captured_ns)

    def wait(self) -> list[Segmentation]:
        """The results of what ``submit`` handed over, one a frame."""
        if self._pending is None:
            raise RequestError("wait was called without submit")
        pending, self._pending = self._pending, None
        arrays = self._engine.wait()
        self._next_id = pending.first_id + pending.count
        return self._results(arrays, pending, time.perf_counter_ns())

    def clone(self) -> SegmentTask:
        """The same bundle for another thread: shared weights, buffers of its own."""
        return SegmentTask(self.spec, self._engine.clone(), variant=self.variant, pixel_format=self.pixel_format)

    def close(self) -> None:
        self._engine.close()

    def __enter__(self) -> SegmentTask:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _as_batch(self, frame: Any) -> Frame:
        """Frames as one contiguous uint8 (N, H, W, 3): the caller's memory where it fits, else the engine's buffer."""
        if isinstance(frame, list | tuple):
            frames = [check_frame(item) for item in cast(Sequence[Any], frame)]
            _check_sizes(frames)
        else:
            array = as_array(frame)
            frames = [check_frame(item) for item in array] if _is_batch(array) else [check_frame(array)]
            _check_sizes(frames)
            if array.flags.c_contiguous:
                return array if _is_batch(array) else array[None]
        buffer = self._engine.input_buffer("frames", (len(frames), *frames[0].shape), np.uint8)
        for index, item in enumerate(frames):
            np.copyto(buffer[index], item)
        return buffer

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

    def _results(self, arrays: Any, pending: _Pending, computed: int) -> list[Segmentation]:
        class_maps = arrays["class_map"].copy()
        confidences = arrays["confidence"].copy() if self.spec.has_confidence else [None] * len(class_maps)
        finite = arrays["finite"].tolist()
        age_ms = None if pending.captured_ns is None else (time.monotonic_ns() - pending.captured_ns) / 1e6
        timing = Timing(
            (pending.ready - pending.started) / 1e6,
            (computed - pending.ready) / 1e6,
            (time.perf_counter_ns() - computed) / 1e6,
        )
        return [
            Segmentation(
                class_map=class_map,
                confidence=confidence,
                classes=self.spec.classes,
                colors=self.spec.colors,
                finite=is_finite,
                timing=timing,
                origin=Origin(pending.first_id + index, self._info.name, self._info.device, self.variant, age_ms),
            )
            for index, (class_map, confidence, is_finite) in enumerate(
                zip(class_maps, confidences, finite, strict=True)
            )
        ]


def _is_batch(frame: Any) -> bool:
    return isinstance(frame, list | tuple) or len(frame.shape) == FRAME_BATCH_DIMENSIONS


def _check_sizes(frames: list[Frame]) -> None:
    if not frames:
        raise FrameError("a batch must hold at least one frame, but is empty")
    if len({item.shape for item in frames}) > 1:
        sizes = ", ".join(sorted({f"{item.shape[1]}x{item.shape[0]}" for item in frames}))
        raise FrameError(f"the frames of a batch must have one size, but have {sizes}; call once for each size")


def _score_threshold(spec: SegmentSpec, threshold: float | None) -> npt.NDArray[np.float32]:
    probability = spec.threshold if threshold is None else threshold
    assert probability is not None
    if not 0 < probability < 1:
        raise RequestError(f"a threshold must be a probability between 0 and 1, but got {probability}")
    score = probability if spec.scores == "probabilities" else math.log(probability / (1 - probability))
    return np.array([score], np.float32)
