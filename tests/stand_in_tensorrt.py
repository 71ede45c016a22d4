"""A stand-in for TensorRT and CUDA, for what our own code does around them: neither runs where no GPU is.

"Device" memory is the CPU's. The network picks a frame's channel. What NVIDIA's libraries are strict about is strict
here: shapes before addresses, a first run before a recording, graphs that keep addresses and shapes, frees of what was
allocated. It says nothing about NVIDIA's own behaviour; tests marked ``gpu`` do.
"""

# ruff: noqa: N802, N803, N815 - NVIDIA's own names

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable
from itertools import count
from math import prod
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from saccade.engines.tensorrt.library import Library
from saccade.engines.tensorrt.names import CLASSES, RTX_CLASSES, members

SUCCESS, FAILURE = SimpleNamespace(name="cudaSuccess"), SimpleNamespace(name="cudaErrorUnknown")
NO_MEMORY = SimpleNamespace(name="cudaErrorMemoryAllocation")


class Cuda:
    """CUDA's runtime. ``failing`` names calls that fail; ``live`` holds what was allocated and not freed, by kind."""

    cudaHostAllocDefault, cudaHostAllocMapped, cudaStreamNonBlocking = 0, 2, 1
    cudaEventBlockingSync, cudaEventDisableTiming = 1, 2
    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice="up", cudaMemcpyDeviceToHost="down")
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal="thread")
    cudaDeviceAttr = SimpleNamespace(cudaDevAttrIntegrated="integrated", cudaDevAttrCanMapHostMemory="map")

    def __init__(self, *, integrated: bool = False) -> None:
        self.integrated = integrated
        self.failing: dict[str, Any] = {}
        self.live: dict[str, dict[int, Any]] = {kind: {} for kind in ("host", "device", "stream", "event", "graph")}
        self.calls: list[str] = []
        self.recording: list[Callable[[], None]] | None = None
        self._handles = count(1)

    def _answer(self, name: str, *values: Any) -> tuple[Any, ...]:
        self.calls.append(name)
        return (self.failing[name], *(None for _ in values)) if name in self.failing else (SUCCESS, *values)

    def _made(self, name: str, kind: str, content: Any) -> tuple[Any, ...]:
        answer = self._answer(name, ctypes.addressof(content) if kind in ("host", "device") else next(self._handles))
        if answer[0] is SUCCESS:
            self.live[kind][answer[1]] = content
        return answer

    def _gone(self, name: str, kind: str, handle: int) -> tuple[Any, ...]:
        del self.live[kind][handle]  # a KeyError for what was never made, or is gone already
        return self._answer(name)

    def cudaGetErrorString(self, error: Any) -> Any:
        return SUCCESS, b"as it was told to"

    def cudaGetDeviceCount(self) -> Any:
        return self._answer("cudaGetDeviceCount", 1)

    def cudaDriverGetVersion(self) -> Any:
        return SUCCESS, 13000

    def cudaGetDeviceProperties(self, device: int) -> Any:
        return SUCCESS, SimpleNamespace(name=b"Stand-in", major=8, minor=7, totalGlobalMem=1 << 30)

    def cudaDeviceGetAttribute(self, attribute: str, device: int) -> Any:
        return SUCCESS, int(self.integrated)

    def cudaMemGetInfo(self) -> Any:
        return SUCCESS, 1 << 20, 1 << 30

    def cudaHostAlloc(self, size: int, flags: int) -> Any:
        assert flags == (self.cudaHostAllocMapped if self.integrated else self.cudaHostAllocDefault)
        return self._made("cudaHostAlloc", "host", (ctypes.c_ubyte * size)())

    def cudaHostGetDevicePointer(self, pHost: int, flags: int) -> Any:
        return self._answer("cudaHostGetDevicePointer", pHost)

    def cudaFreeHost(self, ptr: int) -> Any:
        return self._gone("cudaFreeHost", "host", ptr)

    def cudaMalloc(self, size: int) -> Any:
        return self._made("cudaMalloc", "device", (ctypes.c_ubyte * size)())

    def cudaFree(self, devPtr: int) -> Any:
        return self._gone("cudaFree", "device", devPtr)

    def cudaMemcpyAsync(self, dst: int, src: int, size: int, kind: str, stream: int) -> Any:
        assert (dst if kind == "up" else src) in self.live["device"]
        assert stream in self.live["stream"]
        ctypes.memmove(dst, src, size)
        return self._answer("cudaMemcpyAsync")

    def cudaStreamCreateWithFlags(self, flags: int) -> Any:
        return self._made("cudaStreamCreateWithFlags", "stream", None)

    def cudaStreamSynchronize(self, stream: int) -> Any:
        return self._answer("cudaStreamSynchronize")

    def cudaStreamDestroy(self, stream: int) -> Any:
        return self._gone("cudaStreamDestroy", "stream", stream)

    def cudaEventCreateWithFlags(self, flags: int) -> Any:
        return self._made("cudaEventCreateWithFlags", "event", None)

    def cudaEventRecord(self, event: int, stream: int) -> Any:
        return self._answer("cudaEventRecord")

    def cudaEventSynchronize(self, event: int) -> Any:
        return self._answer("cudaEventSynchronize")

    def cudaEventDestroy(self, event: int) -> Any:
        return self._gone("cudaEventDestroy", "event", event)

    def cudaStreamBeginCapture(self, stream: int, mode: str) -> Any:
        self.recording = []
        return self._answer("cudaStreamBeginCapture")

    def cudaStreamEndCapture(self, stream: int) -> Any:
        recorded, self.recording = self.recording, None
        return self._answer("cudaStreamEndCapture", recorded)

    def cudaGraphInstantiate(self, graph: Any, flags: int) -> Any:
        return self._made("cudaGraphInstantiate", "graph", graph)

    def cudaGraphLaunch(self, graphExec: int, stream: int) -> Any:
        for step in self.live["graph"][graphExec]:
            step()
        return self._answer("cudaGraphLaunch")

    def cudaGraphExecDestroy(self, graphExec: int) -> Any:
        return self._gone("cudaGraphExecDestroy", "graph", graphExec)

    def cudaGraphDestroy(self, graph: Any) -> Any:
        return self._answer("cudaGraphDestroy")

    def cudaGetLastError(self) -> Any:
        return self._answer("cudaGetLastError")


