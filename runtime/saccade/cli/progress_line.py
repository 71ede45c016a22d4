"""One line on a terminal that says how far long work has come; nothing anywhere else."""

from __future__ import annotations

import sys
import time

LEAST_SECONDS_BETWEEN = 0.2
WIDTH = 78


class ProgressLine:
    """Writes over its own line on standard error, where that is a terminal, at most five times a second."""

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty()
        self._last = 0.0

    def show(self, title: str, share: float, seconds_left: float | None, doing: str) -> None:
        """``share`` 0 to 1; ``seconds_left`` None where it is not known."""
        now = time.monotonic()
        if not self._is_shown or now - self._last < LEAST_SECONDS_BETWEEN:
            return
        self._last = now
        left = "" if seconds_left is None else f"  about {_duration(seconds_left)} left"
        self._write(f"{title}  {share:4.0%}{left}  {doing}")

    def clear(self) -> None:
        if self._is_shown and self._last:
            self._write("")
            sys.stderr.write("\r")

    def _write(self, text: str) -> None:
        sys.stderr.write(f"\r{text[:WIDTH]:{WIDTH}}")
        sys.stderr.flush()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
