"""What the lowerings of segmentation share: their outputs."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from saccade.spec import SegmentSpec
from saccade_export.lower.graph import GraphWriter
from saccade_export.lower.image_parts import LARGEST_FLOAT


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
    add_class_map(graph, graph.add("Cast", "class_ids", chosen, to=ir.DataType.UINT8))
    if spec.has_confidence:
        confidence = _confidence(graph, scores, chosen, spec, axis)
        graph.add_output(confidence, "confidence", ir.DataType.FLOAT, ("N", "H", "W"))


def add_class_map(graph: GraphWriter, class_map: ir.Value) -> None:
    graph.add_output(class_map, "class_map", ir.DataType.UINT8, ("N", "H", "W"))


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
