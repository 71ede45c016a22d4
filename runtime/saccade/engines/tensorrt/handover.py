"""What ``apart`` and the process that it starts hand each other: files in a private folder, and messages as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from saccade.engines.gpu.driver import Gpu
from saccade.engines.tensorrt.build import Built
from saccade.engines.tensorrt.dla import Coverage
from saccade.engines.tensorrt.request import BuildOptions, Settings
from saccade.errors import DeviceError, EngineError, OutputError, RequestError, SaccadeError

SAID = "said"
"""What the process and its library print."""

_REQUEST, _ENGINE = "request.json", "engine"
_KNOWN_TIMINGS, _TIMINGS = "known.timings", "timings"
_ERRORS = {kind.__name__: kind for kind in (EngineError, DeviceError, RequestError, OutputError)}

Message = Mapping[str, Any]
"""{"phases": of the progress}, any number of times; then {"coverage": of the DLA or None} or {"error", "message"}."""


@dataclass(frozen=True)
class Request:
    """What is to be built: a graph on disk, which its weights lie beside. ``starter`` is the process that asks."""

    library: str
    version: str
    graph: Path
    opset: int
    options: BuildOptions
    settings: Settings
    gpu: Gpu | None
    starter: int

    def write(self, folder: Path, timings: bytes) -> None:
        written = {
            "library": self.library,
            "version": self.version,
            "graph": str(self.graph),
            "opset": self.opset,
            "options": self.options.to_json().decode(),
            "settings": asdict(self.settings),
            "gpu": None if self.gpu is None else asdict(self.gpu),
            "starter": self.starter,
        }
        (folder / _REQUEST).write_text(json.dumps(written))
        (folder / _KNOWN_TIMINGS).write_bytes(timings)

    @staticmethod
    def read(folder: Path) -> tuple[Request, bytes]:
        """What ``write`` wrote."""
        read: dict[str, Any] = json.loads((folder / _REQUEST).read_text())
        gpu: dict[str, Any] | None = read.pop("gpu")
        if gpu is not None:
            gpu["compute_capability"] = tuple(gpu["compute_capability"])
        request = Request(
            graph=Path(read.pop("graph")),
            options=BuildOptions.from_json(read.pop("options").encode()),
            settings=Settings(**read.pop("settings")),
            gpu=None if gpu is None else Gpu(**gpu),
            **read,
        )
        return request, (folder / _KNOWN_TIMINGS).read_bytes()


def write_built(folder: Path, built: Built) -> Message:
    """Put down what was built. Gives the message that says so."""
    (folder / _ENGINE).write_bytes(built.engine)
    if built.timings is not None:
        (folder / _TIMINGS).write_bytes(built.timings)
    return {"coverage": None if built.coverage is None else asdict(built.coverage)}


def error_message(error: SaccadeError) -> Message:
    return {"error": type(error).__name__, "message": str(error)}


def read_built(folder: Path, answer: Message) -> Built:
    """What the last message stands for. Raises the error that it tells of."""
    if "error" in answer:
        raise _ERRORS.get(answer["error"], EngineError)(answer["message"])
    coverage: dict[str, Any] | None = answer["coverage"]
    timings = folder / _TIMINGS
    return Built(
        (folder / _ENGINE).read_bytes(),
        timings.read_bytes() if timings.exists() else None,
        None if coverage is None else Coverage(coverage["layers"], tuple(coverage["on_gpu"])),
    )
