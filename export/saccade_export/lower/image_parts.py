"""From the camera's frame to the network's input: what the lowerings of all tasks share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from saccade.letterbox import WEIGHTS
from saccade.spec import ImageSpec, Letterbox
from saccade_export.lower.graph import GraphWriter

BILINEAR: dict[str, Any] = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
LARGEST_FLOAT = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Placed:
    """``image`` float32 (N, 3, h, w), what the network takes, and where the frame lies in it, each float32 (4,).

    ``frame`` and ``inner`` are the sizes of the frame as it came and in the image, ``offset`` its top left corner or
    None for the image's own; all are x, y, x, y, as boxes are.
    """

    image: ir.Value
    frame: ir.Value
    inner: ir.Value
    offset: ir.Value | None


def add_frame_inputs(graph: GraphWriter) -> tuple[ir.Value, ir.Value]:
    """``frames`` and ``channel_order``, the frame's channels in the network's order: [0, 1, 2] or [2, 1, 0]."""
    frames = graph.add_input("frames", ir.DataType.UINT8, ("N", "H", "W", 3))
    return frames, graph.add_input("channel_order", ir.DataType.INT64, (3,))


def frame_count(graph: GraphWriter, frames: ir.Value) -> ir.Value:
    """The frames' N, int64 (1,)."""
    return graph.add("Shape", "batch", frames, start=0, end=1)


def fixed_size(graph: GraphWriter, count: ir.Value, size_hw: tuple[int, int]) -> ir.Value:
    """The shape (count, 3, *size_hw)."""
    rest = graph.constant("image_size", [3, *size_hw], np.int64)
    return graph.add("Concat", "image_shape", count, rest, axis=0)


def resize_planes(graph: GraphWriter, name: str, planes: ir.Value, shape: ir.Value) -> ir.Value:
    return graph.add("Resize", name, planes, None, None, shape, **BILINEAR)


def stretch(graph: GraphWriter, planes: ir.Value, frames: ir.Value, order: ir.Value, image: ImageSpec) -> ir.Value:
    """Planes float32 (N, 3, H, W) resized to the input's own aspect: the image."""
    resized = resize_planes(
        graph, "frame_resized", planes, fixed_size(graph, frame_count(graph, frames), image.size_hw)
    )
    return ordered_image(graph, resized, order, image)


def letterbox_in_graph(
    graph: GraphWriter, frames: ir.Value, order: ir.Value, image: ImageSpec, spec: Letterbox
) -> Placed:
    """Frames placed as ``saccade.letterbox`` says, by ONNX Runtime's own resizing of bytes.

    A side is ``side · other wanted // other``, or the wanted one where that is smaller: one of the two is.
    """
    wanted = image.size_hw
    frame = graph.add("Shape", "frame_height_width", frames, start=1, end=3)
    other = graph.add("Gather", "frame_width_height", frame, graph.axes(1, 0), axis=0)
    scaled = graph.add("Mul", "inner_scaled", frame, graph.axes(*wanted[::-1]))
    rounded = graph.add("Div", "inner_rounded", scaled, other)
    at_least_one = graph.add("Max", "inner_at_least_one", rounded, graph.axes(1))
    inner = graph.add("Min", "inner_height_width", at_least_one, graph.axes(*wanted))
    count = frame_count(graph, frames)
    shape = graph.add("Concat", "inner_shape", count, inner, graph.axes(3), axis=0)
    resized = graph.add("Resize", "frame_inner", frames, None, None, shape, **BILINEAR)
    planes = graph.add("Transpose", "frame_planes", resized, perm=[0, 3, 1, 2])
    ordered = graph.add("Gather", "frame_channels", planes, order, axis=1)
    pads, offset = _pads(graph, graph.add("Sub", "left_over", graph.axes(*wanted), inner), spec)
    padded = graph.add("Pad", "frame_padded", ordered, pads, graph.constant("pad_grey", spec.pad, np.uint8))
    # The size is known, and saying so lets engines plan for it.
    fixed = graph.add("Reshape", "frame_placed", padded, fixed_size(graph, count, wanted))
    return Placed(
        _image_of_bytes(graph, fixed, image),
        _xyxy(graph, "frame_size", frame),
        _xyxy(graph, "inner_size", inner),
        None if offset is None else _xyxy(graph, "offset", offset),
    )


def letterbox_by_tables(
    graph: GraphWriter, planes: ir.Value, order: ir.Value, image: ImageSpec, spec: Letterbox
) -> ir.Value:
    """Planes float32 (N, 3, H, W) placed as ``saccade.letterbox`` says: the image, of whole numbers.

    The inputs ``rows`` (3, h) and ``columns`` (3, w) say what each of its rows and columns is made of
    (``Placement.sampling``). No engine resizes bytes like another, but all of them gather and multiply integers alike,
    and the image's size depends on nothing.
    """
    height, width = image.size_hw
    rows = graph.add_input("rows", ir.DataType.INT64, (3, height))
    columns = graph.add_input("columns", ir.DataType.INT64, (3, width))
    top, bottom, below = graph.add_several("Split", ("rows_top", "rows_bottom", "rows_below"), rows, num_outputs=3)
    left, right, after = graph.add_several(
        "Split", ("columns_left", "columns_right", "columns_after"), columns, num_outputs=3
    )
    below = graph.add("Reshape", "row_weights", below, graph.axes(height, 1))
    sides = []
    left, right = _flat(graph, left), _flat(graph, right)
    for name, side in (("top", top), ("bottom", bottom)):
        line = graph.add("Gather", f"pixels_{name}", planes, _flat(graph, side), axis=2)
        ends = [
            graph.add("Gather", f"pixels_{name}_{end}", line, at, axis=3)
            for end, at in (("left", left), ("right", right))
        ]
        whole = _weighted(graph, f"pixels_{name}_across", ends, after, ir.DataType.FLOAT)
        sides.append(graph.add("Cast", f"pixels_{name}_whole", whole, to=ir.DataType.INT32))
    total = _weighted(graph, "pixels_total", sides, below, ir.DataType.INT32)
    parts = graph.constant("parts", WEIGHTS**2, np.int32)
    pixels = graph.add("Cast", "frame_inner", graph.add("Div", "pixels", total, parts), to=ir.DataType.FLOAT)
    none = graph.axes(0)
    is_row = graph.add("GreaterOrEqual", "is_row", below, none)
    is_frame = graph.add("And", "is_frame", is_row, graph.add("GreaterOrEqual", "is_column", after, none))
    grey = graph.constant("pad_grey", spec.pad, np.float32)
    return ordered_image(graph, graph.add("Where", "frame_placed", is_frame, pixels, grey), order, image)


