"""ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from saccade.engines.base import Array, EngineInfo, EngineOptions, Graph, OutputSpec, first_line
from saccade.engines.buffers import BufferCache, InputBuffers
from saccade.engines.onnxruntime import sessions
from saccade.errors import EngineError
from saccade.machine import usable_cores

SMALL_BYTES = 1024
"""Inputs up to this, such as thresholds, are kept from call to call: frames of cameras are larger."""


class OnnxRuntimeEngine:
    """See ``Engine``. Clones share a session: ONNX Runtime's ``run`` is thread-safe, its bindings are not."""

    def __init__(self, graph: Graph, options: EngineOptions) -> None:
        """Raises ``EngineError`` for a graph that is refused."""
        threads = options.threads or usable_cores()
        made = sessions.session_options(options, threads)
        self._session: Any = sessions.create(graph, made, [sessions.PROVIDERS["cpu"]])
        self._info = EngineInfo("onnxruntime", sessions.version(), "cpu", threads)
        self._own_buffers()

    def describe(self) -> EngineInfo:
        return self._info

    def input_buffer(self, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> Array:
        return self._inputs.get(name, shape, dtype)

    def submit(self, inputs: Mapping[str, Array], outputs: Mapping[str, OutputSpec]) -> None:
        """There is nothing to overlap: the work is done here, and ``wait`` hands it over."""
        if self._session is None:
            raise EngineError("the engine is closed; open the bundle again")
        try:
            binding, arrays = self._buffers.get(inputs, outputs)
        except RuntimeError as error:
            raise EngineError(f"onnxruntime cannot give {', '.join(outputs)}: {first_line(error)}") from error
        values = [(name, self._value(name, array)) for name, array in inputs.items()]
        for name, value in values:
            binding.bind_ortvalue_input(name, value)
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:  # the library raises many kinds, all derived from Exception alone
            raise EngineError(f"onnxruntime failed while running: {first_line(error)}") from error
        finally:
            binding.clear_binding_inputs()  # or the caller's frame would live as long as the binding
        self._pending = arrays

    def wait(self) -> Mapping[str, Array]:
        if self._pending is None:
            raise EngineError("wait was called without submit")
        arrays, self._pending = self._pending, None
        return arrays

    def run(self, inputs: Mapping[str, Array], outputs: Mapping[str, OutputSpec]) -> Mapping[str, Array]:
        self.submit(inputs, outputs)
        return self.wait()

    def clone(self) -> OnnxRuntimeEngine:
        other = object.__new__(OnnxRuntimeEngine)
        other._session = self._session
        other._info = self._info
        other._own_buffers()
        return other

    def close(self) -> None:
        self._buffers.clear()
        self._small.clear()
        self._session = None
        self._pending = None

    def _own_buffers(self) -> None:
        self._inputs, self._buffers = InputBuffers(), BufferCache(self._bind)
        self._small: dict[str, tuple[Array, Any]] = {}
        self._pending: Mapping[str, Array] | None = None

    def _value(self, name: str, array: Array) -> Any:
        """A view of an array for the library, the same one while a small array is passed again."""
        array_before, value = self._small.get(name, (None, None))
        if array is array_before:
            return value
        value = sessions.value_of(array)
        if array.nbytes <= SMALL_BYTES:
            self._small[name] = array, value
        return value

    def _bind(self, arrays: Mapping[str, Array]) -> Any:
        binding = self._session.io_binding()
        for name, array in arrays.items():
            binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        return binding
