"""What values a graph's tensors take on frames, and the ranges that 8 bits should span by four methods.

The values are counted and three of the methods are computed by onnxruntime.quantization; the fourth, least squares, it
has not.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
from onnxruntime.quantization import CalibrationDataReader  # type: ignore[reportMissingTypeStubs]
from onnxruntime.quantization.calibrate import (  # type: ignore[reportMissingTypeStubs]
    HistogramCollector,
    PercentileCalibrater,
)

from saccade.errors import RequestError
from saccade_export.precision.body import CARRYING, WEIGHTED, body
from saccade_export.precision.recorded import Feed

BINS, ENTROPY_BINS = 2048, 512
BYTE_BINS = 128
PERCENTILE = 99.999
LEVELS = 255
"""Steps between the 256 values of a byte."""

SHRUNK = np.linspace(0.2, 1.0, 81)
"""The shares of the whole range that least squares tries."""

Counted = Mapping[str, tuple[Any, ...]]
"""Counts, edges, lowest, highest and largest value of each tensor, as the library keeps them."""

Ranges = Mapping[str, tuple[float, float]]
"""The lowest and the highest value that 8 bits span, by the tensor's name."""


class Histograms:
    """The values of every tensor of the body that may be in 8 bits, over all frames."""

    def __init__(self, collector: Any) -> None:
        self._collector = collector
        self._ranges: dict[str, Ranges] = {}

    def ranges(self, method: str) -> Ranges:
        """The ranges by ``method``, one of ``METHODS``. Raises ``RequestError`` for another."""
        if method not in METHODS:
            raise RequestError(f"calibration method {method!r} is not known; choose from {', '.join(METHODS)}")
        if method not in self._ranges:
            with redirect_stdout(StringIO()):  # the library prints
                found = METHODS[method](self._collector.histogram_dict)
            self._ranges[method] = {str(name): (float(low), float(high)) for name, (low, high) in found.items()}
        return self._ranges[method]


def measure(model: ir.Model, feeds: Iterable[Feed], progress: Callable[[], object] = lambda: None) -> Histograms:
    """Run ``model`` on ``feeds`` and count its tensors' values; ``progress`` is called after each.

    One frame's tensors are held at a time. Raises ``RequestError`` where there is nothing to run, or nothing to count.
    """
    with tempfile.TemporaryDirectory(prefix="saccade-int8-") as folder, redirect_stdout(StringIO()):
        path = Path(folder) / "model.onnx"
        onnx.save(ir.to_proto(model), path)
        calibrater = _Watching(path, None, str(Path(folder) / "watched.onnx"), num_bins=BINS, symmetric=False)
        calibrater.watched = watched(model)
        calibrater.augment_graph()
        calibrater.create_inference_session()
        for feed in feeds:
            calibrater.collect_data(_One(feed))
            progress()
    if not (calibrater.collector and calibrater.collector.histogram_dict):
        raise RequestError("there is nothing to measure ranges on: no frame was given, or no node has weights")
    return Histograms(calibrater.collector)


def watched(model: ir.Model) -> set[str]:
    """The names of what weighted and carrying nodes take and give, but for what is stored."""
    nodes = [node for node in body(model.graph) if node.op_type in WEIGHTED | CARRYING]
    values = [value for node in nodes for value in (*node.inputs, *node.outputs) if value is not None]
    return {str(value.name) for value in values if ir.convenience.get_const_tensor(value) is None}


class _Watching(PercentileCalibrater):
    """The library's, for tensors by name instead of all that kinds of operations have: frames are large."""

    watched: set[str]

    def select_tensors_to_calibrate(self, model: onnx.ModelProto) -> tuple[set[str], dict[str, onnx.ValueInfoProto]]:
        tensors, known = super().select_tensors_to_calibrate(model)
        return tensors & self.watched, known


class _One(CalibrationDataReader):
    """A single run's inputs: the library keeps the tensors of all that it is given at once."""

    def __init__(self, feed: Feed) -> None:
        self._left = iter([dict(feed)])

    def get_next(self) -> dict[str, npt.NDArray[Any]] | None:  # type: ignore[override]
        return next(self._left, None)


def _whole(counted: Counted) -> dict[str, tuple[float, float]]:
    return {name: (found[2], found[3]) for name, found in counted.items()}


def _percentile(counted: Counted) -> dict[str, tuple[float, float]]:
    collector = HistogramCollector("percentile", False, BINS, BYTE_BINS, PERCENTILE, "same")
    collector.histogram_dict = dict(counted)
    return {name: found[:2] for name, found in collector.compute_percentile().items()}


def _entropy(counted: Counted) -> dict[str, tuple[float, float]]:
    """The library's thresholds, around zero, cut to the whole range. Its search takes bins squared."""
    collector = HistogramCollector("entropy", False, ENTROPY_BINS, BYTE_BINS, PERCENTILE, "same")
    collector.histogram_dict = {name: _coarser(found) for name, found in counted.items()}
    found: dict[str, Any] = collector.compute_entropy()
    return {
        name: (max(found[name][0], low), min(found[name][1], high)) for name, (low, high) in _whole(counted).items()
    }


def _coarser(found: tuple[Any, ...]) -> tuple[Any, ...]:
    counts, edges, low, high, threshold = found
    centres = (edges[1:] + edges[:-1]) / 2
    fewer, wider = np.histogram(centres, ENTROPY_BINS, range=(-threshold, threshold), weights=counts)
    return fewer.astype(np.int64), wider.astype(np.float32), low, high, threshold


def _least_squares(counted: Counted) -> dict[str, tuple[float, float]]:
    return {name: least_squares(*found[:4]) for name, found in counted.items()}


def least_squares(counts: npt.NDArray[Any], edges: npt.NDArray[Any], low: float, high: float) -> tuple[float, float]:
    """The range, a share of ``low``..``high``, in which 256 values are off least, squared and summed.

    ``counts`` (n,) of values between ``edges`` (n + 1,). A value inside is off by a step's uniform error, its square a
    twelfth of the step's; one outside by its distance to the end.
    """
    low, high = min(float(low), 0.0), max(float(high), 0.0)  # zero is always one of the values
    centres = (edges[1:] + edges[:-1]) / 2
    lows, highs = SHRUNK[:, None] * low, SHRUNK[:, None] * high
    beyond = np.maximum(centres - highs, 0) + np.maximum(lows - centres, 0)
    rounded = ((highs - lows) / LEVELS) ** 2 / 12
    errors = (np.where(beyond > 0, beyond**2, rounded) * counts).sum(axis=1)
    share = float(SHRUNK[int(np.argmin(errors))])
    return share * low, share * high


METHODS: dict[str, Callable[[Counted], dict[str, tuple[float, float]]]] = {
    "minmax": _whole,
    "entropy": _entropy,
    "percentile": _percentile,
    "mse": _least_squares,
}
"""How a range follows from what was seen: all of it, the least loss of information, all but the rarest values, or the
least squared error."""
