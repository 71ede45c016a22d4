"""A thin writer of ONNX nodes around a captured network, shared by all lowerings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from saccade_export.capture import IMAGE, IR_VERSION, OPSET, SCORES

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

    def add(self, operator: str, name: str, *inputs: ir.Value | None, **attributes: Any) -> ir.Value:
        """One node with one output; ``name`` names both."""
        node = ir.node(operator, inputs, attributes=attributes, name=name)
        node.outputs[0].name = name
        self._nodes.append(node)
        return node.outputs[0]

    def add_network(self, network: ir.Model, image: ir.Value) -> ir.Value:
        """All nodes of a captured network, fed with ``image``; returns its scores. The model is used up."""
        graph = network.graph
        scores = next(value for value in graph.outputs if value.name == SCORES)
        placeholder = next(value for value in graph.inputs if value.name == IMAGE)
        placeholder.replace_all_uses_with(image)
        self._initializers += graph.initializers.values()
        nodes = list(graph)
        graph.outputs.clear()
        graph.initializers.clear()
        graph.remove(nodes)
        self._nodes += nodes
        return scores

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
