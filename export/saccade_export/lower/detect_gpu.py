"""Detection for GPUs: bytes are cast first, and the graph ends in a fixed number of the best candidates.

TensorRT-RTX builds no NonMaxSuppression, and a size that depends on the data breaks CUDA graphs: what suppression is
needed follows in the task, on the CPU, over as many boxes.
"""

from __future__ import annotations

import onnx_ir as ir

from saccade.spec import DetectSpec
from saccade_export.heads.head import Head
from saccade_export.lower import detect_parts as parts
from saccade_export.lower import image_parts
from saccade_export.lower.graph import GraphWriter


def lower_detect_gpu(network: ir.Model, spec: DetectSpec, head: Head, candidates: int) -> ir.Model:
    """``frames`` uint8 (N, H, W, 3) to ``candidates`` boxes, not yet clipped to the frame, and a count.

    The network is used up.
    """
    graph = GraphWriter()
    frames, order = image_parts.add_frame_inputs(graph)
    pixels = graph.add("Cast", "frame_float", frames, to=ir.DataType.FLOAT)
    planes = graph.add("Transpose", "frame_planes", pixels, perm=[0, 3, 1, 2])
    placed = parts.placed(graph, planes, frames, spec.image)
    outputs = graph.add_network(network, image_parts.normalise(graph, placed.planes, order, spec.image))

    found = parts.candidates(graph, head, outputs, spec, candidates)
    parts.add_detections(graph, found, found.confidence, graph.axes(candidates), candidates, placed, clip=False)
    parts.add_finite_output(graph, outputs)
    return graph.model()
