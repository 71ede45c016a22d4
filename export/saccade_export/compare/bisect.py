"""The first tensor in which two variants or engines part, found by looking at few of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass, ShapeInferencePass

from saccade.engines.base import Array, first_line
from saccade.errors import EngineError, RequestError
from saccade_export.compare.sides import Side
from saccade_export.precision.graphs import model_of
from saccade_export.precision.recorded import Feed
from saccade_export.session import open_session

PROBE = "probe"
SHAPES_BY = "onnxruntime"
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

    Looked at first are the last ones on each way to a result. ``feeds`` are what each side's graph is given for the
    same frames. A difference that later nodes undo may be passed by: that the tensor parts and the one before it agrees
    is what is found. Raises ``RequestError`` for graphs without a common tensor.
    """
    models = (_typed(first), _typed(second))
    names = _common(*models)
    if not names:
        raise RequestError(f"{first.name} and {second.name} have no tensor of the same name; were they exported apart?")
    found: dict[str, Probe] = {}

    def parts(name: str) -> bool:
        if name not in found:
            found[name] = _probe(name, (first, second), models, feeds)
            say(found[name])
        return found[name].difference > tolerance

    agrees, parting = None, None
    before = _before(models[0])
    while names:
        try:
            ends = [name for name in names if not any(name in before[other] for other in names)]
            parted = next((end for end in ends if parts(end)), None)
            if parted is not None:
                agrees, parting = _halve([name for name in names if name == parted or name in before[parted]], parts)
            break
        except _OtherShapeError as error:  # lowered in another layout: it says nothing of the two
            names.remove(error.tensor)
    if not names:
        raise RequestError(f"{first.name} and {second.name} have no tensor of the same shape")
    found = {name: replace(found[name], place=place) for place, name in enumerate(names) if name in found}
    return Parting(tuple(found.values()), len(names), tolerance, found.get(agrees or ""), found.get(parting or ""))


class _OtherShapeError(Exception):
    def __init__(self, tensor: str) -> None:
        super().__init__(tensor)
        self.tensor = tensor


def _halve(names: Sequence[str], parts: Callable[[str], bool]) -> tuple[str | None, str]:
    """Two neighbours: the first agrees, or is None for none, and the other parts, as the last of ``names`` does."""
    low, high = -1, len(names) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if parts(names[middle]):
            high = middle
        else:
            low = middle
    return (names[low] if low >= 0 else None), names[high]


def _typed(side: Side) -> ir.Model:
    model = model_of(side.bundle, side.variant)
    ShapeInferencePass()(model)
    return model


def _common(first: ir.Model, second: ir.Model) -> list[str]:
    """The names of real numbers that nodes of both graphs give on the way to a result, in the first one's order."""
    names = [_on_the_way(model) for model in (first, second)]
    there = set(names[1])
    return [name for name in names[0] if name in there]


def _on_the_way(model: ir.Model) -> list[str]:
    """Values of real numbers that a result follows from, and not only whether it is finite.

    What is read off for the best class is left out: it is another class's as soon as two are nearly as good.
    """
    results = {value for value in model.graph.outputs if value.name != "finite"}
    needed: set[ir.Node] = set()
    before = _before(model)
    best = {str(node.outputs[0].name) for node in model.graph if node.op_type == "ArgMax"}
    readings = [node.outputs[0] for node in model.graph if node.op_type == "GatherElements"]
    of_best = {str(value.name) for value in readings if before[str(value.name)] & best}
    for node in reversed(list(model.graph)):
        users = [user for value in node.outputs for user in value.consumers()]
        if results.intersection(node.outputs) or needed.intersection(users):
            needed.add(node)
    numbers = [str(v.name) for node in model.graph if node in needed for v in node.outputs if v.dtype in FLOATS]
    return [name for name in numbers if name not in of_best and not before[name] & of_best]


def _before(model: ir.Model) -> dict[str, set[str]]:
    """The names of all values that each value follows from."""
    found: dict[str, set[str]] = {}
    for node in model.graph:
        given = [str(value.name) for value in node.inputs if value is not None]
        all_before = set(given).union(*(found.get(name, set()) for name in given))
        found.update({str(value.name): all_before for value in node.outputs})
    return found


def _probe(
    name: str,
    sides: tuple[Side, Side],
    models: tuple[ir.Model, ir.Model],
    feeds: tuple[Sequence[Feed], Sequence[Feed]],
) -> Probe:
    one, other = sides
    if other.engine == SHAPES_BY:  # which tells how large a tensor is
        others = _values(other, models[1], feeds[1], name)
        values = _values(one, models[0], feeds[0], name, others), others
    else:
        ours = _values(one, models[0], feeds[0], name)
        values = ours, _values(other, models[1], feeds[1], name, ours)
    pairs = list(zip(*values, strict=True))
    if any(mine.shape != theirs.shape for mine, theirs in pairs):
        raise _OtherShapeError(name)
    difference = max(_difference(mine, theirs) for mine, theirs in pairs)
    return Probe(0, name, difference, (_node(models[0], name), _node(models[1], name)))


def _values(
    side: Side, model: ir.Model, feeds: Sequence[Feed], name: str, like: Sequence[Array] | None = None
) -> list[Array]:
    """The tensor ``name`` on a side's engine, for each of ``feeds``: the graph ends there.

    Engines are told its shape, which is that of ``like``, or found by running it.
    """
    graph = _ending_at(model, name)
    given = [{str(value.name): feed[str(value.name)] for value in graph.graph.inputs} for feed in feeds]
    data = ir.to_proto(graph).SerializeToString()
    if side.engine != SHAPES_BY and like is not None:
        return [side.run(data, each, PROBE, value.shape) for each, value in zip(given, like, strict=True)]
    try:
        session = open_session(data)
    except Exception as error:  # the library raises many kinds, all derived from Exception alone
        raise EngineError(f"{SHAPES_BY} cannot compute {name!r} of {side.name}: {first_line(error)}") from error
    found = [session.run([PROBE], each)[0] for each in given]
    return found if side.engine == SHAPES_BY else _values(side, model, feeds, name, found)


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
