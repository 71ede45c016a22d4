"""What engines leave slow in captured networks and do not mend themselves."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass, ShapeInferencePass

IMAGE_DIMENSIONS = 4
BLOCK = 2
"""Side of the blocks of pixels that a focus turns into channels."""

Phase = tuple[int, int]
"""Which row and which column of each block a slice takes."""


def fold_focus(model: ir.Model) -> int:
    """Make a convolution over blocks of pixels a convolution over pixels, in place; returns how many there were.

    YOLOv5's and YOLOX's first step slices the image into its even and odd rows and columns, stacks the four as channels
    and convolves them. A convolution twice as wide with twice the stride has the same products, and no engine has to
    copy the image twice for it: a tenth of YOLOX-nano's time on a CPU.
    """
    found = [node for node in model.graph if _is_plain_convolution(node)]
    folded = sum(_fold(model.graph, convolution) for convolution in found)
    if folded:
        RemoveUnusedNodesPass()(model)
    return folded


def spell_out_softmax(model: ir.Model) -> int:
    """Write each softmax over another axis than the last as its five operations, in place; returns how many.

    ONNX Runtime on a CPU turns the whole tensor for such a one, and back: in YOLO11n, whose boxes are means over 16
    bins along the second axis, 4 of 28 ms went there, where the five take half of one.
    """
    ranks = _ranks(model) if any(node.op_type == "Softmax" for node in model.graph) else {}
    found = [
        node for node in model.graph if node.op_type == "Softmax" and _axis(node) not in (-1, _last_axis(node, ranks))
    ]
    for node in found:
        _spell_out(model.graph, node)
    return len(found)


def _ranks(model: ir.Model) -> dict[str | None, int]:
    """How many dimensions values have, by name, where that can be told: files made elsewhere seldom say it."""
    inferred = model.clone()
    ShapeInferencePass()(inferred)
    values = (value for node in inferred.graph for value in node.outputs)
    return {value.name: len(value.shape) for value in values if value.shape is not None}


def _last_axis(softmax: ir.Node, ranks: Mapping[str | None, int]) -> int:
    """That of what it gives; where that is unknown its own, so that it counts as the last."""
    rank = ranks.get(softmax.outputs[0].name)
    return _axis(softmax) if rank is None else rank - 1


def _axis(softmax: ir.Node) -> int:
    return softmax.attributes["axis"].as_int() if "axis" in softmax.attributes else -1


def _spell_out(graph: ir.Graph, softmax: ir.Node) -> None:
    values, name = softmax.inputs[0], softmax.outputs[0].name
    tensor = ir.tensor(np.array([_axis(softmax)], np.int64), name=f"{name}_softmax_axis")
    axis = ir.Value(name=tensor.name, type=ir.TensorType(tensor.dtype), shape=ir.Shape((1,)), const_value=tensor)
    graph.register_initializer(axis)
    nodes: list[ir.Node] = []

    def add(operator: str, of: str, *inputs: ir.Value | None, **attributes: int) -> ir.Value:
        nodes.append(ir.node(operator, inputs, attributes=attributes, name=f"{softmax.name}_softmax_{of}"))
        nodes[-1].outputs[0].name = f"{name}_softmax_{of}"
        return nodes[-1].outputs[0]

    highest = add("ReduceMax", "highest", values, axis, keepdims=1)
    powers = add("Exp", "powers", add("Sub", "below_highest", values, highest))
    share = add("Div", "share", powers, add("ReduceSum", "total", powers, axis, keepdims=1))
    share.type, share.shape = softmax.outputs[0].type, softmax.outputs[0].shape
    ir.convenience.replace_nodes_and_values(graph, softmax, [softmax], nodes, softmax.outputs, [share])
    share.name = name


def _fold(graph: ir.Graph, convolution: ir.Node) -> bool:
    stacked, weights = convolution.inputs[0], convolution.inputs[1]
    assert stacked is not None
    assert weights is not None
    concat, stored = stacked.producer(), ir.convenience.get_const_tensor(weights)
    if concat is None or concat.op_type != "Concat" or concat.attributes["axis"].as_int() != 1 or stored is None:
        return False
    traced = [_trace(value) for value in concat.inputs if value is not None]
    sources, phases = {source for source, _ in traced}, [phase for _, phase in traced]
    image = sources.pop()
    channels = _known_channels(image)
    if sources or sorted(phases) != [(0, 0), (0, 1), (1, 0), (1, 1)] or stored.shape[1] != 4 * channels:
        return False
    name = convolution.outputs[0].name
    folded = ir.tensor(_spread(stored.numpy(), phases), name=f"{weights.name}_spread")
    initial = ir.Value(
        name=folded.name, type=ir.TensorType(folded.dtype), shape=ir.Shape(folded.shape.numpy()), const_value=folded
    )
    graph.register_initializer(initial)
    attributes = {
        "kernel_shape": list(folded.shape.numpy()[2:]),
        "strides": [BLOCK * step for step in _integers(convolution, "strides", 1)],
        "pads": [BLOCK * pad for pad in _integers(convolution, "pads", 0)],
    }
    node = ir.node("Conv", [image, initial, *convolution.inputs[2:]], attributes=attributes, name=convolution.name)
    ir.convenience.replace_nodes_and_values(
        graph, convolution, [convolution], [node], convolution.outputs, node.outputs
    )
    node.outputs[0].name = name
    return True


def _trace(value: ir.Value) -> tuple[ir.Value, Phase]:
    """Where slices of every second row and column begin, and which ones they are; (-1, -1) for anything else."""
    taken: dict[int, tuple[int, int]] = {}
    while (node := value.producer()) is not None and node.op_type == "Slice":
        bounds = [_constant(node.inputs[at]) if at < len(node.inputs) else None for at in range(5)][1:]
        source = node.inputs[0]
        if source is None or any(bound is None for bound in bounds):
            break
        for start, end, axis, step in zip(*bounds, strict=True):  # type: ignore[arg-type]
            if axis in taken or step != BLOCK:
                return value, (-1, -1)
            taken[axis] = start, end
        value = source
    shape = value.shape
    if set(taken) != {2, 3} or shape is None or len(shape) != IMAGE_DIMENSIONS:
        return value, (-1, -1)
    for axis, (start, end) in taken.items():
        length = shape[axis]
        if not isinstance(length, int) or length % BLOCK or not 0 <= start < BLOCK or end < length - 1 + start:
            return value, (-1, -1)
    return value, (taken[2][0], taken[3][0])


def _spread(weights: npt.NDArray[np.float32], phases: list[Phase]) -> npt.NDArray[np.float32]:
    """Weights (O, 4·C, k, k) over stacked phases as (O, C, 2·k, 2·k) over pixels."""
    outputs, stacked, height, width = weights.shape
    channels = stacked // len(phases)
    spread = np.zeros((outputs, channels, BLOCK * height, BLOCK * width), weights.dtype)
    for index, (row, column) in enumerate(phases):
        spread[:, :, row::BLOCK, column::BLOCK] = weights[:, index * channels : (index + 1) * channels]
    return spread


def _is_plain_convolution(node: ir.Node) -> bool:
    """One group, not dilated, padded by numbers."""
    if node.op_type != "Conv" or (
        "auto_pad" in node.attributes and node.attributes["auto_pad"].as_string() != "NOTSET"
    ):
        return False
    group = node.attributes["group"].as_int() if "group" in node.attributes else 1
    return group == 1 and set(_integers(node, "dilations", 1)) == {1}


def _integers(node: ir.Node, name: str, usual: int) -> list[int]:
    return list(node.attributes[name].as_ints()) if name in node.attributes else [usual] * (4 if name == "pads" else 2)


def _constant(value: ir.Value | None) -> list[int] | None:
    stored = None if value is None else ir.convenience.get_const_tensor(value)
    return None if stored is None else [int(number) for number in stored.numpy().ravel()]


def _known_channels(image: ir.Value) -> int:
    length = None if image.shape is None or len(image.shape) != IMAGE_DIMENSIONS else image.shape[1]
    return length if isinstance(length, int) else 0
