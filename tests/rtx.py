"""NVIDIA's own parser and builder, TensorRT-RTX's, which need no GPU. Running what they build does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx_ir as ir
import pytest

import saccade
from saccade.opening import graph_of

trt: Any = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")

SIZES_HW = ((64, 64), (544, 960), (1024, 1024))
"""Of the smallest, the usual and the largest frame."""

COUNTS = (1, 1, 4)
SHAPES: dict[str, Callable[[int, int, int], tuple[int, ...]]] = {
    "frames": lambda count, height, width: (count, height, width, 3),
    "noise": lambda count, height, width: (count, height, width, 3),
    "state": lambda count, height, width: (count, 3, height, width),
    "map": lambda count, height, width: (count, 1, height, width),
    "level": lambda count, height, width: (count, 1, height, width),
    "time": lambda count, _height, _width: (count,),
}
"""The inputs whose shapes vary. A level may also be one number a frame; what is not here always is."""


def shape_of(name: str, count: int, height: int, width: int) -> tuple[int, ...]:
    return SHAPES[name](count, height, width) if name in SHAPES else (count, 1, 1, 1)


def built(parse: Callable[[Any], bool]) -> int:
    """Bytes of the engine that TensorRT-RTX builds. Raises ``ValueError`` with the parser's reasons."""
    builder = trt.Builder(trt.Logger(trt.Logger.INTERNAL_ERROR))
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, trt.Logger(trt.Logger.INTERNAL_ERROR))
    if not parse(parser):
        raise ValueError("; ".join(parser.get_error(index).desc() for index in range(parser.num_errors)))
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    for name in (value.name for value in inputs if -1 in tuple(value.shape)):
        least, usual, most = (shape_of(name, count, *size) for count, size in zip(COUNTS, SIZES_HW, strict=True))
        assert profile.set_shape(name, (1, 1, 1, 1) if name == "level" else least, usual, most) is not False
    assert config.add_optimization_profile(profile) >= 0
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise ValueError("the builder gave no engine")
    return engine.nbytes


def build(model: ir.Model) -> int:
    """Bytes of the engine of a graph in memory."""
    data = ir.serde.serialize_model(model).SerializeToString()
    return built(lambda parser: parser.parse(data))


def build_graph(bundle: saccade.Bundle, variant: str, stage: str) -> int:
    """Bytes of the engine of one stage of a variant."""
    with graph_of(bundle, bundle.variant(variant), stage).on_disk() as path:
        return built(lambda parser: parser.parse_from_file(str(path)))
