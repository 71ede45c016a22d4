"""What an engine is built from and for: the options, and the key that an engine is kept under."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from saccade.engines.base import Graph
from saccade.engines.frame_range import FrameRange
from saccade.engines.gpu.driver import Gpu
from saccade.engines.tensorrt.library import Library
from saccade.errors import DeviceError, EngineError, RequestError

RECIPE = 1
"""Rises when ``build`` makes another engine of the same request."""

SETTINGS = ("optimization_level", "max_aux_streams", "sparse_weights", "tf32", "cuda_graph")
"""What a bundle may set: speed alone."""


@dataclass(frozen=True)
class BuildOptions:
    """What a user may ask of a build. None leaves it to the library.

    ``workspace_bytes``: most scratch memory of a layer. ``use_dla``: layers that a Jetson's DLA can run go there.
    ``targets``: GPUs that TensorRT-RTX compiles for, as "SM89", none for all of those that it does by itself.
    """

    frames: FrameRange
    workspace_bytes: int | None = None
    use_dla: bool = False
    targets: tuple[str, ...] = ()

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True).encode()

    @staticmethod
    def from_json(data: bytes) -> BuildOptions:
        """What ``to_json`` wrote, which the cache has checked. Raises ``ValueError`` for what another version wrote."""
        read: dict[str, Any] = json.loads(data)
        try:
            frames = read.pop("frames")
            pairs = {name: tuple(frames.pop(name)) for name in ("least_hw", "usual_hw", "most_hw")}
            targets = tuple(read.pop("targets"))
            return BuildOptions(FrameRange(**pairs, **frames), targets=targets, **read)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("build options of another version") from error


@dataclass(frozen=True)
class Settings:
    """What a bundle sets for its variant."""

    optimization_level: int | None = None
    max_aux_streams: int | None = None
    sparse_weights: bool = False
    tf32: bool = False
    cuda_graph: bool = True


def read_settings(given: Mapping[str, Any] | None) -> Settings:
    """Raises ``EngineError`` for a setting that a bundle may not make, or of another type."""
    for name, value in (given or {}).items():
        if name not in SETTINGS:
            raise EngineError(f"the bundle sets {name!r} for TensorRT; allowed are {', '.join(SETTINGS)}")
        wanted = int if name in ("optimization_level", "max_aux_streams") else bool
        if type(value) is not wanted:
            raise EngineError(
                f"the bundle sets {name!r} to {value!r} for TensorRT; it must be of type {wanted.__name__}"
            )
    return Settings(**(given or {}))


def check_targets(library: Library, targets: tuple[str, ...]) -> None:
    """Raises ``RequestError`` for GPUs that an engine cannot be compiled for ahead of time."""
    if targets and not library.builds_without_gpu:
        raise RequestError(f"{library.name} builds for the GPU that it runs on; leave --target-sm out")
    if unknown := [target for target in targets if target not in library.compute_capabilities]:
        known = ", ".join(name.removeprefix("SM") for name in library.compute_capabilities)
        raise RequestError(
            f"--target-sm {', '.join(name.removeprefix('SM') for name in unknown)} is nothing that {library.name} "
            f"{library.version} compiles for; choose from {known}"
        )


def targets_for(library: Library, asked: tuple[str, ...], gpu: Gpu | None) -> tuple[str, ...]:
    """The GPUs to compile for. TensorRT-RTX leaves Turing out unless it is named."""
    if asked or gpu is None or not library.builds_without_gpu or gpu.compute_capability != (7, 5):
        return asked
    return ("SM75",)


def engine_key(
    library: Library, graph: Graph, options: BuildOptions, settings: Settings, gpu: Gpu | None
) -> dict[str, Any]:
    """Everything that a built engine depends on. Raises ``DeviceError`` where a GPU would have to be here.

    What TensorRT-RTX builds holds no machine code of the GPU at hand: the targets stand in for GPU and driver.
    """
    if library.builds_without_gpu:
        made_for: dict[str, Any] = {"targets": list(targets_for(library, options.targets, gpu))}
    elif gpu is None:
        raise DeviceError(f"{library.name} builds on the GPU that it will run on, and none is here")
    else:
        made_for = {
            "name": gpu.name,
            "compute_capability": list(gpu.compute_capability),
            "driver": gpu.driver,
        }
    flags = {field.name: getattr(settings, field.name) for field in fields(settings) if field.name != "cuda_graph"}
    return {
        "kind": "engine",
        "recipe": RECIPE,
        "graph": graph.digests(),
        "library": {"name": library.name, "version": library.version},
        "gpu": made_for,
        "frames": asdict(options.frames),
        "flags": {**flags, "workspace_bytes": options.workspace_bytes, "use_dla": options.use_dla},
    }


def options_key(library_name: str, graph: Graph) -> dict[str, Any]:
    """The key of what a user asked for when a graph was last built, which outlives updates of driver and library."""
    return {"kind": "options", "graph": graph.digests(), "library": library_name}


def timing_key(library: Library, gpu: Gpu) -> dict[str, Any]:
    """The key of how long the library's candidates took on this GPU."""
    return {
        "kind": "timing",
        "library": {"name": library.name, "version": library.version},
        "gpu": {"name": gpu.name, "compute_capability": list(gpu.compute_capability), "driver": gpu.driver},
    }
