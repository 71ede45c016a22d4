"""Restoration: frame to the frame as it would be without noise, blur, holes or lost resolution."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, overload

import numpy as np
import numpy.typing as npt

from saccade.engines.base import Array, Engine, EngineInfo
from saccade.errors import FrameError, RequestError
from saccade.frames import as_array, check_pixel_format, check_sides
from saccade.noise import measure_noise, tile_map
from saccade.results import Origin, Restoration, Timing
from saccade.spec import MEASURED, PixelFormat, RestoreSpec, Variant
from saccade.tasks.frame_task import CHANNEL_ORDERS, check_one_size, is_batch
from saccade.tasks.restore_forms import Form, Stepwise, Unrolled
from saccade.tiles import Span, blend, padded, spans

Load = Callable[[Variant, str], Engine]
"""Opens one stage of a variant."""

Sigma = float | Literal["measured", "tiles"] | npt.NDArray[Any] | None
Steps = int | Literal["auto"]
ENTRIES: dict[str, type[np.generic]] = {"uint8": np.uint8, "float32": np.float32}
"""The type of frames that a variant takes and gives, by its parameter ``entry``."""

STEPS_IF_KNOWN = 1
"""One step has the least error where the degradation is known: it is what the network was trained to have."""


@dataclass(frozen=True)
class _Job:
    """Frames to restore, (N, H, W, 3), and what each needs. ``sigma`` is (N,): what was used, NaN where none is."""

    frames: Array
    map_in_sigma: npt.NDArray[np.float32]
    sigma: npt.NDArray[np.float32]
    noise: npt.NDArray[np.float32] | None
    order: Array
    steps: int
    tile: int


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
        self._load, self._variants = load, tuple(variants)
        self._forms: dict[tuple[str, int], Form] = {}
        self._chosen = self._variants[0]
        self._results: list[Restoration] | None = None
        self._next_id = 0
        self._info = self._form(self._chosen, self._steps_of(self._chosen)[0]).describe()

    @property
    def variant(self) -> str:
        """The name of the variant that ran last, or of the first that may run."""
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
        seed: int = 0,
        pixel_format: str | None = None,
        frame_id: int | None = None,
        captured_ns: int | None = None,
    ) -> None:
        """Restore a frame or a batch; then call ``wait``. Frames are uint8, or float32 in 0..255 that may lie beyond.

        ``sigma``: the noise's standard deviation in grey levels, or the blur's in pixels; or a map of it (H, W). Noise
        is measured where it is "measured", the default of most denoisers, or "tiles": locally. ``mask`` (H, W) is true
        in holes. ``steps``: one of ``self.steps``; more steps give more texture and more error. "auto" takes one.
        ``tile`` is the side in pixels from which frames are cut into tiles, 0 for never. ``seed`` decides the noise
        that holes are filled with. Raises ``FrameError`` for a frame or mask, ``RequestError`` for the rest.
        """
        started = time.perf_counter_ns()
        job = self._job(frame, sigma, mask, steps, tile, seed, pixel_format)
        variant = self._variant_for(job.steps, str(job.frames.dtype))
        form = self._form(variant, job.steps)
        first_id = self._next_id if frame_id is None else frame_id
        ready = time.perf_counter_ns()

        restored, finite, engine_ns = self._restored(job, form)
        took = Timing((ready - started) / 1e6, engine_ns / 1e6, (time.perf_counter_ns() - ready - engine_ns) / 1e6)
        self._chosen, self._next_id = variant, first_id + len(restored)
        age_ms = None if captured_ns is None else (time.monotonic_ns() - captured_ns) / 1e6
        info = self._info
        self._results = [
            Restoration(
                image=image,
                sigma=None if np.isnan(used) else float(used),
                steps=0 if self._is_left(float(used)) else job.steps,
                finite=bool(is_finite),
                timing=took,
                origin=Origin(first_id + index, info.name, info.device, variant.name, age_ms),
            )
            for index, (image, used, is_finite) in enumerate(zip(restored, job.sigma, finite, strict=True))
        ]

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
        other._forms = {key: form.clone() for key, form in self._forms.items()}
        return other

    def close(self) -> None:
        for form in self._forms.values():
            form.close()
        self._forms.clear()

    def __enter__(self) -> RestoreTask:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _job(
        self,
        frame: Any,
        sigma: Sigma,
        mask: npt.NDArray[Any] | None,
        steps: Steps,
        tile: int | None,
        seed: int,
        pixel_format: str | None,
    ) -> _Job:
        frames = _as_batch(frame, self.entries)
        declared = check_pixel_format(pixel_format or self.pixel_format, self.spec.image.pixel_formats)
        order = CHANNEL_ORDERS[declared == f"{self.spec.image.channel_order}24"]
        if tile is not None and (tile < 0 or 0 < tile <= 2 * self.spec.tiling.overlap):
            raise RequestError(
                f"tile must be 0, for none, or above {2 * self.spec.tiling.overlap} pixels, but is {tile}"
            )
        if mask is not None and not self.spec.takes_mask:
            raise RequestError(f"a mask was given, but this bundle's mode is {self.spec.mode}; leave it out")
        noise = None
        if self.spec.takes_mask:
            used = np.full(len(frames), np.nan, np.float32)
            needed = _hole_map(mask, frames.shape)
            noise = hole_noise(frames.shape, self.spec, seed)
        else:
            used, needed = self._sigma(frames, sigma)
        side = self.spec.tiling.size if tile is None else tile
        return _Job(frames, needed, used, noise, order, self._check_steps(steps), side)

    def _check_steps(self, steps: Steps) -> int:
        if steps == "auto":
            return STEPS_IF_KNOWN if STEPS_IF_KNOWN in self.steps else self.steps[0]
        if steps not in self.steps:
            choices = ", ".join(map(str, self.steps))
            raise RequestError(f"{steps} steps were asked for, but this bundle carries {choices}; or pass 'auto'")
        return steps

    def _sigma(self, frames: Array, sigma: Sigma) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """The sigma of each frame, (N,), and its map (N, 1, 1, 1) or (N, 1, H, W)."""
        if not self.spec.takes_sigma:
            if sigma is not None:
                raise RequestError(f"a sigma was given, but this bundle's mode is {self.spec.mode}; leave it out")
            return np.full(len(frames), np.nan, np.float32), np.ones((len(frames), 1, 1, 1), np.float32)
        asked = self.spec.sigma if sigma is None else sigma
        if asked is None or isinstance(asked, str):
            return self._measured(frames, asked or "measured")
        given = np.asarray(asked, np.float32)
        if given.ndim not in (0, 2) or (given.ndim == 2 and given.shape != frames.shape[1:3]):
            raise RequestError(
                f"sigma must be a number or a map of the frame's {frames.shape[1]}x{frames.shape[2]} (height x width), "
                f"but has shape {given.shape}"
            )
        low, high = self.spec.sigma_range
        if not bool(np.all((given >= low) & (given <= high))):  # NaN is in no range
            raise RequestError(
                f"sigma must be {low:g} to {high:g} {_unit(self.spec)}, which the network was trained for, "
                f"but goes from {given.min():g} to {given.max():g}"
            )
        used = np.full(len(frames), given.mean(), np.float32)
        return used, np.broadcast_to(given, (len(frames), 1, *(given.shape or (1, 1))))

    def _measured(self, frames: Array, how: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        if self.spec.mode not in MEASURED:
            raise RequestError(f"sigma {how!r} was asked for, but mode {self.spec.mode!r} needs a number; give it")
        if how not in ("measured", "tiles"):
            raise RequestError(f"sigma must be a number, a map, 'measured' or 'tiles', but is {how!r}")
        estimates = [measure_noise(frame) for frame in frames]
        most = self.spec.sigma_range[1]
        used = np.array([min(estimate.sigma, most) for estimate in estimates], np.float32)
        if how == "measured":
            return used, used.reshape(-1, 1, 1, 1)
        maps = [tile_map(estimate, frames.shape[1:3]) for estimate in estimates]
        return used, np.clip(np.stack(maps), 0, most)[:, None]

    def _restored(self, job: _Job, form: Form) -> tuple[Array, npt.NDArray[np.bool_], int]:
        """The restored frames, whether each is finite, and the nanoseconds in the engine."""
        scale = self.spec.scale
        count, height, width, _ = job.frames.shape
        canvas = np.empty((count, height * scale, width * scale, 3), job.frames.dtype)
        finite = np.ones(count, np.bool_)
        worked = np.array([not self._is_left(float(sigma)) for sigma in job.sigma])
        if not worked.all():  # never with a scale: what has a sigma keeps its size
            canvas[~worked] = job.frames[~worked]
        part = np.empty((int(worked.sum()), *canvas.shape[1:]), canvas.dtype) if not worked.all() else canvas
        engine_ns = 0
        rows, columns = self._spans(job)
        for row in rows if worked.any() else ():
            band = np.empty((len(part), (row.stop - row.start) * scale, width * scale, 3), canvas.dtype)
            for column in columns:
                inputs = self._inputs(job, row, column, worked)
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

    def _spans(self, job: _Job) -> tuple[list[Span], list[Span]]:
        """The rows and the columns of tiles: one of each for a frame that is not too large."""
        height, width = job.frames.shape[1:3]
        if job.tile == 0 or height * width <= job.tile**2:
            return [Span(0, height, 0)], [Span(0, width, 0)]
        overlap, multiple = self.spec.tiling.overlap, self.spec.image.multiple
        return spans(height, job.tile, overlap, multiple), spans(width, job.tile, overlap, multiple)

    def _inputs(self, job: _Job, row: Span, column: Span, worked: npt.NDArray[np.bool_]) -> dict[str, Array]:
        """What the graph takes of the frames that are worked on, cut and padded."""
        multiple = self.spec.image.multiple

        def part(array: Array) -> Array:
            chosen = array if worked.all() else array[worked]
            cut = chosen[:, row.start : row.stop, column.start : column.stop]
            return np.ascontiguousarray(padded(cut, multiple))

        inputs = {"frames": part(job.frames), "channel_order": job.order}
        if self.spec.takes_sigma or self.spec.takes_mask:
            needed = job.map_in_sigma
            is_flat = needed.shape[2:] == (1, 1)
            inputs["level"] = (
                np.ascontiguousarray(needed[worked]) if is_flat else part(needed[:, 0, :, :, None])[..., 0][:, None]
            )
        if job.noise is not None:
            inputs["noise"] = part(job.noise)
        return inputs

    def _is_left(self, sigma: float) -> bool:
        """Whether a frame of this sigma stays as it is."""
        return self.spec.takes_sigma and sigma <= self.spec.dead_zone

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

    def _form(self, variant: Variant, steps: int) -> Form:
        key = variant.name, steps
        if key not in self._forms:
            self._forms[key] = self._open(variant, steps)
        return self._forms[key]

    def _open(self, variant: Variant, steps: int) -> Form:
        if variant.parameters["form"] == "unrolled":
            return Unrolled(self._load(variant, "main"))
        others = (form for (name, _), form in self._forms.items() if name == variant.name)
        opened = next(others, None)
        table = self.spec.tables[str(steps)]
        if isinstance(opened, Stepwise):
            return Stepwise(opened.prepare, opened.step, opened.finish, table)
        prepare, step, finish = (self._load(variant, stage) for stage in ("prepare", "step", "finish"))
        return Stepwise(prepare, step, finish, table)


def hole_noise(shape: tuple[int, ...], spec: RestoreSpec, seed: int) -> npt.NDArray[np.float32]:
    """What holes of frames of this shape (N, H, W, 3) are filled with before the first step, in units of the state."""
    return np.random.default_rng(seed).standard_normal(shape, np.float32) * np.float32(spec.hole_spread)


def _as_batch(frame: Any, entries: tuple[str, ...]) -> Array:
    """Frames as one contiguous (N, H, W, 3), uint8 or float32. Raises ``FrameError``."""
    items = [_check_entry(item, entries) for item in (cast("Sequence[Any]", frame) if is_batch(frame) else [frame])]
    check_one_size(items)
    if len({item.dtype for item in items}) > 1:
        raise FrameError("the frames of a batch must have one type, but are uint8 and float32; call once for each")
    if len(items) == 1:
        return np.ascontiguousarray(items[0])[None]
    whole = as_array(frame) if not isinstance(frame, list | tuple) else None
    return whole if whole is not None and whole.flags.c_contiguous else np.stack(items)


def _check_entry(frame: Any, entries: tuple[str, ...]) -> Array:
    found = as_array(frame)
    if found.dtype.name not in entries or found.ndim != 3 or found.shape[2] != 3:
        raise FrameError(
            f"a frame must be {' or '.join(entries)} (H, W, 3) in grey levels, but got {found.dtype} {found.shape}"
        )
    check_sides(found)
    if found.dtype == np.float32 and not bool(np.isfinite(found).all()):
        raise FrameError("the frame holds values that are no numbers (NaN or infinite); mend it before restoring it")
    return found


def _hole_map(mask: npt.NDArray[Any] | None, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """1 in holes, (N, 1, H, W). Raises ``FrameError``."""
    if mask is None:
        raise RequestError("this bundle fills holes, but no mask was given; pass mask, (H, W), true in holes")
    found = as_array(mask)
    if found.shape != shape[1:3] or found.dtype.name not in ("bool", "uint8"):
        raise FrameError(
            f"a mask must be bool or uint8 of the frame's {shape[1]}x{shape[2]} (height x width), true in holes, "
            f"but is {found.dtype} {found.shape}"
        )
    return np.broadcast_to((found != 0).astype(np.float32), (shape[0], 1, *found.shape))


def _unit(spec: RestoreSpec) -> str:
    return "grey levels" if spec.mode == "denoise" else "pixels"
