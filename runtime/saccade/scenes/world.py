"""What stands and moves along the road: a pure function of the seed, the time and the camera's place.

Each stream is an endless row of slots along the road. A slot's eight numbers decide whether it is filled, where in the
slot, and how its object looks; nothing is remembered from frame to frame.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from saccade.scenes.camera import SPEED_MPS
from saccade.scenes.light import LAMP_SPACING_M
from saccade.scenes.texture import Numbers, numbers

KERB_LEFT_M = -2.7
KERB_RIGHT_M = 4.7
FRONT_LEFT_M = -6.2
FRONT_RIGHT_M = 8.4
CENTRE_LINE_M = 1.65
PLOT_M = 12.0
SIGHT_M = 150.0

_CAR_M = 4.2
_FIRST_SLOT = 1 << 32  # slots behind the start have numbers below this one: keys of random numbers must not be negative


@dataclass(frozen=True)
class Stream:
    """A row of slots: one of ``kinds`` in each with probability ``chance``, between ``x_m`` and ``x_m + spread_m``."""

    kinds: tuple[str, ...]
    x_m: float
    spacing_m: float
    chance: float = 1.0
    spread_m: float = 0.0
    speed_mps: float = 0.0
    length_m: float = 0.0
    is_jittered: bool = True
    shift_m: float = 0.0
    sight_m: float = SIGHT_M


@dataclass(frozen=True)
class Thing:
    """One object: its offset from the lane, its near end and length ahead of the camera, its numbers and its speed."""

    kind: str
    x_m: float
    depth_m: float
    length_m: float
    look: Numbers
    speed_mps: float = 0.0

    @property
    def side(self) -> int:
        """-1 when it stands left of the camera, 1 when right."""
        return -1 if self.x_m < 0 else 1


_PLOTS = ("house", "house", "house", "house", "garden", "garden")

STREAMS = (
    Stream(_PLOTS, FRONT_LEFT_M, PLOT_M, length_m=PLOT_M, is_jittered=False),
    Stream(_PLOTS, FRONT_RIGHT_M, PLOT_M, length_m=PLOT_M, is_jittered=False),
    Stream(("tree",), KERB_LEFT_M - 2.2, 19.0, chance=0.45, spread_m=0.5),
    Stream(("tree",), KERB_RIGHT_M + 1.8, 17.0, chance=0.5, spread_m=0.8),
    Stream(("lamp",), KERB_LEFT_M - 0.5, 2 * LAMP_SPACING_M, is_jittered=False),
    Stream(("lamp",), KERB_RIGHT_M + 0.5, 2 * LAMP_SPACING_M, is_jittered=False, shift_m=LAMP_SPACING_M),
    Stream(("sign",), KERB_LEFT_M - 0.6, 34.0, chance=0.75),
    Stream(("sign",), KERB_RIGHT_M + 0.6, 47.0, chance=0.6),
    Stream(("bollard",), KERB_RIGHT_M + 0.35, 7.0, chance=0.3, sight_m=60.0),
    Stream(("car",), KERB_LEFT_M + 0.05, 7.5, chance=0.42, length_m=_CAR_M, sight_m=110.0),
    Stream(("car",), CENTRE_LINE_M + 1.55, 46.0, chance=0.75, speed_mps=-11.0, length_m=_CAR_M),
    Stream(("bicyclist",), KERB_LEFT_M + 1.3, 62.0, chance=0.75, spread_m=0.3, speed_mps=4.6, sight_m=90.0),
    Stream(("bicyclist",), KERB_RIGHT_M - 0.7, 75.0, chance=0.5, speed_mps=-4.6, sight_m=90.0),
    Stream(("pedestrian",), KERB_LEFT_M - 2.7, 15.0, chance=0.55, spread_m=1.5, speed_mps=1.3, sight_m=90.0),
    Stream(("pedestrian",), KERB_LEFT_M - 2.7, 21.0, chance=0.5, spread_m=1.8, speed_mps=-1.2, sight_m=90.0),
    Stream(("pedestrian",), KERB_RIGHT_M + 0.9, 13.0, chance=0.55, spread_m=1.9, speed_mps=-1.3, sight_m=90.0),
    Stream(("pedestrian",), KERB_RIGHT_M + 1.0, 24.0, chance=0.6, spread_m=1.6, speed_mps=1.1, sight_m=90.0),
)


def things(seed: int, time_s: float, position_m: float) -> list[Thing]:
    """Return all objects in sight, the farthest first."""
    found = [thing for number in range(len(STREAMS)) for thing in _in_sight(seed, number, time_s, position_m)]
    found.extend(_lead_car(seed, time_s))
    return sorted(found, key=_paint_depth_m, reverse=True)


def _paint_depth_m(thing: Thing) -> float:
    """Return the depth to sort by: what stands beside the road comes before a car level with it, which hides it."""
    is_on_road = KERB_LEFT_M <= thing.x_m <= KERB_RIGHT_M
    return thing.depth_m + thing.length_m + (0.0 if is_on_road else _CAR_M)


def _in_sight(seed: int, number: int, time_s: float, position_m: float) -> Iterator[Thing]:
    stream = STREAMS[number]
    start = position_m - stream.shift_m - stream.speed_mps * time_s
    first = math.floor((start - stream.length_m) / stream.spacing_m) - 1
    last = math.floor((start + stream.sight_m) / stream.spacing_m) + 1
    for slot in range(first, last + 1):
        look = numbers(seed, 5, number, _FIRST_SLOT + slot)
        room = max(stream.spacing_m - stream.length_m, 0.0) if stream.is_jittered else 0.0
        depth = slot * stream.spacing_m + room * look[6] - start
        if look[7] < stream.chance and -stream.length_m < depth < stream.sight_m:
            kind = stream.kinds[int(look[5] * len(stream.kinds))]
            yield Thing(kind, stream.x_m + stream.spread_m * look[4], depth, stream.length_m, look, stream.speed_mps)


def _lead_car(seed: int, time_s: float) -> Iterator[Thing]:
    """Yield the car that drives ahead in the camera's lane, in three drives of four."""
    look = numbers(seed, 6)
    if look[7] < 0.75:
        gap = 21.0 + 9.0 * math.sin(0.23 * time_s + 6.28 * look[6]) + 2.0 * math.sin(0.71 * time_s)
        yield Thing("car", 0.1 * math.sin(0.5 * time_s), gap, _CAR_M, look, SPEED_MPS)
