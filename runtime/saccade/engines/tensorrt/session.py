"""Running an engine in one thread: a context, a stream, buffers, and a CUDA graph of the shapes that came last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from saccade.engines.base import Array, OutputSpec
from saccade.engines.buffers import BoundedCache
from saccade.engines.gpu.cuda import CudaRuntime, checked
from saccade.engines.gpu.driver import Gpu
from saccade.engines.gpu.memory import Buffer, allocate
from saccade.engines.gpu.stream import GpuStream
from saccade.engines.tensorrt.loading import Loaded, Tensor
from saccade.errors import EngineError, RequestError

Bound = tuple[tuple[str, tuple[int, ...], int], ...]
"""Name, shape and address of each input: what a CUDA graph is recorded for."""


class Session:
    """One context on a stream of its own.

    ``uses_graphs``: record a CUDA graph at the second run of a size, and launch it from then on.
    """

    def __init__(self, cuda: CudaRuntime, gpu: Gpu, loaded: Loaded, *, uses_graphs: bool) -> None:
        self._cuda, self._gpu, self._loaded = cuda, gpu, loaded
        self._inputs = {tensor.name: tensor for tensor in loaded.tensors if tensor.is_input}
        self._outputs = {tensor.name: tensor for tensor in loaded.tensors if not tensor.is_input}
        self._input_buffers: dict[str, BoundedCache[Buffer]] = {name: BoundedCache() for name in self._inputs}
        self._output_buffers: BoundedCache[dict[str, Buffer]] = BoundedCache()
        self._captures = uses_graphs and not loaded.library.captures_graphs
        self._graph: Any = None
        self._bound: Bound | None = None
        self._runs = 0
        self._waiting: tuple[dict[str, Buffer], tuple[str, ...]] | None = None
        self._context: Any = None
        self._stream = GpuStream(cuda)
        try:
            self._start(uses_graphs)
        except BaseException:
            self.close()
            raise

    def input_buffer(self, name: str, shape: tuple[int, ...], dtype: Any) -> Array:
        """Pinned memory for an input; what is written there needs no copy on the CPU."""
        return self._input_buffer(self._known_input(name, shape, np.dtype(dtype)), shape).host

    def submit(self, inputs: Mapping[str, Array], outputs: Mapping[str, OutputSpec]) -> None:
        """Enqueue one run: copies to the GPU, the network, copies back. Nothing is waited for."""
        if inputs.keys() != self._inputs.keys():
            raise EngineError(f"the engine takes {', '.join(self._inputs)}, but got {', '.join(inputs)}")
        if self._waiting is not None:  # a run that nobody waited for still reads the buffers
            self.wait()
        given = {name: self._filled(name, array) for name, array in inputs.items()}
        made = self._bind(given)
        self._check_outputs(made, outputs)
        self._stream.to_gpu(given)
        self._enqueue()
        self._stream.to_host(made)
        self._stream.mark()
        self._waiting = made, tuple(outputs)

    def wait(self) -> Mapping[str, Array]:
        """The results of the last ``submit``, in buffers that the next one overwrites."""
        if self._waiting is None:
            raise EngineError("wait was called without submit")
        (made, names), self._waiting = self._waiting, None
        self._stream.wait()
        return {name: made[name].host for name in names}

    def close(self) -> None:
        """Wait for what is under way, then give everything back but host buffers that are still looked at."""
        self._stream.settle()
        self._drop_graph()
        self._input_buffers.clear()
        self._output_buffers.clear()
        self._waiting, self._bound, self._context = None, None, None
        self._stream.close()

    def _start(self, uses_graphs: bool) -> None:
        self._context = self._loaded.new_context(capture=uses_graphs)
        if not self._context.set_optimization_profile_async(0, self._stream.handle):
            raise EngineError(f"{self._loaded.library.name} refuses its only profile: {self._reasons()}")
        self._stream.finish("choosing the profile")

    def _filled(self, name: str, array: Array) -> Buffer:
        """The input's buffer with ``array`` in it, which may be the buffer's own memory."""
        buffer = self._input_buffer(self._known_input(name, array.shape, array.dtype), array.shape)
        buffer.fill(array)
        return buffer

    def _known_input(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Tensor:
        """An input's description. Raises ``EngineError`` for another type, ``RequestError`` for a shape beyond."""
        tensor = self._inputs.get(name)
        if tensor is None or tensor.dtype is not dtype.type:
            wanted = "is none of the engine's inputs" if tensor is None else f"must be {tensor.dtype.__name__}"
            raise EngineError(f"input {name!r} {wanted}, but got {dtype} {shape}")
        if tensor.range is not None and not tensor.range.holds(shape):
            raise RequestError(
                f"input {name!r} has shape {shape}, but this engine was built for {tensor.range.least} to "
                f"{tensor.range.most}; run saccade build with --min-frame, --max-frame or --batch for more"
            )
        return tensor

    def _input_buffer(self, tensor: Tensor, shape: tuple[int, ...]) -> Buffer:
        return self._input_buffers[tensor.name].get(shape, lambda: self._allocated(tensor, shape))

    def _allocated(self, tensor: Tensor, shape: tuple[int, ...]) -> Buffer:
        return allocate(self._cuda, self._gpu, shape, tensor.dtype, on_host=tensor.on_host)

    def _bind(self, given: Mapping[str, Buffer]) -> dict[str, Buffer]:
        """Tell the context shapes and addresses where they have changed, and give the outputs' buffers."""
        bound = tuple((name, buffer.host.shape, buffer.address) for name, buffer in given.items())
        if bound == self._bound:
            return self._output_buffers.get(bound, self._made_outputs)
        self._drop_graph()
        self._bound, self._runs = None, 0
        for name, buffer in given.items():
            self._accepted(self._context.set_input_shape(name, buffer.host.shape), f"shape {buffer.host.shape}", name)
        if unknown := self._context.infer_shapes():
            raise EngineError(f"the engine cannot tell the shapes of {', '.join(unknown)}: {self._reasons()}")
        made = self._output_buffers.get(bound, self._made_outputs)
        for name, buffer in {**given, **made}.items():
            self._accepted(self._context.set_tensor_address(name, buffer.address), "its memory", name)
        self._bound = bound
        return made

    def _made_outputs(self) -> dict[str, Buffer]:
        shapes = {name: tuple(map(int, self._context.get_tensor_shape(name))) for name in self._outputs}
        return {name: self._allocated(tensor, shapes[name]) for name, tensor in self._outputs.items()}

    def _check_outputs(self, made: Mapping[str, Buffer], outputs: Mapping[str, OutputSpec]) -> None:
        for name, spec in outputs.items():
            found = made.get(name)
            if found is None or found.host.shape != spec.shape or found.host.dtype.type is not spec.dtype:
                gives = "does not give it" if found is None else f"gives {found.host.dtype} {found.host.shape}"
                raise EngineError(
                    f"output {name!r} must be {spec.dtype.__name__} {spec.shape}, but the engine {gives}; "
                    "export the bundle again"
                )

    def _enqueue(self) -> None:
        """The network once. The first run of a shape does deferred work and cannot be recorded, the second is."""
        if self._captures and self._runs > 0 and self._graph is None:
            self._graph = self._captured()
        if self._graph is not None:
            checked(
                self._cuda, self._cuda.cudaGraphLaunch(self._graph, self._stream.handle), "launching the CUDA graph"
            )
        elif not self._context.execute_async_v3(self._stream.handle):
            raise EngineError(f"{self._loaded.library.name} failed while running: {self._reasons()}")
        self._runs += 1

    def _captured(self) -> Any:
        """A CUDA graph of a run, or None for an engine that cannot be recorded: then it runs without."""
        cuda, mode = self._cuda, self._cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        checked(cuda, cuda.cudaStreamBeginCapture(self._stream.handle, mode), "recording a CUDA graph")
        is_enqueued = self._context.execute_async_v3(self._stream.handle)
        error, graph = cuda.cudaStreamEndCapture(self._stream.handle)
        if not is_enqueued or error.name != "cudaSuccess":
            cuda.cudaGetLastError()  # or the next call would give this one's error
            self._loaded.library.errors.clear()
            self._captures = False
            return None
        try:
            return checked(cuda, cuda.cudaGraphInstantiate(graph, 0), "making the CUDA graph")
        finally:
            cuda.cudaGraphDestroy(graph)

    def _drop_graph(self) -> None:
        graph, self._graph = self._graph, None
        if graph is not None:
            self._stream.settle()
            self._cuda.cudaGraphExecDestroy(graph)

    def _accepted(self, is_accepted: bool, what: str, name: str) -> None:
        if not is_accepted:
            raise EngineError(f"{self._loaded.library.name} refuses {what} for {name!r}: {self._reasons()}")

    def _reasons(self) -> str:
        return self._loaded.library.reasons()
