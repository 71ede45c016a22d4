"""MNIST's handwritten digits (LeCun, Cortes, Burges), read from the files they come in: pairs of idx.gz.

An idx file is two zeros, a type (8: unsigned bytes), the number of dimensions, each dimension as four bytes, the
highest first, and the values.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt

from saccade.errors import DatasetError

SIZE_HW = (28, 28)
CLASSES = 10
HELD_OUT_EVERY = 10
"""One digit in so many is held out."""

_IMAGES, _LABELS = "-images-idx3-ubyte.gz", "-labels-idx1-ubyte.gz"
_MOST_BYTES = 1 << 30
_UNSIGNED_BYTES = 8


@dataclass(frozen=True)
class Digits:
    """``images`` uint8 (N, 28, 28), black 0; ``labels`` uint8 (N,), 0 to 9."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, indices: npt.NDArray[np.int64]) -> Digits:
        return Digits(self.images[indices], self.labels[indices])


def read_digits(folder: Path) -> Digits:
    """All pairs NAME-images-idx3-ubyte.gz and NAME-labels-idx1-ubyte.gz in ``folder``, by name.

    Raises ``DatasetError`` where there are none, and for one that is damaged or does not fit.
    """
    names = sorted(path.name.removesuffix(_IMAGES) for path in folder.glob(f"*{_IMAGES}"))
    if not names:
        raise DatasetError(f"{folder} must hold MNIST's files, such as t10k{_IMAGES} and t10k{_LABELS}, but has none")
    pairs = [_read_pair(folder / f"{name}{_IMAGES}", folder / f"{name}{_LABELS}") for name in names]
    return Digits(np.concatenate([pair.images for pair in pairs]), np.concatenate([pair.labels for pair in pairs]))


def split(digits: Digits, seed: int = 0) -> tuple[Digits, Digits]:
    """Digits to train on, and one in ten held out: of each label one in ten, up to rounding."""
    order = np.random.default_rng(seed).permutation(len(digits))
    by_label = order[np.argsort(digits.labels[order], kind="stable")]
    is_held_out = np.zeros(len(digits), np.bool_)
    is_held_out[by_label[::HELD_OUT_EVERY]] = True
    return digits.at(np.flatnonzero(~is_held_out)), digits.at(np.flatnonzero(is_held_out))


def read_idx(path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    """The array in an idx.gz file. Raises ``DatasetError`` for one that is damaged or of another kind."""
    try:
        with gzip.open(path) as file:
            header = file.read(4 + 4 * dimensions)
            shape = _shape(header, dimensions, path)
            values = file.read(prod(shape) + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{path} cannot be read as a gzip file: {error}") from error
    if len(values) != prod(shape):
        found = "more" if len(values) > prod(shape) else len(values)
        raise DatasetError(f"{path} must hold {prod(shape)} values, as its header says, but holds {found}")
    return np.frombuffer(values, np.uint8).reshape(shape)


def _read_pair(image_path: Path, label_path: Path) -> Digits:
    images, labels = read_idx(image_path, 3), read_idx(label_path, 1)
    if images.shape[1:] != SIZE_HW:
        raise DatasetError(f"{image_path} must hold images of 28x28, but they are {images.shape[1]}x{images.shape[2]}")
    if len(images) != len(labels):
        raise DatasetError(f"{image_path} holds {len(images)} images, but {label_path.name} {len(labels)} labels")
    if len(labels) and labels.max() >= CLASSES:
        raise DatasetError(f"{label_path} must hold labels 0 to 9, but one is {labels.max()}")
    return Digits(images, labels)


def _shape(header: bytes, dimensions: int, path: Path) -> tuple[int, ...]:
    if header[:4] != bytes((0, 0, _UNSIGNED_BYTES, dimensions)) or len(header) != 4 + 4 * dimensions:
        raise DatasetError(f"{path} must be an idx file of bytes in {dimensions} dimensions, but begins {header[:4]!r}")
    shape = struct.unpack(f">{dimensions}I", header[4:])
    if prod(shape) > _MOST_BYTES:
        raise DatasetError(f"{path} says that it holds {prod(shape)} values, more than {_MOST_BYTES}; it is no MNIST")
    return shape
