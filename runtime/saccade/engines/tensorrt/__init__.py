"""TensorRT 10.3 to 11 and TensorRT-RTX: engines built on the device, kept in a private cache, run through CUDA.

graph ─► ``obtain``: in the ``cache``, else ``build`` ─► ``loading`` ─► ``session``: context, stream, buffers, graph

Builds run in a process of their own: ``apart`` starts it, ``serving`` is what it does, ``handover`` what both exchange.

Only ``library`` imports NVIDIA's libraries, when they are needed.
"""

from __future__ import annotations

from saccade.engines.gpu.driver import usable_devices
from saccade.engines.tensorrt.library import lacks_gpu, load_library
from saccade.spec import Variant


def devices() -> tuple[str, ...]:
    """What the installed TensorRT can be asked for; CUDA here says nothing about a GPU being present."""
    return usable_devices(load_library("tensorrt").compute_capabilities)


def version() -> str:
    return load_library("tensorrt").version


def lacks(variant: Variant, device: str) -> str | None:
    """Why this machine cannot compute ``variant``, or None where it can."""
    return lacks_gpu(variant, device)
