"""Whether TensorRT-RTX builds a graph, for tests that skip where it is not installed."""

from __future__ import annotations

import onnx_ir as ir
import pytest

import saccade
from saccade_export.support.oracle import Oracle, ShapesOf
from saccade_export.support.reading import frame_shapes, read_graphs

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")


def build(model: ir.Model, shapes_of: ShapesOf = frame_shapes) -> int:
    """Bytes of the engine that TensorRT-RTX builds. Raises ``ValueError`` with its reasons."""
    with Oracle(effort=3) as oracle:
        answer = oracle.ask(model, shapes_of)
    if answer.failed is not None:
        raise ValueError("; ".join(answer.errors))
    return answer.engine_bytes


def build_graph(bundle: saccade.Bundle, variant: str, stage: str = "main", shapes_of: ShapesOf = frame_shapes) -> int:
    """Bytes of the engine of one stage of a variant."""
    (given,) = (each for each in read_graphs(bundle.path, variant) if each.stage == stage)
    return build(given.model, shapes_of)
