"""From the camera's frame to the network's input: what the lowerings of all tasks share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from saccade.spec import ImageSpec, Letterbox
from saccade_export.lower.graph import GraphWriter

BILINEAR: dict[str, Any] = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
LARGEST_FLOAT = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Letterboxed:
    """``planes`` float32 (N, 3, h, w) as the network sees them, and where the frame lies in them, int64 each.

    ``frame_wh`` and ``inner_wh`` are pairs of (1,); ``offset_xy`` (2,) or None for the top left corner.
    """

    planes: ir.Value
    frame_wh: tuple[ir.Value, ir.Value]
    inner_wh: tuple[ir.Value, ir.Value]
    offset_xy: ir.Value | None


def add_frame_inputs(graph: GraphWriter) -> tuple[ir.Value, ir.Value]:
    """``frames`` and ``channel_order``, the frame's channels in the network's order: [0, 1, 2] or [2, 1, 0]."""
    frames = graph.add_input("frames", ir.DataType.UINT8, ("N", "H", "W", 3))
    return frames, graph.add_input("channel_order", ir.DataType.INT64, (3,))


def fixed_size(graph: GraphWriter, frames: ir.Value, size_hw: tuple[int, int]) -> ir.Value:
    """The shape (N, 3, *size_hw) with the frames' own N."""
    count = graph.add("Shape", "batch", frames, start=0, end=1)
    rest = graph.constant("image_size", [3, *size_hw], np.int64)
    return graph.add("Concat", "image_shape", count, rest, axis=0)


def resize_planes(graph: GraphWriter, name: str, planes: ir.Value, shape: ir.Value) -> ir.Value:
    return graph.add("Resize", name, planes, None, None, shape, **BILINEAR)


def letterbox(graph: GraphWriter, planes: ir.Value, frames: ir.Value, image: ImageSpec, spec: Letterbox) -> Letterboxed:
    """Planes (N, 3, H, W) resized to fit, in integer arithmetic as in ``saccade.letterbox``, and padded.

    A side is ``side · other wanted // other``, or the wanted one where that is smaller: one of the two is.
    """
    height = graph.add("Shape", "frame_height", frames, start=1, end=2)
    width = graph.add("Shape", "frame_width", frames, start=2, end=3)
    wanted_h, wanted_w = image.size_hw
    inner_h = _fitted(graph, "inner_height", height, width, wanted_h, wanted_w)
    inner_w = _fitted(graph, "inner_width", width, height, wanted_w, wanted_h)
    count = graph.add("Shape", "batch", frames, start=0, end=1)
    inner = graph.add("Concat", "inner_shape", count, graph.axes(3), inner_h, inner_w, axis=0)
    resized = resize_planes(graph, "frame_inner", planes, inner)
    top, bottom = _margins(graph, "rows", inner_h, wanted_h, spec)
    left, right = _margins(graph, "columns", inner_w, wanted_w, spec)
    none = graph.axes(0, 0)
    pads = graph.add("Concat", "pads", none, top, left, none, bottom, right, axis=0)
    padded = graph.add("Pad", "frame_padded", resized, pads, graph.constant("pad_grey", spec.pad, np.float32))
    # The size is known, and saying so lets engines plan for it.
    shape = graph.add("Concat", "image_shape", count, graph.axes(3, wanted_h, wanted_w), axis=0)
    fixed = graph.add("Reshape", "frame_resized", padded, shape)
    offset = graph.add("Concat", "offset_xy", left, top, axis=0) if spec.anchor == "centre" else None
    return Letterboxed(fixed, (width, height), (inner_w, inner_h), offset)


def to_frame(graph: GraphWriter, boxes: ir.Value, placed: Letterboxed) -> ir.Value:
    """Boxes xyxy (N, K, 4) in pixels of the input to pixels of the frame, which they may reach out of."""
    frame = _floats_twice(graph, "frame_size", placed.frame_wh)
    inner = _floats_twice(graph, "inner_size", placed.inner_wh)
    if placed.offset_xy is not None:
        offset = _floats_twice(graph, "offset", (placed.offset_xy,))
        boxes = graph.add("Sub", "box_inner", boxes, offset)
    return graph.add("Mul", "box_frame", boxes, graph.add("Div", "frame_per_input", frame, inner))


def clipped(graph: GraphWriter, boxes: ir.Value, placed: Letterboxed) -> ir.Value:
    """Boxes xyxy (N, K, 4) in pixels of the frame, cut at its edges."""
    limit = _floats_twice(graph, "frame_limit", placed.frame_wh)
    above = graph.add("Max", "box_not_below", boxes, graph.constant("zero", 0.0, np.float32))
    return graph.add("Min", "box_in_frame", above, limit)


def stretched(graph: GraphWriter, planes: ir.Value, frames: ir.Value, size_hw: tuple[int, int]) -> Letterboxed:
    """Planes (N, 3, H, W) resized to the input's own aspect."""
    height, width = size_hw
    resized = resize_planes(graph, "frame_resized", planes, fixed_size(graph, frames, size_hw))
    frame = tuple(graph.add("Shape", name, frames, start=at, end=at + 1) for name, at in (("width", 2), ("height", 1)))
    return Letterboxed(resized, (frame[0], frame[1]), (graph.axes(width), graph.axes(height)), None)


def _fitted(graph: GraphWriter, name: str, side: ir.Value, other: ir.Value, wanted: int, other_wanted: int) -> ir.Value:
    scaled = graph.add("Mul", f"{name}_scaled", side, graph.axes(other_wanted))
    rounded = graph.add("Div", f"{name}_rounded", scaled, other)
    at_least_one = graph.add("Max", f"{name}_at_least_one", rounded, graph.axes(1))
    return graph.add("Min", name, at_least_one, graph.axes(wanted))


def _margins(graph: GraphWriter, name: str, inner: ir.Value, wanted: int, spec: Letterbox) -> tuple[ir.Value, ir.Value]:
    """Padding before and after the frame along one axis."""
    rest = graph.add("Sub", f"{name}_left_over", graph.axes(wanted), inner)
    if spec.anchor == "start":
        return graph.axes(0), rest
    before = graph.add("Div", f"{name}_before", rest, graph.axes(2))
    return before, graph.add("Sub", f"{name}_after", rest, before)


def _floats_twice(graph: GraphWriter, name: str, parts: tuple[ir.Value, ...]) -> ir.Value:
    """Integers of x and y as float32 (4,): x, y, x, y."""
    joined = graph.add("Concat", f"{name}_xyxy", *parts, *parts, axis=0)
    return graph.add("Cast", f"{name}_float", joined, to=ir.DataType.FLOAT)


def normalise(graph: GraphWriter, planes: ir.Value, order: ir.Value, image: ImageSpec) -> ir.Value:
    """Channels in the network's order, then ``(pixel / scale - mean) / std`` as one subtraction and one product.

    Where that changes nothing (0..255 as it is), the order is all.
    """
    if image.scale == 1 and image.mean == (0, 0, 0) and image.std == (1, 1, 1):
        return graph.add("Gather", "image", planes, order, axis=1)
    mean = np.asarray(image.mean, np.float64) * image.scale
    factor = 1 / (np.asarray(image.std, np.float64) * image.scale)
    ordered = graph.add("Gather", "frame_ordered", planes, order, axis=1)
    centred = graph.add("Sub", "frame_centred", ordered, graph.constant("mean", mean.reshape(3, 1, 1), np.float32))
    return graph.add("Mul", "image", centred, graph.constant("factor", factor.reshape(3, 1, 1), np.float32))
