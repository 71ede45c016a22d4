"""TensorRT and TensorRT-RTX on a GPU: they give what PyTorch gave, alone, cloned, in any size, with a graph or not."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from tests.commands import call

import saccade
from saccade.engines.base import EngineOptions, OutputSpec
from saccade.engines.buffers import CACHED_SHAPES
from saccade.engines.frame_range import frame_range
from saccade.engines.gpu.cuda import load_cuda
from saccade.engines.gpu.driver import find_gpu
from saccade.engines.tensorrt.engine import TensorRTEngine
from saccade.engines.tensorrt.library import MODULES, load_library
from saccade.errors import DeviceError, EngineError, RequestError
from saccade.opening import graph_of

pytestmark = [pytest.mark.gpu, pytest.mark.torch]


@pytest.fixture(scope="module", params=MODULES)
def name(request: pytest.FixtureRequest) -> str:
    """An engine that can run here; skipped with the reason where it cannot."""
    if find_spec(MODULES[request.param]) is None:
        pytest.skip(f"{request.param} is not installed")
    try:
        gpu = find_gpu(load_cuda())
    except DeviceError as error:
        pytest.skip(str(error))
    here, made_for = "SM{}{}".format(*gpu.compute_capability), load_library(request.param).compute_capabilities
    if made_for and here not in made_for:
        pytest.skip(f"{request.param} is made for {', '.join(made_for)}, and the GPU here is {here}")
    return request.param


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cache for all tests here, of their own."""
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def engine(name: str, tiny_bundle: Path) -> Iterator[TensorRTEngine]:
    made = engine_of(name, tiny_bundle)
    yield made
    made.close()


def engine_of(name: str, path: Path, **settings: bool) -> TensorRTEngine:
    bundle = saccade.open_bundle(path)
    graph = graph_of(bundle, bundle.variant("fp32-gpu"))
    return TensorRTEngine(name, graph, EngineOptions("cuda", settings=settings, frames=frame_range(bundle.manifest)))


def inputs_of(seed: int, height: int = 20, width: int = 30) -> dict[str, np.ndarray]:
    frames = np.random.default_rng(seed).integers(0, 256, (1, height, width, 3), np.uint8)
    return {"frames": frames, "channel_order": np.array([0, 1, 2], np.int64)}


def outputs_of(height: int = 20, width: int = 30) -> dict[str, OutputSpec]:
    return {"class_map": OutputSpec((1, height, width), np.uint8), "finite": OutputSpec((1,), np.bool_)}


def class_map(engine: TensorRTEngine, seed: int, height: int = 20, width: int = 30) -> np.ndarray:
    return engine.run(inputs_of(seed, height, width), outputs_of(height, width))["class_map"].copy()


@pytest.mark.parametrize("bundle", ["shipped_bundle", "plates_bundle", "denoise_bundle"])
def test_golden_frames_are_what_pytorch_gave(
    capfd: pytest.CaptureFixture[str], request: pytest.FixtureRequest, name: str, bundle: str
) -> None:
    path: Path = request.getfixturevalue(bundle)
    built = call(capfd, "build", path, "--engine", name, "--json")
    assert built.code == 0, built.out
    assert built.document["ran"] is True
    assert built.document["passed"] is True
    verified = call(capfd, "verify", path, "--engine", name, "--device", "cuda", "--json")
    assert verified.code == 0, verified.out


def test_other_weights_do_not_pass(name: str, tiny_bundle: Path, tmp_path: Path) -> None:
    """The twin that must fail: another seed's engine on the first one's frames."""
    from tests.tiny import export_tiny

    other = export_tiny(tmp_path, seed=1, name="other")
    first, second = (class_map(engine_of(name, path), 1, 64, 96) for path in (tiny_bundle, other))
    assert np.mean(first == second) < 0.99


def test_it_agrees_with_onnx_runtime(engine: TensorRTEngine, tiny_bundle: Path) -> None:
    with saccade.open(tiny_bundle, engine="onnxruntime", device="cpu") as task:
        for seed, (height, width) in enumerate(((20, 30), (64, 96), (33, 7), (1, 1))):
            frame = inputs_of(seed, height, width)["frames"][0]
            assert np.mean(class_map(engine, seed, height, width)[0] == task(frame).class_map) >= 0.999


