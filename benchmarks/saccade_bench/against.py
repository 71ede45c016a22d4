"""A run against an earlier one: which arms need more CPU time than they did, measured by a yardstick in both.

A shared machine has fast and slow minutes, which arms and yardstick need not feel alike: the arm's time goes as the
yardstick's to a power near 1, which the rounds of both runs tell. What is left between the runs is the change (an
analysis of covariance of the logarithms).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from saccade.errors import RequestError
from saccade_bench.document import ArmReport, Document
from saccade_bench.samples import CONFIDENCE, RESAMPLES

USUAL_SPREAD = 0.1
"""Of the yardstick's logarithms. Where they spread less there are no minutes to tell apart: the power is taken as 1."""


@dataclass(frozen=True)
class Change:
    """An arm's CPU time over what it was at the yardstick's same time, with the 99 % interval."""

    name: str
    middle: float
    low: float
    high: float

    def is_slower_than(self, share: float) -> bool:
        """Whether it needs more than ``share`` more, beyond chance: all of the interval is above 1."""
        return self.middle > 1 + share and self.low > 1


def changes(now: Document, before: Document) -> list[Change]:
    """Of the arms that both documents have, by name. Raises ``RequestError`` where there is none, or no yardstick."""
    yardsticks = [found.by_role("yardstick") for found in (now, before)]
    if not all(yardsticks):
        raise RequestError("a run is compared by its yardstick, which one of the two lacks; run saccade bench again")
    names = [arm.name for arm in now.by_role("arm") if before.arm(arm.name) is not None]
    if not names:
        had = ", ".join(arm.name for arm in before.by_role("arm"))
        raise RequestError(f"the earlier run has none of these arms: it has {had}")
    sticks = [found[0] for found in yardsticks]
    return [_change(name, list(zip((now.arm(name), before.arm(name)), sticks, strict=True))) for name in names]


def _change(name: str, pairs: Sequence[tuple[ArmReport | None, ArmReport]]) -> Change:
    logs: list[npt.NDArray[np.float64]] = []
    for arm, yardstick in pairs:
        assert arm is not None
        both = [(one, two) for one, two in zip(arm.cpu, yardstick.cpu, strict=True) if one and two]
        logs.append(np.log([[np.median(two), np.median(one)] for one, two in both]))
    random = np.random.default_rng(0)
    drawn = [_apart([log[random.integers(len(log), size=len(log))] for log in logs]) for _ in range(RESAMPLES)]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, (tail, 1 - tail))
    return Change(name, *(float(np.exp(each)) for each in (_apart(logs), low, high)))


def _apart(logs: Sequence[npt.NDArray[np.float64]]) -> float:
    """How far the logarithm of the first run's arm is above the second's, of rows (yardstick, arm), one a round."""
    centres = [np.median(log, axis=0) for log in logs]
    spread = np.concatenate([log - centre for log, centre in zip(logs, centres, strict=True)])
    usual = len(spread) * USUAL_SPREAD**2
    slope = (spread[:, 0] @ spread[:, 1] + usual) / (spread[:, 0] @ spread[:, 0] + usual)
    now, before = (_trimmed_mean(log[:, 1] - slope * log[:, 0]) for log in logs)
    return now - before


def _trimmed_mean(values: npt.NDArray[np.float64]) -> float:
    """Without a tenth at each end. A median would jump between fast and slow minutes where the power is not exact."""
    cut = len(values) // 10
    return float(np.mean(np.sort(values)[cut : len(values) - cut]))
