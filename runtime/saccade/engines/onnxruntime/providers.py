"""The options that each GPU provider is asked with, on a stream of ours."""

from __future__ import annotations

from collections.abc import Mapping

from saccade.engines.base import EngineOptions, Graph
from saccade.engines.onnxruntime.sessions import PROVIDERS, TENSORRT, Providers, create, session_options
from saccade.engines.tensorrt.profiles import ShapeRange, shape_range
from saccade.errors import EngineError

CUDA = PROVIDERS["cuda"]

PRECISION_FLAGS = {"fp16": "trt_fp16_enable", "bf16": "trt_bf16_enable", "int8": "trt_int8_enable"}
"""What TensorRT must be allowed for a graph of a precision: this provider types its networks weakly."""


def cuda_providers(options: EngineOptions, stream: int, *, is_recorded: bool) -> Providers:
    """CUDA alone, on ``stream``, float32 without TF32 unless the bundle says otherwise."""
    settings = options.settings or {}
    return [
        (
            CUDA,
            {
                "device_id": "0",
                "user_compute_stream": str(stream),
                "enable_cuda_graph": _flag(is_recorded),
                "use_tf32": _flag(settings.get("tf32", False)),
            },
        )
    ]


def tensorrt_providers(graph: Graph, options: EngineOptions, stream: int, *, is_recorded: bool) -> Providers:
    """TensorRT, and CUDA for what it does not take.

    Its own cache stays off: it would take an engine from the folder without knowing who wrote it.
    """
    asked = {
        "device_id": "0",
        "user_compute_stream": str(stream),
        "trt_cuda_graph_enable": _flag(is_recorded),
        **_profiles(graph, options),
    }
    if flag := PRECISION_FLAGS.get(graph.precision):
        asked[flag] = "1"
    return [(TENSORRT, asked), *cuda_providers(options, stream, is_recorded=False)]


def _profiles(graph: Graph, options: EngineOptions) -> Mapping[str, str]:
    """The range of shapes, so that one engine serves all frames; nothing where the inputs cannot be read."""
    if options.frames is None:
        return {}
    try:
        inputs = create(graph, session_options(EngineOptions(), 1), [PROVIDERS["cpu"]]).get_inputs()
    except EngineError:  # a precision that no CPU computes
        return {}
    ranges = {
        each.name: shape_range(
            each.name, [side if isinstance(side, int) else -1 for side in each.shape], options.frames
        )
        for each in inputs
        if not all(isinstance(side, int) for side in each.shape)
    }
    ends = {"min": "least", "opt": "usual", "max": "most"}
    return {f"trt_profile_{end}_shapes": _written(ranges, name) for end, name in ends.items()} if ranges else {}


def _written(ranges: Mapping[str, ShapeRange], end: str) -> str:
    return ",".join(f"{name}:{'x'.join(map(str, getattr(each, end)))}" for name, each in ranges.items())


def _flag(is_on: object) -> str:
    return "1" if is_on else "0"
