"""Every option that ONNX Runtime's GPU providers are asked with, held against the providers' own parsers.

The providers come from the packages of two versions: the last for Python 3.10, which JetPack 6 has, and a new one.
Stub libraries stand in for NVIDIA's, and fail at their first call: the options are read before it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.packages import installed
from tests.stub_library import needs_of, write_stub_library

import saccade
from saccade.engines.base import EngineOptions, Graph
from saccade.engines.frame_range import FrameRange
from saccade.engines.onnxruntime.providers import PRECISION_FLAGS, cuda_providers, tensorrt_providers
from saccade.engines.onnxruntime.sessions import Providers
from saccade.opening import graph_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.torch,
    pytest.mark.skipif(sys.platform != "linux", reason="the stub libraries are ELF files"),
]

VERSIONS = ("1.23.2", "1.31.1")
NVIDIAS = re.compile(r"lib(cu|nv)\w+\.so")
THEIRS = ("cu", "__cu", "create", "getInfer", "getPlugin", "initLib")
FAILURE = 100
"""CUDA's number for "no device"."""

SHARED = ("device_id", "user_compute_stream")
"""Options that both providers have."""

OPEN = """
import json, sys
import onnxruntime
try:
    asked = json.load(sys.stdin)
    onnxruntime.InferenceSession(sys.argv[1], providers=[tuple(each) for each in asked], enable_fallback=0)
except Exception as error:
    print(error)
"""

UNKNOWN, NOT_LOADED = "Unknown provider option", "Failed to load library"


def libraries(package: Path, folder: Path) -> Path:
    """Empty stubs of all of NVIDIA's libraries that a package is linked to, and one with their symbols to preload.

    The linker takes a symbol of a stated version from a library that states none, but not from the one it is of.
    """
    symbols: set[str] = set()
    for provider in sorted(package.glob("onnxruntime/capi/libonnxruntime_providers_*.so")):
        names, wanted = needs_of(provider)
        symbols.update(name for name in wanted if name.startswith(THEIRS))
        for name in filter(NVIDIAS.match, names):
            write_stub_library(folder / name, ())
    write_stub_library(folder / "libstubs.so", sorted(symbols), FAILURE)
    return folder / "libstubs.so"


def answer(package: Path, stubs: Path, graph: Graph, asked: Providers) -> str:
    """What opening a session with these providers says."""
    environment = {**os.environ, "PYTHONPATH": str(package), "LD_LIBRARY_PATH": str(stubs.parent)}
    environment["LD_PRELOAD"] = str(stubs)
    with graph.on_disk() as model:
        command = [sys.executable, "-c", OPEN, str(model)]
        given = json.dumps(asked)
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, env=environment)
    return done.stdout + done.stderr


@pytest.fixture(scope="module", params=VERSIONS)
def package(request: pytest.FixtureRequest) -> Path:
    return installed("onnxruntime-gpu", request.param)


@pytest.fixture
def graph(tiny_bundle: Path) -> Graph:
    bundle = saccade.open_bundle(tiny_bundle)
    return graph_of(bundle, bundle.variant("fp32-gpu"))


class TestCuda:
    """What the parser accepts goes on to the stubs, where the process ends."""

    @pytest.mark.parametrize("is_recorded", [False, True])
    def test_every_option_is_known(self, package: Path, tmp_path: Path, graph: Graph, is_recorded: bool) -> None:
        asked = cuda_providers(EngineOptions("cuda", settings={"tf32": True}), 5, is_recorded=is_recorded)
        said = answer(package, libraries(package, tmp_path), graph, asked)
        assert UNKNOWN not in said
        assert NOT_LOADED not in said

    def test_a_planted_option_is_found(self, package: Path, tmp_path: Path, graph: Graph) -> None:
        [(name, asked)] = cuda_providers(EngineOptions("cuda"), 5, is_recorded=True)
        said = answer(package, libraries(package, tmp_path), graph, [(name, {**asked, "cuda_graph": "1"})])
        assert f'{UNKNOWN}: "cuda_graph"' in said


class TestTensorRT:
    """Its plugins are asked for before its options are read, so its names are looked up in the provider."""

    @pytest.mark.parametrize("precision", PRECISION_FLAGS)
    def test_every_option_is_known(self, package: Path, graph: Graph, precision: str) -> None:
        if precision == "bf16" and package.name.endswith(VERSIONS[0]):
            pytest.skip("this version has no bf16")
        options = EngineOptions("cuda", frames=FrameRange((1, 1), (32, 48), (64, 96)))
        (_, asked), _ = tensorrt_providers(replace(graph, precision=precision), options, 5, is_recorded=True)
        assert len(asked) == 7
        assert not [name for name in asked if name not in SHARED and name.encode() + b"\0" not in provider(package)]

    def test_a_planted_option_is_found(self, package: Path) -> None:
        assert b"trt_strongly_typed\0" not in provider(package)


def provider(package: Path) -> bytes:
    return (package / "onnxruntime" / "capi" / "libonnxruntime_providers_tensorrt.so").read_bytes()
