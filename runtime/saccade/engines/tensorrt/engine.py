"""TensorRT and TensorRT-RTX behind the seam that tasks use."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from saccade.engines.base import Array, EngineInfo, EngineOptions, Graph, OutputSpec
from saccade.engines.cache import EngineCache
from saccade.engines.gpu.cuda import CudaRuntime, load_cuda
from saccade.engines.gpu.driver import Gpu, find_gpu
from saccade.engines.tensorrt.library import Library, load_library
from saccade.engines.tensorrt.loading import Loaded, load_engine
from saccade.engines.tensorrt.obtain import obtain, remembered
from saccade.engines.tensorrt.request import BuildOptions, Settings, read_settings
from saccade.engines.tensorrt.session import Session
from saccade.errors import EngineError, RequestError

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Shared:
    """What an engine and its clones have in common."""

    cuda: CudaRuntime
    gpu: Gpu
    loaded: Loaded
    settings: Settings


class TensorRTEngine:
    """See ``Engine``. Clones share the engine and have a context, a stream and buffers of their own."""

    def __init__(self, name: str, graph: Graph, options: EngineOptions, cache: EngineCache | None = None) -> None:
        """``name`` is "tensorrt" or "tensorrt-rtx". An engine that is not in the cache, which is that of ``options``
        unless one is given, is built; this takes minutes.

        Raises ``DeviceError`` for a GPU, driver or library that is not here, ``RequestError`` for another device,
        ``EngineError`` for a graph that is refused, ``OutputError`` for a cache that cannot be used.
        """
        if options.device != "cuda":
            raise RequestError(f"device {options.device!r} was asked for, but {name} runs on NVIDIA GPUs; pass 'cuda'")
        settings = read_settings(options.settings)
        cuda = load_cuda()
        gpu = find_gpu(cuda)
        library = load_library(name)
        loaded = _load(library, graph, options, settings, gpu, cache or EngineCache(options.cache))
        self._share(_Shared(cuda, gpu, loaded, settings), EngineInfo(name, library.version, "cuda", 0))

    def describe(self) -> EngineInfo:
        return self._info

    def input_buffer(self, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> Array:
        return self._running().input_buffer(name, shape, dtype)

    def submit(self, inputs: Mapping[str, Array], outputs: Mapping[str, OutputSpec]) -> None:
        self._running().submit(inputs, outputs)

    def wait(self) -> Mapping[str, Array]:
        return self._running().wait()

    def run(self, inputs: Mapping[str, Array], outputs: Mapping[str, OutputSpec]) -> Mapping[str, Array]:
        self.submit(inputs, outputs)
        return self.wait()

    def clone(self) -> TensorRTEngine:
        other = object.__new__(TensorRTEngine)
        other._share(self._opened(), self._info)
        return other

    def close(self) -> None:
        session, self._session, self._shared = self._session, None, None
        if session is not None:
            session.close()

    def __del__(self) -> None:
        if getattr(self, "_session", None) is not None and not sys.is_finalizing():
            self.close()

    def _share(self, shared: _Shared, info: EngineInfo) -> None:
        self._shared: _Shared | None = shared
        self._info = info
        self._session: Session | None = None

    def _opened(self) -> _Shared:
        if self._shared is None:
            raise EngineError("the engine is closed; open the bundle again")
        return self._shared

    def _running(self) -> Session:
        """The session, made at the first frame: an engine that is only cloned needs no memory for running."""
        shared = self._opened()
        if self._session is None:
            graphs = shared.settings.cuda_graph
            self._session = Session(shared.cuda, shared.gpu, shared.loaded, uses_graphs=graphs)
        return self._session


def _load(
    library: Library, graph: Graph, options: EngineOptions, settings: Settings, gpu: Gpu, cache: EngineCache
) -> Loaded:
    """The engine in GPU memory. One that the cache holds intact but the library does not take is rebuilt once."""
    asked = remembered(library, graph, cache)
    if asked is None:
        if options.frames is None:
            raise RequestError(f"{library.name} is built for a range of frames, but none was given")
        asked = BuildOptions(options.frames)

    def show_start(_: object) -> None:
        if not told:
            told.append(True)
            LOGGER.warning(
                "building an engine from %s with %s %s for %s (%s): once, for minutes; saccade build does it ahead",
                graph.name,
                library.name,
                library.version,
                gpu.name,
                asked.frames,
            )

    told: list[bool] = []
    fetch = partial(obtain, library, graph, asked, settings, gpu, cache, show=show_start)
    obtained = fetch()
    loaded = load_engine(library, obtained.engine)
    if loaded is None and not obtained.is_new:
        loaded = load_engine(library, fetch(unless=obtained.engine).engine)
    if loaded is None:
        raise EngineError(
            f"{library.name} {library.version} does not take the engine that it built for {gpu.name} (compute "
            f"capability {gpu.compute_capability[0]}.{gpu.compute_capability[1]}): {library.reasons()}; update the "
            "driver, or use another engine"
        )
    return loaded
