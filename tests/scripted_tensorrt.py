"""A library that can be installed as ``tensorrt`` where it is wanted: its builder runs the graph's bytes as Python.

So a test says in a line what a builder does in whatever process it works. What the line calls ``engine`` is the engine,
``monitor`` the observer, ``known`` the timings of an earlier build.
"""

# ruff: noqa: N802, N815 - NVIDIA's own names

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from saccade.engines.tensorrt.names import CLASSES, ENUMS, members

__version__ = "10.3.0"

globals().update({name: type(name, (), dict.fromkeys(members(each))) for name, each in CLASSES.items()})
globals().update({name: SimpleNamespace(**dict.fromkeys(values, 1)) for name, values in ENUMS.items()})


class _Config(SimpleNamespace):
    known = b""
    progress_monitor: Any = None

    def clear_flag(self, flag: Any) -> None:
        pass

    def set_flag(self, flag: Any) -> None:
        pass

    def can_run_on_DLA(self, layer: Any) -> bool:
        return layer.name == "layer 0"

    def create_timing_cache(self, serialized_timing_cache: bytes) -> Any:
        self.known = serialized_timing_cache
        return SimpleNamespace(serialize=lambda: serialized_timing_cache + b", measured")

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        return True


class Builder(globals()["Builder"]):
    num_DLA_cores = 1

    def __init__(self, logger: Any) -> None:
        self.logger = logger

    def create_network(self, flags: int) -> Any:
        layers = [SimpleNamespace(name=f"layer {index}") for index in range(3)]
        return SimpleNamespace(num_inputs=0, num_outputs=1, num_layers=3, get_input=None, get_layer=layers.__getitem__)

    def create_builder_config(self) -> _Config:
        return _Config()

    def create_optimization_profile(self) -> Any:
        return SimpleNamespace()

    def build_serialized_network(self, network: Any, config: _Config) -> bytes | None:
        names = {"engine": None, "monitor": config.progress_monitor, "known": config.known, "log": self.logger.log}
        exec(network.program, names)
        return names["engine"]


class OnnxParser(globals()["OnnxParser"]):
    num_errors = 1

    def __init__(self, network: Any, logger: Any) -> None:
        self.network = network

    def parse_from_file(self, model: str) -> bool:
        self.network.program = Path(model).read_text()
        return self.network.program != "refuse"

    def get_error(self, index: int) -> Any:
        return SimpleNamespace(desc=lambda: "it was told to", node_name=lambda: "n 1", node_operator=lambda: "Übung")
