"""Sessions: the only importer of ``onnxruntime``. What is asked of it is given, or refused with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import onnxruntime  # type: ignore[reportMissingTypeStubs]

from saccade.engines.base import Array, EngineOptions, Graph, first_line
from saccade.errors import EngineError

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
TENSORRT = "TensorrtExecutionProvider"

SETTINGS = (
    "session.intra_op.allow_spinning",
    "session.inter_op.allow_spinning",
    "session.dynamic_block_base",
    "session.set_denormal_as_zero",
    "session.disable_prepacking",
    "session.qdqisint8allowed",
    "session.x64quantprecision",
)
"""What a bundle may set: speed alone. Other entries read files, load code or lift checks."""

GPU_SETTINGS = ("cuda_graph", "tf32")
"""What a bundle may set for GPUs, each True or False; nothing on a CPU."""

_ERRORS_ONLY = 3

Providers = Sequence[str | tuple[str, Mapping[str, str]]]


def version() -> str:
    return onnxruntime.__version__


def available() -> tuple[str, ...]:
    """The providers that the installed build has, whether or not their devices are here."""
    return tuple(cast("list[str]", onnxruntime.get_available_providers()))


def devices() -> tuple[str, ...]:
    """The devices that the installed build can be asked for; CUDA here says nothing about a GPU being present."""
    return tuple(device for device, provider in PROVIDERS.items() if provider in available())


def session_options(options: EngineOptions, threads: int) -> Any:
    """Options of a session. Raises ``EngineError`` for a setting that a bundle may not make, or of another type."""
    made = cast(Any, onnxruntime.SessionOptions())
    made.intra_op_num_threads = threads
    made.log_severity_level = _ERRORS_ONLY
    for name, value in (options.settings or {}).items():
        if name in GPU_SETTINGS:
            if type(value) is not bool:
                raise EngineError(f"the bundle sets {name!r} to {value!r} for onnxruntime; it must be true or false")
        elif name in SETTINGS:
            made.add_session_config_entry(name, str(int(value) if isinstance(value, bool) else value))
        else:
            allowed = ", ".join((*SETTINGS, *GPU_SETTINGS))
            raise EngineError(f"the bundle sets {name!r} for onnxruntime; allowed are {allowed}")
    return made


def create(graph: Graph, options: Any, providers: Providers) -> Any:
    """A session of ``graph``. Raises ``EngineError`` for a graph or a provider's option that is refused."""
    try:
        return _created(graph, options, list(providers))
    except Exception as error:  # the library raises many kinds, all derived from Exception alone
        raise EngineError(
            f"onnxruntime {onnxruntime.__version__} refuses graph {graph.name} (opset {graph.opset}): "
            f"{first_line(error)}"
        ) from error


def value_of(array: Array) -> Any:
    """A view of an array for the library, without a copy."""
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)


def run_options(entries: Mapping[str, str]) -> Any:
    made = cast(Any, onnxruntime.RunOptions())
    for name, value in entries.items():
        made.add_run_config_entry(name, value)
    return made


def _created(graph: Graph, options: Any, providers: list[Any]) -> Any:
    # Without enable_fallback=0 a provider that fails is told on standard output, and the CPU takes its place.
    if not graph.weights:
        return onnxruntime.InferenceSession(bytes(graph.model), options, providers=providers, enable_fallback=0)
    if hasattr(options, "add_external_initializers_from_files_in_memory"):
        locations, buffers = list(graph.weights), list(graph.weights.values())
        lengths = [len(buffer) for buffer in buffers]
        options.add_external_initializers_from_files_in_memory(locations, buffers, lengths)
        return onnxruntime.InferenceSession(bytes(graph.model), options, providers=providers, enable_fallback=0)
    with graph.on_disk() as path:  # ONNX Runtime before 1.24
        return onnxruntime.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
