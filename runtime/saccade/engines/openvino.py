"""OpenVINO: Intel's engine for CPUs, which computes in bfloat16 where they can. The only importer of ``openvino``."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

import numpy as np
import openvino  # type: ignore[reportMissingTypeStubs]

from saccade.engines.base import Array, EngineInfo, EngineOptions, Graph, OutputSpec, first_line
from saccade.engines.buffers import BufferCache, InputBuffers
from saccade.errors import DeviceError, EngineError
from saccade.machine import usable_cores
from saccade.spec import Variant

PRECISION = "INFERENCE_PRECISION_HINT"
SETTINGS = {PRECISION: ("f32", "bf16")}
"""What a bundle may set, and to what. Without it OpenVINO would take bfloat16 wherever the CPU has it."""

CAPABILITIES = {"bf16": "BF16"}
"""What a CPU must be able to, by precision."""


class OpenVinoEngine:
    """See ``Engine``. Clones share what was compiled, which works on one request after the other."""

    def __init__(self, graph: Graph, options: EngineOptions) -> None:
        """Raises ``DeviceError`` for a device or precision that is not here, ``EngineError`` for a refused graph."""
        threads = options.threads or usable_cores()
        self._compiled: Any = _compile(graph, options, threads)
        self._info = EngineInfo("openvino", version(), "cpu", threads)
        self._own_buffers()

    def describe(self) -> EngineInfo:
        return self._info

    def input_buffer(self, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> Array:
        return self._inputs.get(name, shape, dtype)

    def submit(self, inputs: Mapping[str, Array], outputs: Mapping[str, OutputSpec]) -> None:
        """Begin the work, which goes on in OpenVINO's threads until ``wait``."""
        if self._request is None:
            raise EngineError("the engine is closed; open the bundle again")
        tensors, arrays = self._buffers.get(inputs, outputs)
        if self._pending is not None:
            raise EngineError("submit was called twice without wait")
        try:
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
        other._compiled = self._compiled
        other._info = self._info
        other._own_buffers()
        return other

    def close(self) -> None:
        if self._pending is not None:
            with suppress(EngineError):  # nothing may be freed that is still written to
                self.wait()
        self._buffers.clear()
        self._given = {}
        self._request = self._compiled = None

    def _writable(self, name: str, array: Array) -> Array:
        """``array``, or a copy where it is read-only: OpenVINO shares no such memory, though it would not write."""
        if array.flags.writeable:
            return array
        copied = self._inputs.get(name, array.shape, array.dtype.type)
        np.copyto(copied, array)
        return copied

    def _own_buffers(self) -> None:
        self._request: Any = None if self._compiled is None else self._compiled.create_infer_request()
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
    if needed is None or needed in cast(list[str], openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")):
        return None
    return f"this CPU does not compute in {precision}"


def _tensors(arrays: Mapping[str, Array]) -> dict[str, Any]:
    return {name: _shared(array) for name, array in arrays.items()}


def _shared(array: Array) -> Any:
    return openvino.Tensor(array, shared_memory=True)


def _compile(graph: Graph, options: EngineOptions, threads: int) -> Any:
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
    core = openvino.Core()
    try:
        with graph.on_disk() as path:
            # The files go away, so they are not mapped; cores are left to the system, which other processes share.
            model = core.read_model(path, config={"ENABLE_MMAP": False})
            asked = {**settings, "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
            return core.compile_model(model, "CPU", {**asked, "ENABLE_CPU_PINNING": False})
    except Exception as error:  # the library raises RuntimeError and kinds of its own
        raise EngineError(
            f"openvino {version()} refuses graph {graph.name} (opset {graph.opset}): {first_line(error)}"
        ) from error
