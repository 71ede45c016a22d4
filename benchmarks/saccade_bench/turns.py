"""All arms of a benchmark in turns: A B C C B A, each a process that lives from the first round to the last."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from saccade_bench.arms import WARM_RUNS, Arm, RunningArm, Start, Turn

RUNS_A_TURN = 4
"""Short turns meet the same moments of a machine that changes its speed from second to second."""

FEWEST_ROUNDS = 8


@dataclass(frozen=True)
class Effort:
    """How much is measured of each arm: so many samples, but not for longer than ``most_s``."""

    samples: int
    most_s: float


TIERS = {
    "smoke": Effort(samples=64, most_s=6.0),
    "quick": Effort(samples=662, most_s=45.0),
    "publish": Effort(samples=6636, most_s=600.0),
}
"""Samples for p90, for p99 and for p99.9: see ``samples.least_samples``."""


@dataclass
class Measured:
    """An arm's start and its turns, a turn a round."""

    arm: Arm
    start: Start
    turns: list[Turn] = field(default_factory=list)

    def rounds(self, what: str) -> list[tuple[float, ...]]:
        """Milliseconds by round: ``what`` is "wall", "cpu" or "engine"."""
        return [getattr(turn, f"{what}_ms") for turn in self.turns]

    def samples(self, what: str) -> list[float]:
        return list(itertools.chain.from_iterable(self.rounds(what)))

    @property
    def peak_mb(self) -> float:
        return max(turn.peak_mb for turn in self.turns)


Tell = Callable[[str, int, int], None]
"""Told what is done, how many of its steps are done, and of how many."""


def measure(
    arms: Sequence[Arm],
    effort: Effort,
    tell: Tell = lambda *_: None,
    watch: Callable[[Sequence[int]], None] = lambda _: None,
) -> list[Measured]:
    """Time ``arms`` in turns. Each opens while the others rest, so that its start is its own.

    ``watch`` is given the processes before the first turn. Raises ``CheckError`` for an arm that fails.
    """
    with ExitStack() as stack:
        running: list[RunningArm] = []
        found: list[Measured] = []
        for index, arm in enumerate(arms):
            tell(f"opening {arm.name}", index, len(arms))
            running.append(RunningArm(arm))
            stack.callback(running[-1].close)
            found.append(Measured(arm, running[-1].wait_until_ready()))
        watch([each.pid for each in running])
        rounds = min(_rounds(each, effort) for each in running)
        order = itertools.cycle((range(len(arms)), range(len(arms))[::-1]))
        for number, turn in enumerate(itertools.islice(order, rounds)):
            for place, index in enumerate(turn):
                tell(f"round {number + 1}: {arms[index].name}", number * len(arms) + place, rounds * len(arms))
                found[index].turns.append(running[index].run(number * RUNS_A_TURN, RUNS_A_TURN))
        return found


def _rounds(arm: RunningArm, effort: Effort) -> int:
    """As many as give the samples that are wanted, unless that takes longer than is allowed."""
    seconds = min(arm.run(0, RUNS_A_TURN).wall_ms) * (RUNS_A_TURN + WARM_RUNS) / 1000
    return max(FEWEST_ROUNDS, min(-(-effort.samples // RUNS_A_TURN), int(effort.most_s / seconds)))
