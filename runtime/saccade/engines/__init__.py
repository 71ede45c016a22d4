"""The engines there are, and the choice of one. Each is imported when it is chosen, never before."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Protocol, cast

from saccade.engines.base import Engine, EngineOptions, Graph
from saccade.errors import DeviceError, RequestError
from saccade.machine import gpu_description, is_jetson
from saccade.spec import Variant

ENGINES = {"onnxruntime": "ort", "openvino": "openvino"}
"""Name of each engine, which is also the module that it needs, and the extra that installs it."""

DEVICES = ("cpu", "cuda")


class EngineModule(Protocol):
    def devices(self) -> tuple[str, ...]: ...

    def version(self) -> str: ...

    def lacks(self, variant: Variant, device: str) -> str | None:
        """Why this machine cannot compute ``variant``, or None where it can."""
        ...


def installed() -> tuple[str, ...]:
    """Engines whose library is installed."""
    return tuple(name for name in ENGINES if find_spec(name) is not None)


def choose(engine: str, device: str) -> tuple[str, str]:
    """The engine and device to use for what was asked ("auto" or a name).

    A device asked for is a device used. "auto" takes a GPU that the engine can use, else the CPU; on a Jetson never the
    CPU. Raises ``RequestError`` for unknown names, ``DeviceError`` for what is not here.
    """
    if engine != "auto" and engine not in ENGINES:
        raise RequestError(f"engine {engine!r} is not known; choose from auto, {', '.join(ENGINES)}")
    if device != "auto" and device not in DEVICES:
        raise RequestError(f"device {device!r} is not known; choose from auto, {', '.join(DEVICES)}")
    here = installed()
    wanted = here[:1] if engine == "auto" else (engine,)
    if not wanted or wanted[0] not in here:
        missing = wanted[0] if wanted else "onnxruntime"
        raise DeviceError(f"{missing} is not installed; run pip install 'saccade[{ENGINES[missing]}]'")
    return wanted[0], _choose_device(device, engine_module(wanted[0]).devices())


def load(name: str, graph: Graph, options: EngineOptions) -> Engine:
    """The engine called ``name`` with ``graph`` in it."""
    if name == "openvino":
        from saccade.engines.openvino import OpenVinoEngine

        return OpenVinoEngine(graph, options)
    assert name == "onnxruntime"
    from saccade.engines.onnxruntime import OnnxRuntimeEngine

    return OnnxRuntimeEngine(graph, options)


def engine_module(name: str) -> EngineModule:
    """The module of an installed engine. Raises ``DeviceError`` where its library is there but cannot be loaded."""
    try:
        module = cast(EngineModule, import_module(f"saccade.engines.{name}"))
        module.devices()  # an empty folder that an uninstall left behind imports, and holds nothing
        return module
    except Exception as error:  # a broken installation fails in ways of its own
        raise DeviceError(
            f"{name} is installed but cannot be loaded: {type(error).__name__}: {error}; "
            f"run pip install --force-reinstall 'saccade[{ENGINES[name]}]'"
        ) from error


def lacks(name: str, variant: Variant, device: str) -> str | None:
    """Why the engine called ``name`` cannot compute ``variant`` on this machine, or None where it can."""
    return engine_module(name).lacks(variant, device)


def _choose_device(device: str, usable: tuple[str, ...]) -> str:
    gpu = gpu_description()
    if device == "cuda" and gpu is None:
        raise DeviceError("device 'cuda' was asked for, but no NVIDIA GPU is here; pass device='cpu'")
    if device != "auto":
        return device
    if gpu is not None and "cuda" in usable:
        return "cuda"
    if is_jetson():
        raise DeviceError(
            "this is a Jetson, but the installed engine has no GPU support; "
            "install NVIDIA's onnxruntime-gpu for this JetPack, or pass device='cpu' to allow the CPU"
        )
    return "cpu"
