"""A restorer's evaluation as a table for people, and as JSON."""

from __future__ import annotations

import math
from typing import Any

from saccade.evaluation.restore import PERCEIVED, SCORES, ImageScores, LevelScores, RestorationEvaluation
from saccade.evaluation.rows import aligned, number, shown
from saccade.metrics.quality import HOW_TO_INSTALL
from saccade.spec import Restoring

DECIMALS = {"psnr": 2, "input_psnr": 2, "ssim": 4, "gmsd": 4, "high_band": 3, "noise_correlation": 3}

NOTES = {
    "psnr": "psnr: dB, of 8 bits; input_psnr: of the frames",
    "ssim": "ssim, gmsd: 1 and 0 for equal images",
    "high_band": "high_band: energy of the finest octave, of the clean image's",
    "noise_correlation": "noise_correlation: of the error and the noise in that octave; left-over noise is no texture",
}
ENLARGED = "psnr: dB, of 8 bits; input_psnr: of the frames enlarged bicubically"

_LEVELS: dict[Restoring, str] = {
    "denoise": "noise",
    "low-light": "gain",
    "inpaint": "holes",
    "deblur": "blur",
    "super-resolution": "scale",
}


def table(evaluation: RestorationEvaluation) -> list[str]:
    """Lines of text: a row for each level of degradation, and what its columns are."""
    columns = [name for name in SCORES if name != "noise_correlation" or evaluation.mode == "denoise"]
    heading = [*(["sigma told"] if evaluation.told else []), *columns]
    rows = [
        (_LEVELS[evaluation.mode], *heading),
        *(_row(level, evaluation, columns) for level in evaluation.levels),
    ]
    notes = {**NOTES, "psnr": ENLARGED} if evaluation.mode == "super-resolution" else NOTES
    return [*aligned(rows), "", *(notes[name] for name in columns if name in notes), *missing(evaluation)]


def summary(evaluation: RestorationEvaluation) -> str:
    """What was scored and how long a frame took, in one line."""
    told = f", sigma {evaluation.told}" if evaluation.told else ""
    steps = f"steps {evaluation.steps}"
    return (
        f"{evaluation.images} images, {evaluation.mode}, {evaluation.entry} frames{told}, {steps}, "
        f"{evaluation.task_ms:.1f} ms from frame to result (mean)"
    )


def content(evaluation: RestorationEvaluation) -> dict[str, Any]:
    """All of it but pixels, for JSON: what is NaN or infinite is None."""
    return {
        "scores": _numbers(evaluation.scores),
        "not_finite": evaluation.not_finite,
        "task_ms": number(evaluation.task_ms),
        "images": evaluation.images,
        "mode": evaluation.mode,
        "entry": evaluation.entry,
        "told": evaluation.told,
        "steps": evaluation.steps,
        "levels": [_level_content(level) for level in evaluation.levels],
        "notes": missing(evaluation),
    }


def missing(evaluation: RestorationEvaluation) -> list[str]:
    """What could not be scored here, and what to do."""
    return [] if evaluation.has_perceived else [f"{' and '.join(PERCEIVED)} {HOW_TO_INSTALL}"]


def _row(level: LevelScores, evaluation: RestorationEvaluation, columns: list[str]) -> tuple[str, ...]:
    by = "-" if level.level is None else f"{level.level:g}"
    told = [shown(math.nan if level.sigma is None else level.sigma, 2)] if evaluation.told else []
    return by, *told, *(shown(level.scores[name], DECIMALS[name]) for name in columns)


def _level_content(level: LevelScores) -> dict[str, Any]:
    return {
        "level": level.level,
        "sigma": level.sigma,
        "scores": _numbers(level.scores),
        "per_image": [_image_content(image) for image in level.images],
    }


def _image_content(image: ImageScores) -> dict[str, Any]:
    return {
        "name": image.name,
        "height": image.size_hw[0],
        "width": image.size_hw[1],
        "sigma": image.sigma,
        "steps": image.steps,
        "finite": image.finite,
        "task_ms": round(image.task_ms, 3),
        "scores": _numbers(image.scores),
    }


def _numbers(scores: dict[str, float]) -> dict[str, float | None]:
    return {name: number(value) for name, value in scores.items()}
