"""A bundle from frame to result, each time with a share more of CPU time: a slowdown whose size is known."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from saccade_bench.serving import Way, serve
from saccade_bench.ways import bundle


def open_way(spec: dict[str, Any]) -> Way:
    """``spec``: that of ``ways.bundle``, and ``more``, the share of CPU time that is added."""
    way, more = bundle.open_way(spec), float(spec["more"])

    def run(index: int) -> None:
        before = time.process_time_ns()
        way.run(index)
        now = time.process_time_ns()
        until = now + more * (now - before)
        while time.process_time_ns() < until:
            pass

    return replace(way, run=run)


if __name__ == "__main__":
    serve(open_way)
