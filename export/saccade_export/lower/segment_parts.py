"""What the lowerings of segmentation share: their inputs, their outputs, and the arithmetic of the task contract."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from saccade.spec import ImageSpec, SegmentSpec
from saccade_export.lower.graph import GraphWriter

BILINEAR: dict[str, Any] = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
LARGEST_FLOAT = float(np.finfo(np.float32).max)


def add_frame_inputs(graph: GraphWriter) -> tuple[ir.Value, ir.Value]:
    """``frames`` and ``channel_order``, the frame's channels in the network's order: [0, 1, 2] or [2, 1, 0]."""
    frames = graph.add_input("frames", ir.DataType.UINT8, ("N", "H", "W", 3))
    return frames, graph.add_input("channel_order", ir.DataType.INT64, (3,))


def fixed_size(graph: GraphWriter, frames: ir.Value, size_hw: tuple[int, int]) -> ir.Value:
    """The shape (N, 3, *size_hw) with the frames' own N."""
    count = graph.add("Shape", "batch", frames, start=0, end=1)
    rest = graph.constant("image_size", [3, *size_hw], np.int64)
    return graph.add("Concat", "image_shape", count, rest, axis=0)


def resize_planes(graph: GraphWriter, name: str, planes: ir.Value, shape: ir.Value) -> ir.Value:
    return graph.add("Resize", name, planes, None, None, shape, **BILINEAR)


def normalise(graph: GraphWriter, planes: ir.Value, order: ir.Value, image: ImageSpec) -> ir.Value:
    """Channels in the network's order, then ``(pixel / scale - mean) / std`` as one subtraction and one product."""
    mean = np.asarray(image.mean, np.float64) * image.scale
    factor = 1 / (np.asarray(image.std, np.float64) * image.scale)
    ordered = graph.add("Gather", "frame_ordered", planes, order, axis=1)
    centred = graph.add("Sub", "frame_centred", ordered, graph.constant("mean", mean.reshape(3, 1, 1), np.float32))
    return graph.add("Mul", "image", centred, graph.constant("factor", factor.reshape(3, 1, 1), np.float32))


def add_finite_output(graph: GraphWriter, scores: ir.Value) -> None:
    """``finite``: whether all scores of a frame are numbers. A NaN makes the sum NaN, which is below nothing."""
    wide = graph.add("Cast", "scores_float", scores, to=ir.DataType.FLOAT)  # the sum would overflow float16
    total = graph.add("ReduceL1", "scores_total", wide, graph.constant("score_axes", [1, 2, 3], np.int64), keepdims=0)
    limit = graph.constant("largest_float", LARGEST_FLOAT, np.float32)
    graph.add_output(graph.add("LessOrEqual", "is_finite", total, limit), "finite", ir.DataType.BOOL, ("N",))


def add_results(graph: GraphWriter, scores: ir.Value, spec: SegmentSpec, axis: int) -> None:
    """``class_map`` and, where the contract has it, ``confidence``, from scores at the frame's size."""
    if spec.decision == "threshold":
        chosen = _above_threshold(graph, scores, axis)
    else:
        chosen = graph.add("ArgMax", "best_class", scores, axis=axis, keepdims=0)
    class_map = graph.add("Cast", "class_ids", chosen, to=ir.DataType.UINT8)
    graph.add_output(class_map, "class_map", ir.DataType.UINT8, ("N", "H", "W"))
    if spec.has_confidence:
        confidence = _confidence(graph, scores, chosen, spec, axis)
        graph.add_output(confidence, "confidence", ir.DataType.FLOAT, ("N", "H", "W"))


def _above_threshold(graph: GraphWriter, scores: ir.Value, axis: int) -> ir.Value:
    threshold = graph.add_input("threshold", ir.DataType.FLOAT, (1,))
    single = graph.add("Squeeze", "score", scores, graph.constant("score_axis", [axis], np.int64))
    return graph.add("GreaterOrEqual", "is_above", single, threshold)


def _confidence(graph: GraphWriter, scores: ir.Value, chosen: ir.Value, spec: SegmentSpec, axis: int) -> ir.Value:
    """The probability of the class that was chosen."""
    axes = graph.constant("class_axis", [axis], np.int64)
    if spec.decision == "threshold":
        return _one_class_confidence(graph, graph.add("Squeeze", "one_score", scores, axes), chosen, spec)
    best = graph.add("ReduceMax", "best_score", scores, axes, keepdims=1)
    if spec.scores == "probabilities":
        return graph.add("Squeeze", "best_probability", best, axes)
    shares = graph.add("Exp", "shares", graph.add("Sub", "below_best", scores, best))
    return graph.add("Reciprocal", "best_probability", graph.add("ReduceSum", "share_sum", shares, axes, keepdims=0))


def _one_class_confidence(graph: GraphWriter, score: ir.Value, chosen: ir.Value, spec: SegmentSpec) -> ir.Value:
    probability = score if spec.scores == "probabilities" else graph.add("Sigmoid", "probability", score)
    other = graph.add("Sub", "background", graph.constant("one", 1.0, np.float32), probability)
    return graph.add("Where", "chosen_probability", chosen, probability, other)
