"""Arms in processes of their own: what they are asked, in which order, and what is told when one fails."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import saccade_bench
from saccade.errors import CheckError
from saccade_bench.arms import Arm, RunningArm
from saccade_bench.samples import ratio_of
from saccade_bench.turns import Effort, before_a_camera, in_turns, takes_part

TINY = """
import sys, time
from saccade_bench.serving import Way, serve

def open_way(spec):
    print("chatter of a library")
    if "refuses" in spec:
        raise ValueError(spec["refuses"])
    seen = open(spec["seen"], "a")

    def run(index):
        if index >= spec.get("dies_at", 10**9):
            print("last words", file=sys.stderr)
            sys.stderr.flush()
            import os
            os._exit(7)
        if index >= spec.get("fails_at", 10**9):
            raise RuntimeError("no such frame")
        print(spec["name"], index, file=seen, flush=True)
        until = time.process_time() + spec.get("cpu_s", 0.0)
        while time.process_time() < until:
            pass

    return Way(run, engine_ns=lambda: 5, about={"engine": "tiny"})

serve(open_way)
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.py"
    path.write_text(TINY)
    return path


def arm(tiny: Path, name: str = "a", **spec: Any) -> Arm:
    source = str(Path(saccade_bench.__file__).parents[1])
    seen = {"name": name, "seen": str(tiny.parent / "seen.txt")}
    return Arm(name, str(tiny), {**seen, **spec}, environment={"PYTHONPATH": source})


def seen(tiny: Path) -> list[str]:
    return (tiny.parent / "seen.txt").read_text().splitlines()


def test_runs_are_timed_by_the_clock_and_by_the_processor(tiny: Path) -> None:
    running = RunningArm(arm(tiny, cpu_s=0.01))
    start = running.wait_until_ready()
    assert start.about == {"engine": "tiny"}
    assert 0 < start.imported_ms <= start.opened_ms < start.first_ms
    turn = running.run(3, 2, warm=1)
    running.close()
    assert seen(tiny) == ["a 0", "a 3", "a 3", "a 4"]
    assert len(turn.wall_ms) == len(turn.cpu_ms) == 2
    assert min(turn.wall_ms) >= min(turn.cpu_ms) * 0.9 >= 8
    assert turn.engine_ms == (5e-6, 5e-6)
    assert 1 < turn.peak_mb < 200


def test_several_frames_at_once_are_run_one_by_one_where_the_way_takes_no_more(tiny: Path) -> None:
    running = RunningArm(replace(arm(tiny), batch=3))
    running.wait_until_ready()
    running.run(0, 2, warm=0)
    running.close()
    assert seen(tiny) == ["a 0", *(f"a {index}" for index in range(6))]


def test_arms_go_there_and_back_again(tiny: Path) -> None:
    found = in_turns([arm(tiny, name, cpu_s=0.001) for name in "abc"], Effort(samples=32, most_s=10))
    assert [len(each.turns) for each in found] == [8, 8, 8]
    order = [line.split()[0] for line in seen(tiny) if line.split()[1] != "0"]
    blocks = [name for index, name in enumerate(order) if index == 0 or order[index - 1] != name]
    assert "".join(blocks) == "abc" + "a" + 4 * "bcba"  # first each arm tells how long it takes


def test_nothing_takes_longer_than_is_allowed(tiny: Path) -> None:
    found = in_turns([arm(tiny, cpu_s=0.02)], Effort(samples=6636, most_s=1.0))
    assert 8 <= len(found[0].turns) <= 10


def test_a_slow_arm_sits_out_rounds_and_takes_none_from_the_others(tiny: Path) -> None:
    arms = [arm(tiny, "a", cpu_s=0.001), arm(tiny, "b", cpu_s=0.02)]
    fast, slow = in_turns(arms, Effort(samples=160, most_s=1.0))
    assert len(fast.turns) == len(slow.turns) == 40
    assert sum(len(turn) for turn in fast.rounds("wall")) == 160
    taken = [number for number, turn in enumerate(slow.rounds("wall")) if turn]
    assert 8 <= len(taken) <= 10
    assert max(later - earlier for earlier, later in pairwise(taken)) <= 3 * 40 / len(taken)
    assert ratio_of(slow.rounds("cpu"), fast.rounds("cpu")).middle > 5


@pytest.mark.parametrize(("rounds", "allowed"), [(40, 40), (40, 8), (166, 45), (8, 8), (10, 3)])
def test_as_many_rounds_are_taken_part_in_as_are_allowed(rounds: int, allowed: int) -> None:
    taken = [number for number in range(rounds) if takes_part(number, rounds, allowed)]
    assert len(taken) == allowed
    assert max(later - earlier for earlier, later in pairwise(taken)) <= 3 * rounds / allowed


def test_arms_meet_in_as_many_rounds_as_the_slower_one_has() -> None:
    """An arm and its second process are allowed nearly as many, and tell the noise by those that they share."""
    sets = [{number for number in range(166) if takes_part(number, 166, allowed)} for allowed in (8, 20, 21, 100, 166)]
    for fewer, more in pairwise(sets):
        assert fewer <= more


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"refuses": "no such network"}, "'a' failed: ValueError: no such network"),
        ({"fails_at": 1}, "'a' failed: RuntimeError: no such frame"),
        ({"dies_at": 1}, r"the process of 'a' ended before its work \(exit code 7\); it wrote:\n.*last words"),
    ],
)
def test_what_fails_is_told_with_its_last_words(tiny: Path, spec: dict[str, Any], said: str) -> None:
    with pytest.raises(CheckError, match=f"(?s){said}"):
        in_turns([arm(tiny, **spec)], Effort(samples=32, most_s=1))


def test_a_python_that_is_not_there_is_told(tiny: Path) -> None:
    broken = Arm("a", "saccade_bench.ways.absent", {})
    with pytest.raises(CheckError, match=r"(?s)ended before its work.*No module named"):
        in_turns([broken], Effort(samples=32, most_s=1))


def test_a_camera_shows_every_arm_as_many_frames(tiny: Path) -> None:
    arms = [arm(tiny, name, cpu_s=0.004) for name in "ab"]
    found = before_a_camera(arms, Effort(samples=64, most_s=1.2), fps=50)
    assert [[len(window.published_ms) for window in each.windows] for each in found] == [[15] * 4] * 2
