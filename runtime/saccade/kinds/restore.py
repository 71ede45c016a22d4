"""Restoration: golden frames, the line, the picture and the description of restored frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from saccade.bundle import Bundle
from saccade.draw import side_by_side
from saccade.errors import RequestError
from saccade.gain_table import CameraNoise
from saccade.kinds.look import Look
from saccade.results import Restoration
from saccade.spec import MEASURED, Golden, RestoreSpec
from saccade.tasks import RestoreTask

Pixels = npt.NDArray[np.uint8]

_SIGMA = {
    "denoise": "noise of {} grey levels",
    "low-light": "noise of {} grey levels in the dark",
    "deblur": "a Gaussian blur of {} pixels",
}


LEVELS = ("sigma", "gain", "gamma", "shot")
"""The numbers of a call that golden frames keep."""


@dataclass(frozen=True)
class ImageCheck:
    """One golden frame: how far its pixels are from PyTorch's at most, over all numbers of steps, and how far they may.

    ``steps`` are the numbers compared.
    """

    frame: str
    size_hw: tuple[int, int]
    steps: tuple[int, ...]
    grey_levels: int
    most_grey_levels: float
    finite: bool

    @property
    def passed(self) -> bool:
        return self.finite and self.grey_levels <= self.most_grey_levels

    @property
    def sentence(self) -> str:
        not_finite = "" if self.finite else ", result not finite"
        steps = ", ".join(map(str, self.steps))
        return f"{self.grey_levels} grey levels off (at most {self.most_grey_levels:g}) in {steps} steps{not_finite}"


@dataclass(frozen=True)
class RestoreRequest:
    """What restoration is asked for: see ``RestoreTask.submit``. None is the bundle's own."""

    sigma: float | str | CameraNoise | None = None
    mask: Pixels | None = None
    steps: int | str = "auto"
    tile: int | None = None
    gain: float | None = None
    gamma: float | None = None
    shot: float | None = None


@dataclass(frozen=True)
class Compared:
    """How far restored images are from others, pixel by pixel: ``counts[d]`` values are off by d grey levels."""

    counts: npt.NDArray[np.int64]

    @property
    def most(self) -> int:
        return int(np.flatnonzero(self.counts)[-1])

    def share_within(self, grey_levels: int) -> float:
        return int(self.counts[: grey_levels + 1].sum()) / int(self.counts.sum())


def restore_all(task: RestoreTask, frame: Pixels, asked: Mapping[str, Any]) -> dict[int, Restoration]:
    """The frame restored with each number of steps that ``task`` may take, as a variant of any entry gives it."""
    given = frame if "uint8" in task.entries else frame.astype(np.float32)
    return {steps: task(given, steps=steps, **asked) for steps in task.steps}


def compare_images(found: Mapping[int, Restoration], wanted: npt.NDArray[np.uint8], steps: Sequence[int]) -> Compared:
    """Restored images against ``wanted`` (S, H, W, 3), one for each of ``steps``; floats are rounded first."""
    counts = np.zeros(256, np.int64)
    for number, result in found.items():
        image = np.clip(np.rint(result.image), 0, 255).astype(np.int16)
        off = np.abs(image - wanted[list(steps).index(number)])
        counts += np.bincount(off.ravel(), minlength=256)
    return Compared(counts)


def check(bundle: Bundle, golden: Golden, task: RestoreTask) -> ImageCheck:
    """Repeat one golden frame with ``task`` in each number of steps, and find the pixel furthest from PyTorch's."""
    frame = golden.inputs["frame"]
    asked: dict[str, Any] = {"pixel_format": str(golden.parameters.get("pixel_format", "rgb24"))}
    asked.update({name: value for name, value in golden.parameters.items() if name in LEVELS})
    if "mask" in golden.inputs:
        asked["mask"] = bundle.array(golden.inputs["mask"])
    found = restore_all(task, bundle.array(frame), asked)
    compared = compare_images(found, bundle.array(golden.results["images"]), task.spec.steps)
    return ImageCheck(
        frame.member,
        (frame.shape[0], frame.shape[1]),
        task.steps,
        compared.most,
        bundle.variant(task.variant).tolerances["grey_levels"],
        all(result.finite for result in found.values()),
    )


