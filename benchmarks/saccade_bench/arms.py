"""What is measured against what: each arm a process of its own, alive from the first round to the last."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from saccade.errors import CheckError
from saccade_bench.serving import FAILED

WARM_RUNS = 1
"""Runs before each turn that do not count: another arm has had the caches."""

CLOSING_S = 10.0
SHOWN_LINES = 6


@dataclass(frozen=True)
class Arm:
    """A way of doing the work: a module that serves it, what it is told, and the Python that it runs in.

    ``environment`` is added to this process's own. A run is of ``batch`` frames at once.
    """

    name: str
    module: str
    spec: Mapping[str, Any] = field(default_factory=dict)
    python: str = sys.executable
    environment: Mapping[str, str] = field(default_factory=dict)
    batch: int = 1

    @property
    def command(self) -> list[str]:
        """A path to a file is run as such: peers have no ``saccade_bench`` installed."""
        module = [self.module] if self.module.endswith(".py") else ["-m", self.module]
        return [self.python, *module, json.dumps(dict(self.spec))]


@dataclass(frozen=True)
class Start:
    """An arm's beginning, in milliseconds from the start of its process, and its memory in MB after the first result.

    ``about`` is what it says of itself: engine, version, variant, threads and the like.
    """

    imported_ms: float
    opened_ms: float
    first_ms: float
    peak_mb: float
    about: Mapping[str, Any]


@dataclass(frozen=True)
class Turn:
    """The milliseconds of each run of a turn: by the clock, of all the process's threads, inside the engine.

    ``engine_ms`` is empty where the arm cannot tell.
    """

    wall_ms: tuple[float, ...]
    cpu_ms: tuple[float, ...]
    engine_ms: tuple[float, ...]
    peak_mb: float


class RunningArm:
    """An arm's process. Raises ``CheckError`` where it fails or ends early, with what it wrote last."""

    def __init__(self, arm: Arm) -> None:
        self.arm = arm
        self._errors = TemporaryFile("w+", errors="replace")  # noqa: SIM115 - lives as long as the process
        self._started = time.monotonic_ns()
        self._process = subprocess.Popen(  # noqa: S603 - our own programs
            arm.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, **arm.environment},
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_ready(self) -> Start:
        said = self._receive()
        moments = ("imported_ns", "opened_ns", "first_ns")
        imported, opened, first = ((said[moment] - self._started) / 1e6 for moment in moments)
        return Start(imported, opened, first, said["peak_mb"], said["about"])

    def run(self, first: int, count: int, warm: int = WARM_RUNS) -> Turn:
        """Time ``count`` runs of the arm's batch each, from the frame of index ``first`` on."""
        said = self._asked(what="runs", first=first, count=count, warm=warm, batch=self.arm.batch)
        wall, cpu, engine = (tuple(each / 1e6 for each in said[f"{what}_ns"]) for what in ("wall", "cpu", "engine"))
        return Turn(wall, cpu, engine, said["peak_mb"])

    def stream(self, fps: float, count: int, policy: str, first: int = 0) -> dict[str, Any]:
        """Show it ``count`` frames at ``fps``: see ``streams.constant_stream``."""
        return self._asked(what="stream", fps=fps, count=count, policy=policy, first=first)

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(CLOSING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def _asked(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        with suppress(OSError):  # it may have ended by itself, which receiving tells
            print(json.dumps(request), file=self._process.stdin, flush=True)
        return self._receive()

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            ended = f"the process of {self.arm.name!r} ended before its work (exit code {code})"
            raise CheckError(ended + self._wrote())
        said = json.loads(line)
        if said.get("state") == FAILED:
            raise CheckError(f"{self.arm.name!r} failed: {said['error']}{self._wrote()}")
        return said

    def _wrote(self) -> str:
        """The end of what it wrote to standard error."""
        self._errors.seek(0)
        lines = deque((line.rstrip() for line in self._errors if line.strip()), SHOWN_LINES)
        return "" if not lines else "; it wrote:\n  " + "\n  ".join(lines)


def saved_frames(frames: Sequence[Any], folder: Path) -> Path:
    """Frames as a file that every arm can read: uint8 (n, h, w, 3), RGB. They must have one size."""
    import numpy as np

    path = folder / "frames.npy"
    np.save(path, np.stack(frames))
    return path
