"""Every name of NVIDIA's that the engine uses, held against NVIDIA's own bindings: three of TensorRT, RTX's, CUDA's.

The bindings come without the library, which stub libraries stand in for, so they can be read but not used.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest
from tests.packages import installed
from tests.stub_library import write_stub_library

from saccade.engines.gpu.cuda import CudaRuntime
from saccade.engines.tensorrt.names import (
    CLASSES,
    ENUMS,
    RTX_CLASSES,
    RTX_ENUMS,
    NvModule,
    members,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the stub libraries are ELF files")

TENSORRT = {
    "10.3.0": "tensorrt_cu12_bindings",
    "10.16.1.11": "tensorrt_cu13_bindings",
    "11.4.0.106": "tensorrt_cu13_bindings",
}
"""Versions that JetPack 6 has, JetPack 7.2 has, and that is newest, with the distribution of each one's bindings."""

CUDA = {"12.9.10": "cuda_bindings", "13.5.0": "cuda_bindings"}

SYMBOLS = (
    "createInferBuilder_INTERNAL", "createInferRefitter_INTERNAL", "createInferRuntime_INTERNAL",
    "createNvOnnxParser_INTERNAL", "createNvOnnxParserRefitter_INTERNAL", "getBuilderPluginRegistry",
    "getNvOnnxParserVersion", "getPluginRegistry", "initLibNvInferPlugins",
)  # fmt: skip
"""What the bindings take from the library."""

READ = """
import importlib, json, sys
module = importlib.import_module(sys.argv[1])
asked, found = json.load(sys.stdin), {}
for owner, names in asked.items():
    holder = getattr(module, owner, None) if owner else module
    found[owner] = {}
    for name in names:
        member = getattr(holder, name, None)
        if name in dir(holder):
            doc = member.__init__.__doc__ if isinstance(member, type) else member.__doc__
            found[owner][name] = [doc or "", getattr(member, "fset", None) is not None]
print(json.dumps([getattr(module, "__version__", ""), found]))
"""

Found = dict[str, dict[str, tuple[str, bool]]]
"""By class and member: its documentation, which begins with its signatures, and whether it can be set."""


