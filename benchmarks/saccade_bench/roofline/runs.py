"""A bundle's variant on this machine: what its graphs are given for a frame, their work, and the engine's time."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from saccade import engines
from saccade.bundle import Bundle
from saccade.engines.base import Engine, EngineOptions
from saccade.opening import choose, graph_of, task_of
from saccade.spec import Variant
from saccade_bench.calls import steps_asked, usual_calls
from saccade_bench.roofline.work import Work, count
from saccade_export.precision.graphs import model_of
from saccade_export.precision.recorded import record_inputs

Frame = npt.NDArray[np.uint8]

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
    task_spec = bundle.manifest.task
    given, asked = usual_calls(task_spec, frames)
    asked |= steps_asked(task_spec, chosen)
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
    """The work of the first of ``frames``, as a task is called with it and with what is ``asked`` beside it.

    Of all runs of all stages together; those of one stage with inputs of the same shapes are counted once.
    """
    total = Work({}, 0, 0, {}, {})
    for stage, given in record_inputs(bundle, variant, frames[:1], lambda _: asked, engine).items():
        counted: dict[Any, Work] = {}
        for feeds in given:
            shapes = tuple(sorted((name, array.shape) for name, array in feeds.items()))
            if shapes not in counted:
                counted[shapes] = count(ir.to_proto(model_of(bundle, variant, stage)), dict(feeds))
            total += counted[shapes]
    return total


def products_in(variant: Variant, engine: str) -> str:
    """What a variant's products in floats are computed in: the engine's options may say more than its name."""
    hint = variant.engine_options.get(engine, {}).get("INFERENCE_PRECISION_HINT")
    return "bf16" if hint == "bf16" else variant.precision
