"""A thin writer of ONNX nodes around a captured network, shared by all lowerings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from saccade_export.capture import IR_VERSION, OPSET

Dimensions = Sequence[int | str]


class GraphWriter:
    """Adds inputs, nodes and outputs around a network's graph, in order, each value under a readable name."""

    def __init__(self) -> None:
        self._tape = ir.tape.Tape()
        self._inputs: list[ir.Value] = []
        self._outputs: list[ir.Value] = []
        self._initializers: list[ir.Value] = []
        self._nodes: list[ir.Node] = []

    def add_input(self, name: str, dtype: ir.DataType, shape: Dimensions) -> ir.Value:
        value = ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape(shape))
        self._inputs.append(value)
        return value

    def constant(self, name: str, value: Any, dtype: type[np.generic]) -> ir.Value:
        tensor = ir.tensor(np.asarray(value, dtype), name=name)
        constant = ir.Value(
            name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(tensor.shape.numpy()), const_value=tensor
        )
        self._initializers.append(constant)
        return constant

    def axes(self, *values: int) -> ir.Value:
        """Integers int64 (n,), such as axes and bounds of slices; one constant for each list."""
        name = "int_" + "_".join(str(value).replace("-", "minus") for value in values)
        found = next((constant for constant in self._initializers if constant.name == name), None)
        return self.constant(name, values, np.int64) if found is None else found

    def add(self, operator: str, name: str, *inputs: ir.Value | None, **attributes: Any) -> ir.Value:
        """One node with one output; ``name`` names both."""
        return self.add_several(operator, (name,), *inputs, **attributes)[0]

    def add_several(
        self, operator: str, names: Sequence[str], *inputs: ir.Value | None, **attributes: Any
    ) -> tuple[ir.Value, ...]:
        """One node with an output for each of ``names``; the first names the node."""
        node = ir.node(operator, inputs, attributes=attributes, num_outputs=len(names), name=names[0])
        for value, name in zip(node.outputs, names, strict=True):
            value.name = name
        self._nodes.append(node)
        return tuple(node.outputs)

    def add_network(self, network: ir.Model, **inputs: ir.Value) -> tuple[ir.Value, ...]:
        """All nodes of a captured network, fed with ``inputs`` by name; returns its outputs. The model is used up."""
        graph = network.graph
        outputs = tuple(graph.outputs)
        for placeholder in graph.inputs:
            placeholder.replace_all_uses_with(inputs[str(placeholder.name)])
        self._initializers += graph.initializers.values()
        nodes = list(graph)
        graph.outputs.clear()
        graph.initializers.clear()
        graph.remove(nodes)
        self._nodes += nodes
        return outputs

    def add_output(self, value: ir.Value, name: str, dtype: ir.DataType, shape: Dimensions) -> None:
        value.name = name
        value.type = ir.TensorType(dtype)
        value.shape = ir.Shape(shape)
        self._outputs.append(value)

    def model(self) -> ir.Model:
        graph = ir.Graph(
            self._inputs,
            self._outputs,
            nodes=self._nodes,
            initializers=self._initializers,
            opset_imports={"": OPSET},
            name="main",
        )
        return ir.Model(graph, ir_version=IR_VERSION, producer_name="saccade")
