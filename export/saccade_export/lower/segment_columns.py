"""The best class of every pixel, without every class's score at every pixel.

Bilinear upsampling draws straight lines: in one column of the frame, between two rows of scores, each class's score is
one. A class that is best at one end of such a stretch stays best until its line meets that of the class which is best
at the other end, unless a third class's line lies above both where they meet: lines that are not above at the ends are
above in between only if they are above there. So a stretch needs its two classes and where they meet. The few stretches
that a third class reaches into (below 1 % of them in road scenes) are computed pixel by pixel.

The result is argmax's over the upsampled scores, at a cost that grows with rows of scores times columns of the frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from saccade_export.lower.graph import GraphWriter
from saccade_export.lower.image_parts import BILINEAR

LEAST_STRIDE = 4
"""Below so many rows of the image for one of scores, upsampling all of them is as fast."""

NOTHING = 1e-30
"""What two lines that stay together are divided by: where they meet is 0 then."""


@dataclass(frozen=True)
class _Stretches:
    """Every column between two rows of scores, from above the first to below the last: N, ..., h + 1, W.

    ``above`` are all classes' scores at the upper end (N, C, h + 1, W), ``change`` what is added at the lower one.
    ``first`` and ``second`` are the best classes at the two ends, int64 (N, 1, h + 1, W), and ``meeting`` where the
    first gives way to the second: 0 for the upper end, 1 for the lower. ``disputed``, bool, tells of a third class.
    """

    above: ir.Value
    change: ir.Value
    first: ir.Value
    second: ir.Value
    meeting: ir.Value
    disputed: ir.Value


@dataclass(frozen=True)
class _Rows:
    """The frame's rows, int64 or float32 (H,): the stretch that each lies in, and how far down in it, 0 to 1."""

    stretch: ir.Value
    depth: ir.Value


def best_class_by_columns(graph: GraphWriter, scores: ir.Value, frames: ir.Value) -> ir.Value:
    """Scores float32 (N, C, h, w) upsampled to the frames (N, H, W, 3), and the best class, uint8 (N, H, W)."""
    stretches = _stretches(graph, scores, frames)
    rows = _rows(graph, scores, frames)
    agreed = _agreed(graph, stretches, rows)
    return _settled(graph, agreed, stretches, rows)


def _stretches(graph: GraphWriter, scores: ir.Value, frames: ir.Value) -> _Stretches:
    width = graph.add("Shape", "frame_width", frames, start=2, end=3)
    shape = graph.add("Concat", "columns_shape", graph.add("Shape", "scores_nch", scores, end=3), width, axis=0)
    columns = graph.add("Resize", "scores_columns", scores, None, None, shape, **BILINEAR)
    best = graph.add("ArgMax", "columns_best", columns, axis=1, keepdims=1)

    count = graph.add("Shape", "scores_height", scores, start=2, end=3)
    rows = _range(graph, "scores_rows", graph.add("Squeeze", "scores_row_count", count))
    last = graph.add("Sub", "scores_last_row", count, graph.axes(1))
    upper = graph.add("Concat", "upper_rows", graph.axes(0), rows, axis=0)
    lower = graph.add("Concat", "lower_rows", rows, last, axis=0)
    above = graph.add("Gather", "scores_above", columns, upper, axis=2)
    change = graph.add("Sub", "scores_change", graph.add("Gather", "scores_below", columns, lower, axis=2), above)
    first = graph.add("Gather", "first_class", best, upper, axis=2)
    second = graph.add("Gather", "second_class", best, lower, axis=2)

    ends = {
        name: (
            graph.add("GatherElements", f"{name}_above", above, classes, axis=1),
            graph.add("GatherElements", f"{name}_change", change, classes, axis=1),
        )
        for name, classes in (("first", first), ("second", second))
    }
    lead = graph.add("Sub", "first_lead", ends["first"][0], ends["second"][0])
    closing = graph.add("Sub", "lead_closing", ends["second"][1], ends["first"][1])
    at_least = graph.constant("nothing", NOTHING, np.float32)
    meeting = graph.add("Div", "meeting", lead, graph.add("Max", "lead_closing_positive", closing, at_least))
    ours = [_line(graph, f"{name}_meeting", *end, meeting) for name, end in ends.items()]
    everyone = _line(graph, "scores_meeting", above, change, meeting)
    highest = graph.add("ReduceMax", "highest_meeting", everyone, graph.axes(1), keepdims=1)
    disputed = graph.add("Greater", "is_disputed", highest, graph.add("Max", "pair_meeting", *ours))
    return _Stretches(above, change, first, second, meeting, disputed)


