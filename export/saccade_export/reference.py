"""The slow reference engine: ONNX's own evaluator, which shares no code with an engine that ships. For proofs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx.external_data_helper import load_external_data_for_model
from onnx.reference import ReferenceEvaluator

from saccade.engines.base import Array, EngineInfo, EngineOptions, Graph, OutputSpec
from saccade.engines.buffers import BufferCache, InputBuffers
from saccade.errors import EngineError


class ReferenceEngine:
    """See ``saccade.engines.base.Engine``. Hundreds of times slower than ONNX Runtime: use tiny networks."""

    def __init__(self, graph: Graph, options: EngineOptions | None = None) -> None:
        del options  # numpy alone: no device, no threads to choose
        with graph.on_disk() as path:
            model = onnx.load(path, load_external_data=False)
            load_external_data_for_model(model, str(path.parent))
        self._evaluator: ReferenceEvaluator | None = ReferenceEvaluator(model)
        self._buffers: BufferCache[None] = BufferCache(lambda _: None)
        self._inputs = InputBuffers()
        self._pending: Mapping[str, Array] | None = None

    def describe(self) -> EngineInfo:
        return EngineInfo("reference", onnx.__version__, "cpu", 1)

    def input_buffer(self, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> Array:
        return self._inputs.get(name, shape, dtype)

    def submit(self, inputs: Mapping[str, Array], outputs: Mapping[str, OutputSpec]) -> None:
        if self._evaluator is None:
            raise EngineError("the engine is closed; open the bundle again")
        _, arrays = self._buffers.get(inputs, outputs)
        found = self._evaluator.run(list(outputs), dict(inputs))
        for name, value in zip(outputs, found, strict=True):
            np.copyto(arrays[name], value)
        self._pending = arrays

    def wait(self) -> Mapping[str, Array]:
        if self._pending is None:
            raise EngineError("wait was called without submit")
        arrays, self._pending = self._pending, None
        return arrays

    def run(self, inputs: Mapping[str, Array], outputs: Mapping[str, OutputSpec]) -> Mapping[str, Array]:
        self.submit(inputs, outputs)
        return self.wait()

    def clone(self) -> ReferenceEngine:
        other = object.__new__(ReferenceEngine)
        other._inputs = InputBuffers()
        other._evaluator, other._buffers, other._pending = self._evaluator, BufferCache(lambda _: None), None
        return other

    def close(self) -> None:
        self._evaluator = None
        self._buffers.clear()
