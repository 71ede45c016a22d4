"""TensorRT-RTX, which shares all but its library with TensorRT: see ``saccade.engines.tensorrt``."""

from __future__ import annotations

from saccade.engines.gpu.driver import usable_devices
from saccade.engines.tensorrt.library import lacks_gpu, load_library
from saccade.spec import Variant


def devices() -> tuple[str, ...]:
    """What the installed TensorRT-RTX can be asked for: nothing where the GPU here is none that it is made for."""
    return usable_devices(load_library("tensorrt-rtx").compute_capabilities)


def version() -> str:
    return load_library("tensorrt-rtx").version


def lacks(variant: Variant, device: str) -> str | None:
    """Why this machine cannot compute ``variant``, or None where it can."""
    return lacks_gpu(variant, device)
