"""Scores of a restorer on images whose clean state is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from saccade.evaluation.clean_images import Sample
from saccade.evaluation.degradations import Degraded
from saccade.metrics.high_band import energy_kept, noise_correlation
from saccade.metrics.psnr import as_shown, psnr
from saccade.metrics.quality import gmsd, quality_library, ssim
from saccade.results import Restoration
from saccade.spec import Restoring
from saccade.tasks.restore import RestoreTask
from saccade.tasks.restore_request import Sigma, Steps

SCORES = ("psnr", "input_psnr", "ssim", "gmsd", "high_band", "noise_correlation")
LOWER_IS_BETTER = ("gmsd", "noise_correlation")
PERCEIVED = ("ssim", "gmsd")
"""Scores that need ``cv2.quality``."""


@dataclass(frozen=True)
class ImageScores:
    """What was reached on one image.

    ``sigma`` is what the restorer went by, None where the mode has none; ``steps`` are those taken. ``scores`` are
    those of ``SCORES``, of the result clamped to 0..255 and rounded; NaN where a score has no meaning or its library is
    missing, and where the result is not ``finite``.
    """

    name: str
    size_hw: tuple[int, int]
    sigma: float | None
    steps: int
    finite: bool
    task_ms: float
    scores: dict[str, float]


@dataclass(frozen=True)
class LevelScores:
    """What was reached on images degraded alike: by ``level``, None where nobody knows by how much."""

    level: float | None
    images: tuple[ImageScores, ...]

    @property
    def scores(self) -> dict[str, float]:
        """The mean of each score over the images that have it; NaN where none has."""
        return {name: _mean([image.scores[name] for image in self.images]) for name in SCORES}

    @property
    def sigma(self) -> float | None:
        """The mean of what the restorer went by."""
        used = [image.sigma for image in self.images if image.sigma is not None]
        return _mean(used) if used else None


@dataclass(frozen=True)
class RestorationEvaluation:
    """What a restorer reached at each level of degradation.

    ``entry`` is the type of frames that it got, ``told`` how it knew sigma ("known", "measured", "tiles"), None where
    the mode has none, ``steps`` what was asked for. ``has_perceived`` says whether SSIM and GMSD could be computed.
    """

    mode: Restoring
    entry: str
    told: str | None
    steps: Steps
    levels: tuple[LevelScores, ...]
    has_perceived: bool

    @property
    def scores(self) -> dict[str, float]:
        """The scores by name, those of ``SCORES``: at several levels, each at the level where it is worst."""
        found = {name: [level.scores[name] for level in self.levels] for name in SCORES}
        return {
            name: float(np.max(values) if name in LOWER_IS_BETTER else np.min(values)) for name, values in found.items()
        }

    @property
    def images(self) -> int:
        return len(self.levels[0].images)

    @property
    def not_finite(self) -> int:
        """How many results mean nothing."""
        return sum(not image.finite for level in self.levels for image in level.images)

    @property
    def task_ms(self) -> float:
        """The mean time from frame to result."""
        return _mean([image.task_ms for level in self.levels for image in level.images])


def evaluate_restoration(
    task: RestoreTask,
    samples: Iterable[Sample],
    level: float | None,
    *,
    entry: str,
    sigma: Sigma = None,
    steps: Steps = "auto",
    tile: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> LevelScores:
    """Restore every frame of ``samples`` with ``task`` and score it against its clean image.

    ``level`` is by how much they were degraded; ``entry`` is the type in which frames are given, "uint8" or "float32".
    ``sigma``, ``steps`` and ``tile`` are as in ``RestoreTask.submit``. ``progress`` is called after each image with the
    number done. Raises ``RequestError`` for what the task cannot be asked, ``DatasetError`` for an unreadable image.
    """
    has_perceived = quality_library() is not None
    images: list[ImageScores] = []
    for name, degraded in samples:
        frame = degraded.entering(entry)
        result = task(frame, sigma=sigma, mask=degraded.mask, steps=steps, tile=tile, **degraded.light)
        images.append(
            ImageScores(
                name=name,
                size_hw=(degraded.clean.shape[0], degraded.clean.shape[1]),
                sigma=result.sigma,
                steps=result.steps,
                finite=result.finite,
                task_ms=result.timing.total_ms,
                scores=_scores(degraded, entry, result, task.spec.mode, has_perceived),
            )
        )
        if progress is not None:
            progress(len(images))
    return LevelScores(level, tuple(images))


def _scores(
    degraded: Degraded, entry: str, result: Restoration, mode: Restoring, has_perceived: bool
) -> dict[str, float]:
    clean = degraded.clean
    scores = {**dict.fromkeys(SCORES, math.nan), "input_psnr": psnr(degraded.baseline, clean)}
    if not result.finite:
        return scores
    shown = as_shown(result.image)
    scores |= {"psnr": psnr(shown, clean), "high_band": energy_kept(shown, clean)}
    if has_perceived:
        scores |= {"ssim": ssim(shown, clean), "gmsd": gmsd(shown, clean)}
    if mode == "denoise":
        scores["noise_correlation"] = noise_correlation(shown, degraded.entering(entry), clean)
    return scores


def _mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan
