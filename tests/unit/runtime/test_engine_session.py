"""What our own code does around TensorRT and CUDA: buffers, streams, recordings, frees, and every refusal told.

Both are stood in for: see ``tests.stand_in_tensorrt``. That the real ones do the same is for the tests marked ``gpu``.
"""

from __future__ import annotations

import gc
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image
from tests.commands import call
from tests.stand_in_tensorrt import FAILURE, NO_MEMORY, Context, Cuda, Engine, stand_in

import saccade
from saccade import building
from saccade.engines.base import EngineOptions, Graph, OutputSpec
from saccade.engines.buffers import CACHED_SHAPES
from saccade.engines.cache import EngineCache
from saccade.engines.frame_range import FrameRange
from saccade.engines.gpu.cuda import CudaRuntime
from saccade.engines.tensorrt import engine as engine_module
from saccade.engines.tensorrt.engine import TensorRTEngine
from saccade.engines.tensorrt.names import NvContext, NvEngine, members
from saccade.engines.tensorrt.obtain import remember
from saccade.engines.tensorrt.request import BuildOptions
from saccade.errors import EngineError, RequestError

FRAMES = FrameRange((1, 1), (32, 32), (64, 64), batch=2)
GRAPH = Graph("main.onnx", memoryview(b"graph"), {}, 18)


class Device:
    """A stand-in GPU and library, and engines on them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch
        self.cuda, self.refusing, self.taken = Cuda(), set[str](), {b"engine 1"}
        self.library = stand_in(self.cuda, self.refusing, self.taken)
        self.put()

    def put(self) -> None:
        self.monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", cast(ModuleType, self.cuda))
        self.monkeypatch.setattr(engine_module, "load_library", lambda name: self.library)

    def integrated(self) -> None:
        """As a Jetson's: the GPU works in the CPU's memory."""
        self.cuda.integrated = True

    def allowing_host_code(self) -> None:
        self.library = stand_in(self.cuda, {"host code"}, self.taken)

    def open(self, **settings: bool) -> TensorRTEngine:
        options = EngineOptions("cuda", settings=settings, frames=FRAMES)
        return TensorRTEngine("tensorrt", GRAPH, options, EngineCache(self.folder))

    @property
    def live(self) -> dict[str, int]:
        gc.collect()
        return {kind: len(held) for kind, held in self.cuda.live.items() if held}


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Device:
    return Device(tmp_path, monkeypatch)


@pytest.fixture
def engine(device: Device) -> Iterator[TensorRTEngine]:
    opened = device.open()
    yield opened
    opened.close()


def frames_of(seed: int, height: int = 20, width: int = 30, batch: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (batch, height, width, 3), np.uint8)


def run(engine: TensorRTEngine, frames: np.ndarray, channel: int = 0) -> np.ndarray:
    """The class map, in the engine's buffer."""
    given = {"frames": frames, "channel_order": np.array([channel, 0, 0], np.int64)}
    outputs = {
        "class_map": OutputSpec(frames.shape[:3], np.uint8),
        "finite": OutputSpec(frames.shape[:1], np.bool_),
    }
    found = engine.run(given, outputs)
    assert found["finite"].all()
    return found["class_map"]


@pytest.mark.parametrize(("stand_in_for", "protocol"), [(Context, NvContext), (Engine, NvEngine), (Cuda, CudaRuntime)])
def test_the_stand_ins_have_nvidias_names(stand_in_for: type, protocol: type) -> None:
    methods = {name: method for name, method in vars(stand_in_for).items() if inspect.isfunction(method)}
    for name in sorted({*methods} & {*members(protocol)}):
        ours, theirs = (list(inspect.signature(getattr(each, name)).parameters) for each in (stand_in_for, protocol))
        assert len(ours) == len(theirs) or name == "create_execution_context"
        assert protocol is CudaRuntime or ours[: len(theirs)] == theirs
    public = {name for name in methods if not name.startswith("_")}
    assert public - {*members(protocol)} <= {"create_runtime_config"}


