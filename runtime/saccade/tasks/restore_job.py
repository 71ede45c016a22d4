"""What a call asks of a restorer, turned into what its graphs take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from saccade.engines.base import Array
from saccade.errors import FrameError, RequestError
from saccade.frames import as_array, check_pixel_format, check_sides
from saccade.gain_table import CameraNoise
from saccade.noise import measure_noise, tile_map
from saccade.spec import LightSpec, RestoreSpec
from saccade.tasks.frame_task import CHANNEL_ORDERS, check_one_size, is_batch
from saccade.tasks.restore_request import Floats, RestoreRequest, Sigma, check_request, steps_taken
from saccade.tiles import Span, padded, spans

LEAST_CONTRAST = 0.1
"""Standard deviation of a frame of 0 to 1 from which on it is a picture, and not the dark, in grey levels."""


@dataclass(frozen=True)
class Levels:
    """How degraded frames are. ``map`` is (N, 1, H, W), or (N, 1, 1, 1) where it is the same everywhere; 1 in holes.

    ``sigma`` (N,) sums it up, ``measured`` (N,) is what was found in the frame; NaN where there is no such number.
    """

    map: Floats
    sigma: Floats
    measured: Floats


@dataclass(frozen=True)
class Job:
    """Frames to restore, (N, H, W, 3), and what their graph takes beside them.

    ``noise`` (N, H, W, 3) fills holes. ``light`` are the gain, gamma and shot of each frame, (N, 1, 1, 1), where there
    are any. ``rows`` and ``columns`` are where the tiles lie: one of each for a frame that is not too large.
    """

    spec: RestoreSpec
    frames: Array
    levels: Levels
    noise: Floats | None
    light: dict[str, Floats]
    order: Array
    steps: int
    rows: list[Span]
    columns: list[Span]

    @cached_property
    def is_worked(self) -> npt.NDArray[np.bool_]:
        """(N,): whether a frame is worked on. In the dead zone it stays as it is."""
        if not self.spec.takes_sigma or self.spec.light is not None:
            return np.ones(len(self.frames), np.bool_)
        return self.levels.map.reshape(len(self.frames), -1).max(axis=1) > self.spec.dead_zone

    def inputs(self, row: Span, column: Span) -> dict[str, Array]:
        """What the graph takes of the frames that are worked on, one tile of each, padded to what it halves."""

        def part(array: Array) -> Array:
            chosen = array if self.is_worked.all() else array[self.is_worked]
            cut = chosen[:, row.start : row.stop, column.start : column.stop]
            return np.ascontiguousarray(padded(cut, self.spec.image.multiple))

        inputs = {"frames": part(self.frames), "channel_order": self.order}
        if self.spec.takes_sigma or self.spec.takes_mask:
            is_flat = self.levels.map.shape[2:] == (1, 1)
            inputs["level"] = (
                np.ascontiguousarray(self.levels.map[self.is_worked])
                if is_flat
                else part(self.levels.map[:, 0, :, :, None])[..., 0][:, None]
            )
        if self.noise is not None:
            inputs["noise"] = part(self.noise)
        return {**inputs, **{name: np.ascontiguousarray(value[self.is_worked]) for name, value in self.light.items()}}


def prepare_job(
    spec: RestoreSpec,
    frame: Any,
    request: RestoreRequest,
    pixel_format: str,
    entries: Sequence[str],
    steps: Sequence[int],
) -> Job:
    """The job of a call on a bundle that takes frames of the types ``entries`` and carries ``steps``.

    Raises ``FrameError`` for a frame or mask that does not fit, ``RequestError`` for the rest.
    """
    check_request(spec, request, steps)
    frames = _as_batch(frame, entries)
    declared = check_pixel_format(pixel_format, spec.image.pixel_formats)
    order = CHANNEL_ORDERS[declared == f"{spec.image.channel_order}24"]
    unknown = np.full(len(frames), np.nan, np.float32)
    if spec.takes_mask:
        levels = Levels(_hole_map(request.mask, frames.shape), unknown, unknown)
        noise = np.broadcast_to(hole_noise(frames.shape[1:], spec, request.seed or 0), frames.shape)
    else:
        levels, noise = _levels(spec, frames, request.sigma), None
    return Job(
        spec,
        frames,
        levels,
        noise,
        _light(spec.light, frames, request),
        order,
        steps_taken(request.steps, steps),
        *_tiles(spec, frames.shape, spec.tiling.size if request.tile is None else request.tile),
    )


def hole_noise(shape: tuple[int, ...], spec: RestoreSpec, seed: int) -> Floats:
    """What holes of a frame of this shape (H, W, 3) are filled with before the first step, in units of the state."""
    noise = np.random.default_rng(seed).standard_normal(shape, np.float32)
    noise *= np.float32(spec.hole_spread)
    return noise


def _levels(spec: RestoreSpec, frames: Array, sigma: Sigma) -> Levels:
    unknown = np.full(len(frames), np.nan, np.float32)
    if not spec.takes_sigma:
        return Levels(np.ones((len(frames), 1, 1, 1), np.float32), unknown, unknown)
    asked = spec.sigma if sigma is None else sigma
    if isinstance(asked, CameraNoise):
        return _of_camera(spec, frames, asked)
    if asked is None or isinstance(asked, str):
        return _measured(spec, frames, asked or "measured")
    given = np.asarray(asked, np.float32)
    if given.ndim not in (0, 2) or (given.ndim == 2 and given.shape != frames.shape[1:3]):
        raise RequestError(
            f"sigma must be a number or a map of the frame's {frames.shape[1]}x{frames.shape[2]} (height x width), "
            f"but has shape {given.shape}"
        )
    map_ = np.broadcast_to(given, (len(frames), 1, *(given.shape or (1, 1))))
    return Levels(map_, np.full(len(frames), _root_mean_square(given[None])[0], np.float32), unknown)


def _of_camera(spec: RestoreSpec, frames: Array, noise: CameraNoise) -> Levels:
    unknown = np.full(len(frames), np.nan, np.float32)
    if spec.light is not None:  # the graph adds the light's part
        used = np.full(len(frames), noise.sigma, np.float32)
        return Levels(used.reshape(-1, 1, 1, 1), used, unknown)
    maps = np.clip(np.stack([noise.map(frame) for frame in frames]), *spec.sigma_range)
    return Levels(maps[:, None], _root_mean_square(maps), unknown)


def _measured(spec: RestoreSpec, frames: Array, how: str) -> Levels:
    estimates = [measure_noise(frame) for frame in frames]
    found = np.array([estimate.sigma for estimate in estimates], np.float32)
    used = np.clip(found, *spec.sigma_range)
    if how == "measured":
        return Levels(used.reshape(-1, 1, 1, 1), used, found)
    maps = np.clip(np.stack([tile_map(each, frames.shape[1:3]) for each in estimates]), *spec.sigma_range)
    return Levels(maps[:, None], used, found)


def _root_mean_square(maps: npt.NDArray[Any]) -> Floats:
    """Of each map, (N,)."""
    return np.sqrt(np.square(maps.reshape(len(maps), -1), dtype=np.float64).mean(axis=1)).astype(np.float32)


def _light(spec: LightSpec | None, frames: Array, request: RestoreRequest) -> dict[str, Floats]:
    """The inputs of mode "low-light", (N, 1, 1, 1) each."""
    if spec is None:
        return {}
    count = len(frames)
    gain = _usual_gain(spec, frames) if request.gain is None else np.full(count, request.gain)
    gamma = np.full(count, spec.gamma if request.gamma is None else request.gamma)
    usual_shot = request.sigma.shot if isinstance(request.sigma, CameraNoise) else np.clip(0, *spec.shot_range)
    shot = np.full(count, usual_shot if request.shot is None else request.shot)
    values = {"gain": gain, "gamma": gamma, "shot": shot}
    return {name: value.astype(np.float32).reshape(-1, 1, 1, 1) for name, value in values.items()}


def _usual_gain(spec: LightSpec, frames: Array) -> npt.NDArray[np.float64]:
    """What brings the mean light of each frame to the exposure wanted, within the range."""
    mean = frames.mean(axis=(1, 2, 3), dtype=np.float64) / 255
    return np.clip(spec.exposure / np.maximum(mean, 1e-6), *spec.gain_range)


def _tiles(spec: RestoreSpec, shape: tuple[int, ...], side: int) -> tuple[list[Span], list[Span]]:
    height, width = shape[1:3]
    if side == 0 or height * width <= side**2:
        return [Span(0, height, 0)], [Span(0, width, 0)]
    overlap, multiple = spec.tiling.overlap, spec.image.multiple
    return spans(height, side, overlap, multiple), spans(width, side, overlap, multiple)


def _as_batch(frame: Any, entries: Sequence[str]) -> Array:
    """Frames as one contiguous (N, H, W, 3), uint8 or float32. Raises ``FrameError``."""
    whole = None if isinstance(frame, list | tuple) else as_array(frame)
    several: Sequence[Any] = cast("Sequence[Any]", frame if whole is None or is_batch(whole) else [whole])
    items = [_check_entry(item, entries) for item in several]
    check_one_size(items)
    if len({item.dtype for item in items}) > 1:
        raise FrameError("the frames of a batch must have one type, but are uint8 and float32; call once for each")
    if len(items) == 1:
        return np.ascontiguousarray(items[0])[None]
    return whole if whole is not None and whole.flags.c_contiguous else np.stack(items)


def _check_entry(frame: Any, entries: Sequence[str]) -> Array:
    found = as_array(frame)
    if found.dtype.name not in entries or found.ndim != 3 or found.shape[2] != 3:
        raise FrameError(
            f"a frame must be {' or '.join(entries)} (H, W, 3) in grey levels, but got {found.dtype} {found.shape}"
        )
    check_sides(found)
    if found.dtype == np.float32:
        _check_grey_levels(found)
    return found


def _check_grey_levels(frame: Array) -> None:
    if not bool(np.isfinite(frame).all()):
        raise FrameError("the frame holds values that are no numbers (NaN or infinite); mend it before restoring it")
    low, high = float(frame.min()), float(frame.max())
    if low >= 0 and high <= 1 and float(frame.std()) > LEAST_CONTRAST:
        raise FrameError(
            f"a float32 frame must be in grey levels of 0 to 255, but this one goes from {low:.3g} to {high:.3g} and "
            "shows a picture; multiply it by 255"
        )


def _hole_map(mask: npt.NDArray[Any] | None, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """1 in holes, (N, 1, H, W). Raises ``FrameError``."""
    found = as_array(mask)
    if found.shape != shape[1:3] or found.dtype.name not in ("bool", "uint8"):
        raise FrameError(
            f"a mask must be bool or uint8 of the frame's {shape[1]}x{shape[2]} (height x width), true in holes, "
            f"but is {found.dtype} {found.shape}"
        )
    return np.broadcast_to((found != 0).astype(np.float32), (shape[0], 1, *found.shape))
