"""An engine's bytes: from the cache where they are kept, else built once and kept."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from saccade.engines.base import Graph
from saccade.engines.cache import EngineCache
from saccade.engines.gpu.driver import Gpu
from saccade.engines.tensorrt.apart import build_apart
from saccade.engines.tensorrt.build import Built
from saccade.engines.tensorrt.dla import Coverage
from saccade.engines.tensorrt.library import Library
from saccade.engines.tensorrt.progress import Show
from saccade.engines.tensorrt.request import BuildOptions, Settings, check_targets, engine_key, options_key, timing_key


@dataclass(frozen=True)
class Obtained:
    """An engine and where it is kept. ``seconds``: of building it, 0 where it was there. ``coverage``: of a build for
    the DLA. ``refused`` says why a kept file was not used."""

    engine: bytes
    path: Path
    is_new: bool
    seconds: float
    refused: str | None
    coverage: Coverage | None


def obtain(
    library: Library,
    graph: Graph,
    options: BuildOptions,
    settings: Settings,
    gpu: Gpu | None,
    cache: EngineCache,
    *,
    unless: bytes | None = None,
    rebuild: bool = False,
    show: Show | None = None,
) -> Obtained:
    """The engine of a graph, which the cache has checked; ``unless`` is one that turned out to be of no use.

    ``rebuild`` builds it anew in any case. Raises ``EngineError`` for what cannot be built, ``OutputError`` for a cache
    that cannot be used, ``RequestError`` for options that do not fit.
    """
    check_targets(library, options.targets)
    key = engine_key(library, graph, options, settings, gpu)
    made: list[tuple[Built, float]] = []

    def make() -> bytes:
        kept = None if gpu is None else cache.read(timing_key(library, gpu))
        started = time.monotonic()
        built = build_apart(library, graph, options, settings, gpu, timings=kept or b"", show=show)
        made.append((built, time.monotonic() - started))
        return built.engine

    found = cache.get(key, make, unless=unless, always=rebuild)
    if not made:
        return Obtained(found.content, found.path, False, 0.0, found.refused, None)
    ((built, seconds),) = made
    if gpu is not None and built.timings is not None:
        cache.write(timing_key(library, gpu), built.timings)
    return Obtained(found.content, found.path, True, seconds, found.refused, built.coverage)


def remember(library: Library, graph: Graph, options: BuildOptions, cache: EngineCache) -> None:
    """Keep what was asked for, so that opening the bundle asks for the same."""
    cache.write(options_key(library.name, graph), options.to_json())


def remembered(library: Library, graph: Graph, cache: EngineCache) -> BuildOptions | None:
    """What was asked for when this graph was last built; None where it never was."""
    kept = cache.read(options_key(library.name, graph))
    try:
        return None if kept is None else BuildOptions.from_json(kept)
    except ValueError:
        return None
