"""A run against an earlier one: what is slower is found on a machine that has another speed that day."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from saccade.errors import RequestError
from saccade_bench.against import changes
from saccade_bench.document import ArmReport, Document, as_content, document, read, to_json
from saccade_bench.stream_report import Window, stream_report


def arm(name: str, role: str, milliseconds: float, seed: int, noise: float = 0.02, speed: float = 1.0) -> ArmReport:
    random = np.random.default_rng(seed)
    turns = [[float(each) for each in milliseconds / speed * random.normal(1, noise, 4)] for _ in range(100)]
    return ArmReport(name, role, {"task": "segment"}, turns, turns, [], 10.0, 20.0, 30.0, 100.0)


def run_of(milliseconds: float, seed: int, speed: float = 1.0) -> Document:
    """A run on a machine of a speed, whose yardstick takes 20 ms at speed 1."""
    arms = [
        arm("a", "arm", milliseconds, seed, speed=speed),
        arm("a again", "again", milliseconds, seed + 1, speed=speed),
        arm("yardstick", "yardstick", 20.0, seed + 2, speed=speed),
    ]
    return document({"tier": "quick"}, {"cores": 2}, arms)


@pytest.mark.parametrize("speed", [1.0, 0.5])
def test_five_percent_more_is_found_whatever_the_machine_s_speed(speed: float) -> None:
    [change] = changes(run_of(52.5, 10, speed), run_of(50.0, 20))
    assert change.middle == pytest.approx(1.05, abs=0.01)
    assert change.is_slower_than(0.03)


def test_one_percent_more_is_no_change_and_neither_is_less() -> None:
    assert not changes(run_of(50.5, 10), run_of(50.0, 20))[0].is_slower_than(0.03)
    assert not changes(run_of(40.0, 10), run_of(50.0, 20))[0].is_slower_than(0.03)


@pytest.mark.parametrize(("share", "is_slower"), [(0.0, False), (0.01, False), (0.05, True)])
@pytest.mark.parametrize("power", [0.75, 1.0, 1.2])
def test_slow_minutes_that_an_arm_feels_in_its_own_way_are_no_change(
    share: float, is_slower: bool, power: float
) -> None:
    """One run has a third of slow minutes, the other two thirds; both are twice as slow for the yardstick."""

    def mixed(slow_rounds: int, milliseconds: float, seed: int) -> Document:
        random = np.random.default_rng(seed)
        speeds = np.where(np.arange(90) < slow_rounds, 2.0, 1.0)
        noisy = random.normal(1, 0.01, (2, 90, 4))
        arms = [
            replace(arm("a", "arm", 1.0, 1), cpu=(milliseconds * noisy[0] * speeds[:, None] ** power).tolist()),
            replace(arm("yardstick", "yardstick", 1.0, 1), cpu=(20 * noisy[1] * speeds[:, None]).tolist()),
        ]
        return Document({}, {}, arms)

    [change] = changes(mixed(60, 50.0 * (1 + share), 1), mixed(30, 50.0, 2))
    assert change.middle == pytest.approx(1 + share, abs=0.01)
    assert change.is_slower_than(0.03) == is_slower


def test_what_chance_may_have_done_is_no_change() -> None:
    random = np.random.default_rng(1)
    turns = (53.0 * np.exp(random.normal(0, 0.8, (100, 4)))).tolist()
    noisy = [replace(arm("a", "arm", 50.0, 1), cpu=turns), *run_of(50.0, 1).arms[1:]]
    [change] = changes(replace(run_of(50.0, 1), arms=noisy), run_of(50.0, 20))
    assert change.low < 1
    assert not change.is_slower_than(0.03)


def test_runs_without_a_common_arm_or_yardstick_are_refused() -> None:
    made = run_of(50.0, 1)
    other = replace(made, arms=[replace(made.arms[0], name="b"), *made.arms[1:]])
    with pytest.raises(RequestError, match="has none of these arms: it has b"):
        changes(made, other)
    with pytest.raises(RequestError, match="by its yardstick"):
        changes(made, replace(made, arms=made.arms[:2]))


def test_a_document_is_read_as_it_was_written(tmp_path: Path) -> None:
    window = Window(10.0, [0.0, 100.0], [0, 1], [1.0, 101.0], [50.0, 150.0], [])
    made = run_of(50.0, 1)
    made = replace(made, arms=[replace(made.arms[0], stream=stream_report([window] * 8, 100.0)), *made.arms[1:]])
    path = tmp_path / "bench.json"
    path.write_text(to_json(made))
    assert as_content(read(path)) == as_content(made)
    assert read(path).arms[0].stream == made.arms[0].stream


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is no document of saccade bench"),
        ("[]", "has schema None, and this version reads 1"),
        (json.dumps({"schema": 2}), "has schema 2, and this version reads 1; run saccade bench again"),
        (json.dumps({"schema": 1, "arms": []}), "is not as it should be"),
        (
            json.dumps({"schema": 1, "settings": {}, "machine": {}, "arms": [{}], "floors": {}}),
            "is not as it should be",
        ),
    ],
)
def test_what_is_no_document_is_told(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "old.json"
    path.write_text(content)
    with pytest.raises(RequestError, match=said):
        read(path)
