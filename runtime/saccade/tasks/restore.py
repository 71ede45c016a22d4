"""Restoration: frame to the frame as it would be without noise, blur, holes or lost resolution."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from saccade.engines.base import Array, EngineInfo
from saccade.errors import EngineError, RequestError
from saccade.results import Origin, Restoration, Timing
from saccade.spec import PixelFormat, RestoreSpec, Variant
from saccade.tasks.frame_task import is_batch
from saccade.tasks.restore_forms import Form, Forms, Load
from saccade.tasks.restore_job import Job, prepare_job
from saccade.tasks.restore_request import RestoreRequest, Sigma, Steps, steps_taken
from saccade.tiles import blend

ENTRIES: dict[str, type[np.generic]] = {"uint8": np.uint8, "float32": np.float32}
"""The type of frames that a variant takes and gives, by its parameter ``entry``."""


class RestoreTask:
    """A restoration bundle, open for one thread: call it with a frame, ``clone`` it for another thread.

    ``variants`` are those that may run; each is opened when it is first needed. A call's number of steps and the type
    of its frame decide which one.
    """

    def __init__(
        self,
        spec: RestoreSpec,
        load: Load,
        variants: Sequence[Variant],
        *,
        pixel_format: PixelFormat = "rgb24",
    ) -> None:
        self.spec, self.pixel_format = spec, pixel_format
        self._variants = tuple(variants)
        self._forms = Forms(load, spec.tables)
        self._chosen = self._variants[0]
        self._results: list[Restoration] | None = None
        self._next_id = 0
        self._is_closed = False
        self._info = self._forms.get(self._chosen, self._steps_of(self._chosen)[0]).describe()

    @property
    def variant(self) -> str:
        """The name of the variant that ran or was prepared last, or of the first that may run."""
        return self._chosen.name

    @property
    def steps(self) -> tuple[int, ...]:
        """The numbers of steps that a call may ask for."""
        return tuple(steps for steps in self.spec.steps if any(steps in self._steps_of(v) for v in self._variants))

    @property
    def entries(self) -> tuple[str, ...]:
        """The types of frames that a call may give: "uint8", "float32"."""
        return tuple(dict.fromkeys(str(variant.parameters["entry"]) for variant in self._variants))

    def describe(self) -> EngineInfo:
        """The engine that runs: library, version, device, threads."""
        return self._info

    @overload
    def __call__(self, frame: npt.NDArray[Any], **asked: Any) -> Restoration: ...

    @overload
    def __call__(self, frame: Sequence[npt.NDArray[Any]], **asked: Any) -> list[Restoration]: ...

    def __call__(self, frame: Any, **asked: Any) -> Restoration | list[Restoration]:
        """The restored frame of a frame (H, W, 3), or of each in a batch: (N, H, W, 3), or a list of one size.

        Takes and raises what ``submit`` does.
        """
        self.submit(frame, **asked)
        results = self.wait()
        return results if is_batch(frame) else results[0]

    def submit(
        self,
        frame: Any,
        *,
        sigma: Sigma = None,
        mask: npt.NDArray[Any] | None = None,
        steps: Steps = "auto",
        tile: int | None = None,
        seed: int | None = None,
        gain: float | None = None,
        gamma: float | None = None,
        shot: float | None = None,
        pixel_format: str | None = None,
        frame_id: int | None = None,
        captured_ns: int | None = None,
    ) -> None:
        """Restore a frame or a batch; then call ``wait``. Frames are uint8, or float32 in 0..255 that may lie beyond.

        ``sigma``: the noise's standard deviation in grey levels, or the blur's in pixels; or a map of it (H, W); or a
        ``CameraNoise``. Noise is measured where it is "measured", the default of most denoisers, or "tiles": locally.
        What is measured, or follows from a camera and its light, is taken to the nearest end of the bundle's range if
        it lies beyond. ``mask`` (H, W) is true in holes. ``steps``: one of ``self.steps``; more steps give more texture
        and more error. "auto" takes one. A number of steps is opened when it is first asked for, see ``prepare``.
        ``tile`` is the side in pixels from which frames are cut into tiles, 0 for never. ``seed``, usually 0, decides
        the noise that holes are filled with, the same in each frame of a batch. A "low-light" bundle lifts light u in
        0..1 to (``gain`` * u) ** ``gamma``; without a gain, to the exposure that the bundle wants. ``shot`` is how much
        variance of noise a grey level of light adds to that of sigma. Raises ``FrameError`` for a frame or mask,
        ``EngineError`` for a task that is closed, ``RequestError`` for the rest.
        """
        if self._is_closed:
            raise EngineError("the task is closed; open the bundle again")
        started = time.perf_counter_ns()
        request = RestoreRequest(sigma, mask, steps, tile, seed, gain, gamma, shot)
        job = prepare_job(self.spec, frame, request, pixel_format or self.pixel_format, self.entries, self.steps)
        variant = self._variant_for(job.steps, str(job.frames.dtype))
        form = self._forms.get(variant, job.steps)
        first_id = self._next_id if frame_id is None else frame_id
        ready = time.perf_counter_ns()

        restored, finite, engine_ns = _restored(job, form)
        took = Timing((ready - started) / 1e6, engine_ns / 1e6, (time.perf_counter_ns() - ready - engine_ns) / 1e6)
        self._chosen, self._next_id = variant, first_id + len(restored)
        age_ms = None if captured_ns is None else (time.monotonic_ns() - captured_ns) / 1e6
        info = self._info
        self._results = [
            Restoration(
                image=image,
                sigma=None if np.isnan(used) else float(used),
                measured=None if np.isnan(found) else float(found),
                steps=job.steps if is_worked else 0,
                gain=float(job.light["gain"][index, 0, 0, 0]) if job.light else None,
                finite=bool(is_finite),
                timing=took,
                origin=Origin(first_id + index, info.name, info.device, variant.name, age_ms),
            )
            for index, (image, used, found, is_worked, is_finite) in enumerate(
                zip(restored, job.levels.sigma, job.levels.measured, job.is_worked, finite, strict=True)
            )
        ]

    def prepare(self, steps: Steps = "auto", entry: str | None = None) -> None:
        """Open now what calls with ``steps`` and frames of type ``entry`` need, by default the first of ``entries``.

        Raises ``RequestError`` for what the bundle does not carry.
        """
        number = steps_taken(steps, self.steps)
        variant = self._variant_for(number, entry or self.entries[0])
        self._forms.get(variant, number)
        self._chosen = variant

    def wait(self) -> list[Restoration]:
        """The results of what ``submit`` was given, one a frame."""
        if self._results is None:
            raise RequestError("wait was called without submit")
        results, self._results = self._results, None
        return results

    def clone(self) -> RestoreTask:
        """The same bundle for another thread: shared weights, buffers of its own."""
        other = object.__new__(RestoreTask)
        other.__dict__.update(self.__dict__, _results=None)
        other._forms = self._forms.clone()
        return other

    def close(self) -> None:
        self._forms.close()
        self._is_closed = True

    def __enter__(self) -> RestoreTask:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _variant_for(self, steps: int, entry: str) -> Variant:
        """The variant for a call: unrolled, where there is one."""
        fitting = [
            variant
            for variant in self._variants
            if variant.parameters["entry"] == entry and steps in self._steps_of(variant)
        ]
        if not fitting:
            raise RequestError(
                f"{steps} steps on {entry} frames were asked for, but the variants that may run are "
                f"{', '.join(variant.name for variant in self._variants)}"
            )
        return min(fitting, key=lambda variant: variant.parameters["form"] != "unrolled")

    def _steps_of(self, variant: Variant) -> tuple[int, ...]:
        if variant.parameters["form"] == "stepwise":
            return self.spec.steps
        return (int(variant.parameters["steps"]),)


def _restored(job: Job, form: Form) -> tuple[Array, npt.NDArray[np.bool_], int]:
    """The restored frames, whether each is finite, and the nanoseconds in the engine."""
    scale, worked = job.spec.scale, job.is_worked
    count, height, width, _ = job.frames.shape
    canvas = np.empty((count, height * scale, width * scale, 3), job.frames.dtype)
    finite = np.ones(count, np.bool_)
    if not worked.all():  # never with a scale: what has a sigma keeps its size
        canvas[~worked] = job.frames[~worked]
    if not worked.any():
        return canvas, finite, 0
    part = canvas if worked.all() else np.empty((int(worked.sum()), *canvas.shape[1:]), canvas.dtype)
    engine_ns = 0
    for row in job.rows:
        band = np.empty((len(part), (row.stop - row.start) * scale, width * scale, 3), canvas.dtype)
        for column in job.columns:
            inputs = job.inputs(row, column)
            started = time.perf_counter_ns()
            arrays = form.run(inputs, job.frames.dtype.type, scale)
            engine_ns += time.perf_counter_ns() - started
            wide = (column.stop - column.start) * scale
            blend(band, arrays["restored"][:, : band.shape[1], :wide], column.scaled(scale), axis=2)
            finite[worked] &= arrays["finite"]
        blend(part, band, row.scaled(scale), axis=1)
    if part is not canvas:
        canvas[worked] = part
    return canvas, finite, engine_ns
