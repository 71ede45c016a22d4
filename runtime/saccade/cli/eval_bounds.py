"""``--at-least`` and ``--at-most``: scores that must be reached, or may not be passed, each in its own range."""

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

    @property
    def sentence(self) -> str:
        return f"at least {self.at_least:g}"


@dataclass(frozen=True)
class Ceiling:
    """A score that is better the lower it is, and the most that it may be."""

    score: str
    at_most: float

    def holds(self, evaluation: Evaluation) -> bool:
        """Whether the score is as low; one that is NaN is not."""
        return evaluation.scores[self.score] <= self.at_most

    @property
    def sentence(self) -> str:
        return f"at most {self.at_most:g}"


Bound = Floor | Ceiling


def read_floor(text: str, kind: str) -> Floor:
    """``SCORE=VALUE`` for a bundle of ``kind``, of a score that is better the higher it is. Raises ``RequestError``."""
    return Floor(*_read("--at-least", text, kind, are_low=False))


def read_ceiling(text: str, kind: str) -> Ceiling:
    """``SCORE=VALUE`` for a bundle of ``kind``, of a score that is better the lower it is. Raises ``RequestError``."""
    return Ceiling(*_read("--at-most", text, kind, are_low=True))


def _read(option: str, text: str, kind: str, *, are_low: bool) -> tuple[str, float]:
    name, _, value = text.partition("=")
    names = [name for name in SCORES[kind] if (name in restore.LOWER_IS_BETTER) == are_low]
    if name not in names:
        other = "higher it is; take --at-least" if are_low else "lower it is; take --at-most"
        wrong = f"{name!r} is better the {other}" if name in SCORES[kind] else f"there is no score {name!r}"
        raise RequestError(f"{option} {text}: {wrong}; there are {', '.join(names) or 'none'}")
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if name in UNBOUNDED and not 0 <= number < math.inf:
        raise RequestError(f"{option} {text}: the score must be a number from 0, as in {name}={UNBOUNDED[name]:g}")
    if name not in UNBOUNDED and not 0 <= number <= 1:
        raise RequestError(f"{option} {text}: the score must be a number from 0 to 1, as in {name}=0.5")
    return name, number
