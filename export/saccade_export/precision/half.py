"""Half precision, written into the graph: nodes compute in float16 or bfloat16, with casts where the others begin."""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass, ShapeInferencePass

from saccade_export.precision.body import body

HALVES = {"fp16": ir.DataType.FLOAT16, "bf16": ir.DataType.BFLOAT16}
LARGEST = {"fp16": 65504.0, "bf16": 3.38e38}

ALWAYS_FLOAT = {("Resize", 1), ("Resize", 2)}
"""Inputs, by operation and place, that are float32 whatever the others are."""

NEVER_HALF = frozenset(
    {
        "QuantizeLinear",
        "DequantizeLinear",
        "TopK",
        "NonMaxSuppression",
        "If",
        "Loop",
        "Scan",
        "CumSum",
        "Range",
        "Constant",
        "ConstantOfShape",
        "EyeLike",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    }
)
"""Operations that engines take in float32 alone, or that hold graphs of their own."""


def to_half(model: ir.Model, precision: str, keep: Collection[str] = ()) -> list[str]:
    """Let the body of ``model`` compute in ``precision``, "fp16" or "bf16", in place; returns the nodes that do.

    ``keep`` are names of nodes that stay in float32. Inputs and outputs of the graph stay as they are.
    """
    graph, half = model.graph, HALVES[precision]
    ShapeInferencePass()(model)  # lowering leaves types to engines
    chosen = [node for node in body(graph) if node.op_type not in NEVER_HALF and node.name not in keep]
    chosen = [node for node in chosen if any(map(_is_float, (*node.inputs, *node.outputs)))]
    editing = _Editing(graph, half, set(chosen))
    for node in chosen:
        editing.lower(node)
    RemoveUnusedNodesPass()(model)
    return [str(node.name) for node in chosen]


class _Editing:
    """The values of a graph in half, each made once."""

    def __init__(self, graph: ir.Graph, half: ir.DataType, chosen: set[ir.Node]) -> None:
        self._graph, self._half, self._chosen = graph, half, chosen
        self._halves: dict[ir.Value, ir.Value] = {}
        values = (value for node in graph for value in node.outputs)
        self._names = {str(value.name) for value in (*graph.inputs, *graph.initializers.values(), *values)}

    def lower(self, node: ir.Node) -> None:
        """Inputs of ``node`` in half, its outputs too; whoever is not chosen gets them back in float32."""
        for place, value in enumerate(node.inputs):
            if value is not None and _is_float(value) and (node.op_type, place) not in ALWAYS_FLOAT:
                node.replace_input_with(place, self._in_half(value))
        if node.op_type == "Cast" and _is_float(node.outputs[0]):
            node.attributes["to"] = ir.AttrInt64("to", int(self._half))
        for value in node.outputs:
            if _is_float(value):
                self._give_back(value)
                value.type = ir.TensorType(self._half)

    def _in_half(self, value: ir.Value) -> ir.Value:
        if value not in self._halves:
            tensor = ir.convenience.get_const_tensor(value)
            self._halves[value] = self._cast(value, self._half) if tensor is None else self._stored(value, tensor)
        return self._halves[value]

    def _stored(self, value: ir.Value, tensor: ir.TensorProtocol) -> ir.Value:
        name = self._name(value, self._half)
        data = ir.tensor(tensor.numpy().astype(self._half.numpy()), dtype=self._half, name=name)
        stored = ir.Value(
            name=name, type=ir.TensorType(self._half), shape=ir.Shape(data.shape.numpy()), const_value=data
        )
        self._graph.register_initializer(stored)
        return stored

    def _give_back(self, value: ir.Value) -> None:
        """Whoever takes ``value`` and is not chosen takes it through a cast to float32."""
        others = [(user, place) for user, place in value.uses() if user not in self._chosen]
        is_output = value in self._graph.outputs
        if not others and not is_output:
            return
        whole = self._cast(value, ir.DataType.FLOAT)
        for user, place in others:
            user.replace_input_with(place, whole)
        if is_output:
            value.name, whole.name = whole.name, value.name
            self._graph.outputs[self._graph.outputs.index(value)] = whole

    def _cast(self, value: ir.Value, to: ir.DataType) -> ir.Value:
        name = self._name(value, to)
        node = ir.node("Cast", [value], attributes={"to": int(to)}, name=f"{name}_cast")
        node.outputs[0].name, node.outputs[0].type, node.outputs[0].shape = name, ir.TensorType(to), value.shape
        producer = value.producer()
        if producer is None:
            self._graph.insert_before(self._graph[0], node)
        else:
            self._graph.insert_after(producer, node)
        return node.outputs[0]

    def _name(self, value: ir.Value, to: ir.DataType) -> str:
        """A name that nothing in the graph has."""
        name = f"{value.name}_{to.name.lower()}"
        while name in self._names:
            name += "_"
        self._names.add(name)
        return name


def _is_float(value: ir.Value | None) -> bool:
    return value is not None and value.dtype == ir.DataType.FLOAT
