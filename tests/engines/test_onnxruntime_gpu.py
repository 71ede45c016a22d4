"""ONNX Runtime's GPU engine, around the real library: buffers, streams, CUDA graphs, placement, refusals.

CUDA is stood in for, its "device" memory being the CPU's, and the CPU provider computes in CUDA's place. That a GPU
does the same is for the tests marked ``gpu``.
"""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
import pytest
from tests.commands import call
from tests.stand_in_tensorrt import FAILURE, NO_MEMORY, Cuda

from saccade.bundle import open_bundle
from saccade.engines.base import EngineOptions, Graph, OutputSpec
from saccade.engines.buffers import CACHED_SHAPES
from saccade.engines.frame_range import FrameRange
from saccade.engines.gpu.cuda import load_cuda
from saccade.engines.gpu.driver import find_gpu
from saccade.engines.onnxruntime import gpu, providers, sessions
from saccade.engines.onnxruntime.cpu import OnnxRuntimeEngine
from saccade.engines.onnxruntime.gpu import OnnxRuntimeGpuEngine
from saccade.engines.onnxruntime.placement import check_placement, placement_of
from saccade.errors import DeviceError, EngineError, RequestError
from saccade.opening import graph_of

pytestmark = pytest.mark.torch

CPU = "CPUExecutionProvider"