def at(address: int, shape: tuple[int, ...], dtype: type[np.generic]) -> np.ndarray:
    """The array that lies at an address."""
    size = prod(shape) * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_ubyte * size).from_address(address), dtype, prod(shape)).reshape(shape)


class Context:
    """``class_map`` is the channel of ``frames`` that ``channel_order`` names first."""

    def __init__(self, cuda: Cuda, refusing: set[str]) -> None:
        self.cuda, self.refusing = cuda, refusing
        self.shapes: dict[str, tuple[int, ...]] = {"channel_order": (3,)}
        self.addresses: dict[str, int] = {}
        self.runs = 0

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        return profile_index == 0 and "set_optimization_profile_async" not in self.refusing

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shapes[name], self.runs = tuple(shape), 0
        return "set_input_shape" not in self.refusing

    def infer_shapes(self) -> list[str]:
        return ["frames"] if "infer_shapes" in self.refusing else []

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        number, height, width, _ = self.shapes["frames"]
        return {"class_map": (number, height, width), "finite": (number,)}[name]

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self.addresses[name] = memory
        return "set_tensor_address" not in self.refusing

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert set(self.addresses) == {"frames", "channel_order", "class_map", "finite"}
        addresses, shapes, outputs = dict(self.addresses), dict(self.shapes), ("class_map", "finite")
        made = {name: self.get_tensor_shape(name) for name in outputs}

        def step() -> None:
            channel = at(addresses["channel_order"], (3,), np.int64)[0]
            frames = at(addresses["frames"], shapes["frames"], np.uint8)
            at(addresses["class_map"], made["class_map"], np.uint8)[:] = frames[..., channel]
            at(addresses["finite"], made["finite"], np.bool_)[:] = True

        if self.cuda.recording is None:
            step()
            self.runs += 1
            return "execute_async_v3" not in self.refusing
        assert self.runs > 0, "a recording before the first run of a shape"
        self.cuda.recording.append(step)
        return "recording" not in self.refusing


