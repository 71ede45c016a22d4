"""Several cameras on one bundle: clones of one task, each in a thread of its own, a frame for all at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from saccade_bench.serving import Way, serve
from saccade_bench.ways.bundle import about_of, asked_of, opened


def open_way(spec: dict[str, Any]) -> Way:
    """``spec``: cameras, and what ``ways.bundle`` takes. A run ends when every camera has its result."""
    frames, asked = np.load(spec["frames"]), asked_of(spec)
    bundle, first = opened(spec)
    tasks = [first, *(first.clone() for _ in range(spec["cameras"] - 1))]
    threads = [ThreadPoolExecutor(1) for _ in tasks]

    def run(index: int) -> None:
        given = [frames[(index + camera) % len(frames)] for camera in range(len(tasks))]
        calls = zip(threads, tasks, given, strict=True)
        for result in [thread.submit(task, frame, **asked) for thread, task, frame in calls]:
            result.result()

    def close() -> None:
        for thread, task in zip(threads, reversed(tasks), strict=True):
            thread.shutdown()
            task.close()

    return Way(run, about=about_of(bundle, first), close=close)


if __name__ == "__main__":
    serve(open_way)
