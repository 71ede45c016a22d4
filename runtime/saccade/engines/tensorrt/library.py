"""The only importer of ``tensorrt`` and ``tensorrt_rtx``: which of the two is here, and what it says of itself.

What a version can do is asked of its names, never of its number.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, cast

from saccade.engines.tensorrt.names import (
    CLASSES,
    ENUMS,
    RTX_CLASSES,
    RTX_ENUMS,
    Enumerator,
    NvLogger,
    NvModule,
    missing,
)
from saccade.errors import DeviceError
from saccade.spec import Variant

MODULES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
"""Name of each engine, and the module that it needs."""

SERVED = {"tensorrt": "10.3 to 11", "tensorrt-rtx": "1.7"}
INSTALLED_WITH = {
    "tensorrt": "run pip install 'saccade[tensorrt]'; on a Jetson TensorRT comes with JetPack (python3-libnvinfer), "
    "so make the environment with python3 -m venv --system-site-packages",
    "tensorrt-rtx": "run pip install 'saccade[tensorrt-rtx]'",
}
KEPT_MESSAGES = 12


@dataclass(frozen=True)
class Library:
    """TensorRT or TensorRT-RTX. ``log`` outlives every object made with it: the library keeps the first that it meets.

    ``errors`` are the messages that it has written there, newest last. ``is_installed``: it was imported by its name,
    so another process finds the same.
    """

    name: str
    module: NvModule
    log: NvLogger
    errors: deque[str]
    is_installed: bool = False

    @property
    def version(self) -> str:
        return self.module.__version__

    @property
    def builds_without_gpu(self) -> bool:
        """Whether engines are compiled for stated GPUs, none of which has to be here."""
        return not missing(self.module, {"IBuilderConfig": RTX_CLASSES["IBuilderConfig"]}, {})

    @property
    def captures_graphs(self) -> bool:
        """Whether contexts record CUDA graphs themselves."""
        wanted = {name: RTX_CLASSES[name] for name in ("ICudaEngine", "IRuntimeConfig")}
        return not missing(self.module, wanted, {"CudaGraphStrategy": RTX_ENUMS["CudaGraphStrategy"]})

    @property
    def compute_capabilities(self) -> tuple[str, ...]:
        """GPUs that engines can be compiled for, as "SM89"."""
        known = getattr(self.module, "ComputeCapability", None)
        return tuple(name for name in getattr(known, "__members__", {}) if name.startswith("SM"))

    def enumerator(self, enumeration: str, name: str) -> Enumerator:
        """A value of one of RTX's own enumerations."""
        return getattr(getattr(self.module, enumeration), name)

    def reasons(self) -> str:
        """What the library has reported since it was last asked, as part of a sentence."""
        said = list(dict.fromkeys(self.errors))
        self.errors.clear()
        return "; ".join(said) or "it gave no reason"


def lacks_gpu(variant: Variant, device: str) -> str | None:
    """Why TensorRT cannot run ``variant`` on ``device``, or None where it can."""
    if device == "cpu":
        return "TensorRT runs on NVIDIA GPUs only"
    return None if variant.target == "gpu" else f"it is made for {variant.target}, and TensorRT takes those for gpu"


@cache
def load_library(name: str) -> Library:
    """The library of an engine, loaded; none of its objects is made but the log.

    Raises ``DeviceError`` where it is not installed, cannot be loaded, or lacks what is used here.
    """
    module = _import(name)
    if lacking := missing(module, CLASSES, ENUMS):
        raise DeviceError(
            f"{name} {getattr(module, '__version__', 'of an unknown version')} is installed, but it lacks "
            f"{', '.join(lacking[:3])}{' and more' if len(lacking) > 3 else ''}; "
            f"this engine is for {SERVED[name]}: {INSTALLED_WITH[name]}"
        )
    errors: deque[str] = deque(maxlen=KEPT_MESSAGES)
    return Library(name, module, _log(module, errors), errors, is_installed=True)


def _import(name: str) -> NvModule:
    try:
        return cast(NvModule, import_module(MODULES[name]))
    except ModuleNotFoundError as error:
        if error.name != MODULES[name]:
            raise DeviceError(f"{name} is installed without its {error.name}; {INSTALLED_WITH[name]}") from error
        raise DeviceError(f"{name} is not installed; {INSTALLED_WITH[name]}") from error
    except (ImportError, OSError, AttributeError, RuntimeError) as error:  # libraries of its own that are not here
        raise DeviceError(f"{name} is installed, but cannot be loaded: {error}; {INSTALLED_WITH[name]}") from error


def _log(module: NvModule, errors: deque[str]) -> NvLogger:
    """A log that keeps what went wrong and drops the rest. The library calls it from threads of its own."""

    def log(_self: Any, severity: Enumerator, msg: str) -> None:
        if severity.name in ("ERROR", "INTERNAL_ERROR"):
            errors.append(msg.strip())

    made: Any = type("SaccadeLog", (module.ILogger,), {"__init__": module.ILogger.__init__, "log": log})
    return made()
