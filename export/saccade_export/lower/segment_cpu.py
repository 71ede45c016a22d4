"""Segmentation for CPUs.

The frame is transposed while it is bytes and resized as float32: resizing bytes is no faster here and moves pixels by
up to one grey level, which changes up to 0.15 % of the class map. Where only the best class is asked for, it is found
by columns. Otherwise the small scores are transposed once, so that the upsampled ones hold each pixel's classes side by
side, where resizing and argmax are fastest.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from saccade.spec import SegmentSpec
from saccade_export.lower import image_parts as image_of
from saccade_export.lower import segment_parts as parts
from saccade_export.lower.graph import GraphWriter
from saccade_export.lower.segment_columns import LEAST_STRIDE, best_class_by_columns


def lower_segment_cpu(network: ir.Model, spec: SegmentSpec) -> ir.Model:
    """The whole graph: ``frames`` uint8 (N, H, W, 3) to ``class_map`` uint8 (N, H, W). The network is used up."""
    graph = GraphWriter()
    frames, order = image_of.add_frame_inputs(graph)
    planes = graph.add("Transpose", "frame_planes", frames, perm=[0, 3, 1, 2])
    pixels = graph.add("Cast", "frame_float", planes, to=ir.DataType.FLOAT)
    image = image_of.stretch(graph, pixels, frames, order, spec.image)

    (scores,) = graph.add_network(network, image=image)
    parts.add_finite_output(graph, scores)
    if spec.decision == "argmax" and not spec.has_confidence and _stride(scores, spec) >= LEAST_STRIDE:
        parts.add_class_map(graph, best_class_by_columns(graph, scores, frames))
    else:
        _upsample(graph, scores, frames, spec)
    return graph.model()


def _stride(scores: ir.Value, spec: SegmentSpec) -> float:
    """How many rows of the image there are for one of scores; 0 where the network does not say."""
    rows = None if scores.shape is None else scores.shape[2]
    return spec.image.size_hw[0] / rows if isinstance(rows, int) else 0.0


def _upsample(graph: GraphWriter, scores: ir.Value, frames: ir.Value, spec: SegmentSpec) -> None:
    last = graph.add("Transpose", "scores_last", scores, perm=[0, 2, 3, 1])
    count = graph.add("Shape", "frame_count_height_width", frames, start=0, end=3)
    channels = graph.constant("score_channels", [spec.score_channels], np.int64)
    size = graph.add("Concat", "scores_size", count, channels, axis=0)
    upsampled = graph.add("Resize", "scores_at_frame", last, None, None, size, **image_of.BILINEAR)
    parts.add_results(graph, upsampled, spec, axis=3)
