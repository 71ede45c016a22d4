"""Operations that move, choose, order or join elements."""

from __future__ import annotations

from onnx import TensorProto

from tests.generated.draft import NAMED, Draft, Refused, Value


def _static(x: Value, least: int = 1) -> list[int]:
    if not x.is_static or x.rank < least:
        raise Refused("no static shape")
    return [int(size) for size in x.shape or ()]  # type: ignore[arg-type]


def _axis(draft: Draft, x: Value) -> int:
    if x.rank < 1:
        raise Refused("no axis")
    return draft.random.randint(-x.rank, x.rank - 1)


def transpose(draft: Draft, x: Value) -> Value:
    if x.rank < 0:
        raise Refused("no rank")
    return draft.node("Transpose", [x], perm=draft.random.sample(range(x.rank), x.rank))


def reshape(draft: Draft, x: Value) -> Value:
    sizes = _static(x)
    target = draft.choice(
        ([-1], [0, -1] if len(sizes) > 1 else [-1], [*sizes[:-1], 1, sizes[-1]], [1, *sizes], sizes[::-1])
    )
    if draft.chance(0.07):
        return draft.node("Reshape", [x, draft.asked(target)])
    return draft.node("Reshape", [x, draft.integers(target)])


def squeeze(draft: Draft, x: Value) -> Value:
    if x.rank < 0:
        raise Refused("no rank")
    axes = [draft.random.randint(0, x.rank)]
    op = "Unsqueeze"
    ones = [axis for axis, size in enumerate(x.shape or ()) if size == 1]
    if ones and draft.chance(0.5):
        op, axes = "Squeeze", ones[:1]
    if draft.opset < 13:
        return draft.node(op, [x], axes=axes)
    if op == "Squeeze" and draft.chance(0.2):
        return draft.node(op, [x])
    return draft.node(op, [x, draft.asked(axes) if draft.chance(0.04) else draft.integers(axes)])


def concat(draft: Draft, x: Value) -> Value:
    return draft.node("Concat", [x, draft.like(x), *([x] if draft.chance(0.2) else [])], axis=_axis(draft, x))


