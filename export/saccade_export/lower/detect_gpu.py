"""Detection for GPUs: bytes are cast first, and the graph ends in a fixed number of the best candidates.

TensorRT-RTX builds no NonMaxSuppression, and a size that depends on the data breaks CUDA graphs: what suppression is
needed follows in the task, on the CPU, over as many boxes. The task also says which pixels a letterboxed frame is made
of, and takes the boxes back to the frame: numpy's integers are the same beside every device.
"""

from __future__ import annotations

import onnx_ir as ir

from saccade.spec import DetectSpec, Letterbox
from saccade_export.heads.head import Head
from saccade_export.lower import detect_parts as parts
from saccade_export.lower import image_parts
from saccade_export.lower.graph import GraphWriter


def lower_detect_gpu(network: ir.Model, spec: DetectSpec, head: Head, candidates: int) -> ir.Model:
    """``frames`` uint8 (N, H, W, 3) to ``candidates`` boxes in pixels of the network's input, and a count.

    The network is used up.
    """
    graph = GraphWriter()
    frames, order = image_parts.add_frame_inputs(graph)
    pixels = graph.add("Cast", "frame_float", frames, to=ir.DataType.FLOAT)
    planes = graph.add("Transpose", "frame_planes", pixels, perm=[0, 3, 1, 2])
    resize = spec.image.resize
    if isinstance(resize, Letterbox):
        image = image_parts.letterbox_by_tables(graph, planes, order, spec.image, resize)
    else:
        image = image_parts.stretch(graph, planes, frames, order, spec.image)
    outputs = graph.add_network(network, image=image)

    found = parts.candidates(graph, head, outputs, spec, candidates, fixed=True)
    best = parts.best(graph, found, found.confidence, graph.axes(candidates), fixed=True)
    parts.add_detections(graph, best, candidates)
    parts.add_finite_output(graph, outputs)
    return graph.model()