class Device:
    """A stand-in GPU and what CUDA is asked for. ``refuses_graphs``: as ONNX Runtime does where it cannot record."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cuda, self.asked, self.refuses_graphs = Cuda(), list[dict[str, str]](), False
        self.ask_cuda, self.create = providers.cuda_providers, sessions.create
        monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", cast(ModuleType, self.cuda))
        monkeypatch.setattr(sessions, "available", lambda: (CPU, "CUDAExecutionProvider", "TensorrtExecutionProvider"))
        monkeypatch.setattr(providers, "cuda_providers", self.on_cpu)
        monkeypatch.setattr(gpu, "DEVICE", "cpu")
        monkeypatch.setattr(gpu, "_on_host", lambda session: frozenset())

    def on_cpu(self, options: EngineOptions, stream: int, *, is_recorded: bool) -> list[str]:
        [(name, asked)] = self.ask_cuda(options, stream, is_recorded=is_recorded)
        assert name == "CUDAExecutionProvider"
        self.asked.append(dict(asked))
        if self.refuses_graphs and is_recorded:
            raise EngineError("This session cannot use the graph capture feature as requested by the user")
        return [CPU]

    @property
    def live(self) -> dict[str, int]:
        gc.collect()
        return {kind: len(held) for kind, held in self.cuda.live.items() if held}


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    return Device(monkeypatch)


@pytest.fixture
def graph(tiny_bundle: Path) -> Graph:
    bundle = open_bundle(tiny_bundle)
    return graph_of(bundle, bundle.variant("fp32-gpu"))


@pytest.fixture
def engine(device: Device, graph: Graph) -> Iterator[OnnxRuntimeGpuEngine]:
    made = opened(graph)
    yield made
    made.close()


def opened(graph: Graph, *, allow_fallback: bool = False, **settings: Any) -> OnnxRuntimeGpuEngine:
    return OnnxRuntimeGpuEngine("onnxruntime", graph, EngineOptions("cuda", None, allow_fallback, settings))


def run(engine: Any, seed: int, height: int = 20, width: int = 30) -> np.ndarray:
    frames = np.random.default_rng(seed).integers(0, 256, (1, height, width, 3), np.uint8)
    outputs = {"class_map": OutputSpec((1, height, width), np.uint8), "finite": OutputSpec((1,), np.bool_)}
    found = engine.run({"frames": frames, "channel_order": np.array([0, 1, 2], np.int64)}, outputs)
    assert found["finite"].all()
    return found["class_map"].copy()


def numbers_of(engine: OnnxRuntimeGpuEngine) -> list[str]:
    """Of the CUDA graphs that the kept sizes are recorded in."""
    return [bound.run_options.get_run_config_entry("gpu_graph_id") for bound in engine._bounds._kept.values()]


class TestRunning:
    @pytest.mark.parametrize("is_integrated", [False, True])
    def test_every_frame_gives_what_the_cpu_gives(self, device: Device, graph: Graph, is_integrated: bool) -> None:
        device.cuda.integrated = is_integrated
        engine, cpu = opened(graph), OnnxRuntimeEngine(graph, EngineOptions(threads=1))
        for seed, (height, width) in enumerate([(20, 30)] * 3 + [(1, 1), (64, 96), (33, 7)] * 2 + [(20, 30)]):
            assert np.array_equal(run(engine, seed, height, width), run(cpu, seed, height, width))
        assert ("cudaMemcpyAsync" in device.cuda.calls) == (not is_integrated)
        engine.close()

    def test_other_weights_do_not_give_the_same(self, device: Device, graph: Graph, tmp_path: Path) -> None:
        """The twin that must fail."""
        from tests.tiny import export_tiny

        bundle = open_bundle(export_tiny(tmp_path, seed=1, name="other"))
        other = opened(graph_of(bundle, bundle.variant("fp32-gpu")))
        assert np.mean(run(other, 1, 64, 96) == run(opened(graph), 1, 64, 96)) < 0.99

    def test_it_works_on_the_stream_that_it_gave_the_library(self, device: Device, graph: Graph) -> None:
        engine = opened(graph)
        assert [int(asked["user_compute_stream"]) for asked in device.asked] == list(device.cuda.live["stream"])
        engine.close()

    def test_its_own_input_buffer_is_taken_as_it_is(self, engine: OnnxRuntimeGpuEngine) -> None:
        frames = np.random.default_rng(5).integers(0, 256, (1, 20, 30, 3), np.uint8)
        buffer = engine.input_buffer("frames", frames.shape, np.uint8)
        np.copyto(buffer, frames)
        outputs = {"class_map": OutputSpec((1, 20, 30), np.uint8)}
        given = {"frames": buffer, "channel_order": np.array([0, 1, 2], np.int64)}
        assert np.array_equal(engine.run(given, outputs)["class_map"].copy(), run(engine, 5))

    def test_clones_have_sessions_and_streams_of_their_own(self, device: Device, graph: Graph) -> None:
        engine = opened(graph)
        expected = [run(engine, seed) for seed in range(8)]
        clones = [engine.clone() for _ in range(2)]
        assert len(device.cuda.live["stream"]) == 3
        with ThreadPoolExecutor(2) as pool:
            for found in pool.map(lambda clone: [run(clone, seed % 8) for seed in range(40)], clones):
                assert all(np.array_equal(each, expected[index % 8]) for index, each in enumerate(found))
        for each in (engine, *clones):
            each.close()
        assert device.live == {}

    def test_everything_is_given_back(self, device: Device, graph: Graph) -> None:
        engine = opened(graph)
        for width in range(30, 30 + 2 * CACHED_SHAPES):
            run(engine, 1, width=width)
        held = device.live
        assert held["device"] <= 4 * CACHED_SHAPES
        engine.close()
        engine.close()
        assert device.live == {}
        with pytest.raises(EngineError, match="closed"):
            run(engine, 1)

    @pytest.mark.parametrize("call", ["cudaStreamCreateWithFlags", "cudaEventCreateWithFlags"])
    def test_what_fails_while_it_opens_leaves_nothing(self, device: Device, graph: Graph, call: str) -> None:
        device.cuda.failing[call] = FAILURE
        with pytest.raises(EngineError, match="cudaErrorUnknown"):
            opened(graph)
        assert device.live == {}

    def test_no_memory_is_told_and_the_next_frame_runs(self, device: Device, engine: OnnxRuntimeGpuEngine) -> None:
        device.cuda.failing["cudaMalloc"] = NO_MEMORY
        with pytest.raises(EngineError, match="out of memory while allocating"):
            run(engine, 1)
        device.cuda.failing.clear()
        assert run(engine, 1).shape == (1, 20, 30)

    def test_an_input_that_the_graph_has_not_is_told(self, engine: OnnxRuntimeGpuEngine) -> None:
        outputs = {"class_map": OutputSpec((1, 20, 30), np.uint8)}
        with pytest.raises(EngineError, match="pictures"):
            engine.run({"pictures": np.zeros((1, 20, 30, 3), np.uint8)}, outputs)


class TestCudaGraphs:
    def test_each_of_the_first_sizes_is_recorded_and_no_more(self, engine: OnnxRuntimeGpuEngine) -> None:
        for width in range(30, 30 + CACHED_SHAPES):
            run(engine, 1, width=width)
        assert numbers_of(engine) == [str(1 + index) for index in range(CACHED_SHAPES)]
        for width in range(100, 100 + CACHED_SHAPES):
            run(engine, 1, width=width)
        assert numbers_of(engine) == ["-1"] * CACHED_SHAPES

    @pytest.mark.parametrize(("settings", "asked"), [({}, ["1"]), ({"cuda_graph": False}, ["0"])])
    def test_a_bundle_may_leave_them_out(
        self, device: Device, graph: Graph, settings: dict[str, bool], asked: list[str]
    ) -> None:
        opened(graph, allow_fallback=True, **settings).close()
        assert [each["enable_cuda_graph"] for each in device.asked] == asked

    def test_a_network_that_fails_while_it_is_recorded_runs_without(
        self, device: Device, engine: OnnxRuntimeGpuEngine, caplog: pytest.LogCaptureFixture
    ) -> None:
        before, expected = engine._session, run(engine, 3)
        engine._session = Failing(before)
        with caplog.at_level(logging.WARNING):
            assert np.array_equal(run(engine, 3), expected)
        assert [asked["enable_cuda_graph"] for asked in device.asked] == ["1", "0"]
        assert "cannot record the network in a CUDA graph, and runs without" in caplog.text
        assert "operation not permitted when stream is capturing" in caplog.text

    def test_a_network_that_fails_without_them_is_an_error(self, engine: OnnxRuntimeGpuEngine) -> None:
        engine._is_recorded = False
        engine._session = Failing(engine._session)
        with pytest.raises(EngineError, match="failed while running: operation not permitted"):
            run(engine, 3)


class Failing:
    """A session whose runs fail as a recording does."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def run_with_iobinding(self, binding: Any, run_options: Any) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


