"""Move large tensors out of graphs into one file that all graphs of a bundle share, each tensor in it once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import onnx_ir as ir

from saccade.bundle import ALIGNMENT

LOCATION = "weights.bin"
WEIGHTS = f"graphs/{LOCATION}"
"""The member of a bundle that is this file."""

INLINE_BYTES = 1024
"""Smaller tensors stay in the graph: shapes and axes must be there for shape inference."""


class WeightStore:
    """Collects tensors of many graphs, equal bytes stored once, each at a 64-byte aligned offset."""

    def __init__(self, data: bytes | memoryview = b"", spans: Iterable[tuple[int, int]] = ()) -> None:
        """``data`` is what is stored already, ``spans`` the offset and length of each tensor in it."""
        self._data = bytearray(data)
        self._offsets = {hashlib.sha256(data[start : start + length]).digest(): start for start, length in spans}

    def take_from(self, model: ir.Model) -> None:
        """Replace the model's large initializers by references into this store."""
        for value in model.graph.initializers.values():
            tensor = value.const_value
            if tensor is None or tensor.nbytes < INLINE_BYTES:
                continue
            data = tensor.tobytes()
            value.const_value = ir.ExternalTensor(
                LOCATION,
                self._offset(data),
                len(data),
                tensor.dtype,
                shape=ir.Shape(tensor.shape.numpy()),
                name=value.name or "",
            )

    @property
    def data(self) -> bytes:
        return bytes(self._data)

    def _offset(self, data: bytes) -> int:
        digest = hashlib.sha256(data).digest()
        if digest not in self._offsets:
            self._data += bytes(-len(self._data) % ALIGNMENT)
            self._offsets[digest] = len(self._data)
            self._data += data
        return self._offsets[digest]