def _rows(graph: GraphWriter, scores: ir.Value, frames: ir.Value) -> _Rows:
    height = graph.add("Shape", "frame_height", frames, start=1, end=2)
    index = _range(graph, "frame_rows", graph.add("Squeeze", "frame_row_count", height))
    given = graph.add("Shape", "scores_given_height", scores, start=2, end=3)
    # Row y is ((2y + 1)·h - H) / 2H rows of scores below the first one: whole numbers are exact in every engine.
    twice = graph.add("Mul", "row_twice", index, graph.axes(2))
    centres = graph.add("Mul", "row_centres", graph.add("Add", "row_centre", twice, graph.axes(1)), given)
    parts = graph.add("Add", "row_parts", centres, height)
    span = graph.add("Mul", "parts_of_stretch", height, graph.axes(2))
    stretch = graph.add("Div", "row_stretch", parts, span)
    rest = graph.add("Sub", "row_rest", parts, graph.add("Mul", "row_before", stretch, span))
    rest_float, span_float = (
        graph.add("Cast", f"{value.name}_float", value, to=ir.DataType.FLOAT) for value in (rest, span)
    )
    return _Rows(stretch, graph.add("Div", "row_depth", rest_float, span_float))


def _agreed(graph: GraphWriter, stretches: _Stretches, rows: _Rows) -> ir.Value:
    """The class map uint8 (N, H, W), as if no stretch were disputed."""
    classes: list[ir.Value] = []
    for name, value in (("first", stretches.first), ("second", stretches.second)):
        small = graph.add("Cast", f"{name}_id", value, to=ir.DataType.UINT8)
        classes.append(graph.add("Gather", f"{name}_at_row", small, rows.stretch, axis=2))
    meeting = graph.add("Gather", "meeting_at_row", stretches.meeting, rows.stretch, axis=2)
    depth = graph.add("Unsqueeze", "row_depth_column", rows.depth, graph.axes(-1))
    is_first = graph.add("Less", "is_first", depth, meeting)
    planes = graph.add("Where", "agreed_planes", is_first, *classes)
    return graph.add("Squeeze", "agreed_map", planes, graph.axes(1))


def _settled(graph: GraphWriter, agreed: ir.Value, stretches: _Stretches, rows: _Rows) -> ir.Value:
    """The class map with the pixels of disputed stretches computed one by one."""
    start, count = _extents(graph, stretches, rows)
    has_rows = graph.add("Unsqueeze", "has_rows", graph.add("Greater", "is_met", count, graph.axes(0)), graph.axes(-1))
    open_planes = graph.add("And", "is_open_plane", stretches.disputed, has_rows)
    is_open = graph.add("Squeeze", "is_open", open_planes, graph.axes(1))
    # One that needs none is always among them: engines differ in what they make of no places at all.
    found = graph.add("NonZero", "open_places", is_open)
    places = graph.add("Concat", "places_rows", _first_place(graph, rows), found, axis=1)
    listed = graph.add("Transpose", "places", places, perm=[1, 0])
    image, stretch, column = graph.add_several(
        "Split", ("place_image", "place_stretch", "place_column"), listed, axis=1, num_outputs=3
    )

    offsets = _range(graph, "row_offsets", graph.add("ReduceMax", "most_rows", count, keepdims=0))
    from_first = graph.add("Add", "rows_from_first", graph.add("Gather", "place_start", start, stretch), offsets)
    end = graph.add("Add", "stretch_end", start, count)
    last = graph.add("Sub", "stretch_last", end, graph.axes(1))
    row = graph.add("Min", "place_rows", from_first, graph.add("Gather", "place_last", last, stretch))
    depth = graph.add("Gather", "place_depth", rows.depth, row)

    class_count = graph.add("Shape", "class_count", stretches.above, start=1, end=2)
    classes = _range(graph, "classes", graph.add("Squeeze", "class_total", class_count))
    class_row = graph.add("Unsqueeze", "classes_row", classes, graph.axes(0))
    of_class = _table(graph, "score_index", image, class_row, stretch, column)
    above, change = (
        graph.add("Unsqueeze", f"place_{name}", graph.add("GatherND", f"places_{name}", value, of_class), graph.axes(1))
        for name, value in (("above", stretches.above), ("change", stretches.change))
    )
    deep = graph.add("Unsqueeze", "place_depth_last", depth, graph.axes(-1))
    best = graph.add("ArgMax", "place_best", _line(graph, "place_scores", above, change, deep), axis=2, keepdims=0)
    small = graph.add("Cast", "place_id", best, to=ir.DataType.UINT8)
    return graph.add("ScatterND", "settled_map", agreed, _table(graph, "pixel_index", image, row, column), small)