def read(module: str, asked: dict[str, list[str]], *, path: Path | None = None, libraries: Path | None = None) -> Any:
    """Version and members of a module, from a Python of its own, so that versions do not meet."""
    environment = {**os.environ, "PYTHONPATH": str(path or ""), "LD_LIBRARY_PATH": str(libraries or "")}
    command = [sys.executable, "-c", READ, module]
    done = subprocess.run(
        command, input=json.dumps(asked), capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def asked_of(classes: dict[str, type], enums: dict[str, tuple[str, ...]]) -> dict[str, list[str]]:
    return {**{name: members(protocol) for name, protocol in classes.items()}, **{k: list(v) for k, v in enums.items()}}


EVERYTHING = {**CLASSES, "": NvModule}
"""With the module itself, whose classes are called."""


def tensorrt_bindings(version: str, folder: Path, classes: dict[str, type], enums: dict[str, Any]) -> Found:
    for name in ("nvinfer", "nvonnxparser", "nvinfer_plugin"):
        write_stub_library(folder / f"lib{name}.so.{version.partition('.')[0]}", SYMBOLS)
    path = installed(TENSORRT[version], version)
    said, found = read("tensorrt_bindings", asked_of(classes, enums), path=path, libraries=folder)
    assert said == version
    return found


@pytest.fixture(params=TENSORRT)
def bindings(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Found]:
    """Reads classes and enumerations of one version's bindings."""
    return lambda classes, enums: tensorrt_bindings(request.param, tmp_path, classes, enums)


def problems(found: Found, classes: dict[str, type], enums: dict[str, tuple[str, ...]]) -> list[str]:
    """In what the bindings are not as the protocols say, one sentence each."""
    said = [f"{enum}.{name} is missing" for enum, names in enums.items() for name in names if name not in found[enum]]
    for owner, protocol in classes.items():
        for name in members(protocol):
            if name not in found[owner]:
                said.append(f"{owner}.{name} is missing")
                continue
            documentation, is_settable = found[owner][name]
            member = inspect.getattr_static(protocol, name, None)
            if inspect.isfunction(member):
                said += [f"{owner}.{name} {why}" for why in signature_problems(member, documentation)]
            elif owner and member is None and not is_settable:
                said.append(f"{owner}.{name} cannot be set")
    return said


def signature_problems(ours: Callable[..., Any], documentation: str) -> list[str]:
    """Whether any signature in a documentation takes our parameters, by these names and in this order, and no more."""
    wanted = list(inspect.signature(ours).parameters)[1:]
    returned = inspect.signature(ours).return_annotation
    signatures = re.findall(r"^(?:\d+\. )?\w+\((.*)\) -> (.+)$", documentation, re.MULTILINE)
    if not signatures:
        return ["has no signature"]
    for text, gives in signatures:
        parameters = split(text)
        names = [parameter.partition(":")[0].strip() for parameter in parameters if parameter.strip()]
        names = names[1:] if names[:1] == ["self"] else names
        rest = parameters[len(parameters) - len(names) + len(wanted) :]
        if names[: len(wanted)] == wanted and all("=" in parameter for parameter in rest):
            same = returned not in ("bool", "int", "str", "None") or gives.strip() == returned
            return [] if same else [f"gives {gives.strip()}, not {returned}"]
    return [f"takes none of ({', '.join(wanted)}), but ({signatures[0][0]})"]


def split(parameters: str) -> list[str]:
    """A signature's parameters, apart at the commas that are in no bracket."""
    parts, depth = [""], 0
    for character in parameters:
        depth += (character in "[(<") - (character in "])>")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


class TestTensorRT:
    def test_every_name_and_keyword_is_theirs(self, bindings: Callable[..., Found]) -> None:
        assert sum(len(members(protocol)) for protocol in CLASSES.values()) > 45
        assert problems(bindings(EVERYTHING, ENUMS), EVERYTHING, ENUMS) == []

    def test_names_that_no_version_has_are_found(self, bindings: Callable[..., Found]) -> None:
        class Planted(Protocol):
            num_io_tensors: int  # which is only read

            def execute_v9(self, stream_handle: int) -> bool: ...
            def get_tensor_name(self, position: int) -> str: ...  # which is called index
            def get_tensor_mode(self, name: str) -> bool: ...  # which gives an enumerator

        classes, enums = {"ICudaEngine": Planted}, {"BuilderFlag": ("TF32", "TF33")}
        found = problems(bindings(classes, enums), classes, enums)
        assert found[:2] == ["BuilderFlag.TF33 is missing", "ICudaEngine.num_io_tensors cannot be set"]
        assert "ICudaEngine.execute_v9 is missing" in found
        assert any(sentence.startswith("ICudaEngine.get_tensor_name takes none of (position)") for sentence in found)
        assert any(sentence.startswith("ICudaEngine.get_tensor_mode gives ") for sentence in found)
        assert len(found) == 5

    @pytest.mark.parametrize("version", TENSORRT)
    def test_names_that_11_removed_are_found_there_alone(self, version: str, tmp_path: Path) -> None:
        class Planted(Protocol):
            @property
            def device_memory_size(self) -> int: ...

        classes, enums = {"ICudaEngine": Planted}, {"BuilderFlag": ("FP16",)}
        found = problems(tensorrt_bindings(version, tmp_path, classes, enums), classes, enums)
        removed = ["BuilderFlag.FP16 is missing", "ICudaEngine.device_memory_size is missing"]
        assert found == (removed if version.startswith("11.") else [])

    def test_rtxs_own_names_are_not_tensorrts(self, bindings: Callable[..., Found]) -> None:
        """So they are asked for before they are used, and the question tells the two apart."""
        found = problems(bindings(RTX_CLASSES, RTX_ENUMS), RTX_CLASSES, RTX_ENUMS)
        assert "IBuilderConfig.set_compute_capability is missing" in found
        assert "IRuntimeConfig.cuda_graph_strategy is missing" in found


class TestTensorRTRTX:
    def test_every_name_and_keyword_is_theirs(self) -> None:
        pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")
        for classes, enums in ((EVERYTHING, ENUMS), (RTX_CLASSES, RTX_ENUMS)):
            _, found = read("tensorrt_rtx", asked_of(classes, enums))
            assert problems(found, classes, enums) == []


class TestCuda:
    @pytest.fixture(params=CUDA)
    def found_in(self, request: pytest.FixtureRequest) -> Path:
        pytest.importorskip("cuda.pathfinder", reason="cuda-bindings is not installed")
        return installed(CUDA[request.param], request.param)

    @pytest.fixture
    def found(self, found_in: Path) -> dict[str, tuple[str, bool]]:
        return read("cuda.bindings.runtime", {"": members(CudaRuntime)}, path=found_in)[1][""]

    def test_every_function_is_there_with_as_many_parameters(self, found: dict[str, tuple[str, bool]]) -> None:
        assert [name for name in members(CudaRuntime) if name not in found] == []
        functions = {name: member for name, member in vars(CudaRuntime).items() if name.startswith("cuda")}
        functions = {name: member for name, member in functions.items() if inspect.isfunction(member)}
        assert len(functions) > 20
        for name, ours in functions.items():
            (text,) = re.findall(rf"^{name}\((.*)\)", found[name][0], re.MULTILINE)[:1]
            theirs = [parameter for parameter in split(text) if parameter.strip()]
            assert len(theirs) == len(inspect.signature(ours).parameters) - 1, name

    def test_every_call_takes_what_it_is_given_here(self, found_in: Path) -> None:
        """Without a driver each call ends in its error code, once its arguments were taken for what they must be."""
        program = """
from cuda.bindings import runtime as r
if r.cudaGetDeviceCount()[0].name == "cudaSuccess":
    raise SystemExit("a GPU is here")
stream, event, graph, launchable = r.cudaStream_t(0), r.cudaEvent_t(0), r.cudaGraph_t(0), r.cudaGraphExec_t(0)
up, down = r.cudaMemcpyKind.cudaMemcpyHostToDevice, r.cudaMemcpyKind.cudaMemcpyDeviceToHost
attributes = r.cudaDeviceAttr.cudaDevAttrIntegrated, r.cudaDeviceAttr.cudaDevAttrCanMapHostMemory
mode = r.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
answers = [
    r.cudaHostAlloc(8, r.cudaHostAllocMapped), r.cudaHostAlloc(8, r.cudaHostAllocDefault),
    r.cudaHostGetDevicePointer(4096, 0), r.cudaFreeHost(4096), r.cudaMalloc(8), r.cudaFree(4096),
    r.cudaMemcpyAsync(4096, 8192, 8, up, stream), r.cudaMemcpyAsync(4096, 8192, 8, down, stream),
    r.cudaStreamCreateWithFlags(r.cudaStreamNonBlocking), r.cudaStreamSynchronize(stream), r.cudaStreamDestroy(stream),
    r.cudaEventCreateWithFlags(r.cudaEventBlockingSync | r.cudaEventDisableTiming), r.cudaEventRecord(event, stream),
    r.cudaEventSynchronize(event), r.cudaEventDestroy(event), r.cudaStreamBeginCapture(stream, mode),
    r.cudaStreamEndCapture(stream), r.cudaGraphInstantiate(graph, 0), r.cudaGraphLaunch(launchable, stream),
    r.cudaGraphExecDestroy(launchable), r.cudaGraphDestroy(graph), r.cudaGetLastError(), r.cudaMemGetInfo(),
    r.cudaGetDeviceProperties(0), *(r.cudaDeviceGetAttribute(attribute, 0) for attribute in attributes),
]
print(int(stream), {answer[0].name for answer in answers}, len(answers))
properties = r.cudaDeviceProp()
print(type(properties.name).__name__, properties.major, properties.minor, properties.totalGlobalMem)
"""
        environment = {**os.environ, "PYTHONPATH": str(found_in)}
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if "a GPU is here" in done.stderr:
            pytest.skip("a GPU is here, which the calls would reach")
        assert done.stdout == "0 {'cudaErrorInsufficientDriver'} 26\nbytes 0 0 0\n", done.stderr
