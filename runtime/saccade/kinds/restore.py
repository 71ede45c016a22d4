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
from saccade.kinds.look import Look
from saccade.results import Restoration
from saccade.spec import Golden, RestoreSpec
from saccade.tasks import RestoreTask
from saccade.tasks.restore_request import RestoreRequest, check_request, light_ranges, steps_taken

Pixels = npt.NDArray[np.uint8]

_SIGMA = {
    "denoise": "noise of {} grey levels",
    "low-light": "noise of {} grey levels in the dark",
    "deblur": "a Gaussian blur of {} pixels",
}


LEVELS = ("sigma", "gain", "gamma", "shot")
"""The numbers of a call that golden frames keep."""


@dataclass(frozen=True)
class StepsCheck:
    """One number of steps on a golden frame: how far pixels are from PyTorch's at most, and how far they may be."""

    steps: int
    variant: str
    grey_levels: int
    most_grey_levels: float
    finite: bool

    @property
    def passed(self) -> bool:
        return self.finite and self.grey_levels <= self.most_grey_levels

    @property
    def sentence(self) -> str:
        not_finite = "" if self.finite else ", result not finite"
        allowed = f"at most {self.most_grey_levels:g} for {self.variant}"
        count = "1 step" if self.steps == 1 else f"{self.steps} steps"
        return f"{self.grey_levels} grey levels off in {count} ({allowed}){not_finite}"


@dataclass(frozen=True)
class ImageCheck:
    """One golden frame in every number of steps, each held to the variant that took it."""

    frame: str
    size_hw: tuple[int, int]
    steps: tuple[StepsCheck, ...]

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.steps)

    @property
    def sentence(self) -> str:
        return "; ".join(check.sentence for check in self.steps)


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
    wanted = bundle.array(golden.results["images"])
    checks = tuple(
        StepsCheck(
            steps,
            result.origin.variant,
            compare_images({steps: result}, wanted, task.spec.steps).most,
            bundle.variant(result.origin.variant).tolerances["grey_levels"],
            result.finite,
        )
        for steps, result in found.items()
    )
    return ImageCheck(frame.member, (frame.shape[0], frame.shape[1]), checks)


def record(result: Restoration) -> dict[str, Any]:
    """The level that was used, what was measured and the gain where there are such, and the steps taken."""
    numbers = {"sigma": result.sigma, "measured": result.measured, "gain": result.gain}
    rounded = {name: round(value, 3) for name, value in numbers.items() if value is not None}
    return {"sigma": None, **rounded, "steps": result.steps}


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
    lines = [("task", f"{spec.kind}, {spec.mode}: {what[spec.mode]}"), ("steps", _steps(spec))]
    if spec.light is not None:
        gain, gamma, shot = (f"{low:g} to {high:g}" for low, high in light_ranges(spec.light).values())
        lines.append(
            (
                "light",
                f"gain of {gain}, by default to a mean of {spec.light.exposure:g}; gamma of {gamma}, by default "
                f"{spec.light.gamma:g}; shot of {shot}",
            )
        )
    if spec.dead_zone:
        lines.append(("dead zone", f"frames of sigma {spec.dead_zone:g} and less stay as they are"))
    return [*lines, ("tiles", f"above {spec.tiling.size}x{spec.tiling.size} pixels, {spec.tiling.overlap} shared")]


def _steps(spec: RestoreSpec) -> str:
    return f"{', '.join(map(str, spec.steps))}, by default {steps_taken('auto', spec.steps)}"


def held_to(tolerances: dict[str, float]) -> str:
    return f"grey levels off <= {tolerances['grey_levels']:g}"


def check_asked(request: RestoreRequest, task: RestoreTask) -> None:
    """Raise ``RequestError`` for what ``task`` cannot be asked of a source's frames, before the first of them."""
    if "uint8" not in task.entries:
        raise RequestError(f"variant {task.variant} takes float32 frames, but a source gives uint8; choose another")
    check_request(task.spec, request, task.steps)
