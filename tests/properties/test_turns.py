"""Ways that take turns: none begins before all are ready, and one that ends early is told."""

from __future__ import annotations

import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from saccade.errors import CheckError
from saccade.turns import serve, take_turns

SLOW_START_S = 1.5


def at_once(connection: Connection, log: Path) -> None:
    serve(connection, [lambda: stamp(log, "at once")], warm=1)


def late(connection: Connection, log: Path) -> None:
    time.sleep(SLOW_START_S)
    stamp(log, "late and ready")
    serve(connection, [lambda: stamp(log, "late")], warm=1)


def never(connection: Connection) -> None:
    connection.close()


def stamp(log: Path, word: str) -> None:
    with log.open("a") as file:
        file.write(f"{word}\n")


def test_no_turn_begins_before_all_are_ready(tmp_path: Path) -> None:
    log = tmp_path / "log"
    taken = take_turns({"first": (at_once, (log,)), "second": (late, (log,))}, rounds=3)
    assert {name: [len(times) for times in turns] for name, turns in taken.items()} == {
        "first": [1, 1, 1],
        "second": [1, 1, 1],
    }
    words = log.read_text().splitlines()
    ready = words.index("late and ready")
    assert words[:ready] == ["at once"]  # its own warm call, and no turn
    # Each turn is a warm call and a timed one, in the order A B B A A B.
    assert words[ready + 2 :] == [word for way in "ABBAAB" for word in 2 * [{"A": "at once", "B": "late"}[way]]]


def test_a_process_that_ends_is_told(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(CheckError, match="the process of 'gone' ended before its work"):
        take_turns({"here": (at_once, (tmp_path / "log",)), "gone": (never, ())}, rounds=2)
    assert time.monotonic() - started < 60
