"""ONNX Runtime: the default engine, on the CPU and through CUDA. ``onnxruntime_tensorrt`` is its TensorRT provider.

``cpu`` and ``gpu`` run ─► ``sessions`` makes what they run, with the options in ``providers``; ``placement`` checks.
Only ``sessions`` imports ``onnxruntime``.
"""

from __future__ import annotations

from saccade.engines.base import Engine, EngineOptions, Graph
from saccade.engines.onnxruntime.sessions import devices, version
from saccade.spec import Variant

__all__ = ["devices", "lacks", "load", "version"]


def load(graph: Graph, options: EngineOptions) -> Engine:
    """The engine for a device. Raises ``DeviceError`` for one that is not here, ``EngineError`` for a graph refused."""
    if options.device == "cpu":
        from saccade.engines.onnxruntime.cpu import OnnxRuntimeEngine

        return OnnxRuntimeEngine(graph, options)
    from saccade.engines.onnxruntime.gpu import OnnxRuntimeGpuEngine

    return OnnxRuntimeGpuEngine("onnxruntime", graph, options)


def lacks(variant: Variant, device: str) -> str | None:
    """Why this machine cannot compute ``variant``, or None where it can."""
    if device == "cpu" and variant.precision == "bf16":
        return "onnxruntime computes no bf16 on a CPU"
    return None
