"""One graph from one number: an input of some type and shape, and one to eight operations in a row."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx
from onnx import TensorProto

from tests.generated import control, elementwise, moving, quantised, sums, windows
from tests.generated.draft import Draft, Refused, Value

MAKERS = [
    *elementwise.MAKERS,
    *windows.MAKERS,
    *moving.MAKERS,
    *sums.MAKERS,
    *quantised.MAKERS,
    *control.MAKERS,
]
KINDS = {
    TensorProto.FLOAT: 62,
    TensorProto.FLOAT16: 11,
    TensorProto.BFLOAT16: 4,
    TensorProto.INT32: 6,
    TensorProto.INT64: 5,
    TensorProto.BOOL: 3,
    TensorProto.UINT8: 3,
    TensorProto.INT8: 2,
    TensorProto.DOUBLE: 1.5,
    TensorProto.INT16: 0.5,
    TensorProto.UINT16: 0.5,
    TensorProto.UINT32: 0.5,
    TensorProto.UINT64: 0.5,
    TensorProto.FLOAT8E4M3FN: 0.5,
}
RANKS = {4: 50, 3: 14, 2: 14, 1: 6, 0: 2, 5: 7, 6: 2.5, 7: 1.5, 8: 1.5, 9: 1.5}
LENGTHS = {1: 32, 2: 22, 3: 15, 4: 10, 5: 8, 6: 5, 7: 4, 8: 4}
TRIES = 40


@dataclass(frozen=True)
class Generated:
    """A graph, the number it follows from, its operations in order, and the values of inputs that are shapes."""

    seed: int
    model: onnx.ModelProto
    operations: tuple[str, ...]
    values: Mapping[str, Sequence[int]]


def generate(
    seed: int, *, only: tuple[object, ...] | None = None, kind: int | None = None, length: int | None = None
) -> Generated:
    """The graph of ``seed``. ``only``, ``kind`` and ``length`` narrow what it is made of."""
    draft = Draft(seed, 0)
    draft.opset = draft.random.randint(9, 22)
    makers = [(maker, share) for maker, share in MAKERS if only is None or maker in only]
    value = _start(draft, kind)
    for _ in range(length or _drawn(draft, LENGTHS)):
        value = _extended(draft, value, makers)
    if not draft.nodes:
        value = draft.node("ConstantOfShape", [draft.integers([1])])
    model = draft.model(*(each for each in draft.ends() if each.name != value.name), value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        onnx.checker.check_model(model, full_check=True)
    return Generated(seed, model, tuple(node.op_type for node in draft.nodes), draft.values)


def _start(draft: Draft, kind: int | None) -> Value:
    rank = _drawn(draft, RANKS)
    sizes = {
        4: [
            draft.choice((1, 1, 2)),
            draft.choice((2, 3, 4, 6)),
            draft.random.randint(4, 9),
            draft.random.randint(4, 9),
        ],
        3: [draft.choice((1, 2)), draft.choice((2, 3, 4)), draft.random.randint(3, 9)],
        5: [1, draft.choice((2, 3)), 4, 5, 6],
    }.get(rank, [draft.choice((1, 2, 3, 4)) for _ in range(rank)])
    shape: list[int | str | None] = list(sizes)
    if draft.chance(0.12) and rank:
        shape[0] = "batch"
        if rank == 4 and draft.chance(0.6):
            shape[2:] = ["height", "width"]
    return draft.input(kind or _drawn(draft, KINDS), shape)


def _extended(draft: Draft, value: Value, makers: list[tuple[object, float]]) -> Value:
    """Another operation after ``value``, or ``value`` where none of many tries fits."""
    for _ in range(TRIES):
        (maker,) = draft.random.choices([maker for maker, _ in makers], [share for _, share in makers])
        before = (len(draft.inputs), len(draft.weights), len(draft.nodes))
        try:
            return maker(draft, value)  # type: ignore[operator]
        except (Refused, ValueError, TypeError, OverflowError):
            del draft.inputs[before[0] :], draft.weights[before[1] :], draft.nodes[before[2] :]
    return value


def _drawn(draft: Draft, shares: dict[int, float]) -> int:
    return draft.random.choices(list(shares), list(shares.values()))[0]
