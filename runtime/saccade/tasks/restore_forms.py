"""The two forms of a restorer: all steps in one graph, or one graph a step and a table of numbers between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

import numpy as np

from saccade.engines.base import Array, Engine, EngineInfo, OutputSpec
from saccade.spec import Variant
from saccade.step_table import StepTable, replay

CHANNELS = 3

Load = Callable[[Variant, str], Engine]
"""Opens one stage of a variant."""

Stage = tuple[str, str]
"""A variant's name and one of its graphs'."""


class Form(Protocol):
    """Padded frames in, restored frames out: ``restored`` (N, H, W, 3) and ``finite`` (N,)."""

    def run(self, inputs: Mapping[str, Array], dtype: type[np.generic], scale: int) -> Mapping[str, Array]: ...

    def describe(self) -> EngineInfo: ...


@dataclass(frozen=True)
class Unrolled:
    """Every step in one graph."""

    engine: Engine

    def run(self, inputs: Mapping[str, Array], dtype: type[np.generic], scale: int) -> Mapping[str, Array]:
        return self.engine.run(inputs, _results(_scaled(inputs["frames"].shape, scale), dtype))

    def describe(self) -> EngineInfo:
        return self.engine.describe()


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


class Forms:
    """The forms of a bundle's variants for one thread, each opened when it is first asked for.

    ``clone`` gives another thread forms of its own; what one of them opens, all share the weights of.
    """

    def __init__(self, load: Load, tables: Mapping[str, StepTable]) -> None:
        self._load, self._tables = load, tables
        self._shared: dict[Stage, Engine] = {}
        self._lock = Lock()
        self._engines: dict[Stage, Engine] = {}
        self._forms: dict[tuple[str, int], Form] = {}

    def get(self, variant: Variant, steps: int) -> Form:
        """``variant`` in ``steps`` steps. Raises ``EngineError`` and others for what cannot be opened."""
        key = variant.name, steps
        if key not in self._forms:
            self._forms[key] = self._form(variant, steps)
        return self._forms[key]

    def clone(self) -> Forms:
        other = Forms(self._load, self._tables)
        other._shared, other._lock = self._shared, self._lock
        return other

    def close(self) -> None:
        for engine in self._engines.values():
            engine.close()
        self._engines.clear()
        self._forms.clear()
        self._shared = {}  # the others keep theirs

    def _form(self, variant: Variant, steps: int) -> Form:
        if variant.parameters["form"] == "unrolled":
            return Unrolled(self._engine(variant, "main"))
        prepare, step, finish = (self._engine(variant, stage) for stage in ("prepare", "step", "finish"))
        return Stepwise(prepare, step, finish, self._tables[str(steps)])

    def _engine(self, variant: Variant, stage: str) -> Engine:
        key = variant.name, stage
        if key not in self._engines:
            with self._lock:
                if key not in self._shared:
                    self._shared[key] = self._load(variant, stage)
                self._engines[key] = self._shared[key].clone()
        return self._engines[key]


def _scaled(shape: tuple[int, ...], scale: int) -> tuple[int, int, int, int]:
    count, height, width, channels = shape
    return count, height * scale, width * scale, channels


def _results(shape: tuple[int, int, int, int], dtype: type[np.generic]) -> dict[str, OutputSpec]:
    return {"restored": OutputSpec(shape, dtype), "finite": OutputSpec((shape[0],), np.bool_)}
