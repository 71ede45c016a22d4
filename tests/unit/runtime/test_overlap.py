"""Reading ahead and writing behind: order, errors, how far apart, and how both end."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from saccade.overlap import APART, ReadAhead, WriteBehind

SOON_S = 5.0


def until(condition: Callable[[], bool]) -> None:
    """Wait until ``condition()`` holds; a test that never sees it fails."""
    end = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("saccade-")}


def put_all(behind: WriteBehind, call: Callable[[int], None], count: int = 3) -> None:
    for number in range(count):
        behind.put(lambda number=number: call(number))


class TestReadAhead:
    def test_items_come_in_order_and_then_end(self) -> None:
        with ReadAhead(range(50)) as items:
            assert list(items) == list(range(50))
        assert not threads()

    def test_reading_goes_on_while_an_item_is_worked_on_and_no_further_than_allowed(self) -> None:
        read: list[int] = []

        def numbers() -> Iterator[int]:
            for number in range(50):
                read.append(number)
                yield number

        with ReadAhead(numbers()) as items:
            assert next(items) == 0
            until(lambda: len(read) == 1 + APART)
            time.sleep(0.05)
            assert len(read) == 1 + APART
        assert len(read) == 1 + APART
        assert not threads()

    def test_an_error_comes_after_the_items_before_it(self) -> None:
        def numbers() -> Iterator[int]:
            yield 1
            yield 2
            raise ValueError("the third is broken")

        taken: list[int] = []
        with pytest.raises(ValueError, match="third"), ReadAhead(numbers()) as items:
            taken.extend(items)
        assert taken == [1, 2]
        assert not threads()

    def test_what_cannot_be_begun_is_an_error_too(self) -> None:
        class Broken:
            def __iter__(self) -> Iterator[int]:
                raise ValueError("no such source")

        with pytest.raises(ValueError, match="no such source"), ReadAhead(Broken()) as items:
            next(items)

    def test_leaving_early_ends_the_reading(self) -> None:
        def endless() -> Iterator[int]:
            while True:
                yield 0

        with ReadAhead(endless()) as items:
            assert next(items) == 0
        assert not threads()


class TestWriteBehind:
    def test_calls_are_made_in_order_and_all_of_them(self) -> None:
        made: list[int] = []
        with WriteBehind() as behind:
            put_all(behind, made.append, 50)
        assert made == list(range(50))
        assert not threads()

    def test_a_slow_writer_holds_up_who_is_too_far_ahead(self) -> None:
        gate = threading.Event()
        put: list[int] = []
        with WriteBehind() as behind:

            def wait() -> None:
                assert gate.wait(SOON_S)

            def fill() -> None:
                for number in range(10):
                    behind.put(wait)
                    put.append(number)

            ahead = threading.Thread(target=fill)
            ahead.start()
            until(lambda: len(put) == 1 + APART)
            time.sleep(0.05)
            assert len(put) == 1 + APART
            gate.set()
            ahead.join(SOON_S)
            assert len(put) == 10

    def test_an_error_is_raised_at_the_next_call_and_none_is_made_after_it(self) -> None:
        made: list[int] = []

        def fail() -> None:
            raise OSError("the disk is full")

        with pytest.raises(OSError, match="full"), WriteBehind() as behind:
            put_all(behind, lambda number: made.append(number) if number else fail(), 50)
        assert not made
        assert not threads()

    def test_an_error_of_the_last_call_is_raised_at_the_end(self) -> None:
        def fail() -> None:
            raise OSError("the disk is full")

        with pytest.raises(OSError, match="full"), WriteBehind() as behind:
            behind.put(fail)

    def test_an_error_outside_is_not_hidden_by_one_inside(self) -> None:
        def fail() -> None:
            raise OSError("the disk is full")

        with pytest.raises(ValueError, match="invalid literal"), WriteBehind() as behind:  # noqa: PT012 - two steps
            behind.put(fail)
            int("own")

    def test_an_interrupt_lets_all_that_waits_be_written(self) -> None:
        made: list[int] = []

        def slow(number: int) -> None:
            time.sleep(0.02)
            made.append(number)

        with pytest.raises(KeyboardInterrupt), WriteBehind() as behind:  # noqa: PT012 - two steps are what is tested
            put_all(behind, slow)
            raise KeyboardInterrupt
        assert made == [0, 1, 2]

    @pytest.mark.parametrize(("interrupts", "expected"), [(1, [0, 1, 2]), (2, [0])])
    def test_a_first_interrupt_waits_and_a_second_ends_it_after_the_call_at_hand(
        self, interrupts: int, expected: list[int]
    ) -> None:
        made: list[int] = []
        under_way, main = threading.Event(), threading.get_ident()

        def slow(number: int) -> None:
            under_way.set()
            time.sleep(0.3)
            made.append(number)

        def interrupt() -> None:
            under_way.wait(SOON_S)
            for _ in range(interrupts):
                time.sleep(0.1)  # the main thread is waiting for the writer then
                signal.pthread_kill(main, signal.SIGINT)

        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt), WriteBehind() as behind:  # noqa: PT012 - as above
                put_all(behind, slow)
                threading.Thread(target=interrupt).start()
        finally:
            signal.signal(signal.SIGINT, before)
        assert made == expected
        assert not threads()

    def test_an_interrupt_hides_no_error(self) -> None:
        def fail() -> None:
            raise OSError("the disk is full")

        with pytest.raises(OSError, match="full"), WriteBehind() as behind:  # noqa: PT012 - two steps
            behind.put(fail)
            raise KeyboardInterrupt
