"""NVIDIA's GPUs as the driver's library shows them (NVML), through ``nvidia-ml-py`` where that is installed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

from saccade import machine
from saccade_bench.machine.readings import Reading, Source

SLOWED = 0x08 | 0x20 | 0x40
"""nvmlClocksEventReason HwSlowdown, SwThermalSlowdown, HwThermalSlowdown: heat, or too little power."""


@dataclass(frozen=True)
class Gpu:
    """A GPU and the driver's version. ``power_limit_w`` is None where the driver does not say."""

    name: str
    driver: str
    power_limit_w: float | None


def gpus() -> Reading[tuple[Gpu, ...]]:
    """All GPUs that the driver shows, or why none is."""
    library, reason = _library()
    if library is None:
        return Reading(None, reason)
    driver = str(_asked(library.nvmlSystemGetDriverVersion) or "unknown")
    return Reading(tuple(_gpu(library, handle, driver) for handle in _handles(library)))


def sources() -> list[Source]:
    """Power, temperature, clock and slowing down of each GPU; one source with the reason where there is none."""
    library, reason = _library()
    handles = [] if library is None else _handles(library)
    if library is None or not handles:
        return [Source("gpu_power", "W", None, reason or "the driver shows no GPU")]
    found: list[Source] = []
    for index, handle in enumerate(handles):
        asked: tuple[tuple[str, str, float, Callable[..., Any], tuple[Any, ...]], ...] = (
            ("power", "W", 1e-3, library.nvmlDeviceGetPowerUsage, ()),
            ("temperature", "°C", 1.0, library.nvmlDeviceGetTemperature, (library.NVML_TEMPERATURE_GPU,)),
            ("clock", "MHz", 1.0, library.nvmlDeviceGetClockInfo, (library.NVML_CLOCK_SM,)),
        )
        found += [
            Source(f"gpu{index}_{name}", unit, partial(_scaled, scale, function, handle, *more))
            for name, unit, scale, function, more in asked
        ]
        found.append(Source(f"gpu{index}_slowed", "yes or no", partial(_slowed, library, handle)))
    return found


def _library() -> tuple[Any, str | None]:
    """NVML, ready to be asked, or None and the reason."""
    if machine.gpu_description() is None:
        return None, "no NVIDIA driver is here"
    try:
        library = import_module("pynvml")
    except ImportError:
        return None, "nvidia-ml-py is not installed; run pip install nvidia-ml-py"
    try:
        library.nvmlInit()
    except Exception as error:  # the library has a kind for every code
        return None, f"NVML does not start: {error}"
    return library, None


def _handles(library: Any) -> list[Any]:
    count = _asked(library.nvmlDeviceGetCount) or 0
    return [handle for index in range(count) if (handle := _asked(library.nvmlDeviceGetHandleByIndex, index))]


def _gpu(library: Any, handle: Any, driver: str) -> Gpu:
    limit = _scaled(1e-3, library.nvmlDeviceGetEnforcedPowerLimit, handle)
    return Gpu(str(_asked(library.nvmlDeviceGetName, handle) or "unknown"), driver, limit)


def _slowed(library: Any, handle: Any) -> float | None:
    reasons = _asked(library.nvmlDeviceGetCurrentClocksThrottleReasons, handle)
    return None if reasons is None else float(bool(reasons & SLOWED))


def _scaled(scale: float, function: Callable[..., Any], *arguments: Any) -> float | None:
    value = _asked(function, *arguments)
    return None if value is None else scale * float(value)


def _asked(function: Callable[..., Any], *arguments: Any) -> Any:
    """What NVML answers, None for what this GPU does not support."""
    try:
        return function(*arguments)
    except Exception:  # the library has a kind for every code
        return None
