"""OpenVINO: Intel's engine for CPUs, which computes in bfloat16 where they can. The only importer of ``openvino``."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, cast

import numpy as np
import openvino  # type: ignore[reportMissingTypeStubs]

from saccade.engines.base import Array, EngineInfo, EngineOptions, Graph, OutputSpec, first_line
from saccade.engines.buffers import BufferCache, InputBuffers
from saccade.errors import DeviceError, EngineError, OutputError
from saccade.machine import processor, usable_cores
from saccade.spec import Variant

PRECISION = "INFERENCE_PRECISION_HINT"
SETTINGS = {PRECISION: ("f32", "bf16")}
"""What a bundle may set, and to what. Without it OpenVINO would take bfloat16 wherever the CPU has it."""

RECIPE = 1
"""Rises when another model is kept of the same graph."""

CAPABILITIES = {"bf16": "BF16"}
"""What a CPU must be able to, by precision."""


CORE: Any = openvino.Core()
"""The one of this process. Each further one replaces the stack that the thread's signal handlers run on, and when two
go in the order they came, what is put back is freed memory: the next signal, Ctrl-C say, ends the process."""


class _Models:
    """A graph compiled for one frame at a time, and once that is asked for, for any number of them.

    OpenVINO plans and fuses more where it knows every shape, and infers none anew in each run. The graph is kept for
    the second.
    """

    def __init__(self, compile_for: Callable[[bool], Any]) -> None:
        self._compile_for, self._lock = compile_for, Lock()
        self.single: Any = compile_for(True)
        self._several: Any = None
        sides = {each.any_name: each.partial_shape[0] for each in self.single.inputs if len(each.partial_shape)}
        self._first = {name: side.get_length() for name, side in sides.items() if side.is_static}

    def are_single(self, inputs: Mapping[str, Array]) -> bool:
        """Whether the model for one frame takes ``inputs``."""
        return all(len(array) == self._first.get(name, len(array)) for name, array in inputs.items())

    def of(self, is_single: bool) -> Any:
        if is_single:
            return self.single
        with self._lock:
            if self._several is None:
                self._several = self._compile_for(False)
            return self._several


class OpenVinoEngine:
    """See ``Engine``. Clones share what was compiled, which works on one request after the other."""

    def __init__(self, graph: Graph, options: EngineOptions) -> None:
        """Raises ``DeviceError`` for a device or precision that is not here, ``EngineError`` for a refused graph."""
        threads = options.threads or usable_cores()
        self._models: _Models | None = _Models(_compiler(graph, options, threads))
        self._info = EngineInfo("openvino", version(), "cpu", threads)
        self._own_buffers()

    def describe(self) -> EngineInfo:
        return self._info

    def input_buffer(self, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> Array:
        return self._inputs.get(name, shape, dtype)

    def submit(self, inputs: Mapping[str, Array], outputs: Mapping[str, OutputSpec]) -> None:
        """Begin the work, which goes on in OpenVINO's threads until ``wait``."""
        if self._models is None:
            raise EngineError("the engine is closed; open the bundle again")
        tensors, arrays = self._buffers.get(inputs, outputs)
        if self._pending is not None:
            raise EngineError("submit was called twice without wait")
        try:
            self._request = self._request_for(self._models.are_single(inputs))
            given = {name: _shared(self._writable(name, array)) for name, array in inputs.items()}
            for name, tensor in {**given, **tensors}.items():
                self._request.set_tensor(name, tensor)
            self._request.start_async()
        except Exception as error:  # the library raises RuntimeError and kinds of its own
            raise EngineError(f"openvino cannot run: {first_line(error)}") from error
        self._given, self._pending = given, arrays

    def wait(self) -> Mapping[str, Array]:
        if self._pending is None:
            raise EngineError("wait was called without submit")
        arrays, self._pending = self._pending, None
        try:
            self._request.wait()
        except Exception as error:  # the library raises RuntimeError and kinds of its own
            raise EngineError(f"openvino failed while running: {first_line(error)}") from error
        self._given = {}
        return arrays

    def run(self, inputs: Mapping[str, Array], outputs: Mapping[str, OutputSpec]) -> Mapping[str, Array]:
        self.submit(inputs, outputs)
        return self.wait()

    def clone(self) -> OpenVinoEngine:
        other = object.__new__(OpenVinoEngine)
        other._models = self._models
        other._info = self._info
        other._own_buffers()
        return other

    def close(self) -> None:
        if self._pending is not None:
            with suppress(EngineError):  # nothing may be freed that is still written to
                self.wait()
        self._buffers.clear()
        self._given = {}
        self._requests.clear()
        self._request = self._models = None

    def _writable(self, name: str, array: Array) -> Array:
        """``array``, or a copy where it is read-only: OpenVINO shares no such memory, though it would not write."""
        if array.flags.writeable:
            return array
        copied = self._inputs.get(name, array.shape, array.dtype.type)
        np.copyto(copied, array)
        return copied

    def _request_for(self, is_single: bool) -> Any:
        assert self._models is not None
        if is_single not in self._requests:
            self._requests[is_single] = self._models.of(is_single).create_infer_request()
        return self._requests[is_single]

    def _own_buffers(self) -> None:
        self._request: Any = None
        self._requests: dict[bool, Any] = {}
        self._inputs, self._buffers = InputBuffers(), BufferCache(_tensors)
        self._given: dict[str, Any] = {}
        self._pending: Mapping[str, Array] | None = None


