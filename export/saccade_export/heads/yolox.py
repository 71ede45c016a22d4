"""YOLOX: cells of three grids with objectness, and its one-to-one form without."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import torch
from torch import Tensor

from saccade.spec import Letterbox
from saccade_export.heads.head import InputDefaults, Shape, best_class, columns, corners, misfit, take_rows
from saccade_export.lower.graph import GraphWriter

STRIDES = (8, 16, 32)


class YoloxHead:
    """One output (N, A, 5 + C): centre offset x y, log width height, objectness, C class probabilities.

    A = h·w/64 + h·w/256 + h·w/1024 cells row by row, stride 8 first. Offsets and sizes are in units of the stride, from
    the cell's top left corner; a box's score is objectness times its best class. Official ONNX files, exported without
    ``--decode_in_inference``, have this output (arXiv 2107.08430).
    """

    name = "yolox"
    outputs = ("cells",)
    needs_suppression = True
    input_defaults = InputDefaults("bgr", 1.0, Letterbox(114, "start"))
    objectness = 1
    objectness_column: int | None = 4

    def __init__(self, classes: int, size_hw: tuple[int, int]) -> None:
        self.classes, self.size_hw = classes, size_hw

    def check(self, shapes: Sequence[Shape]) -> int:
        height, width = self.size_hw
        count = sum((height // stride) * (width // stride) for stride in STRIDES)
        wanted = (count, 4 + self.objectness + self.classes)
        if height % 32 or width % 32:
            raise misfit(self.name, "an input of multiples of 32", shapes, f"but --imgsz is {height}x{width}")
        if list(shapes) != [wanted]:
            layout = f"(N, {wanted[0]}, {wanted[1]}) for {self.classes} classes at {height}x{width}"
            raise misfit(self.name, layout, shapes)
        return count

    def best_scores(self, graph: GraphWriter, outputs: Sequence[ir.Value]) -> ir.Value:
        first = 4 + self.objectness
        classes = columns(graph, "class_scores", outputs[0], first, first + self.classes)
        best = graph.add("ReduceMax", "best_class_score", classes, graph.axes(2), keepdims=0)
        if not self.objectness:
            return best
        objectness = graph.add("Squeeze", "objectness", columns(graph, "is_object", outputs[0], 4, 5), graph.axes(2))
        return graph.add("Mul", "scores", objectness, best)

    def decode(self, graph: GraphWriter, outputs: Sequence[ir.Value], chosen: ir.Value) -> tuple[ir.Value, ir.Value]:
        first = 4 + self.objectness
        rows = take_rows(graph, "chosen_cells", outputs[0], chosen)
        corner, stride = _grid(self.size_hw)
        at = graph.add("Gather", "cell_corner", graph.constant("corners", corner, np.float32), chosen, axis=0)
        unit = graph.add("Gather", "cell_stride", graph.constant("strides", stride, np.float32), chosen, axis=0)
        offset = graph.add("Mul", "offset_px", columns(graph, "offset", rows, 0, 2), unit)
        centre = graph.add("Add", "box_centre", offset, at)
        growth = graph.add("Exp", "size_in_strides", columns(graph, "log_size", rows, 2, 4))
        size = graph.add("Mul", "box_size", growth, unit)
        half = graph.add("Mul", "box_half", size, graph.constant("one_half", 0.5, np.float32))
        return corners(graph, centre, half), best_class(
            graph, columns(graph, "chosen_class_scores", rows, first, first + self.classes)
        )

    def eager(self, outputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        levels = torch.split(outputs[0], [(self.size_hw[0] // s) * (self.size_hw[1] // s) for s in STRIDES], dim=1)
        boxes = torch.cat([self._eager_level(level, s) for level, s in zip(levels, STRIDES, strict=True)], dim=1)
        scores = outputs[0][..., 4 + self.objectness :]
        return boxes, scores * outputs[0][..., 4:5] if self.objectness else scores

    def _eager_level(self, level: Tensor, stride: int) -> Tensor:
        rows, width = level.shape[1], self.size_hw[1] // stride
        index = torch.arange(rows)
        x = (level[..., 0] + index % width) * stride
        y = (level[..., 1] + torch.div(index, width, rounding_mode="floor")) * stride
        w, h = level[..., 2].exp() * stride, level[..., 3].exp() * stride
        return torch.stack((x - w / 2, y - h / 2, x + w / 2, y + h / 2), dim=-1)


class YoloxOneToOneHead(YoloxHead):
    """One output (N, A, 4 + C): as ``yolox`` without objectness, one box an object, so no suppression.

    ``saccade train --one-to-one`` gives such networks (matching of arXiv 2405.14458).
    """

    name = "yolox-one-to-one"
    needs_suppression = False
    objectness = 0
    objectness_column = None


def _grid(size_hw: tuple[int, int]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Top left corners (A, 2), x and y, and strides (A, 1) of all cells, in pixels."""
    corners, strides = [], []
    for stride in STRIDES:
        y, x = np.mgrid[0 : size_hw[0] // stride, 0 : size_hw[1] // stride].reshape(2, -1) * stride
        corners.append(np.stack((x, y), axis=1))
        strides.append(np.full((len(x), 1), stride))
    return np.concatenate(corners).astype(np.float32), np.concatenate(strides).astype(np.float32)
