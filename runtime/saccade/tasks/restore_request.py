"""What a call may ask of a restorer beside its frame, and the refusal of all else before there is a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from saccade.errors import RequestError
from saccade.gain_table import CameraNoise, GainTable
from saccade.spec import MEASURED, LightSpec, RestoreSpec

Floats = npt.NDArray[np.float32]
Sigma = float | Literal["measured", "tiles"] | CameraNoise | npt.NDArray[Any] | None
Steps = int | Literal["auto"]
MEASURES = ("measured", "tiles")

USUAL_STEPS = 1
"""What "auto" takes: one step has the least error, it is what the network was trained to have."""


@dataclass(frozen=True)
class RestoreRequest:
    """The arguments of a call beside its frame: see ``RestoreTask.submit``. None is the bundle's own."""

    sigma: Sigma = None
    mask: npt.NDArray[Any] | None = None
    steps: Steps = "auto"
    tile: int | None = None
    seed: int | None = None
    gain: float | None = None
    gamma: float | None = None
    shot: float | None = None


def check_request(spec: RestoreSpec, request: RestoreRequest, steps: Sequence[int]) -> None:
    """Raise ``RequestError`` for what a bundle that carries ``steps`` cannot be asked, whatever the frame."""
    steps_taken(request.steps, steps)
    _check_tile(spec, request.tile)
    for name, value, is_taken in (
        ("mask", request.mask, spec.takes_mask),
        ("seed", request.seed, spec.takes_mask),
        ("sigma", request.sigma, spec.takes_sigma),
    ):
        if value is not None and not is_taken:
            raise RequestError(f"a {name} was given, but this bundle's mode is {spec.mode}; leave it out")
    if spec.takes_mask and request.mask is None:
        raise RequestError("this bundle fills holes, but no mask was given; pass one (mask=, or --mask), true in holes")
    if request.seed is not None and not (_is_whole(request.seed) and request.seed >= 0):
        raise RequestError(f"seed must be a whole number from 0 on, but is {request.seed!r}")
    _check_sigma(spec, request.sigma)
    _check_light(spec, request)


def steps_taken(asked: Steps, steps: Sequence[int]) -> int:
    """The number of steps that is meant, of those that a bundle carries. Raises ``RequestError``."""
    if isinstance(asked, str) and asked == "auto":
        return USUAL_STEPS if USUAL_STEPS in steps else steps[0]
    if not _is_whole(asked) or asked not in steps:  # True is 1, and so is 1.0
        choices = ", ".join(map(str, steps))
        raise RequestError(f"{asked} steps were asked for, but this bundle carries {choices}; or pass 'auto'")
    return int(asked)


def _check_levels(spec: RestoreSpec, sigma: Any) -> None:
    """Raise ``RequestError`` for what is no number or map, all of it in the range of ``spec``."""
    try:
        given = np.asarray(sigma, np.float32)
    except (TypeError, ValueError) as error:
        raise RequestError(
            f"sigma must be a number, a map, a CameraNoise, 'measured' or 'tiles', but is {sigma!r}"
        ) from error
    low, high = spec.sigma_range
    if given.size == 0 or not bool(np.all((given >= low) & (given <= high))):  # NaN is in no range
        ends = f"goes from {given.min():g} to {given.max():g}" if given.ndim and given.size else f"is {sigma}"
        raise RequestError(
            f"sigma must be {low:g} to {high:g} {spec.unit}, which the network was trained for, but {ends}"
        )


def _check_tile(spec: RestoreSpec, tile: int | None) -> None:
    least = 2 * spec.tiling.overlap
    if tile is not None and not (_is_whole(tile) and (tile == 0 or tile > least)):
        raise RequestError(f"tile must be 0, for none, or above {least} pixels, but is {tile!r}")


def _check_sigma(spec: RestoreSpec, sigma: Any) -> None:
    if sigma is None:
        return
    if isinstance(sigma, GainTable):
        raise RequestError("sigma must be a camera's noise at one gain, but is a whole table; pass table.at(gain)")
    if isinstance(sigma, str):
        if sigma not in MEASURES:
            raise RequestError(f"sigma must be a number, a map, 'measured' or 'tiles', but is {sigma!r}")
        if spec.mode not in MEASURED:
            raise RequestError(f"sigma {sigma!r} was asked for, but mode {spec.mode} needs a number; give it")
    elif isinstance(sigma, CameraNoise):
        if spec.mode not in MEASURED:
            raise RequestError(f"a camera's noise was given, but mode {spec.mode} needs a number; give it")
        _check_within("the camera's sigma", sigma.sigma, spec.sigma_range)
        if spec.light is not None:
            _check_within("the camera's shot", sigma.shot, spec.light.shot_range)
    else:
        _check_levels(spec, sigma)


def _check_light(spec: RestoreSpec, request: RestoreRequest) -> None:
    given = {"gain": request.gain, "gamma": request.gamma, "shot": request.shot}
    for name, value in given.items():
        if value is None:
            continue
        if spec.light is None:
            raise RequestError(
                f"a {name} was given, but this bundle's mode is {spec.mode}, not low-light; leave it out"
            )
        _check_within(name, value, light_ranges(spec.light)[name])


def light_ranges(light: LightSpec) -> dict[str, tuple[float, float]]:
    """What the network was trained for, by the names of a call's arguments."""
    return {"gain": light.gain_range, "gamma": light.gamma_range, "shot": light.shot_range}


def _check_within(name: str, value: Any, span: tuple[float, float]) -> None:
    low, high = span
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise RequestError(f"{name} must be a number from {low:g} to {high:g}, but is {value!r}")
    if not low <= value <= high:  # NaN is in no range
        raise RequestError(f"{name} must be {low:g} to {high:g}, which the network was trained for, but is {value:g}")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
