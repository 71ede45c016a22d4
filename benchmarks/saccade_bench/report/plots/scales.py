"""From values to places in a figure, and the round values that axes show."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

WIDE = 5.0
"""From this factor between the least and the largest value on, a scale is logarithmic."""

ROUND = (1.0, 2.0, 5.0, 10.0)
MOST_TICKS = 7


@dataclass(frozen=True)
class Scale:
    """``low`` is at ``start`` and ``high`` at ``end``."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = (self._straight(each) for each in (self.low, self.high, value))
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    @cached_property
    def ticks(self) -> list[float]:
        """A few round values."""
        if self.is_log and self.high / self.low >= WIDE:
            for factors in ((1, 2, 5), (1, 3), (1,)):
                found = _log_ticks(self.low, self.high, factors)
                if len(found) <= MOST_TICKS:
                    return found
            return found[:: -(-len(found) // MOST_TICKS)]
        return _linear_ticks(self.low, self.high)

    def _straight(self, value: float) -> float:
        return math.log(value) if self.is_log else value


def scale_over(
    values: Iterable[float], start: float, end: float, is_log: bool | None = None, room: float = 0.06
) -> Scale:
    """A scale that has all values and some room about them; logarithmic where they are far apart, unless told."""
    known = list(values)
    low, high = min(known), max(known)
    bent = low > 0 and high / low >= WIDE if is_log is None else is_log
    if low == high:
        low, high = (low * 0.9, high * 1.1) if low > 0 else (low - 1, high + 1)
    if bent:
        more = (high / low) ** room
        return Scale(low / more, high * more, start, end, True)
    more = (high - low) * room
    return Scale(low - more, high + more, start, end)


def scale_from_zero(values: Iterable[float], start: float, end: float) -> Scale:
    """For bars, whose lengths are compared."""
    return Scale(0.0, max([*values, 1e-9]), start, end)


def _log_ticks(low: float, high: float, factors: tuple[int, ...]) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [float(f"{factor}e{power}") for power in powers for factor in factors]
    return [each for each in found if low <= each <= high]


def _linear_ticks(low: float, high: float) -> list[float]:
    apart = (high - low) / MOST_TICKS
    power = 10.0 ** math.floor(math.log10(apart))
    step = next(each * power for each in ROUND if each * power >= apart * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [float(f"{index * step:.10g}") for index in range(first, math.floor(high / step + 1e-9) + 1)]
