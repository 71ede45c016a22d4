"""Operations on each element, and on pairs of them."""

from __future__ import annotations

from onnx import TensorProto

from tests.generated.draft import FLOATS, Draft, Refused, Value

UNARY = (
    *("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Ceil", "Celu", "Cos", "Cosh", "Elu"),
    *("Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity", "IsInf", "IsNaN", "LeakyRelu", "Log"),
    *("Mish", "Neg", "Not", "Reciprocal", "Relu", "Round", "Selu", "Shape", "Shrink", "Sigmoid", "Sign", "Sin"),
    *("Sinh", "Size", "Softplus", "Softsign", "Sqrt", "Tan", "Tanh", "ThresholdedRelu", "NonZero", "EyeLike"),
    *("RandomNormalLike", "RandomUniformLike", "Bernoulli", "Det", "GlobalAveragePool", "GlobalMaxPool"),
    *("GlobalLpPool", "MeanVarianceNormalization", "Flatten", "Dropout", "DynamicQuantizeLinear", "Trilu"),
)
BINARY = (
    *("Add", "Sub", "Mul", "Div", "Pow", "Mod", "Max", "Min", "Mean", "Sum", "And", "Or", "Xor", "Equal", "Less"),
    *("LessOrEqual", "Greater", "GreaterOrEqual", "PRelu", "BitwiseAnd", "BitwiseOr", "BitwiseXor"),
)
USUAL = ("Relu", "Sigmoid", "Tanh", "Clip", "LeakyRelu", "HardSwish", "Exp", "Sqrt", "Identity", "Abs", "Erf")

KINDS = (
    *(TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE, TensorProto.INT32),
    *(TensorProto.INT64, TensorProto.INT8, TensorProto.UINT8, TensorProto.BOOL, TensorProto.INT16),
    *(TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64, TensorProto.FLOAT8E4M3FN, TensorProto.FLOAT8E5M2),
    *(TensorProto.INT4, TensorProto.UINT4),
)
CAST_TO = (*KINDS[:4] * 3, *KINDS[4:9] * 2, *KINDS[9:])


def unary(draft: Draft, x: Value, name: str | None = None) -> Value:
    op = name or draft.choice(UNARY)
    attributes = {}
    if op in ("Flatten",):
        attributes["axis"] = draft.random.randint(-1, 2)
    if op in ("LeakyRelu", "Elu", "Celu", "ThresholdedRelu"):
        attributes["alpha"] = draft.choice((0.1, 0.7, 1.0))
    if op == "Gelu" and draft.chance(0.5):
        attributes["approximate"] = "tanh"
    if op == "IsInf" and draft.chance(0.5):
        attributes["detect_negative"] = draft.choice((0, 1))
    if op == "Trilu":
        k = draft.tensor(draft.choice((-1, 0, 1)), TensorProto.INT64) if draft.chance(0.5) else None
        return draft.node(op, [x, k], upper=draft.choice((0, 1)))
    if op == "EyeLike" and draft.chance(0.5):
        attributes["dtype"] = draft.choice((TensorProto.FLOAT, TensorProto.INT32, TensorProto.BOOL))
    return draft.node(op, [x], **attributes)


def usual(draft: Draft, x: Value) -> Value:
    op = draft.choice(USUAL)
    return clip(draft, x) if op == "Clip" else unary(draft, x, op)


def binary(draft: Draft, x: Value, name: str | None = None) -> Value:
    op = name or draft.choice(BINARY)
    other = draft.like(x) if draft.chance(0.6) else draft.like(x, _broadcastable(draft, x))
    if op == "PRelu":
        other = draft.like(x, _broadcastable(draft, x))
    attributes = {}
    if op == "Mod":
        attributes["fmod"] = int(x.kind in FLOATS) if draft.chance(0.9) else 1
    many = op in ("Max", "Min", "Mean", "Sum")
    inputs = [x, other, *([draft.like(x)] if many and draft.chance(0.3) else [])]
    if many and draft.chance(0.1):
        inputs = [x]
    if op == "Pow" and draft.chance(0.3):
        inputs[1] = draft.tensor(2, draft.choice((TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32)))
    return draft.node(op, inputs, **attributes)


def usual_binary(draft: Draft, x: Value) -> Value:
    return binary(draft, x, draft.choice(("Add", "Mul", "Sub", "Div", "Max", "Min", "Equal", "Greater", "Less")))


def _broadcastable(draft: Draft, x: Value) -> list[int | str | None]:
    if x.shape is None:
        raise Refused("no shape")
    kept = list(x.shape)[draft.random.randint(0, len(x.shape)) :]
    return [size if draft.chance(0.5) else 1 for size in kept]


def bit_shift(draft: Draft, x: Value) -> Value:
    return draft.node("BitShift", [x, draft.like(x)], direction=draft.choice(("LEFT", "RIGHT")))


def cast(draft: Draft, x: Value) -> Value:
    return draft.node("Cast", [x], to=draft.choice(CAST_TO))


def cast_like(draft: Draft, x: Value) -> Value:
    return draft.node("CastLike", [x, draft.input(draft.choice(CAST_TO), [1])])


def clip(draft: Draft, x: Value) -> Value:
    if draft.opset < 11:
        return draft.node("Clip", [x], min=0.0, max=draft.choice((1.0, 6.0)))
    low = draft.tensor(0, x.kind) if draft.chance(0.8) else None
    high = (draft.tensor(6, x.kind) if draft.chance(0.8) else draft.input(x.kind, [])) if draft.chance(0.7) else None
    return draft.node("Clip", [x, low, high])


def where(draft: Draft, x: Value) -> Value:
    if x.shape is None:
        raise Refused("no shape")
    condition = draft.input(TensorProto.BOOL, x.shape if draft.chance(0.7) else _broadcastable(draft, x))
    return draft.node("Where", [condition, x, draft.like(x)])


MAKERS = (
    (usual, 10),
    (usual_binary, 8),
    (unary, 10),
    (binary, 6),
    (bit_shift, 0.3),
    (cast, 4),
    (cast_like, 0.5),
    (clip, 1.5),
    (where, 1.5),
)
