"""Operations that choose, order and scatter: their limits, and what they need to know when the engine is built."""

from __future__ import annotations

from collections.abc import Iterator

from saccade_export.support.findings import Fault, Rule, rule
from saccade_export.support.operations import FLOAT
from saccade_export.support.seen import Seen, follows_from_input
from saccade_export.support.targets import Target

MOST_K = 3840

REDUCTIONS = (
    *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd"),
    *("ReduceSum", "ReduceSumSquare"),
)
STORED_PLACE = {
    **dict.fromkeys(REDUCTIONS, (1, "axes")),
    **dict.fromkeys(("Squeeze", "Unsqueeze", "CumSum"), (1, "axes")),
    "OneHot": (1, "depth"),
}
"""Inputs that must be stored in the graph, by place, with their names."""


def top_k(seen: Seen, _: Target) -> Iterator[Fault]:
    """K may be 3840, though operators.md says less: TensorRT-RTX 1.7 builds it, and not 3841."""
    stored = seen.constant(1)
    k = seen.attribute("k") if stored is None else int(stored.ravel()[0]) if stored.size else None
    if k is None:
        yield Fault(f"TopK gets K at run time; it fails there for more than {MOST_K}, so store it", "unsure")
    elif k > MOST_K:
        yield Fault(f"TopK asks for {k}, but TensorRT gives {MOST_K} at most; narrow the candidates first")


def stored(seen: Seen, _: Target) -> Iterator[Fault]:
    place, name = STORED_PLACE[seen.operation]
    if seen.has(place) and seen.constant(place) is None:
        yield Fault(
            f"{seen.operation} gets its {name} from another node or an input, but they must be stored in the graph"
        )


def scatter_nd(seen: Seen, _: Target) -> Iterator[Fault]:
    reduction = seen.attribute("reduction", "none")
    if reduction != "none":
        yield Fault(f"ScatterND has reduction {reduction}, but TensorRT's has none")


def scatter_elements(seen: Seen, target: Target) -> Iterator[Fault]:
    """A plugin of full TensorRT reduces, since 10.0 (its changelog)."""
    reduction = seen.attribute("reduction", "none")
    if reduction != "none" and target.is_rtx:
        yield Fault(
            f"ScatterElements has reduction {reduction}, for which full TensorRT has a plugin and TensorRT-RTX none"
        )


def eye_like(seen: Seen, _: Target) -> Iterator[Fault]:
    shape = seen.shape()
    if shape is None or None in shape:
        yield Fault("EyeLike needs an input of fixed shape")


def cut_along_axes(seen: Seen, _: Target) -> Iterator[Fault]:
    """Without axes ONNX takes as many as there are starts, TensorRT all of them."""
    rank, starts = seen.rank(), seen.shape(1)
    count = len(seen.attribute("starts", ())) or (starts[0] if starts else None)
    if not seen.has(3) and not seen.attribute("axes", ()) and rank is not None and count is not None and count != rank:
        yield Fault(f"Slice cuts {count} of {rank} axes and does not say which; give axes")


def reflect_of_constants(seen: Seen, target: Target) -> Iterator[Fault]:
    """Measured: TensorRT-RTX 1.7 folds such a node and fails, for numbers that are not float."""
    value = seen.input(0)
    if value is None or not target.is_rtx or seen.attribute("mode", "constant") == "constant":
        return
    if value.dtype not in FLOAT and not follows_from_input(value):
        yield Fault(
            "Pad repeats integers that follow from no input, which TensorRT-RTX 1.7 may not build; store the result",
            "unsure",
        )


def hardmax(seen: Seen, _: Target) -> Iterator[Fault]:
    shape, axis = seen.shape(), int(seen.attribute("axis", -1))
    if shape is not None and (shape[axis % len(shape)] if shape else None) is None:
        yield Fault("Hardmax works along an axis whose size varies, but TensorRT's needs it fixed")


RULES: dict[str, Rule] = {
    "slice axes": rule(cut_along_axes, "Slice"),
    "pad of constants": rule(reflect_of_constants, "Pad"),
    "top k": rule(top_k, "TopK"),
    "stored": rule(stored, *STORED_PLACE),
    "scatter nd": rule(scatter_nd, "ScatterND"),
    "scatter elements": rule(scatter_elements, "ScatterElements"),
    "hardmax": rule(hardmax, "Hardmax"),
    "eye": rule(eye_like, "EyeLike"),
}
