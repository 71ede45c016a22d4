"""A graph in two parts: ONNX Runtime turns frames into the network's image, another engine does the rest.

ONNX Runtime resizes bytes in place, several times as fast as OpenVINO, and as exactly as PyTorch's own results were
made; and an engine that computes in bfloat16 would do the same to pixels.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from saccade.engines.base import Array, Engine, EngineInfo, OutputSpec
from saccade.errors import EngineError

FRAMES, IMAGE = "frames", "image"
TAKEN = (FRAMES, "channel_order")
"""What the first part takes; the other takes everything but the last of these, and the image."""


class PreparedEngine:
    """See ``Engine``. ``first`` runs while ``submit`` does, ``second`` until ``wait``."""

    def __init__(self, first: Engine, second: Engine, size_hw: tuple[int, int]) -> None:
        self._first, self._second, self._size_hw = first, second, size_hw
        self._is_pending = False

    def describe(self) -> EngineInfo:
        return self._second.describe()

    def input_buffer(self, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> Array:
        return self._second.input_buffer(name, shape, dtype)

    def submit(self, inputs: Mapping[str, Array], outputs: Mapping[str, OutputSpec]) -> None:
        if self._is_pending:  # the image is still being read
            raise EngineError("submit was called twice without wait")
        wanted = OutputSpec((inputs[FRAMES].shape[0], 3, *self._size_hw), np.float32)
        prepared = self._first.run({name: inputs[name] for name in TAKEN}, {IMAGE: wanted})
        rest = {name: array for name, array in inputs.items() if name not in TAKEN[1:]}
        self._second.submit({**rest, IMAGE: prepared[IMAGE]}, outputs)
        self._is_pending = True

    def wait(self) -> Mapping[str, Array]:
        self._is_pending = False
        return self._second.wait()

    def run(self, inputs: Mapping[str, Array], outputs: Mapping[str, OutputSpec]) -> Mapping[str, Array]:
        self.submit(inputs, outputs)
        return self.wait()

    def clone(self) -> PreparedEngine:
        return PreparedEngine(self._first.clone(), self._second.clone(), self._size_hw)

    def close(self) -> None:
        self._is_pending = False
        self._second.close()
        self._first.close()
