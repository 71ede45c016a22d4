"""Shapes and types of all values in an ONNX graph, learnt by running it once as it is written.

Inferred shapes would not do: sizes that graphs compute, as for a letterbox, stay unknown to ONNX's own inference.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy.typing as npt
import onnx
from onnx import helper

from saccade.engines.base import first_line
from saccade.errors import EngineError
from saccade_export.session import open_session

TYPE_BYTES = {
    "float": 4, "double": 8, "float16": 2, "bfloat16": 2, "bool": 1,
    "int8": 1, "int16": 2, "int32": 4, "int64": 8, "uint8": 1, "uint16": 2, "uint32": 4, "uint64": 8,
}  # fmt: skip
"""By the names that ONNX Runtime's profile gives types."""

RUN = "_kernel_time"


@dataclass(frozen=True)
class Value:
    """What one tensor is: shape, and bytes of one element."""

    shape: tuple[int, ...]
    element_bytes: int

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.count * self.element_bytes


def values_of(model: onnx.ModelProto, feeds: Mapping[str, npt.NDArray[Any]]) -> dict[str, Value]:
    """Every tensor of ``model`` by name, for these inputs; nothing of the model is changed.

    What is inside of branches and loops is left out. Raises ``EngineError`` for a graph that ONNX Runtime refuses, or
    that does not take ``feeds``.
    """
    found = {name: Value(array.shape, array.itemsize) for name, array in feeds.items()}
    for tensor in model.graph.initializer:
        kind = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        found[tensor.name] = Value(tuple(tensor.dims), kind.itemsize)
    named = onnx.ModelProto()
    named.CopyFrom(model)
    for index, node in enumerate(named.graph.node):
        node.name = f"node{index}"
    written = {event["name"].removesuffix(RUN): event["args"]["output_type_shape"] for event in _profile(named, feeds)}
    for node in named.graph.node:
        made = [name for name in node.output if name]
        for name, described in zip(made, written.get(node.name, ()), strict=False):
            ((kind, shape),) = described.items()
            found[name] = Value(tuple(shape), TYPE_BYTES[kind])
    return found


def _profile(model: onnx.ModelProto, feeds: Mapping[str, npt.NDArray[Any]]) -> list[dict[str, Any]]:
    """What ONNX Runtime notes of each node's run."""
    with TemporaryDirectory(prefix="saccade-") as folder:
        try:
            session = open_session(model.SerializeToString(), optimised=False, profile_prefix=f"{folder}/profile")
            session.run(None, dict(feeds))
            events = json.loads(Path(session.end_profiling()).read_text())
        except Exception as error:  # the library raises kinds of its own
            raise EngineError(f"onnxruntime cannot run the graph whose work is counted: {first_line(error)}") from error
    return [event for event in events if event.get("cat") == "Node" and event["name"].endswith(RUN)]
