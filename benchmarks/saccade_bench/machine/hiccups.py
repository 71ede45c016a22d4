"""How long the machine keeps work waiting that has nothing to wait for: a thread that sleeps, and how late it wakes.

After jHiccup (Gil Tene, 2012): what one long pause hides, the shorter ones of all that would have begun within it, is
counted too.
"""

from __future__ import annotations

import threading
import time
from array import array
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

PERIOD_MS = 10.0
"""jHiccup sleeps 1 ms. In Python 1,000 wake-ups a second take 2 % of a core; at 100 no pause above 10 ms is missed."""

THRESHOLDS_MS = (5.0, 20.0, 100.0)


@dataclass(frozen=True)
class Hiccups:
    """``count`` sleeps of ``period_ms``. Percentiles and the maximum are of how late they woke, in ms.

    ``over`` says how many were later than so many ms. Without sleeps all are 0.
    """

    period_ms: float
    count: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    over: dict[str, int]


class HiccupMeter:
    """Measures from ``with`` to its end. Python that computes in this process is seen as hiccups: let it wait.

    ``cost_s`` is how much of the processor it took, in seconds, known at the end.
    """

    def __init__(self, period_ms: float = PERIOD_MS) -> None:
        self._period_ms = period_ms
        self._late_ms = array("d")
        self.cost_s = 0.0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hiccups", daemon=True)

    def __enter__(self) -> HiccupMeter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def result(self) -> Hiccups:
        """What was found so far."""
        return summary(np.array(self._late_ms[:]), self._period_ms)

    def _run(self) -> None:
        period_s = self._period_ms / 1000
        while not self._ending.is_set():
            started = time.perf_counter()
            time.sleep(period_s)
            self._late_ms.append(1000 * (time.perf_counter() - started - period_s))
        self.cost_s = time.thread_time()


def summary(late_ms: npt.NDArray[np.float64], period_ms: float) -> Hiccups:
    """The hiccups of sleeps that were so many ms late each, float64 (n,)."""
    over = {f"{limit:g}": int((late_ms > limit).sum()) for limit in THRESHOLDS_MS}
    if not len(late_ms):
        return Hiccups(period_ms, 0, 0.0, 0.0, 0.0, over)
    p50, p99 = np.percentile(_with_hidden(late_ms, period_ms), (50, 99))
    return Hiccups(period_ms, len(late_ms), float(p50), float(p99), float(late_ms.max()), over)


def _with_hidden(late_ms: npt.NDArray[np.float64], period_ms: float) -> npt.NDArray[np.float64]:
    """All, and for each that was later than a period those that would have begun meanwhile."""
    long = late_ms[late_ms > period_ms]
    return np.concatenate([late_ms, *(np.arange(late - period_ms, 0, -period_ms) for late in long)])