class TestRunning:
    @pytest.mark.parametrize("is_integrated", [False, True])
    @pytest.mark.parametrize("cuda_graph", [False, True])
    def test_every_frame_gives_its_own_result(self, device: Device, is_integrated: bool, cuda_graph: bool) -> None:
        if is_integrated:
            device.integrated()
        engine = device.open(cuda_graph=cuda_graph)
        for seed, (height, width) in enumerate([(20, 30)] * 5 + [(1, 1)] * 3 + [(20, 30)] * 4 + [(64, 64), (7, 9)] * 3):
            frames = frames_of(seed, height, width, batch=1 + (height == 20))
            assert np.array_equal(run(engine, frames, seed % 3), frames[..., seed % 3])
        assert ("cudaGraphLaunch" in device.cuda.calls) == cuda_graph
        assert ("cudaMemcpyAsync" in device.cuda.calls) == (not is_integrated)
        engine.close()
        assert device.live == {}

    def test_a_graph_is_recorded_at_the_second_run_of_a_size_and_dropped_with_it(
        self, device: Device, engine: TensorRTEngine
    ) -> None:
        def launches() -> int:
            return device.cuda.calls.count("cudaGraphLaunch")

        counts = [(run(engine, frames_of(seed)), launches())[1] for seed in range(4)]
        assert counts == [0, 1, 2, 3]
        run(engine, frames_of(1, width=31))
        assert device.live.get("graph", 0) == 0
        assert launches() == 3
        run(engine, frames_of(1, width=31))
        assert (device.live["graph"], launches()) == (1, 4)

    def test_an_engine_that_cannot_be_recorded_runs_without(self, device: Device, engine: TensorRTEngine) -> None:
        device.refusing.add("recording")
        for seed in range(5):
            frames = frames_of(seed)
            assert np.array_equal(run(engine, frames), frames[..., 0])
        assert device.cuda.calls.count("cudaStreamBeginCapture") == 1
        assert "cudaGraphLaunch" not in device.cuda.calls

    def test_its_own_input_buffer_is_not_copied_to(self, engine: TensorRTEngine) -> None:
        buffer = engine.input_buffer("frames", (1, 20, 30, 3), np.uint8)
        assert engine.input_buffer("frames", (1, 20, 30, 3), np.uint8) is buffer
        buffer[:] = frames_of(3)
        assert np.array_equal(run(engine, buffer), frames_of(3)[..., 0])

    def test_another_view_of_its_own_buffer_is_taken_for_what_it_is(self, engine: TensorRTEngine) -> None:
        buffer = engine.input_buffer("frames", (1, 20, 20, 3), np.uint8)
        buffer[:] = frames_of(3, 20, 20)
        turned = buffer.transpose(0, 2, 1, 3)
        expected = turned[..., 0].copy()
        assert np.array_equal(run(engine, turned), expected)

    def test_frames_with_gaps_between_their_rows_are_taken(self, engine: TensorRTEngine) -> None:
        padded = frames_of(3, width=40)[:, :, :30]
        assert np.array_equal(run(engine, padded), padded[..., 0])

    def test_a_run_that_nobody_waited_for_does_not_change_the_next(self, engine: TensorRTEngine) -> None:
        order = np.zeros(3, np.int64)
        outputs = {"class_map": OutputSpec((1, 20, 30), np.uint8)}
        engine.submit({"frames": frames_of(1), "channel_order": order}, outputs)
        engine.submit({"frames": frames_of(2), "channel_order": order}, outputs)
        assert np.array_equal(engine.wait()["class_map"], frames_of(2)[..., 0])
        with pytest.raises(EngineError, match="without submit"):
            engine.wait()

    def test_clones_have_buffers_of_their_own(self, device: Device, engine: TensorRTEngine) -> None:
        first = run(engine, frames_of(1))
        clone = engine.clone()
        assert np.array_equal(run(clone, frames_of(2)), frames_of(2)[..., 0])
        assert np.array_equal(first, frames_of(1)[..., 0])
        clone.close()
        assert np.array_equal(run(engine, frames_of(3)), frames_of(3)[..., 0])

    def test_the_description_says_what_runs(self, engine: TensorRTEngine) -> None:
        info = engine.describe()
        assert (info.name, info.version, info.device, info.threads) == ("tensorrt", "10.3.0", "cuda", 0)

    def test_a_library_that_records_by_itself_is_left_to_it(self, device: Device) -> None:
        device.library = stand_in(device.cuda, device.refusing, device.taken, is_rtx=True)
        for cuda_graph in (True, False):
            engine = device.open(cuda_graph=cuda_graph)
            for seed in range(4):
                assert np.array_equal(run(engine, frames_of(seed)), frames_of(seed)[..., 0])
            engine.close()
            assert device.cuda.calls.count("strategy whole") == 1
        assert "cudaStreamBeginCapture" not in device.cuda.calls
        device.refusing.add("create_runtime_config")
        with pytest.raises(EngineError, match="no configuration to run by"):
            run(device.open(), frames_of(1))


