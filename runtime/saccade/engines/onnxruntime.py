"""ONNX Runtime: the default engine, on CPU and CUDA. The only importer of ``onnxruntime``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, cast

import onnxruntime  # type: ignore[reportMissingTypeStubs]

from saccade.engines.base import Array, EngineInfo, EngineOptions, Graph, OutputSpec
from saccade.engines.buffers import BufferCache
from saccade.errors import DeviceError, EngineError

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_ERRORS_ONLY = 3


class OnnxRuntimeEngine:
    """See ``Engine``. Clones share a session: ONNX Runtime's ``run`` is thread-safe, its bindings are not."""

    def __init__(self, graph: Graph, options: EngineOptions) -> None:
        """Raises ``DeviceError`` for a device that is not here, ``EngineError`` for a graph that is refused."""
        self._options = options
        self._threads = options.threads or usable_cores()
        self._session: Any = _load(graph, options, self._threads)
        self._buffers = BufferCache(self._bind)
        self._pending: Mapping[str, Array] | None = None

    def describe(self) -> EngineInfo:
        return EngineInfo("onnxruntime", onnxruntime.__version__, self._options.device, self._threads)

    def submit(self, inputs: Mapping[str, Array], outputs: Mapping[str, OutputSpec]) -> None:
        """On the CPU there is nothing to overlap: the work is done here, and ``wait`` hands it over."""
        if self._session is None:
            raise EngineError("the engine is closed; open the bundle again")
        binding, arrays = self._buffers.get(inputs, outputs)
        for name, array in inputs.items():
            binding.bind_cpu_input(name, array)
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:  # the library raises many kinds, all derived from Exception alone
            raise EngineError(f"onnxruntime failed while running: {_first_line(error)}") from error
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
        other._options, other._threads, other._session = self._options, self._threads, self._session
        other._buffers, other._pending = BufferCache(other._bind), None
        return other

    def close(self) -> None:
        self._buffers.clear()
        self._session = None
        self._pending = None

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


def usable_cores() -> int:
    """Cores that this process may run on, which in a container is fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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
            f"{_first_line(error)}"
        ) from error
    used = session.get_providers()[0]
    if used != PROVIDERS[options.device] and not options.allow_fallback:
        raise DeviceError(
            f"device {options.device!r} was asked for, but onnxruntime could only use {used}: "
            "check the NVIDIA driver and the CUDA libraries with 'saccade doctor', or pass device='cpu'"
        )
    return session


def _session_options(options: EngineOptions, threads: int) -> Any:
    session_options = cast(Any, onnxruntime.SessionOptions())
    session_options.intra_op_num_threads = threads
    session_options.log_severity_level = _ERRORS_ONLY
    # A pattern is kept for each input shape for ever: frames of many sizes would make memory grow.
    session_options.enable_mem_pattern = False
    if options.device != "cpu" and not options.allow_fallback:
        session_options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    for name, value in (options.settings or {}).items():
        session_options.add_session_config_entry(name, str(value))
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


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
