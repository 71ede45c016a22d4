"""What Orin's DLA may take: an estimate from NVIDIA's documents, since nothing here can ask it.

Sources: "DLA Supported Layers and Restrictions" in TensorRT's developer guide (10.7) and NVIDIA's DLA software
repository. What does not fit runs on the GPU beside it, where fallback is allowed; Thor has no DLA.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from saccade_export.support.findings import Fault, Rule
from saccade_export.support.seen import Seen
from saccade_export.support.targets import Target

ESTIMATE = "an estimate from NVIDIA's documents: only a build on the device tells what DLA takes"

LAYERS = frozenset(
    [
        "Abs",
        "Add",
        "AveragePool",
        "BatchNormalization",
        "Clip",
        "Concat",
        "Conv",
        "ConvTranspose",
        "Div",
        "Equal",
        "Flatten",
        "Gemm",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "Greater",
        "Identity",
        "LRN",
        "LeakyRelu",
        "Less",
        "MatMul",
        "Max",
        "MaxPool",
        "Min",
        "Mul",
        "PRelu",
        "Pow",
        "QuantizeLinear",
        "DequantizeLinear",
        "ReduceMax",
        "Relu",
        "Reshape",
        "Resize",
        "Sigmoid",
        "Slice",
        "Softmax",
        "Split",
        "Sub",
        "Sum",
        "Tanh",
        "Transpose",
        "Upsample",
        "Constant",
        "Cast",
        "Squeeze",
        "Unsqueeze",
    ]
)
TYPES = frozenset({ir.DataType.FLOAT16, ir.DataType.INT8, ir.DataType.BOOL})
LIMITS: dict[str, tuple[tuple[str, int, int], ...]] = {
    "Conv": (("kernel_shape", 1, 32), ("strides", 1, 8), ("dilations", 1, 32), ("pads", 0, 31)),
    "ConvTranspose": (("kernel_shape", 1, 32), ("dilations", 1, 1), ("pads", 0, 0), ("group", 1, 1)),
    "MaxPool": (("kernel_shape", 1, 8), ("strides", 1, 16), ("pads", 0, 7)),
    "AveragePool": (("kernel_shape", 1, 8), ("strides", 1, 16), ("pads", 0, 7)),
    "LRN": (("size", 3, 9),),
    "Concat": (("axis", 1, 1),),
}
"""The least and the largest number of an attribute."""

MOST_ALONG_AXIS = 8192
MOST_IN_BATCH = 4096
MOST_IN_SOFTMAX = 1024
MOST_SCALE = {"nearest": 32.0, "linear": 4.0}


def is_a_layer(seen: Seen, _: Target) -> Iterator[Fault]:
    if seen.operation not in LAYERS:
        yield Fault(
            f"DLA has no {seen.operation}: it runs on the GPU where fallback is allowed, with copies around it", "slow"
        )


def of_its_types(seen: Seen, _: Target) -> Iterator[Fault]:
    kind = seen.kind()
    if kind is not None and seen.operation in LAYERS - {"Cast", "QuantizeLinear", "Constant"} and kind not in TYPES:
        yield Fault(
            f"{seen.operation} computes in {kind.name.lower()}, but DLA in float16 and int8; make the graph half",
            "slow",
        )


def of_one_shape(seen: Seen, _: Target) -> Iterator[Fault]:
    shape = seen.shape()
    if shape is not None and None in shape and seen.operation in LAYERS:
        yield Fault(
            f"{seen.operation} has a shape that varies, but DLA's are fixed: build with one shape as least and most",
            "slow",
        )


def within_limits(seen: Seen, _: Target) -> Iterator[Fault]:
    for name, least, most in LIMITS.get(seen.operation, ()):
        given = seen.attribute(name, ())
        for number in given if isinstance(given, (list, tuple)) else [given]:
            if not least <= number <= most:
                yield Fault(
                    f"{seen.operation} has {name} {number}, but DLA takes {least} to {most}; it runs on the GPU", "slow"
                )
                break


def within_sizes(seen: Seen, _: Target) -> Iterator[Fault]:
    shape = seen.shape()
    if shape is None or not shape:
        return
    if (shape[0] is not None and shape[0] > MOST_IN_BATCH) or any(
        size is not None and size > MOST_ALONG_AXIS for size in shape[1:]
    ):
        yield Fault(
            f"{seen.operation} has shape {list(shape)}, but DLA takes {MOST_IN_BATCH} and axes of {MOST_ALONG_AXIS}",
            "slow",
        )
    axis = seen.attribute("axis", -1)
    if seen.operation == "Softmax" and isinstance(axis, int) and (shape[axis % len(shape)] or 0) > MOST_IN_SOFTMAX:
        yield Fault(f"Softmax runs along {shape[axis % len(shape)]}, but DLA's along {MOST_IN_SOFTMAX} at most", "slow")


def constant_matrix(seen: Seen, _: Target) -> Iterator[Fault]:
    if seen.constant(1) is None and not _is_dequantised(seen.input(1)):
        yield Fault(
            f"{seen.operation} multiplies two computed matrices, but DLA's second one is stored; it runs on the GPU",
            "slow",
        )


def resize_scale(seen: Seen, _: Target) -> Iterator[Fault]:
    scales, mode = seen.constant(2), seen.attribute("mode", "nearest")
    if mode not in MOST_SCALE:
        yield Fault(f"Resize is {mode}, but DLA's nearest or linear; it runs on the GPU", "slow")
    elif (
        scales is not None and scales.size and any(s > MOST_SCALE[mode] or s < 1 or s != int(s) for s in scales.ravel())
    ):
        yield Fault(
            f"Resize scales by {scales.ravel().tolist()}, but DLA by 1 to {MOST_SCALE[mode]:g}, whole numbers",
            "slow",
        )


def quantised(seen: Seen, _: Target) -> Iterator[Fault]:
    yield Fault(
        f"{seen.operation}: DLA before TensorRT 11.4 takes ranges, not quantising nodes; translate them, or use half",
        "unsure",
    )


def _is_dequantised(value: ir.Value | None) -> bool:
    producer = None if value is None else value.producer()
    return producer is not None and producer.op_type == "DequantizeLinear"


def _rule(look: object, *operations: str) -> Rule:
    return Rule(look, frozenset(operations), frozenset({"dla"}))  # type: ignore[arg-type]


RULES: dict[str, Rule] = {
    "dla layer": _rule(is_a_layer),
    "dla type": _rule(of_its_types),
    "dla shape": _rule(of_one_shape),
    "dla limits": _rule(within_limits),
    "dla sizes": _rule(within_sizes),
    "dla matrix": _rule(constant_matrix, "Gemm", "MatMul"),
    "dla resize": _rule(resize_scale, "Resize"),
    "dla quantised": _rule(quantised, "QuantizeLinear", "DequantizeLinear"),
}
