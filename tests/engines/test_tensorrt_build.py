"""``saccade build`` with NVIDIA's own builder, TensorRT-RTX's, which needs no GPU: everything up to the driver."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tests.commands import call
from tests.processes import children, has_ended

import saccade
from saccade.building import Builder, build_variants
from saccade.engines.base import EngineOptions, Graph
from saccade.engines.cache import EngineCache
from saccade.engines.frame_range import FrameRange, frame_range
from saccade.engines.tensorrt import standstill
from saccade.engines.tensorrt.apart import build_apart
from saccade.engines.tensorrt.build import LESS_MEMORY, Built, build
from saccade.engines.tensorrt.engine import TensorRTEngine
from saccade.engines.tensorrt.library import load_library
from saccade.engines.tensorrt.obtain import obtain, remembered
from saccade.engines.tensorrt.progress import Progress
from saccade.engines.tensorrt.request import BuildOptions, Settings
from saccade.errors import DeviceError, EngineError, RequestError
from saccade.machine import gpu_description
from saccade.opening import graph_of

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")
pytest.importorskip("cuda.bindings", reason="cuda-bindings is not installed")
pytestmark = pytest.mark.torch

FRAMES = FrameRange((1, 1), (32, 48), (64, 96))
without_gpu = pytest.mark.skipif(gpu_description() is not None, reason="an NVIDIA GPU is here")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineCache]:
    """The cache that commands use: one of the test's own."""
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / "cache"))
    return EngineCache()


