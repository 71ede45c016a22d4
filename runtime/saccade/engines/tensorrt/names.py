"""Every name of NVIDIA's libraries that this engine uses, written by hand: what code here is checked against.

TensorRT 10.3 to 11.x and TensorRT-RTX share all of ``CLASSES`` and ``ENUMS``; ``RTX_CLASSES`` and ``RTX_ENUMS`` are
RTX's own and are asked for before they are used. A plain attribute is one that is set here, a property is only read.
Return types say what the bindings' signatures leave out: None where a call fails without an exception.

A test holds all of it against NVIDIA's bindings, and ``missing`` against whatever is installed.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Generic, Protocol


class Enumerator(Protocol):
    """One value of an enumeration. Its number differs between versions, its name does not."""

    @property
    def name(self) -> str: ...

    def __int__(self) -> int: ...


class NvTensor(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def shape(self) -> Sequence[int]: ...


class NvLayer(Protocol):
    @property
    def name(self) -> str: ...


class NvNetwork(Protocol):
    @property
    def num_inputs(self) -> int: ...

    def get_input(self, index: int) -> NvTensor: ...

    @property
    def num_outputs(self) -> int: ...

    @property
    def num_layers(self) -> int: ...

    def get_layer(self, index: int) -> NvLayer: ...


class NvHostMemory(Protocol):
    @property
    def nbytes(self) -> int: ...


class NvTimingCache(Protocol):
    def serialize(self) -> NvHostMemory | None: ...


class NvProfile(Protocol):
    def set_shape(self, input: str, min: tuple[int, ...], opt: tuple[int, ...], max: tuple[int, ...]) -> None: ...


class NvConfig(Protocol):
    builder_optimization_level: int
    max_aux_streams: int
    progress_monitor: Any
    default_device_type: Enumerator
    DLA_core: int

    def set_memory_pool_limit(self, pool: Enumerator, pool_size: int) -> None: ...

    def add_optimization_profile(self, profile: NvProfile) -> int: ...

    def create_timing_cache(self, serialized_timing_cache: bytes) -> NvTimingCache | None: ...

    def set_timing_cache(self, cache: NvTimingCache, ignore_mismatch: bool) -> bool: ...

    def get_timing_cache(self) -> NvTimingCache | None: ...

    def set_flag(self, flag: Enumerator) -> None: ...

    def clear_flag(self, flag: Enumerator) -> None: ...

    def can_run_on_DLA(self, layer: NvLayer) -> bool: ...


class RtxConfig(NvConfig, Protocol):
    num_compute_capabilities: int

    def set_compute_capability(self, compute_capability: Enumerator, index: int) -> bool: ...


class NvBuilder(Protocol):
    @property
    def num_DLA_cores(self) -> int: ...

    def create_network(self, flags: int) -> NvNetwork | None: ...

    def create_builder_config(self) -> NvConfig | None: ...

    def create_optimization_profile(self) -> NvProfile | None: ...

    def build_serialized_network(self, network: NvNetwork, config: NvConfig) -> NvHostMemory | None: ...


class NvParserError(Protocol):
    def desc(self) -> str: ...

    def node_name(self) -> str: ...

    def node_operator(self) -> str: ...


class NvParser(Protocol):
    @property
    def num_errors(self) -> int: ...

    def parse_from_file(self, model: str) -> bool: ...

    def get_error(self, index: int) -> NvParserError: ...


class NvContext(Protocol):
    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool: ...

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool: ...

    def infer_shapes(self) -> list[str]: ...

    def get_tensor_shape(self, name: str) -> Sequence[int]: ...

    def set_tensor_address(self, name: str, memory: int) -> bool: ...

    def execute_async_v3(self, stream_handle: int) -> bool: ...


class NvEngine(Protocol):
    @property
    def num_io_tensors(self) -> int: ...

    def get_tensor_name(self, index: int) -> str: ...

    def get_tensor_mode(self, name: str) -> Enumerator: ...

    def get_tensor_dtype(self, name: str) -> Enumerator: ...

    def get_tensor_location(self, name: str) -> Enumerator: ...

    def get_tensor_shape(self, name: str) -> Sequence[int]: ...

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[Sequence[int]]: ...

    def create_execution_context(self) -> NvContext | None: ...


class RtxRuntimeConfig(Protocol):
    cuda_graph_strategy: Enumerator


class RtxEngine(NvEngine, Protocol):
    def create_runtime_config(self) -> RtxRuntimeConfig | None: ...

    def create_execution_context(self, runtime_config: RtxRuntimeConfig | None = None) -> NvContext | None: ...


class NvRuntime(Protocol):
    @property
    def engine_host_code_allowed(self) -> bool: ...

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> NvEngine | None: ...


class NvLogger(Protocol):
    """A base class: its ``log`` is overridden, and found by name alone."""

    def log(self, severity: Enumerator, msg: str) -> None: ...


class NvProgressMonitor(Protocol):
    """A base class: its methods are overridden, and found by name alone."""

    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None: ...

    def step_complete(self, phase_name: str, step: int) -> bool: ...

    def phase_finish(self, phase_name: str) -> None: ...


class NetworkFlags(Protocol):
    STRONGLY_TYPED: Enumerator


class BuilderFlags(Protocol):
    GPU_FALLBACK: Enumerator
    SPARSE_WEIGHTS: Enumerator
    TF32: Enumerator


class MemoryPools(Protocol):
    WORKSPACE: Enumerator


class DeviceTypes(Protocol):
    DLA: Enumerator


class NvModule(Protocol):
    """``tensorrt`` or ``tensorrt_rtx``."""

    __version__: str
    NetworkDefinitionCreationFlag: NetworkFlags
    BuilderFlag: BuilderFlags
    MemoryPoolType: MemoryPools
    DeviceType: DeviceTypes
    ILogger: Any
    IProgressMonitor: Any

    def Builder(self, logger: NvLogger) -> NvBuilder: ...

    def OnnxParser(self, network: NvNetwork, logger: NvLogger) -> NvParser: ...

    def Runtime(self, logger: NvLogger) -> NvRuntime: ...


CLASSES: dict[str, type] = {
    "Builder": NvBuilder,
    "IBuilderConfig": NvConfig,
    "ICudaEngine": NvEngine,
    "IExecutionContext": NvContext,
    "IHostMemory": NvHostMemory,
    "ILayer": NvLayer,
    "ILogger": NvLogger,
    "INetworkDefinition": NvNetwork,
    "IOptimizationProfile": NvProfile,
    "IProgressMonitor": NvProgressMonitor,
    "ITensor": NvTensor,
    "ITimingCache": NvTimingCache,
    "OnnxParser": NvParser,
    "ParserError": NvParserError,
    "Runtime": NvRuntime,
}

ENUMS: dict[str, tuple[str, ...]] = {
    "NetworkDefinitionCreationFlag": ("STRONGLY_TYPED",),
    "BuilderFlag": ("GPU_FALLBACK", "SPARSE_WEIGHTS", "TF32"),
    "MemoryPoolType": ("WORKSPACE",),
    "DeviceType": ("DLA",),
    "TensorIOMode": ("INPUT", "OUTPUT"),
    "TensorLocation": ("DEVICE", "HOST"),
    "DataType": ("FLOAT", "HALF", "INT8", "UINT8", "INT32", "INT64", "BOOL"),
}

RTX_CLASSES: dict[str, type] = {
    "IBuilderConfig": RtxConfig,
    "ICudaEngine": RtxEngine,
    "IRuntimeConfig": RtxRuntimeConfig,
}

RTX_ENUMS: dict[str, tuple[str, ...]] = {
    "ComputeCapability": ("SM75", "SM80", "SM86", "SM89", "SM120", "SM121"),
    "CudaGraphStrategy": ("WHOLE_GRAPH_CAPTURE",),
}


def members(protocol: type) -> list[str]:
    """The names that a protocol asks for, its own and those of the protocols that it extends."""
    found: dict[str, None] = {}
    for base in reversed(protocol.__mro__):
        if base not in (object, Protocol, Generic):
            found |= dict.fromkeys([*inspect.get_annotations(base), *vars(base)])
    return [name for name in found if not name.startswith("_")]


def missing(module: object, classes: dict[str, type], enums: dict[str, tuple[str, ...]]) -> list[str]:
    """What ``module`` lacks of the names in two such tables, as ``Class.member``."""
    wanted = [(name, member) for name, protocol in classes.items() for member in members(protocol)]
    wanted += [(name, member) for name, values in enums.items() for member in values]
    return [f"{name}.{member}" for name, member in wanted if not hasattr(getattr(module, name, None), member)]
