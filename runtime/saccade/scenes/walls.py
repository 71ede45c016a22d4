"""Upright rectangles in the world (facades, fences, hedges) and where each of their pixels lies on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from saccade.scenes.camera import HEIGHT_M, NEAR_M, Camera
from saccade.scenes.raster import Mask, Window, centres, window_of
from saccade.scenes.texture import Floats, clamp


@dataclass(frozen=True)
class Patch:
    """The part of a wall in the frame: for each pixel (h, w) of ``window`` whether it is wall, and its place on it."""

    window: Window
    mask: Mask
    along_m: Floats
    """(w,) metres from the wall's start."""
    depth_m: Floats
    """(w,) metres ahead of the camera."""
    height_m: Floats
    """(h, w) metres above the ground."""
    px_per_m: Floats
    """(w,) columns to a metre along the wall: below about two, detail only flickers."""


def wall(camera: Camera, start_xz: tuple[float, float], end_xz: tuple[float, float], top_m: float) -> Patch | None:
    """Return where a wall from the ground to ``top_m`` is seen, or None when it is not."""
    ax, az = start_xz[0] + camera.bend_at(max(start_xz[1], NEAR_M)), start_xz[1]
    dx, dz = end_xz[0] + camera.bend_at(max(end_xz[1], NEAR_M)) - ax, end_xz[1] - az
    ends = [(ax + share * dx, az + share * dz) for share in _visible_shares(az, dz)]
    if not ends:
        return None
    cols = sorted(camera.centre_col + camera.focal_px * x / z for x, z in ends)
    nearest = min(z for _, z in ends)
    window = window_of(camera.size_hw, cols[0], camera.row(top_m, nearest), cols[1], camera.row(0.0, nearest))
    return None if window is None else _patch(camera, window, (ax, az), (dx, dz), top_m)


def _visible_shares(depth_m: float, run_m: float) -> tuple[float, ...]:
    """Return the two shares of a wall between which it is beyond the near plane; none when it never is."""
    if max(depth_m, depth_m + run_m) <= NEAR_M:
        return ()
    cut = (NEAR_M - depth_m) / run_m if run_m else 0.0
    return (cut if depth_m < NEAR_M else 0.0, cut if depth_m + run_m < NEAR_M else 1.0)


def _patch(
    camera: Camera, window: Window, start_xz: tuple[float, float], run_xz: tuple[float, float], top_m: float
) -> Patch | None:
    """Meet each column's line of sight with the wall's line on the ground."""
    (ax, az), (dx, dz) = start_xz, run_xz
    slope = (centres(window[1]).astype(np.float64) - camera.centre_col) / camera.focal_px
    across = dx - slope * dz
    across = np.where(np.abs(across) < 1e-6, 1e-6, across)
    share = clamp((slope * az - ax) / across, 0.0, 1.0)
    depth = np.maximum(az + share * dz, NEAR_M)
    length = float(np.hypot(dx, dz))
    down = centres(window[0]) - np.float32(camera.horizon_row)
    height = HEIGHT_M - down[:, None] * (depth / camera.focal_px).astype(np.float32)
    px_per_m = camera.focal_px * np.abs(across) / (depth * length)
    return Patch(window, (height > 0) & (height <= top_m), share * length, depth, height, px_per_m)
