"""Whether fine texture is still there in a restored image, and whether what looks like it is left-over noise.

The high band is what has a period of less than four pixels across or down, the finest octave: frequencies of at least
half of Nyquist's in either direction. It is taken from cosine transforms of blocks of 8x8 pixels (u >= 4 or v >= 4,
48 of 64 coefficients), which mirror their edges, so that slopes of brightness stay out of it. Rows and columns beyond
the last whole block are left out, and so are steps from one block to the next, such as JPEG's own.

A denoiser that smooths keeps little of the clean image's energy there; one that leaves noise keeps too much, and its
error is like the noise that was added.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from saccade.cosines import cosine_basis

Floats = npt.NDArray[np.float32]

BLOCK = 8
LOWEST = BLOCK // 2
"""The lowest frequency of the band, in half periods a block."""


def energy_kept(image: npt.NDArray[Any], clean: npt.NDArray[Any]) -> float:
    """The energy of ``image`` in the high band over that of ``clean``, both (H, W, 3) in grey levels.

    1 where there is as much texture, less where it was smoothed away. NaN where ``clean`` has none, as in images of
    less than a block. Raises ``ValueError`` for other shapes and for two sizes.
    """
    _check_sizes(image, clean)
    found, wanted = (float(np.square(_high_band(part)).sum(dtype=np.float64)) for part in (image, clean))
    return found / wanted if wanted else math.nan


def noise_correlation(image: npt.NDArray[Any], frame: npt.NDArray[Any], clean: npt.NDArray[Any]) -> float:
    """How like what is wrong with ``image`` is to what was wrong with ``frame``, in the high band: -1 to 1.

    All three are (H, W, 3) in grey levels: restored, given and clean. 0 where the error has nothing of the noise, 1
    where the noise is still there, however weak. NaN where either error is nothing. Raises ``ValueError`` for other
    shapes and for two sizes.
    """
    _check_sizes(image, clean)
    _check_sizes(frame, clean)
    truth = clean.astype(np.float32)
    left, added = _high_band(image - truth), _high_band(frame - truth)
    scale = math.sqrt(float(np.vdot(left, left)) * float(np.vdot(added, added)))
    return float(np.vdot(left, added)) / scale if scale else math.nan


def _check_sizes(image: npt.NDArray[Any], clean: npt.NDArray[Any]) -> None:
    if image.shape != clean.shape or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"images must be (H, W, 3) of one size, but are {image.shape} and {clean.shape}")


def _high_band(image: npt.NDArray[Any]) -> Floats:
    """The coefficients of the band, (blocks, 3, 48)."""
    down, across = image.shape[0] // BLOCK, image.shape[1] // BLOCK
    whole: Floats = image[: down * BLOCK, : across * BLOCK].astype(np.float32)
    blocks = np.transpose(whole.reshape(down, BLOCK, across, BLOCK, 3), (0, 2, 4, 1, 3))
    pixels = blocks.reshape(down * across, 3, BLOCK**2)
    levels = pixels - pixels[..., :1]  # so that constant blocks have no energy, to the bit
    return np.asarray(levels @ _cosines().T, np.float32)


def _cosines() -> Floats:
    """The band's part of the orthonormal DCT-II of a block, (48, pixels)."""
    frequency, line = np.arange(BLOCK), cosine_basis(BLOCK)
    is_high = np.maximum.outer(frequency, frequency).ravel() >= LOWEST
    return np.kron(line, line)[is_high].astype(np.float32)
