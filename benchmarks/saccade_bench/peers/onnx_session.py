"""ONNX Runtime as its users open it, with the time of its last run."""

from __future__ import annotations

import time
from typing import Any


class OnnxSession:
    """A network of one input on the CPU. ``took_ns`` is how long its last run was."""

    def __init__(self, path: str, threads: int | None) -> None:
        import onnxruntime

        options: Any = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        self._session: Any = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._given = self._session.get_inputs()[0].name
        self.took_ns = 0
        self.about = {"engine": "onnxruntime", "engine_version": onnxruntime.__version__, "threads": threads}

    def __call__(self, tensor: Any) -> Any:
        """The first output for float32 (1, 3, h, w)."""
        started = time.perf_counter_ns()
        outputs = self._session.run(None, {self._given: tensor})
        self.took_ns = time.perf_counter_ns() - started
        return outputs[0]
