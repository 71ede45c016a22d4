"""One suite for every engine: what the protocol promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from tests.tiny import SIZE_HW

from saccade import engines
from saccade.bundle import open_bundle
from saccade.engines.base import Engine, EngineOptions, Graph, ImageGraph, OutputSpec
from saccade.engines.buffers import CACHED_SHAPES
from saccade.engines.onnxruntime.cpu import OnnxRuntimeEngine
from saccade.engines.openvino import OpenVinoEngine
from saccade.errors import EngineError
from saccade.opening import graph_of
from saccade_export.precision.graphs import model_of, split
from saccade_export.reference import ReferenceEngine

ENGINES = {"onnxruntime": OnnxRuntimeEngine, "openvino": OpenVinoEngine, "reference": ReferenceEngine}
PREPARED = "openvino, its image prepared by onnxruntime"


@pytest.fixture(params=[*ENGINES, PREPARED])
def make_engine(request: pytest.FixtureRequest, tiny_bundle: Path) -> Callable[[], Engine]:
    if request.param == PREPARED:
        parts = in_two_parts(tiny_bundle)
        return lambda: engines.load("openvino", parts, EngineOptions(threads=1))
    bundle = open_bundle(tiny_bundle)
    graph = graph_of(bundle, bundle.variant("fp32-cpu"))
    return lambda: ENGINES[request.param](graph, EngineOptions(threads=1))


def in_two_parts(path: Path) -> Graph:
    """The graph for CPUs, with what prepares its image apart."""
    bundle = open_bundle(path)
    variant = bundle.variant("fp32-cpu")
    first, rest = (
        Graph(name, memoryview(ir.to_proto(model).SerializeToString()), {}, variant.opset)
        for name, model in zip(("image.onnx", "main.onnx"), split(model_of(bundle, variant), SIZE_HW), strict=True)
    )
    return replace(rest, prepare=ImageGraph(first, SIZE_HW))


def inputs_of(seed: int, height: int = 20, width: int = 30) -> dict[str, np.ndarray]:
    frames = np.random.default_rng(seed).integers(0, 256, (1, height, width, 3), np.uint8)
    return {"frames": frames, "channel_order": np.array([0, 1, 2], np.int64)}


def outputs_of(height: int = 20, width: int = 30) -> dict[str, OutputSpec]:
    return {"class_map": OutputSpec((1, height, width), np.uint8), "finite": OutputSpec((1,), np.bool_)}


def test_submit_and_wait_give_what_run_gives(make_engine: Callable[[], Engine]) -> None:
    engine = make_engine()
    engine.submit(inputs_of(1), outputs_of())
    waited = {name: array.copy() for name, array in engine.wait().items()}
    ran = engine.run(inputs_of(1), outputs_of())
    assert all(np.array_equal(waited[name], ran[name]) for name in ("class_map", "finite"))
    assert len(np.unique(waited["class_map"])) > 1


def test_read_only_inputs_are_taken_as_they_are(make_engine: Callable[[], Engine]) -> None:
    engine = make_engine()
    given = inputs_of(1)
    for array in given.values():
        array.flags.writeable = False
    locked = engine.run(given, outputs_of())["class_map"].copy()
    assert np.array_equal(locked, engine.run(inputs_of(1), outputs_of())["class_map"])


def test_output_buffers_are_the_engines_and_are_reused(make_engine: Callable[[], Engine]) -> None:
    engine = make_engine()
    first = engine.run(inputs_of(1), outputs_of())["class_map"]
    before = first.copy()
    second = engine.run(inputs_of(2), outputs_of())["class_map"]
    assert second is first
    assert not np.array_equal(before, second)


def test_a_clone_has_buffers_of_its_own(make_engine: Callable[[], Engine]) -> None:
    engine = make_engine()
    first = engine.run(inputs_of(1), outputs_of())["class_map"]
    before = first.copy()
    other = engine.clone().run(inputs_of(2), outputs_of())["class_map"]
    assert np.array_equal(first, before)
    assert not np.array_equal(first, other)


def test_buffers_are_kept_for_a_bounded_number_of_sizes(make_engine: Callable[[], Engine]) -> None:
    engine = make_engine()
    first = engine.run(inputs_of(1), outputs_of())["class_map"]
    for width in range(31, 31 + CACHED_SHAPES):
        engine.run(inputs_of(1, width=width), outputs_of(width=width))
    assert engine.run(inputs_of(1), outputs_of())["class_map"] is not first


def test_waiting_for_nothing_is_an_error(make_engine: Callable[[], Engine]) -> None:
    with pytest.raises(EngineError, match="without submit"):
        make_engine().wait()


@pytest.mark.parametrize("make_engine", ["openvino", PREPARED], indirect=True)
def test_what_goes_on_in_the_background_is_waited_for_first(make_engine: Callable[[], Engine]) -> None:
    engine = make_engine()
    engine.submit(inputs_of(1), outputs_of())
    with pytest.raises(EngineError, match="twice without wait"):
        engine.submit(inputs_of(2), outputs_of())
    first = engine.wait()["class_map"].copy()
    assert np.array_equal(first, engine.run(inputs_of(1), outputs_of())["class_map"])


def test_closing_takes_back_what_was_submitted(make_engine: Callable[[], Engine]) -> None:
    engine = make_engine()
    engine.submit(inputs_of(1), outputs_of())
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.submit(inputs_of(1), outputs_of())


def test_a_closed_engine_says_so(make_engine: Callable[[], Engine]) -> None:
    engine = make_engine()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.run(inputs_of(1), outputs_of())


def test_engines_agree(tiny_bundle: Path) -> None:
    bundle = open_bundle(tiny_bundle)
    graph = graph_of(bundle, bundle.variant("fp32-cpu"))
    maps = [make(graph, EngineOptions()).run(inputs_of(3), outputs_of())["class_map"] for make in ENGINES.values()]
    assert np.mean(maps[0] == maps[1]) >= 0.999


def test_an_image_that_is_prepared_apart_is_the_same_image(tiny_bundle: Path) -> None:
    """Its twin takes the channels in another order, and shows another map."""
    bundle = open_bundle(tiny_bundle)
    whole = OnnxRuntimeEngine(graph_of(bundle, bundle.variant("fp32-cpu")), EngineOptions(threads=1))
    parts = engines.load("openvino", in_two_parts(tiny_bundle), EngineOptions(threads=1))
    for seed, height, width in ((1, 20, 30), (2, 300, 200), (3, 32, 48)):
        inputs, outputs = inputs_of(seed, height, width), outputs_of(height, width)
        expected = whole.run(inputs, outputs)["class_map"]
        assert np.mean(expected == parts.run(inputs, outputs)["class_map"]) >= 0.999
        turned = {**inputs, "channel_order": np.array([2, 1, 0], np.int64)}
        assert np.mean(expected == parts.run(turned, outputs)["class_map"]) < 0.999


def test_threads_that_prepare_images_rest_between_frames(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, EngineOptions]] = []
    load = engines._load
    monkeypatch.setattr(
        engines, "_load", lambda name, graph, options: asked.append((name, options)) or load(name, graph, options)
    )
    engines.load("openvino", in_two_parts(tiny_bundle), EngineOptions(threads=1))
    (first, resting), (second, own) = asked
    assert (first, resting.settings, resting.threads) == ("onnxruntime", engines.RESTING, 1)
    assert (second, own.settings) == ("openvino", None)


def test_without_what_prepares_its_image_a_variant_is_out_of_reach(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = open_bundle(tiny_bundle).variant("fp32-cpu")
    apart = replace(whole, graphs={**whole.graphs, "image": "graphs/image.onnx"})
    assert engines.lacks("openvino", apart, "cpu") is None
    monkeypatch.setattr(engines, "installed", lambda: ("openvino",))
    assert engines.lacks("openvino", whole, "cpu") is None
    assert "pip install 'saccade[ort]'" in str(engines.lacks("openvino", apart, "cpu"))


def test_the_description_says_what_runs(make_engine: Callable[[], Engine]) -> None:
    info = make_engine().describe()
    assert info.name in ENGINES
    assert info.device == "cpu"
    assert info.version
