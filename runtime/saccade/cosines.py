"""The cosine transform of a line of pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def cosine_basis(length: int) -> npt.NDArray[np.float64]:
    """The orthonormal DCT-II of ``length`` samples: (frequency, sample)."""
    frequency = np.arange(length)[:, None]
    scale = np.sqrt(np.where(frequency == 0, 1, 2) / length)
    return scale * np.cos(np.pi / length * frequency * (np.arange(length) + 0.5))
