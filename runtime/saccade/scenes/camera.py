"""A pinhole camera on a car that follows a winding, level road.

Coordinates in metres: x to the right of the driven lane's centre, y up from the ground, z ahead of the camera along the
road. The road bends, so x is an offset from the lane, and ``bend_m`` says where the lane itself has gone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from saccade.scenes.texture import Floats, numbers

HEIGHT_M = 1.4
NEAR_M = 0.4
SPEED_MPS = 12.0
FRAMES_PER_SECOND = 25.0

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Camera:
    """Where the camera is on its road, and how it maps metres to pixels."""

    size_hw: tuple[int, int]
    focal_px: float
    centre_col: float
    horizon_row: float
    position_m: float
    winding: tuple[tuple[float, float, float], ...]
    """Amplitude in metres, wavelength over 2 pi in metres, and phase of each wave of the road."""

    def bend_m(self, depth_m: Floats) -> Floats:
        """Return how far the lane has moved sideways, seen from the camera, at each depth."""
        offset = np.zeros_like(depth_m)
        for amplitude, length, phase in self.winding:
            start = self.position_m / length + phase
            straight = math.sin(start) + math.cos(start) * depth_m / length
            offset = offset + amplitude * (np.sin(start + depth_m / length) - straight)
        return offset

    def bend_at(self, depth_m: float) -> float:
        """Return ``bend_m`` for one depth."""
        offset = 0.0
        for amplitude, length, phase in self.winding:
            start = self.position_m / length + phase
            straight = math.sin(start) + math.cos(start) * depth_m / length
            offset += amplitude * (math.sin(start + depth_m / length) - straight)
        return offset

    def col(self, x_m: float, depth_m: float) -> float:
        return self.centre_col + self.focal_px * (x_m + self.bend_at(depth_m)) / depth_m

    def row(self, y_m: float, depth_m: float) -> float:
        return self.horizon_row - self.focal_px * (y_m - HEIGHT_M) / depth_m

    def outline(self, points: list[Point]) -> list[tuple[float, float]]:
        """Return the corners, as (col, row), of a flat shape cut off at the near plane; empty when it is behind."""
        return [(self.col(x, z), self.row(y, z)) for x, y, z in cut_near(points)]


def camera_at(seed: int, frame: int, size_hw: tuple[int, int]) -> Camera:
    """Return the camera of one frame of the drive that ``seed`` names."""
    height, width = size_hw
    look = numbers(seed, 1)
    time_s = frame / FRAMES_PER_SECOND
    sway = 0.003 * math.sin(1.7 * time_s + 6.28 * look[0]) + 0.0015 * math.sin(7.1 * time_s + 6.28 * look[1])
    winding = ((9.0 + 7.0 * look[2], 88.0, 6.28 * look[3]), (2.0 + 2.0 * look[4], 41.0, 6.28 * look[5]))
    return Camera(
        size_hw=size_hw,
        focal_px=0.9 * width,
        centre_col=0.5 * width,
        horizon_row=(0.52 + sway) * height,
        position_m=SPEED_MPS * time_s,
        winding=winding,
    )


def cut_near(points: list[Point]) -> list[Point]:
    """Cut a flat shape at the near plane (Sutherland and Hodgman's clipping against one plane)."""
    if all(point[2] >= NEAR_M for point in points):
        return points
    kept: list[Point] = []
    for (ax, ay, az), (bx, by, bz) in zip(points, points[1:] + points[:1], strict=True):
        if az >= NEAR_M:
            kept.append((ax, ay, az))
        if (az >= NEAR_M) != (bz >= NEAR_M):
            share = (NEAR_M - az) / (bz - az)
            kept.append((ax + share * (bx - ax), ay + share * (by - ay), NEAR_M))
    return kept
