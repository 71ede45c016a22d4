"""An ONNX file made elsewhere as the network: read, checked, brought to our opset, its batch set free."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import torch
from onnx import helper, numpy_helper
from torch import Tensor

from saccade.errors import CaptureError, RequestError, WeightsError
from saccade_export.capture import IMAGE, OPSET, Captured, anonymised, at_opset
from saccade_export.session import open_session

PREFIX = "network/"
"""Before every name of the file, so that none meets a name of the graphs around it."""


WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")


class OnnxNetwork:
    """The file's own arithmetic, run by ONNX Runtime without its optimisations: what a bundle is held against."""

    def __init__(self, captured: Captured, names: Sequence[str], model: onnx.ModelProto | None = None) -> None:
        self._captured, self._names = captured, tuple(names)
        self._model = ir.to_proto(captured.model) if model is None else model
        self._session = open_session(self._model.SerializeToString(), optimised=False)

    def __call__(self, image: Tensor) -> tuple[Tensor, ...]:
        found = self._session.run(list(self._names), {IMAGE: image.contiguous().numpy()})
        return tuple(torch.from_numpy(output) for output in found)

    def shuffled(self, seed: int = 0) -> OnnxNetwork:
        """The same with the values of every convolution and matrix in another order."""
        model, random = onnx.ModelProto(), np.random.default_rng(seed)
        model.CopyFrom(self._model)
        weights = {name for node in model.graph.node if node.op_type in WEIGHTED for name in node.input[1:]}
        for tensor in model.graph.initializer:
            if tensor.name in weights:
                values = numpy_helper.to_array(tensor)
                mixed = random.permutation(values.ravel()).reshape(values.shape)
                tensor.CopyFrom(numpy_helper.from_array(mixed, tensor.name))
        return OnnxNetwork(self._captured, self._names, model)


def read_onnx(path: Path, size_hw: tuple[int, int], names: Sequence[str], chosen: Sequence[str] = ()) -> Captured:
    """The network in the file at ``path``, its input called ``image`` and its outputs ``names``.

    ``chosen`` names the file's outputs in the order wanted; without it they are taken as they come. A batch of 1 that
    the file fixes is made dynamic where the result stays the same. Raises ``WeightsError`` for a file that cannot be
    read, ``RequestError`` for inputs or outputs that do not fit, ``CaptureError`` for other operators or opsets.
    """
    model = _read(path)
    _check_operators(model, path)
    given = _image_input(model, path, size_hw)
    outputs = _chosen_outputs(model, path, names, chosen)
    model = _converted(model, path)
    _rename(model, {given: IMAGE, **dict(zip(outputs, names, strict=True))})
    freed = _with_free_batch(model, names, size_hw)
    found = _run(model if freed is None else freed, size_hw, 1, names)
    shapes = tuple(output.shape[1:] for output in found)
    return Captured(anonymised(ir.from_proto(model if freed is None else freed)), shapes, "", freed is None)


def _read(path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf and the checker have errors of their own
        raise WeightsError(f"{path} cannot be read as ONNX: {str(error).strip().splitlines()[0]}") from error
    return model


def _check_operators(model: onnx.ModelProto, path: Path) -> None:
    foreign = sorted(
        {f"{node.domain}.{node.op_type}" for node in model.graph.node if node.domain not in ("", "ai.onnx")}
    )
    if foreign:
        raise CaptureError(
            f"{path.name} uses {', '.join(foreign[:5])}, which are not ONNX's own operators; "
            "export it for plain ONNX, without an engine's fused operators or plugins"
        )


def _image_input(model: onnx.ModelProto, path: Path, size_hw: tuple[int, int]) -> str:
    """The name of the one input, an image of ``size_hw`` or of free size."""
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in stored]
    shapes = ", ".join(f"{value.name} {_shape_text(value)}" for value in inputs)
    if len(inputs) != 1 or inputs[0].type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
        raise RequestError(f"{path.name} must have one input, float32 (N, 3, h, w), but has {shapes}")
    dimensions = [d.dim_value or None for d in inputs[0].type.tensor_type.shape.dim]
    wanted = (None, 3, *size_hw)
    fits = len(dimensions) == 4 and all(
        a is None or b is None or a == b for a, b in zip(dimensions, wanted, strict=True)
    )
    if not fits or dimensions[0] not in (None, 1):
        raise RequestError(f"{path.name} takes {shapes}, but --imgsz asks for (N, 3, {size_hw[0]}, {size_hw[1]})")
    return inputs[0].name


