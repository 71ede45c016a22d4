"""A camera of constant rate in front of an arm: what is dropped, and how old a result is when it is there.

The standard library alone, as for ``serving``. Ages count from the scheduled time of capture, so that a stall is seen
in all the frames that wait for it, not in one (coordinated omission).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

NEWEST, FIFO = "newest", "fifo"
POLICIES = (NEWEST, FIFO)
"""A mailbox of one place, in which a newer frame takes the place of the one that waits; or a queue without an end."""


class Mailbox:
    """Where the camera puts frames and the arm takes them. ``dropped`` are those that a newer one took the place of."""

    def __init__(self, places: int | None) -> None:
        self.dropped: list[int] = []
        self._places = places
        self._waiting: deque[int] = deque()
        self._changed = threading.Condition()
        self._is_closed = False

    def put(self, frame: int) -> None:
        with self._changed:
            if self._places is not None and len(self._waiting) == self._places:
                self.dropped.append(self._waiting.popleft())
            self._waiting.append(frame)
            self._changed.notify()

    def take(self) -> int | None:
        """The next frame, waited for; None when the camera has ended and nothing waits."""
        with self._changed:
            while not self._waiting and not self._is_closed:
                self._changed.wait()
            return self._waiting.popleft() if self._waiting else None

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify()


def constant_stream(run: Callable[[int], Any], fps: float, count: int, policy: str, first: int = 0) -> dict[str, Any]:
    """Show ``count`` frames at ``fps`` to ``run`` and tell what became of each, in nanoseconds from the first capture.

    ``published`` are the times of delivery of all frames; ``frames``, ``started`` and ``done`` are those of the frames
    that were run, ``dropped`` the others. Frame n is due at n / fps.
    """
    mailbox = Mailbox(1 if policy == NEWEST else None)
    published: list[int] = []
    begun = time.monotonic_ns() + round(1e9 / fps)

    def capture() -> None:
        for frame in range(count):
            wait = begun + round(frame * 1e9 / fps) - time.monotonic_ns()
            if wait > 0:
                time.sleep(wait / 1e9)
            published.append(time.monotonic_ns() - begun)
            mailbox.put(frame)
        mailbox.close()

    camera = threading.Thread(target=capture, name="camera", daemon=True)
    camera.start()
    frames, started, done = [], [], []
    while (frame := mailbox.take()) is not None:
        frames.append(frame)
        started.append(time.monotonic_ns() - begun)
        run(first + frame)
        done.append(time.monotonic_ns() - begun)
    camera.join()
    return {"published": published, "frames": frames, "started": started, "done": done, "dropped": mailbox.dropped}
