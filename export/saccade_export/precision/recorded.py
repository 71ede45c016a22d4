"""What a variant's graph is given when its task is called: the inputs to measure ranges with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from saccade import engines
from saccade.bundle import Bundle
from saccade.engines.base import Array, Engine, EngineInfo, EngineOptions, OutputSpec
from saccade.opening import graph_of, task_of
from saccade.spec import Variant
from saccade.tasks import Task
from saccade_export.user_frames import Frame

Feed = Mapping[str, Array]
"""Inputs of one run of a graph, by name."""


def record_inputs(
    bundle: Bundle,
    variant: Variant,
    frames: Sequence[Frame],
    asked: Callable[[int], Mapping[str, Any]],
    engine: str = "onnxruntime",
) -> dict[str, list[Feed]]:
    """The inputs of each stage of ``variant``, call by call, when its task is given ``frames``.

    ``asked(i)`` are the arguments of the i-th call beside its frame. Runs on ``engine`` on the CPU. Raises
    ``RequestError`` for what the task refuses.
    """
    feeds: dict[str, list[Feed]] = {stage: [] for stage in variant.graphs}

    def load(part: Variant, stage: str) -> Engine:
        options = EngineOptions("cpu", None, False, part.engine_options.get(engine))
        return _Recorder(engines.load(engine, graph_of(bundle, part, stage), options), feeds[stage])

    task: Task = task_of(bundle, [variant], load)
    entry = np.dtype(str(variant.parameters.get("entry", "uint8")))
    with task:
        for index, frame in enumerate(frames):
            task(frame.astype(entry), **asked(index))
    return feeds


class _Recorder:
    """An engine that keeps a copy of what it is given."""

    def __init__(self, engine: Engine, feeds: list[Feed]) -> None:
        self._engine, self._feeds = engine, feeds

    def describe(self) -> EngineInfo:
        return self._engine.describe()

    def input_buffer(self, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> Array:
        return self._engine.input_buffer(name, shape, dtype)

    def submit(self, inputs: Mapping[str, Array], outputs: Mapping[str, OutputSpec]) -> None:
        self._feeds.append({name: np.array(array) for name, array in inputs.items()})
        self._engine.submit(inputs, outputs)

    def wait(self) -> Mapping[str, Array]:
        return self._engine.wait()

    def run(self, inputs: Mapping[str, Array], outputs: Mapping[str, OutputSpec]) -> Mapping[str, Array]:
        self.submit(inputs, outputs)
        return self.wait()

    def clone(self) -> _Recorder:
        return _Recorder(self._engine.clone(), self._feeds)

    def close(self) -> None:
        self._engine.close()
