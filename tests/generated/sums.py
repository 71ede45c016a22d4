"""Operations that add up: matrices, reductions, normalisations, recurrences."""

from __future__ import annotations

from onnx import TensorProto

from tests.generated.draft import Draft, Refused, Value

REDUCTIONS = (
    *("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSum"),
    *("ReduceLogSumExp", "ReduceSumSquare"),
)
EQUATIONS = (
    "ij,jk->ik",
    "ij->ji",
    "ij->i",
    "ii->i",
    "ii",
    "ij,ij->",
    "bij,bjk->bik",
    "...ij,...jk->...ik",
    "i,j->ij",
    "ij,jk",
)


def reduce(draft: Draft, x: Value) -> Value:
    if x.rank < 0:
        raise Refused("no rank")
    op, keep = draft.choice(REDUCTIONS), draft.choice((0, 1))
    axes = draft.random.sample(range(x.rank), draft.random.randint(1, min(2, x.rank))) if x.rank else []
    by_input = draft.opset >= (13 if op == "ReduceSum" else 18)
    if not axes or draft.chance(0.15):
        more = {"noop_with_empty_axes": 1} if by_input and draft.chance(0.3) else {}
        return draft.node(op, [x], keepdims=keep, **more)
    if not by_input:
        return draft.node(op, [x], keepdims=keep, axes=axes)
    given = draft.asked(axes) if draft.chance(0.06) else draft.integers(axes)
    return draft.node(op, [x, given], keepdims=keep)


def arg_reduce(draft: Draft, x: Value) -> Value:
    if x.rank < 1:
        raise Refused("no rank")
    more = {"select_last_index": 1} if draft.opset >= 12 and draft.chance(0.15) else {}
    axis = draft.random.randint(0, x.rank - 1)
    return draft.node(draft.choice(("ArgMax", "ArgMin")), [x], axis=axis, keepdims=draft.choice((0, 1)), **more)


def cumulative(draft: Draft, x: Value) -> Value:
    if draft.opset < 11 or x.rank < 1:
        raise Refused("opset")
    kind = draft.choice((TensorProto.INT64, TensorProto.INT32))
    axis = (
        draft.input(kind, []) if draft.chance(0.04) else draft.tensor(draft.random.randint(-x.rank, x.rank - 1), kind)
    )
    return draft.node("CumSum", [x, axis], exclusive=draft.choice((0, 0, 1)), reverse=draft.choice((0, 0, 1)))


def softmax(draft: Draft, x: Value) -> Value:
    if x.rank < 1:
        raise Refused("no rank")
    op = draft.choice(("Softmax", "Softmax", "LogSoftmax", "Hardmax", "LpNormalization"))
    more = {"p": draft.choice((1, 2))} if op == "LpNormalization" else {}
    return draft.node(op, [x], axis=draft.random.randint(-1, x.rank - 1), **more)


def matrix(draft: Draft, x: Value) -> Value:
    if x.rank < 1 or not isinstance(x.shape[-1], int):  # type: ignore[index]
        raise Refused("no matrix")
    inner = int(x.shape[-1])  # type: ignore[index,arg-type]
    shape: list[int] = draft.choice(([inner, 3], [inner], [inner, 2], [1, inner, 2]))
    other = draft.like(x, shape)
    return draft.node("MatMul", [x, other])


def general_matrix(draft: Draft, x: Value) -> Value:
    if x.rank != 2 or not x.is_static:
        x = draft.input(x.kind, [3, 4])
    rows, inner = (int(size) for size in x.shape or ())  # type: ignore[arg-type]
    turned, other_turned = draft.choice((0, 0, 1)), draft.choice((0, 1))
    rows, inner = (inner, rows) if turned else (rows, inner)
    other = draft.like(x, [5, inner] if other_turned else [inner, 5])
    bias = draft.like(x, draft.choice(([5], [1, 5], [rows, 5], []))) if draft.chance(0.7) or draft.opset < 11 else None
    more = {"alpha": 0.5, "beta": 2.0} if draft.chance(0.2) else {}
    return draft.node("Gemm", [x, other, bias], transA=turned, transB=other_turned, **more)


