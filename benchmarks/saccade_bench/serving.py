"""An arm's side of a benchmark: a process that opens one way of doing the work and times it when it is asked.

The standard library alone: peers import this in environments of their own. Requests come as lines of JSON on standard
input, answers go as lines on standard output; whatever the way itself prints goes to standard error.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from saccade_bench.streams import constant_stream

READY, FAILED = "ready", "failed"


@dataclass
class Way:
    """``run`` does the work on the frame of an index, ``run_many`` on those of several at once.

    ``engine_ns`` says how long the engine took of the last run, ``result`` writes what came of the last run to a path,
    ``about`` is what the document says of the arm.
    """

    run: Callable[[int], Any]
    run_many: Callable[[Sequence[int]], Any] | None = None
    engine_ns: Callable[[], int] | None = None
    result: Callable[[str], None] | None = None
    about: dict[str, Any] = field(default_factory=dict)
    close: Callable[[], None] = lambda: None


def serve(open_way: Callable[[dict[str, Any]], Way]) -> None:
    """Open the way that the first argument, a JSON text, describes, and answer until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**content: Any) -> None:
        print(json.dumps(content), file=answers, flush=True)

    imported = time.monotonic_ns()
    try:
        spec = json.loads(sys.argv[1])
        way = open_way(spec)
        opened = time.monotonic_ns()
        way.run(0)
        first = time.monotonic_ns()
        if way.result is not None and spec.get("result"):
            way.result(spec["result"])
    except Exception as error:
        answer(state=FAILED, error=f"{type(error).__name__}: {error}")
        return
    answer(state=READY, imported_ns=imported, opened_ns=opened, first_ns=first, peak_mb=peak_mb(), about=way.about)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer(**SERVED[asked.pop("what")](way, **asked), peak_mb=peak_mb())
        except Exception as error:
            answer(state=FAILED, error=f"{type(error).__name__}: {error}")
            break
    way.close()


def timed(way: Way, first: int, count: int, warm: int, batch: int) -> dict[str, list[int]]:
    """Nanoseconds of ``count`` runs after ``warm`` that do not count: of the clock, of all threads, of the engine.

    A run is of ``batch`` frames, one after the other where the way takes no more at once.
    """
    for number in range(warm):
        _run(way, first + number * batch, batch)
    wall, cpu, engine = [], [], []
    for number in range(count):
        started_cpu, started = time.process_time_ns(), time.perf_counter_ns()
        _run(way, first + number * batch, batch)
        wall.append(time.perf_counter_ns() - started)
        cpu.append(time.process_time_ns() - started_cpu)
        if way.engine_ns is not None and batch == 1:
            engine.append(way.engine_ns())
    return {"wall_ns": wall, "cpu_ns": cpu, "engine_ns": engine}


def _run(way: Way, first: int, batch: int) -> None:
    if batch == 1:
        way.run(first)
    elif way.run_many is not None:
        way.run_many(range(first, first + batch))
    else:
        for index in range(first, first + batch):
            way.run(index)


def streamed(way: Way, fps: float, count: int, policy: str, first: int) -> dict[str, Any]:
    """See ``streams.constant_stream``."""
    return constant_stream(way.run, fps, count, policy, first)


SERVED: dict[str, Callable[..., dict[str, Any]]] = {"runs": timed, "stream": streamed}


def peak_mb() -> float:
    """The most memory that this process has had at once, in MB.

    ``getrusage`` would count what its parent had when it forked, so Linux's own line is read where there is one.
    """
    try:
        with Path("/proc/self/status").open(encoding="ascii", errors="replace") as status:
            kilobytes = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes * 1024 / 1e6
