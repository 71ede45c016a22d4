"""What samples of a noisy machine allow to be said: percentiles with bounds, ratios with intervals, the noise floor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.99
PERCENTS = (50.0, 90.0, 99.0, 99.9)
RESAMPLES = 2000
FLOORS_APART = 2.0
"""A difference counts from this many times the noise floor on."""


@dataclass(frozen=True)
class Percentile:
    """A percentile of samples, and what the true one does not exceed with a confidence of 99 %."""

    percent: float
    value: float
    upper: float


@dataclass(frozen=True)
class Ratio:
    """The median over rounds of one arm's time over another's, and the 99 % interval of that median."""

    middle: float
    low: float
    high: float

    @property
    def floor(self) -> float:
        """How far from 1 the interval reaches, up or down alike: the noise, where both arms are the same."""
        return max(self.high, 1 / self.low) - 1

    def is_detected(self, floor: float) -> bool:
        """Whether the arms differ by more than ``floor`` allows and the interval lies on one side of 1.

        Whichever of the two comes first: the slower one's time over the faster one's is what counts.
        """
        apart = max(self.middle, 1 / self.middle) - 1
        return apart > FLOORS_APART * floor and not self.low <= 1 <= self.high


@cache
def least_samples(percent: float) -> int:
    """How many samples a percentile needs: so many that the second largest is a 99 % upper bound of it.

    64, 662 and 6,636 for 90, 99 and 99.9. From there on one accident cannot be the bound.
    """
    share = percent / 100
    count = 2
    while share**count + count * (1 - share) * share ** (count - 1) > 1 - CONFIDENCE:
        count += 1
    return count


def percentile(samples: npt.NDArray[np.float64] | Sequence[float], percent: float) -> Percentile | None:
    """A percentile of ``samples``, None where they are too few for it, see ``least_samples``.

    The bound is an order statistic, whatever the distribution (Conover, Practical Nonparametric Statistics, 3.2).
    """
    ordered = np.sort(np.asarray(samples, np.float64))
    count = len(ordered)
    if count < least_samples(percent):
        return None
    rank = math.ceil(percent / 100 * count)
    return Percentile(percent, float(ordered[rank - 1]), float(ordered[_rank_above(percent / 100, count) - 1]))


def percentiles(samples: npt.NDArray[np.float64] | Sequence[float]) -> list[Percentile]:
    """Those of ``PERCENTS`` that there are enough samples for."""
    return [found for percent in PERCENTS if (found := percentile(samples, percent)) is not None]


def ratio_of(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> Ratio:
    """The time of one arm over another's, from the samples of each round in which both had their turn.

    A round's ratio is that of its medians; the interval is that of the median over resampled rounds.
    """
    both = [(one, other) for one, other in zip(ours, theirs, strict=True) if len(one) and len(other)]
    ratios = np.array([np.median(one) / np.median(other) for one, other in both])
    drawn = np.random.default_rng(0).choice(ratios, (RESAMPLES, len(ratios)))
    medians = np.sort(np.median(drawn, axis=1))
    tail = (1 - CONFIDENCE) / 2
    return Ratio(float(np.median(ratios)), float(np.quantile(medians, tail)), float(np.quantile(medians, 1 - tail)))


def _rank_above(share: float, count: int) -> int:
    """The least rank whose order statistic the true quantile exceeds with a chance below 1 %."""
    chance, rank = 0.0, count
    while rank > 0:
        # The chance that exactly ``rank`` samples are below the quantile: from the largest down until it is 1 %.
        chance += math.exp(
            math.lgamma(count + 1)
            - math.lgamma(rank + 1)
            - math.lgamma(count - rank + 1)
            + rank * math.log(share)
            + (count - rank) * math.log1p(-share)
        )
        if chance > 1 - CONFIDENCE:
            return rank + 1
        rank -= 1
    return 1
