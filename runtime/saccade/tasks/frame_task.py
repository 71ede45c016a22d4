"""What every task on frames does: take a frame or a batch, hand it to the engine, know when and whose it was."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import numpy as np

from saccade.engines.base import Array, Engine, EngineInfo, OutputSpec
from saccade.errors import FrameError, RequestError
from saccade.frames import Frame, as_array, check_frame, check_pixel_format
from saccade.results import Origin, Timing
from saccade.spec import ImageSpec, PixelFormat, Variant

CHANNEL_ORDERS = {True: np.array([0, 1, 2], np.int64), False: np.array([2, 1, 0], np.int64)}
"""Order of the frame's channels that gives the network's, by whether the two are the same."""

FRAME_BATCH_DIMENSIONS = 4

Result = TypeVar("Result")


@dataclass(frozen=True)
class Pending:
    """What ``wait`` must know of what was handed over; times in nanoseconds of ``time.perf_counter_ns``."""

    started: int
    ready: int
    shape: tuple[int, ...]
    first_id: int
    captured_ns: int | None


class FrameTask(ABC, Generic[Result]):
    """An open bundle for one thread, frame in, ``Result`` out. A task says what its graph takes and gives."""

    def __init__(self, image: ImageSpec, engine: Engine, variant: Variant, pixel_format: PixelFormat) -> None:
        self.pixel_format: PixelFormat = pixel_format
        self._image, self._engine, self._variant = image, engine, variant
        self._info = engine.describe()
        self._next_id = 0
        self._pending: Pending | None = None

    @property
    def variant(self) -> str:
        """The name of the variant that runs."""
        return self._variant.name

    def describe(self) -> EngineInfo:
        """The engine that runs: library, version, device, threads."""
        return self._info

    def close(self) -> None:
        self._engine.close()

    def wait(self) -> list[Result]:
        """The results of what ``submit`` handed over, one a frame."""
        if self._pending is None:
            raise RequestError("wait was called without submit")
        pending, self._pending = self._pending, None
        arrays = self._engine.wait()
        self._next_id = pending.first_id + pending.shape[0]
        return self._results(arrays, pending, time.perf_counter_ns())

    @abstractmethod
    def _results(self, arrays: Mapping[str, Array], pending: Pending, computed: int) -> list[Result]:
        """A result for each frame from the engine's arrays, which it may not keep; ``computed`` is when they came."""

    def _hand_over(
        self,
        frame: Any,
        inputs: Callable[[tuple[int, ...]], Mapping[str, Array]],
        outputs: Callable[[tuple[int, ...]], dict[str, OutputSpec]],
        *,
        started: int,
        pixel_format: str | None,
        frame_id: int | None,
        captured_ns: int | None,
    ) -> None:
        """Submit a frame or a batch; the task's other ``inputs`` and the ``outputs`` follow from (N, H, W, 3)."""
        frames = self._as_batch(frame)
        declared = check_pixel_format(pixel_format or self.pixel_format, self._image.pixel_formats)
        same = declared == f"{self._image.channel_order}24"
        given = {"frames": frames, "channel_order": CHANNEL_ORDERS[same], **inputs(frames.shape)}
        expected = outputs(frames.shape)
        ready = time.perf_counter_ns()
        self._engine.submit(given, expected)
        first_id = self._next_id if frame_id is None else frame_id
        self._pending = Pending(started, ready, frames.shape, first_id, captured_ns)

    def _timing(self, pending: Pending, computed: int) -> Timing:
        return Timing(
            (pending.ready - pending.started) / 1e6,
            (computed - pending.ready) / 1e6,
            (time.perf_counter_ns() - computed) / 1e6,
        )

    def _origins(self, pending: Pending) -> list[Origin]:
        age_ms = None if pending.captured_ns is None else (time.monotonic_ns() - pending.captured_ns) / 1e6
        return [
            Origin(pending.first_id + index, self._info.name, self._info.device, self.variant, age_ms)
            for index in range(pending.shape[0])
        ]

    def _as_batch(self, frame: Any) -> Frame:
        """Frames as one contiguous uint8 (N, H, W, 3): the caller's memory where it fits, else the engine's buffer."""
        if isinstance(frame, list | tuple):
            frames = [check_frame(item) for item in cast(Sequence[Any], frame)]
            check_one_size(frames)
        else:
            array = as_array(frame)
            frames = [check_frame(item) for item in array] if is_batch(array) else [check_frame(array)]
            check_one_size(frames)
            if array.flags.c_contiguous:
                return array if is_batch(array) else array[None]
        buffer = self._engine.input_buffer("frames", (len(frames), *frames[0].shape), np.uint8)
        for index, item in enumerate(frames):
            np.copyto(buffer[index], item)
        return buffer


def is_batch(frame: Any) -> bool:
    """Whether what a caller gave is several frames."""
    return isinstance(frame, list | tuple) or len(frame.shape) == FRAME_BATCH_DIMENSIONS


def check_one_size(frames: Sequence[Array]) -> None:
    """Raise ``FrameError`` for a batch without frames, or of several sizes."""
    if not frames:
        raise FrameError("a batch must hold at least one frame, but is empty")
    if len({item.shape for item in frames}) > 1:
        sizes = ", ".join(sorted({f"{item.shape[1]}x{item.shape[0]}" for item in frames}))
        raise FrameError(f"the frames of a batch must have one size, but have {sizes}; call once for each size")
