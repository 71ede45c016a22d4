"""Ways of doing one work, timed in turns: whatever the machine does meanwhile, it does to all of them.

Each has a process of its own, since idle threads of two libraries in one process get in each other's way, and they take
turns in the order A B B A.
"""

from __future__ import annotations

import itertools
import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from saccade.errors import CheckError

WARM_CALLS = 5


@dataclass(frozen=True)
class Timing:
    """A way's median time, and how many times as fast as another one it is.

    ``speedup`` is the median over the rounds, of which ``lowest`` and ``highest`` are the ends.
    """

    milliseconds: float
    speedup: float
    lowest: float
    highest: float


def timing(first: Sequence[float], own: Sequence[float]) -> Timing:
    """Of the medians of each round: the other way's, and this way's own."""
    ratios = [before / after for before, after in zip(first, own, strict=True)]
    return Timing(statistics.median(own), statistics.median(ratios), min(ratios), max(ratios))


Way = tuple[Callable[..., None], tuple[Any, ...]]
"""A function that ends in ``serve``, and its arguments after the connection; both must be picklable."""


def take_turns(ways: Mapping[str, Way], rounds: int) -> dict[str, list[list[float]]]:
    """The milliseconds of each call of each of ``rounds`` rounds, by way; the first begins when all ways are ready.

    Raises ``CheckError`` for a way whose process ends before its work.
    """
    context = multiprocessing.get_context("spawn")
    order = itertools.cycle((tuple(ways), tuple(ways)[::-1]))
    taken: dict[str, list[list[float]]] = {name: [] for name in ways}
    arms: dict[str, _Arm] = {}
    try:
        for name, (target, arguments) in ways.items():
            arms[name] = _Arm(name, context, target, arguments)
        for arm in arms.values():
            arm.wait_until_ready()
        for turn in itertools.islice(order, rounds):
            for name in turn:
                taken[name].append(arms[name].run())
    finally:
        for arm in arms.values():
            arm.close()
    return taken


def serve(connection: Connection, calls: list[Callable[[], Any]], warm: int = WARM_CALLS) -> None:
    """Time every one of ``calls`` whenever the other side asks, after ``warm`` calls that are not timed.

    As many go before the word that this side is ready.
    """

    def warm_up() -> None:
        for call in itertools.islice(itertools.cycle(calls), warm):
            call()

    warm_up()
    connection.send("ready")
    while connection.recv():
        warm_up()
        times: list[float] = []
        for call in calls:
            started = time.perf_counter_ns()
            call()
            times.append((time.perf_counter_ns() - started) / 1e6)
        connection.send(times)


class _Arm:
    """A process that times one way of doing the work, a round whenever it is asked."""

    def __init__(self, name: str, context: Any, target: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self._name = name
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=target, args=(theirs, *arguments), daemon=True)
        self._process.start()
        theirs.close()  # else nobody would notice the end of the process

    def wait_until_ready(self) -> None:
        self._receive()

    def run(self) -> list[float]:
        """Milliseconds of each call of one round."""
        with suppress(OSError):  # it may have ended by itself, which receiving tells
            self._connection.send(True)
        return self._receive()

    def close(self) -> None:
        with suppress(OSError):  # it may have ended by itself
            self._connection.send(False)
        self._process.join(10)

    def _receive(self) -> Any:
        try:
            return self._connection.recv()
        except (EOFError, OSError) as error:
            raise CheckError(f"the process of {self._name!r} ended before its work; see what it wrote") from error