def split(draft: Draft, x: Value) -> Value:
    sizes, axis = _static(x), _axis(draft, x)
    size = sizes[axis]
    if size < 2:
        raise Refused("nothing to split")
    parts = [1, size - 1] if draft.chance(0.6) else [size // 2, size - size // 2]
    if draft.opset < 13:
        return draft.nodes_outputs("Split", [x], outputs=2, axis=axis, split=parts)[1]
    if draft.chance(0.3):
        many = {"num_outputs": 2} if draft.opset >= 18 else {}
        return draft.nodes_outputs("Split", [x], outputs=2, axis=axis, **many)[0]
    return draft.nodes_outputs("Split", [x, draft.integers(parts)], outputs=2, axis=axis)[1]


def cut(draft: Draft, x: Value) -> Value:
    axis = _axis(draft, x) % x.rank
    start, end = draft.choice(((0, 1), (1, 2**31 - 1), (-2, 2**62), (0, -1), (0, 3)))
    if draft.opset < 10:
        return draft.node("Slice", [x], starts=[start], ends=[end], axes=[axis])
    step = draft.choice((1, 1, 2, -1))
    if step < 0:
        start, end = -1, -(2**31)
    inputs: list[Value | None] = [
        draft.integers([start]),
        draft.integers([end]),
        draft.integers([axis]),
        draft.integers([step]),
    ]
    if draft.chance(0.1) and axis == 0:
        return draft.node("Slice", [x, *inputs[:2]])
    if draft.chance(0.08):
        place = draft.choice((0, 1, 2))
        inputs[place] = draft.asked([(start, end, axis)[place]])
    return draft.node("Slice", [x, *inputs])


def pad(draft: Draft, x: Value) -> Value:
    if x.rank < 1:
        raise Refused("no rank")
    least = -1 if draft.chance(0.1) else 0
    modes = ("constant", "constant", "reflect", "edge", *(("wrap",) if draft.opset >= 19 else ()))
    mode, pads = draft.choice(modes), [draft.random.randint(least, 1) for _ in range(2 * x.rank)]
    if draft.chance(0.7):
        pads = [0 if axis % x.rank < x.rank - 2 else size for axis, size in enumerate(pads)]
    if draft.opset < 11:
        return draft.node("Pad", [x], pads=pads, mode=mode if mode != "wrap" else "edge")
    amount = draft.tensor(1, x.kind) if mode == "constant" and draft.chance(0.6) else None
    axes = None
    if draft.opset >= 18 and draft.chance(0.15):
        axes, pads = draft.integers([x.rank - 1]), [1, 0]
    given = draft.asked(pads) if draft.chance(0.06) and min(pads) >= 0 else draft.integers(pads)
    return draft.node("Pad", [x, given, amount, axes], mode=mode)


def expand(draft: Draft, x: Value) -> Value:
    sizes = _static(x, 0)
    target = [2, *[3 if size == 1 else size for size in sizes]] if draft.chance(0.5) else [1] * len(sizes)
    return draft.node("Expand", [x, draft.integers(target)])


def tile(draft: Draft, x: Value) -> Value:
    if x.rank < 1:
        raise Refused("no rank")
    counts = [draft.choice((1, 2)) for _ in range(x.rank)]
    return draft.node("Tile", [x, draft.asked(counts) if draft.chance(0.06) else draft.integers(counts)])


def gather(draft: Draft, x: Value) -> Value:
    axis = _axis(draft, x)
    kind = draft.choice((TensorProto.INT64, TensorProto.INT64, TensorProto.INT32))
    shape = draft.choice(([], [2], [2, 2]))
    indices = draft.tensor(draft.numbers.integers(0, 1, shape), kind) if draft.chance(0.6) else draft.input(kind, shape)
    return draft.node("Gather", [x, indices], axis=axis)


def gather_elements(draft: Draft, x: Value) -> Value:
    sizes = _static(x)
    kind = draft.choice((TensorProto.INT64, TensorProto.INT32))
    return draft.node("GatherElements", [x, draft.input(kind, sizes)], axis=_axis(draft, x))


def gather_nd(draft: Draft, x: Value) -> Value:
    sizes = _static(x)
    batch = draft.choice((0, 1)) if draft.opset >= 12 and len(sizes) > 1 else 0
    depth = draft.random.randint(1, len(sizes) - batch)
    indices = draft.input(TensorProto.INT64, [*sizes[:batch], 2, depth])
    return draft.node("GatherND", [x, indices], batch_dims=batch or None)


def scatter(draft: Draft, x: Value) -> Value:
    sizes = _static(x)
    reduction = draft.choice(("none", "none", "none", "add", "mul", "max", "min"))
    more = {"reduction": reduction} if draft.opset >= (18 if reduction in ("max", "min") else 16) else {}
    if draft.chance(0.5):
        kind = draft.choice((TensorProto.INT64, TensorProto.INT32))
        op = "ScatterElements" if draft.opset >= 11 else "Scatter"
        return draft.node(op, [x, draft.input(kind, sizes), draft.like(x)], axis=_axis(draft, x), **more)
    if draft.opset < 11:
        raise Refused("opset")
    depth = draft.random.randint(1, len(sizes))
    updates = draft.like(x, [2, *sizes[depth:]])
    return draft.node("ScatterND", [x, draft.input(TensorProto.INT64, [2, depth]), updates], **more)


def top_k(draft: Draft, x: Value) -> Value:
    k = draft.choice((1, 1, 2, 2, 3, 3839, 3840, 3841, 4000))
    axis = _axis(draft, x)
    size = (x.shape or ())[axis]
    if k <= 3 and k > (size if isinstance(size, int) else 8 if size in NAMED else 1):
        raise Refused("fewer than k")
    if k > 3:
        x = draft.input(x.kind, [1, 4096])
        axis = 1
    if draft.opset < 10:
        outputs = draft.nodes_outputs("TopK", [x], outputs=2, axis=axis, k=k)
        return draft.choice(outputs)
    more = {} if draft.opset < 11 else {"largest": draft.choice((0, 1)), "sorted": draft.choice((1, 1, 1, 0))}
    given = draft.asked([k]) if draft.chance(0.06) else draft.integers([k])
    return draft.choice(draft.nodes_outputs("TopK", [x, given], outputs=2, axis=axis, **more))


def one_hot(draft: Draft, x: Value) -> Value:
    values = draft.tensor(
        [0, 1], draft.choice((TensorProto.FLOAT, TensorProto.INT32, TensorProto.FLOAT16, TensorProto.INT64))
    )
    depth = draft.tensor(5, TensorProto.INT64) if draft.chance(0.97) else draft.input(TensorProto.INT64, [])
    indices = x if not x.is_float else draft.input(draft.choice((TensorProto.INT64, TensorProto.INT32)), [3])
    return draft.node("OneHot", [indices, depth, values], axis=-1)


def reverse(draft: Draft, x: Value) -> Value:
    sizes = _static(x, 2)
    return draft.node("ReverseSequence", [x, draft.integers([1] * sizes[1])], time_axis=0, batch_axis=1)


def compress(draft: Draft, x: Value) -> Value:
    sizes = _static(x)
    return draft.node("Compress", [x, draft.input(TensorProto.BOOL, [sizes[0]])], axis=0)


def unique(draft: Draft, x: Value) -> Value:
    return draft.node("Unique", [x])


def fill(draft: Draft, x: Value) -> Value:
    kind = draft.choice(
        (TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL, TensorProto.FLOAT16)
    )
    value = draft.tensor([1], kind)
    stored = next(tensor for tensor in draft.weights if tensor.name == value.name)
    draft.weights.remove(stored)
    sizes = draft.integers([2, 3]) if draft.chance(0.8) else draft.node("Shape", [x])
    return draft.node("ConstantOfShape", [sizes], value=stored)


def count_up(draft: Draft, x: Value) -> Value:
    kind = draft.choice((TensorProto.INT64, TensorProto.INT32, TensorProto.FLOAT))
    if draft.chance(0.5):
        return draft.node("Range", [draft.tensor(0, kind), draft.tensor(5, kind), draft.tensor(1, kind)])
    total = draft.node("Squeeze", [draft.node("Size", [x])])
    return draft.node("Range", [draft.tensor(0, TensorProto.INT64), total, draft.tensor(1, TensorProto.INT64)])


def suppress(draft: Draft, x: Value) -> Value:
    kind = x.kind if x.is_float else TensorProto.FLOAT
    boxes, scores = draft.input(kind, [1, 6, 4]), draft.input(kind, [1, 2, 6])
    if draft.opset < 10:
        raise Refused("opset")
    limits = [
        draft.tensor([3], TensorProto.INT64),
        draft.tensor([0.5], TensorProto.FLOAT),
        draft.tensor([0.1], TensorProto.FLOAT),
    ]
    return draft.node("NonMaxSuppression", [boxes, scores, *limits], center_point_box=draft.choice((0, 1)))


MAKERS = (
    (transpose, 5),
    (reshape, 4),
    (squeeze, 2.5),
    (concat, 4),
    (split, 2.5),
    (cut, 4),
    (pad, 4),
    (expand, 1.5),
    (tile, 1.5),
    (gather, 3),
    (gather_elements, 1),
    (gather_nd, 1),
    (scatter, 3),
    (top_k, 2.5),
    (one_hot, 0.7),
    (reverse, 0.5),
    (compress, 0.3),
    (unique, 0.3),
    (fill, 0.7),
    (count_up, 0.6),
    (suppress, 0.5),
)
