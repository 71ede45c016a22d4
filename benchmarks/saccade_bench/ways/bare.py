"""The network alone on ready tensors, in a script of numpy and ONNX Runtime: what everything else is an addition to."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from saccade_bench.serving import Way, serve


def open_way(spec: dict[str, Any]) -> Way:
    """``spec``: network, outputs, tensors (n, 3, h, w), threads, task."""
    import onnxruntime

    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads = spec["threads"] or 0
    session: Any = onnxruntime.InferenceSession(spec["network"], options, providers=["CPUExecutionProvider"])
    name, tensors, outputs = session.get_inputs()[0].name, np.load(spec["tensors"]), spec["outputs"]
    took_ns = 0

    def run(index: int) -> None:
        nonlocal took_ns
        given = {name: tensors[index % len(tensors)][None]}
        started = time.perf_counter_ns()
        session.run(outputs, given)
        took_ns = time.perf_counter_ns() - started

    about = {
        "engine": "onnxruntime",
        "engine_version": onnxruntime.__version__,
        "task": spec["task"],
        "part": "network",
    }
    return Way(run, engine_ns=lambda: took_ns, about={**about, "precision": "fp32", "threads": spec["threads"]})


if __name__ == "__main__":
    serve(open_way)
