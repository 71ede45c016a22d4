"""MNIST's files made in code: a bright square for a digit, its place says which; and idx files of any content."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]


def write_digits(folder: Path, count: int, seed: int = 0, name: str = "tiny") -> tuple[Bytes, Bytes]:
    """``count`` digits, as many of each label up to one, and what was written: images and labels."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(count, dtype=np.uint8) % 10)
    images = np.stack([_image(int(label), random) for label in labels])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
    (folder / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    return images, labels


def idx(values: Bytes) -> bytes:
    """An idx file, not yet compressed."""
    return bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def _image(label: int, random: np.random.Generator) -> Bytes:
    image = np.zeros((28, 28), np.uint8)
    top, left = 2 + 8 * (label // 4), 1 + 7 * (label % 4)
    image[top : top + 6, left : left + 5] = random.integers(150, 256, (6, 5))
    return image
