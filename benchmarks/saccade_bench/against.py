"""A run against an earlier one: which arms need more CPU time than they did, measured by a yardstick in both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from saccade.errors import RequestError
from saccade_bench.document import ArmReport, Document
from saccade_bench.samples import CONFIDENCE, RESAMPLES


@dataclass(frozen=True)
class Change:
    """An arm's CPU time over what it was, each divided by the yardstick's, with its 99 % interval."""

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
    random = np.random.default_rng(0)
    middles, drawn = [], []
    for arm, yardstick in pairs:
        assert arm is not None
        ratios = np.array([np.median(one) / np.median(two) for one, two in zip(arm.cpu, yardstick.cpu, strict=True)])
        middles.append(np.median(ratios))
        drawn.append(np.median(random.choice(ratios, (RESAMPLES, len(ratios))), axis=1))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn[0] / drawn[1], (tail, 1 - tail))
    return Change(name, float(middles[0] / middles[1]), float(low), float(high))
