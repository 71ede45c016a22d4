"""The engines there are, and the choice of one. Each is imported when it is chosen, never before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol, cast

from saccade.engines.base import Engine, EngineOptions, Graph
from saccade.errors import DeviceError, RequestError
from saccade.machine import gpu_description, is_jetson
from saccade.spec import IMAGE_STAGE, Variant

ENGINES = {
    "onnxruntime": "ort",
    "openvino": "openvino",
    "tensorrt": "tensorrt",
    "tensorrt-rtx": "tensorrt-rtx",
    "onnxruntime-tensorrt": "cuda",
}
"""Name of each engine, which with ``_`` for ``-`` is its module here, and the extra that installs what it needs."""

DEVICES = ("cpu", "cuda")

PREPARES = "onnxruntime"
"""The engine that computes a variant's stage ``IMAGE_STAGE``, whatever computes the rest."""

RESTING: Mapping[str, str] = {"session.intra_op.allow_spinning": "0"}
"""Threads that wait for work at full speed would take the cores from the other engine's."""


class EngineModule(Protocol):
    def devices(self) -> tuple[str, ...]: ...

    def version(self) -> str: ...

    def lacks(self, variant: Variant, device: str) -> str | None:
        """Why this machine cannot compute ``variant``, or None where it can."""
        ...


def installed() -> tuple[str, ...]:
    """Engines whose library is installed."""
    return tuple(name for name in ENGINES if find_spec(_library_of(name)) is not None)


def choose(engine: str, device: str) -> tuple[str, str]:
    """The engine and device to use for what was asked ("auto" or a name).

    A device asked for is a device used. "auto" takes a GPU that an engine can use, else the CPU; on a Jetson never the
    CPU. Raises ``RequestError`` for unknown names and for an engine that has not this device, ``DeviceError`` for what
    is not here.
    """
    if engine != "auto" and engine not in ENGINES:
        raise RequestError(f"engine {engine!r} is not known; choose from auto, {', '.join(ENGINES)}")
    if device != "auto" and device not in DEVICES:
        raise RequestError(f"device {device!r} is not known; choose from auto, {', '.join(DEVICES)}")
    if engine == "auto":
        engine = _choose_engine(device)
    if engine not in installed():
        raise DeviceError(f"{engine} is not installed; {_how_to_install(engine)}")
    return engine, _choose_device(engine, device, engine_module(engine).devices())


def load(name: str, graph: Graph, options: EngineOptions) -> Engine:
    """The engine called ``name`` with ``graph`` in it, and the engine of what prepares its image before it."""
    if graph.prepare is None:
        return _load(name, graph, options)
    from saccade.engines.prepared import PreparedEngine

    first = replace(options, device="cpu", settings=RESTING)
    return PreparedEngine(
        _load(PREPARES, graph.prepare.graph, first),
        _load(name, replace(graph, prepare=None), options),
        graph.prepare.size_hw,
    )


def _load(name: str, graph: Graph, options: EngineOptions) -> Engine:
    if name == "openvino":
        from saccade.engines.openvino import OpenVinoEngine

        return OpenVinoEngine(graph, options)
    if name == "onnxruntime":
        from saccade.engines import onnxruntime

        return onnxruntime.load(graph, options)
    if name == "onnxruntime-tensorrt":
        from saccade.engines.onnxruntime.gpu import OnnxRuntimeGpuEngine

        return OnnxRuntimeGpuEngine(name, graph, options)
    from saccade.engines.tensorrt.engine import TensorRTEngine

    return TensorRTEngine(name, graph, options)


def engine_module(name: str) -> EngineModule:
    """The module of an installed engine. Raises ``DeviceError`` where its library is there but cannot be loaded."""
    try:
        module = cast(EngineModule, import_module(f"saccade.engines.{_module_of(name)}"))
        module.devices()  # an empty folder that an uninstall left behind imports, and holds nothing
        return module
    except DeviceError:  # which says what to do already
        raise
    except Exception as error:  # a broken installation fails in ways of its own
        raise DeviceError(
            f"{name} is installed but cannot be loaded: {type(error).__name__}: {error}; "
            f"run pip install --force-reinstall 'saccade[{ENGINES[name]}]'"
        ) from error


def lacks(name: str, variant: Variant, device: str) -> str | None:
    """Why the engine called ``name`` cannot compute ``variant`` on this machine, or None where it can."""
    if IMAGE_STAGE in variant.graphs and PREPARES not in installed():
        return f"{PREPARES}, which prepares its image, is not installed; {_how_to_install(PREPARES)}"
    return engine_module(name).lacks(variant, device)


def _how_to_install(name: str) -> str:
    if name == "tensorrt" and is_jetson():
        return "it comes with JetPack: make the environment with python3 -m venv --system-site-packages"
    return f"run pip install 'saccade[{ENGINES[name]}]'"


def _module_of(name: str) -> str:
    return name.replace("-", "_")


def _library_of(name: str) -> str:
    return "onnxruntime" if name == "onnxruntime-tensorrt" else _module_of(name)


def _choose_engine(device: str) -> str:
    """The first that has the device: with a GPU here, one that can use it, else one for the CPU."""
    here = installed()
    if device == "cuda" or (device == "auto" and gpu_description() is not None):
        for name in here:
            if "cuda" in engine_module(name).devices():
                return name
    for name in here:
        if "cpu" in engine_module(name).devices():
            return name
    return "onnxruntime"


def _choose_device(engine: str, device: str, usable: tuple[str, ...]) -> str:
    gpu = gpu_description()
    if device == "cpu" and "cpu" not in usable:
        raise RequestError(f"device 'cpu' was asked for, but {engine} runs on NVIDIA GPUs only; pass device='cuda'")
    if device == "cuda" and gpu is None:
        raise DeviceError("device 'cuda' was asked for, but no NVIDIA GPU is here; pass device='cpu'")
    if device != "auto":
        return device
    if gpu is not None and "cuda" in usable:
        return "cuda"
    if is_jetson():
        raise DeviceError(
            "this is a Jetson, but the installed engine has no GPU support; "
            "install NVIDIA's onnxruntime-gpu for this JetPack, make the environment with python3 -m venv "
            "--system-site-packages to have its TensorRT, or pass device='cpu' to allow the CPU"
        )
    if "cpu" not in usable:
        raise DeviceError(
            f"{engine} runs on NVIDIA GPUs, but none can be used here; pass engine='onnxruntime', which has the CPU"
        )
    return "cpu"
