"""What this machine computes and copies at best, measured: the roofs that graphs are held to."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache

import numpy as np

from saccade import engines
from saccade.engines.base import Engine, EngineOptions, Graph, OutputSpec
from saccade.errors import SaccadeError
from saccade.machine import usable_cores
from saccade_bench.roofline.bandwidth import copy_bandwidth
from saccade_bench.roofline.peak_graphs import OPSET, PRODUCTS, Product, float_graph, int8_graph, x_of

ROUNDS = 3
SECONDS_A_TURN = 0.06
"""Of a product in a round: some tens of runs, of which the best of all rounds counts, since what else the machine does
only ever adds time. Rounds lie seconds apart, so that one busy second does not lower a peak."""

LEAST_RUNS = 3


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
    missing: dict[str, str] = {}
    opened: list[_Opened] = []
    with ExitStack() as stack:
        for way in WAYS:
            found, reason = _open(way, threads, stack)
            opened += found
            if reason is not None:
                missing[f"{way.precision}, {way.engine}"] = reason
        seconds = [math.inf] * len(opened)
        copies: list[tuple[float, int]] = []
        for _ in range(ROUNDS):
            seconds = [min(best, _best_seconds(each)) for best, each in zip(seconds, opened, strict=True)]
            copies.append(copy_bandwidth(threads))
    peaks = tuple(each.peak(best) for each, best in zip(opened, seconds, strict=True))
    best = {peak.precision: peak for peak in sorted(peaks, key=lambda peak: peak.gflops)}
    return Peaks(threads, best, peaks, missing, *max(copies))


@dataclass(frozen=True)
class _Opened:
    """A product in an engine."""

    way: Way
    product: Product
    engine: Engine

    def peak(self, seconds: float) -> Peak:
        return Peak(self.way.precision, self.way.engine, str(self.product), self.product.flops / seconds / 1e9)


def _open(way: Way, threads: int, stack: ExitStack) -> tuple[list[_Opened], str | None]:
    """All products in a way's engine, which ``stack`` closes; or none, and the reason."""
    opened: list[_Opened] = []
    try:
        engines.choose(way.engine, "cpu")  # says what is not installed
        for product in PRODUCTS:
            graph = Graph("peak.onnx", memoryview(way.graph(product)), {}, OPSET)
            engine = engines.load(way.engine, graph, EngineOptions("cpu", threads, settings=way.settings))
            stack.callback(engine.close)
            opened.append(_Opened(way, product, engine))
    except SaccadeError as error:
        return [], str(error)
    return opened, None


def _best_seconds(opened: _Opened) -> float:
    """Of as many runs as a turn has time for, after one that does not count."""
    given = {"x": x_of(opened.product, opened.way.dtype)}
    wanted = {"y": OutputSpec(opened.product.x, opened.way.dtype)}
    opened.engine.run(given, wanted)
    took: list[float] = []
    end = time.perf_counter() + SECONDS_A_TURN
    while len(took) < LEAST_RUNS or time.perf_counter() < end:
        started = time.perf_counter()
        opened.engine.run(given, wanted)
        took.append(time.perf_counter() - started)
    return min(took)
