"""A graph that grows node by node; each node is checked against ONNX's own rules before it stays."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)
INTEGERS = (
    TensorProto.INT32,
    TensorProto.INT64,
    TensorProto.INT8,
    TensorProto.UINT8,
    TensorProto.INT16,
    TensorProto.UINT16,
    TensorProto.UINT32,
    TensorProto.UINT64,
)

Size = int | str | None
NAMED = ("batch", "height", "width")
"""Sizes that vary; what follows from them is not the size of any input."""


@dataclass(frozen=True)
class Value:
    """A value of the graph: its name, its type and its shape, None where ONNX cannot tell it."""

    name: str
    kind: int
    shape: tuple[Size, ...] | None

    @property
    def rank(self) -> int:
        return -1 if self.shape is None else len(self.shape)

    @property
    def is_static(self) -> bool:
        return self.shape is not None and all(isinstance(size, int) for size in self.shape)

    @property
    def is_float(self) -> bool:
        return self.kind in FLOATS


class Refused(Exception):  # noqa: N818 - a choice that does not fit, no error of the program
    """The node is not valid ONNX here, or does not fit the value that it was to take."""


class Draft:
    """One graph. ``random`` decides all; ``opset`` is ONNX's own."""

    def __init__(self, seed: int, opset: int) -> None:
        self.random, self.opset = random.Random(seed), opset
        self.numbers = np.random.default_rng(seed)
        self.inputs: list[onnx.ValueInfoProto] = []
        self.weights: list[TensorProto] = []
        self.nodes: list[onnx.NodeProto] = []
        self.values: dict[str, list[int]] = {}
        self.made: dict[str, Value] = {}
        self._count = 0

    def choice(self, options: Sequence[Any]) -> Any:
        return self.random.choice(options)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def name(self, stem: str) -> str:
        self._count += 1
        return f"{stem}_{self._count}"

    def input(self, kind: int, shape: Sequence[Size]) -> Value:
        name = self.name("input")
        self.inputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        return Value(name, kind, tuple(shape))

    def asked(self, numbers: Sequence[int]) -> Value:
        """An input of integers that a run would give as ``numbers``."""
        value = self.input(TensorProto.INT64, [len(numbers)])
        self.values[value.name] = list(numbers)
        return value

    def tensor(self, array: Any, kind: int) -> Value:
        """A stored tensor."""
        array = np.asarray(array)
        name = self.name("stored")
        numpy_type = helper.tensor_dtype_to_np_dtype(kind)
        self.weights.append(numpy_helper.from_array(array.astype(numpy_type), name))
        return Value(name, kind, array.shape)

    def integers(self, numbers: Any) -> Value:
        return self.tensor(np.array(numbers, np.int64), TensorProto.INT64)

    def noise(self, shape: Sequence[int], kind: int) -> Value:
        """A stored tensor of random numbers, small and above 0 for integers."""
        return self.tensor(
            self.numbers.normal(size=shape) if kind in FLOATS else self.numbers.integers(0, 2, shape), kind
        )

    def like(self, value: Value, shape: Sequence[Size] | None = None) -> Value:
        """Another value of its type: stored, or an input."""
        wanted = value.shape if shape is None else shape
        if wanted is None or any(not isinstance(size, int) and size not in NAMED for size in wanted):
            raise Refused("no shape that an input could be given")
        if all(isinstance(size, int) for size in wanted) and self.chance(0.6):
            return self.noise([int(size) for size in wanted if size is not None], value.kind)
        return self.input(value.kind, wanted)

    def node(
        self, op_type: str, inputs: Sequence[Value | None], *, domain: str = "", outputs: int = 1, **attributes: Any
    ) -> Value:
        """Append a node; its first output. Raises ``Refused`` where ONNX's own checks do not take it."""
        return self.nodes_outputs(op_type, inputs, domain=domain, outputs=outputs, **attributes)[0]

    def nodes_outputs(
        self, op_type: str, inputs: Sequence[Value | None], *, domain: str = "", outputs: int = 1, **attributes: Any
    ) -> list[Value]:
        names = [self.name(op_type.lower()) for _ in range(outputs)]
        given = {name: value for name, value in attributes.items() if value is not None}
        if not self.chance(0.05):  # some tools write an empty name for what is left out at the end
            inputs = inputs[: max((place + 1 for place, each in enumerate(inputs) if each is not None), default=0)]
        node = helper.make_node(
            op_type,
            ["" if each is None else each.name for each in inputs],
            names,
            name=f"n_{names[0]}",
            domain=domain,
            **given,
        )
        self.nodes.append(node)
        try:
            kinds = self.infer(names)
        except Exception as error:
            self.nodes.pop()
            raise Refused(str(error)) from error
        if any(isinstance(size, int) and size < 1 for each in kinds for size in each.shape or ()):
            self.nodes.pop()
            raise Refused("an empty value")
        self.made.update({each.name: each for each in kinds})
        return kinds

    def ends(self) -> list[Value]:
        """Values that no node takes."""
        taken = {name for node in self.nodes for name in _taken(node)}
        given = [name for node in self.nodes for name in node.output[:1] if not taken.intersection(node.output)]
        return [self.made[name] for name in given]

    def infer(self, names: Sequence[str]) -> list[Value]:
        model = self.model()
        inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
        found = {each.name: each for each in inferred.graph.value_info}
        return [_value(name, found.get(name)) for name in names]

    def model(self, *outputs: Value) -> onnx.ModelProto:
        """All so far, ending in ``outputs``."""
        results = [helper.make_tensor_value_info(each.name, each.kind, each.shape or ()) for each in outputs]
        graph = helper.make_graph(self.nodes, "generated", self.inputs, results, self.weights)
        domains = {node.domain for node in self.nodes} | {""}
        imports = [helper.make_opsetid(domain, 1 if domain else self.opset) for domain in sorted(domains)]
        return helper.make_model(graph, opset_imports=imports, ir_version=10)


def _taken(node: onnx.NodeProto) -> set[str]:
    """What a node takes, the nodes of its branches and bodies too."""
    inside = [inner for each in node.attribute if each.HasField("g") for inner in each.g.node]
    return {*node.input, *(name for inner in inside for name in _taken(inner))}


def _value(name: str, info: onnx.ValueInfoProto | None) -> Value:
    if info is None or not info.type.tensor_type.elem_type:
        raise Refused(f"{name} has no type")
    kind = info.type.tensor_type
    if not kind.HasField("shape"):
        raise Refused(f"{name} has no rank")
    sizes: list[Size] = [
        size.dim_value if size.HasField("dim_value") else size.dim_param or None for size in kind.shape.dim
    ]
    return Value(name, kind.elem_type, tuple(sizes))
