"""Segmentation for CPUs.

The frame is transposed while it is bytes and resized as float32: resizing bytes is no faster here and moves pixels by
up to one grey level, which changes up to 0.15 % of the class map. The small scores are transposed once, so that the
upsampled ones hold each pixel's classes side by side, where resizing and argmax are fastest.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from saccade.spec import SegmentSpec
from saccade_export.lower import image_parts as image_of
from saccade_export.lower import segment_parts as parts
from saccade_export.lower.graph import GraphWriter


def lower_segment_cpu(network: ir.Model, spec: SegmentSpec) -> ir.Model:
    """The whole graph: ``frames`` uint8 (N, H, W, 3) to ``class_map`` uint8 (N, H, W). The network is used up."""
    graph = GraphWriter()
    frames, order = image_of.add_frame_inputs(graph)
    planes = graph.add("Transpose", "frame_planes", frames, perm=[0, 3, 1, 2])
    pixels = graph.add("Cast", "frame_float", planes, to=ir.DataType.FLOAT)
    image = image_of.stretch(graph, pixels, frames, order, spec.image)

    (scores,) = graph.add_network(network, image=image)
    parts.add_finite_output(graph, scores)
    last = graph.add("Transpose", "scores_last", scores, perm=[0, 2, 3, 1])
    count = graph.add("Shape", "frame_count_height_width", frames, start=0, end=3)
    channels = graph.constant("score_channels", [spec.score_channels], np.int64)
    size = graph.add("Concat", "scores_size", count, channels, axis=0)
    upsampled = graph.add("Resize", "scores_at_frame", last, None, None, size, **image_of.BILINEAR)
    parts.add_results(graph, upsampled, spec, axis=3)
    return graph.model()
