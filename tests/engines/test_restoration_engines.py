"""NVIDIA's own parser and builder on every graph of a restorer. They need no GPU; running what they build does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx_ir as ir
import pytest
from tests.tiny import TinyBridge, seeded

import saccade
from saccade.opening import graph_of
from saccade.spec import RESTORING, Restoring
from saccade_export.capture_restorer import CapturedRestorer, capture_restorer
from saccade_export.contract import restore_spec
from saccade_export.lower.restore import FRAME_TYPES, Lowering
from saccade_export.step_tables import bridge_table

trt: Any = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")
pytestmark = pytest.mark.torch

SIZES_HW = ((64, 64), (544, 960), (1024, 1024))
"""Of the smallest, the usual and the largest tile."""

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
    varying = {network.get_input(index).name for index in range(network.num_inputs)} - {"channel_order"}
    for name in varying:
        least, usual, most = (shape_of(name, count, *size) for count, size in zip(COUNTS, SIZES_HW, strict=True))
        assert profile.set_shape(name, (1, 1, 1, 1) if name == "level" else least, usual, most) is not False
    assert config.add_optimization_profile(profile) >= 0
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise ValueError("the builder gave no engine")
    return engine.nbytes


def build(model: ir.Model) -> int:
    data = ir.serde.serialize_model(model).SerializeToString()
    return built(lambda parser: parser.parse(data))


def build_graph(bundle: saccade.Bundle, variant: str, stage: str) -> int:
    with graph_of(bundle, bundle.variant(variant), stage).on_disk() as path:
        return built(lambda parser: parser.parse_from_file(str(path)))


@pytest.fixture(scope="module")
def captured() -> CapturedRestorer:
    return capture_restorer(seeded(TinyBridge), [(1.0,), bridge_table(4).times], 8)


def lowering(mode: Restoring, entry: str) -> Lowering:
    return Lowering(restore_spec(mode, {"1": bridge_table(1)}), entry)


def test_every_graph_of_the_gpu_variants_builds(tiny_restorer_bundle: Path) -> None:
    bundle = saccade.open_bundle(tiny_restorer_bundle)
    graphs: dict[str, tuple[str, str]] = {}
    for variant in bundle.manifest.variants:
        if variant.target == "gpu":
            graphs |= {member: (variant.name, stage) for stage, member in variant.graphs.items()}
    assert sum(stage == "main" for _, stage in graphs.values()) == 6  # 1, 2 and 4 steps of bytes, and of floats
    assert sum(stage != "main" for _, stage in graphs.values()) == 5  # both step with the same network
    assert all(build_graph(bundle, *graph) > 10_000 for graph in graphs.values())


@pytest.mark.parametrize("entry", FRAME_TYPES)
@pytest.mark.parametrize("mode", RESTORING)
def test_every_mode_builds(captured: CapturedRestorer, mode: Restoring, entry: str) -> None:
    made = lowering(mode, entry)
    models = [made.prepare(), *(made.unrolled(model.clone()) for model in captured.unrolled.values())]
    inputs = {value.name for value in models[0].graph.inputs}
    assert ("noise" in inputs) == (mode == "inpaint")
    assert ("level" in inputs) == (mode != "super-resolution")
    assert all(build(model) > 10_000 for model in models)


def test_super_resolution_enlarges_with_a_cubic_kernel() -> None:
    """What the builder is asked for, so that building it says something."""
    (resize,) = (node for node in lowering("super-resolution", "uint8").prepare().graph if node.op_type == "Resize")
    assert resize.attributes["mode"].as_string() == "cubic"


@pytest.mark.parametrize(
    "name", ["NonMaxSuppression", "SequenceEmpty", "NoSuchOperator"], ids=["detection's", "sequences", "unknown"]
)
def test_a_graph_with_an_operator_that_it_lacks_does_not_build(captured: CapturedRestorer, name: str) -> None:
    model = lowering("denoise", "uint8").unrolled(captured.unrolled[1].clone())
    assert build(model) > 10_000
    node = next(node for node in model.graph if node.op_type == "Gather")
    node.op_type = name
    with pytest.raises(ValueError, match=r"\S"):
        build(model)