def test_results_are_equal_with_and_without_cuda_graphs(name: str, tiny_bundle: Path) -> None:
    with_graph, without = (engine_of(name, tiny_bundle, cuda_graph=on) for on in (True, False))
    for seed in range(6):
        assert np.array_equal(class_map(with_graph, seed), class_map(without, seed))
    for seed, width in enumerate((30, 40, 30, 30, 30, 40)):
        assert np.array_equal(class_map(with_graph, seed, width=width), class_map(without, seed, width=width))
    with_graph.close()
    without.close()


def test_sizes_may_change_at_any_frame_and_buffers_are_bounded(engine: TensorRTEngine) -> None:
    first = class_map(engine, 1)
    for width in range(31, 31 + 2 * CACHED_SHAPES):
        assert class_map(engine, 1, width=width).shape == (1, 20, width)
    assert np.array_equal(class_map(engine, 1), first)


def test_clones_run_in_threads_of_their_own(engine: TensorRTEngine) -> None:
    expected = [class_map(engine, seed) for seed in range(8)]
    clones = [engine.clone() for _ in range(2)]

    def work(clone: TensorRTEngine) -> list[np.ndarray]:
        return [class_map(clone, seed % 8) for seed in range(80)]

    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(work, clones):
            assert all(np.array_equal(each, expected[index % 8]) for index, each in enumerate(found))
    for clone in clones:
        clone.close()


def test_closing_one_leaves_its_clones(engine: TensorRTEngine) -> None:
    clone = engine.clone()
    expected = class_map(clone, 3)
    other = clone.clone()
    clone.close()
    assert np.array_equal(class_map(other, 3), expected)
    with pytest.raises(EngineError, match="closed"):
        clone.run(inputs_of(1), outputs_of())
    other.close()


def test_its_own_input_buffer_is_taken_as_it_is(engine: TensorRTEngine) -> None:
    given = inputs_of(5)
    buffer = engine.input_buffer("frames", given["frames"].shape, np.uint8)
    np.copyto(buffer, given["frames"])
    found = engine.run({**given, "frames": buffer}, outputs_of())["class_map"].copy()
    assert np.array_equal(found, class_map(engine, 5))


def test_frames_beyond_the_range_are_refused_and_the_next_one_runs(engine: TensorRTEngine) -> None:
    with pytest.raises(RequestError, match="saccade build with --min-frame, --max-frame"):
        engine.run(inputs_of(1, 1081, 20), outputs_of(1081, 20))
    assert class_map(engine, 1).shape == (1, 20, 30)


@pytest.mark.parametrize("wrong", ["an input less", "an input of another type", "an output of another shape"])
def test_what_does_not_fit_the_engine_is_refused(engine: TensorRTEngine, wrong: str) -> None:
    given, asked = inputs_of(1), outputs_of()
    if wrong == "an input less":
        del given["channel_order"]
    elif wrong == "an input of another type":
        given["frames"] = given["frames"].astype(np.float32)
    else:
        asked["class_map"] = replace(asked["class_map"], shape=(1, 20, 31))
    with pytest.raises(EngineError):
        engine.run(given, asked)
    assert class_map(engine, 1).shape == (1, 20, 30)


def test_memory_does_not_grow_while_frames_run(engine: TensorRTEngine) -> None:
    cuda = load_cuda()
    for width in range(30, 50):
        class_map(engine, 1, width=width)
    _, before, _ = cuda.cudaMemGetInfo()
    for _ in range(10):
        for width in range(30, 50):
            class_map(engine, 1, width=width)
    _, after, _ = cuda.cudaMemGetInfo()
    assert before - after < 8 << 20


def test_waiting_for_nothing_is_an_error(engine: TensorRTEngine) -> None:
    with pytest.raises(EngineError, match="without submit"):
        engine.wait()
