"""Quantising and dequantising, right and wrong in every way that tools write it."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from tests.generated.draft import Draft, Refused, Value

STORED = (
    *(TensorProto.INT8,) * 8,
    *(TensorProto.UINT8, TensorProto.INT16, TensorProto.UINT16, TensorProto.INT4, TensorProto.UINT4),
    *(TensorProto.FLOAT8E4M3FN, TensorProto.FLOAT8E5M2),
)


def _zeros(draft: Draft, kind: int, shape: list[int], wrong: float = 0.15) -> Value | None:
    if kind == TensorProto.INT8 and draft.chance(0.15):
        return None
    if draft.chance(wrong) and kind not in (TensorProto.FLOAT8E4M3FN, TensorProto.FLOAT8E5M2):
        return draft.tensor(np.ones(shape), kind)
    return draft.tensor(np.zeros(shape), kind)


def _scale(draft: Draft, kind: int, shape: list[int]) -> Value:
    if draft.chance(0.06):
        return draft.input(kind, shape)
    values = draft.numbers.uniform(0.01, 0.1, shape)
    if draft.chance(0.06):
        values = draft.choice((-values, values * 0))
    return draft.tensor(values, kind)


def there_and_back(draft: Draft, x: Value) -> Value:
    """QuantizeLinear and DequantizeLinear, of one scale or one for each channel."""
    kind = draft.choice(STORED)
    if x.rank < 1 or draft.opset < 10 or not x.is_static:
        raise Refused("no rank")
    axis = draft.random.randint(0, x.rank - 1)
    size = int(x.shape[axis])  # type: ignore[index,arg-type]
    shape = [size] if draft.opset >= 13 and draft.chance(0.15) else draft.choice(([], [], [], [1]))
    scale_kind = x.kind if draft.opset >= 19 else TensorProto.FLOAT
    scale, zero = _scale(draft, scale_kind, shape), _zeros(draft, kind, shape)
    more = {"axis": axis} if draft.opset >= 13 else {}
    stored = draft.node("QuantizeLinear", [x, scale, zero], **more)
    if draft.chance(0.1):
        return stored
    return draft.node("DequantizeLinear", [stored, scale, zero], **more)


def weighted(draft: Draft, x: Value) -> Value:
    """A convolution as quantising tools write it: its input, its weights, and wrongly its bias."""
    if x.rank != 4 or not isinstance(x.shape[1], int) or x.kind != TensorProto.FLOAT or draft.opset < 13:  # type: ignore[index]
        raise Refused("no image")
    channels, out = int(x.shape[1]), draft.choice((2, 4))  # type: ignore[index,arg-type]
    kind = TensorProto.UINT8 if draft.chance(0.12) else TensorProto.INT8
    scale, zero = draft.tensor(0.05, x.kind), _zeros(draft, kind, [], 0.1)
    given = draft.node("DequantizeLinear", [draft.node("QuantizeLinear", [x, scale, zero]), scale, zero])
    turned = draft.chance(0.2)
    shape = [channels, out, 3, 3] if turned else [out, channels, 3, 3]
    axis = (1 if turned else 0) if draft.chance(0.85) else (0 if turned else 1)
    weight_kind = draft.choice((TensorProto.INT8,) * 9 + (TensorProto.UINT8, TensorProto.INT4, TensorProto.INT16))
    if weight_kind in (TensorProto.INT4, TensorProto.INT16) and draft.opset < 21:
        weight_kind = TensorProto.INT8
    numbers = draft.tensor(draft.numbers.integers(0, 7, shape), weight_kind)
    count = [shape[axis]] if draft.chance(0.8) else []
    weight_zero = draft.tensor(np.zeros(count), weight_kind)
    weights = draft.node("DequantizeLinear", [numbers, _scale(draft, x.kind, count), weight_zero], axis=axis)
    bias = None
    if draft.chance(0.3):
        bias = draft.noise([out], x.kind)
    elif draft.chance(0.15):
        stored = draft.tensor(draft.numbers.integers(0, 9, [out]), TensorProto.INT32)
        bias = draft.node("DequantizeLinear", [stored, draft.tensor([0.01] * out, x.kind)], axis=0)
    return draft.node("ConvTranspose" if turned else "Conv", [given, weights, bias])


def blocked(draft: Draft, x: Value) -> Value:
    if draft.opset < 21:
        raise Refused("opset")
    kind = draft.choice((TensorProto.INT4, TensorProto.INT8, TensorProto.INT4, TensorProto.UINT4))
    axis, block = draft.choice((0, 1)), draft.choice((2, 4, 3))
    rows, columns = 8, draft.choice((8, 8, 6, 7))
    shape = [rows, columns]
    shape[axis] = -(-shape[axis] // block)
    stored = draft.tensor(draft.numbers.integers(0, 7, [rows, columns]), kind)
    float_kind = x.kind if x.kind in (TensorProto.FLOAT16, TensorProto.BFLOAT16) else TensorProto.FLOAT
    scale, zero = draft.tensor(np.full(shape, 0.1), float_kind), None
    if draft.chance(0.4):
        zero = draft.tensor(np.zeros(shape), kind)
    weights = draft.node("DequantizeLinear", [stored, scale, zero], axis=axis, block_size=block)
    return draft.node("MatMul", [draft.input(float_kind, [2, rows]), weights])


def by_operators(draft: Draft, x: Value) -> Value:
    """The operator-oriented format."""
    if draft.opset < 10:
        raise Refused("opset")
    scale, zero = draft.tensor(0.1, TensorProto.FLOAT), draft.tensor(0, TensorProto.INT8)
    first, second = draft.input(TensorProto.INT8, [2, 3]), draft.input(TensorProto.INT8, [3, 2])
    return draft.node("QLinearMatMul", [first, scale, zero, second, scale, zero, scale, zero])


def with_type(draft: Draft, x: Value) -> Value:
    """Opset 21's ``output_dtype``, in place of a zero point."""
    if draft.opset < 21 or not x.is_float:
        raise Refused("opset")
    kind = draft.choice(
        (TensorProto.INT8, TensorProto.FLOAT8E4M3FN, TensorProto.INT4, TensorProto.UINT8, TensorProto.INT16)
    )
    scale = draft.tensor(0.1, x.kind)
    return draft.node("DequantizeLinear", [draft.node("QuantizeLinear", [x, scale], output_dtype=kind), scale])


MAKERS = (
    (there_and_back, 4),
    (weighted, 6),
    (blocked, 1),
    (by_operators, 0.3),
    (with_type, 0.7),
)
