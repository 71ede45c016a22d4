"""The GPU and its driver.

A library may end the process where there is no driver, so no runtime object of one is made before ``find_gpu``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from saccade.engines.gpu.cuda import CudaRuntime, checked, load_cuda, words
from saccade.errors import DeviceError, EngineError
from saccade.machine import gpu_description


@dataclass(frozen=True)
class Gpu:
    """The GPU that is used, the first that CUDA shows. ``driver`` is its version and, where known, its own line."""

    name: str
    compute_capability: tuple[int, int]
    driver: str
    memory_bytes: int
    shares_memory: bool
    """The GPU works in the CPU's memory and can be shown host buffers: nothing has to be copied."""


def find_gpu(cuda: CudaRuntime) -> Gpu:
    """The GPU to use. Raises ``DeviceError``: no driver, a driver that is too old, or one that shows no GPU."""
    error, count = cuda.cudaGetDeviceCount()
    if error.name != "cudaSuccess" or not count:
        raise DeviceError(_why_no_gpu(cuda, error))
    properties = checked(cuda, cuda.cudaGetDeviceProperties(0), "asking for the GPU's properties")
    attributes = cuda.cudaDeviceAttr
    is_integrated = _attribute(cuda, attributes.cudaDevAttrIntegrated)
    can_map = _attribute(cuda, attributes.cudaDevAttrCanMapHostMemory)
    version = checked(cuda, cuda.cudaDriverGetVersion(), "asking for the driver's version")
    return Gpu(
        properties.name.decode(errors="replace").rstrip("\0"),
        (properties.major, properties.minor),
        f"CUDA {_cuda_version(version)}; {gpu_description() or 'driver of an unknown version'}",
        properties.totalGlobalMem,
        bool(is_integrated and can_map),
    )


def usable_devices(served: tuple[str, ...]) -> tuple[str, ...]:
    """("cuda",), or nothing: without ``cuda.bindings``, or where a GPU is here that is none of ``served``, "SM89".

    An empty ``served`` stands for all GPUs. No GPU here is no reason: a device can be asked for, and is then refused.
    """
    try:
        cuda = load_cuda()
    except DeviceError:
        return ()
    try:
        major, minor = find_gpu(cuda).compute_capability
    except (DeviceError, EngineError):
        return ("cuda",)
    return ("cuda",) if not served or f"SM{major}{minor}" in served else ()


def _why_no_gpu(cuda: CudaRuntime, error: Any) -> str:
    driver = cuda.cudaDriverGetVersion()[1]
    if not driver:
        return "no NVIDIA driver is here; install one, or start the container with the GPU (--gpus all)"
    if error.name == "cudaErrorInsufficientDriver":
        needed = _cuda_version(cuda.cudaRuntimeGetVersion()[1])
        return (
            f"the NVIDIA driver knows CUDA {_cuda_version(driver)}, but cuda-bindings is for {needed}; "
            f"update the driver, or run pip install 'cuda-bindings<{int(needed.partition('.')[0])}'"
        )
    if error.name in ("cudaSuccess", "cudaErrorNoDevice"):
        return "the NVIDIA driver is here but shows no GPU; check nvidia-smi and CUDA_VISIBLE_DEVICES"
    return f"the NVIDIA driver does not answer: {words(cuda, error)}; check nvidia-smi"


def _attribute(cuda: CudaRuntime, attribute: Any) -> int:
    return checked(cuda, cuda.cudaDeviceGetAttribute(attribute, 0), "asking what the GPU can do")


def _cuda_version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"
