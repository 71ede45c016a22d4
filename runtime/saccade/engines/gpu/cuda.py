"""CUDA's runtime: the only importer of ``cuda.bindings``, which needs neither a GPU nor a driver to be imported."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol, cast

from saccade.errors import DeviceError, EngineError

INSTALL = "run pip install cuda-bindings, which saccade[cuda], saccade[tensorrt] and saccade[tensorrt-rtx] bring"
MIB = 1 << 20
LESS_MEMORY = (
    "free memory on the GPU, or build for smaller frames or fewer at once (saccade build --max-frame, --batch)"
)


class CudaRuntime(Protocol):
    """What is used of ``cuda.bindings.runtime``, by position. Each gives an error first, then what was asked for."""

    cudaError_t: Any
    cudaDeviceAttr: Any
    cudaMemcpyKind: Any
    cudaStreamCaptureMode: Any
    cudaHostAllocDefault: int
    cudaHostAllocMapped: int
    cudaStreamNonBlocking: int
    cudaEventBlockingSync: int
    cudaEventDisableTiming: int

    def cudaGetErrorString(self, error: Any) -> tuple[Any, bytes]: ...
    def cudaGetDeviceCount(self) -> tuple[Any, ...]: ...
    def cudaDriverGetVersion(self) -> tuple[Any, ...]: ...
    def cudaRuntimeGetVersion(self) -> tuple[Any, ...]: ...
    def cudaGetDeviceProperties(self, device: int) -> tuple[Any, ...]: ...
    def cudaDeviceGetAttribute(self, attr: Any, device: int) -> tuple[Any, ...]: ...
    def cudaMemGetInfo(self) -> tuple[Any, ...]: ...
    def cudaHostAlloc(self, size: int, flags: int) -> tuple[Any, ...]: ...
    def cudaHostGetDevicePointer(self, pHost: Any, flags: int) -> tuple[Any, ...]: ...
    def cudaFreeHost(self, ptr: Any) -> tuple[Any, ...]: ...
    def cudaMalloc(self, size: int) -> tuple[Any, ...]: ...
    def cudaFree(self, devPtr: Any) -> tuple[Any, ...]: ...
    def cudaMemcpyAsync(self, dst: Any, src: Any, count: int, kind: Any, stream: Any) -> tuple[Any, ...]: ...
    def cudaStreamCreateWithFlags(self, flags: int) -> tuple[Any, ...]: ...
    def cudaStreamSynchronize(self, stream: Any) -> tuple[Any, ...]: ...
    def cudaStreamDestroy(self, stream: Any) -> tuple[Any, ...]: ...
    def cudaEventCreateWithFlags(self, flags: int) -> tuple[Any, ...]: ...
    def cudaEventRecord(self, event: Any, stream: Any) -> tuple[Any, ...]: ...
    def cudaEventSynchronize(self, event: Any) -> tuple[Any, ...]: ...
    def cudaEventDestroy(self, event: Any) -> tuple[Any, ...]: ...
    def cudaStreamBeginCapture(self, stream: Any, mode: Any) -> tuple[Any, ...]: ...
    def cudaStreamEndCapture(self, stream: Any) -> tuple[Any, ...]: ...
    def cudaGraphInstantiate(self, graph: Any, flags: int) -> tuple[Any, ...]: ...
    def cudaGraphLaunch(self, graphExec: Any, stream: Any) -> tuple[Any, ...]: ...
    def cudaGraphExecDestroy(self, graphExec: Any) -> tuple[Any, ...]: ...
    def cudaGraphDestroy(self, graph: Any) -> tuple[Any, ...]: ...
    def cudaGetLastError(self) -> tuple[Any, ...]: ...


def load_cuda() -> CudaRuntime:
    """CUDA's runtime. Raises ``DeviceError`` where its Python package is not here or cannot be loaded."""
    try:
        return cast(CudaRuntime, import_module("cuda.bindings.runtime"))
    except ModuleNotFoundError as error:
        raise DeviceError(f"running on a GPU needs the package cuda-bindings, which is not here; {INSTALL}") from error
    except (ImportError, OSError, RuntimeError) as error:
        raise DeviceError(f"cuda-bindings is installed, but cannot be loaded: {error}; {INSTALL}") from error


def checked(cuda: CudaRuntime, answer: tuple[Any, ...], doing: str) -> Any:
    """What a call gave besides its error. Raises ``EngineError`` where the error is one; ``doing`` says what was tried.

    Several values come as a tuple.
    """
    error, *values = answer
    if error.name == "cudaErrorMemoryAllocation":
        raise EngineError(f"out of memory while {doing}: {_free_memory(cuda)}; {LESS_MEMORY}")
    if error.name != "cudaSuccess":
        raise EngineError(f"{doing} failed: {words(cuda, error)}")
    return values[0] if len(values) == 1 else tuple(values)


def _free_memory(cuda: CudaRuntime) -> str:
    error, *memory = cuda.cudaMemGetInfo()
    if error.name != "cudaSuccess":
        return "how much the GPU has free is not known"
    return f"the GPU has {memory[0] // MIB} MiB free of {memory[1] // MIB} MiB"


def words(cuda: CudaRuntime, error: Any) -> str:
    return f"{error.name}: {cuda.cudaGetErrorString(error)[1].decode(errors='replace')}"
