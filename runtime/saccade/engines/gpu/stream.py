"""A stream of work on the GPU, and the copies to it and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saccade.engines.gpu.cuda import CudaRuntime, checked
from saccade.engines.gpu.memory import Buffer


class GpuStream:
    """A stream of its own, which waits for no other, and a mark that the CPU can wait for. Raises ``EngineError``."""

    def __init__(self, cuda: CudaRuntime) -> None:
        self._cuda = cuda
        self._stream: Any = None
        self._event: Any = None
        try:
            self._stream = checked(cuda, cuda.cudaStreamCreateWithFlags(cuda.cudaStreamNonBlocking), "making a stream")
            flags = cuda.cudaEventBlockingSync | cuda.cudaEventDisableTiming
            self._event = checked(cuda, cuda.cudaEventCreateWithFlags(flags), "making an event")
        except BaseException:
            self.close()
            raise

    @property
    def handle(self) -> int:
        """The stream as a library takes it: a ``cudaStream_t``."""
        return int(self._stream)

    def to_gpu(self, buffers: Mapping[str, Buffer]) -> None:
        """Enqueue the copies of what the CPU has filled."""
        for name, buffer in buffers.items():
            if buffer.is_copied:
                self._copy(buffer.address, buffer.host.ctypes.data, buffer, "HostToDevice", name)

    def to_host(self, buffers: Mapping[str, Buffer]) -> None:
        """Enqueue the copies of what the GPU has filled."""
        for name, buffer in buffers.items():
            if buffer.is_copied:
                self._copy(buffer.host.ctypes.data, buffer.address, buffer, "DeviceToHost", name)

    def mark(self) -> None:
        """What was enqueued until here is what ``wait`` waits for."""
        checked(self._cuda, self._cuda.cudaEventRecord(self._event, self._stream), "marking the end of a run")

    def wait(self) -> None:
        checked(self._cuda, self._cuda.cudaEventSynchronize(self._event), "running the engine")

    def finish(self, doing: str) -> None:
        """Wait for all that was enqueued, in which ``doing`` may have failed."""
        checked(self._cuda, self._cuda.cudaStreamSynchronize(self._stream), doing)

    def settle(self) -> None:
        """Wait for all that was enqueued, however it ended."""
        if self._stream is not None:
            self._cuda.cudaStreamSynchronize(self._stream)

    def close(self) -> None:
        self.settle()
        if self._event is not None:
            self._cuda.cudaEventDestroy(self._event)
        if self._stream is not None:
            self._cuda.cudaStreamDestroy(self._stream)
        self._event, self._stream = None, None

    def _copy(self, target: int, source: int, buffer: Buffer, direction: str, name: str) -> None:
        kind = getattr(self._cuda.cudaMemcpyKind, f"cudaMemcpy{direction}")
        copied = self._cuda.cudaMemcpyAsync(target, source, buffer.host.nbytes, kind, self._stream)
        checked(self._cuda, copied, f"copying {name!r}")
