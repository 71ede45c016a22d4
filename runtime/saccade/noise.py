"""How noisy a frame is, measured on the frame itself, for restorers that have to be told.

White noise has the same energy at every spatial frequency; what a camera sees has little at the highest. So blocks of
8x8 pixels are taken through a cosine transform and ranked by their energy in the middle frequencies. The flattest show
nothing but noise, and their mean energy in the highest frequencies is its variance. Ranking by one band does not bias
the other, as the coefficients of white noise are independent. The method is Ponomarenko et al.'s (IGARSS 2007) as in
Colom and Buades, "Analysis and Extension of the Ponomarenko et al. Method, Estimating a Noise Curve from a Single
Image", IPOL 3, 2013.

Here it is used tile by tile as well, for noise that is stronger in some places than in others. A tile may be textured
all over, and what was sharpened or made smaller has texture at the highest frequencies too. But that is alike in all
channels, and the noise of each is its own: a tile counts as far as its noise is white in both ways, and takes the rest
from the whole frame. So grey frames, and frames with smoothed colours, read the same in every tile.

Only white noise is measured in full: demosaicing, JPEG and video codecs smooth noise, and what they leave reads less
than it is. Rounding to bytes is noise like other noise and stays in: its variance of 1/12 adds 0.01 to a sigma of 5.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from saccade.cosines import cosine_basis
from saccade.errors import FrameError, RequestError
from saccade.frames import as_array, check_frame
from saccade.manifest import MAX_SIZE

BLOCK = 8
"""Pixels along the side of a block, less in frames that are smaller."""

BLOCKS = 6500
"""About how many blocks a frame is sampled by, so that large frames take no longer."""

LOW_SHARE = 5 / 63
"""The lowest frequencies, u + v <= 2 in 8x8, are in neither band: slopes of brightness fill them."""

HIGH_SHARE = 1 / 3
"""The highest frequencies are those with u + v >= 9, as in the IPOL paper."""

FLATTEST_IN_TILE = 0.2
FLATTEST_IN_FRAME = 0.02
"""Shares of the blocks taken for flat. Of 1 to 20 %, these read clean and noisy photographs best (BSDS500's training
images); a smaller share meets less texture and is less steady."""

TRUST_POWER = 8
"""A tile is trusted by this power of how like white noise it is, 1 for noise and 1/2 or less for texture."""

INDEPENDENCE_SLACK = 1.15
"""How much more energy than its part a tile's channels may share by chance."""

FRAME_WEIGHT = 1.0
"""What the flattest blocks of the frame count, in tiles."""

CLIPPED_SHARE = 1 / 16
"""Of a block's pixels, how many may lie at 0 or 255. More lie there where the mean is within 1.5 sigma."""

CLIPPING_PASSES = 2
"""Corrections for clipping, each with the sigma found before. A third changes a sigma of 50 by less than 0.1."""

LEAST_LEFT = 0.5
"""No variance is taken to be clipped to less than this part: further from a level the model does not hold."""

