"""QuantizeLinear and DequantizeLinear: 8 bits around zero, scales above zero, whole blocks, no biases."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from saccade_export.support.findings import Fault, Rule, rule
from saccade_export.support.seen import Seen
from saccade_export.support.targets import Target

_T = ir.DataType
TAKEN = frozenset({_T.INT8, _T.INT4, _T.FLOAT8E4M3FN, _T.FLOAT4E2M1})
CALIBRATE = "quantise symmetrically: int8, zero points of 0, biases left in float"
NODES = ("QuantizeLinear", "DequantizeLinear")


def of_8_bits(seen: Seen, target: Target) -> Iterator[Fault]:
    """uint8 needs a mode of DLA's, and 32 bits are how some tools store biases."""
    kind = _stored_type(seen)
    if kind == _T.UINT8 and target.is_rtx and seen.has(2) and seen.constant(0) is None:
        return  # measured: TensorRT-RTX 1.7 builds activations of uint8 around 0; the importer of 10.1 refuses them
    if kind is not None and kind not in TAKEN:
        what = "a bias of int32" if kind == _T.INT32 else kind.name.lower()
        yield Fault(f"{seen.operation} works on {what}, but TensorRT on int8, int4 and fp8; {CALIBRATE}")


def says_its_type(seen: Seen, _: Target) -> Iterator[Fault]:
    """ONNX's default is uint8, TensorRT's is int8: the same graph gives other numbers."""
    if seen.operation == "QuantizeLinear" and not seen.has(2) and not seen.attribute("output_dtype", 0):
        yield Fault(
            "QuantizeLinear has no zero point: ONNX means uint8, TensorRT takes int8; give an int8 zero point of 0",
            "unsure",
        )


def around_zero(seen: Seen, _: Target) -> Iterator[Fault]:
    zero = seen.constant(2)
    if seen.has(2) and zero is None:
        yield Fault(f"{seen.operation} has a zero point that is computed, but TensorRT takes stored zeros; {CALIBRATE}")
    elif zero is not None and np.any(zero.astype(np.float32) != 0):
        yield Fault(f"{seen.operation} has a zero point that is not 0; {CALIBRATE}")


def scales_above_zero(seen: Seen, _: Target) -> Iterator[Fault]:
    scale = seen.constant(1)
    if scale is not None and not np.all(scale.astype(np.float32) > 0):
        yield Fault(
            f"{seen.operation} has a scale of 0 or less, but TensorRT takes those above 0; measure ranges again"
        )


def scales_stored(seen: Seen, target: Target) -> Iterator[Fault]:
    """Measured: of computed scales TensorRT-RTX 1.7 builds those of int8 activations; one number for stored weights
    ended its process.
    """
    fewer = _stored_type(seen) not in (_T.INT8, None)
    if seen.has(1) and seen.constant(1) is None and (fewer or seen.constant(0) is not None):
        severity = "refused" if target.is_rtx else "unsure"
        yield Fault(
            f"{seen.operation} is of stored weights, or of fewer than 8 bits, and computes its scale; store it",
            severity,
        )


def activations_of_one_scale(seen: Seen, _: Target) -> Iterator[Fault]:
    """NVIDIA's guide has scales by channel for weights alone; TensorRT-RTX 1.7 builds most others and fails in some."""
    scales = seen.shape(1)
    if (
        scales is not None
        and scales not in ((), (1,))
        and seen.operation == "QuantizeLinear"
        and seen.constant(0) is None
    ):
        yield Fault(
            "QuantizeLinear has a scale for each channel of what is computed, which TensorRT has for weights; give one",
            "unsure",
        )


def whole_blocks(seen: Seen, _: Target) -> Iterator[Fault]:
    """Scales of blocks have the data's rank, and one axis that divides into whole blocks."""
    shape, scales = seen.shape(0), seen.shape(1)
    if shape is None or scales is None or len(scales) < 2 or len(shape) != len(scales):
        return
    blocked = [axis for axis, size in enumerate(shape) if size != scales[axis]]
    for axis in blocked:
        size, count = shape[axis], scales[axis]
        if size is not None and count is not None and (count == 0 or size % count):
            yield Fault(f"{seen.operation} has {count} scales along an axis of {size}, which are not whole blocks")


def of_one_type(seen: Seen, target: Target) -> Iterator[Fault]:
    """Measured: TensorRT-RTX 1.7 does not build convolutions of int8 with weights of int4."""
    kinds = [_quantised_as(seen, place) for place in (0, 1)]
    if None not in kinds and kinds[0] != kinds[1]:
        severity = "refused" if target.is_rtx else "unsure"
        names = " and ".join(str(kind.name).lower() for kind in kinds if kind is not None)
        yield Fault(
            f"{seen.operation} has inputs quantised as {names}, which do not build together; use int8", severity
        )


def _quantised_as(seen: Seen, place: int) -> ir.DataType | None:
    value = seen.input(place)
    made = None if value is None else value.producer()
    return _stored_type(Seen(made, seen.opset)) if made is not None and made.op_type == "DequantizeLinear" else None


def _stored_type(seen: Seen) -> ir.DataType | None:
    """The type that is quantised to, or dequantised from."""
    if seen.operation == "DequantizeLinear":
        source = seen.input(0)
        made = None if source is None else source.producer()
        if made is not None and made.op_type == "QuantizeLinear":
            return _stored_type(Seen(made, seen.opset))
        return seen.kind(0)
    if seen.has(2):
        return seen.kind(2)
    value = seen.output(0)
    return None if value is None or not seen.attribute("output_dtype", 0) else value.dtype


RULES: dict[str, Rule] = {
    "stored scale": rule(scales_stored, *NODES),
    "activation scale": rule(activations_of_one_scale, "QuantizeLinear"),
    "quantised type": rule(of_8_bits, *NODES),
    "default type": rule(says_its_type, "QuantizeLinear"),
    "zero point": rule(around_zero, *NODES),
    "scale": rule(scales_above_zero, *NODES),
    "mixed bits": rule(of_one_type, "Conv", "ConvTranspose"),
    "blocks": rule(whole_blocks, *NODES),
}