class TestMemory:
    def test_an_engine_that_is_only_cloned_holds_nothing(self, device: Device, engine: TensorRTEngine) -> None:
        assert device.live == {}
        run(engine.clone(), frames_of(1))
        assert device.live == {}  # the clone is gone, and what it had with it

    def test_buffers_are_kept_for_a_bounded_number_of_sizes(self, device: Device, engine: TensorRTEngine) -> None:
        for width in range(1, 5 * CACHED_SHAPES):
            run(engine, frames_of(1, width=width))
        assert device.live["device"] <= 3 * CACHED_SHAPES + 3
        assert device.live["host"] <= 4 * CACHED_SHAPES + 4

    def test_an_array_that_is_still_looked_at_outlives_the_engine(self, device: Device) -> None:
        engine = device.open()
        seen = run(engine, frames_of(1))
        engine.close()
        assert device.live == {"host": 1}
        assert np.array_equal(seen, frames_of(1)[..., 0])
        del seen
        assert device.live == {}

    def test_a_closed_engine_says_so_and_closes_again(self, device: Device) -> None:
        engine = device.open()
        run(engine, frames_of(1))
        engine.close()
        engine.close()
        for use in (lambda: run(engine, frames_of(1)), engine.clone, engine.wait):
            with pytest.raises(EngineError, match="closed"):
                use()

    @pytest.mark.parametrize("call", ["cudaHostAlloc", "cudaMalloc"])
    def test_memory_that_runs_out_is_told_and_the_engine_goes_on(self, device: Device, call: str) -> None:
        engine = device.open()
        device.cuda.failing[call] = NO_MEMORY
        with pytest.raises(EngineError, match=r"out of memory while allocating .* MiB.*1 MiB free of 1024 MiB"):
            run(engine, frames_of(1))
        device.cuda.failing.clear()
        assert np.array_equal(run(engine, frames_of(1)), frames_of(1)[..., 0])
        engine.close()
        assert device.live == {}


class TestRefusals:
    @pytest.mark.parametrize(
        ("refused", "said"),
        [
            ("create_execution_context", "cannot make a context"),
            ("set_optimization_profile_async", "refuses its only profile"),
            ("set_input_shape", r"refuses shape \(1, 20, 30, 3\) for 'frames'"),
            ("infer_shapes", "cannot tell the shapes of frames"),
            ("set_tensor_address", "refuses its memory for"),
            ("execute_async_v3", "failed while running"),
        ],
    )
    def test_every_false_and_none_is_told(self, device: Device, refused: str, said: str) -> None:
        engine = device.open()
        device.refusing.add(refused)
        with pytest.raises(EngineError, match=said):
            run(engine, frames_of(1))
        device.refusing.clear()
        assert np.array_equal(run(engine, frames_of(2)), frames_of(2)[..., 0])
        engine.close()
        assert device.live == {}

    @pytest.mark.parametrize(
        "call",
        ["cudaStreamCreateWithFlags", "cudaEventCreateWithFlags", "cudaMemcpyAsync", "cudaEventRecord",
         "cudaEventSynchronize", "cudaStreamBeginCapture", "cudaGraphInstantiate", "cudaGraphLaunch"],
    )  # fmt: skip
    def test_every_call_of_cuda_that_fails_is_told(self, device: Device, call: str) -> None:
        engine = device.open()
        device.cuda.failing[call] = FAILURE
        with pytest.raises(EngineError, match="failed: cudaErrorUnknown: as it was told to"):
            [run(engine, frames_of(1)) for _ in range(3)]
        device.cuda.failing.clear()
        for seed in range(3):
            assert np.array_equal(run(engine, frames_of(seed)), frames_of(seed)[..., 0])
        engine.close()
        assert device.live == {}

    def test_frames_beyond_the_range_are_told_with_what_to_do(self, device: Device, engine: TensorRTEngine) -> None:
        for frames in (frames_of(1, 65, 20), frames_of(1, 20, 65), frames_of(1, batch=3)):
            with pytest.raises(RequestError, match=r"built for \(1, 1, 1, 3\) to \(2, 64, 64, 3\); run saccade build"):
                run(engine, frames)
        assert "cudaHostAlloc" not in device.cuda.calls

    def test_inputs_and_outputs_that_do_not_fit_are_told(self, engine: TensorRTEngine) -> None:
        frames, order = frames_of(1), np.zeros(3, np.int64)
        right = {"class_map": OutputSpec((1, 20, 30), np.uint8)}
        cases: list[tuple[dict[str, Any], dict[str, OutputSpec], str]] = [
            ({"frames": frames}, right, "takes frames, channel_order, but got frames"),
            ({"frames": frames.astype(np.float32), "channel_order": order}, right, "must be uint8, but got float32"),
            ({"frames": frames, "channel_order": order}, {"boxes": right["class_map"]}, "does not give it"),
            (
                {"frames": frames, "channel_order": order},
                {"class_map": OutputSpec((1, 20, 31), np.uint8)},
                r"must be uint8 \(1, 20, 31\), but the engine gives uint8 \(1, 20, 30\)",
            ),
        ]
        for given, outputs, said in cases:
            with pytest.raises(EngineError, match=said):
                engine.run(given, outputs)


