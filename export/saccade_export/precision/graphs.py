"""A bundle's graphs as models that can be edited, weights and all."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from saccade.bundle import Bundle
from saccade.engines.base import Graph
from saccade.opening import graph_of
from saccade.spec import Variant
from saccade_export.capture import IMAGE


def external_tensors(model: ir.Model) -> list[tuple[ir.Value, ir.ExternalTensor]]:
    """The initializers of a graph whose data lie in another file."""
    found = [(value, value.const_value) for value in model.graph.initializers.values()]
    return [(value, tensor) for value, tensor in found if isinstance(tensor, ir.ExternalTensor)]


def model_of(bundle: Bundle, variant: Variant, stage: str = "main") -> ir.Model:
    """One stage of a variant, its weights in memory; what they are was verified when the bundle was opened.

    The main one is whole, with what prepares its image before it.
    """
    graph = graph_of(bundle, variant, stage)
    model = _model(graph)
    return model if graph.prepare is None else joined(_model(graph.prepare.graph), model)


def split(model: ir.Model, size_hw: tuple[int, int]) -> tuple[ir.Model, ir.Model]:
    """What gives ``model`` its image of ``size_hw`` from ``frames`` and ``channel_order``, and what takes the image."""
    first, second = model.clone(), model.clone()
    first.graph.outputs[:] = [_image(first, size_hw)]
    image = _image(second, size_hw)
    given = ir.Value(name=IMAGE, type=image.type, shape=image.shape)
    image.replace_all_uses_with(given)
    image.name = f"{IMAGE}_before"
    second.graph.inputs.append(given)
    for part, unused in ((first, set[str]()), (second, {"channel_order"})):
        RemoveUnusedNodesPass()(part)
        kept = [value for value in part.graph.inputs if value.uses() or (part is second and value.name not in unused)]
        part.graph.inputs[:] = kept
    return first, second


def joined(first: ir.Model, second: ir.Model) -> ir.Model:
    """The graph that was ``split``. Both are used up."""
    (image,) = first.graph.outputs
    given = {str(value.name): value for value in second.graph.inputs}
    given.pop(IMAGE).replace_all_uses_with(image)
    for value in first.graph.inputs:
        if (other := given.get(str(value.name))) is not None:
            other.replace_all_uses_with(value)
    inputs = [*first.graph.inputs, *(v for v in given.values() if v.name not in {i.name for i in first.graph.inputs})]
    outputs, nodes, stored = list(second.graph.outputs), list(second.graph), list(second.graph.initializers.values())
    second.graph.outputs.clear()
    second.graph.remove(nodes)
    second.graph.initializers.clear()
    second.graph.inputs.clear()
    first.graph.inputs[:] = inputs
    first.graph.outputs[:] = outputs
    taken = {each.name for node in first.graph for each in (node, *node.outputs)} | {*first.graph.initializers}
    taken -= {None, ""}
    for each in (*stored, *(each for node in nodes for each in (node, *node.outputs))):
        if each.name in taken:  # both parts compute the frame's size
            each.name = f"{each.name}_after_{IMAGE}"
    for value in stored:
        first.graph.initializers[str(value.name)] = value
    first.graph.extend(nodes)
    return first


def _image(model: ir.Model, size_hw: tuple[int, int]) -> ir.Value:
    (image,) = (value for node in model.graph for value in node.outputs if value.name == IMAGE)
    image.type, image.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape(("N", 3, *size_hw))
    return image


def _model(graph: Graph) -> ir.Model:
    model = ir.from_proto(onnx.load_model_from_string(bytes(graph.model)))
    for value, stored in external_tensors(model):
        start = stored.offset or 0
        data = graph.weights[str(stored.location)][start : start + (stored.length or 0)]
        array = np.frombuffer(data, stored.dtype.numpy()).reshape(stored.shape.numpy())
        value.const_value = ir.tensor(array.copy(), dtype=stored.dtype, name=value.name)
    return model
