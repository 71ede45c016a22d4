"""Value noise for clouds, asphalt, brick and leaves, and the random numbers behind each object."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Numbers = tuple[float, ...]

TILE = 256
"""Side of a noise tile in texels; a power of two, so that wrapping is a mask."""


@lru_cache(maxsize=4096)
def numbers(*key: int) -> Numbers:
    """Return eight uniform numbers in [0, 1) that depend on ``key`` alone (whole numbers from 0 up)."""
    return tuple(np.random.default_rng(key).random(8).tolist())


@lru_cache(maxsize=4)
def noise_tile(decay: float) -> Floats:
    """Return a wrapping (256, 256) tile of fractal value noise in [0, 1]; each octave is ``decay`` times the last."""
    generator = np.random.default_rng(20090130)
    tile = np.zeros((TILE, TILE), np.float64)
    weight = 1.0
    for cells in (4, 8, 16, 32, 64, 128, 256):
        tile += weight * _stretch(generator.random((cells, cells)))
        weight *= decay
    ranks = (tile - tile.mean()) / (tile.std() * 5.0) + 0.5
    return clamp(ranks, 0.0, 1.0).astype(np.float32)


def cloud_tile() -> Floats:
    """Return noise with large soft shapes, for clouds and stains."""
    return noise_tile(0.55)


def grain_tile() -> Floats:
    """Return noise with fine shapes, for leaves, brick and asphalt."""
    return noise_tile(0.95)


def clamp(values: Floats, low: float, high: float) -> Floats:
    """Return the values held between two bounds."""
    return np.minimum(np.maximum(values, low), high)


def sample(tile: Floats, down: Floats, across: Floats) -> Floats:
    """Return the nearest texels at the coordinates, which broadcast and wrap."""
    rows = down.astype(np.intp) & (TILE - 1)
    cols = across.astype(np.intp) & (TILE - 1)
    return tile.ravel().take(rows * TILE + cols)


def sample_smooth(tile: Floats, down: Floats, across: Floats) -> Floats:
    """Return texels mixed bilinearly at coordinates on a grid: ``down`` (h,) by ``across`` (w,) gives (h, w)."""
    rows, row_share = _split(down)
    cols, col_share = _split(across)
    lines = tile[rows] * (1 - row_share)[:, None] + tile[(rows + 1) & (TILE - 1)] * row_share[:, None]
    return lines[:, cols] * (1 - col_share) + lines[:, (cols + 1) & (TILE - 1)] * col_share


def _split(position: Floats) -> tuple[npt.NDArray[np.intp], Floats]:
    whole = np.floor(position)
    return whole.astype(np.intp) & (TILE - 1), (position - whole).astype(np.float32)


def _stretch(grid: Floats) -> Floats:
    """Stretch a square grid to the size of a tile with smooth, wrapping interpolation."""
    cells = grid.shape[0]
    position = np.arange(TILE) * cells / TILE
    low = position.astype(np.intp)
    share = position - low
    share = share * share * (3.0 - 2.0 * share)
    high = (low + 1) % cells
    lines = grid[low] * (1 - share)[:, None] + grid[high] * share[:, None]
    return lines[:, low] * (1 - share) + lines[:, high] * share