class TestPlacement:
    """The CPU provider computes everything here, which is what must not go unseen."""

    def test_nodes_on_the_cpu_are_refused_and_named(self, device: Device, graph: Graph) -> None:
        device.refuses_graphs = True
        with pytest.raises(DeviceError, match=r"leaves \d+ of the network's nodes to the CPU: .*\(Conv\)") as told:
            opened(graph)
        assert "allow_fallback=True" in str(told.value)
        assert device.live == {}

    def test_they_run_where_that_is_allowed(self, device: Device, graph: Graph) -> None:
        device.refuses_graphs = True
        engine = opened(graph, allow_fallback=True)
        assert run(engine, 1).shape == (1, 20, 30)
        engine.close()

    def test_shapes_may_be_computed_on_the_cpu_and_images_may_not(self) -> None:
        placed = {"CUDAExecutionProvider": ("a (Conv)",), CPU: ("b (Shape)", "c (Gather)", "d (Concat)")}
        check_placement(placed, "CUDAExecutionProvider", allow_fallback=False)
        with pytest.raises(DeviceError, match=r"leaves 1 of the network's nodes to the CPU: e \(TopK\);"):
            check_placement({**placed, CPU: (*placed[CPU], "e (TopK)")}, "CUDAExecutionProvider", allow_fallback=False)

    def test_a_placement_that_is_not_told_is_refused(self) -> None:
        assert placement_of(object()) is None
        with pytest.raises(DeviceError, match=r"install onnxruntime 1\.24 or newer"):
            check_placement(None, "CUDAExecutionProvider", allow_fallback=False)
        check_placement(None, "CUDAExecutionProvider", allow_fallback=True)


