"""All arms of a benchmark in turns: A B C C B A, each a process that lives from the first round to the last."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field

from saccade_bench.arms import WARM_RUNS, Arm, RunningArm, Start, Turn
from saccade_bench.stream_report import Window, window_of
from saccade_bench.streams import NEWEST

RUNS_A_TURN = 4
"""Short turns meet the same moments of a machine that changes its speed from second to second."""

FEWEST_ROUNDS = 8
GOLDEN = (5**0.5 - 1) / 2

WINDOWS = 4
"""Of each arm before a camera."""


@dataclass(frozen=True)
class Effort:
    """How much is measured of each arm: so many samples, but not for longer than ``most_s``.

    ``least_rounds`` are measured however long they take.
    """

    samples: int
    most_s: float
    least_rounds: int = FEWEST_ROUNDS


TIERS = {
    "smoke": Effort(samples=64, most_s=6.0),
    "quick": Effort(samples=662, most_s=45.0),
    "publish": Effort(samples=6636, most_s=600.0),
}
"""Samples for p90, for p99 and for p99.9: see ``samples.least_samples``."""


@dataclass
class Measured:
    """An arm's start and its turns, one or None for each round; of a camera of constant rate its windows."""

    arm: Arm
    start: Start
    turns: list[Turn | None] = field(default_factory=list[Turn | None])
    windows: list[Window] = field(default_factory=list)

    def rounds(self, what: str) -> list[tuple[float, ...]]:
        """Milliseconds by round, none in those that it sat out: ``what`` is "wall", "cpu" or "engine"."""
        return [() if turn is None else getattr(turn, f"{what}_ms") for turn in self.turns]

    @property
    def peak_mb(self) -> float:
        return max((turn.peak_mb for turn in self.turns if turn is not None), default=self.start.peak_mb)


Tell = Callable[[str, int, int], None]
"""Told what is done, how many of its steps are done, and of how many."""

Watch = Callable[[Sequence[int]], None]
"""Given the processes of the arms before the first turn."""


def in_turns(
    arms: Sequence[Arm], effort: Effort, tell: Tell = lambda *_: None, watch: Watch = lambda _: None
) -> list[Measured]:
    """Time ``arms`` on one batch after the other, each on its own. Raises ``CheckError`` for one that fails.

    An arm that would take longer than is allowed sits out rounds, evenly spread, so that the others lose none.
    """
    with _opened(arms, tell) as (running, found):
        watch([each.pid for each in running])
        allowed = [_rounds(each, effort) for each in running]
        rounds = max(allowed)
        for number, index in _order(len(arms), rounds):
            tell(arms[index].name, sum(len(each.turns) for each in found), rounds * len(arms))
            turn = None
            if takes_part(number, rounds, allowed[index]):
                turn = running[index].run(number * RUNS_A_TURN * arms[index].batch, RUNS_A_TURN)
            found[index].turns.append(turn)
    return found


def in_long_turns(
    arms: Sequence[Arm], rounds: int, tell: Tell = lambda *_: None, watch: Watch = lambda _: None
) -> list[Measured]:
    """Time ``arms`` whose runs take seconds: one a round, after the first one of each that does not count.

    Raises ``CheckError`` for one that fails.
    """
    with _opened(arms, tell) as (running, found):
        watch([each.pid for each in running])
        for number, index in _order(len(arms), rounds):
            tell(arms[index].name, sum(len(each.turns) for each in found), rounds * len(arms))
            found[index].turns.append(running[index].run(number, 1, warm=0))
    return found


def before_a_camera(
    arms: Sequence[Arm],
    effort: Effort,
    fps: float,
    policy: str = NEWEST,
    tell: Tell = lambda *_: None,
    watch: Watch = lambda _: None,
) -> list[Measured]:
    """Show the arms in turns what a camera of ``fps`` gives, for as long as is allowed.

    Raises ``CheckError`` for one that fails or loses frames.
    """
    count = max(2, round(effort.most_s / WINDOWS * fps))
    with _opened(arms, tell) as (running, found):
        watch([each.pid for each in running])
        for number, index in _order(len(arms), WINDOWS):
            tell(arms[index].name, sum(len(each.windows) for each in found), WINDOWS * len(arms))
            running[index].run(0, 1)
            said = running[index].stream(fps, count, policy, first=number * count)
            found[index].windows.append(window_of(fps, said))
    return found


def takes_part(number: int, rounds: int, allowed: int) -> bool:
    """Whether round ``number`` of ``rounds`` is one of the ``allowed`` ones, spread over all of them.

    Whoever is allowed fewer takes part in some of the same rounds: two arms meet in as many as the slower one has.
    """
    own = _place(number)
    return sum(_place(other) < own for other in range(rounds)) < allowed


def _place(number: int) -> float:
    """From 0 to 1: multiples of the golden section, of which any lowest ones are far apart in ``number``."""
    return number * GOLDEN % 1


@contextmanager
def _opened(arms: Sequence[Arm], tell: Tell) -> Generator[tuple[list[RunningArm], list[Measured]], None, None]:
    """All arms, ready. Each opens while the others rest, so that its start is its own.

    It is the second start that counts: files are in memory then, and what an engine keeps of a graph is kept.
    """
    with ExitStack() as stack:
        running: list[RunningArm] = []
        found: list[Measured] = []
        for index, arm in enumerate(arms):
            tell(f"opening {arm.name}", index, len(arms))
            with closing(RunningArm(arm)) as before:
                before.wait_until_ready()
            running.append(RunningArm(arm))
            stack.callback(running[-1].close)
            found.append(Measured(arm, running[-1].wait_until_ready()))
        yield running, found


def _order(arms: int, rounds: int) -> Iterator[tuple[int, int]]:
    """The number of the round and of the arm, there and back again."""
    for number in range(rounds):
        for index in range(arms) if number % 2 == 0 else reversed(range(arms)):
            yield number, index


def _rounds(arm: RunningArm, effort: Effort) -> int:
    """As many as give the samples that are wanted, unless that takes longer than is allowed."""
    seconds = min(arm.run(0, RUNS_A_TURN).wall_ms) * (RUNS_A_TURN + WARM_RUNS) / 1000
    return max(effort.least_rounds, min(-(-effort.samples // RUNS_A_TURN), int(effort.most_s / seconds)))