class TestLoading:
    def test_an_engine_is_built_once_and_then_read(self, device: Device) -> None:
        device.open().close()
        device.library = stand_in(device.cuda, device.refusing, {b"engine 1"})
        device.open().close()
        kinds = [key["kind"] for _, _, key in EngineCache(device.folder).entries()]
        assert sorted(kinds) == ["engine", "timing"]

    def test_an_intact_engine_that_the_library_does_not_take_is_built_again_once(
        self, device: Device, caplog: pytest.LogCaptureFixture
    ) -> None:
        device.open().close()
        device.taken.clear()
        device.taken.add(b"engine 2")
        engine = device.open()
        assert np.array_equal(run(engine, frames_of(1)), frames_of(1)[..., 0])
        assert (device.folder / "engines" / "last.refused").exists()

    def test_an_engine_that_is_never_taken_is_an_error(self, device: Device) -> None:
        device.taken.clear()
        with pytest.raises(EngineError, match=r"does not take .* Stand-in .*8\.7.*the engine is of another plan"):
            device.open()

    def test_damaged_bytes_never_reach_the_library(self, device: Device) -> None:
        device.open().close()
        (path,) = (path for path, _, key in EngineCache(device.folder).entries() if key["kind"] == "engine")
        path.write_bytes(path.read_bytes().replace(b"engine 1", b"engine 9"))
        device.taken |= {b"engine 9", b"engine 2"}
        device.open().close()
        assert b"engine 2" in path.read_bytes()

    def test_a_library_that_would_run_code_of_the_engine_is_refused(self, device: Device) -> None:
        device.allowing_host_code()
        with pytest.raises(EngineError, match="never allowed"):
            device.open()

    def test_what_saccade_build_was_asked_for_is_what_opening_builds(self, device: Device) -> None:
        cache = EngineCache(device.folder)
        asked = BuildOptions(FrameRange((2, 2), (3, 3), (4, 4)))
        remember(device.library, GRAPH, asked, cache)
        device.open().close()
        (key,) = (key for _, _, key in cache.entries() if key["kind"] == "engine")
        assert key["frames"]["most_hw"] == [4, 4]