class TestRequests:
    def test_another_device_is_refused(self, graph: Graph) -> None:
        with pytest.raises(RequestError, match="onnxruntime-tensorrt runs on NVIDIA GPUs"):
            OnnxRuntimeGpuEngine("onnxruntime-tensorrt", graph, EngineOptions("cpu"))

    @pytest.mark.parametrize("name", ["onnxruntime", "onnxruntime-tensorrt"])
    def test_a_build_without_the_provider_is_told(
        self, graph: Graph, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.setattr(sessions, "available", lambda: (CPU,))
        with pytest.raises(DeviceError, match=r"has CPUExecutionProvider; install saccade\[cuda\]"):
            OnnxRuntimeGpuEngine(name, graph, EngineOptions("cuda"))

    def test_a_provider_that_does_not_load_is_told(self, device: Device, graph: Graph) -> None:
        """ONNX Runtime warns and takes the CPU; TensorRT's provider is not in the build that is installed here."""
        frames = FrameRange((1, 1), (32, 32), (64, 64))
        with pytest.warns(UserWarning, match="TensorrtExecutionProvider"), pytest.raises(DeviceError) as told:
            OnnxRuntimeGpuEngine("onnxruntime-tensorrt", graph, EngineOptions("cuda", frames=frames))
        assert "TensorrtExecutionProvider was asked for, but onnxruntime" in str(told.value)
        assert "could only use CPUExecutionProvider" in str(told.value)

    @pytest.mark.parametrize("value", [1, "yes", None])
    def test_a_setting_of_another_type_is_refused(self, device: Device, graph: Graph, value: object) -> None:
        with pytest.raises(EngineError, match="must be true or false"):
            opened(graph, cuda_graph=value)

    def test_tensorrt_is_given_the_range_of_shapes_and_the_precision(self, graph: Graph) -> None:
        options = EngineOptions("cuda", frames=FrameRange((1, 1), (32, 48), (64, 96), batch=2))
        half = Graph(graph.name, graph.model, graph.weights, graph.opset, "fp16")
        (name, asked), cuda = providers.tensorrt_providers(half, options, 7, is_recorded=True)
        assert (name, cuda[0]) == ("TensorrtExecutionProvider", "CUDAExecutionProvider")
        assert asked == {
            "device_id": "0",
            "user_compute_stream": "7",
            "trt_cuda_graph_enable": "1",
            "trt_profile_min_shapes": "frames:1x1x1x3",
            "trt_profile_opt_shapes": "frames:2x32x48x3",
            "trt_profile_max_shapes": "frames:2x64x96x3",
            "trt_fp16_enable": "1",
        }

    def test_a_graph_that_no_cpu_computes_has_no_range(self) -> None:
        options = EngineOptions("cuda", frames=FrameRange((1, 1), (32, 48), (64, 96)))
        (_, asked), _ = providers.tensorrt_providers(
            Graph("main.onnx", memoryview(b"?"), {}, 18), options, 7, is_recorded=False
        )
        assert not [name for name in asked if "profile" in name]


@pytest.mark.gpu
class TestOnAGpu:
    @pytest.fixture(autouse=True, params=["onnxruntime", "onnxruntime-tensorrt"])
    def name(self, request: pytest.FixtureRequest) -> str:
        """An engine that can run here; skipped with the reason where it cannot."""
        wanted = {"onnxruntime": "CUDAExecutionProvider", "onnxruntime-tensorrt": "TensorrtExecutionProvider"}
        if wanted[request.param] not in sessions.available():
            pytest.skip(f"the installed onnxruntime has no {wanted[request.param]}")
        try:
            find_gpu(load_cuda())
        except DeviceError as error:
            pytest.skip(str(error))
        return request.param

    @pytest.mark.parametrize("bundle", ["shipped_bundle", "plates_bundle", "denoise_bundle"])
    def test_golden_frames_are_what_pytorch_gave(
        self, capfd: pytest.CaptureFixture[str], request: pytest.FixtureRequest, name: str, bundle: str
    ) -> None:
        path: Path = request.getfixturevalue(bundle)
        verified = call(capfd, "verify", path, "--engine", name, "--device", "cuda", "--json")
        assert verified.code == 0, verified.out

    def test_results_are_equal_with_and_without_cuda_graphs(self, name: str, graph: Graph) -> None:
        frames = FrameRange((1, 1), (32, 48), (64, 96))
        engines = [
            OnnxRuntimeGpuEngine(name, graph, EngineOptions("cuda", settings={"cuda_graph": is_on}, frames=frames))
            for is_on in (True, False)
        ]
        for seed, width in enumerate((30, 30, 40, 30, 40, 40, 30)):
            first, second = (run(engine, seed, width=width) for engine in engines)
            assert np.array_equal(first, second)
        for engine in engines:
            engine.close()

    def test_clones_run_in_threads_of_their_own(self, name: str, graph: Graph) -> None:
        frames = FrameRange((1, 1), (32, 48), (64, 96))
        engine = OnnxRuntimeGpuEngine(name, graph, EngineOptions("cuda", frames=frames))
        expected = [run(engine, seed) for seed in range(8)]
        clones = [engine.clone() for _ in range(2)]
        with ThreadPoolExecutor(2) as pool:
            for found in pool.map(lambda clone: [run(clone, seed % 8) for seed in range(80)], clones):
                assert all(np.array_equal(each, expected[index % 8]) for index, each in enumerate(found))
        for each in (engine, *clones):
            each.close()
