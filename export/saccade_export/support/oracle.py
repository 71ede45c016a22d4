"""NVIDIA's own parser and builder, TensorRT-RTX's, asked about a graph: they need no GPU. Running what they build does.

They run in a process of their own, so that a graph that breaks them is an answer and not the end of the program.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Literal

import onnx_ir as ir

from saccade.errors import DeviceError

MODULE = "tensorrt_rtx"
TIMEOUT_S = 600.0
MAX_BYTES = (1 << 31) - 1
"""Of a graph with its weights: what one protobuf message holds."""

NOISE = (
    r"\[checkMacros\.cpp::catchCudaError.*",
    r"^(\[[^\]]*\]\s*)+",
    r" In [\w() ]+ at /\S+:\d+",
    r"I\w+::\w+: Error Code \d+: ",
)
"""Parts of the library's sentences that say nothing about the graph."""

Shapes = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""The least, the usual and the largest shape of an input."""

ShapesOf = Callable[[str, tuple[int | None, ...]], Shapes]
"""From an input's name and its shape, None where that varies, to the shapes that an engine is built for."""

Stage = Literal["parse", "build", "crash", "late", "size"]


@dataclass(frozen=True)
class Answer:
    """What the builder says. ``failed`` is the stage it failed in, or None; ``errors`` are its own sentences."""

    failed: Stage | None
    errors: tuple[str, ...]
    seconds: float
    engine_bytes: int = 0

    @property
    def sentence(self) -> str:
        """The first error, and how many more there are; empty for a graph that builds."""
        if not self.errors:
            return ""
        return self.errors[0] + (f" (and {len(self.errors) - 1} more)" if len(self.errors) > 1 else "")


def is_installed() -> bool:
    return find_spec(MODULE) is not None


def installed_version() -> str:
    """As in "1.7.1". Raises ``DeviceError`` where it is not installed."""
    if not is_installed():
        raise DeviceError(
            "tensorrt-rtx is not installed, so the parser and the builder cannot be asked; "
            "run pip install 'saccade[tensorrt-rtx]', or leave --oracle out"
        )
    return ".".join(version("tensorrt-rtx").split(".")[:3])


class Oracle:
    """Parses and builds graphs as TensorRT-RTX does, one after another; a context manager.

    ``effort`` is the builder's optimisation level, 0 to 5: 0 is the fastest and refuses what the others refuse.
    """

    def __init__(self, *, effort: int = 0, timeout_s: float = TIMEOUT_S) -> None:
        self.version = installed_version()
        self._effort, self._timeout_s = effort, timeout_s
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None

    def __enter__(self) -> Oracle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.join(5)
            self._process.kill()
            self._process.join()
        self._process = self._connection = None

    def ask(
        self, model: ir.Model, shapes_of: ShapesOf | None = None, values: Mapping[str, Sequence[int]] | None = None
    ) -> Answer:
        """Whether ``model``, its weights in memory, parses and builds for the shapes of ``shapes_of``.

        ``values`` are of inputs that are shapes themselves; of those that are not told, all numbers are taken as 1.
        """
        shapes_of = shapes_of or usual_shapes(model)
        varying = {
            str(value.name): shapes_of(str(value.name), sizes)
            for value in model.graph.inputs
            if (sizes := _sizes(value)) is not None and None in sizes
        }
        try:
            data = ir.to_proto(model).SerializeToString()
        except ValueError as error:  # protobuf's own, for messages that are too large
            return Answer("size", (f"the graph with its weights cannot be handed over: {error}",), 0.0)
        if len(data) > MAX_BYTES:
            return Answer(
                "size", (f"the graph with its weights has {len(data)} bytes, but one message holds {MAX_BYTES}",), 0.0
            )
        return self._exchange((data, varying, dict(values or {})))

    def _exchange(self, question: tuple[bytes, dict[str, Shapes], dict[str, Sequence[int]]]) -> Answer:
        started = time.perf_counter()
        connection = self._connection or self._start()
        try:
            connection.send(question)
            if connection.poll(self._timeout_s):
                return connection.recv()
            failed: Stage = "late"
            said = f"no answer within {self._timeout_s:g} s"
        except (EOFError, OSError):
            failed, said = "crash", "its process ended"
        if self._process is not None:
            self._process.kill()
        self.close()
        return Answer(failed, (said,), time.perf_counter() - started)

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._effort), daemon=True)
        self._process.start()
        theirs.close()
        return self._connection