class TestReplay:
    """``saccade build`` with a GPU: the golden frames run on what was built. The stand-in is no segmenter."""

    @pytest.fixture(autouse=True)
    def put(self, device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(building, "load_library", lambda name: device.library)
        monkeypatch.setenv("SACCADE_CACHE", str(device.folder))
        monkeypatch.setattr(Engine, "most", (1, 4096, 4096, 3))

    def test_frames_that_differ_from_pytorchs_are_told_with_code_1(
        self, capfd: pytest.CaptureFixture[str], shipped_bundle: Path
    ) -> None:
        called = call(capfd, "build", shipped_bundle, "--engine", "tensorrt")
        assert called.code == 1
        assert "DIFFERS" in called.out
        assert "FAILED: " in called.out
        document = call(capfd, "build", shipped_bundle, "--engine", "tensorrt", "--json").document
        assert (document["ran"], document["passed"], document["why_not"]) == (True, False, None)
        assert document["gpu"]["name"] == "Stand-in"
        assert len(document["frames"]) == len(saccade.open_bundle(shipped_bundle).manifest.golden)

    def test_frames_of_other_sizes_than_built_for_are_left_out_and_told(
        self, capfd: pytest.CaptureFixture[str], shipped_bundle: Path
    ) -> None:
        called = call(capfd, "build", shipped_bundle, "--engine", "tensorrt", "--max-frame", "4x4")
        count = len(saccade.open_bundle(shipped_bundle).manifest.golden)
        assert called.code == 0
        assert f"built; not run: {count} of {count} golden frames are not of the sizes built for" in called.out


class TestCacheFolder:
    """``saccade.open`` and the commands that open a bundle, told where built engines are."""

    @pytest.fixture(autouse=True)
    def put(self, device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("saccade.engines.gpu_description", lambda: "Stand-in")
        monkeypatch.setattr("saccade.engines.find_spec", lambda name: name == "tensorrt" or None)
        monkeypatch.setattr("saccade.engines.tensorrt.load_library", lambda name: device.library)
        monkeypatch.setattr("saccade.engines.tensorrt.devices", lambda: ("cuda",))
        monkeypatch.setattr("saccade.engines.tensorrt.lacks", lambda variant, device: None)
        monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / "usual"))
        monkeypatch.setattr(Engine, "most", (1, 4096, 4096, 3))

    def test_what_is_told_comes_before_the_environment(
        self, device: Device, shipped_bundle: Path, tmp_path: Path
    ) -> None:
        device.taken |= {b"engine 2", b"engine 3"}
        for told in (tmp_path / "told", str(tmp_path / "told as text")):
            saccade.open(shipped_bundle, engine="tensorrt", cache=told).close()
            assert engines_in(Path(told)) == 1
        assert not (tmp_path / "usual").exists()
        saccade.open(shipped_bundle, engine="tensorrt").close()
        assert engines_in(tmp_path / "usual") == 1

    def test_what_was_built_there_is_not_built_again(
        self, device: Device, shipped_bundle: Path, tmp_path: Path
    ) -> None:
        saccade.open(shipped_bundle, engine="tensorrt", cache=tmp_path / "told").close()
        device.library = stand_in(device.cuda, device.refusing, {b"engine 1"})
        device.library.module.Builder = None  # type: ignore[assignment]
        saccade.open(shipped_bundle, engine="tensorrt", cache=tmp_path / "told").close()
        with pytest.raises(EngineError, match="failed while building"):
            saccade.open(shipped_bundle, engine="tensorrt", cache=tmp_path / "other")

    @pytest.mark.parametrize("command", ["verify", "run", "eval"])
    def test_commands_take_it(
        self, capfd: pytest.CaptureFixture[str], shipped_bundle: Path, tmp_path: Path, command: str
    ) -> None:
        more = {
            "verify": (),
            "run": ("--source", "scenes:frames=1,size=64x48", "-o", tmp_path / "out"),
            "eval": ("--data", labelled_street(tmp_path / "data")),
        }[command]
        called = call(capfd, command, shipped_bundle, "--engine", "tensorrt", "--cache", tmp_path / "told", *more)
        assert called.code == (1 if command == "verify" else 0), called.err  # the stand-in is no segmenter
        assert engines_in(tmp_path / "told") == 1
        assert not (tmp_path / "usual").exists()


def engines_in(folder: Path) -> int:
    return [key["kind"] for _, _, key in EngineCache(folder).entries()].count("engine")


def labelled_street(folder: Path) -> Path:
    """A split of one image whose pixels are all of the first class."""
    image = np.zeros((48, 64, 3), np.uint8)
    for name, pixels in (("images", image), ("labels", image[..., 0])):
        (folder / "val" / name).mkdir(parents=True)
        Image.fromarray(pixels).save(folder / "val" / name / "0.png")
    return folder