def _extents(graph: GraphWriter, stretches: _Stretches, rows: _Rows) -> tuple[ir.Value, ir.Value]:
    """The first of the frame's rows in each stretch and how many there are, int64 (h + 1,)."""
    total = graph.add("Squeeze", "stretch_total", graph.add("Shape", "stretch_count", stretches.above, start=2, end=3))
    number = graph.add("Unsqueeze", "stretch_column", _range(graph, "stretches", total), graph.axes(-1))
    of_row = graph.add("Unsqueeze", "row_stretch_row", rows.stretch, graph.axes(0))
    counts: list[ir.Value] = []
    for name, operator in (("before", "Less"), ("within", "Equal")):
        is_so = graph.add(
            "Cast", f"is_{name}", graph.add(operator, f"rows_{name}", of_row, number), to=ir.DataType.INT64
        )
        counts.append(graph.add("ReduceSum", f"count_{name}", is_so, graph.axes(1), keepdims=0))
    before, within = counts
    return before, within


def _first_place(graph: GraphWriter, rows: _Rows) -> ir.Value:
    """The stretch of the frame's first pixel, int64 (3, 1): image, stretch, column."""
    first = graph.add("Gather", "first_stretch", rows.stretch, graph.axes(0))
    place = graph.add("Concat", "first_place_row", graph.axes(0), first, graph.axes(0), axis=0)
    return graph.add("Unsqueeze", "first_place", place, graph.axes(1))


def _line(graph: GraphWriter, name: str, above: ir.Value, change: ir.Value, depth: ir.Value) -> ir.Value:
    return graph.add("Add", name, above, graph.add("Mul", f"{name}_change", change, depth))


def _range(graph: GraphWriter, name: str, count: ir.Value) -> ir.Value:
    """0 to ``count``, a scalar, exclusive: int64."""
    zero, one = (graph.constant(f"{name}_{end}", value, np.int64) for end, value in (("from", 0), ("step", 1)))
    return graph.add("Range", name, zero, count, one)


def _table(graph: GraphWriter, name: str, *columns: ir.Value) -> ir.Value:
    """Indices (..., n) of ``GatherND`` and ``ScatterND`` from columns that are broadcast to one shape."""
    shape = graph.add("Shape", f"{name}_shape", _sum(graph, f"{name}_sum", columns))
    wide = [
        graph.add("Unsqueeze", f"{name}_{at}", graph.add("Expand", f"{name}_wide_{at}", column, shape), graph.axes(-1))
        for at, column in enumerate(columns)
    ]
    return graph.add("Concat", name, *wide, axis=-1)


def _sum(graph: GraphWriter, name: str, terms: tuple[ir.Value, ...]) -> ir.Value:
    total = terms[0]
    for at, term in enumerate(terms[1:]):
        total = graph.add("Add", f"{name}_{at}", total, term)
    return total
