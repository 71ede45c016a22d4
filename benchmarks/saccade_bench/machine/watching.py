"""What the machine did while something was measured in other processes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from saccade_bench.machine import clocks, nvidia, power
from saccade_bench.machine.hiccups import HiccupMeter, Hiccups
from saccade_bench.machine.processor_time import OwnTime, core_times
from saccade_bench.machine.readings import Reading, Series, Source

PERIOD_S = 0.5
LEAST_S = 1e-3


@dataclass(frozen=True)
class Watched:
    """A stretch of ``seconds``. Times of processor are in cores: 1.5 is one core and half of another, on average.

    ``own_cores`` are of the processes that were followed and of this one, ``others_cores`` of all else,
    ``stolen_cores`` went to other machines of the same host. ``core_busy`` has each core's share at work, 0 to 1.
    ``load_before`` is the average of the minute before. ``series`` are by name, with a value for each of ``at_s``, in
    seconds. ``throttle_events`` is how often the processor slowed itself down. ``cost_cores`` is what watching took.
    """

    seconds: float
    cores: int
    load_before: Reading[float]
    own_cores: float
    others_cores: float
    stolen_cores: float
    core_busy: tuple[float, ...]
    throttle_events: Reading[int]
    hiccups: Hiccups
    at_s: tuple[float, ...]
    series: dict[str, Series]
    cost_cores: float


class Watcher:
    """Samples the machine from ``with`` to its end, every ``period_s``; ``result`` has what was found.

    Nothing that this machine does not give raises. The process that makes it should only wait meanwhile; where it
    computes itself, ``meters_hiccups`` must be False: its own Python would be seen as some.
    """

    def __init__(self, period_s: float = PERIOD_S, *, meters_hiccups: bool = True) -> None:
        self._period_s = period_s
        self._meters_hiccups = meters_hiccups
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self._meter = HiccupMeter()
        self._at_s: list[float] = []
        self._values: dict[str, list[float | None]] = {}
        self._cost_s = 0.0

    def __enter__(self) -> Watcher:
        self._load_before = _load()
        self._sources = [Source("load", "", _load_now), *clocks.sources(), *power.sources(), *nvidia.sources()]
        self._throttled = clocks.throttle_events()
        self._own = OwnTime()
        self._cores = self._cores_last = core_times()
        self._own_s = 0.0
        self._began = self._last = time.monotonic()
        if self._meters_hiccups:
            self._meter.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        if self._meters_hiccups:
            self._meter.__exit__()

    def follow(self, pids: Iterable[int]) -> None:
        """These processes are the benchmark's own."""
        self._own.follow(pids)

    def result(self) -> Watched:
        """What the machine did, up to the last sample; the end of ``with`` takes one."""
        seconds = max(self._last - self._began, LEAST_S)
        spent = self._cores_last.since(self._cores)
        ended = clocks.throttle_events()
        events = None if ended is None or self._throttled is None else ended - self._throttled
        return Watched(
            seconds=seconds,
            cores=len(spent.busy),
            load_before=self._load_before,
            own_cores=self._own_s / seconds,
            others_cores=max(0.0, sum(spent.busy) - self._own_s) / seconds,
            stolen_cores=sum(spent.stolen) / seconds,
            core_busy=tuple(min(1.0, busy / seconds) for busy in spent.busy),
            throttle_events=Reading(events, None if events is not None else "the processor does not count them"),
            hiccups=self._meter.result(),
            at_s=tuple(self._at_s),
            series=self._series(),
            cost_cores=(self._cost_s + self._meter.cost_s) / seconds,
        )

    def _series(self) -> dict[str, Series]:
        shares = {name: Series("cores", tuple(self._values.get(name, ()))) for name in ("busy", "others", "stolen")}
        read = {
            source.name: Series(source.unit, tuple(self._values.get(source.name, ())), source.reason)
            for source in self._sources
        }
        return {**shares, **read}

    def _run(self) -> None:
        ending = False
        while not ending:
            ending = self._ending.wait(self._period_s)
            self._sample()
            self._cost_s = time.thread_time()

    def _sample(self) -> None:
        now, cores, own_s = time.monotonic(), core_times(), self._own.seconds()
        seconds = max(now - self._last, LEAST_S)
        spent = cores.since(self._cores_last)
        busy_s = sum(spent.busy)
        others_s = max(0.0, busy_s - (own_s - self._own_s))
        self._note(("busy", "others", "stolen"), [each / seconds for each in (busy_s, others_s, sum(spent.stolen))])
        readable = [source for source in self._sources if source.read is not None]
        self._note([source.name for source in readable], [source.read() for source in readable if source.read])
        self._at_s.append(now - self._began)
        self._last, self._cores_last, self._own_s = now, cores, own_s

    def _note(self, names: Sequence[str], values: Sequence[float | None]) -> None:
        for name, value in zip(names, values, strict=True):
            self._values.setdefault(name, []).append(value)


def _load_now() -> float | None:
    return _load().value


def _load() -> Reading[float]:
    try:
        return Reading(os.getloadavg()[0])
    except (AttributeError, OSError):
        return Reading(None, "the system has no load average")