def _chosen_outputs(model: onnx.ModelProto, path: Path, names: Sequence[str], chosen: Sequence[str]) -> list[str]:
    found = [value.name for value in model.graph.output]
    shown = ", ".join(f"{value.name} {_shape_text(value)}" for value in model.graph.output)
    if missing := [name for name in chosen if name not in found]:
        raise RequestError(f"{path.name} has no output {missing[0]!r}; it has {shown}")
    wanted = list(chosen) or found
    if len(wanted) != len(names):
        raise RequestError(
            f"the head needs {len(names)} outputs ({', '.join(names)}), but {path.name} gives {shown}; "
            "choose them with --output, in this order"
        )
    return wanted


def _converted(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    try:
        return ir.to_proto(at_opset(model))
    except Exception as error:  # the converter raises RuntimeError of many kinds
        found = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
        raise CaptureError(
            f"{path.name} has opset {found} and cannot be converted to {OPSET}: "
            f"{str(error).strip().splitlines()[0]}; export it with opset {OPSET}"
        ) from error


def _rename(model: onnx.ModelProto, own: dict[str, str]) -> None:
    """Every value and node under ``PREFIX``, but those in ``own`` under their new names; other outputs are dropped."""
    kept = [value for name in own for value in model.graph.output if value.name == name]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in stored]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    del model.graph.value_info[:]

    def renamed(name: str) -> str:
        return own.get(name, PREFIX + name) if name else name

    _rename_graph(model.graph, renamed)


def _rename_graph(graph: onnx.GraphProto, renamed: Any) -> None:
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = renamed(value.name)
    for index, node in enumerate(graph.node):
        node.input[:] = [renamed(name) for name in node.input]
        node.output[:] = [renamed(name) for name in node.output]
        node.name = PREFIX + (node.name or f"{node.op_type}_{index}")
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                _rename_graph(attribute.g, renamed)


def _with_free_batch(model: onnx.ModelProto, names: Sequence[str], size_hw: tuple[int, int]) -> onnx.ModelProto | None:
    """The model for any batch, or None where freeing it fails or changes a result.

    A file of fixed batch often has that 1 in constant shapes of Reshape too; there 0 means "as the input has it".
    """
    free = onnx.ModelProto()
    free.CopyFrom(model)
    free.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    for output in free.graph.output:
        output.type.tensor_type.ClearField("shape")
    shapes = {node.input[1] for node in free.graph.node if node.op_type == "Reshape"}
    for tensor in free.graph.initializer:
        if tensor.name in shapes:
            values = numpy_helper.to_array(tensor).copy()
            if len(values) > 1 and values[0] == 1:
                values[0] = 0
                tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    try:
        random = np.random.default_rng(0)
        pair = random.uniform(0, 255, (2, 3, *size_hw)).astype(np.float32)
        together = _run(free, size_hw, 2, names, pair)
        apart = [_run(model, size_hw, 1, names, image[None]) for image in pair]
    except Exception:  # any failure means that this file's batch stays as it is
        return None
    joined = [np.concatenate(outputs) for outputs in zip(*apart, strict=True)]
    same = all(np.allclose(a, b, rtol=1e-3, atol=1e-3) for a, b in zip(together, joined, strict=True))
    return free if same else None


def _run(
    model: onnx.ModelProto, size_hw: tuple[int, int], count: int, names: Sequence[str], images: Any = None
) -> list[Any]:
    session = open_session(model.SerializeToString())
    given = np.zeros((count, 3, *size_hw), np.float32) if images is None else images
    return session.run(list(names), {IMAGE: given})


def _shape_text(value: onnx.ValueInfoProto) -> str:
    kind = value.type.tensor_type
    dimensions = ", ".join(str(d.dim_value or d.dim_param or "?") for d in kind.shape.dim)
    return f"{helper.tensor_dtype_to_string(kind.elem_type).removeprefix('TensorProto.').lower()} ({dimensions})"
