"""A bundle's graphs as models that can be edited, weights and all."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir

from saccade.bundle import Bundle
from saccade.opening import graph_of
from saccade.spec import Variant


def external_tensors(model: ir.Model) -> list[tuple[ir.Value, ir.ExternalTensor]]:
    """The initializers of a graph whose data lie in another file."""
    found = [(value, value.const_value) for value in model.graph.initializers.values()]
    return [(value, tensor) for value, tensor in found if isinstance(tensor, ir.ExternalTensor)]


def model_of(bundle: Bundle, variant: Variant, stage: str = "main") -> ir.Model:
    """One stage of a variant, its weights in memory; what they are was verified when the bundle was opened."""
    graph = graph_of(bundle, variant, stage)
    model = ir.from_proto(onnx.load_model_from_string(bytes(graph.model)))
    for value, stored in external_tensors(model):
        start = stored.offset or 0
        data = graph.weights[str(stored.location)][start : start + (stored.length or 0)]
        array = np.frombuffer(data, stored.dtype.numpy()).reshape(stored.shape.numpy())
        value.const_value = ir.tensor(array.copy(), dtype=stored.dtype, name=value.name)
    return model
