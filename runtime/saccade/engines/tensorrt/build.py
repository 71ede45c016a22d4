"""From a graph to the bytes of an engine, by NVIDIA's parser and builder. Strongly typed: types are the graph's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from saccade.engines.base import Graph
from saccade.engines.gpu.driver import Gpu
from saccade.engines.tensorrt.dla import Coverage, place_on_dla
from saccade.engines.tensorrt.library import Library
from saccade.engines.tensorrt.names import NvBuilder, NvConfig, NvNetwork, NvParser, NvTimingCache, RtxConfig
from saccade.engines.tensorrt.profiles import shape_range
from saccade.engines.tensorrt.progress import Interrupted, Show, monitor
from saccade.engines.tensorrt.request import BuildOptions, Settings, targets_for
from saccade.errors import EngineError

Made = TypeVar("Made")


@dataclass(frozen=True)
class Built:
    """An engine's bytes, what the builder measured on the way (None without a GPU), and what the DLA takes of it."""

    engine: bytes
    timings: bytes | None
    coverage: Coverage | None


def build(
    library: Library,
    graph: Graph,
    options: BuildOptions,
    settings: Settings,
    gpu: Gpu | None,
    *,
    timings: bytes = b"",
    show: Show | None = None,
) -> Built:
    """Build an engine in this process. ``timings`` are those of an earlier build with this library on this GPU.

    Raises ``EngineError`` with the library's reasons, ``DeviceError`` for a DLA that is not here. Where memory runs out
    the library may also end the process, or stand still for ever: see ``apart``.
    """
    with graph.on_disk() as path:
        return build_file(library, path, graph.opset, options, settings, gpu, timings=timings, show=show)


def build_file(
    library: Library,
    path: Path,
    opset: int,
    options: BuildOptions,
    settings: Settings,
    gpu: Gpu | None,
    *,
    timings: bytes = b"",
    show: Show | None = None,
) -> Built:
    """The same from a graph on disk, which its weights lie beside."""
    library.errors.clear()
    interrupted = Interrupted()
    try:
        with interrupted.noted():
            return _build(library, path, opset, options, settings, gpu, timings, show, interrupted)
    except MemoryError as error:
        raise EngineError(f"out of memory while building {path.name}; {LESS_MEMORY}") from error
    except (RuntimeError, ValueError, TypeError) as error:  # how the bindings report what has no other way out
        raise EngineError(
            f"{library.name} {library.version} failed while building {path.name}: {error}: {library.reasons()}"
        ) from error


LESS_MEMORY = "free memory, or build for smaller frames or fewer at once (--max-frame, --batch), or set --workspace"


def _build(
    library: Library,
    path: Path,
    opset: int,
    options: BuildOptions,
    settings: Settings,
    gpu: Gpu | None,
    timings: bytes,
    show: Show | None,
    interrupted: Interrupted,
) -> Built:
    module = library.module
    builder = module.Builder(library.log)
    flags = 1 << int(module.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = _made(library, builder.create_network(flags), "a network")
    parser = module.OnnxParser(network, library.log)
    refused = f"{library.name} {library.version} refuses graph {path.name} (opset {opset})"
    if not parser.parse_from_file(str(path)):  # the weights must stay there until the engine is built
        raise EngineError(f"{refused}: {_problems(parser)}")
    if network.num_outputs == 0:  # what the parser makes of bytes that are no graph at all
        raise EngineError(f"{refused}: it has no outputs")
    config = _made(library, builder.create_builder_config(), "a configuration")
    _configure(library, config, options, settings, gpu)
    _add_profile(library, builder, network, config, options)
    coverage = place_on_dla(library, builder, network, config) if options.use_dla else None
    cache = _use_timings(library, config, timings) if gpu is not None else None
    config.progress_monitor = monitor(module, show, interrupted)
    built = builder.build_serialized_network(network, config)
    if built is None:
        raise EngineError(
            f"{library.name} {library.version} cannot build {path.name}: {library.reasons()}; if memory ran out, "
            + LESS_MEMORY
        )
    return Built(_bytes(built), _serialized(cache), coverage)


def _configure(library: Library, config: NvConfig, options: BuildOptions, settings: Settings, gpu: Gpu | None) -> None:
    module = library.module
    if options.workspace_bytes is not None:
        config.set_memory_pool_limit(module.MemoryPoolType.WORKSPACE, options.workspace_bytes)
    if settings.optimization_level is not None:
        config.builder_optimization_level = settings.optimization_level
    if settings.max_aux_streams is not None:
        config.max_aux_streams = settings.max_aux_streams
    if settings.sparse_weights:
        config.set_flag(module.BuilderFlag.SPARSE_WEIGHTS)
    if not settings.tf32:  # on unless it is cleared, and it would cost float32 graphs ten bits of precision
        config.clear_flag(module.BuilderFlag.TF32)
    targets = targets_for(library, options.targets, gpu)
    if not targets:
        return
    for_targets = cast(RtxConfig, config)
    for_targets.num_compute_capabilities = len(targets)
    for index, name in enumerate(targets):
        if not for_targets.set_compute_capability(library.enumerator("ComputeCapability", name), index):
            raise EngineError(f"{library.name} {library.version} refuses to compile for {name}: {library.reasons()}")


def _add_profile(
    library: Library, builder: NvBuilder, network: NvNetwork, config: NvConfig, options: BuildOptions
) -> None:
    """One profile for all inputs whose shapes vary."""
    profile = _made(library, builder.create_optimization_profile(), "a profile")
    varying = [tensor for tensor in map(network.get_input, range(network.num_inputs)) if -1 in tuple(tensor.shape)]
    for tensor in varying:
        shapes = shape_range(tensor.name, tuple(tensor.shape), options.frames)
        profile.set_shape(tensor.name, shapes.least, shapes.usual, shapes.most)
    if varying and config.add_optimization_profile(profile) < 0:
        raise EngineError(f"{library.name} refuses frames of {options.frames}: {library.reasons()}")


def _use_timings(library: Library, config: NvConfig, timings: bytes) -> NvTimingCache:
    """What was measured before, or nothing where the library does not take it. Without a GPU this call would fail."""
    cache = config.create_timing_cache(timings)
    if cache is None or not config.set_timing_cache(cache, False):
        cache = _made(library, config.create_timing_cache(b""), "a timing cache")
        if not config.set_timing_cache(cache, False):
            raise EngineError(f"{library.name} refuses an empty timing cache: {library.reasons()}")
    return cache


def _serialized(cache: NvTimingCache | None) -> bytes | None:
    memory = None if cache is None else cache.serialize()
    return None if memory is None else _bytes(memory)


def _made(library: Library, made: Made | None, what: str) -> Made:
    if made is None:
        raise EngineError(f"{library.name} {library.version} cannot make {what}: {library.reasons()}")
    return made


def _problems(parser: NvParser) -> str:
    """What the parser found, node by node."""
    said: list[str] = []
    for index in range(parser.num_errors):
        error = parser.get_error(index)
        node = f"node {error.node_name()!r} ({error.node_operator()}): " if error.node_name() else ""
        said.append(f"{node}{error.desc()}")
    return "; ".join(said) or "the parser gave no reason"


def _bytes(memory: Any) -> bytes:
    return bytes(memoryview(memory))
