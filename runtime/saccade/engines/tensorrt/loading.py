"""An engine's bytes as an engine: what it takes and gives, and contexts to run it in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from saccade.engines.tensorrt.library import Library
from saccade.engines.tensorrt.names import NvContext, NvEngine, NvRuntime, RtxEngine
from saccade.engines.tensorrt.profiles import ShapeRange
from saccade.errors import EngineError

DTYPES: dict[str, type[np.generic]] = {
    "FLOAT": np.float32,
    "HALF": np.float16,
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT32": np.int32,
    "INT64": np.int64,
    "BOOL": np.bool_,
}


@dataclass(frozen=True)
class Tensor:
    """An input or output. ``range`` is what shapes an input may have; ``on_host``: the library reads it on the CPU."""

    name: str
    is_input: bool
    dtype: type[np.generic]
    on_host: bool
    range: ShapeRange | None


@dataclass(frozen=True)
class Loaded:
    """An engine in the GPU's memory, which any number of contexts share."""

    library: Library
    runtime: NvRuntime
    engine: NvEngine
    tensors: tuple[Tensor, ...]

    def new_context(self, *, capture: bool) -> NvContext:
        """A context for one thread; ``capture`` lets the library record CUDA graphs, where it can do so itself."""
        if capture and self.library.captures_graphs:
            rtx = cast(RtxEngine, self.engine)
            config = rtx.create_runtime_config()
            if config is None:
                raise EngineError(f"{self.library.name} gives no configuration to run by: {self.library.reasons()}")
            config.cuda_graph_strategy = self.library.enumerator("CudaGraphStrategy", "WHOLE_GRAPH_CAPTURE")
            context = rtx.create_execution_context(config)
        else:
            context = self.engine.create_execution_context()
        if context is None:
            raise EngineError(
                f"{self.library.name} cannot make a context to run in, often for want of GPU memory: "
                f"{self.library.reasons()}; free some, or build for smaller frames (saccade build --max-frame)"
            )
        return context


def load_engine(library: Library, data: bytes) -> Loaded | None:
    """Deserialise an engine that the cache has checked; None where the library does not take it.

    Only with a GPU that ``find_gpu`` has found: without a driver the library may end the process.
    """
    library.errors.clear()
    runtime = library.module.Runtime(library.log)
    if runtime.engine_host_code_allowed:
        raise EngineError(f"{library.name} would run code of an engine on the CPU, which is never allowed here")
    engine = runtime.deserialize_cuda_engine(data)
    if engine is None:
        return None
    return Loaded(library, runtime, engine, tuple(_tensor(engine, index) for index in range(engine.num_io_tensors)))


def _tensor(engine: NvEngine, index: int) -> Tensor:
    name = engine.get_tensor_name(index)
    dtype = engine.get_tensor_dtype(name).name
    if dtype not in DTYPES:
        raise EngineError(f"{name!r} of the engine is of type {dtype}, which numpy has not; export the bundle again")
    is_input = engine.get_tensor_mode(name).name == "INPUT"
    on_host = engine.get_tensor_location(name).name == "HOST"
    return Tensor(name, is_input, DTYPES[dtype], on_host, _range(engine, name) if is_input else None)


def _range(engine: NvEngine, name: str) -> ShapeRange:
    shape = _sides(engine.get_tensor_shape(name))
    if -1 not in shape:
        return ShapeRange(shape, shape, shape)
    least, usual, most = map(_sides, engine.get_tensor_profile_shape(name, 0))
    return ShapeRange(least, usual, most)


def _sides(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(side) for side in shape)
