"""How long variants take from frame to result: each in a process of its own, in turns, against float32."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from saccade.bundle import open_bundle
from saccade.turns import Timing, serve, take_turns, timing
from saccade_export.precision.adding import Made, open_made
from saccade_export.precision.calls import Calls
from saccade_export.user_frames import Frame

AGAIN = "again"
"""The name of a second process of the first way, which shows what the machine's noise alone gives."""


def time_variants(
    path: Path, made: Mapping[str, Made], calls: Calls, rounds: int, threads: int | None = None
) -> dict[str, Timing]:
    """Time every variant of ``made``, of the bundle at ``path``, and the first once more as ``AGAIN``.

    Raises ``CheckError`` for a process that ended early.
    """
    frames, asked = calls
    arguments = [dict(asked(index)) for index in range(len(frames))]
    first = next(iter(made))
    ways = {**made, AGAIN: made[first]}
    taken = take_turns({name: (_serve, (path, way, frames, arguments, threads)) for name, way in ways.items()}, rounds)
    middles = {name: [statistics.median(turn) for turn in turns] for name, turns in taken.items()}
    return {name: timing(middles[first], turns) for name, turns in middles.items()}


def _serve(
    connection: Connection,
    path: Path,
    made: Made,
    frames: Sequence[Frame],
    arguments: Sequence[Mapping[str, Any]],
    threads: int | None,
) -> None:
    with open_made(open_bundle(path), [made], threads) as task:
        calls: list[Callable[[], Any]] = [
            partial(task, frame, **asked) for frame, asked in zip(frames, arguments, strict=True)
        ]
        serve(connection, calls)