LARGEST_LEVEL = 1e5
"""Beyond, a float frame is not in grey levels, and its energy leaves float32."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class NoiseEstimate:
    """Standard deviations of a frame's noise in grey levels, of which white is 255, alike for its three channels.

    ``sigma`` is the whole frame's, the root mean square of the tiles'. ``tiles`` float32 (rows, cols) are those of the
    equal parts that the frame is divided into. ``clipped`` is the share of the frame, channel by channel, that was left
    out because noise is cut off there at 0 or 255.
    """

    sigma: float
    tiles: Floats
    clipped: float


@dataclass(frozen=True)
class _Blocks:
    """Blocks of pixels, channel by channel: (n, 3) each, and the tile (n,) that they lie in.

    ``mean`` in grey levels, ``middle`` and ``high`` energy per coefficient, ``clipped`` the share of pixels at an end.
    ``shared`` (n,) is the high energy of the channels' mean: theirs where they are equal, a third of it where they are
    independent.
    """

    mean: Floats
    middle: Floats
    high: Floats
    shared: Floats
    clipped: npt.NDArray[np.float64]
    tile: npt.NDArray[np.intp]


def measure_noise(image: Any, *, tile: int = 64) -> NoiseEstimate:
    """The noise of a frame in grey levels 0..255: uint8 (H, W, 3), or float32 (H, W, 3) that may go beyond them.

    ``tile`` is about how many pixels a tile is wide and high. A tile that is textured all over, or of which little can
    be used, is drawn towards the whole. 0 and 255 clip if the frame reaches them and goes no further. A constant frame
    reads 0. Raises ``FrameError`` for another shape or type or numbers that are not finite, ``RequestError`` for tiles
    smaller than a block.
    """
    pixels = _checked(image)
    if tile < BLOCK:
        raise RequestError(f"tile must be at least {BLOCK} pixels, but got {tile}")
    grid_hw = max(1, round(pixels.shape[0] / tile)), max(1, round(pixels.shape[1] / tile))
    ends = _ends(pixels)
    blocks = _blocks(pixels, ends, grid_hw)
    # Where everything is clipped, the least clipped blocks still tell a constant frame from a noisy one.
    is_usable = (blocks.clipped <= max(CLIPPED_SHARE, blocks.clipped.min())).astype(np.float32)
    variances = _tile_variances(blocks, is_usable, grid_hw)
    for _ in range(CLIPPING_PASSES if ends else 0):
        left = _variance_left(blocks.mean, ends, np.sqrt(variances).ravel()[blocks.tile, None])
        variances = _tile_variances(blocks, is_usable / left, grid_hw)
    left_out = float((blocks.clipped > CLIPPED_SHARE).mean())
    return NoiseEstimate(math.sqrt(variances.mean()), np.sqrt(variances).astype(np.float32), left_out)


def tile_map(estimate: NoiseEstimate, size_hw: tuple[int, int]) -> Floats:
    """Sigma at each pixel of a frame of ``size_hw``, float32 (H, W): bilinear between the centres of the tiles."""
    rows, columns = (_weights(length, cells) for length, cells in zip(size_hw, estimate.tiles.shape, strict=True))
    return np.asarray(rows @ estimate.tiles @ columns.T, np.float32)


def _checked(image: Any) -> npt.NDArray[Any]:
    found = as_array(image)
    if found.dtype != np.float32:
        return check_frame(found)
    if found.ndim != 3 or found.shape[2] != 3 or not all(1 <= side <= MAX_SIZE for side in found.shape[:2]):
        raise FrameError(f"a float32 frame must be (H, W, 3) with sides of 1 to {MAX_SIZE}, but got {found.shape}")
    return found


def _ends(pixels: npt.NDArray[Any]) -> list[int]:
    """Those of 0 and 255 that clip the frame. Raises ``FrameError`` for what cannot be grey levels."""
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= -LARGEST_LEVEL and high <= LARGEST_LEVEL):  # nor is NaN
        raise FrameError(
            f"a float32 frame must hold finite grey levels, 0 to 255 but for noise, but it holds {low:g} to {high:g}; "
            "look for NaN, infinity or another scale where it is made"
        )
    return [end for end, extreme in ((0, low), (255, high)) if end == extreme]


def _blocks(pixels: npt.NDArray[Any], ends: Sequence[int], grid_hw: tuple[int, int]) -> _Blocks:
    size_hw = int(pixels.shape[0]), int(pixels.shape[1])
    block_hw = min(BLOCK, size_hw[0]), min(BLOCK, size_hw[1])
    # An odd step meets JPEG's blocks of 8x8 at every offset: those that coincide have lost their highest frequencies.
    step = math.ceil(math.sqrt(size_hw[0] * size_hw[1] / BLOCKS)) | 1
    windows: npt.NDArray[Any] = np.lib.stride_tricks.sliding_window_view(pixels, block_hw, (0, 1))[::step, ::step]
    down, across = int(windows.shape[0]), int(windows.shape[1])
    samples: npt.NDArray[Any] = windows.reshape(down * across * 3, -1)
    clipped = sum((np.count_nonzero(samples == end, axis=1) for end in ends), np.zeros(len(samples)))
    first: Floats = samples[:, :1].astype(np.float32)
    levels: Floats = samples - first  # so that constant blocks have no energy, to the bit
    middle, high = (_coefficients(levels, cosines) for cosines in _bands(block_hw))
    row, column = (
        (np.arange(count) * step + block // 2) * cells // size
        for count, block, cells, size in zip((down, across), block_hw, grid_hw, size_hw, strict=True)
    )
    return _Blocks(
        mean=(first[:, 0] + levels.mean(1)).reshape(-1, 3),
        middle=_energy(middle).reshape(-1, 3),
        high=_energy(high).reshape(-1, 3),
        shared=_energy(high.reshape(down * across, 3, -1).mean(1)),
        clipped=clipped.reshape(-1, 3) / samples.shape[1],
        tile=np.add.outer(row * grid_hw[1], column).ravel(),
    )


def _bands(block_hw: tuple[int, int]) -> tuple[Floats, Floats]:
    """The cosines of the middle and of the highest frequencies of a block: (n, pixels) each. A pixel has none."""
    down, across = (cosine_basis(length) for length in block_hw)
    frequency = np.add.outer(np.arange(block_hw[0]) / block_hw[0], np.arange(block_hw[1]) / block_hw[1]).ravel()
    cosines = np.kron(down, across)[np.argsort(frequency, kind="stable")[1:]].astype(np.float32)
    first, last = int(len(cosines) * LOW_SHARE), len(cosines) - math.ceil(len(cosines) * HIGH_SHARE)
    return cosines[first:last], cosines[last:]


def _coefficients(levels: Floats, cosines: Floats) -> Floats:
    return np.asarray(levels @ cosines.T, np.float32)


def _energy(coefficients: Floats) -> Floats:
    """The mean square of each row; 0 where there is nothing in it."""
    return np.einsum("nf,nf->n", coefficients, coefficients) * np.float32(1 / max(1, coefficients.shape[1]))


def _tile_variances(blocks: _Blocks, weight: Floats, grid_hw: tuple[int, int]) -> npt.NDArray[np.float64]:
    """The variance of the noise in each tile, (rows, cols). A block is the mean of its channels of some ``weight``."""
    channels = np.count_nonzero(weight, axis=1)
    seen = channels > 0
    middle, high = ((band * weight).sum(1)[seen] / channels[seen] for band in (blocks.middle, blocks.high))
    tile, tiles = blocks.tile[seen], grid_hw[0] * grid_hw[1]
    flat = _flattest(middle, tile, FLATTEST_IN_TILE)
    count = np.bincount(tile[flat], minlength=tiles)
    texture, found, each, shared = (
        np.bincount(tile[flat], energy[flat], tiles) / np.maximum(1, count)
        for energy in (middle, high, blocks.high.mean(1)[seen], blocks.shared[seen])
    )
    # What is seen fades towards the highest frequencies, or shows in all channels at once; white noise does neither.
    whiteness = _ratio(found, texture) * _ratio(INDEPENDENCE_SLACK * each, 3 * shared)
    trust = whiteness**TRUST_POWER * (count > 0)
    floor = high[_flattest(middle, np.zeros_like(tile), FLATTEST_IN_FRAME)].mean()
    whole = (FRAME_WEIGHT * floor + (trust * found).sum()) / (FRAME_WEIGHT + trust.sum())
    return (trust * found + (1 - trust) * whole).reshape(grid_hw)


def _ratio(part: npt.NDArray[np.float64], whole: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """``part`` of ``whole``, 1 at most."""
    return np.divide(part, whole, out=np.ones_like(part), where=part < whole)


def _flattest(middle: Floats, tile: npt.NDArray[np.intp], share: float) -> npt.NDArray[np.intp]:
    """Indices of the blocks with the least middle energy: a share of those in each tile, one at least."""
    order = np.lexsort((middle, tile))
    size = np.bincount(tile)
    rank = np.arange(len(tile)) - np.repeat(np.cumsum(size) - size, size)
    return order[rank < share * np.repeat(size, size)]


def _variance_left(mean: Floats, ends: Sequence[int], sigma: npt.NDArray[np.float64]) -> Floats:
    """What part of their variance noise of ``sigma`` around ``mean`` keeps when it is clipped at ``ends``."""
    distances = np.linspace(0, 4, 17)
    left = [_clipped_variance(distance) for distance in distances.tolist()]
    lost = sum(1 - np.interp(np.abs(mean - end) / np.maximum(sigma, 1e-3), distances, left) for end in ends)
    return np.maximum(LEAST_LEFT, 1 - lost).astype(np.float32)


def _clipped_variance(distance: float) -> float:
    """The variance of max(n, -``distance``) for n of the standard normal distribution.

    Foi, "Clipped noisy images: heteroskedastic modeling and practical denoising", Signal Processing 89, 2009.
    """
    inside = 0.5 * math.erfc(-distance / math.sqrt(2))
    density = math.exp(-0.5 * distance**2) / math.sqrt(2 * math.pi)
    mean = density - distance * (1 - inside)
    return inside - distance * density + distance**2 * (1 - inside) - mean**2


def _weights(length: int, cells: int) -> Floats:
    """How much each of ``cells`` counts at each of ``length`` pixels, (length, cells)."""
    position = np.clip((np.arange(length) + 0.5) * cells / length - 0.5, 0, cells - 1)
    return np.maximum(0, 1 - np.abs(position[:, None] - np.arange(cells))).astype(np.float32)