def tiny_graph(operator: str = "Relu", name: str = "the node") -> Graph:
    """Frames through one operator."""
    node = helper.make_node(operator, ["x"], ["y"], name=name)
    cast = helper.make_node("Cast", ["frames"], ["x"], to=TensorProto.FLOAT)
    value = [
        helper.make_tensor_value_info("frames", TensorProto.UINT8, ["N", "H", "W", 3]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", "H", "W", 3]),
    ]
    model = helper.make_model(
        helper.make_graph([cast, node], "g", value[:1], value[1:]), opset_imports=[helper.make_opsetid("", 18)]
    )
    model.ir_version = 10
    onnx.checker.check_model(model) if operator == "Relu" else None
    return Graph("tiny.onnx", memoryview(model.SerializeToString()), {}, 18)


def rtx_build(
    graph: Graph, options: BuildOptions | None = None, settings: Settings | None = None, **more: Any
) -> bytes:
    library = load_library("tensorrt-rtx")
    return build(library, graph, options or BuildOptions(FRAMES), settings or Settings(), None, **more).engine


def built_by(make: Callable[..., Built], graph: Graph, **more: Any) -> Built:
    return make(load_library("tensorrt-rtx"), graph, BuildOptions(FRAMES), Settings(), None, **more)


def told_by(make: Callable[..., Built], graph: Graph) -> str | None:
    """Why a graph is refused, or None where it is built."""
    try:
        built_by(make, graph)
    except EngineError as error:
        return str(error)
    return None


class TestCommand:
    @pytest.mark.parametrize("bundle", ["tiny_bundle", "tiny_detector_bundle", "shipped_bundle", "plates_bundle"])
    def test_a_bundle_of_one_graph_is_built_and_kept(
        self, capfd: pytest.CaptureFixture[str], request: pytest.FixtureRequest, bundle: str, cache: EngineCache
    ) -> None:
        path: Path = request.getfixturevalue(bundle)
        called = call(capfd, "build", path, "--engine", "tensorrt-rtx", "--json")
        assert called.code == 0, called.err
        found = called.document
        (row,) = found["graphs"]
        assert (row["variant"], row["stage"], row["built"]) == ("fp32-gpu", "main", True)
        assert found["engine"] == {"name": "tensorrt-rtx", "version": load_library("tensorrt-rtx").version}
        assert row["bytes"] > 100_000
        assert Path(row["path"]).is_relative_to(cache.folder)
        again = call(capfd, "build", path, "--engine", "tensorrt-rtx", "--json").document
        assert [each["built"] for each in again["graphs"]] == [False]
        assert again["graphs"][0]["path"] == row["path"]
        anew = call(capfd, "build", path, "--engine", "tensorrt-rtx", "--rebuild", "--json").document
        assert [each["built"] for each in anew["graphs"]] == [True]

    @pytest.mark.slow
    def test_every_stage_of_every_variant_that_opening_may_choose_is_built(
        self, capfd: pytest.CaptureFixture[str], tiny_restorer_bundle: Path
    ) -> None:
        found = call(capfd, "build", tiny_restorer_bundle, "--engine", "tensorrt-rtx", "--json").document
        bundle = saccade.open_bundle(tiny_restorer_bundle)
        expected = {(v.name, s) for v in bundle.manifest.variants if v.target == "gpu" for s in v.graphs}
        assert {(row["variant"], row["stage"]) for row in found["graphs"]} == expected
        assert len(expected) == 12
        assert sum(row["built"] for row in found["graphs"]) == 11  # both types of frames step with one network

    @without_gpu
    def test_without_a_gpu_it_says_that_nothing_was_run(
        self, capfd: pytest.CaptureFixture[str], tiny_bundle: Path
    ) -> None:
        called = call(capfd, "build", tiny_bundle)
        assert called.code == 0
        assert "tensorrt-rtx" in called.out
        assert "built; not run: no NVIDIA driver is here" in called.out
        found = call(capfd, "build", tiny_bundle, "--json").document
        assert (found["ran"], found["passed"], found["frames"], found["gpu"]) == (False, None, [], None)
        assert "no NVIDIA driver" in found["why_not"]

    def test_what_was_asked_for_is_remembered_for_opening(
        self, capfd: pytest.CaptureFixture[str], tiny_bundle: Path, cache: EngineCache
    ) -> None:
        bundle = saccade.open_bundle(tiny_bundle)
        library, graph = load_library("tensorrt-rtx"), graph_of(bundle, bundle.variant("fp32-gpu"))
        assert remembered(library, graph, cache) is None
        options = ("--opt-frame", "96x64", "--max-frame", "128x64", "--batch", "2", "--workspace", "64M")
        found = call(capfd, "build", tiny_bundle, "--engine", "tensorrt-rtx", "--json", *options).document
        kept = remembered(library, graph, cache)
        assert kept == BuildOptions(FrameRange((1, 1), (64, 96), (64, 128), batch=2), 64 << 20)
        assert found["options"]["frames"]["most_hw"] == [64, 128]

    def test_other_options_are_another_engine(self, capfd: pytest.CaptureFixture[str], tiny_bundle: Path) -> None:
        paths: list[str] = []
        for options in (
            (),
            ("--max-frame", "1280x960"),
            ("--batch", "2"),
            ("--workspace", "1G"),
            ("--target-sm", "89"),
        ):
            found = call(capfd, "build", tiny_bundle, "--engine", "tensorrt-rtx", "--json", *options).document
            assert found["graphs"][0]["built"]
            paths.append(found["graphs"][0]["path"])
        assert len(set(paths)) == 5

    def test_a_damaged_engine_is_built_again_and_told(
        self, capfd: pytest.CaptureFixture[str], tiny_bundle: Path
    ) -> None:
        (row,) = call(capfd, "build", tiny_bundle, "--engine", "tensorrt-rtx", "--json").document["graphs"]
        path = Path(row["path"])
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        called = call(capfd, "build", tiny_bundle, "--engine", "tensorrt-rtx")
        assert called.code == 0
        assert "built in" in called.out
        assert "the kept one was not used: its content has changed (SHA-256 differs)" in called.out

    def test_what_is_kept_is_listed_and_cleared(self, capfd: pytest.CaptureFixture[str], tiny_bundle: Path) -> None:
        call(capfd, "build", tiny_bundle, "--engine", "tensorrt-rtx", "--opt-frame", "96x64")
        listed = call(capfd, "build", "--list")
        assert listed.code == 0
        assert "engine, tensorrt-rtx " in listed.out
        assert ", up to 1920x1080" in listed.out
        assert "2 files" in listed.out
        kinds = {row["key"]["kind"] for row in call(capfd, "build", "--list", "--json").document["kept"]}
        assert kinds == {"engine", "options"}
        assert call(capfd, "build", "--clear", "--json").document["removed"] == 2
        assert call(capfd, "build", "--list", "--json").document["kept"] == []

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (("--variant", "fp32-cpu"), "made for cpu; .* has these for GPUs: fp32-gpu"),
            (("--variant", "fp64"), "variant 'fp64' was asked for"),
            (("--target-sm", "87"), "--target-sm 87 is nothing that tensorrt-rtx .* choose from 75, 80"),
            (("--min-frame", "64x64", "--max-frame", "32x32"), "least <= usual <= most"),
            (("--max-frame", "0x5"), "no size; give width and height"),
            (("--max-frame", "5"), "no size; give width and height"),
            (("--cache-limit", "much"), "give a number of bytes"),
            (("--dla",), "finds no DLA here; leave it out"),
            (("--list",), "leave the bundle out"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
    )
    def test_what_cannot_be_done_is_refused_with_what_to_do(
        self,
        capfd: pytest.CaptureFixture[str],
        tiny_bundle: Path,
        options: tuple[str, ...],
        said: str,
        cache: EngineCache,
    ) -> None:
        called = call(capfd, "build", tiny_bundle, "--engine", "tensorrt-rtx", *options)
        assert called.code == 2
        assert called.out == ""
        assert re.search(said, called.err), called.err
        assert cache.entries() == []

    @without_gpu
    def test_tensorrt_itself_is_refused_without_a_gpu_or_its_library(
        self, capfd: pytest.CaptureFixture[str], tiny_bundle: Path
    ) -> None:
        called = call(capfd, "build", tiny_bundle, "--engine", "tensorrt")
        assert called.code == 2
        assert "pip install 'saccade[tensorrt]'" in called.err or "builds on the GPU that it will run on" in called.err


class TestBuilder:
    def test_a_graph_that_is_refused_is_told_with_its_node(self) -> None:
        assert len(rtx_build(tiny_graph())) > 1000
        with pytest.raises(EngineError, match=r"tensorrt-rtx .* refuses graph tiny\.onnx \(opset 18\).*NoSuchOperator"):
            rtx_build(tiny_graph("NoSuchOperator"))

    @pytest.mark.parametrize("content", [b"", b"\0" * 100, b"onnx" * 1000], ids=["nothing", "zeros", "words"])
    def test_bytes_that_are_no_graph_are_refused(self, content: bytes) -> None:
        with pytest.raises(EngineError, match=r"refuses graph tiny\.onnx"):
            rtx_build(Graph("tiny.onnx", memoryview(content), {}, 18))

    def test_a_graph_with_an_input_that_the_format_does_not_know_is_refused(self) -> None:
        data = bytes(tiny_graph().model).replace(b"frames", b"pixels")
        with pytest.raises(EngineError, match="input 'pixels' varies in its shape"):
            rtx_build(Graph("tiny.onnx", memoryview(data), {}, 18))

    def test_progress_runs_through_phases_to_the_end(self) -> None:
        shares: list[float] = []
        phases: set[str] = set()

        def show(progress: Progress) -> None:
            shares.append(progress.share)
            phases.add(progress.phase)

        rtx_build(tiny_graph(), show=show)
        assert len(phases) > 3
        assert 0 <= min(shares) < 0.2
        assert 0.6 < max(shares) <= 1

    def test_an_interrupt_ends_the_build_and_is_raised(self) -> None:
        calls: list[int] = []

        def interrupt(_: Progress) -> None:
            calls.append(1)
            if len(calls) == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            rtx_build(tiny_graph(), show=interrupt)
        assert len(rtx_build(tiny_graph())) > 1000

    @pytest.mark.parametrize("executable", [sys.executable, ""], ids=["apart", "in one process"])
    def test_a_signal_that_interrupts_anywhere_ends_the_command_with_code_130(
        self, denoise_bundle: Path, executable: str
    ) -> None:
        """Within one process it mostly comes within the library, or what that calls. All of a terminal's get it."""
        program = """
import os, signal, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)  # where the tests run in the background it is ignored
from saccade.cli import main
import saccade.engines.tensorrt.obtain as obtain
real = obtain.build_apart
def begin(*arguments, **more):
    threading.Timer(float(sys.argv[2]), lambda: os.killpg(0, signal.SIGINT)).start()
    return real(*arguments, **more)
obtain.build_apart, sys.executable = begin, sys.argv[3]
main(["build", sys.argv[1], "--engine", "tensorrt-rtx", "--variant", "fp32-gpu-n4", "--json"])
"""
        for seconds in ("0.05", "0.2", "0.4"):
            command = [sys.executable, "-c", program, str(denoise_bundle), seconds, executable]
            done = subprocess.run(command, capture_output=True, text=True, check=False, start_new_session=True)
            assert done.returncode == 130, done.stderr
            assert "Traceback" not in done.stderr

    @pytest.mark.parametrize(
        "settings",
        [Settings(optimization_level=0), Settings(tf32=True, sparse_weights=True), Settings(max_aux_streams=0)],
        ids=["level", "flags", "streams"],
    )
    def test_what_a_bundle_may_set_is_taken(self, settings: Settings) -> None:
        assert len(rtx_build(tiny_graph(), settings=settings)) > 1000

    def test_engines_for_stated_gpus_differ(self) -> None:
        one, two = (
            rtx_build(tiny_graph(), BuildOptions(FRAMES, targets=targets)) for targets in (("SM89",), ("SM75", "SM120"))
        )
        assert one != two

    def test_a_batch_for_a_network_of_single_frames_is_refused(self, tiny_detector_bundle: Path) -> None:
        bundle = saccade.open_bundle(tiny_detector_bundle)
        single = replace(bundle.variant("fp32-gpu"), parameters={"batch": 1})
        builder = Builder(load_library("tensorrt-rtx"), None, "")
        options = BuildOptions(frame_range(bundle.manifest, batch=2))
        with pytest.raises(RequestError, match="takes one frame at a time"):
            list(build_variants(bundle, [single], builder, options, EngineCache(), rebuild=False, show=lambda *_: None))


class TestApart:
    """The same builder in a process of its own, as commands have it."""

    def test_it_gives_what_one_process_gives(self) -> None:
        """Two engines of one graph may differ in their bytes, within one process too, but not in how many they are."""
        one, other = (built_by(make, tiny_graph()) for make in (build, build_apart))
        assert len(one.engine) == len(other.engine)
        assert (one.timings, one.coverage) == (other.timings, other.coverage)

    @pytest.mark.parametrize(("operator", "is_refused"), [("NoSuchOperator", True), ("Det", True), ("Relu", False)])
    def test_what_is_refused_is_told_in_the_same_words(self, operator: str, is_refused: bool) -> None:
        here, apart = (told_by(make, tiny_graph(operator)) for make in (build, build_apart))
        assert here == apart
        assert (here is not None and operator in here) == is_refused

    @pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT], ids=lambda each: each.name)
    def test_a_builder_that_ends_midway_is_an_error_and_the_next_one_builds(
        self, shipped_bundle: Path, cache: EngineCache, ending: signal.Signals
    ) -> None:
        before, bundle = set(children()), saccade.open_bundle(shipped_bundle)
        graph, library = graph_of(bundle, bundle.variant("fp32-gpu")), load_library("tensorrt-rtx")
        asked = (library, graph, BuildOptions(FRAMES), Settings(), None, cache)
        found: list[int] = []

        def end(_: Progress) -> None:
            if not found:
                found.extend(set(children()) - before)
                os.kill(found[0], ending)

        with pytest.raises(
            EngineError, match=rf"failed while building {graph.name}: its process .* {ending.name}"
        ) as told:
            obtain(*asked, show=end)
        assert str(told.value).endswith(LESS_MEMORY)
        assert [path.name for path in cache.folder.iterdir()] == ["lock"]
        assert has_ended(found[0])
        assert set(children()) == before
        assert obtain(*asked).is_new

    def test_a_builder_that_stands_still_is_ended(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(standstill, "WINDOW_SECONDS", 1.0)
        monkeypatch.setattr(standstill, "LOOK_SECONDS", 0.1)
        before, found = set(children()), list[int]()

        def stop(_: Progress) -> None:
            if not found:
                found.extend(set(children()) - before)
                os.kill(found[0], signal.SIGSTOP)

        with pytest.raises(EngineError, match=r"stopped working while building tiny\.onnx: its process stood still"):
            built_by(build_apart, tiny_graph(), show=stop)
        assert has_ended(found[0])
        assert set(children()) == before

    def test_an_interrupt_ends_the_build_and_is_raised(self) -> None:
        before = set(children())

        def interrupt(progress: Progress) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            built_by(build_apart, tiny_graph(), show=interrupt)
        assert set(children()) == before
        assert len(built_by(build_apart, tiny_graph()).engine) > 1000

    @pytest.mark.slow
    @pytest.mark.parametrize("mebibytes", [4, 20, 32, 60, 100, 150, 250, 1 << 16])
    def test_memory_that_runs_out_is_an_error_and_no_crash(
        self, shipped_bundle: Path, cache: EngineCache, mebibytes: int
    ) -> None:
        """However far it comes. The builder itself may crash and may wait for ever: for 5 s here, to be quick."""
        program = """
import resource, sys
import tensorrt_rtx
from saccade.cli import main
from saccade.engines.tensorrt import standstill
standstill.WINDOW_SECONDS = 5.0
(used,) = (1024 * int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmSize"))
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[2]) * (1 << 20),) * 2)
main(["build", sys.argv[1], "--engine", "tensorrt-rtx"])
"""
        command = [sys.executable, "-c", program, str(shipped_bundle), str(mebibytes)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode in (0, 1), done.stderr
        assert len(cache.entries()) == (2 if done.returncode == 0 else 0)
        if done.returncode == 1:
            assert "error: " in done.stderr
            assert "Traceback" not in done.stderr
        assert mebibytes > 4 or done.returncode == 1
        assert mebibytes < 1 << 16 or done.returncode == 0


class TestRunning:
    """What a machine without a GPU shows of running: all of it up to the driver, and no crash there."""

    @without_gpu
    @pytest.mark.parametrize("device", ["auto", "cuda", "cpu"])
    def test_opening_a_bundle_says_what_is_missing(self, tiny_bundle: Path, device: str) -> None:
        with pytest.raises(RequestError, match=r"NVIDIA GPU"):
            saccade.open(tiny_bundle, engine="tensorrt-rtx", device=device)

    @without_gpu
    def test_the_engine_stops_at_the_driver_before_it_loads_or_builds(
        self, tiny_bundle: Path, cache: EngineCache
    ) -> None:
        bundle = saccade.open_bundle(tiny_bundle)
        graph = graph_of(bundle, bundle.variant("fp32-gpu"))
        with pytest.raises(DeviceError, match="no NVIDIA driver is here"):
            TensorRTEngine("tensorrt-rtx", graph, EngineOptions("cuda", frames=FRAMES))
        assert not cache.folder.exists()

    def test_auto_is_what_it_was_without_it(self, tiny_bundle: Path) -> None:
        if gpu_description() is not None:
            pytest.skip("an NVIDIA GPU is here")
        with saccade.open(tiny_bundle) as task:
            assert task.describe().name == "onnxruntime"
            assert task(np.zeros((20, 30, 3), np.uint8)).class_map.shape == (20, 30)
