"""Host buffers that a GPU can read and write directly, each with the memory on the GPU that it is copied to."""

from __future__ import annotations

import ctypes
import weakref
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from saccade.engines.base import Array
from saccade.engines.gpu.cuda import MIB, CudaRuntime, checked
from saccade.engines.gpu.driver import Gpu


@dataclass(eq=False)
class Buffer:
    """``host`` is pinned memory, ``address`` what the library is given.

    ``is_copied`` is False where the GPU works in the host's memory. Host memory lives as long as an array looks at it,
    the GPU's as long as this object.
    """

    host: Array
    address: int
    is_copied: bool

    def fill(self, array: Array) -> None:
        """Put ``array`` into the host's memory, unless it is that memory."""
        if (array.ctypes.data, array.strides) != (self.host.ctypes.data, self.host.strides):
            np.copyto(self.host, array)


def allocate(cuda: CudaRuntime, gpu: Gpu, shape: tuple[int, ...], dtype: Any, *, on_host: bool) -> Buffer:
    """A buffer for an array. ``on_host``: the library itself reads it on the CPU. Raises ``EngineError``."""
    kind: np.dtype[Any] = np.dtype(dtype)
    size = max(prod(shape) * kind.itemsize, 1)
    flags = cuda.cudaHostAllocMapped if gpu.shares_memory else cuda.cudaHostAllocDefault
    doing = f"allocating {size / MIB:.1f} MiB"
    pointer = int(checked(cuda, cuda.cudaHostAlloc(size, flags), f"{doing} of pinned memory"))
    raw: Any = (ctypes.c_ubyte * size).from_address(pointer)
    _when_gone(raw, cuda.cudaFreeHost, pointer)
    host: Array = np.frombuffer(raw, kind, prod(shape)).reshape(shape)
    if on_host:
        return Buffer(host, pointer, is_copied=False)
    if gpu.shares_memory:
        shown = checked(cuda, cuda.cudaHostGetDevicePointer(pointer, 0), "showing host memory to the GPU")
        return Buffer(host, int(shown), is_copied=False)
    buffer = Buffer(host, int(checked(cuda, cuda.cudaMalloc(size), f"{doing} on the GPU")), is_copied=True)
    _when_gone(buffer, cuda.cudaFree, buffer.address)
    return buffer


def _when_gone(owner: Any, free: Any, pointer: int) -> None:
    weakref.finalize(owner, free, pointer).atexit = False  # the process gives everything back by itself
