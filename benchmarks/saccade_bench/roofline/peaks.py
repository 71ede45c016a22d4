"""What this machine computes and copies at best, measured: the roofs that graphs are held to."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from saccade import engines
from saccade.engines.base import EngineOptions, Graph, OutputSpec
from saccade.errors import SaccadeError
from saccade.machine import usable_cores
from saccade_bench.roofline.bandwidth import copy_bandwidth
from saccade_bench.roofline.peak_graphs import OPSET, PRODUCTS, Product, float_graph, int8_graph, x_of

SECONDS_A_PRODUCT = 0.15
"""Enough for some tens of runs, of which the best counts: what else the machine does only ever adds time."""

LEAST_RUNS = 5


@dataclass(frozen=True)
class Way:
    """How an engine is asked for a precision."""

    precision: str
    engine: str
    graph: Callable[[Product], bytes]
    dtype: type[np.generic]
    settings: Mapping[str, str]


WAYS = (
    Way("fp32", "onnxruntime", float_graph, np.float32, {}),
    Way("fp32", "openvino", float_graph, np.float32, {}),
    Way("bf16", "openvino", float_graph, np.float32, {"INFERENCE_PRECISION_HINT": "bf16"}),
    Way("int8", "onnxruntime", int8_graph, np.uint8, {}),
    Way("int8", "openvino", int8_graph, np.uint8, {}),
)


@dataclass(frozen=True)
class Peak:
    """The fastest that an engine did one product: GFLOP/s, a multiplication and an addition counted one each."""

    precision: str
    engine: str
    product: str
    gflops: float


@dataclass(frozen=True)
class Peaks:
    """This machine's roofs with ``threads`` threads.

    ``best`` has the fastest by precision, of all that were ``measured``; ``missing`` says why one is not there, by
    precision and engine. ``copy_gb_s`` counts bytes read and bytes written, of arrays of ``copy_bytes``.
    """

    threads: int
    best: dict[str, Peak]
    measured: tuple[Peak, ...]
    missing: dict[str, str]
    copy_gb_s: float
    copy_bytes: int


def measure_peaks(threads: int | None = None) -> Peaks:
    """Measure the roofs of ``threads`` threads, None for all usable cores: some seconds, once in a process.

    Raises nothing for an engine or a precision that is not here: ``Peaks.missing`` has the reason.
    """
    return _measured(threads or usable_cores())


@cache
def _measured(threads: int) -> Peaks:
    measured: list[Peak] = []
    missing: dict[str, str] = {}
    for way in WAYS:
        found, reason = _peaks_of(way, threads)
        measured += found
        if reason is not None:
            missing[f"{way.precision}, {way.engine}"] = reason
    best: dict[str, Peak] = {}
    for peak in sorted(measured, key=lambda peak: peak.gflops):
        best[peak.precision] = peak
    return Peaks(threads, best, tuple(measured), missing, *copy_bandwidth(threads))


def _peaks_of(way: Way, threads: int) -> tuple[list[Peak], str | None]:
    """The peaks of all products, or why there is none."""
    try:
        return [_peak(way, product, threads) for product in PRODUCTS], None
    except SaccadeError as error:
        return [], str(error)


def _peak(way: Way, product: Product, threads: int) -> Peak:
    engines.choose(way.engine, "cpu")  # says what is not installed
    graph = Graph("peak.onnx", memoryview(way.graph(product)), {}, OPSET)
    engine = engines.load(way.engine, graph, EngineOptions("cpu", threads, settings=way.settings))
    try:
        return Peak(way.precision, way.engine, str(product), product.flops / _best_seconds(engine, way, product) / 1e9)
    finally:
        engine.close()


def _best_seconds(engine: Any, way: Way, product: Product) -> float:
    given, wanted = {"x": x_of(product, way.dtype)}, {"y": OutputSpec(product.x, way.dtype)}
    engine.run(given, wanted)
    took: list[float] = []
    end = time.perf_counter() + SECONDS_A_PRODUCT
    while len(took) < LEAST_RUNS or time.perf_counter() < end:
        started = time.perf_counter()
        engine.run(given, wanted)
        took.append(time.perf_counter() - started)
    return min(took)