def usual_shapes(model: ir.Model) -> ShapesOf:
    """Shapes for graphs that nothing more is known of: 1 to 4 on the first axis, 64 to 1024 on others.

    Axes of one name get one size, whatever input they are in.
    """
    sizes: dict[str, tuple[int, int, int]] = {}
    for value in model.graph.inputs:
        for axis, size in enumerate(value.shape or ()):
            if not isinstance(size, int) and size.value is not None:
                sizes.setdefault(size.value, _usual(axis))
    known = {str(value.name): value.shape for value in model.graph.inputs}

    def shapes_of(name: str, shape: tuple[int | None, ...]) -> Shapes:
        given = known[name]
        ranges: list[tuple[int, int, int]] = []
        for axis, size in enumerate(shape):
            symbol = None if given is None or isinstance(given[axis], int) else given[axis].value  # type: ignore[union-attr]
            ranges.append((size, size, size) if size is not None else sizes.get(str(symbol), _usual(axis)))
        return tuple(zip(*ranges, strict=True))  # type: ignore[return-value]

    return shapes_of


def _usual(axis: int) -> tuple[int, int, int]:
    return (1, 1, 4) if axis == 0 else (64, 256, 1024)


def _sizes(value: ir.Value) -> tuple[int | None, ...] | None:
    return None if value.shape is None else tuple(size if isinstance(size, int) else None for size in value.shape)


def _serve(connection: Connection, effort: int) -> None:
    """Answer until the other side goes away."""
    _quiet()
    toolkit: Any = import_module(MODULE)

    class Listener(toolkit.ILogger):
        def __init__(self) -> None:
            toolkit.ILogger.__init__(self)
            self.said: list[str] = []

        def log(self, severity: Any, msg: str) -> None:
            if severity <= toolkit.ILogger.Severity.ERROR:
                self.said.append(msg)

    listener = Listener()
    builder = toolkit.Builder(listener)
    while True:
        try:
            question = connection.recv()
        except (EOFError, OSError):
            return
        listener.said.clear()
        started = time.perf_counter()
        failed, errors, size = _build(toolkit, builder, listener, question, effort)
        connection.send(Answer(failed, tuple(errors), time.perf_counter() - started, size))


def _quiet() -> None:
    """What the library prints of itself goes nowhere: its errors come through the logger."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _build(
    toolkit: Any, builder: Any, listener: Any, question: tuple[bytes, dict[str, Shapes], dict[str, Any]], effort: int
) -> tuple[Stage | None, list[str], int]:
    data, varying, values = question
    network = builder.create_network(1 << int(toolkit.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = toolkit.OnnxParser(network, listener)
    if not parser.parse(data):
        found = [_parser_error(parser.get_error(index)) for index in range(parser.num_errors)]
        said = (text for text in map(_clean, listener.said) if not text.startswith("ModelImporter.cpp"))
        more = [text for text in said if not any(text in each for each in found)]
        return "parse", [*found, *more] or ["it said nothing"], 0
    config = builder.create_builder_config()
    config.builder_optimization_level = effort
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        value = network.get_input(index)
        if value.name in varying:
            profile.set_shape(value.name, *varying[value.name])
        elif value.is_shape_tensor:
            numbers = tuple(values.get(value.name, (1,) * (int(value.shape[0]) if len(value.shape) else 1)))
            profile.set_shape_input(value.name, numbers, numbers, numbers)
    config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        return "build", [_clean(text) for text in listener.said] or ["it said nothing"], 0
    return None, [], engine.nbytes


def _parser_error(error: Any) -> str:
    where = f"{error.node_operator()} {error.node_name()!r}: " if error.node_operator() else ""
    return where + _clean(error.desc())


def _clean(text: str) -> str:
    """One line, without places in NVIDIA's sources, and without the complaint that no GPU is here."""
    line = " ".join(text.split())
    for part in NOISE:
        line = re.sub(part, "", line)
    return line.strip()[:400]
