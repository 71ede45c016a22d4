"""A bundle's variant on this machine: what its graphs are given for a frame, their work, and the engine's time."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from saccade import engines
from saccade.bundle import Bundle
from saccade.engines.base import Array, Engine, EngineInfo, EngineOptions, OutputSpec
from saccade.opening import choose, graph_of, task_of
from saccade.spec import RestoreSpec, Variant
from saccade_bench.roofline.work import Work, count
from saccade_export.precision.calls import degraded_calls, levels_of
from saccade_export.precision.graphs import model_of

Frame = npt.NDArray[np.uint8]

STEPS = 4
"""Of a restorer whose variant takes any number."""

WARM_FRAMES = 5


@dataclass(frozen=True)
class Measured:
    """A variant's engine: the median and the least milliseconds a frame, all stages and tiles together.

    ``work`` is that of the first frame.
    """

    variant: str
    precision: str
    engine: str
    engine_version: str
    threads: int
    frames: int
    width: int
    height: int
    engine_ms: float
    least_ms: float
    work: Work


def measure(bundle: Bundle, frames: Sequence[Frame], variant: str = "auto", threads: int | None = None) -> Measured:
    """Count the work of ``frames`` of one size, and time the engine on them, on the CPU.

    Restorers are given them degraded by one usual level. Raises ``RequestError`` or ``DeviceError`` for a variant that
    is not there or cannot run here.
    """
    name, _, chosen = choose(bundle, "auto", "cpu", variant)
    given, asked = _calls(bundle, frames, chosen)
    work = work_of(bundle, chosen, name, given, asked)
    options = EngineOptions("cpu", threads, settings=chosen.engine_options.get(name))

    def load(part: Variant, stage: str) -> Engine:
        return engines.load(name, graph_of(bundle, part, stage), options)

    with task_of(bundle, [chosen], load) as task:
        info = task.describe()
        run: Any = task
        for frame in itertools.islice(itertools.cycle(given), WARM_FRAMES):
            run(frame, **asked)
        took = [run(frame, **asked).timing.engine_ms for frame in given]
    height, width, _ = frames[0].shape
    about = (chosen.name, products_in(chosen, name), name, info.version, info.threads, len(took), width, height)
    return Measured(*about, statistics.median(took), min(took), work)


def work_of(bundle: Bundle, variant: Variant, engine: str, frames: Sequence[Frame], asked: Mapping[str, Any]) -> Work:
    """The work of the first of ``frames``, as a task is called with it and with what is ``asked`` beside it."""
    return _work(bundle, variant, _inputs(bundle, variant, engine, partial(_first_result, frames, asked)))


def products_in(variant: Variant, engine: str) -> str:
    """What a variant's products in floats are computed in: the engine's options may say more than its name."""
    hint = variant.engine_options.get(engine, {}).get("INFERENCE_PRECISION_HINT")
    return "bf16" if hint == "bf16" else variant.precision


def _calls(bundle: Bundle, frames: Sequence[Frame], variant: Variant) -> tuple[list[Frame], dict[str, Any]]:
    task = bundle.manifest.task
    if not isinstance(task, RestoreSpec):
        return list(frames), {}
    levels = levels_of(task)
    degraded, asked_of = degraded_calls(task, frames, [levels[len(levels) // 2]])
    return degraded, {**asked_of(0), "steps": int(variant.parameters.get("steps", STEPS))}


def _first_result(frames: Sequence[Frame], asked: Mapping[str, Any], task: Any) -> None:
    task(frames[0], **asked)


Inputs = list[tuple[str, dict[str, Array]]]
"""Every run of a stage's engine: the stage, and copies of what it was given."""


def _inputs(bundle: Bundle, variant: Variant, engine: str, run: Any) -> Inputs:
    """What ``run`` makes the variant's task give to its engines."""
    seen: Inputs = []
    options = EngineOptions("cpu", settings=variant.engine_options.get(engine))

    def load(part: Variant, stage: str) -> Engine:
        return _Noting(engines.load(engine, graph_of(bundle, part, stage), options), stage, seen)

    with task_of(bundle, [variant], load) as task:
        run(task)
    return seen


def _work(bundle: Bundle, variant: Variant, inputs: Inputs) -> Work:
    """Of all runs together; those of one stage with inputs of the same shapes are counted once."""
    counted: dict[Any, Work] = {}
    total = Work({}, 0, 0, {}, {})
    for stage, feeds in inputs:
        key = stage, tuple(sorted((name, array.shape) for name, array in feeds.items()))
        if key not in counted:
            counted[key] = count(ir.to_proto(model_of(bundle, variant, stage)), feeds)
        total += counted[key]
    return total


class _Noting:
    """An engine that notes what it is given. See ``Engine``."""

    def __init__(self, engine: Engine, stage: str, seen: Inputs) -> None:
        self._engine, self._stage, self._seen = engine, stage, seen

    def describe(self) -> EngineInfo:
        return self._engine.describe()

    def input_buffer(self, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> Array:
        return self._engine.input_buffer(name, shape, dtype)

    def submit(self, inputs: Mapping[str, Array], outputs: Mapping[str, OutputSpec]) -> None:
        self._seen.append((self._stage, {name: array.copy() for name, array in inputs.items()}))
        self._engine.submit(inputs, outputs)

    def wait(self) -> Mapping[str, Array]:
        return self._engine.wait()

    def run(self, inputs: Mapping[str, Array], outputs: Mapping[str, OutputSpec]) -> Mapping[str, Array]:
        self.submit(inputs, outputs)
        return self.wait()

    def clone(self) -> _Noting:
        return _Noting(self._engine.clone(), self._stage, self._seen)

    def close(self) -> None:
        self._engine.close()
