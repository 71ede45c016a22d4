"""A node as rules look at it: its attributes, and the types, shapes and constants of what it takes and gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

Shape = tuple[int | None, ...]

OWN_DOMAINS = ("", "ai.onnx")


@dataclass(frozen=True)
class Seen:
    """``opset`` is ONNX's own. What a graph does not tell is None: a type, a shape, a size."""

    node: ir.Node
    opset: int

    @property
    def operation(self) -> str:
        """ "Conv"; with the domain before it where that is not ONNX's own."""
        domain = self.node.domain
        return self.node.op_type if domain in OWN_DOMAINS else f"{domain}:{self.node.op_type}"

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute's value, as ONNX stores it: numbers, lists of them, or text."""
        found = self.node.attributes.get(name)
        return default if found is None or found.value is None else found.value

    def input(self, place: int) -> ir.Value | None:
        return self.node.inputs[place] if place < len(self.node.inputs) else None

    def output(self, place: int) -> ir.Value | None:
        """None for one that has no name, or that nothing takes."""
        value = self.node.outputs[place] if place < len(self.node.outputs) else None
        return value if value is not None and value.name else None

    def kind(self, place: int = 0) -> ir.DataType | None:
        value = self.input(place)
        return None if value is None else value.dtype

    def shape(self, place: int = 0) -> Shape | None:
        return shape_of(self.input(place))

    def rank(self, place: int = 0) -> int | None:
        shape = self.shape(place)
        return None if shape is None else len(shape)

    def has(self, place: int) -> bool:
        return self.input(place) is not None

    def constant(self, place: int) -> npt.NDArray[Any] | None:
        """The numbers of an input that is stored in the graph."""
        value = self.input(place)
        return None if value is None else stored_numbers(value)


def sources(value: ir.Value) -> Iterator[ir.Value]:
    """``value`` and all that it follows from, within its graph and those around it."""
    waiting, known = [value], {value}
    while waiting:
        current = waiting.pop()
        yield current
        producer = current.producer()
        for source in () if producer is None else producer.inputs:
            if source is not None and source not in known:
                known.add(source)
                waiting.append(source)


def follows_from_input(value: ir.Value) -> bool:
    return any(each.producer() is None and each.is_graph_input() for each in sources(value))


def shape_of(value: ir.Value | None) -> Shape | None:
    if value is None or value.shape is None:
        return None
    return tuple(size if isinstance(size, int) else None for size in value.shape)


def stored_numbers(value: ir.Value) -> npt.NDArray[Any] | None:
    """The numbers of an initializer or of a Constant node, else None; of what stands behind Identity nodes too."""
    producer = value.producer()
    if producer is not None and producer.op_type == "Identity" and producer.domain in OWN_DOMAINS:
        source = producer.inputs[0] if producer.inputs else None
        return None if source is None else stored_numbers(source)
    if producer is None and value.is_graph_input() and value.const_value is None:
        return None
    try:
        tensor = ir.convenience.get_const_tensor(value)
        return None if tensor is None else np.asarray(tensor.numpy())
    except (ValueError, TypeError, OSError):  # a Constant node without its value, an external file that is gone
        return None
