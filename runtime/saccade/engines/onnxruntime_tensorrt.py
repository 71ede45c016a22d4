"""ONNX Runtime's TensorRT provider, with CUDA for what TensorRT does not take. It builds its engines at every opening.

For engines that are built once and kept, and for full control of precision, use "tensorrt" or "tensorrt-rtx".
"""

from __future__ import annotations

from saccade.engines.onnxruntime.sessions import TENSORRT, available, version
from saccade.engines.tensorrt.library import lacks_gpu
from saccade.spec import Variant

__all__ = ["devices", "lacks", "version"]


def devices() -> tuple[str, ...]:
    """("cuda",) where the installed build has the provider, whether or not TensorRT and a GPU are here."""
    return ("cuda",) if TENSORRT in available() else ()


def lacks(variant: Variant, device: str) -> str | None:
    """Why this machine cannot compute ``variant``, or None where it can."""
    return lacks_gpu(variant, device)
