"""How fast, how hot and how often slowed down the processor is, as Linux tells."""

from __future__ import annotations

import os
from pathlib import Path

from saccade_bench.machine.readings import ROOT, Source, number_of, text_of

MOST_CORES = 16
"""Whose clock is read at each sample: reading one may wake it."""

CORES = "sys/devices/system/cpu"
COUNTERS = (
    f"{CORES}/cpu*/thermal_throttle/core_throttle_count",
    f"{CORES}/cpu*/thermal_throttle/package_throttle_count",
    "sys/class/hwmon/hwmon*/oc*_event_cnt",
)
"""Intel's counts of slowing down for heat, and a Jetson's of slowing down for current."""


def sources(root: Path = ROOT) -> list[Source]:
    """The highest clock of the usable cores in MHz, and the highest temperature in °C."""
    return [_frequency(root), _temperature(root)]


def throttle_events(root: Path = ROOT) -> int | None:
    """How often the processor has slowed itself down since it was switched on; None where it does not count."""
    counts = [number_of(path) for pattern in COUNTERS for path in root.glob(pattern)]
    known = [int(count) for count in counts if count is not None]
    return sum(known) if known else None


def _frequency(root: Path) -> Source:
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    paths = [root / CORES / f"cpu{core}/cpufreq/scaling_cur_freq" for core in list(usable)[:MOST_CORES]]
    readable = [path for path in paths if number_of(path) is not None]
    if not readable:
        return Source("frequency", "MHz", None, "the system gives no clocks (no cpufreq), as in most virtual machines")
    return Source("frequency", "MHz", lambda: _highest(readable, 1e-3))


def _temperature(root: Path) -> Source:
    zones = list(root.glob("sys/class/thermal/thermal_zone*/temp"))
    chips = [path for path in root.glob("sys/class/hwmon/hwmon*/temp*_input") if _is_processor(path)]
    readable = [path for path in zones + chips if number_of(path) is not None]
    if not readable:
        return Source("temperature", "°C", None, "the system shows no temperature")
    return Source("temperature", "°C", lambda: _highest(readable, 1e-3))


def _is_processor(path: Path) -> bool:
    """Disks and network cards have sensors too."""
    return text_of(path.parent / "name") in ("coretemp", "k10temp", "zenpower", "cpu_thermal")


def _highest(paths: list[Path], scale: float) -> float | None:
    known = [value for path in paths if (value := number_of(path)) is not None]
    return scale * max(known) if known else None
