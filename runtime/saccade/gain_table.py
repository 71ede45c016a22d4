"""What a camera's noise is at each of its gains, from a table that was measured once, with a chart or in the dark.

A table is JSON: ``{"gains": [{"gain": 100, "sigma": 1.4, "shot": 0.05}, …]}``. ``gain`` is the camera's own setting,
ISO or a factor; the variance of noise in squared grey levels is sigma**2 + shot * grey level.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from saccade.errors import BundleError, DatasetError, RequestError
from saccade.fields import Fields, parse_json
from saccade.frames import as_array

MAX_ROWS = 1000
MAX_BYTES = 1 << 20
MAX_SIGMA, MAX_SHOT, MAX_GAIN = 255.0, 255.0, 1e9
AROUND = 5
"""A pixel's light is the mean of so many pixels each way, of all channels: its own is noisy itself."""


@dataclass(frozen=True)
class CameraNoise:
    """Noise of variance sigma**2 + shot * grey level, in squared grey levels.

    Raises ``RequestError`` for numbers below 0 or above 255.
    """

    sigma: float
    shot: float

    def __post_init__(self) -> None:
        for name, value, most in (("sigma", self.sigma, MAX_SIGMA), ("shot", self.shot, MAX_SHOT)):
            if not 0 <= value <= most:  # NaN is in no range
                raise RequestError(f"a camera's {name} must be 0 to {most:g} grey levels, but is {value:g}")

    def map(self, frame: Any) -> npt.NDArray[np.float32]:
        """Its standard deviation at each pixel of a frame (H, W, 3), float32 (H, W), as ``RestoreTask`` takes sigma."""
        grey = as_array(frame).mean(axis=2, dtype=np.float32)
        padded = np.pad(grey, AROUND // 2, mode="symmetric")
        for axis in (0, 1):
            padded = np.lib.stride_tricks.sliding_window_view(padded, AROUND, axis).mean(-1)
        return np.sqrt(self.sigma**2 + self.shot * np.maximum(padded, 0)).astype(np.float32)


@dataclass(frozen=True)
class GainTable:
    """Rows of rising ``gain``, with the camera's noise at each."""

    gains: tuple[float, ...]
    noise: tuple[CameraNoise, ...]

    def at(self, gain: float) -> CameraNoise:
        """The noise at a gain; between rows sigma and shot are linear in the logarithm of it.

        Raises ``RequestError`` for a gain beyond the table: noise does not go on as it began.
        """
        low, high = self.gains[0], self.gains[-1]
        if not low <= gain <= high:
            raise RequestError(f"the gain table goes from {low:g} to {high:g}, but the camera's gain is {gain:g}")
        place, logarithms = math.log(gain), [math.log(each) for each in self.gains]
        sigma = float(np.interp(place, logarithms, [row.sigma for row in self.noise]))
        shot = float(np.interp(place, logarithms, [row.shot for row in self.noise]))
        return CameraNoise(sigma, shot)


def read_gain_table(path: str | os.PathLike[str]) -> GainTable:
    """The table in a JSON file. Raises ``DatasetError`` that names the field at fault."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DatasetError(f"the gain table {path} cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise DatasetError(f"the gain table {path} has more than {MAX_BYTES} bytes")
    try:
        return _read(Fields(parse_json(data, "table"), "table"))
    except BundleError as error:
        raise DatasetError(f"the gain table {path}: {error}") from error


def _read(fields: Fields) -> GainTable:
    gains: list[float] = []
    noise: list[CameraNoise] = []
    for row in fields.tables("gains", 1, MAX_ROWS):
        gains.append(_within(row, "gain", 1e-9, MAX_GAIN))
        noise.append(CameraNoise(_within(row, "sigma", 0, MAX_SIGMA), _within(row, "shot", 0, MAX_SHOT)))
        row.finish()
        if len(gains) > 1 and gains[-1] <= gains[-2]:
            raise row.refusal("gain", f"must rise from row to row, but {gains[-1]:g} follows {gains[-2]:g}")
    fields.finish()
    return GainTable(tuple(gains), tuple(noise))


def _within(fields: Fields, name: str, low: float, high: float) -> float:
    value = fields.number(name)
    if not low <= value <= high:
        raise fields.refusal(name, f"must be {low:g} to {high:g}, but is {value:g}")
    return value
