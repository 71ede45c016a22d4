"""No driver, no GPU, no library, another version, no memory: each an error that says what is here and what to do.

CUDA's answers are stood in for, the names and numbers being CUDA's own; the library itself is not here to give them.
"""

# ruff: noqa: N802, N815 - CUDA's own names

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest

from saccade import engines
from saccade.engines.base import EngineOptions, Graph
from saccade.engines.gpu.cuda import checked, load_cuda
from saccade.engines.gpu.driver import find_gpu, usable_devices
from saccade.engines.tensorrt.engine import TensorRTEngine
from saccade.engines.tensorrt.library import load_library
from saccade.errors import DeviceError, EngineError, RequestError

SUCCESS = SimpleNamespace(name="cudaSuccess")
GRAPH = Graph("main.onnx", memoryview(b"graph"), {}, 18)


class Cuda:
    """A driver that answers as it is told to."""

    cudaDeviceAttr = SimpleNamespace(cudaDevAttrIntegrated="integrated", cudaDevAttrCanMapHostMemory="map")

    def __init__(
        self, count: Any, driver: int = 13000, *, integrated: int = 0, free: Any = (SUCCESS, 1 << 20, 1 << 30)
    ):
        self.count, self.driver, self.integrated, self.free = count, driver, integrated, free

    def cudaGetDeviceCount(self) -> Any:
        return self.count

    def cudaDriverGetVersion(self) -> Any:
        return SUCCESS, self.driver

    def cudaRuntimeGetVersion(self) -> Any:
        return SUCCESS, 13050

    def cudaGetErrorString(self, error: Any) -> Any:
        return SUCCESS, b"words of " + error.name.encode()

    def cudaGetDeviceProperties(self, device: int) -> Any:
        assert device == 0
        return SUCCESS, SimpleNamespace(name=b"Orin\0\0", major=8, minor=7, totalGlobalMem=64 << 30)

    def cudaDeviceGetAttribute(self, attribute: str, device: int) -> Any:
        return SUCCESS, self.integrated if attribute == "integrated" else 1

    def cudaMemGetInfo(self) -> Any:
        return self.free


def error(name: str) -> tuple[Any, None]:
    return SimpleNamespace(name=name), None


class TestDriver:
    def test_a_gpu_is_described_by_what_it_says_of_itself(self) -> None:
        gpu = find_gpu(cast(Any, Cuda((SUCCESS, 1))))
        assert (gpu.name, gpu.compute_capability, gpu.memory_bytes) == ("Orin", (8, 7), 64 << 30)
        assert gpu.driver.startswith("CUDA 13.0; ")
        assert gpu.shares_memory is False
        assert find_gpu(cast(Any, Cuda((SUCCESS, 1), integrated=1))).shares_memory is True

    @pytest.mark.parametrize(
        ("cuda", "said"),
        [
            (Cuda(error("cudaErrorInsufficientDriver"), 0), "no NVIDIA driver is here; install one.*--gpus all"),
            (Cuda(error("cudaErrorInsufficientDriver"), 12060), r"knows CUDA 12\.6.*for 13\.5.*'cuda-bindings<13'"),
            (Cuda(error("cudaErrorNoDevice")), "shows no GPU; check nvidia-smi and CUDA_VISIBLE_DEVICES"),
            (Cuda((SUCCESS, 0)), "shows no GPU"),
            (Cuda(error("cudaErrorUnknown")), "does not answer: cudaErrorUnknown: words of"),
        ],
        ids=["no driver", "an old driver", "no device", "none of them", "a broken driver"],
    )
    def test_what_is_missing_is_told_with_what_to_do(self, cuda: Cuda, said: str) -> None:
        with pytest.raises(DeviceError, match=said):
            find_gpu(cast(Any, cuda))

    def test_this_machines_answer_is_one_of_them(self) -> None:
        cuda = pytest.importorskip("cuda.bindings.runtime", reason="cuda-bindings is not installed")
        if cuda.cudaGetDeviceCount()[0].name == "cudaSuccess":
            assert find_gpu(cuda).memory_bytes > 0
        else:
            with pytest.raises(DeviceError, match="driver"):
                find_gpu(cuda)

    def test_without_its_package_the_error_names_the_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
        with pytest.raises(DeviceError, match=r"needs the package cuda-bindings.*pip install cuda-bindings"):
            load_cuda()
        assert usable_devices(()) == ()

    def test_a_gpu_that_a_library_is_not_made_for_is_not_offered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", cast(ModuleType, Cuda((SUCCESS, 1))))
        assert usable_devices(()) == usable_devices(("SM86", "SM87")) == ("cuda",)
        assert usable_devices(("SM86", "SM89")) == ()
        monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", cast(ModuleType, Cuda(error("cudaErrorNoDevice"))))
        assert usable_devices(("SM86", "SM89")) == ("cuda",)


