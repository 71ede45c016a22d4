"""ONNX Runtime on a GPU: buffers of ours bound once, a stream of ours, a CUDA graph for each of the first sizes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from saccade.engines.base import Array, EngineInfo, EngineOptions, Graph, OutputSpec, first_line
from saccade.engines.buffers import CACHED_SHAPES, BoundedCache
from saccade.engines.gpu.cuda import CudaRuntime, load_cuda
from saccade.engines.gpu.driver import Gpu, find_gpu
from saccade.engines.gpu.memory import Buffer, allocate
from saccade.engines.gpu.stream import GpuStream
from saccade.engines.onnxruntime import providers, sessions
from saccade.engines.onnxruntime.placement import RECORD, check_placement, placement_of
from saccade.errors import DeviceError, EngineError, RequestError

LOGGER = logging.getLogger(__name__)

DEVICE = "cuda"
NOT_RECORDED = "-1"
"""What ONNX Runtime takes as the number of a CUDA graph that is not to be recorded."""


@dataclass(frozen=True)
class _Machine:
    """What an engine and its clones have in common."""

    name: str
    graph: Graph
    options: EngineOptions
    cuda: CudaRuntime
    gpu: Gpu
    info: EngineInfo


@dataclass(frozen=True)
class _Bound:
    """A combination of shapes with everything bound to it; the buffers live as long as this."""

    binding: Any
    run_options: Any
    inputs: Mapping[str, Buffer]
    outputs: Mapping[str, Buffer]


class _RunError(EngineError):
    """The library failed while it ran the network, and may not where it records nothing."""


class OnnxRuntimeGpuEngine:
    """See ``Engine``. A session works on one stream and replays its CUDA graphs in one thread: clones open their own.

    A network that cannot be recorded, or fails while it is, runs without a CUDA graph, and that is logged.
    """

    def __init__(self, name: str, graph: Graph, options: EngineOptions) -> None:
        """``name`` is "onnxruntime", on CUDA, or "onnxruntime-tensorrt".

        Raises ``DeviceError`` for a GPU, driver or library that is not here and for nodes that would go to the CPU,
        ``RequestError`` for another device, ``EngineError`` for a graph that is refused.
        """
        if options.device != "cuda":
            raise RequestError(f"device {options.device!r} was asked for, but {name} runs on NVIDIA GPUs; pass 'cuda'")
        wanted = sessions.TENSORRT if name == "onnxruntime-tensorrt" else sessions.PROVIDERS["cuda"]
        if wanted not in sessions.available():
            raise DeviceError(
                f"{name} on a GPU was asked for, but the installed onnxruntime {sessions.version()} has "
                f"{', '.join(sessions.available())}; install saccade[cuda] in place of saccade[ort], or pass "
                "device='cpu'"
            )
        cuda = load_cuda()
        gpu = find_gpu(cuda)
        self._open(_Machine(name, graph, options, cuda, gpu, EngineInfo(name, sessions.version(), "cuda", 0)))

    def describe(self) -> EngineInfo:
        return self._machine.info

    def input_buffer(self, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> Array:
        self._opened()
        return self._input_buffer(name, shape, np.dtype(dtype)).host

    def submit(self, inputs: Mapping[str, Array], outputs: Mapping[str, OutputSpec]) -> None:
        """Enqueue one run: copies to the GPU, the network, copies back."""
        self._opened()
        if self._waiting is not None:  # a run that nobody waited for still reads the buffers
            self.wait()
        try:
            self._enqueue(inputs, outputs)
        except _RunError as error:
            if not self._is_recorded:
                raise
            LOGGER.warning("%s cannot record the network in a CUDA graph, and runs without: %s", self._name, error)
            self._shut()
            self._start(may_record=False)
            self._enqueue(inputs, outputs)

    def wait(self) -> Mapping[str, Array]:
        if self._waiting is None:
            raise EngineError("wait was called without submit")
        buffers, self._waiting = self._waiting, None
        self._stream.wait()
        return {name: buffer.host for name, buffer in buffers.items()}

    def run(self, inputs: Mapping[str, Array], outputs: Mapping[str, OutputSpec]) -> Mapping[str, Array]:
        self.submit(inputs, outputs)
        return self.wait()

    def clone(self) -> OnnxRuntimeGpuEngine:
        self._opened()
        other = object.__new__(OnnxRuntimeGpuEngine)
        other._open(self._machine)
        return other

    def close(self) -> None:
        if self._session is not None:
            self._shut()

    def __del__(self) -> None:
        if getattr(self, "_session", None) is not None and not sys.is_finalizing():
            self.close()

    def _open(self, machine: _Machine) -> None:
        self._machine, self._name = machine, machine.name
        self._session: Any = None
        self._is_placed = False
        self._start(may_record=bool((machine.options.settings or {}).get("cuda_graph", True)))

    def _start(self, *, may_record: bool) -> None:
        self._input_buffers: BoundedCache[Buffer] = BoundedCache()
        self._bounds: BoundedCache[_Bound] = BoundedCache()
        self._recorded = 0
        self._waiting: Mapping[str, Buffer] | None = None
        self._stream = GpuStream(self._machine.cuda)
        try:
            self._session, self._is_recorded = self._created(may_record=may_record)
            self._on_host = _on_host(self._session)
        except BaseException:
            self._stream.close()
            raise

    def _created(self, *, may_record: bool) -> tuple[Any, bool]:
        """A session and whether it records CUDA graphs.

        One that does computes nothing on the CPU but shapes: ONNX Runtime refuses to record any other.
        """
        if may_record:
            try:
                session = self._session_of(is_recorded=True)
                self._is_placed = True
                return session, True
            except EngineError as error:
                LOGGER.info("%s is opened without a CUDA graph: %s", self._name, error)
        session = self._session_of(is_recorded=False)
        if not self._is_placed:
            allow_fallback = self._machine.options.allow_fallback
            check_placement(placement_of(session), session.get_providers()[0], allow_fallback=allow_fallback)
            self._is_placed = True
        return session, False

    def _session_of(self, *, is_recorded: bool) -> Any:
        machine, stream = self._machine, self._stream.handle
        made = sessions.session_options(machine.options, threads=1)
        made.add_session_config_entry(RECORD, "1")
        if self._name == "onnxruntime-tensorrt":
            asked = providers.tensorrt_providers(machine.graph, machine.options, stream, is_recorded=is_recorded)
        else:
            asked = providers.cuda_providers(machine.options, stream, is_recorded=is_recorded)
        session = sessions.create(machine.graph, made, asked)
        wanted, used = [each if isinstance(each, str) else each[0] for each in asked], session.get_providers()
        if missing := [name for name in wanted if name not in used]:
            raise DeviceError(
                f"{', '.join(missing)} was asked for, but onnxruntime {sessions.version()} could only use "
                f"{', '.join(used)}: check that the NVIDIA driver, CUDA, cuDNN and TensorRT are those that this "
                "onnxruntime-gpu was built for, or pass device='cpu'"
            )
        return session

    def _enqueue(self, inputs: Mapping[str, Array], outputs: Mapping[str, OutputSpec]) -> None:
        given = {name: self._input_buffer(name, array.shape, array.dtype) for name, array in inputs.items()}
        bound = self._bound(given, outputs)
        for name, buffer in given.items():
            buffer.fill(inputs[name])
        self._stream.to_gpu(given)
        try:
            self._session.run_with_iobinding(bound.binding, bound.run_options)
        except Exception as error:  # the library raises many kinds, all derived from Exception alone
            raise _RunError(f"onnxruntime failed while running: {first_line(error)}") from error
        self._stream.to_host(bound.outputs)
        self._stream.mark()
        self._waiting = bound.outputs

    def _input_buffer(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Buffer:
        return self._input_buffers.get((name, shape, dtype), lambda: self._allocated(shape, dtype, name))

    def _allocated(self, shape: tuple[int, ...], dtype: Any, name: str) -> Buffer:
        return allocate(self._machine.cuda, self._machine.gpu, shape, dtype, on_host=name in self._on_host)

    def _bound(self, given: Mapping[str, Buffer], outputs: Mapping[str, OutputSpec]) -> _Bound:
        key = (
            tuple((name, buffer.host.shape, buffer.host.dtype, buffer.address) for name, buffer in given.items()),
            tuple((name, spec.shape, spec.dtype) for name, spec in outputs.items()),
        )
        return self._bounds.get(key, lambda: self._bind(given, outputs))

    def _bind(self, given: Mapping[str, Buffer], outputs: Mapping[str, OutputSpec]) -> _Bound:
        made = {name: self._allocated(spec.shape, spec.dtype, name) for name, spec in outputs.items()}
        binding = self._session.io_binding()
        try:
            for name, buffer in given.items():
                binding.bind_input(name, *self._described(name, buffer))
            for name, buffer in made.items():
                binding.bind_output(name, *self._described(name, buffer))
        except Exception as error:  # as above
            raise EngineError(f"onnxruntime cannot bind {', '.join((*given, *made))}: {first_line(error)}") from error
        return _Bound(binding, sessions.run_options(self._entries()), dict(given), made)

    def _described(self, name: str, buffer: Buffer) -> tuple[Any, ...]:
        device = "cpu" if name in self._on_host else DEVICE
        return device, 0, buffer.host.dtype.type, buffer.host.shape, buffer.address

    def _entries(self) -> dict[str, str]:
        """Leave waiting to us; record the first sizes under a number each: ONNX Runtime keeps what it recorded."""
        entries = {"disable_synchronize_execution_providers": "1"}
        if self._is_recorded:
            self._recorded += 1
            entries["gpu_graph_id"] = str(self._recorded) if self._recorded <= CACHED_SHAPES else NOT_RECORDED
        return entries

    def _opened(self) -> None:
        if self._session is None:
            raise EngineError("the engine is closed; open the bundle again")

    def _shut(self) -> None:
        self._stream.settle()
        self._bounds.clear()
        self._input_buffers.clear()
        self._waiting, self._session = None, None
        self._stream.close()


def _on_host(session: Any) -> frozenset[str]:
    """The inputs and outputs that the session reads and writes on the CPU: none where ONNX Runtime does not tell."""
    if not hasattr(session, "get_input_memory_infos"):  # before 1.23
        return frozenset()
    values = [*session.get_inputs(), *session.get_outputs()]
    memories = [*session.get_input_memory_infos(), *session.get_output_memory_infos()]
    return frozenset(value.name for value, memory in zip(values, memories, strict=True) if memory.name == "Cpu")
