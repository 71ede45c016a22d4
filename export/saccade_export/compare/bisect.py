"""The first tensor in which two variants or engines part, found by looking at few of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime  # type: ignore[reportMissingTypeStubs]
from onnx_ir.passes.common import RemoveUnusedNodesPass, ShapeInferencePass

from saccade.engines.base import Array
from saccade.errors import RequestError
from saccade_export.compare.sides import Side
from saccade_export.precision.graphs import model_of
from saccade_export.precision.recorded import Feed

PROBE = "probe"
FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
TOLERANCES = {"fp32": 1e-3, "fp16": 1e-2, "bf16": 5e-2, "int8": 0.15}
"""How far tensors may be from each other and still agree, by the lower precision of the two sides."""


@dataclass(frozen=True)
class Probe:
    """A tensor that was looked at: its place in the order, how far the sides' are from each other, and who made it.

    ``difference`` is the root mean square of the difference over that of the first side, infinite where one side alone
    is not finite; ``nodes`` are the operation and the name of the node on either side.
    """

    place: int
    tensor: str
    difference: float
    nodes: tuple[str, str]


@dataclass(frozen=True)
class Parting:
    """What was looked at, in the order of the graph, the first that parts and the last before it that agrees.

    Both are None where even the last tensor agrees, ``agrees`` alone where the first one parts.
    """

    probes: tuple[Probe, ...]
    tensors: int
    tolerance: float
    agrees: Probe | None
    parts: Probe | None


def usual_tolerance(first: Side, second: Side) -> float:
    """For the lower precision of the two."""
    return max(TOLERANCES.get(side.variant.precision, TOLERANCES["int8"]) for side in (first, second))


def bisect(
    first: Side,
    second: Side,
    feeds: tuple[Sequence[Feed], Sequence[Feed]],
    tolerance: float,
    say: Callable[[Probe], None] = lambda _: None,
) -> Parting:
    """Halve the tensors that both graphs have by name until the first that differs by more than ``tolerance``.

    ``feeds`` are what each side's graph is given for the same frames. A difference that later nodes undo may be passed
    by: that the tensor parts and the one before it agrees is what is found. Raises ``RequestError`` for graphs without
    a common tensor.
    """
    models = (_typed(first), _typed(second))
    names = _common(*models)
    if not names:
        raise RequestError(f"{first.name} and {second.name} have no tensor of the same name; were they exported apart?")
    found: dict[str, Probe] = {}

    def parts(place: int) -> bool:
        name = names[place]
        if name not in found:
            found[name] = _probe(place, name, (first, second), models, feeds)
            say(found[name])
        return found[name].difference > tolerance

    while True:
        try:
            low, high = _halve(len(names), parts)
            break
        except _OtherShapeError as error:  # lowered in another layout: it says nothing of the two
            names.remove(error.tensor)
    probes = tuple(found[name] for name in names if name in found)
    agrees, parting = (found.get(names[place]) if 0 <= place < len(names) else None for place in (low, high))
    return Parting(probes, len(names), tolerance, agrees, parting)


class _OtherShapeError(Exception):
    def __init__(self, tensor: str) -> None:
        super().__init__(tensor)
        self.tensor = tensor


def _halve(count: int, parts: Callable[[int], bool]) -> tuple[int, int]:
    """Two neighbours of which the lower agrees and the higher parts; -1 and ``count`` stand for none."""
    low, high = -1, count
    if count and not parts(count - 1):
        return count - 1, count
    high -= 1
    while high - low > 1:
        middle = (low + high) // 2
        if parts(middle):
            high = middle
        else:
            low = middle
    return low, high


def _typed(side: Side) -> ir.Model:
    model = model_of(side.bundle, side.variant)
    ShapeInferencePass()(model)
    return model


def _common(first: ir.Model, second: ir.Model) -> list[str]:
    """The names of real numbers that nodes of both graphs give, in the first one's order."""
    names = [
        [str(v.name) for node in model.graph for v in node.outputs if v.dtype in FLOATS] for model in (first, second)
    ]
    there = set(names[1])
    return [name for name in names[0] if name in there]


def _probe(
    place: int,
    name: str,
    sides: tuple[Side, Side],
    models: tuple[ir.Model, ir.Model],
    feeds: tuple[Sequence[Feed], Sequence[Feed]],
) -> Probe:
    values = [_values(side, model, name, given) for side, model, given in zip(sides, models, feeds, strict=True)]
    if any(one.shape != other.shape for one, other in zip(*values, strict=True)):
        raise _OtherShapeError(name)
    difference = max(_difference(one, other) for one, other in zip(*values, strict=True))
    return Probe(place, name, difference, (_node(models[0], name), _node(models[1], name)))


def _values(side: Side, model: ir.Model, name: str, feeds: Sequence[Feed]) -> list[Array]:
    """The tensor ``name`` on a side's engine, for each of ``feeds``: the graph ends there."""
    graph = _ending_at(model, name)
    needed = [value.name for value in graph.graph.inputs]
    data = ir.to_proto(graph).SerializeToString()
    session: Any = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    found: list[Array] = []
    for feed in feeds:
        given = {str(key): feed[str(key)] for key in needed}
        (value,) = session.run([PROBE], given)
        found.append(value if side.engine == "onnxruntime" else side.run(data, given, PROBE, value.shape))
    return found


def _ending_at(model: ir.Model, name: str) -> ir.Model:
    """A copy of ``model`` whose only output is the tensor ``name``, as float32, and whose inputs are what it needs."""
    cut = model.clone()
    (value,) = (value for node in cut.graph for value in node.outputs if value.name == name)
    node = ir.node("Cast", [_after_8_bits(value)], attributes={"to": int(ir.DataType.FLOAT)}, name="probe_cast")
    node.outputs[0].name, node.outputs[0].type = PROBE, ir.TensorType(ir.DataType.FLOAT)
    cut.graph.append(node)
    cut.graph.outputs[:] = [node.outputs[0]]
    RemoveUnusedNodesPass()(cut)
    cut.graph.inputs[:] = [each for each in cut.graph.inputs if each.uses()]
    return cut


def _after_8_bits(value: ir.Value) -> ir.Value:
    """A tensor that goes into 8 bits, as it comes out of them: a Relu may be done by quantising alone."""
    for node in value.consumers():
        if node.op_type == "QuantizeLinear":
            return next(user.outputs[0] for user in node.outputs[0].consumers() if user.op_type == "DequantizeLinear")
    return value


def _difference(one: Array, other: Array) -> float:
    if not np.array_equal(np.isfinite(one), np.isfinite(other)):
        return float("inf")
    finite = np.isfinite(one)
    size = float(np.sqrt(np.mean(np.square(one[finite], dtype=np.float64)))) if finite.any() else 0.0
    off = np.subtract(one[finite], other[finite], dtype=np.float64)
    between = float(np.sqrt(np.mean(off**2))) if finite.any() else 0.0
    return between / size if size else (0.0 if between == 0 else float("inf"))


def _node(model: ir.Model, name: str) -> str:
    (node,) = (node for node in model.graph if any(value.name == name for value in node.outputs))
    return f"{node.op_type} {node.name}"
