"""Images that a network's ranges are measured on, and the refusal of those that would measure something else."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from saccade.errors import RequestError
from saccade_export.user_frames import Frame, spread_frames

LEAST_IMAGES, MOST_IMAGES = 32, 256
THUMBNAIL = 16
"""Side of the grey pictures by which images are told apart."""

LEAST_DIFFERENCE = 2.0
"""Two thumbnails nearer than this, root mean square in grey levels, show the same."""

LEAST_CORRELATION = 0.4
"""Of neighbouring pixels. In photographs it is 0.8 and more, in random numbers 0."""

DIM = 8
"""Images without a brighter grey level than this hold shares of 1, or nothing."""

MOST_ODD = 0.1
"""The share of images that may look random, or empty, before all are refused."""


@dataclass(frozen=True)
class CalibrationSet:
    """Frames, uint8 (H, W, 3) RGB, in the source's order; ``sha256`` is of their sizes and pixels."""

    frames: tuple[Frame, ...]
    source: str

    @property
    def sha256(self) -> str:
        digest = hashlib.sha256()
        for frame in self.frames:
            digest.update(np.array(frame.shape, "<i8").tobytes())
            digest.update(np.ascontiguousarray(frame).tobytes())
        return digest.hexdigest()

    @property
    def sentence(self) -> str:
        """What a bundle says of them."""
        return f"{len(self.frames)} images, SHA-256 {self.sha256}"


def read_calibration(source: str, *, least: int = LEAST_IMAGES, most: int = MOST_IMAGES) -> CalibrationSet:
    """Up to ``most`` frames, spread over an image folder, a glob or a video.

    Raises ``RequestError`` for fewer than ``least`` that differ, for random numbers and for images of the wrong range:
    ranges measured on them would be of something else. Raises ``SourceError`` for what cannot be read.
    """
    frames = [frame for _, frame in spread_frames(source, most)]
    check_frames(frames, source, least)
    return CalibrationSet(tuple(frames), source)


def check_frames(frames: Sequence[Frame], source: str, least: int = LEAST_IMAGES) -> None:
    """Raise ``RequestError`` for frames that no ranges should be measured on, saying why and what to do."""
    if len(frames) < least:
        raise RequestError(f"{source} holds {len(frames)} images, but ranges need at least {least}; give more")
    dim = sum(int(frame.max()) <= DIM for frame in frames)
    if dim > MOST_ODD * len(frames):
        brightest = max(int(frame.max()) for frame in frames)
        raise RequestError(
            f"{dim} of {len(frames)} images of {source} have no grey level above {DIM} (the brightest of all is "
            f"{brightest}): they are black, or hold numbers of 0 to 1; give images of 0 to 255 as a camera does"
        )
    random = sum(_correlation(frame) < LEAST_CORRELATION for frame in frames)
    if random > MOST_ODD * len(frames):
        raise RequestError(
            f"{random} of {len(frames)} images of {source} look like random numbers (neighbouring pixels have nothing "
            "to do with each other); give images as the network will see them"
        )
    distinct = count_distinct(frames)
    if distinct < least:
        raise RequestError(
            f"only {distinct} of {len(frames)} images of {source} differ, but ranges need at least {least} that do; "
            "give other scenes and lights"
        )


def count_distinct(frames: Sequence[Frame]) -> int:
    """How many frames differ from all before them, by thumbnails in grey."""
    kept: list[npt.NDArray[np.float64]] = []
    for frame in frames:
        small = _thumbnail(frame)
        if all(np.sqrt(np.mean((small - other) ** 2)) >= LEAST_DIFFERENCE for other in kept):
            kept.append(small)
    return len(kept)


def _thumbnail(frame: Frame) -> npt.NDArray[np.float64]:
    """Means over a grid of 16x16 fields, of fewer where the frame has fewer rows or columns."""
    grey = frame.mean(axis=2)
    rows, columns = (np.array_split(np.arange(side), min(THUMBNAIL, side)) for side in grey.shape)
    by_row = np.stack([grey[chosen].mean(axis=0) for chosen in rows])
    small = np.stack([by_row[:, chosen].mean(axis=1) for chosen in columns], axis=1)
    return np.pad(small, [(0, THUMBNAIL - side) for side in small.shape], mode="edge")


def _correlation(frame: Frame) -> float:
    """Of each pixel's grey with its right neighbour's; 1 for an image of one colour, or one pixel wide."""
    grey = frame.mean(axis=2)
    left, right = grey[:, :-1].ravel(), grey[:, 1:].ravel()
    if left.size < 2 or left.std() == 0 or right.std() == 0:
        return 1.0
    return float(np.corrcoef(left, right)[0, 1])
