"""NVIDIA's own parser and builder on every graph of a restorer. They need no GPU; running what they build does."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.rtx import build, build_graph
from tests.tiny import TinyBridge, seeded

import saccade
from saccade.spec import RESTORING, Restoring
from saccade_export.capture_restorer import CapturedRestorer, capture_restorer
from saccade_export.contract import restore_spec
from saccade_export.lower.restore import FRAME_TYPES, Lowering
from saccade_export.step_tables import bridge_table

pytestmark = pytest.mark.torch


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