def to_frame(graph: GraphWriter, boxes: ir.Value, placed: Placed) -> ir.Value:
    """Boxes xyxy (N, K, 4) in pixels of the image to pixels of the frame, cut at its edges."""
    if placed.offset is not None:
        boxes = graph.add("Sub", "box_inner", boxes, placed.offset)
    scaled = graph.add("Mul", "box_frame", boxes, graph.add("Div", "frame_per_image", placed.frame, placed.inner))
    above = graph.add("Max", "box_not_below", scaled, graph.constant("zero", 0.0, np.float32))
    return graph.add("Min", "box_in_frame", above, placed.frame)


def frame_size(graph: GraphWriter, frames: ir.Value) -> ir.Value:
    """Width, height, width, height of the frames, float32 (4,)."""
    return _xyxy(graph, "frame_size", graph.add("Shape", "frame_height_width", frames, start=1, end=3))


def ordered_image(graph: GraphWriter, planes: ir.Value, order: ir.Value, image: ImageSpec) -> ir.Value:
    """Planes float32 with their channels in the network's order, normalised: the image."""
    if _is_plain(image):
        return graph.add("Gather", "image", planes, order, axis=1)
    return _normalised(graph, graph.add("Gather", "frame_ordered", planes, order, axis=1), image)


def _image_of_bytes(graph: GraphWriter, planes: ir.Value, image: ImageSpec) -> ir.Value:
    """Planes uint8 in the network's order as the image."""
    if _is_plain(image):
        return graph.add("Cast", "image", planes, to=ir.DataType.FLOAT)
    return _normalised(graph, graph.add("Cast", "frame_float", planes, to=ir.DataType.FLOAT), image)


def _normalised(graph: GraphWriter, planes: ir.Value, image: ImageSpec) -> ir.Value:
    """``(pixel / scale - mean) / std`` as one subtraction, but of nothing, and one product."""
    mean = np.asarray(image.mean, np.float64) * image.scale
    factor = 1 / (np.asarray(image.std, np.float64) * image.scale)
    centred = planes
    if mean.any():
        centred = graph.add("Sub", "frame_centred", planes, graph.constant("mean", mean.reshape(3, 1, 1), np.float32))
    return graph.add("Mul", "image", centred, graph.constant("factor", factor.reshape(3, 1, 1), np.float32))


def _is_plain(image: ImageSpec) -> bool:
    """Whether the network takes 0..255 as it is."""
    return image.scale == 1 and image.mean == (0, 0, 0) and image.std == (1, 1, 1)


def _pads(graph: GraphWriter, left_over: ir.Value, spec: Letterbox) -> tuple[ir.Value, ir.Value | None]:
    """What ``Pad`` takes for planes, from the rows and columns that are left over (2,), and what comes before."""
    none = graph.axes(0, 0)
    if spec.anchor == "start":
        return graph.add("Concat", "pads", none, none, none, left_over, axis=0), None
    before = graph.add("Div", "pads_before", left_over, graph.axes(2))
    after = graph.add("Sub", "pads_after", left_over, before)
    return graph.add("Concat", "pads", none, before, none, after, axis=0), before


def _xyxy(graph: GraphWriter, name: str, pair: ir.Value) -> ir.Value:
    """Integers of y and x (2,) as float32 (4,): x, y, x, y."""
    twice = graph.add("Gather", f"{name}_xyxy", pair, graph.axes(1, 0, 1, 0), axis=0)
    return graph.add("Cast", f"{name}_float", twice, to=ir.DataType.FLOAT)


def _flat(graph: GraphWriter, row: ir.Value) -> ir.Value:
    """(1, n) to (n,)."""
    assert row.name is not None
    return graph.add("Squeeze", f"{row.name}_index", row, graph.axes(0))


def _weighted(graph: GraphWriter, name: str, pair: list[ir.Value], second: ir.Value, dtype: ir.DataType) -> ir.Value:
    """The sum of two neighbours, the second one times ``second``, the first times the rest of ``WEIGHTS``."""
    weight = graph.add("Cast", f"{name}_weight", second, to=dtype)
    rest = graph.add("Sub", f"{name}_rest", graph.constant(f"{name}_weights", WEIGHTS, dtype.numpy().type), weight)
    first = graph.add("Mul", f"{name}_first", pair[0], rest)
    return graph.add("Add", name, first, graph.add("Mul", f"{name}_second", pair[1], weight))
