"""What a graph has to do at least: floating-point operations, and bytes between the processor and memory.

Operations come in two counts. Products are the multiplications and additions of convolutions and matrix products,
twice the number of MACs, as ``torch.utils.flop_counter`` has them. All else is counted apart: no peak is a limit of it.

Bytes follow one model. Weights are read once, and so are the graph's inputs; its outputs are written once. Any other
tensor is written once and read once, however many operators take it, unless it never needs to exist: elementwise
operators, normalisation and quantising are fused to the operator before, the latest one where there are several. So of
a convolution, its SiLU and a sum with an earlier tensor only the sum is written. Reshaped tensors are the same bytes,
and what was widened (a cast to more bytes, dequantised, repeated) is moved as it was before. Tensors that fit into a
cache need not go to memory at all: small graphs can beat this count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import onnx

from saccade_bench.roofline.operations import IN_8_BITS, MOVES, OTHERS, PRODUCTS
from saccade_bench.roofline.traffic import bytes_moved
from saccade_bench.roofline.values import Value, values_of

STANDARD = ("", "ai.onnx")


@dataclass(frozen=True)
class Work:
    """Of one run of a graph. ``products`` are by what they are computed in, "float" or "int8".

    ``by_operator`` has all operations, products included; ``uncounted`` has the operators without a formula, and how
    often each is there.
    """

    products: dict[str, int]
    others: int
    bytes_moved: int
    by_operator: dict[str, int]
    uncounted: dict[str, int]

    @property
    def flops(self) -> int:
        """Of products: what a peak is a limit of."""
        return sum(self.products.values())

    def __add__(self, more: Work) -> Work:
        return Work(
            _sum(self.products, more.products),
            self.others + more.others,
            self.bytes_moved + more.bytes_moved,
            _sum(self.by_operator, more.by_operator),
            _sum(self.uncounted, more.uncounted),
        )


def count(model: onnx.ModelProto, feeds: Mapping[str, npt.NDArray[Any]]) -> Work:
    """The work of ``model``, weights inside, with inputs ``feeds``, for which it is run once.

    Raises ``EngineError`` for a graph that ONNX Runtime refuses, or that does not take ``feeds``.
    """
    return count_values(model, values_of(model, feeds))


def count_values(model: onnx.ModelProto, values: Mapping[str, Value]) -> Work:
    """The same from the shapes of all values, see ``values_of``."""
    products, by_operator, uncounted = Counter[str](), Counter[str](), Counter[str]()
    makers = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        operations = _operations(node, values)
        if operations is None:
            uncounted[node.op_type] += 1
            continue
        by_operator[node.op_type] += operations
        if node.op_type in PRODUCTS:
            products["int8" if _in_8_bits(node, makers, values) else "float"] += operations
    counted = {name: number for name, number in by_operator.items() if number}
    others = sum(counted.values()) - products.total()
    return Work(dict(products), others, bytes_moved(model.graph, values), counted, dict(uncounted))


def _operations(node: onnx.NodeProto, values: Mapping[str, Value]) -> int | None:
    """None where there is no formula, or a value that it needs is unknown."""
    if node.domain not in STANDARD:
        return None
    if node.op_type in MOVES:
        return 0
    formula = PRODUCTS.get(node.op_type) or OTHERS.get(node.op_type)
    made = values.get(node.output[0])
    if formula is None or made is None:
        return None
    try:
        return formula(node, [values.get(name) for name in node.input], made)
    except LookupError:
        return None


def _in_8_bits(node: onnx.NodeProto, makers: Mapping[str, onnx.NodeProto], values: Mapping[str, Value]) -> bool:
    """Whether both factors are in 8 bits: the operator says so, or marks before them do."""
    return node.op_type in IN_8_BITS or all(_was_8_bits(name, makers, values) for name in node.input[:2])


def _was_8_bits(name: str, makers: Mapping[str, onnx.NodeProto], values: Mapping[str, Value]) -> bool:
    maker = makers.get(name)
    while maker is not None and maker.op_type in ("Reshape", "Transpose"):
        maker = makers.get(maker.input[0])
    if maker is None or maker.op_type != "DequantizeLinear":
        return False
    stored = values.get(maker.input[0])
    return stored is not None and stored.element_bytes == 1


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return dict(Counter(one) + Counter(other))
