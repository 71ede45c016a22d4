"""Segmentation for GPUs: bytes are cast first, since TensorRT does nothing else with them, and all stays in planes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from saccade.spec import SegmentSpec
from saccade_export.lower import image_parts as image_of
from saccade_export.lower import segment_parts as parts
from saccade_export.lower.graph import GraphWriter


def lower_segment_gpu(network: ir.Model, spec: SegmentSpec) -> ir.Model:
    """The whole graph: ``frames`` uint8 (N, H, W, 3) to ``class_map`` uint8 (N, H, W). The network is used up."""
    graph = GraphWriter()
    frames, order = image_of.add_frame_inputs(graph)
    pixels = graph.add("Cast", "frame_float", frames, to=ir.DataType.FLOAT)
    planes = graph.add("Transpose", "frame_planes", pixels, perm=[0, 3, 1, 2])
    image = image_of.stretch(graph, planes, frames, order, spec.image)

    (scores,) = graph.add_network(network, image=image)
    parts.add_finite_output(graph, scores)
    count = graph.add("Shape", "frame_count", frames, start=0, end=1)
    height_width = graph.add("Shape", "frame_height_width", frames, start=1, end=3)
    channels = graph.constant("score_channels", [spec.score_channels], np.int64)
    size = graph.add("Concat", "scores_size", count, channels, height_width, axis=0)
    upsampled = image_of.resize_planes(graph, "scores_at_frame", scores, size)
    parts.add_results(graph, upsampled, spec, axis=1)
    return graph.model()
