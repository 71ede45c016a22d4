"""Variants of other precision: as tasks that run from memory, and as parts of a sealed bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import onnx
import onnx_ir as ir

from saccade import engines
from saccade.bundle import Bundle
from saccade.engines.base import Engine, EngineOptions, Graph
from saccade.opening import graph_of, prepared_by, task_of
from saccade.spec import IMAGE_STAGE, Manifest, Variant, stages_of
from saccade.tasks import Task
from saccade_export.precision.graphs import external_tensors
from saccade_export.weights import WEIGHTS, WeightStore

ON_CPUS = ("onnxruntime", "openvino")


@dataclass(frozen=True)
class Made:
    """A variant for a bundle, and those of its graphs that the bundle has not, by stage, their weights inside.

    The other stages are graphs that the bundle has. Unlike a graph in memory it can go to another process.
    """

    variant: Variant
    graphs: dict[str, bytes]


def engine_for(variant: Variant) -> str:
    """The engine that runs ``variant`` on this CPU: its own, else the first that is installed and computes it."""
    if variant.engine is not None:
        return variant.engine
    able = (name for name in ON_CPUS if name in engines.installed() and engines.lacks(name, variant, "cpu") is None)
    return next(able, "onnxruntime")


def open_made(bundle: Bundle, made: Sequence[Made], threads: int | None = None) -> Task:
    """A task that runs variants which are not in ``bundle`` yet, on the CPU and an engine that can."""
    by_name = {each.variant.name: each for each in made}

    def load(part: Variant, stage: str) -> Engine:
        name = engine_for(part)
        graphs = {each: _in_memory(each, data, part) for each, data in by_name[part.name].graphs.items()}
        graph = graphs[stage] if stage in graphs else graph_of(bundle, part, stage)
        if IMAGE_STAGE in graphs:
            graph = prepared_by(graph, graphs[IMAGE_STAGE], bundle)
        return engines.load(name, graph, EngineOptions("cpu", threads, False, part.engine_options.get(name)))

    return task_of(bundle, [each.variant for each in made], load)


def _in_memory(stage: str, data: bytes, variant: Variant) -> Graph:
    return Graph(f"{stage}.onnx", memoryview(data), {}, variant.opset)


def with_variants(bundle: Bundle, first: Sequence[Made], last: Sequence[Made]) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest and the members of ``bundle`` with more variants, before and after those that it has.

    Graphs that it has stay as they are, byte for byte, and so do the offsets of their weights.
    """
    members = {name: bytes(bundle.member(name)) for name in bundle.manifest.members}
    store = _store(members)
    added: list[list[Variant]] = []
    for variants in (first, last):
        added.append([])
        for made in variants:
            graphs = dict(made.variant.graphs)
            for stage, data in made.graphs.items():
                model = ir.from_proto(onnx.load_model_from_string(data))
                store.take_from(model)
                graphs[stage] = f"graphs/{stage}.{made.variant.name}.onnx"
                members[graphs[stage]] = ir.to_proto(model).SerializeToString(deterministic=True)
            added[-1].append(replace(made.variant, graphs=graphs, weights=(WEIGHTS,)))
    members[WEIGHTS] = store.data
    variants = (*added[0], *bundle.manifest.variants, *added[1])
    return replace(bundle.manifest, variants=variants, stages=stages_of(variants)), members


def _store(members: dict[str, bytes]) -> WeightStore:
    """What the bundle's graphs have stored."""
    spans: set[tuple[int, int]] = set()
    for name, data in members.items():
        if name.endswith(".onnx"):
            model = ir.from_proto(onnx.load_model_from_string(data))
            spans |= {(tensor.offset or 0, tensor.length or 0) for _, tensor in external_tensors(model)}
    return WeightStore(members.get(WEIGHTS, b""), sorted(spans))
