"""``saccade eval`` for restored images: clean ones degraded on the fly, or beside real frames of a camera."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import click
import numpy as np

from saccade.cli.eval_outcome import Outcome, progress_bar
from saccade.cli.options import Command, FiniteRange, parse_steps, restore_option
from saccade.errors import RequestError
from saccade.evaluation import RestorationEvaluation, evaluate_restoration
from saccade.evaluation.clean_images import Sample, degraded_images, list_images, pair_up, paired_images
from saccade.evaluation.degradations import DARK_GAMMA, DARK_SHOT, DARK_SIGMA
from saccade.metrics import quality_library
from saccade.spec import MEASURED, RestoreSpec, Restoring
from saccade.tasks import RestoreTask
from saccade.tasks.restore_request import RestoreRequest, Sigma, Steps, check_request

Told = Literal["known", "measured", "tiles"]
"""How a restorer knows sigma."""


@dataclass(frozen=True)
class RestoreOptions:
    """What is asked about restored images beside the data. ``levels`` are those given, by their option.

    ``told`` is how the restorer knows sigma and ``entry`` the type of its frames; None is what is usual.
    """

    degraded: Path | None
    levels: dict[str, tuple[float, ...]]
    told: Told | None
    entry: str | None
    steps: str
    tile: int | None


LEVEL_OPTIONS: dict[Restoring, str] = {
    "denoise": "--noise-sigma",
    "low-light": "--gain",
    "inpaint": "--holes",
    "deblur": "--blur-sigma",
}
"""The option that says how much a mode's images are degraded by. Super-resolution has the bundle's scale."""

USUAL_LEVEL: dict[Restoring, float] = {"denoise": 25.0, "low-light": 8.0, "inpaint": 0.25, "deblur": 1.6}


def restoring_options(command: Command) -> Command:
    """``--degraded --noise-sigma --gain --blur-sigma --holes --sigma --entry --steps --tile``."""
    for option in (
        restore_option("--tile", type=click.IntRange(0), show_default="the bundle's", help="side of tiles; 0: none."),
        restore_option("--steps", metavar="N|auto", default="auto", help="as in saccade run."),
        restore_option(
            "--entry",
            type=click.Choice(("float32", "uint8")),
            show_default="float32 for noise made here, else uint8",
            help="frames with fractions and beyond 0..255, or clamped and rounded as a camera gives them.",
        ),
        restore_option(
            "--sigma",
            type=click.Choice(("known", "measured", "tiles")),
            show_default="known where it is",
            help="how the restorer knows the noise or blur.",
        ),
        _level_option("--holes", FiniteRange(0, 1), "0.25", "share of random pixels that are missing."),
        _level_option(
            "--blur-sigma", FiniteRange(0.01, 100), "1.6", "Gaussian blur in pixels; with --degraded likewise."
        ),
        _level_option(
            "--gain",
            FiniteRange(0.01, 1000),
            "8",
            "what dark frames are multiplied by; those made here have noise of variance "
            f"{DARK_SIGMA:g} + {DARK_SHOT:g} * grey level, and a gamma of {DARK_GAMMA:g} after the gain.",
        ),
        _level_option(
            "--noise-sigma",
            FiniteRange(0, 1000),
            "25",
            "Gaussian noise in grey levels; with --degraded, that of its frames.",
        ),
        restore_option(
            "--degraded",
            type=click.Path(path_type=Path),
            help="folder of real frames, named as the clean images in --data, instead of degrading those.",
        ),
    ):
        command = option(command)
    return command


def _level_option(name: str, kind: FiniteRange, usual: str, what: str) -> Callable[[Command], Command]:
    return restore_option(name, type=kind, multiple=True, show_default=usual, help=f"{what} May be repeated.")


def score_restored(task: RestoreTask, data: Path, options: RestoreOptions, limit: int | None) -> Outcome:
    """Run ``task`` on the images of ``data`` at every level of degradation.

    Raises ``RequestError`` for options that do not fit the bundle, by the first image, and ``DatasetError``.
    """
    spec = task.spec
    levels = _levels(spec, options)
    true = [_true_sigma(spec, options, level) for level in levels]
    told = _told(spec, options, true)
    sigmas: list[Sigma] = [sigma if told == "known" else told for sigma in true]
    entry = _entry(task, options)
    steps = parse_steps(options.steps)
    for level, sigma in zip(levels, sigmas, strict=True):
        _check_level(task, options, steps, level, sigma)
    paths = list_images(data)[:limit]
    pairs = None if options.degraded is None else pair_up(paths, options.degraded, spec.scale)

    def samples(level: float | None) -> Iterable[Sample]:
        if pairs is not None:
            light = {"gain": level, "gamma": spec.light.gamma} if spec.light and level is not None else None
            return paired_images(pairs, spec.scale, light)
        assert level is not None  # only pairs have none
        return degraded_images(paths, spec.mode, level)

    task.prepare(steps, entry)
    with progress_bar(len(paths) * len(levels)) as progress:
        scored = tuple(
            evaluate_restoration(
                task,
                samples(level),
                level,
                entry=entry,
                sigma=sigma,
                steps=steps,
                tile=options.tile,
                progress=progress,
            )
            for level, sigma in zip(levels, sigmas, strict=True)
        )
    return Outcome(RestorationEvaluation(spec.mode, entry, told, steps, scored, quality_library() is not None))


def _check_level(task: RestoreTask, options: RestoreOptions, steps: Steps, level: float | None, sigma: Sigma) -> None:
    """Raise ``RequestError`` for what the task will refuse at a level, before any image of the others is scored."""
    mask = np.zeros((1, 1), np.uint8) if task.spec.takes_mask else None
    request = RestoreRequest(sigma, mask, steps, options.tile)
    if task.spec.light is not None and level is not None:
        request = replace(request, gain=level)
        if options.degraded is None:
            request = replace(request, gamma=DARK_GAMMA, shot=DARK_SHOT)
    check_request(task.spec, request, task.steps)


def _levels(spec: RestoreSpec, options: RestoreOptions) -> tuple[float | None, ...]:
    """By how much images are degraded, one after the other; None for frames of which nobody said it."""
    for mode, name in LEVEL_OPTIONS.items():
        if options.levels[name] and mode != spec.mode:
            raise RequestError(f"{name} is for mode {mode!r}, but this bundle's is {spec.mode!r}; leave it out")
    given = options.levels[LEVEL_OPTIONS[spec.mode]] if spec.mode in LEVEL_OPTIONS else ()
    if options.degraded is None:
        return given or (USUAL_LEVEL.get(spec.mode, float(spec.scale)),)
    if spec.takes_mask:
        raise RequestError("--degraded has no masks, which this bundle needs; leave it out to score on random holes")
    if len(given) > 1:
        raise RequestError(
            f"{LEVEL_OPTIONS[spec.mode]} says how degraded the frames of --degraded are: give one, but got {len(given)}"
        )
    return given or (float(spec.scale) if spec.mode == "super-resolution" else None,)


def _true_sigma(spec: RestoreSpec, options: RestoreOptions, level: float | None) -> float | None:
    """Sigma of the frames of a level; None where nobody knows it."""
    if spec.mode != "low-light":
        return level
    return DARK_SIGMA if options.degraded is None else None


def _told(spec: RestoreSpec, options: RestoreOptions, sigmas: Sequence[float | None]) -> Told | None:
    """How the restorer knows sigma; None where its mode has none. Raises ``RequestError`` for what it cannot know."""
    if not spec.takes_sigma:
        if options.told is not None:
            raise RequestError(f"--sigma was given, but this bundle's mode is {spec.mode!r}; leave it out")
        return None
    is_dark = spec.mode == "low-light"
    is_measured = spec.mode in MEASURED
    told = options.told or ("measured" if is_measured and None in sigmas else "known")
    if told != "known":
        if not is_measured:
            raise RequestError(f"--sigma {told} was asked for, but a {spec.mode} bundle must be told; leave it out")
        return told
    low, high = spec.sigma_range
    for sigma in sigmas:
        if sigma is None:
            way_out = "--sigma measured" if is_dark else LEVEL_OPTIONS[spec.mode]
            raise RequestError(f"the sigma of the frames of --degraded must be known; give {way_out}")
        if not low <= sigma <= high:
            within = [] if is_dark else ["give one within"]
            measured = ["add --sigma measured"] if is_measured else []
            raise RequestError(
                f"{'sigma' if is_dark else LEVEL_OPTIONS[spec.mode]} {sigma:g} is beyond what this bundle knows, "
                f"{low:g} to {high:g} {spec.unit}; {', or '.join([*within, *measured])}"
            )
    return told


def _entry(task: RestoreTask, options: RestoreOptions) -> str:
    """The type of frames that the restorer gets. Raises ``RequestError`` for one that no variant takes."""
    is_noise_made = task.spec.mode == "denoise" and options.degraded is None
    entry = options.entry or ("float32" if is_noise_made or "uint8" not in task.entries else "uint8")
    if entry not in task.entries:
        asked = "--entry" if options.entry else "noise that is not clipped needs"
        raise RequestError(
            f"{asked} {entry} frames, but the variants of this bundle that may run take {', '.join(task.entries)}; "
            f"add --entry {task.entries[0]}, or choose another --variant"
        )
    return entry
