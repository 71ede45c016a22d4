"""How fast memory is copied: STREAM's copy (McCalpin, 1995), with numpy, in as many threads as engines have."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from saccade_bench.machine.caches import last_cache_bytes

CACHES = 4
"""STREAM's rule: each array is at least four times as large as the last cache, so that it comes from memory."""

LEAST_BYTES, MOST_BYTES = 64 << 20, 512 << 20
REPEATS = 4


def copy_bandwidth(threads: int) -> tuple[float, int]:
    """The best of ``REPEATS`` copies in GB/s, bytes read and bytes written both counted, and the array's bytes.

    A write that first reads its line is not counted, as in STREAM.
    """
    count = min(MOST_BYTES, max(LEAST_BYTES, CACHES * (last_cache_bytes() or 0)))
    taken, made = np.ones(count, np.uint8), np.zeros(count, np.uint8)
    parts = list(zip(np.array_split(taken, threads), np.array_split(made, threads), strict=True))
    with ThreadPoolExecutor(threads) as pool:
        best = min(_seconds(pool, parts) for _ in range(REPEATS))
    return 2 * count / best / 1e9, count


def _seconds(pool: ThreadPoolExecutor, parts: list[tuple[np.ndarray, np.ndarray]]) -> float:
    started = time.perf_counter()
    list(pool.map(lambda part: np.copyto(part[1], part[0]), parts))
    return time.perf_counter() - started
