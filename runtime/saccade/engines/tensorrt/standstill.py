"""Whether a process stands still: by the processor time that the system counts for all of its threads.

A builder whose threads wait for one that could not be started waits for ever, and uses no processor while it does.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

WINDOW_SECONDS = 60.0
LOOK_SECONDS = 1.0
"""How often to look, so that the wait is the window and not twice that."""

LEAST_SHARE = 0.01
"""Of one core: what uses more than this within the window is at work."""

_AFTER_NAME = 3
"""Number of the first field of ``/proc/PID/stat`` (proc(5)) that follows the name, which may hold spaces."""
_MAJOR_FAULTS, _USER_TICKS, _SYSTEM_TICKS = 12 - _AFTER_NAME, 14 - _AFTER_NAME, 15 - _AFTER_NAME


class Standstill:
    """A watch over one process. Time in which the watcher itself did not run, as when both are frozen, counts for
    little. Where the system has no /proc, nothing ever stands still."""

    def __init__(self, process: int) -> None:
        self._process = process
        self._looked_at = time.monotonic()
        self._before = _work(process)
        self._still_seconds = 0.0
        self._has_moved = False

    def moved(self) -> None:
        """The process has shown by other means that it works."""
        self._has_moved = True

    def is_there(self) -> bool:
        """Whether nothing has moved for the window. To be asked every ``LOOK_SECONDS`` or so."""
        now, work = time.monotonic(), _work(self._process)
        self._still_seconds += min(now - self._looked_at, 2 * LOOK_SECONDS)
        self._looked_at = now
        if self._has_moved or work is None or self._before is None or _is_more(work, self._before):
            self._still_seconds, self._before, self._has_moved = 0.0, work, False
        return self._still_seconds >= WINDOW_SECONDS


def _work(process: int) -> tuple[float, int] | None:
    """Seconds of processor time, and pages that had to be read from a disk: a process that is swapped is slow, but
    works. None where that is not told."""
    try:
        fields = Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    ticks = int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS])
    return ticks / os.sysconf("SC_CLK_TCK"), int(fields[_MAJOR_FAULTS])


def _is_more(work: tuple[float, int], before: tuple[float, int]) -> bool:
    return work[0] - before[0] > LEAST_SHARE * WINDOW_SECONDS or work[1] > before[1]
