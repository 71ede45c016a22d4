"""The seam between tasks and inference libraries."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from saccade.engines.frame_range import FrameRange

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class ImageGraph:
    """The part of a graph that turns ``frames`` into ``image``, float32 (N, 3, height, width) of ``size_hw``."""

    graph: Graph
    size_hw: tuple[int, int]


@dataclass(frozen=True)
class Graph:
    """A verified ONNX graph and the weight files that it refers to, all in memory.

    ``weights`` maps an external-data location to its bytes. ``opset`` and ``precision`` are what the manifest states.
    With ``prepare`` the graph begins at the image, and that comes before it.
    """

    name: str
    model: memoryview
    weights: Mapping[str, memoryview]
    opset: int
    precision: str = "fp32"
    prepare: ImageGraph | None = None

    def on_disk(self) -> AbstractContextManager[Path]:
        """The graph and its weights as files in a private folder that goes away: for libraries that read only paths."""
        return _on_disk(self)

    def digests(self) -> dict[str, Any]:
        """SHA-256 of the graph, and of its weights by location: what was made from them is kept under these."""
        weights = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(self.weights.items())}
        return {"sha256": hashlib.sha256(self.model).hexdigest(), "weights": weights}


@dataclass(frozen=True)
class EngineOptions:
    """What a caller may ask of any engine. ``threads`` None leaves one for each usable core.

    ``frames`` is what an engine that is built for a range of shapes has to take. ``cache`` is the folder for what an
    engine makes of a graph; with None an engine that must keep that takes the usual one, and others keep nothing.
    """

    device: str = "cpu"
    threads: int | None = None
    allow_fallback: bool = False
    settings: Mapping[str, str | int | float | bool] | None = None
    frames: FrameRange | None = None
    cache: Path | None = None


@dataclass(frozen=True)
class EngineInfo:
    """What runs: the library, its version, the device, the threads on it (0 where that means nothing)."""

    name: str
    version: str
    device: str
    threads: int


@dataclass(frozen=True)
class OutputSpec:
    """Shape and type of one output, known to the task before the engine runs."""

    shape: tuple[int, ...]
    dtype: type[np.generic]


class Engine(Protocol):
    """One graph on one device, for one thread.

    The engine owns its buffers. ``input_buffer`` gives one to fill (pinned or mapped where the engine has such memory);
    a contiguous array of the caller's is taken too, and must stay unchanged from ``submit`` to ``wait``. Arrays that
    ``wait`` returns are valid until the next ``submit``. ``clone`` shares the weights and has buffers of its own.
    """

    def describe(self) -> EngineInfo: ...

    def input_buffer(self, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> Array: ...

    def submit(self, inputs: Mapping[str, Array], outputs: Mapping[str, OutputSpec]) -> None: ...

    def wait(self) -> Mapping[str, Array]: ...

    def run(self, inputs: Mapping[str, Array], outputs: Mapping[str, OutputSpec]) -> Mapping[str, Array]: ...

    def clone(self) -> Engine: ...

    def close(self) -> None: ...


@contextmanager
def _on_disk(graph: Graph) -> Generator[Path, None, None]:
    # A library that ran out of memory has said so: that removing fails as well then is no news.
    with TemporaryDirectory(prefix="saccade-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / graph.name
        path.write_bytes(graph.model)
        for location, data in graph.weights.items():
            (Path(folder) / location).write_bytes(data)
        yield path


def first_line(error: Exception) -> str:
    """What an inference library says of an error, without the rest."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