def einsum(draft: Draft, x: Value) -> Value:
    if draft.opset < 12:
        raise Refused("opset")
    equation = draft.choice(EQUATIONS)
    terms = equation.split("->")[0].split(",")
    shapes = [[3] * (len(term.replace(".", "")) + ("..." in term)) for term in terms]
    return draft.node("Einsum", [draft.input(x.kind, shape) for shape in shapes], equation=equation)


def normalise(draft: Draft, x: Value) -> Value:
    if x.rank < 2 or not isinstance(x.shape[1], int):  # type: ignore[index]
        raise Refused("no channels")
    channels = int(x.shape[1])  # type: ignore[index,arg-type]
    op = draft.choice(("BatchNormalization", "InstanceNormalization", "LayerNormalization", "GroupNormalization"))

    def numbers(count: int) -> Value:
        return draft.noise([count], x.kind)

    if op == "BatchNormalization":
        if draft.chance(0.06) and draft.opset >= 14:
            inputs = [x, *(numbers(channels) for _ in range(4))]
            return draft.nodes_outputs(op, inputs, outputs=3, training_mode=1)[0]
        return draft.node(op, [x, *(numbers(channels) for _ in range(4))])
    if op == "InstanceNormalization":
        return draft.node(op, [x, numbers(channels), numbers(channels)])
    if op == "GroupNormalization":
        if draft.opset < 18:
            raise Refused("opset")
        groups = draft.choice([n for n in (1, 2, channels) if channels % n == 0])
        size = channels if draft.opset >= 21 else groups
        return draft.node(op, [x, numbers(size), numbers(size)], num_groups=groups)
    if draft.opset < 17 or not isinstance(x.shape[-1], int):  # type: ignore[index]
        raise Refused("opset")
    size = int(x.shape[-1])  # type: ignore[index,arg-type]
    outputs = draft.choice((1, 1, 1, 1, 3))
    return draft.nodes_outputs(op, [x, numbers(size), numbers(size) if draft.chance(0.7) else None], outputs=outputs)[
        -1
    ]


def recurrent(draft: Draft, x: Value) -> Value:
    kind, hidden = x.kind if x.is_float else TensorProto.FLOAT, 3
    op = draft.choice(("LSTM", "GRU", "RNN"))
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op] * hidden
    direction = draft.choice(("forward", "reverse", "bidirectional"))
    ways = 2 if direction == "bidirectional" else 1
    layout = int(draft.chance(0.1)) if draft.opset >= 14 else 0
    sequence = draft.input(kind, [2, 4, 5])
    weights = [draft.noise([ways, gates, 5], kind), draft.noise([ways, gates, hidden], kind)]
    bias = draft.noise([ways, 2 * gates], kind) if draft.chance(0.7) else None
    more: dict[str, object] = {"layout": layout} if layout else {}
    if op == "LSTM" and draft.chance(0.15):
        more["input_forget"] = 1
    return draft.node(op, [sequence, *weights, bias], hidden_size=hidden, direction=direction, **more)


def window(draft: Draft, x: Value) -> Value:
    if draft.opset < 17:
        raise Refused("opset")
    op = draft.choice(("HannWindow", "HammingWindow", "BlackmanWindow"))
    return draft.node(op, [draft.tensor(8, TensorProto.INT64)])


def fourier(draft: Draft, x: Value) -> Value:
    if draft.opset < 17:
        raise Refused("opset")
    signal = draft.input(TensorProto.FLOAT, [1, 8, 1])
    return draft.node("DFT", [signal])


def integer_product(draft: Draft, x: Value) -> Value:
    if draft.opset < 10:
        raise Refused("opset")
    kind = draft.choice((TensorProto.UINT8, TensorProto.INT8))
    return draft.node("MatMulInteger", [draft.input(kind, [2, 3]), draft.input(kind, [3, 2])])


def random_numbers(draft: Draft, x: Value) -> Value:
    return draft.node(draft.choice(("RandomNormal", "RandomUniform")), [], shape=[2, 3])


MAKERS = (
    (reduce, 6),
    (arg_reduce, 2),
    (cumulative, 1),
    (softmax, 3),
    (matrix, 4),
    (general_matrix, 2),
    (einsum, 1.5),
    (normalise, 4),
    (recurrent, 1.2),
    (window, 0.3),
    (fourier, 0.2),
    (integer_product, 0.3),
    (random_numbers, 0.3),
)
