"""ONNX Runtime: the default engine, on CPU and CUDA. The only importer of ``onnxruntime``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import onnxruntime  # type: ignore[reportMissingTypeStubs]

from saccade.engines.base import Array, EngineInfo, EngineOptions, Graph, OutputSpec, first_line
from saccade.engines.buffers import BufferCache, InputBuffers
from saccade.errors import DeviceError, EngineError
from saccade.machine import usable_cores
from saccade.spec import Variant

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
SETTINGS = (
    "session.intra_op.allow_spinning",
    "session.inter_op.allow_spinning",
    "session.dynamic_block_base",
    "session.set_denormal_as_zero",
    "session.disable_prepacking",
    "session.qdqisint8allowed",
    "session.x64quantprecision",
)
"""What a bundle may set: speed alone. Other entries read files, load code or lift checks."""

SMALL_BYTES = 1024
"""Inputs up to this, such as thresholds, are kept from call to call: frames of cameras are larger."""

_ERRORS_ONLY = 3


class OnnxRuntimeEngine:
    """See ``Engine``. Clones share a session: ONNX Runtime's ``run`` is thread-safe, its bindings are not."""

    def __init__(self, graph: Graph, options: EngineOptions) -> None:
        """Raises ``DeviceError`` for a device that is not here, ``EngineError`` for a graph that is refused."""
        threads = options.threads or usable_cores()
        self._session: Any = _load(graph, options, threads)
        self._info = EngineInfo("onnxruntime", onnxruntime.__version__, options.device, threads)
        self._own_buffers()

    def describe(self) -> EngineInfo:
        return self._info

    def input_buffer(self, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> Array:
        return self._inputs.get(name, shape, dtype)

    def submit(self, inputs: Mapping[str, Array], outputs: Mapping[str, OutputSpec]) -> None:
        """On the CPU there is nothing to overlap: the work is done here, and ``wait`` hands it over."""
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
        value = onnxruntime.OrtValue.ortvalue_from_numpy(array)
        if array.nbytes <= SMALL_BYTES:
            self._small[name] = array, value
        return value

    def _bind(self, arrays: Mapping[str, Array]) -> Any:
        binding = self._session.io_binding()
        for name, array in arrays.items():
            binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        return binding


def devices() -> tuple[str, ...]:
    """The devices that the installed build can be asked for; CUDA here says nothing about a GPU being present."""
    available = cast(list[str], onnxruntime.get_available_providers())
    return tuple(device for device, provider in PROVIDERS.items() if provider in available)


def version() -> str:
    return onnxruntime.__version__


def lacks(variant: Variant, device: str) -> str | None:
    """Why this machine cannot compute ``variant``, or None where it can."""
    if device == "cpu" and variant.precision == "bf16":
        return "onnxruntime computes no bf16 on a CPU"
    return None


def _load(graph: Graph, options: EngineOptions, threads: int) -> Any:
    if options.device not in devices():
        raise DeviceError(
            f"device {options.device!r} was asked for, but the installed onnxruntime {onnxruntime.__version__} has "
            f"{', '.join(devices())}; install saccade[cuda] in place of saccade[ort], or pass device='cpu'"
        )
    session_options = _session_options(options, threads)
    try:
        session = _create(graph, session_options, [PROVIDERS[options.device]])
    except Exception as error:  # the library raises many kinds, all derived from Exception alone
        raise EngineError(
            f"onnxruntime {onnxruntime.__version__} refuses graph {graph.name} (opset {graph.opset}): "
            f"{first_line(error)}"
        ) from error
    used = session.get_providers()[0]
    if used != PROVIDERS[options.device]:
        raise DeviceError(
            f"device {options.device!r} was asked for, but onnxruntime could only use {used}: check that the NVIDIA "
            "driver, CUDA and cuDNN are those that this onnxruntime-gpu was built for, or pass device='cpu'"
        )
    return session


def _session_options(options: EngineOptions, threads: int) -> Any:
    session_options = cast(Any, onnxruntime.SessionOptions())
    session_options.intra_op_num_threads = threads
    session_options.log_severity_level = _ERRORS_ONLY
    for name, value in (options.settings or {}).items():
        if name not in SETTINGS:
            raise EngineError(f"the bundle sets {name!r} for onnxruntime; allowed are {', '.join(SETTINGS)}")
        session_options.add_session_config_entry(name, str(int(value) if isinstance(value, bool) else value))
    if options.device != "cpu" and not options.allow_fallback:
        session_options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    return session_options


def _create(graph: Graph, session_options: Any, providers: list[str]) -> Any:
    if not graph.weights:
        return onnxruntime.InferenceSession(bytes(graph.model), session_options, providers=providers)
    if hasattr(session_options, "add_external_initializers_from_files_in_memory"):
        locations, buffers = list(graph.weights), list(graph.weights.values())
        lengths = [len(buffer) for buffer in buffers]
        session_options.add_external_initializers_from_files_in_memory(locations, buffers, lengths)
        return onnxruntime.InferenceSession(bytes(graph.model), session_options, providers=providers)
    with graph.on_disk() as path:  # ONNX Runtime before 1.24
        return onnxruntime.InferenceSession(str(path), session_options, providers=providers)
