"""Watts: RAPL on desktops, INA3221 and other sensors of boards, as on a Jetson. GPUs' are in ``nvidia``."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from saccade_bench.machine.readings import ROOT, Source, number_of, text_of

Clock = Callable[[], float]


def sources(root: Path = ROOT, clock: Clock = time.monotonic) -> list[Source]:
    """Every sensor of power that can be read here, or one source with the reason."""
    domains = _rapl(root)
    readable = [domain for domain in domains if number_of(domain / "energy_uj") is not None]
    found = [Source(f"power_{text_of(each / 'name') or each.name}", "W", _Energy(each, clock)) for each in readable]
    found += [source for chip in sorted(root.glob("sys/class/hwmon/hwmon*")) for source in _of_chip(chip)]
    if found:
        return found
    hidden = "RAPL is there, but energy_uj is for root alone; run as root, or chmod a+r it"
    return [Source("power", "W", None, hidden if domains else "the machine has no RAPL and no sensor of power")]


def _rapl(root: Path) -> list[Path]:
    """Packages, and not the parts that they are made of, which have two colons."""
    return [path for path in sorted(root.glob("sys/class/powercap/*-rapl:*")) if path.name.count(":") == 1]


class _Energy:
    """Watts since the last call, from a counter of microjoules that begins again after its largest value."""

    def __init__(self, domain: Path, clock: Clock) -> None:
        self._domain, self._clock = domain, clock
        self._range = number_of(domain / "max_energy_range_uj") or 0.0
        self._last = number_of(domain / "energy_uj"), clock()

    def __call__(self) -> float | None:
        (before, then), (self._last) = self._last, (number_of(self._domain / "energy_uj"), self._clock())
        now, at = self._last
        if before is None or now is None or at <= then:
            return None
        return (now - before + (self._range if now < before else 0.0)) / 1e6 / (at - then)


def _of_chip(chip: Path) -> list[Source]:
    """Channels of a sensor: power in microwatts, else millivolts times milliamperes."""
    kind = text_of(chip / "name") or chip.name
    found = [
        Source(f"power_{kind}_{path.name[5:-6]}", "W", partial(_watts, path)) for path in chip.glob("power*_input")
    ]
    for current in sorted(chip.glob("curr*_input")):
        channel = current.name[4:-6]
        volts = chip / f"in{channel}_input"
        label = text_of(chip / f"in{channel}_label") or f"{kind}_{channel}"
        if kind == "ina3221" and label != "NC" and number_of(volts) is not None:
            found.append(Source(f"power_{label}", "W", partial(_volts_by_amperes, volts, current)))
    return found


def _watts(path: Path) -> float | None:
    microwatts = number_of(path)
    return None if microwatts is None else microwatts / 1e6


def _volts_by_amperes(volts: Path, amperes: Path) -> float | None:
    millivolts, milliamperes = number_of(volts), number_of(amperes)
    return None if millivolts is None or milliamperes is None else millivolts * milliamperes / 1e6
