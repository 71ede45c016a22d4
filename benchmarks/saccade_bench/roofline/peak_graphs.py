"""Graphs of one product a few times in a row, which engines do as fast as they can: what peaks are measured with.

Inputs are x, outputs y, of one shape. In 8 bits all tensors are so, with the marks (Q/DQ) that engines know operations
in 8 bits by: activations are uint8, weights int8.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper

OPSET, IR_VERSION = 18, 10
LAYERS = 3
"""Products in a row: what an engine does to x before the first and to y after the last weighs less."""

X_SCALE, W_SCALE, ZERO = 1 / 64, 1 / 4096, 128


@dataclass(frozen=True)
class Product:
    """A product of x with weights, ``LAYERS`` times, each time with what came of the last.

    Of two axes it is a matrix product, x (m, k) and weights (k, k); of four a convolution of stride 1 that keeps the
    size, x (1, C, h, w) and weights (C, C, kh, kw).
    """

    x: tuple[int, ...]
    weights: tuple[int, ...]

    @property
    def operation(self) -> str:
        return "MatMul" if len(self.x) == 2 else "Conv"

    @property
    def flops(self) -> int:
        """Of the whole graph; a multiplication and an addition count one each."""
        return 2 * LAYERS * math.prod(self.x) * math.prod(self.weights[1:])

    def __str__(self) -> str:
        return f"{self.operation} {'x'.join(map(str, self.x))} by {'x'.join(map(str, self.weights))}"


PRODUCTS = (
    Product((512, 512), (512, 512)),
    Product((1, 64, 96, 128), (64, 64, 3, 3)),
    Product((1, 128, 48, 64), (128, 128, 3, 3)),
    Product((1, 256, 48, 64), (256, 256, 1, 1)),
)
"""A square matrix product, and convolutions as vision networks have them. Each fits into the last cache."""


def float_graph(product: Product) -> bytes:
    """x and y are float32. Weights keep values at the size that they have."""
    fan_in = math.prod(product.weights[1:])
    nodes = [
        helper.make_node(product.operation, [_value(layer), "w"], [_value(layer + 1)], **_pads(product))
        for layer in range(LAYERS)
    ]
    return _model(product, TensorProto.FLOAT, nodes, {"w": _random(product.weights) / np.float32(math.sqrt(fan_in))})


def int8_graph(product: Product) -> bytes:
    """x and y are uint8."""
    weights = np.random.default_rng(0).integers(-127, 128, product.weights).astype(np.int8)
    stored = {
        "w": weights,
        "w_scale": np.float32(W_SCALE),
        "w_zero": np.int8(0),
        "scale": np.float32(X_SCALE),
        "zero": np.uint8(ZERO),
    }
    nodes = [helper.make_node("DequantizeLinear", ["w", "w_scale", "w_zero"], ["w_float"])]
    for layer in range(LAYERS):
        taken, made = f"taken{layer}", f"made{layer}"
        nodes += [
            helper.make_node("DequantizeLinear", [_value(layer), "scale", "zero"], [taken]),
            helper.make_node(product.operation, [taken, "w_float"], [made], **_pads(product)),
            helper.make_node("QuantizeLinear", [made, "scale", "zero"], [_value(layer + 1)]),
        ]
    return _model(product, TensorProto.UINT8, nodes, stored)


def x_of(product: Product, dtype: type[np.generic]) -> npt.NDArray[Any]:
    """Random x of a product: bytes, or float32 about 0."""
    if dtype is np.uint8:
        return np.random.default_rng(1).integers(0, 256, product.x, np.uint8)
    return _random(product.x)


def _random(shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def _value(layer: int) -> str:
    return {0: "x", LAYERS: "y"}.get(layer, f"value{layer}")


def _pads(product: Product) -> dict[str, Any]:
    if product.operation == "MatMul":
        return {}
    height, width = product.weights[2] // 2, product.weights[3] // 2
    return {"pads": [height, width, height, width]}


def _model(product: Product, kind: int, nodes: list[Any], stored: dict[str, Any]) -> bytes:
    graph = helper.make_graph(
        nodes,
        "peak",
        [helper.make_tensor_value_info("x", kind, product.x)],
        [helper.make_tensor_value_info("y", kind, product.x)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in stored.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return model.SerializeToString()
