"""What Linux tells of processes that others have started."""

from __future__ import annotations

import os
import time
from pathlib import Path


def children(process: int | None = None) -> list[int]:
    """Processes that this one, or another, has started and not waited for."""
    own = os.getpid() if process is None else process
    return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/stat") if _parent(path) == own]


def is_running(process: int) -> bool:
    """Whether a process is there and has not ended, waited for or not."""
    try:
        return _fields(Path(f"/proc/{process}/stat"))[0] != "Z"
    except FileNotFoundError:
        return False


def has_ended(process: int, seconds: float = 10) -> bool:
    """Whether a process ends within ``seconds``."""
    until = time.monotonic() + seconds
    while is_running(process):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def _parent(stat: Path) -> int | None:
    try:
        return int(_fields(stat)[1])
    except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        return None


def _fields(stat: Path) -> list[str]:
    """State, parent and what follows: see proc(5)."""
    return stat.read_text().rpartition(")")[2].split()
