"""Whether the machine was left alone while something was measured, in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from saccade_bench.machine.watching import Watched

OTHERS_SHARE = 0.05
"""Of all cores' time. A twentieth moves medians by as much as two arms are often apart."""

STOLEN_SHARE = 0.02
"""Of all cores' time. What the host takes comes in slices of milliseconds, which move the slow percentiles first."""

LOAD_A_CORE = 1.0
"""Before the start. From there on every core had work of others; below, an earlier run may still be in the mean."""

FREQUENCY_FALL = 0.10
"""Of the clock in the first quarter. Turbo gives way by a few per cent as a processor warms up, but not by a tenth."""

HICCUP_MS = 20.0
"""Several times what a scheduler lets a thread wait for another of its own program (Linux: about 3 ms a slice)."""

HICCUPS_A_MINUTE = 1.0
"""A rarer one is one frame in a thousand or less: it moves no percentile up to 99.9."""

HOT_C = 95.0
"""Processors slow themselves down at 95 to 105 °C, Jetsons at 97 to 99."""

LEAST_SAMPLES = 8
"""Below that quarters of a run have too few samples to be compared."""


@dataclass(frozen=True)
class Verdict:
    """``reasons`` say what disturbed the measurement, with the figures; there are none where nothing did."""

    disturbed: bool
    reasons: tuple[str, ...]


def verdict(watched: Watched) -> Verdict:
    """What speaks against trusting what was measured meanwhile. What the machine does not tell is no reason."""
    checks = (_others, _stolen, _load, _frequency, _hiccups, _heat)
    reasons = tuple(reason for check in checks for reason in check(watched))
    return Verdict(bool(reasons), reasons)


def _others(watched: Watched) -> Iterator[str]:
    if watched.others_cores > OTHERS_SHARE * watched.cores:
        yield f"other processes used {watched.others_cores:.2f} of {watched.cores} cores"


def _stolen(watched: Watched) -> Iterator[str]:
    if watched.stolen_cores > STOLEN_SHARE * watched.cores:
        yield f"the host took {watched.stolen_cores:.2f} of {watched.cores} cores away from this virtual machine"


def _load(watched: Watched) -> Iterator[str]:
    load = watched.load_before.value
    if load is not None and load > LOAD_A_CORE * watched.cores:
        yield f"the load was {load:.1f} on {watched.cores} cores in the minute before"


def _frequency(watched: Watched) -> Iterator[str]:
    clocks = watched.series["frequency"].known if "frequency" in watched.series else []
    quarter = len(clocks) // 4
    if len(clocks) < LEAST_SAMPLES:
        return
    first, last = (sorted(part)[quarter // 2] for part in (clocks[:quarter], clocks[-quarter:]))
    if last < (1 - FREQUENCY_FALL) * first:
        yield f"the clock fell from {first:.0f} to {last:.0f} MHz"


def _hiccups(watched: Watched) -> Iterator[str]:
    late = watched.hiccups.over.get(f"{HICCUP_MS:g}", 0)
    if late > max(1.0, HICCUPS_A_MINUTE * watched.seconds / 60):
        yield f"{late} wake-ups came more than {HICCUP_MS:g} ms late, the worst {watched.hiccups.max_ms:.0f} ms"


def _heat(watched: Watched) -> Iterator[str]:
    if events := watched.throttle_events.value:
        yield f"the processor slowed itself down {events} times"
    for name, series in watched.series.items():
        highest = series.highest
        if name.endswith("temperature") and highest is not None and highest >= HOT_C:
            yield f"{name} reached {highest:.0f} °C"
        if name.endswith("slowed") and highest:
            yield f"{name.removesuffix('_slowed')} slowed itself down for heat or power"
