"""8 bits, written into the graph as quantising and dequantising nodes, for each target as its engines take them best.

The ranges are onnxruntime.quantization's, measured by running the whole graph on frames; a CPU's activations are uint8
with a zero point and biases int32, a GPU's are int8 around 0 and biases stay as they are: TensorRT refuses the rest.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnxruntime.quantization import (  # type: ignore[reportMissingTypeStubs]
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from saccade.errors import RequestError
from saccade_export.precision.body import WEIGHTED, body
from saccade_export.precision.recorded import Feed

METHODS: dict[str, Any] = {
    "minmax": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}
"""How a range follows from what was seen: all of it, the least loss of information, or all but the rarest values."""

TARGETS: dict[str, dict[str, Any]] = {
    "cpu": {"activation_type": QuantType.QUInt8, "extra_options": {}},
    "gpu": {
        "activation_type": QuantType.QInt8,
        "extra_options": {"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False},
    },
}


class _Feeds(CalibrationDataReader):
    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._left = iter(feeds)

    def get_next(self) -> dict[str, npt.NDArray[Any]] | None:  # type: ignore[override]
        feed = next(self._left, None)
        return None if feed is None else dict(feed)


def to_int8(
    model: ir.Model, feeds: Sequence[Feed], target: str, *, method: str = "minmax", keep: Collection[str] = ()
) -> tuple[ir.Model, list[str]]:
    """``model`` with its weighted nodes in 8 bits, and their names. The model that is given stays as it is.

    ``feeds`` are inputs of the graph that ranges are measured on. ``target`` is "cpu" or "gpu", ``method`` one of
    ``METHODS``, ``keep`` are names of nodes that stay in float32. Raises ``RequestError`` where none is left.
    """
    chosen = [str(node.name) for node in body(model.graph) if node.op_type in WEIGHTED and node.name not in keep]
    if not chosen:
        raise RequestError("no node is left to compute in 8 bits; keep fewer in float32")
    with tempfile.TemporaryDirectory(prefix="saccade-int8-") as folder:
        path = Path(folder) / "int8.onnx"
        quantize_static(
            ir.to_proto(model),
            path,
            _Feeds(feeds),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=sorted(WEIGHTED),
            nodes_to_quantize=chosen,
            per_channel=True,
            weight_type=QuantType.QInt8,
            calibrate_method=METHODS[method],
            **TARGETS[target],
        )
        quantised = ir.load(path)
        for value in quantised.graph.initializers.values():  # the folder goes away
            if isinstance(value.const_value, ir.ExternalTensor):
                value.const_value = ir.tensor(np.array(value.const_value.numpy()), name=value.name)
    return quantised, chosen
