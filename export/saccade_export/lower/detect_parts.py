"""What the lowerings of detection share: the network's input, its best candidates, and the outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from saccade.spec import DetectSpec, ImageSpec, Letterbox
from saccade_export.heads.head import Head, take_rows
from saccade_export.lower import image_parts
from saccade_export.lower.graph import GraphWriter
from saccade_export.lower.image_parts import LARGEST_FLOAT, Letterboxed

NOT_A_BOX = -1.0
"""The confidence of places that hold no box: below every threshold."""


@dataclass(frozen=True)
class Candidates:
    """K boxes of each image in order of confidence, or ``NOT_A_BOX`` where fewer are above the threshold.

    ``xyxy`` (N, K, 4) in pixels of the input, ``confidence`` (N, K), ``class_id`` int64 (N, K).
    """

    xyxy: ir.Value
    confidence: ir.Value
    class_id: ir.Value


def placed(graph: GraphWriter, planes: ir.Value, frames: ir.Value, image: ImageSpec) -> Letterboxed:
    """The frame where the contract wants it in the network's input."""
    if isinstance(image.resize, Letterbox):
        return image_parts.letterbox(graph, planes, frames, image, image.resize)
    return image_parts.stretched(graph, planes, frames, image.size_hw)


def candidates(graph: GraphWriter, head: Head, outputs: Sequence[ir.Value], spec: DetectSpec, count: int) -> Candidates:
    """The ``count`` boxes of the highest scores, those of classes that are not wanted taken out.

    Scores that are not numbers are above no threshold. Decoding is left until few boxes are.
    """
    least = graph.add_input("least_confidence", ir.DataType.FLOAT, (1,))
    wanted = graph.add_input("wanted", ir.DataType.BOOL, (len(spec.classes),))
    no_box = graph.constant("not_a_box", NOT_A_BOX, np.float32)
    scores = head.best_scores(graph, outputs)
    is_above = graph.add("GreaterOrEqual", "is_confident", scores, least)
    confident = graph.add("Where", "confident_scores", is_above, scores, no_box)
    best, chosen = graph.add_several("TopK", ("top_scores", "top_boxes"), confident, graph.axes(count), axis=1)
    boxes, class_id = head.decode(graph, outputs, chosen)
    is_wanted = graph.add("Gather", "is_wanted", wanted, class_id, axis=0)
    return Candidates(boxes, graph.add("Where", "candidate_scores", is_wanted, best, no_box), class_id)


def add_detections(
    graph: GraphWriter,
    found: Candidates,
    standing: ir.Value,
    rows: ir.Value,
    row_count: int | str,
    frame: Letterboxed,
    clip: bool,
) -> None:
    """The outputs: the best ``rows`` int64 (1,) of the candidates by ``standing`` (N, K), in the frame's pixels.

    Boxes that are still to be compared are not clipped: that would change their overlaps.
    """
    confidence, place = graph.add_several("TopK", ("standing_scores", "standing_places"), standing, rows, axis=1)
    boxes = image_parts.to_frame(graph, take_rows(graph, "best_boxes", found.xyxy, place), frame)
    boxes = image_parts.clipped(graph, boxes, frame) if clip else boxes
    classes = take_rows(graph, "best_classes", found.class_id, place)
    is_box = graph.add("GreaterOrEqual", "is_box", confidence, graph.constant("zero_score", 0.0, np.float32))
    number = graph.add("Cast", "box_marks", is_box, to=ir.DataType.INT64)
    count = graph.add("ReduceSum", "box_count", number, graph.axes(1), keepdims=0)
    graph.add_output(boxes, "xyxy", ir.DataType.FLOAT, ("N", row_count, 4))
    graph.add_output(confidence, "confidence", ir.DataType.FLOAT, ("N", row_count))
    graph.add_output(classes, "class_id", ir.DataType.INT64, ("N", row_count))
    graph.add_output(count, "count", ir.DataType.INT64, ("N",))


def add_finite_output(graph: GraphWriter, outputs: Sequence[ir.Value]) -> None:
    """``finite``: whether all that the network gave for a frame are numbers.

    A NaN or an infinity anywhere makes the sum one.
    """
    totals = []
    for index, output in enumerate(outputs):
        wide = graph.add("Cast", f"raw_{index}_float", output, to=ir.DataType.FLOAT)  # float16 sums would overflow
        totals.append(graph.add("ReduceSum", f"raw_{index}_total", wide, graph.axes(1, 2), keepdims=0))
    total = totals[0] if len(totals) == 1 else graph.add("Add", "raw_total", totals[0], totals[1])
    size = graph.add("Abs", "raw_size", total)
    limit = graph.constant("largest_float", LARGEST_FLOAT, np.float32)
    graph.add_output(graph.add("LessOrEqual", "is_finite", size, limit), "finite", ir.DataType.BOOL, ("N",))
