"""Reading ahead and writing behind: what comes before and after a task runs beside it, in order, a few frames apart."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from types import TracebackType
from typing import Generic, TypeVar

Item = TypeVar("Item")

APART = 2
"""Frames that wait between two steps: one evens out a slow frame, and more would be memory and age."""


class ReadAhead(Generic[Item]):
    """``items`` in their order, each read by a thread of its own while what came before is worked on.

    At most ``apart`` are read that nobody took yet. What reading raises is raised where that item would have come.
    Leaving ``with`` ends the reading after the item at hand.
    """

    def __init__(self, items: Iterable[Item], apart: int = APART) -> None:
        self._items = items
        self._free = threading.Semaphore(apart)
        self._read: SimpleQueue[tuple[Item] | BaseException | None] = SimpleQueue()
        self._is_left = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="saccade-read", daemon=True)

    def __enter__(self) -> Iterator[Item]:
        self._thread.start()
        return self._taken()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_left = True
        self._free.release()
        try:
            self._ended.wait()
        except KeyboardInterrupt:  # what is being read is read, so that its source can be closed
            self._ended.wait()
            raise
        finally:
            self._thread.join()

    def _taken(self) -> Iterator[Item]:
        while (read := self._read.get()) is not None:
            if isinstance(read, BaseException):
                raise read
            self._free.release()
            yield read[0]

    def _work(self) -> None:
        try:
            items = iter(self._items)
            while self._free.acquire() and not self._is_left:
                self._read.put((next(items),))
        except StopIteration:
            self._read.put(None)
        except BaseException as error:
            self._read.put(error)
        finally:
            self._ended.set()


class WriteBehind:
    """Calls in their order, by a thread of its own while the next are prepared.

    At most ``apart`` wait. What a call raises, the next ``put`` raises, or leaving ``with``; calls after it are not
    made. Leaving waits for all, through a first interrupt too; a second one leaves those out that wait. An error of
    another kind that is on its way goes before a call's.
    """

    def __init__(self, apart: int = APART) -> None:
        self._free = threading.Semaphore(apart + 1)
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._error: BaseException | None = None
        self._is_dropped = False
        self._ended = threading.Event()  # an interrupted join takes its thread for ended in Python 3.11
        self._thread = threading.Thread(target=self._work, name="saccade-write", daemon=True)

    def put(self, call: Callable[[], None]) -> None:
        """Have ``call`` made after those before it; waits where too many do."""
        self._free.acquire()
        if self._error is not None:
            raise self._error
        self._calls.put(call)

    def __enter__(self) -> WriteBehind:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._calls.put(None)
        interrupt = error if isinstance(error, KeyboardInterrupt) else None
        while not self._ended.is_set():
            try:
                self._ended.wait()
            except KeyboardInterrupt as again:  # noqa: PERF203 - it is waited for again
                self._is_dropped = interrupt is not None
                interrupt = again
        self._thread.join()
        if self._error is not None and (error is None or isinstance(error, KeyboardInterrupt)):
            raise self._error
        if error is None and interrupt is not None:
            raise interrupt

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            if self._error is None and not self._is_dropped:
                try:
                    call()
                except BaseException as error:
                    self._error = error
            self._free.release()
        self._ended.set()
