"""A graph in ONNX Runtime on this machine's CPU, for what is to be learnt of it: bundles are run by ``saccade``."""

from __future__ import annotations

from typing import Any

import onnxruntime  # type: ignore[reportMissingTypeStubs]

_ERRORS_ONLY = 3


def open_session(
    graph: bytes, *, optimised: bool = True, threads: int | None = None, profile_prefix: str | None = None
) -> Any:
    """A session with ``graph``, its weights inside. Raises kinds of the library's own for one that it refuses.

    ``threads`` None leaves them to the library. With ``profile_prefix`` it writes how long its nodes took into a file
    whose name begins so, until ``end_profiling``.
    """
    options: Any = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = threads or 0
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if profile_prefix is not None:
        options.enable_profiling, options.profile_file_prefix = True, profile_prefix
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
