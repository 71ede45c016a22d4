"""What the lowerings of detection share: the best candidates, and the outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from saccade.spec import DetectSpec
from saccade_export.heads.head import Head, columns, take_rows
from saccade_export.lower.graph import GraphWriter
from saccade_export.lower.image_parts import LARGEST_FLOAT

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


def candidates(
    graph: GraphWriter, head: Head, outputs: Sequence[ir.Value], spec: DetectSpec, most: int, *, fixed: bool
) -> Candidates:
    """The boxes of the highest scores, those of classes that are not wanted taken out.

    ``most`` of them if ``fixed``, else only as many as are above the threshold, one at least. Scores that are not
    numbers are above no threshold. What is cheap to know comes first, and decoding is left until few boxes are.
    """
    least = graph.add_input("least_confidence", ir.DataType.FLOAT, (1,))
    wanted = graph.add_input("wanted", ir.DataType.BOOL, (len(spec.classes),))
    no_box = graph.constant("not_a_box", NOT_A_BOX, np.float32)
    hopeful = None if fixed else _hopeful(graph, head, outputs, least)
    seen = outputs if hopeful is None else [take_rows(graph, "hopeful_rows", outputs[0], hopeful)]
    scores = head.best_scores(graph, seen)
    is_above = graph.add("GreaterOrEqual", "is_confident", scores, least)
    count = graph.axes(most) if fixed else graph.add("Min", "mark_count", _number(graph, is_above), graph.axes(most))
    confident = graph.add("Where", "confident_scores", is_above, scores, no_box)
    top, chosen = graph.add_several("TopK", ("top_scores", "top_boxes"), confident, count, axis=1)
    if hopeful is not None:
        chosen = graph.add("GatherElements", "top_of_all", hopeful, chosen, axis=1)
    boxes, class_id = head.decode(graph, outputs, chosen)
    is_wanted = graph.add("Gather", "is_wanted", wanted, class_id, axis=0)
    return Candidates(boxes, graph.add("Where", "candidate_scores", is_wanted, top, no_box), class_id)


def best(graph: GraphWriter, found: Candidates, standing: ir.Value, rows: ir.Value, *, fixed: bool) -> Candidates:
    """The ``rows`` int64 (1,) best of the candidates by ``standing`` (N, K).

    Unless ``fixed``, K may be less: what is in the rows that are left over means nothing, with ``NOT_A_BOX``.
    """
    pool = standing
    if not fixed:
        pads = graph.add("Concat", "row_pads", graph.axes(0, 0, 0), rows, axis=0)
        nothing = graph.constant("no_confidence", NOT_A_BOX, np.float32)
        pool = graph.add("Pad", "standing_padded", standing, pads, nothing)
    confidence, place = graph.add_several("TopK", ("standing_scores", "standing_places"), pool, rows, axis=1)
    if not fixed:
        count = graph.add("Shape", "candidate_number", standing, start=1, end=2)
        place = graph.add("Min", "standing_rows", place, graph.add("Sub", "last_candidate", count, graph.axes(1)))
    boxes = take_rows(graph, "best_boxes", found.xyxy, place)
    return Candidates(boxes, confidence, take_rows(graph, "best_classes", found.class_id, place))


def add_detections(graph: GraphWriter, found: Candidates, row_count: int | str) -> None:
    """The outputs, and the count of boxes among their rows."""
    zero = graph.constant("zero_score", 0.0, np.float32)
    is_box = graph.add("GreaterOrEqual", "is_box", found.confidence, zero)
    number = graph.add("Cast", "box_marks", is_box, to=ir.DataType.INT64)
    count = graph.add("ReduceSum", "box_count", number, graph.axes(1), keepdims=0)
    graph.add_output(found.xyxy, "xyxy", ir.DataType.FLOAT, ("N", row_count, 4))
    graph.add_output(found.confidence, "confidence", ir.DataType.FLOAT, ("N", row_count))
    graph.add_output(found.class_id, "class_id", ir.DataType.INT64, ("N", row_count))
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


def _hopeful(graph: GraphWriter, head: Head, outputs: Sequence[ir.Value], least: ir.Value) -> ir.Value | None:
    """Where the boxes are whose objectness reaches the threshold, int64 (N, H); None where the head has none."""
    column = head.objectness_column
    if column is None:
        return None
    limits = columns(graph, "limit_column", outputs[0], column, column + 1)
    objectness = graph.add("Squeeze", "limits", limits, graph.axes(2))
    count = _number(graph, graph.add("GreaterOrEqual", "is_hopeful", objectness, least), "hopeful")
    _, places = graph.add_several("TopK", ("hopeful_limits", "hopeful_boxes"), objectness, count, axis=1)
    return places


def _number(graph: GraphWriter, marks: ir.Value, name: str = "mark") -> ir.Value:
    """How many marks (N, A) are true in the frame that has most, one at least: (1,)."""
    ones = graph.add("Cast", f"{name}_ones", marks, to=ir.DataType.INT64)
    numbers = graph.add("ReduceSum", f"{name}_numbers", ones, graph.axes(1), keepdims=0)
    highest = graph.add("ReduceMax", f"{name}_number", numbers, graph.axes(0))
    return graph.add("Max", f"{name}_number_or_one", highest, graph.axes(1))
