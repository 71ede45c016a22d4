"""What a call asks of a restorer, checked, and turned into what its graphs take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from saccade.engines.base import Array
from saccade.errors import FrameError, RequestError
from saccade.frames import as_array, check_pixel_format, check_sides
from saccade.gain_table import CameraNoise
from saccade.noise import measure_noise, tile_map
from saccade.spec import MEASURED, LightSpec, RestoreSpec
from saccade.tasks.frame_task import CHANNEL_ORDERS, check_one_size, is_batch
from saccade.tiles import Span, padded, spans

Floats = npt.NDArray[np.float32]
Sigma = float | Literal["measured", "tiles"] | CameraNoise | npt.NDArray[Any] | None
Steps = int | Literal["auto"]

STEPS_IF_KNOWN = 1
"""One step has the least error where the degradation is known: it is what the network was trained to have."""


@dataclass(frozen=True)
class Asked:
    """The arguments of a call beside its frame: see ``RestoreTask.submit``."""

    sigma: Sigma = None
    mask: npt.NDArray[Any] | None = None
    steps: Steps = "auto"
    tile: int | None = None
    seed: int = 0
    gain: float | None = None
    gamma: float | None = None
    shot: float | None = None


@dataclass(frozen=True)
class Job:
    """Frames to restore, (N, H, W, 3), and what their graph takes beside them.

    ``sigma`` (N,) is what was used, NaN where none is. ``level`` is its map, (N, 1, H, W), or (N, 1, 1, 1) where it is
    the same everywhere; of holes, 1 in them. ``noise`` (N, H, W, 3) fills holes. ``light`` are the gain, gamma and shot
    of each frame, (N, 1, 1, 1), where there are any. ``rows`` and ``columns`` are where the tiles lie: one of each for
    a frame that is not too large.
    """

    spec: RestoreSpec
    frames: Array
    level: Floats
    sigma: Floats
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
        return self.level.reshape(len(self.frames), -1).max(axis=1) > self.spec.dead_zone

    def inputs(self, row: Span, column: Span) -> dict[str, Array]:
        """What the graph takes of the frames that are worked on, one tile of each, padded to what it halves."""

        def part(array: Array) -> Array:
            chosen = array if self.is_worked.all() else array[self.is_worked]
            cut = chosen[:, row.start : row.stop, column.start : column.stop]
            return np.ascontiguousarray(padded(cut, self.spec.image.multiple))

        inputs = {"frames": part(self.frames), "channel_order": self.order}
        if self.spec.takes_sigma or self.spec.takes_mask:
            is_flat = self.level.shape[2:] == (1, 1)
            inputs["level"] = (
                np.ascontiguousarray(self.level[self.is_worked])
                if is_flat
                else part(self.level[:, 0, :, :, None])[..., 0][:, None]
            )
        if self.noise is not None:
            inputs["noise"] = part(self.noise)
        return {**inputs, **{name: np.ascontiguousarray(value[self.is_worked]) for name, value in self.light.items()}}


def prepare_job(
    spec: RestoreSpec, frame: Any, asked: Asked, pixel_format: str, entries: Sequence[str], steps: Sequence[int]
) -> Job:
    """The job of a call on a bundle that takes frames of the types ``entries`` and carries ``steps``.

    Raises ``FrameError`` for a frame or mask that does not fit, ``RequestError`` for the rest.
    """
    frames = _as_batch(frame, entries)
    declared = check_pixel_format(pixel_format, spec.image.pixel_formats)
    order = CHANNEL_ORDERS[declared == f"{spec.image.channel_order}24"]
    side = _check_tile(spec, asked.tile)
    number = _check_steps(asked.steps, steps)
    for name, is_given, is_taken in (
        ("mask", asked.mask is not None, spec.takes_mask),
        ("sigma", asked.sigma is not None, spec.takes_sigma),
    ):
        if is_given and not is_taken:
            raise RequestError(f"a {name} was given, but this bundle's mode is {spec.mode}; leave it out")
    if spec.takes_mask:
        used, level = np.full(len(frames), np.nan, np.float32), _hole_map(asked.mask, frames.shape)
        noise = hole_noise(frames.shape, spec, asked.seed)
    else:
        (used, level), noise = _sigma(spec, frames, asked.sigma), None
    light = _light(spec.light, frames, asked, spec.mode)
    return Job(spec, frames, level, used, noise, light, order, number, *_tiles(spec, frames.shape, side))


def hole_noise(shape: tuple[int, ...], spec: RestoreSpec, seed: int) -> Floats:
    """What holes of frames of this shape (N, H, W, 3) are filled with before the first step, in units of the state."""
    if type(seed) is not int or seed < 0:
        raise RequestError(f"seed must be a whole number from 0 on, but is {seed!r}")
    noise = np.random.default_rng(seed).standard_normal(shape, np.float32)
    noise *= np.float32(spec.hole_spread)
    return noise


def _check_tile(spec: RestoreSpec, tile: int | None) -> int:
    least = 2 * spec.tiling.overlap
    if tile is not None and (tile < 0 or 0 < tile <= least):
        raise RequestError(f"tile must be 0, for none, or above {least} pixels, but is {tile}")
    return spec.tiling.size if tile is None else tile


def _check_steps(asked: Steps, steps: Sequence[int]) -> int:
    if asked == "auto":
        return STEPS_IF_KNOWN if STEPS_IF_KNOWN in steps else steps[0]
    if isinstance(asked, bool | float | str) or asked not in steps:  # True is 1, and so is 1.0
        choices = ", ".join(map(str, steps))
        raise RequestError(f"{asked} steps were asked for, but this bundle carries {choices}; or pass 'auto'")
    return int(asked)


def _sigma(spec: RestoreSpec, frames: Array, sigma: Sigma) -> tuple[Floats, Floats]:
    """The sigma of each frame, (N,), and its map (N, 1, 1, 1) or (N, 1, H, W)."""
    if not spec.takes_sigma:
        return np.full(len(frames), np.nan, np.float32), np.ones((len(frames), 1, 1, 1), np.float32)
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
    low, high = spec.sigma_range
    if not bool(np.all((given >= low) & (given <= high))):  # NaN is in no range
        raise RequestError(
            f"sigma must be {low:g} to {high:g} {spec.unit}, which the network was trained for, "
            f"but goes from {given.min():g} to {given.max():g}"
        )
    used = np.full(len(frames), given.mean(), np.float32)
    return used, np.broadcast_to(given, (len(frames), 1, *(given.shape or (1, 1))))


def _of_camera(spec: RestoreSpec, frames: Array, noise: CameraNoise) -> tuple[Floats, Floats]:
    if spec.mode not in MEASURED:
        raise RequestError(f"a camera's noise was given, but mode {spec.mode!r} needs a number; give it")
    low, high = spec.sigma_range
    if not low <= noise.sigma <= high:
        raise RequestError(f"sigma must be {low:g} to {high:g} {spec.unit}, but the camera's is {noise.sigma:g}")
    if spec.light is not None:  # the graph adds the light's part
        used = np.full(len(frames), noise.sigma, np.float32)
        return used, used.reshape(-1, 1, 1, 1)
    maps = np.stack([noise.map(frame) for frame in frames])
    used = np.sqrt((maps**2).mean(axis=(1, 2)))
    return used, np.clip(maps, low, high)[:, None]


def _measured(spec: RestoreSpec, frames: Array, how: str) -> tuple[Floats, Floats]:
    if spec.mode not in MEASURED:
        raise RequestError(f"sigma {how!r} was asked for, but mode {spec.mode!r} needs a number; give it")
    if how not in ("measured", "tiles"):
        raise RequestError(f"sigma must be a number, a map, 'measured' or 'tiles', but is {how!r}")
    estimates = [measure_noise(frame) for frame in frames]
    most = spec.sigma_range[1]
    used = np.array([min(estimate.sigma, most) for estimate in estimates], np.float32)
    if how == "measured":
        return used, used.reshape(-1, 1, 1, 1)
    maps = [tile_map(estimate, frames.shape[1:3]) for estimate in estimates]
    return used, np.clip(np.stack(maps), 0, most)[:, None]


def _light(spec: LightSpec | None, frames: Array, asked: Asked, mode: str) -> dict[str, Floats]:
    """The inputs of mode "low-light", (N, 1, 1, 1) each."""
    given = {"gain": asked.gain, "gamma": asked.gamma, "shot": asked.shot}
    if spec is None:
        if found := [name for name, value in given.items() if value is not None]:
            raise RequestError(f"a {found[0]} was given, but this bundle's mode is {mode}, not low-light; leave it out")
        return {}
    ranges = {"gain": spec.gain_range, "gamma": spec.gamma_range, "shot": spec.shot_range}
    for name, value in given.items():
        low, high = ranges[name]
        if value is not None and not low <= value <= high:  # NaN is in no range
            raise RequestError(
                f"{name} must be {low:g} to {high:g}, which the network was trained for, but is {value:g}"
            )
    count = len(frames)
    gain = _usual_gain(spec, frames) if asked.gain is None else np.full(count, asked.gain)
    gamma = np.full(count, spec.gamma if asked.gamma is None else asked.gamma)
    usual_shot = min(asked.sigma.shot, spec.shot_range[1]) if isinstance(asked.sigma, CameraNoise) else 0.0
    shot = np.full(count, usual_shot if asked.shot is None else asked.shot)
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
    items = [_check_entry(item, entries) for item in (cast("Sequence[Any]", frame) if is_batch(frame) else [frame])]
    check_one_size(items)
    if len({item.dtype for item in items}) > 1:
        raise FrameError("the frames of a batch must have one type, but are uint8 and float32; call once for each")
    if len(items) == 1:
        return np.ascontiguousarray(items[0])[None]
    whole = as_array(frame) if not isinstance(frame, list | tuple) else None
    return whole if whole is not None and whole.flags.c_contiguous else np.stack(items)


def _check_entry(frame: Any, entries: Sequence[str]) -> Array:
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
