"""Detectors that decode their boxes themselves: YOLOv5 to YOLO11, pairs of boxes and scores, and finished lists."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor
from torch.nn import functional

from saccade.spec import Letterbox, Stretch
from saccade_export.heads.head import (
    InputDefaults,
    Shape,
    best_class,
    columns,
    corners,
    misfit,
    take_columns,
    take_rows,
)
from saccade_export.lower.graph import GraphWriter

ULTRALYTICS = InputDefaults("rgb", 255.0, Letterbox(114, "centre"))


class Yolov8Head:
    """One output (N, 4 + C, A): centre x y and width height in pixels of the input, C class probabilities.

    What Ultralytics exports for YOLOv8, v9, 11 and 12.
    """

    name = "yolov8"
    outputs = ("boxes_and_scores",)
    needs_suppression = True
    input_defaults = ULTRALYTICS
    objectness_column = None

    def __init__(self, classes: int, size_hw: tuple[int, int]) -> None:
        del size_hw
        self.classes = classes

    def check(self, shapes: Sequence[Shape]) -> int:
        if len(shapes) != 1 or len(shapes[0]) != 2 or shapes[0][0] != 4 + self.classes:
            raise misfit(self.name, f"(N, {4 + self.classes}, A) for {self.classes} classes", shapes)
        return shapes[0][1]

    def best_scores(self, graph: GraphWriter, outputs: Sequence[ir.Value]) -> ir.Value:
        scores = graph.add(
            "Slice", "class_scores", outputs[0], graph.axes(4), graph.axes(4 + self.classes), graph.axes(1)
        )
        return graph.add("ReduceMax", "scores", scores, graph.axes(1), keepdims=0)

    def decode(self, graph: GraphWriter, outputs: Sequence[ir.Value], chosen: ir.Value) -> tuple[ir.Value, ir.Value]:
        rows = take_columns(graph, "chosen_rows", outputs[0], 4 + self.classes, chosen)
        return _from_centres(graph, rows), best_class(graph, columns(graph, "row_scores", rows, 4, 4 + self.classes))

    def eager(self, outputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        rows = outputs[0].transpose(1, 2)
        return _eager_from_centres(rows[..., :4]), rows[..., 4:]


class Yolov5Head:
    """One output (N, A, 5 + C): centre x y and width height in pixels, objectness, C class probabilities.

    What YOLOv5, v6 and v7 export. A box's score is objectness times its best class.
    """

    name = "yolov5"
    outputs = ("boxes_and_scores",)
    needs_suppression = True
    input_defaults = ULTRALYTICS
    objectness_column = 4

    def __init__(self, classes: int, size_hw: tuple[int, int]) -> None:
        del size_hw
        self.classes = classes

    def check(self, shapes: Sequence[Shape]) -> int:
        if len(shapes) != 1 or len(shapes[0]) != 2 or shapes[0][1] != 5 + self.classes:
            raise misfit(self.name, f"(N, A, {5 + self.classes}) for {self.classes} classes", shapes)
        return shapes[0][0]

    def best_scores(self, graph: GraphWriter, outputs: Sequence[ir.Value]) -> ir.Value:
        classes = columns(graph, "class_scores", outputs[0], 5, 5 + self.classes)
        best = graph.add("ReduceMax", "best_class_score", classes, graph.axes(2), keepdims=0)
        objectness = graph.add("Squeeze", "objectness", columns(graph, "is_object", outputs[0], 4, 5), graph.axes(2))
        return graph.add("Mul", "scores", objectness, best)

    def decode(self, graph: GraphWriter, outputs: Sequence[ir.Value], chosen: ir.Value) -> tuple[ir.Value, ir.Value]:
        rows = take_rows(graph, "chosen_rows", outputs[0], chosen)
        return _from_centres(graph, rows), best_class(graph, columns(graph, "row_scores", rows, 5, 5 + self.classes))

    def eager(self, outputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        rows = outputs[0]
        return _eager_from_centres(rows[..., :4]), rows[..., 4:5] * rows[..., 5:]


class Yolov10Head:
    """One output (N, A, 6): left, top, right, bottom in pixels, score, class id; one box an object.

    What YOLOv10 and end-to-end exports of YOLO26 give. No suppression.
    """

    name = "yolov10"
    outputs = ("detections",)
    needs_suppression = False
    input_defaults = ULTRALYTICS
    objectness_column = None

    def __init__(self, classes: int, size_hw: tuple[int, int]) -> None:
        del size_hw
        self.classes = classes

    def check(self, shapes: Sequence[Shape]) -> int:
        if len(shapes) != 1 or len(shapes[0]) != 2 or shapes[0][1] != 6:
            raise misfit(self.name, "(N, A, 6)", shapes)
        return shapes[0][0]

    def best_scores(self, graph: GraphWriter, outputs: Sequence[ir.Value]) -> ir.Value:
        return graph.add("Squeeze", "scores", columns(graph, "score", outputs[0], 4, 5), graph.axes(2))

    def decode(self, graph: GraphWriter, outputs: Sequence[ir.Value], chosen: ir.Value) -> tuple[ir.Value, ir.Value]:
        rows = take_rows(graph, "chosen_rows", outputs[0], chosen)
        class_id = graph.add("Squeeze", "class_number", columns(graph, "class_column", rows, 5, 6), graph.axes(2))
        return columns(graph, "box_xyxy", rows, 0, 4), graph.add("Cast", "class_ids", class_id, to=ir.DataType.INT64)

    def eager(self, outputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        rows = outputs[0]
        chosen = functional.one_hot(rows[..., 5].long().clamp(0, self.classes - 1), self.classes)
        return rows[..., :4], rows[..., 4:5] * chosen


class BoxesAndScoresHead:
    """Two outputs: boxes (N, A, 4), left, top, right, bottom in pixels, and scores (N, A, C), probabilities.

    What a decoder in the network itself usually gives (SSD, RetinaNet, FCOS and many exports). Boxes overlap.
    """

    name = "xyxy+scores"
    outputs = ("boxes", "scores")
    needs_suppression = True
    input_defaults = InputDefaults("rgb", 255.0, Letterbox(114, "start"))
    objectness_column = None

    def __init__(self, classes: int, size_hw: tuple[int, int]) -> None:
        del size_hw
        self.classes = classes

    def check(self, shapes: Sequence[Shape]) -> int:
        pair = [len(shape) == 2 for shape in shapes] == [True, True]
        if not pair or shapes[0][1] != 4 or shapes[1] != (shapes[0][0], self.classes):
            raise misfit(self.name, f"(N, A, 4) and (N, A, {self.classes}), in this order", shapes)
        return shapes[0][0]

    def best_scores(self, graph: GraphWriter, outputs: Sequence[ir.Value]) -> ir.Value:
        return graph.add("ReduceMax", "best_scores", outputs[1], graph.axes(2), keepdims=0)

    def decode(self, graph: GraphWriter, outputs: Sequence[ir.Value], chosen: ir.Value) -> tuple[ir.Value, ir.Value]:
        boxes = take_rows(graph, "chosen_boxes", outputs[0], chosen)
        return boxes, best_class(graph, take_rows(graph, "chosen_scores", outputs[1], chosen))

    def eager(self, outputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        return outputs[0], outputs[1]


class DetrHead:
    """Two outputs: class logits (N, A, C), and boxes (N, A, 4), centre x y and width height as fractions of the input.

    What DETR's descendants with sigmoid scores give (Deformable DETR, RT-DETR, D-FINE). One box an object.
    """

    name = "detr"
    outputs = ("logits", "boxes")
    needs_suppression = False
    input_defaults = InputDefaults("rgb", 255.0, Stretch())
    objectness_column = None

    def __init__(self, classes: int, size_hw: tuple[int, int]) -> None:
        self.classes, self.size_hw = classes, size_hw

    def check(self, shapes: Sequence[Shape]) -> int:
        pair = [len(shape) == 2 for shape in shapes] == [True, True]
        if not pair or shapes[1][1] != 4 or shapes[0] != (shapes[1][0], self.classes):
            raise misfit(self.name, f"(N, A, {self.classes}) and (N, A, 4), in this order", shapes)
        return shapes[0][0]

    def best_scores(self, graph: GraphWriter, outputs: Sequence[ir.Value]) -> ir.Value:
        best = graph.add("ReduceMax", "best_logit", outputs[0], graph.axes(2), keepdims=0)
        return graph.add("Sigmoid", "best_scores", best)

    def decode(self, graph: GraphWriter, outputs: Sequence[ir.Value], chosen: ir.Value) -> tuple[ir.Value, ir.Value]:
        fractions = take_rows(graph, "chosen_boxes", outputs[1], chosen)
        height, width = self.size_hw
        size = graph.constant("input_size", [width, height, width, height], np.float32)
        boxes = _from_centres(graph, graph.add("Mul", "boxes_px", fractions, size))
        return boxes, best_class(graph, take_rows(graph, "chosen_logits", outputs[0], chosen))

    def eager(self, outputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        height, width = self.size_hw
        return _eager_from_centres(outputs[1] * torch.tensor([width, height, width, height])), outputs[0].sigmoid()


def _from_centres(graph: GraphWriter, rows: ir.Value) -> ir.Value:
    """xyxy from rows that begin with centre x y, width height."""
    half = graph.add(
        "Mul", "box_half", columns(graph, "box_size", rows, 2, 4), graph.constant("one_half", 0.5, np.float32)
    )
    return corners(graph, columns(graph, "box_centre", rows, 0, 2), half)


def _eager_from_centres(boxes: Tensor) -> Tensor:
    x, y, w, h = boxes.unbind(-1)
    return torch.stack((x - w / 2, y - h / 2, x + w / 2, y + h / 2), dim=-1)
