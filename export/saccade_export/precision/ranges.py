"""How large a graph's values get on real frames, and which nodes half precision would overflow in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from saccade_export.precision.body import body
from saccade_export.precision.half import LARGEST
from saccade_export.precision.recorded import Feed
from saccade_export.session import open_session

MARGIN = 4.0
"""Frames that were not looked at may take values further, by so many times."""


def largest_values(model: ir.Model, feeds: Sequence[Feed]) -> dict[str, float]:
    """The largest magnitude of each float32 value of the body over all ``feeds``, by name; infinite where one was."""
    watched = model.clone()
    ShapeInferencePass()(watched)
    graph = watched.graph
    values: dict[str, ir.Value] = {}
    for node in body(graph):
        for value in (*node.inputs, *node.outputs):
            if value is not None and value.name and value.dtype == ir.DataType.FLOAT:
                values[value.name] = value
    stored = {name: ir.convenience.get_const_tensor(value) for name, value in values.items()}
    found = {name: _magnitude(tensor.numpy()) for name, tensor in stored.items() if tensor is not None}
    running = [value for name, value in values.items() if stored[name] is None]
    del graph.outputs[:]
    names: list[str] = []
    for index, value in enumerate(running):
        size = ir.node("Abs", [value], name=f"watch_{index}_abs")
        most = ir.node("ReduceMax", size.outputs, attributes={"keepdims": 0}, name=f"watch_{index}_max")
        size.outputs[0].name, most.outputs[0].name = f"watch_{index}_size", f"watch_{index}"
        most.outputs[0].type, most.outputs[0].shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([])
        graph.extend((size, most))
        graph.outputs.append(most.outputs[0])
        names.append(str(value.name))
    session = open_session(ir.to_proto(watched).SerializeToString())
    for feed in feeds:
        for name, most in zip(names, session.run(None, dict(feed)), strict=True):
            value = float(most) if np.isfinite(most) else np.inf
            found[name] = max(found.get(name, 0.0), value)
    return found


def overflowing(model: ir.Model, feeds: Sequence[Feed], precision: str, margin: float = MARGIN) -> set[str]:
    """The names of nodes with a value that ``margin`` times as large is beyond ``precision``, "fp16" or "bf16"."""
    largest = largest_values(model, feeds)
    limit = LARGEST[precision] / margin

    def reaches(node: ir.Node) -> float:
        names = (value.name for value in (*node.inputs, *node.outputs) if value is not None)
        return max((largest.get(str(name), 0.0) for name in names), default=0.0)

    return {str(node.name) for node in body(model.graph) if not reaches(node) <= limit}


def _magnitude(array: npt.NDArray[Any]) -> float:
    most = float(np.abs(array).max(initial=0))
    return most if np.isfinite(most) else np.inf
