"""Detection for CPUs: everything in the graph, suppression too, and as many rows as the call asks for.

A letterboxed frame stays bytes until it has the network's size: resized in channels-last order, padded, then cast. That
is a third of the time of casting the whole frame first.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from saccade.spec import DetectSpec, ImageSpec, Letterbox
from saccade_export.heads.head import Head
from saccade_export.lower import detect_parts as parts
from saccade_export.lower import image_parts
from saccade_export.lower.graph import GraphWriter
from saccade_export.lower.image_parts import Placed


def lower_detect_cpu(network: ir.Model, spec: DetectSpec, head: Head, candidates: int) -> ir.Model:
    """The whole graph: ``frames`` uint8 (N, H, W, 3) to detections in the frame's pixels. The network is used up."""
    graph = GraphWriter()
    frames, order = image_parts.add_frame_inputs(graph)
    placed = _placed(graph, frames, order, spec.image)
    outputs = graph.add_network(network, image=placed.image)

    rows = graph.add_input("max_detections", ir.DataType.INT64, (1,))
    found = parts.candidates(graph, head, outputs, spec, candidates, fixed=False)
    standing = found.confidence if spec.suppression == "none" else _suppressed(graph, found, rows, spec)
    best = parts.best(graph, found, standing, rows, fixed=False)
    parts.add_detections(graph, replace(best, xyxy=image_parts.to_frame(graph, best.xyxy, placed)), "M")
    parts.add_finite_output(graph, outputs)
    return graph.model()


def _placed(graph: GraphWriter, frames: ir.Value, order: ir.Value, image: ImageSpec) -> Placed:
    if isinstance(image.resize, Letterbox):
        return image_parts.letterbox_in_graph(graph, frames, order, image, image.resize)
    planes = graph.add("Transpose", "frame_planes", frames, perm=[0, 3, 1, 2])
    pixels = graph.add("Cast", "frame_float", planes, to=ir.DataType.FLOAT)
    stretched = image_parts.stretch(graph, pixels, frames, order, image)
    inner = graph.constant("inner_size", [*image.size_hw[::-1]] * 2, np.float32)
    return Placed(stretched, image_parts.frame_size(graph, frames), inner, None)


def _suppressed(graph: GraphWriter, found: parts.Candidates, rows: ir.Value, spec: DetectSpec) -> ir.Value:
    """The candidates' confidences (N, K), ``NOT_A_BOX`` where a better box overlaps.

    ``NonMaxSuppression`` suppresses class by class, so each box goes to its own class, or with ``compare_classes`` 0
    all go to the first. Boxes are compared before they are clipped to the frame.
    """
    iou = graph.add_input("iou", ir.DataType.FLOAT, (1,))
    compare = graph.add_input("compare_classes", ir.DataType.INT64, (1,))
    slot = graph.add("Mul", "suppression_class", found.class_id, compare)
    each = graph.constant("each_class", np.arange(len(spec.classes)).reshape(1, -1, 1), np.int64)
    in_slot = graph.add("Equal", "is_of_class", graph.add("Unsqueeze", "slot_row", slot, graph.axes(1)), each)
    nothing = graph.constant("no_score", parts.NOT_A_BOX, np.float32)
    single = graph.add("Unsqueeze", "candidate_score_row", found.confidence, graph.axes(1))
    by_class = graph.add("Where", "scores_by_class", in_slot, single, nothing)
    least = graph.constant("above_no_box", parts.NOT_A_BOX / 2, np.float32)
    selected = graph.add("NonMaxSuppression", "selected", found.xyxy, by_class, rows, iou, least)
    places = graph.add("Gather", "selected_places", selected, graph.axes(0, 2), axis=1)
    kept = graph.add("GatherND", "selected_scores", found.confidence, places)
    size = graph.add("Shape", "candidates_shape", found.confidence)
    empty = graph.add("ConstantOfShape", "no_boxes", size, value=ir.tensor(np.array([parts.NOT_A_BOX], np.float32)))
    return graph.add("ScatterND", "standing", empty, places, kept)
