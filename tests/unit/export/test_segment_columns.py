"""The best class by columns against upsampling all scores: the same map, in every engine for CPUs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from saccade_export.lower.graph import GraphWriter
from saccade_export.lower.image_parts import BILINEAR
from saccade_export.lower.segment_columns import _agreed, _rows, _stretches, best_class_by_columns

pytestmark = pytest.mark.torch

Array = np.ndarray
Lowered = Callable[[GraphWriter, ir.Value, ir.Value], ir.Value]


def upsampled(graph: GraphWriter, scores: ir.Value, frames: ir.Value) -> ir.Value:
    """Every class's score at every pixel, (N, H, W, C)."""
    nc = graph.add("Shape", "nc", scores, end=2)
    size = graph.add("Concat", "size", nc, graph.add("Shape", "hw", frames, start=1, end=3), axis=0)
    planes = graph.add("Resize", "scores_at_frame", scores, None, None, size, **BILINEAR)
    return graph.add("Transpose", "scores_last", planes, perm=[0, 2, 3, 1])


def two_classes_alone(graph: GraphWriter, scores: ir.Value, frames: ir.Value) -> ir.Value:
    """By columns, as if no third class ever came between two."""
    return _agreed(graph, _stretches(graph, scores, frames), _rows(graph, scores, frames))


def model(lowered: Lowered) -> bytes:
    graph = GraphWriter()
    scores = graph.add_input("scores", ir.DataType.FLOAT, ("N", "C", "h", "w"))
    frames = graph.add_input("frames", ir.DataType.UINT8, ("N", "H", "W", 3))
    value = lowered(graph, scores, frames)
    dtype, shape = (ir.DataType.FLOAT, "NHWC") if lowered is upsampled else (ir.DataType.UINT8, "NHW")
    graph.add_output(value, "result", dtype, tuple(shape))
    return ir.serde.serialize_model(graph.model()).SerializeToString()


def in_onnxruntime(lowered: Lowered) -> Callable[[Array, Array], Array]:
    session = onnxruntime.InferenceSession(model(lowered), providers=["CPUExecutionProvider"])
    return lambda scores, frames: session.run(None, {"scores": scores, "frames": frames})[0]


def in_openvino(lowered: Lowered) -> Callable[[Array, Array], Array]:
    pytest.importorskip("openvino", reason="openvino is not installed")
    from saccade.engines.openvino import CORE as core  # noqa: N811 - one for the process

    compiled = core.compile_model(core.read_model(model(lowered)), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda scores, frames: compiled([scores, frames])[0]


def smooth(rng: np.random.Generator, n: int, classes: int, h: int, w: int) -> Array:
    """Scores that change over several cells, as a network's do."""
    rows, columns = np.mgrid[0:h, 0:w].astype(np.float32) / 6
    phases = rng.uniform(0, 6, (4, n, classes, 1, 1)).astype(np.float32)
    return np.sin(rows + phases[0]) * phases[2] + np.cos(columns * 0.7 + rows * 0.3 + phases[1]) * phases[3]


def ties(rng: np.random.Generator, n: int, classes: int, h: int, w: int) -> Array:
    """Whole numbers: the best classes of a pixel are often several."""
    return rng.integers(0, 3, (n, classes, h, w)).astype(np.float32)


def noise(rng: np.random.Generator, n: int, classes: int, h: int, w: int) -> Array:
    """Nothing like a picture: a third class comes between two nearly everywhere."""
    return rng.normal(size=(n, classes, h, w)).astype(np.float32)


CASES = [
    (1, 11, 45, 60, 360, 480),
    (2, 5, 9, 7, 97, 131),
    (1, 19, 30, 40, 30, 40),
    (1, 4, 45, 60, 20, 31),
    (3, 2, 1, 9, 20, 30),
    (1, 3, 6, 1, 20, 30),
    (2, 6, 1, 1, 5, 4),
    (1, 150, 5, 8, 41, 64),
    (1, 11, 4, 5, 1, 1),
    (1, 2, 12, 16, 1080, 7),
]


@pytest.mark.parametrize("engine", [in_onnxruntime, in_openvino])
@pytest.mark.parametrize("kind", [smooth, ties, noise])
def test_the_map_is_that_of_upsampled_scores(
    engine: Callable[..., Callable[..., Array]], kind: Callable[..., Array]
) -> None:
    rng = np.random.default_rng(3)
    scores_by, found_by = in_onnxruntime(upsampled), engine(best_class_by_columns)
    for n, classes, h, w, height, width in CASES:
        scores, frames = kind(rng, n, classes, h, w), np.zeros((n, height, width, 3), np.uint8)
        found, at_frame = found_by(scores, frames), scores_by(scores, frames)
        assert found.shape == (n, height, width)
        assert found.dtype == np.uint8
        chosen = np.take_along_axis(at_frame, found[..., None].astype(np.int64), -1)[..., 0]
        assert np.all(chosen >= at_frame.max(-1) - 1e-5 * np.abs(at_frame).max())
        if kind is not ties:  # of several best classes either will do
            assert np.mean(found != at_frame.argmax(-1)) <= 1e-5


def test_two_classes_alone_would_not_do() -> None:
    """The twin: what the pixels of disputed stretches are computed one by one for."""
    rng = np.random.default_rng(3)
    scores, frames = noise(rng, 1, 11, 45, 60), np.zeros((1, 360, 480, 3), np.uint8)
    expected = in_onnxruntime(upsampled)(scores, frames).argmax(-1)
    assert np.mean(in_onnxruntime(two_classes_alone)(scores, frames) != expected) > 0.05
    assert np.array_equal(in_onnxruntime(best_class_by_columns)(scores, frames), expected)


@pytest.mark.parametrize("engine", [in_onnxruntime, in_openvino])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_scores_that_are_no_numbers_give_some_class(engine: Callable[..., Callable[..., Array]], value: float) -> None:
    scores = noise(np.random.default_rng(0), 1, 7, 6, 8)
    scores[0, 2, 1:4, 2:5] = value
    found = engine(best_class_by_columns)(scores, np.zeros((1, 50, 70, 3), np.uint8))
    assert found.shape == (1, 50, 70)
    assert found.max() < 7