def devices() -> tuple[str, ...]:
    return ("cpu",)


def version() -> str:
    return str(openvino.__version__).partition("-")[0]


def lacks(variant: Variant, device: str) -> str | None:  # noqa: ARG001 - the engines' signature
    """Why this machine cannot compute ``variant``, or None where it can."""
    return _lacks(str(variant.engine_options.get("openvino", {}).get(PRECISION, "f32")))


def _lacks(precision: str) -> str | None:
    needed = CAPABILITIES.get(precision)
    if needed is None or needed in _capabilities():
        return None
    return f"this CPU does not compute in {precision}"


def _for_one(shape: Any) -> Any:
    """A shape whose first side is 1 where it was open: that counts frames."""
    sides: list[Any] = list(shape)
    return openvino.PartialShape([1, *sides[1:]]) if sides and sides[0].is_dynamic else shape


def _capabilities() -> list[str]:
    return sorted(cast(list[str], CORE.get_property("CPU", "OPTIMIZATION_CAPABILITIES")))


def _tensors(arrays: Mapping[str, Array]) -> dict[str, Any]:
    return {name: _shared(array) for name, array in arrays.items()}


def _shared(array: Array) -> Any:
    return openvino.Tensor(array, shared_memory=True)


def _compiler(graph: Graph, options: EngineOptions, threads: int) -> Callable[[bool], Any]:
    """What compiles ``graph``, for one frame at a time or for any number."""
    if options.device != "cpu":
        raise DeviceError(
            f"device {options.device!r} was asked for, but openvino runs on 'cpu' here; pass device='cpu'"
        )
    settings = {PRECISION: "f32", **(options.settings or {})}
    for name, value in settings.items():
        if value not in SETTINGS.get(name, ()):
            allowed = "; ".join(f"{known} of {', '.join(values)}" for known, values in SETTINGS.items())
            raise EngineError(f"the bundle sets {name} to {value!r} for openvino; allowed are {allowed}")
    if (reason := _lacks(str(settings[PRECISION]))) is not None:
        raise DeviceError(f"{reason}; choose another variant")
    # Cores are left to the system, which other processes share.
    asked = {
        **settings, "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False
    }  # fmt: skip
    return lambda is_single: _with_cache(graph, asked, options.cache, is_single=is_single)


def _with_cache(graph: Graph, asked: Mapping[str, Any], folder: Path | None, *, is_single: bool) -> Any:
    """The compiled model as it was kept, else compiled and kept; where nothing can be kept, compiled each time.

    What is kept is the model after all that OpenVINO did to it, not code: reading it takes a third of the time.
    """
    if folder is None or os.name != "posix":  # the cache is private by a Unix file system's means
        return _compiled(graph, asked, is_single=is_single)
    from saccade.engines.cache import EngineCache

    cache = EngineCache(folder, lock_seconds=0)
    key = {
        "kind": "compiled",
        "recipe": RECIPE,
        "graph": graph.digests(),
        "library": {"name": "openvino", "version": str(openvino.__version__)},
        "processor": {"name": processor(), "capabilities": _capabilities()},
        "settings": {name: str(value) for name, value in asked.items()},
        "frames_at_once": "1" if is_single else "any",
    }
    with suppress(OutputError):
        kept = cache.read(key)
        if kept is not None:
            with suppress(Exception):  # what the library cannot use is made again
                return CORE.import_model(io.BytesIO(kept), "CPU", asked)
    compiled = _compiled(graph, asked, is_single=is_single)
    with suppress(Exception):  # full, busy with another process's, or nothing that the library can write
        cache.write(key, compiled.export_model().getvalue())
    return compiled


def _compiled(graph: Graph, asked: Mapping[str, Any], *, is_single: bool) -> Any:
    try:
        with graph.on_disk() as path:
            model = CORE.read_model(path, config={"ENABLE_MMAP": False})  # the files go away
            if is_single:
                model.reshape({each.any_name: _for_one(each.partial_shape) for each in model.inputs})
            return CORE.compile_model(model, "CPU", asked)
    except Exception as error:  # the library raises RuntimeError and kinds of its own
        raise EngineError(
            f"openvino {version()} refuses graph {graph.name} (opset {graph.opset}): {first_line(error)}"
        ) from error
