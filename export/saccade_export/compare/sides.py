"""What is compared: a variant of a bundle on an engine, as ``bundle.saccade:variant@engine`` says it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from saccade import engines
from saccade.bundle import Bundle, open_bundle
from saccade.engines.base import Array, Engine, EngineOptions, Graph, OutputSpec
from saccade.errors import RequestError
from saccade.opening import choose, graph_of, task_of
from saccade.spec import Variant
from saccade.tasks import Task
from saccade_export.user_frames import Frame

ON_GPUS = ("tensorrt", "tensorrt-rtx")


@dataclass(frozen=True)
class Side:
    """One of two that are compared. Both run on the CPU."""

    bundle: Bundle
    variant: Variant
    engine: str

    @property
    def name(self) -> str:
        return f"{self.bundle.path.name}:{self.variant.name}@{self.engine}"

    def open(self) -> Task:
        return task_of(self.bundle, [self.variant], lambda part, stage: self.load(graph_of(self.bundle, part, stage)))

    def entering(self, frame: Frame) -> Array:
        """``frame`` in the type that the variant takes."""
        return frame.astype(str(self.variant.parameters.get("entry", "uint8")))

    def load(self, graph: Graph) -> Engine:
        """An engine with ``graph``, set as the variant says."""
        return engines.load(
            self.engine, graph, EngineOptions("cpu", None, False, self.variant.engine_options.get(self.engine))
        )

    def run(self, graph: bytes, inputs: dict[str, Array], name: str, shape: tuple[int, ...]) -> Array:
        """The output ``name`` float32 of another graph on this side's engine."""
        engine = self.load(Graph("probe.onnx", memoryview(graph), {}, self.variant.opset))
        try:
            return engine.run(inputs, {name: OutputSpec(shape, np.float32)})[name].copy()
        finally:
            engine.close()


def read_side(text: str) -> Side:
    """The side that ``text`` names; without a variant or an engine those that would be used on a CPU.

    Raises ``BundleError``, ``RequestError`` or ``DeviceError`` for what is not there.
    """
    folder, slash, file = text.rpartition("/")
    rest, at, engine = file.rpartition("@")
    if not at or not (rest.endswith(".saccade") or ".saccade:" in rest):
        rest, engine = file, ""
    stem, has_variant, variant = rest.rpartition(".saccade:")
    bundle = open_bundle(Path(folder + slash + (f"{stem}.saccade" if has_variant else rest)))
    variant = variant if has_variant else ""
    name, _, chosen = choose(bundle, engine or "auto", "auto" if engine in ON_GPUS else "cpu", variant or "auto")
    if name in ON_GPUS:
        raise RequestError(f"{text} was asked for, but {name} runs on GPUs alone, and comparing is done on the CPU")
    return Side(bundle, chosen, name)


def check_alike(first: Side, second: Side) -> None:
    """Raise ``RequestError`` for two that do not do the same work."""
    tasks = [side.bundle.manifest.task.kind for side in (first, second)]
    if tasks[0] != tasks[1]:
        raise RequestError(f"{first.name} is for {tasks[0]}, but {second.name} for {tasks[1]}; compare two of one task")
    for what in ("steps", "entry", "form", "mode", "scale", "classes"):
        values = [
            side.variant.parameters.get(what, getattr(side.bundle.manifest.task, what, None))
            for side in (first, second)
        ]
        if values[0] != values[1]:
            raise RequestError(f"{first.name} has {what} {values[0]}, but {second.name} {values[1]}; compare two alike")
