"""What an engine is built for: frames, shapes, settings, and the key that all of it makes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

import saccade
from saccade.engines.base import Graph
from saccade.engines.container import name_of
from saccade.engines.frame_range import FrameRange, frame_range
from saccade.engines.gpu.driver import Gpu
from saccade.engines.tensorrt.library import Library
from saccade.engines.tensorrt.names import RtxConfig, members
from saccade.engines.tensorrt.profiles import shape_range
from saccade.engines.tensorrt.progress import Progress
from saccade.engines.tensorrt.request import (
    BuildOptions,
    Settings,
    check_targets,
    engine_key,
    options_key,
    read_settings,
    targets_for,
    timing_key,
)
from saccade.errors import DeviceError, EngineError, RequestError

FRAMES = FrameRange((1, 1), (720, 1280), (1080, 1920))
GRAPH = Graph("main.onnx", memoryview(b"graph"), {"weights.bin": memoryview(b"weights")}, 18)
GPU = Gpu("NVIDIA Orin", (8, 7), "CUDA 12.6; Jetson AGX Orin", 64 << 30, True)


def library(version: str = "10.3.0", name: str = "tensorrt", **names: Any) -> Library:
    """A library that nothing is asked of but its version and which names it has."""
    return Library(name, cast(Any, SimpleNamespace(__version__=version, **names)), cast(Any, None), cast(Any, None))


def rtx(version: str = "1.7.1") -> Library:
    targets = SimpleNamespace(__members__=dict.fromkeys(("NONE", "CURRENT", "SM75", "SM86", "SM89")))
    config = SimpleNamespace(**dict.fromkeys(members(RtxConfig)))
    return library(version, "tensorrt-rtx", ComputeCapability=targets, IBuilderConfig=config)


class TestFrameRange:
    def test_it_follows_the_bundle(self, shipped_bundle: Path, denoise_bundle: Path) -> None:
        segmenter = frame_range(saccade.open_bundle(shipped_bundle).manifest)
        assert (segmenter.least_hw, segmenter.usual_hw, segmenter.most_hw) == ((1, 1), (720, 1280), (1080, 1920))
        restorer = frame_range(saccade.open_bundle(denoise_bundle).manifest)
        assert (restorer.least_hw, restorer.usual_hw, restorer.most_hw) == ((8, 8), (720, 1024), (1024, 1024))

    def test_every_golden_frame_is_within_it(self, shipped_bundle: Path, plates_bundle: Path) -> None:
        for path in (shipped_bundle, plates_bundle):
            manifest = saccade.open_bundle(path).manifest
            sizes = [golden.inputs["frame"].shape[:2] for golden in manifest.golden]
            assert sizes
            assert all(frame_range(manifest).holds((height, width)) for height, width in sizes)

    def test_what_is_asked_for_moves_what_is_not(self, shipped_bundle: Path) -> None:
        manifest = saccade.open_bundle(shipped_bundle).manifest
        assert frame_range(manifest, usual_hw=(2160, 3840)).most_hw == (2160, 3840)
        assert frame_range(manifest, most_hw=(480, 640)).usual_hw == (480, 640)
        assert frame_range(manifest, least_hw=(1000, 1000)).usual_hw == (1000, 1280)

    def test_a_restorers_frames_are_whole_multiples(self, denoise_bundle: Path) -> None:
        made = frame_range(saccade.open_bundle(denoise_bundle).manifest, (1, 9), (541, 960), (1001, 1000))
        assert (made.least_hw, made.usual_hw, made.most_hw) == ((8, 16), (544, 960), (1008, 1000))

    @pytest.mark.parametrize(
        "sizes",
        [((9, 9), (8, 8), None), (None, (8, 8), (7, 9)), ((9, 9), None, (8, 20))],
        ids=["least", "most", "both"],
    )
    def test_sizes_out_of_order_are_refused(self, shipped_bundle: Path, sizes: Any) -> None:
        with pytest.raises(RequestError, match="least <= usual <= most"):
            frame_range(saccade.open_bundle(shipped_bundle).manifest, *sizes)


class TestShapes:
    @pytest.mark.parametrize(
        ("name", "shape", "least", "usual", "most"),
        [
            ("frames", (-1, -1, -1, 3), (1, 8, 16, 3), (2, 64, 96, 3), (2, 128, 256, 3)),
            ("noise", (-1, -1, -1, 3), (1, 8, 16, 3), (2, 64, 96, 3), (2, 128, 256, 3)),
            ("state", (-1, 3, -1, -1), (1, 3, 16, 32), (2, 3, 128, 192), (2, 3, 256, 512)),
            ("map", (-1, 1, -1, -1), (1, 1, 16, 32), (2, 1, 128, 192), (2, 1, 256, 512)),
            ("level", (-1, 1, -1, -1), (1, 1, 1, 1), (2, 1, 1, 1), (2, 1, 128, 256)),
            ("gain", (-1, 1, 1, 1), (1, 1, 1, 1), (2, 1, 1, 1), (2, 1, 1, 1)),
            ("time", (-1,), (1,), (2,), (2,)),
            ("frames", (1, -1, -1, 3), (1, 8, 16, 3), (1, 64, 96, 3), (1, 128, 256, 3)),
        ],
    )
    def test_an_inputs_range_follows_from_the_frames(
        self, name: str, shape: tuple[int, ...], least: Any, usual: Any, most: Any
    ) -> None:
        found = shape_range(name, shape, FrameRange((8, 16), (64, 96), (128, 256), batch=2, scale=2))
        assert (found.least, found.usual, found.most) == (least, usual, most)
        assert found.holds(usual)
        assert not found.holds((*most[:-1], most[-1] + 1))

    @pytest.mark.parametrize("given", [("image", (-1, 3)), ("frames", (-1, -1, 3)), ("time", (-1, 1))])
    def test_an_input_that_the_format_does_not_know_is_refused(self, given: tuple[str, tuple[int, ...]]) -> None:
        with pytest.raises(EngineError, match="does not know how"):
            shape_range(*given, FRAMES)


class TestKey:
    def test_everything_that_an_engine_depends_on_makes_another_key(self) -> None:
        options, settings = BuildOptions(FRAMES), Settings()
        keys = [
            engine_key(library(), GRAPH, options, settings, GPU),
            engine_key(library("10.3.1"), GRAPH, options, settings, GPU),
            engine_key(library(name="other"), GRAPH, options, settings, GPU),
            engine_key(library(), replace(GRAPH, model=memoryview(b"graph2")), options, settings, GPU),
            engine_key(library(), replace(GRAPH, weights={"weights.bin": memoryview(b"w")}), options, settings, GPU),
            *(
                engine_key(library(), GRAPH, options, settings, replace(GPU, **changed))
                for changed in (
                    {"name": "NVIDIA Thor"},
                    {"compute_capability": (8, 9)},
                    {"driver": "CUDA 13.0"},
                )
            ),
            *(
                engine_key(library(), GRAPH, replace(options, **changed), settings, GPU)
                for changed in (
                    {"frames": replace(FRAMES, least_hw=(2, 1))},
                    {"frames": replace(FRAMES, usual_hw=(480, 640))},
                    {"frames": replace(FRAMES, most_hw=(2160, 3840))},
                    {"frames": replace(FRAMES, batch=2)},
                    {"workspace_bytes": 1 << 30},
                    {"use_dla": True},
                )
            ),
            *(
                engine_key(library(), GRAPH, options, replace(settings, **changed), GPU)
                for changed in (
                    {"optimization_level": 4},
                    {"max_aux_streams": 0},
                    {"sparse_weights": True},
                    {"tf32": True},
                )
            ),
        ]
        assert len({name_of(key) for key in keys}) == len(keys) == 18

    def test_how_it_is_run_makes_none(self) -> None:
        keys = [
            engine_key(library(), GRAPH, BuildOptions(FRAMES), Settings(cuda_graph=on), GPU) for on in (True, False)
        ]
        assert name_of(keys[0]) == name_of(keys[1])

    def test_an_engine_for_stated_gpus_depends_on_those_alone(self) -> None:
        options, ada = BuildOptions(FRAMES), replace(GPU, name="RTX 4090", compute_capability=(8, 9))
        here, elsewhere = (engine_key(rtx(), GRAPH, options, Settings(), gpu) for gpu in (ada, None))
        assert name_of(here) == name_of(elsewhere)
        stated = engine_key(rtx(), GRAPH, replace(options, targets=("SM89",)), Settings(), None)
        assert name_of(stated) != name_of(here)

    def test_turing_is_named_where_it_is_here(self) -> None:
        turing = replace(GPU, compute_capability=(7, 5))
        assert targets_for(rtx(), (), turing) == ("SM75",)
        assert targets_for(rtx(), ("SM89",), turing) == ("SM89",)
        assert targets_for(library(), (), turing) == targets_for(rtx(), (), GPU) == targets_for(rtx(), (), None) == ()

    def test_tensorrt_has_no_key_without_a_gpu(self) -> None:
        with pytest.raises(DeviceError, match="builds on the GPU"):
            engine_key(library(), GRAPH, BuildOptions(FRAMES), Settings(), None)

    def test_what_was_asked_for_is_kept_across_versions_and_drivers_and_timings_are_not(self) -> None:
        assert name_of(options_key("tensorrt", GRAPH)) != name_of(options_key("tensorrt-rtx", GRAPH))
        timings = [
            timing_key(library(), GPU),
            timing_key(library("10.4.0"), GPU),
            timing_key(library(), replace(GPU, driver="CUDA 13.0")),
        ]
        assert len({name_of(key) for key in timings}) == 3

    def test_targets_are_for_a_library_that_takes_them(self) -> None:
        check_targets(rtx(), ("SM86", "SM89"))
        with pytest.raises(RequestError, match=r"87, 110 is nothing that .* choose from 75, 86, 89"):
            check_targets(rtx(), ("SM86", "SM87", "SM110"))
        with pytest.raises(RequestError, match="leave --target-sm out"):
            check_targets(library(), ("SM89",))


class TestSettings:
    def test_options_come_back_as_they_were_written(self) -> None:
        options = BuildOptions(replace(FRAMES, batch=3, scale=2), 1 << 28, use_dla=True, targets=("SM89",))
        assert BuildOptions.from_json(options.to_json()) == options

    @pytest.mark.parametrize("written", [b"{}", b'{"frames": {}}', b'{"frames": 3}', b'{"other": 1}'])
    def test_options_of_another_version_are_told(self, written: bytes) -> None:
        with pytest.raises(ValueError, match="another version"):
            BuildOptions.from_json(written)

    def test_a_bundle_sets_speed_alone(self) -> None:
        assert read_settings(None) == Settings()
        assert read_settings({"optimization_level": 5, "tf32": True}) == Settings(5, tf32=True)
        with pytest.raises(EngineError, match=r"'engine_host_code_allowed'.*allowed are optimization_level"):
            read_settings({"engine_host_code_allowed": True})
        for wrong in ({"tf32": 1}, {"optimization_level": True}, {"max_aux_streams": 1.0}, {"cuda_graph": "no"}):
            with pytest.raises(EngineError, match="must be of type"):
                read_settings(wrong)


class TestProgress:
    def test_the_share_grows_with_each_step_of_each_phase(self) -> None:
        progress = Progress(started=100.0)
        shares = [progress.share]
        progress.start("all", None, 2)
        progress.start("first", "all", 4)
        for index in range(4):
            progress.step("first", index)
            shares.append(progress.share)
        progress.finish("first")
        progress.step("all", 0)
        shares.append(progress.share)
        progress.start("second", "all", 2)
        progress.step("second", 0)
        shares.append(progress.share)
        assert shares == [0, 1 / 8, 2 / 8, 3 / 8, 3 / 8, 1 / 2, 3 / 4]
        assert progress.phase == "second"
        assert progress.seconds_left(now=130.0) == pytest.approx(10.0)

    def test_nothing_is_said_of_the_time_that_is_left_at_first(self) -> None:
        progress = Progress(started=100.0)
        progress.start("all", None, 100)
        assert progress.seconds_left(now=130.0) is None
