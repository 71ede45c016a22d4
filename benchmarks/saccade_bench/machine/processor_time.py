"""Whose the processor's time was: the benchmark's, other processes', or another machine's on the same host."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil


@dataclass(frozen=True)
class CoreTimes:
    """Seconds since the system started, by core: at work, and stolen by the host of a virtual machine."""

    busy: tuple[float, ...]
    stolen: tuple[float, ...]

    def since(self, earlier: CoreTimes) -> CoreTimes:
        return CoreTimes(
            tuple(max(0.0, now - then) for now, then in zip(self.busy, earlier.busy, strict=False)),
            tuple(max(0.0, now - then) for now, then in zip(self.stolen, earlier.stolen, strict=False)),
        )


def core_times() -> CoreTimes:
    """Of all cores of the machine, also those that this process may not use."""
    cores: list[Any] = psutil.cpu_times(percpu=True)
    return CoreTimes(tuple(map(_busy, cores)), tuple(getattr(core, "steal", 0.0) for core in cores))


def _busy(core: Any) -> float:
    """User, nice, system and interrupts; a guest's time is in the user's already."""
    return core.user + core.system + sum(getattr(core, name, 0.0) for name in ("nice", "irq", "softirq"))


class OwnTime:
    """Seconds of processor that this process and those it follows have used since this was made.

    A followed process counts with its children that have ended; one that ends keeps what it had when last asked.
    """

    def __init__(self) -> None:
        self._began = time.time()
        self._processes: dict[int, tuple[psutil.Process, float]] = {}
        self._used: dict[int, float] = {}
        self.follow([os.getpid()])

    def follow(self, pids: Iterable[int]) -> None:
        """One that started after this was made counts from its start; one that has ended already counts nothing."""
        for pid in pids:
            try:
                process = psutil.Process(pid)
                before = 0.0 if process.create_time() >= self._began else _seconds(process)
            except psutil.Error:
                continue
            self._processes.setdefault(pid, (process, before))

    def seconds(self) -> float:
        for pid, (process, before) in list(self._processes.items()):  # more may be followed meanwhile
            with suppress(psutil.Error):  # it may have ended
                self._used[pid] = _seconds(process) - before
        return sum(self._used.values())


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    if process.pid == os.getpid():  # its children are followed by themselves
        return times.user + times.system
    return times.user + times.system + times.children_user + times.children_system