class Engine:
    """``refusing`` names calls that give False or None."""

    INPUTS, OUTPUTS = {"frames": "UINT8", "channel_order": "INT64"}, {"class_map": "UINT8", "finite": "BOOL"}
    num_io_tensors = 4
    most = (2, 64, 64, 3)

    def __init__(self, cuda: Cuda, refusing: set[str]) -> None:
        self.cuda, self.refusing = cuda, refusing

    def get_tensor_name(self, index: int) -> str:
        return [*self.INPUTS, *self.OUTPUTS][index]

    def get_tensor_mode(self, name: str) -> Any:
        return SimpleNamespace(name="INPUT" if name in self.INPUTS else "OUTPUT")

    def get_tensor_dtype(self, name: str) -> Any:
        return SimpleNamespace(name={**self.INPUTS, **self.OUTPUTS}[name])

    def get_tensor_location(self, name: str) -> Any:
        return SimpleNamespace(name="HOST" if name == "channel_order" else "DEVICE")

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (-1, -1, -1, 3) if name == "frames" else (3,)

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        assert (name, profile_index) == ("frames", 0)
        return [(1, 1, 1, 3), (1, 32, 32, 3), self.most]

    def create_runtime_config(self) -> Any:
        return None if "create_runtime_config" in self.refusing else SimpleNamespace(cuda_graph_strategy=None)

    def create_execution_context(self, runtime_config: Any = None) -> Any:
        if runtime_config is not None:
            self.cuda.calls.append(f"strategy {runtime_config.cuda_graph_strategy}")
        return None if "create_execution_context" in self.refusing else Context(self.cuda, self.refusing)


def stand_in(cuda: Cuda, refusing: set[str], taken: set[bytes], *, is_rtx: bool = False) -> Library:
    """A library that builds b"engine 1", b"engine 2" … and takes the engines in ``taken``.

    ``is_rtx`` has the names by which TensorRT-RTX records CUDA graphs itself.
    """
    built = count(1)

    class Runtime:
        engine_host_code_allowed = "host code" in refusing

        def __init__(self, logger: Any) -> None:
            pass

        def deserialize_cuda_engine(self, serialized_engine: bytes) -> Any:
            if bytes(serialized_engine) in taken:
                return Engine(cuda, refusing)
            errors.append("the engine is of another plan")
            return None

    network = SimpleNamespace(num_inputs=0, num_outputs=1, get_input=None)
    config = SimpleNamespace(
        create_timing_cache=lambda data: SimpleNamespace(serialize=lambda: b"timings"),
        set_timing_cache=lambda cache, mismatch: True,
        clear_flag=lambda flag: None,
    )
    builder = SimpleNamespace(
        create_network=lambda flags: network,
        create_builder_config=lambda: config,
        create_optimization_profile=lambda: SimpleNamespace(),
        build_serialized_network=lambda network, config: f"engine {next(built)}".encode(),
    )
    parser = SimpleNamespace(parse_from_file=lambda path: True, num_errors=0)
    protocols = {
        **CLASSES,
        **({name: RTX_CLASSES[name] for name in ("ICudaEngine", "IRuntimeConfig")} if is_rtx else {}),
    }
    classes = {name: type(name, (), dict.fromkeys(members(protocol))) for name, protocol in protocols.items()}
    module = SimpleNamespace(
        **{**classes, "IProgressMonitor": object, "Runtime": Runtime},
        __version__="10.3.0",
        NetworkDefinitionCreationFlag=SimpleNamespace(STRONGLY_TYPED=1),
        BuilderFlag=SimpleNamespace(TF32="TF32"),
        CudaGraphStrategy=SimpleNamespace(WHOLE_GRAPH_CAPTURE="whole"),
    )
    module.Builder, module.OnnxParser = lambda log: builder, lambda network, log: parser
    errors: deque[str] = deque(maxlen=12)
    return Library("tensorrt", cast(Any, module), cast(Any, None), errors)
