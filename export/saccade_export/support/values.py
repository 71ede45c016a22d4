"""What values of a graph may be, whatever takes them: types, ranks, bytes at the edges, quantised constants."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from saccade_export.support.findings import Fault, Rule, rule
from saccade_export.support.seen import OWN_DOMAINS, Seen, shape_of, stored_numbers
from saccade_export.support.targets import Target

_T = ir.DataType
MOST_AXES = 8
NEVER = frozenset(
    {
        *(_T.INT16, _T.UINT16, _T.UINT32, _T.UINT64, _T.STRING, _T.COMPLEX64, _T.COMPLEX128, _T.UINT4, _T.FLOAT8E5M2),
        *(_T.FLOAT8E4M3FNUZ, _T.FLOAT8E5M2FNUZ, _T.INT2, _T.UINT2, _T.FLOAT6E2M3, _T.FLOAT6E3M2),
    }
)
QUANTISED = frozenset({_T.INT8, _T.INT4, _T.FLOAT8E4M3FN, _T.FLOAT4E2M1})
"""Types of constants that only DequantizeLinear takes."""

NARROW = QUANTISED - {_T.INT8}
"""Types that nothing but quantising and dequantising gives or takes."""

BYTES_TAKEN_BY = frozenset({"Cast", "CastLike", "Identity", "Shape", "Size", "QuantizeLinear", "DequantizeLinear"})
NARROW_TAKEN_BY = frozenset(
    {
        "Concat",
        "DequantizeLinear",
        "Dropout",
        "Flatten",
        "Identity",
        "QuantizeLinear",
        "Reshape",
        "Shape",
        "Size",
        "Transpose",
    }
)
NARROW_GIVEN_BY = NARROW_TAKEN_BY | {"Constant"}
EMPTY_REFUSED_BY = frozenset(
    {"Conv", "DequantizeLinear", "Dropout", "Gemm", "QuantizeLinear", "Slice", "Split", "Squeeze", "Trilu"}
)
"""Operations whose last input must not be an empty name; Clip, Pad, Resize, reductions and others take one."""


def of_a_known_type(seen: Seen, _: Target) -> Iterator[Fault]:
    """No value has a type that TensorRT lacks."""
    found = sorted(
        {kind.name.lower() for value in _values(seen) if (kind := value.dtype) is not None and kind in NEVER}
    )
    if found:
        yield Fault(
            f"{seen.operation} has values of {', '.join(found)}, which TensorRT has not; use int32, int64 or a float"
        )


def of_few_axes(seen: Seen, _: Target) -> Iterator[Fault]:
    """No value has more than eight axes."""
    most = max((len(shape) for value in _values(seen) if (shape := shape_of(value)) is not None), default=0)
    if most > MOST_AXES:
        yield Fault(
            f"{seen.operation} has a value of {most} axes, but TensorRT takes {MOST_AXES}; merge some by Reshape"
        )


def bytes_at_the_edge(seen: Seen, _: Target) -> Iterator[Fault]:
    """uint8 goes into or comes out of the graph, and is cast at once."""
    results = () if seen.node.graph is None else seen.node.graph.outputs
    made = [each for each in seen.node.outputs if each.dtype == _T.UINT8 and each not in results]
    if seen.operation in ("Cast", "CastLike", "Identity") and made:
        yield Fault(
            f"{seen.operation} gives uint8 that is no output of the graph; keep numbers in int32 or a float inside it"
        )
    has_bytes = any(value is not None and value.dtype == _T.UINT8 for value in (*seen.node.inputs, *seen.node.outputs))
    if has_bytes and seen.operation not in BYTES_TAKEN_BY and not _has_graphs(seen):
        yield Fault(
            f"{seen.operation} works on uint8, which TensorRT takes at inputs and outputs alone; cast before it, and "
            "cast back after the last operation"
        )


def quantised_constants(seen: Seen, _: Target) -> Iterator[Fault]:
    """Constants of 8 bits and fewer go to DequantizeLinear."""
    if seen.operation in ("DequantizeLinear", "QuantizeLinear", "Constant"):
        return
    for value in seen.node.inputs:
        if value is not None and value.dtype is not None and value.dtype in QUANTISED and _is_stored(value):
            yield Fault(
                f"{seen.operation} takes a stored {value.dtype.name.lower()}, which TensorRT reads as quantised; "
                "put DequantizeLinear between, or store int32"
            )
            return


def narrow_values(seen: Seen, _: Target) -> Iterator[Fault]:
    """int4, fp8 and fp4 come from QuantizeLinear or constants and go to DequantizeLinear."""
    taken = {value.dtype for value in seen.node.inputs if value is not None} & NARROW
    given = {value.dtype for value in seen.node.outputs} & NARROW
    name = seen.operation
    if ((taken and name not in NARROW_TAKEN_BY) or (given and name not in NARROW_GIVEN_BY)) and not _has_graphs(seen):
        kind = sorted(each.name.lower() for each in (taken | given) if each is not None)[0]
        yield Fault(f"{name} has {kind} that QuantizeLinear or DequantizeLinear does not see; use a float there")


def nothing_empty_at_the_end(seen: Seen, target: Target) -> Iterator[Fault]:
    """The parser takes an input that is left out by an empty name for one that is missing."""
    if seen.node.inputs and seen.node.inputs[-1] is None and seen.operation in EMPTY_REFUSED_BY:
        severity = "refused" if target.is_rtx else "unsure"
        yield Fault(
            f"{seen.operation} names its last input, which is left out, with an empty text: TensorRT-RTX 1.7 refuses "
            "the node; leave the name away",
            severity,
        )


def _values(seen: Seen) -> Iterator[ir.Value]:
    yield from (value for value in (*seen.node.inputs, *seen.node.outputs) if value is not None)


def _is_stored(value: ir.Value) -> bool:
    return stored_numbers(value) is not None


def _has_graphs(seen: Seen) -> bool:
    return seen.node.domain in OWN_DOMAINS and seen.node.op_type in ("If", "Loop", "Scan")


RULES: dict[str, Rule] = {
    "value type": rule(of_a_known_type),
    "axes": rule(of_few_axes),
    "uint8": rule(bytes_at_the_edge),
    "quantised constant": rule(quantised_constants),
    "narrow type": rule(narrow_values),
    "empty input": rule(nothing_empty_at_the_end),
}