class TestCalls:
    def test_what_a_call_gives_is_given_on(self) -> None:
        cuda = cast(Any, Cuda((SUCCESS, 1)))
        assert checked(cuda, (SUCCESS, 5), "x") == 5
        assert checked(cuda, (SUCCESS,), "x") == ()
        assert checked(cuda, (SUCCESS, 1, 2), "x") == (1, 2)

    def test_out_of_memory_says_how_much_there_is_and_what_to_do(self) -> None:
        with pytest.raises(
            EngineError, match="out of memory while allocating: the GPU has 1 MiB free of 1024 MiB; free"
        ):
            checked(cast(Any, Cuda(None)), error("cudaErrorMemoryAllocation"), "allocating")
        broken = cast(Any, Cuda(None, free=error("cudaErrorUnknown")))
        with pytest.raises(EngineError, match=r"how much the GPU has free is not known; free memory.*--max-frame"):
            checked(broken, error("cudaErrorMemoryAllocation"), "allocating")

    def test_any_other_failure_has_its_name_and_words(self) -> None:
        with pytest.raises(EngineError, match="copying failed: cudaErrorLaunchFailure: words of cudaErrorLaunch"):
            checked(cast(Any, Cuda(None)), error("cudaErrorLaunchFailure"), "copying")


class TestLibrary:
    def test_a_library_that_is_not_here_is_told_with_how_to_get_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "tensorrt", None)
        with pytest.raises(
            DeviceError, match=r"tensorrt is not installed; .*'saccade\[tensorrt\]'.*system-site-packages"
        ):
            load_library.__wrapped__("tensorrt")

    def test_a_library_of_another_version_is_told_with_what_it_lacks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        old = ModuleType("tensorrt")
        old.__dict__.update(__version__="8.6.1", Builder=type("Builder", (), {"create_network": None}))
        monkeypatch.setitem(sys.modules, "tensorrt", old)
        with pytest.raises(DeviceError, match=r"tensorrt 8\.6\.1 is installed, but it lacks .* and more;.*10\.3 to 11"):
            load_library.__wrapped__("tensorrt")

    def test_a_library_without_its_own_libraries_is_told(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        folder = tmp_path_factory.mktemp("broken")
        (folder / "tensorrt").mkdir()
        (folder / "tensorrt" / "__init__.py").write_text("raise OSError('libnvinfer.so.10: cannot open shared object')")
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
        with pytest.raises(DeviceError, match=r"cannot be loaded: libnvinfer\.so\.10"):
            load_library.__wrapped__("tensorrt")


class TestChoice:
    @pytest.mark.parametrize("engine", ["tensorrt", "tensorrt-rtx"])
    def test_the_cpu_is_refused_by_the_engine_itself(self, engine: str) -> None:
        with pytest.raises(RequestError, match=f"'cpu' was asked for, but {engine} runs on NVIDIA GPUs"):
            TensorRTEngine(engine, GRAPH, EngineOptions("cpu"))

    def test_the_driver_is_asked_before_the_library(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A library that would be touched first would be told to be missing."""
        monkeypatch.setitem(sys.modules, "tensorrt", None)
        monkeypatch.setitem(
            sys.modules, "cuda.bindings.runtime", cast(ModuleType, Cuda(error("cudaErrorInsufficientDriver"), 0))
        )
        with pytest.raises(DeviceError, match="no NVIDIA driver is here"):
            TensorRTEngine("tensorrt", GRAPH, EngineOptions("cuda"))

    @pytest.mark.parametrize(
        ("gpu", "devices", "device", "expected"),
        [
            (None, {"onnxruntime": ("cpu",), "tensorrt": ("cuda",)}, "auto", ("onnxruntime", "cpu")),
            ("driver", {"onnxruntime": ("cpu",), "tensorrt": ("cuda",)}, "auto", ("tensorrt", "cuda")),
            ("driver", {"onnxruntime": ("cpu",), "tensorrt": ("cuda",)}, "cpu", ("onnxruntime", "cpu")),
            ("driver", {"onnxruntime": ("cpu",), "tensorrt": ("cuda",)}, "cuda", ("tensorrt", "cuda")),
            ("driver", {"onnxruntime": ("cpu", "cuda"), "tensorrt": ("cuda",)}, "auto", ("onnxruntime", "cuda")),
            ("driver", {"onnxruntime": ("cpu",), "tensorrt-rtx": ()}, "auto", ("onnxruntime", "cpu")),
            ("driver", {"tensorrt": ("cuda",)}, "auto", ("tensorrt", "cuda")),
        ],
    )
    def test_auto_takes_what_has_the_device(
        self, monkeypatch: pytest.MonkeyPatch, gpu: str | None, devices: dict[str, Any], device: str, expected: Any
    ) -> None:
        monkeypatch.setattr(engines, "gpu_description", lambda: gpu)
        monkeypatch.setattr(engines, "is_jetson", lambda: False)
        monkeypatch.setattr(engines, "installed", lambda: tuple(devices))
        monkeypatch.setattr(engines, "engine_module", lambda name: SimpleNamespace(devices=lambda: devices[name]))
        assert engines.choose("auto", device) == expected

    def test_a_machine_without_a_gpu_is_told_what_has_the_cpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(engines, "gpu_description", lambda: None)
        monkeypatch.setattr(engines, "installed", lambda: ("tensorrt-rtx",))
        monkeypatch.setattr(engines, "engine_module", lambda name: SimpleNamespace(devices=lambda: ("cuda",)))
        with pytest.raises(DeviceError, match=r"onnxruntime is not installed; run pip install 'saccade\[ort\]'"):
            engines.choose("auto", "auto")
        with pytest.raises(DeviceError, match="pass engine='onnxruntime', which has the CPU"):
            engines.choose("tensorrt-rtx", "auto")
        with pytest.raises(RequestError, match="tensorrt-rtx runs on NVIDIA GPUs only"):
            engines.choose("tensorrt-rtx", "cpu")