def record(result: Restoration) -> dict[str, Any]:
    """The level that was used, the steps taken, and the gain where there was one."""
    lifted = {} if result.gain is None else {"gain": round(result.gain, 3)}
    return {"sigma": None if result.sigma is None else round(result.sigma, 3), "steps": result.steps, **lifted}


def picture(image: Pixels, result: Restoration, look: Look) -> Pixels:
    """The restored frame, or with ``look.before_after`` the frame and the restored one side by side."""
    restored = np.clip(np.rint(result.image), 0, 255).astype(np.uint8)
    return side_by_side(image, restored) if look.before_after else restored


def describe(spec: RestoreSpec) -> list[tuple[str, str]]:
    """Mode, what it restores, steps and tiles."""
    what = {"inpaint": "holes given as a mask", "super-resolution": f"{spec.scale} times the size"}
    if spec.takes_sigma:
        low, high = spec.sigma_range
        usual = "measured" if spec.sigma is None else f"{spec.sigma:g}"
        what[spec.mode] = f"{_SIGMA[spec.mode].format(f'{low:g} to {high:g}')}, by default {usual}"
    lines = [("task", f"{spec.kind}, {spec.mode}: {what[spec.mode]}"), ("steps", ", ".join(map(str, spec.steps)))]
    if spec.light is not None:
        low, high = spec.light.gain_range
        lines.append(("light", f"lifted by a gain of {low:g} to {high:g} and a gamma, by default {spec.light.gamma:g}"))
    if spec.dead_zone:
        lines.append(("dead zone", f"frames of sigma {spec.dead_zone:g} and less stay as they are"))
    return [*lines, ("tiles", f"above {spec.tiling.size}x{spec.tiling.size} pixels, {spec.tiling.overlap} shared")]


def held_to(tolerances: dict[str, float]) -> str:
    return f"grey levels off <= {tolerances['grey_levels']:g}"


def check_request(request: RestoreRequest, task: RestoreTask) -> None:
    """Raise ``RequestError`` for what ``task`` cannot be asked, before the first frame."""
    if "uint8" not in task.entries:
        raise RequestError(f"variant {task.variant} takes float32 frames, but a source gives uint8; choose another")
    if request.steps != "auto" and request.steps not in task.steps:
        raise RequestError(
            f"--steps {request.steps} was asked for, but this bundle carries {', '.join(map(str, task.steps))}"
        )
    least = 2 * task.spec.tiling.overlap
    if request.tile is not None and 0 < request.tile <= least:
        raise RequestError(f"--tile must be 0, for none, or above {least} for this bundle, but is {request.tile}")
    _check_sigma(request.sigma, task.spec)
    if task.spec.takes_mask != (request.mask is not None):
        needed = "needs one: a picture that is not black in holes" if task.spec.takes_mask else "takes none"
        raise RequestError(f"--mask: this bundle's mode is {task.spec.mode}, which {needed}")
    for name in ("gain", "gamma", "shot"):
        if getattr(request, name) is not None and task.spec.light is None:
            raise RequestError(f"--{name} is for mode low-light, but this bundle's mode is {task.spec.mode}; drop it")


def _check_sigma(sigma: float | str | CameraNoise | None, spec: RestoreSpec) -> None:
    if sigma is None:
        return
    if not spec.takes_sigma:
        raise RequestError(f"--sigma was given, but this bundle's mode is {spec.mode}; leave it out")
    if isinstance(sigma, str | CameraNoise):
        if spec.mode not in MEASURED:
            asked = f"--sigma {sigma}" if isinstance(sigma, str) else "a gain table"
            raise RequestError(f"{asked} was asked for, but mode {spec.mode} needs a number")
        return
    low, high = spec.sigma_range
    if not low <= sigma <= high:
        raise RequestError(f"--sigma must be {low:g} to {high:g} for this bundle, but is {sigma:g}")
