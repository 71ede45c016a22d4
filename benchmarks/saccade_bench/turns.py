"""Ways of doing one work, timed in turns: whatever the machine does meanwhile, it does to all of them.

Each has a process of its own, since idle threads of two libraries in one process get in each other's way, and they take
turns in the order A B B A.
"""

from __future__ import annotations

import itertools
import multiprocessing
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

WARM_CALLS = 5

Way = tuple[Callable[..., None], tuple[Any, ...]]
"""A function that ends in ``serve``, and its arguments after the connection; both must be picklable."""


def take_turns(ways: Mapping[str, Way], rounds: int) -> dict[str, list[list[float]]]:
    """The milliseconds of each call of each of ``rounds`` rounds, by way."""
    context = multiprocessing.get_context("spawn")
    arms = {name: _Arm(context, target, arguments) for name, (target, arguments) in ways.items()}
    order = itertools.cycle((tuple(arms), tuple(reversed(arms))))
    taken: dict[str, list[list[float]]] = {name: [] for name in arms}
    try:
        for turn in itertools.islice(order, rounds):
            for name in turn:
                taken[name].append(arms[name].run())
    finally:
        for arm in arms.values():
            arm.close()
    return taken


def serve(connection: Connection, calls: list[Callable[[], Any]], warm: int = WARM_CALLS) -> None:
    """Time every one of ``calls`` whenever the other side asks, after ``warm`` calls that are not timed."""
    while connection.recv():
        for call in itertools.islice(itertools.cycle(calls), warm):
            call()
        times: list[float] = []
        for call in calls:
            started = time.perf_counter_ns()
            call()
            times.append((time.perf_counter_ns() - started) / 1e6)
        connection.send(times)


class _Arm:
    """A process that times one way of doing the work, a round whenever it is asked."""

    def __init__(self, context: Any, target: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=target, args=(theirs, *arguments), daemon=True)
        self._process.start()

    def run(self) -> list[float]:
        """Milliseconds of each call of one round."""
        self._connection.send(True)
        return self._connection.recv()

    def close(self) -> None:
        self._connection.send(False)
        self._process.join(10)
