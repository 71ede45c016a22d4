"""How many floating-point operations the ONNX operators take, by the shapes of what they are given and give.

Formulas are for one node; a multiplication and an addition count one each, as any other operation on a number does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import onnx
from onnx import helper

from saccade_bench.roofline.values import Value

Given = Sequence[Value | None]
"""What a node is given, in order; None for what is left out or unknown."""

Formula = Callable[[onnx.NodeProto, Given, Value], int]
"""A node, what it is given, its first output: operations."""


def _convolution(_node: onnx.NodeProto, given: Given, made: Value) -> int:
    weights = _needed(given[1])
    return 2 * made.count * math.prod(weights.shape[1:])


def _quantised_convolution(_node: onnx.NodeProto, given: Given, made: Value) -> int:
    weights = _needed(given[3])
    return 2 * made.count * math.prod(weights.shape[1:])


def _transposed_convolution(_node: onnx.NodeProto, given: Given, _made: Value) -> int:
    taken, weights = _needed(given[0]), _needed(given[1])
    return 2 * taken.count * math.prod(weights.shape[1:])


def _matrix_product(_node: onnx.NodeProto, given: Given, made: Value) -> int:
    return 2 * made.count * _needed(given[0]).shape[-1]


def _general_product(node: onnx.NodeProto, given: Given, made: Value) -> int:
    transposed = _attribute(node, "transA", 0)
    return 2 * made.count * _needed(given[0]).shape[0 if transposed else 1]


PRODUCTS: dict[str, Formula] = {
    "Conv": _convolution,
    "ConvInteger": _convolution,
    "QLinearConv": _quantised_convolution,
    "ConvTranspose": _transposed_convolution,
    "MatMul": _matrix_product,
    "MatMulInteger": _matrix_product,
    "QLinearMatMul": _matrix_product,
    "Gemm": _general_product,
}
"""Operators of multiplications and additions in pairs, which processors have instructions for. Biases count nothing."""

IN_8_BITS = frozenset({"ConvInteger", "QLinearConv", "MatMulInteger", "QLinearMatMul"})


def _each(operations: int) -> Formula:
    return lambda _node, _given, made: operations * made.count


def _each_taken(_node: onnx.NodeProto, given: Given, _made: Value) -> int:
    return _needed(given[0]).count


def _window(node: onnx.NodeProto, _given: Given, made: Value) -> int:
    return made.count * math.prod(_attribute(node, "kernel_shape", [1]))


def _resized(node: onnx.NodeProto, _given: Given, made: Value) -> int:
    taps = {"linear": 4, "cubic": 16}.get(str(_attribute(node, "mode", "nearest")), 0)
    return 2 * taps * made.count


ELEMENTWISE = frozenset(
    {
        "Abs", "Add", "And", "Atan", "Ceil", "Clip", "Cos", "Div", "Elu", "Equal", "Erf", "Exp", "Floor", "Greater",
        "GreaterOrEqual", "HardSigmoid", "HardSwish", "IsInf", "IsNaN", "LeakyRelu", "Less", "LessOrEqual", "Log",
        "Max", "Min", "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow", "Reciprocal", "Relu", "Round", "Selu",
        "Sigmoid", "Sign", "Sin", "Softplus", "Sqrt", "Sub", "Tanh", "Where", "Xor",
    }
)  # fmt: skip
"""One operation for each number that comes out."""

OTHERS: dict[str, Formula] = {
    **dict.fromkeys(ELEMENTWISE, _each(1)),
    **dict.fromkeys(("BatchNormalization",), _each(2)),
    **dict.fromkeys(("Gelu", "Swish", "Mish", "Softmax", "LogSoftmax"), _each(5)),
    **dict.fromkeys(("InstanceNormalization", "LayerNormalization", "GroupNormalization"), _each(8)),
    **dict.fromkeys(("MaxPool", "AveragePool"), _window),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "ArgMax", "ArgMin", "CumSum"), _each_taken),
    **dict.fromkeys((f"Reduce{name}" for name in ("Max", "Mean", "Min", "Prod", "Sum")), _each_taken),
    **dict.fromkeys(("ReduceL1", "ReduceL2", "ReduceSumSquare"), lambda *args: 2 * _each_taken(*args)),
    "Resize": _resized,
}
"""All other operators that compute. Those of several operations are rounded: next to products they are few."""

WIDENING = frozenset({"Cast", "DequantizeLinear", "Expand"})
"""Operators that make more bytes of the same numbers, which whoever takes them can do as it reads."""

VIEWS = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"})
"""The same bytes under another shape."""

MOVES = WIDENING | VIEWS | {
    "Compress", "Concat", "Constant", "ConstantOfShape", "DepthToSpace", "Gather", "GatherElements", "GatherND",
    "OneHot", "Pad", "QuantizeLinear", "Range", "ScatterElements", "ScatterND", "Shape", "Size", "Slice",
    "SpaceToDepth", "Split", "Tile", "Transpose",
}  # fmt: skip
"""No arithmetic. Quantising is counted as none: it ends an operation in 8 bits, or begins it."""

SHAPES_ONLY = frozenset({"Shape", "Size"})
"""They read no numbers."""

FUSED = ELEMENTWISE | WIDENING | {"BatchNormalization", "QuantizeLinear", "Gelu", "Swish", "Mish"}
"""What an engine can do to numbers on their way from the operator before, without writing them down in between."""


def _needed(value: Value | None) -> Value:
    if value is None:
        raise LookupError("a value that the formula needs is unknown")
    return value


def _attribute(node: onnx.NodeProto, name: str, otherwise: Any) -> Any:
    found = next((helper.get_attribute_value(each) for each in node.attribute if each.name == name), otherwise)
    return found.decode() if isinstance(found, bytes) else found
