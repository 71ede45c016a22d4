"""How near a measured time is to the least that this machine could need: the roofline model.

Williams, Waterman, Patterson: Roofline, an insightful visual performance model (CACM 52(4), 2009).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from saccade.errors import RequestError
from saccade_bench.roofline.peaks import Peaks
from saccade_bench.roofline.work import Work

STAND_INS = {"fp16": "fp32"}
"""CPUs' engines compute in these precisions by another one."""


@dataclass(frozen=True)
class Limit:
    """The least time in milliseconds by either roof, which of them binds, and the share of it that was reached.

    ``share`` is ``least_ms`` over the measured time: 1 is the limit.
    """

    compute_ms: float
    memory_ms: float
    bound: Literal["compute", "memory"]
    least_ms: float
    share: float


def share_of_limit(flops: float, bytes_moved: float, seconds: float, peaks: Peaks, precision: str) -> Limit:
    """The limit of a run that took ``seconds``: ``flops`` in ``precision`` ("fp32", "bf16" or "int8"), and bytes moved.

    Raises ``RequestError`` for a precision without a peak here, and for times that are none.
    """
    return _limit({precision: flops}, bytes_moved, seconds, peaks)


def share_of_work(work: Work, seconds: float, peaks: Peaks, precision: str) -> Limit:
    """The same for counted work: products in 8 bits by the peak of "int8", all others by that of ``precision``.

    A variant of "int8" has those in float32.
    """
    others = "fp32" if precision == "int8" else precision
    named = {"int8" if kind == "int8" else others: flops for kind, flops in work.products.items()}
    return _limit(named, work.bytes_moved, seconds, peaks)


def _limit(flops: Mapping[str, float], bytes_moved: float, seconds: float, peaks: Peaks) -> Limit:
    if not seconds > 0:
        raise RequestError(f"a run takes more than no time, but got {seconds} s")
    compute_ms = sum(number / _gflops(peaks, precision) / 1e6 for precision, number in flops.items())
    memory_ms = bytes_moved / peaks.copy_gb_s / 1e6
    least_ms = max(compute_ms, memory_ms)
    bound = "compute" if compute_ms >= memory_ms else "memory"
    return Limit(compute_ms, memory_ms, bound, least_ms, least_ms / (1000 * seconds))


def _gflops(peaks: Peaks, precision: str) -> float:
    found = peaks.best.get(STAND_INS.get(precision, precision))
    if found is None:
        reasons = "; ".join(reason for name, reason in peaks.missing.items() if name.startswith(precision))
        known = ", ".join(peaks.best) or "none"
        raise RequestError(f"no peak of {precision} was measured ({reasons or 'no engine here has it'}), only: {known}")
    return found.gflops
