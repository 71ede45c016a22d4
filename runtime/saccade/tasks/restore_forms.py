"""The two forms of a restorer: all steps in one graph, or one graph a step and a table of numbers between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from saccade.engines.base import Array, Engine, EngineInfo, OutputSpec
from saccade.step_table import StepTable, replay

CHANNELS = 3


class Form(Protocol):
    """Padded frames in, restored frames out: ``restored`` (N, H, W, 3) and ``finite`` (N,)."""

    def run(self, inputs: Mapping[str, Array], dtype: type[np.generic], scale: int) -> Mapping[str, Array]: ...

    def describe(self) -> EngineInfo: ...

    def clone(self) -> Form: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Unrolled:
    """Every step in one graph."""

    engine: Engine

    def run(self, inputs: Mapping[str, Array], dtype: type[np.generic], scale: int) -> Mapping[str, Array]:
        return self.engine.run(inputs, _results(_scaled(inputs["frames"].shape, scale), dtype))

    def describe(self) -> EngineInfo:
        return self.engine.describe()

    def clone(self) -> Unrolled:
        return Unrolled(self.engine.clone())

    def close(self) -> None:
        self.engine.close()


@dataclass(frozen=True)
class Stepwise:
    """One evaluation of the network a call; the table says what to do with it.

    ``prepare`` makes the state and the map of a frame, ``step`` is the network, ``finish`` makes a frame of a state.
    """

    prepare: Engine
    step: Engine
    finish: Engine
    table: StepTable

    def run(self, inputs: Mapping[str, Array], dtype: type[np.generic], scale: int) -> Mapping[str, Array]:
        shape = _scaled(inputs["frames"].shape, scale)
        count, height, width, _ = shape
        planes = OutputSpec((count, CHANNELS, height, width), np.float32)
        prepared = self.prepare.run(inputs, {"state": planes, "map": OutputSpec((count, 1, height, width), np.float32)})
        map_ = prepared["map"]

        def velocity(state: Array, time: float) -> Array:
            given = {"state": state, "map": map_, "time": np.full(count, time, np.float32)}
            return np.array(self.step.run(given, {"velocity": planes})["velocity"], np.float32)

        state = replay(self.table, velocity, prepared["state"])
        return self.finish.run({"state": state, "channel_order": inputs["channel_order"]}, _results(shape, dtype))

    def describe(self) -> EngineInfo:
        return self.step.describe()

    def clone(self) -> Stepwise:
        return Stepwise(self.prepare.clone(), self.step.clone(), self.finish.clone(), self.table)

    def close(self) -> None:
        for engine in (self.prepare, self.step, self.finish):
            engine.close()


def _scaled(shape: tuple[int, ...], scale: int) -> tuple[int, int, int, int]:
    count, height, width, channels = shape
    return count, height * scale, width * scale, channels


def _results(shape: tuple[int, int, int, int], dtype: type[np.generic]) -> dict[str, OutputSpec]:
    return {"restored": OutputSpec(shape, dtype), "finite": OutputSpec((shape[0],), np.bool_)}
