"""``--at-least``: scores that must be reached, each in its own range."""

from __future__ import annotations

import math
from dataclasses import dataclass

from saccade.errors import RequestError
from saccade.evaluation import detect, restore, segment
from saccade.evaluation.report import Evaluation

SCORES = {"detect": detect.SCORES, "segment": segment.SCORES, "restore": restore.SCORES}
"""The scores of each kind of bundle."""

UNBOUNDED = {"psnr": 30, "input_psnr": 20, "high_band": 0.8}
"""Scores that may be above 1, and what one may ask of them."""


@dataclass(frozen=True)
class Floor:
    """A score, and the least that it must be."""

    score: str
    at_least: float

    def holds(self, evaluation: Evaluation) -> bool:
        """Whether the score is as high; one that is NaN is not."""
        return evaluation.scores[self.score] >= self.at_least


def read_floor(text: str, kind: str) -> Floor:
    """``SCORE=VALUE`` for a bundle of ``kind``. Raises ``RequestError``."""
    name, _, value = text.partition("=")
    names = [name for name in SCORES[kind] if name not in restore.LOWER_IS_BETTER]
    if name not in names:
        lower = f"{name!r} is better the lower it is" if name in SCORES[kind] else f"there is no score {name!r}"
        raise RequestError(f"--at-least {text}: {lower}; there are {', '.join(names)}")
    try:
        least = float(value)
    except ValueError:
        least = math.nan
    if name in UNBOUNDED and not 0 <= least < math.inf:
        raise RequestError(f"--at-least {text}: the score must be a number from 0, as in {name}={UNBOUNDED[name]:g}")
    if name not in UNBOUNDED and not 0 <= least <= 1:
        raise RequestError(f"--at-least {text}: the score must be a number from 0 to 1, as in {name}=0.5")
    return Floor(name, least)
