"""8 bits, written into the graph as quantising and dequantising nodes, for each target as its engines take them best.

The nodes are onnxruntime.quantization's. A CPU's activations are uint8 with a zero point and biases int32, and what
lies between two layers stays in 8 bits where it can. A GPU's are int8 around 0, biases stay as they are, and only what
goes into a layer and comes out of it is quantised: TensorRT refuses the rest, or moves it by itself.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from onnxruntime.quantization import QDQQuantizer, QuantType  # type: ignore[reportMissingTypeStubs]
from onnxruntime.quantization.calibrate import (  # type: ignore[reportMissingTypeStubs]
    CalibrationMethod,
    TensorData,
    TensorsData,
)
from onnxruntime.quantization.quant_utils import load_model_with_shape_infer  # type: ignore[reportMissingTypeStubs]

from saccade.errors import RequestError
from saccade_export.precision.body import CARRYING, WEIGHTED, carrying, layers
from saccade_export.precision.histograms import Ranges

CPU, GPU = "cpu", "gpu"
TARGETS: dict[str, dict[str, Any]] = {
    CPU: {"activation_qType": QuantType.QUInt8, "extra_options": {}},
    GPU: {
        "activation_qType": QuantType.QInt8,
        "extra_options": {"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False},
    },
}


def to_int8(model: ir.Model, ranges: Ranges, target: str, keep: Collection[str] = ()) -> tuple[ir.Model, list[str]]:
    """``model`` with its layers in 8 bits, and their names. The model that is given stays as it is.

    ``ranges`` are those of ``Histograms``. ``target`` is "cpu" or "gpu";
    ``keep`` are names of layers (see ``layers``) that stay in float32. Raises ``RequestError`` where none is left.
    """
    chosen = {name: nodes for name, nodes in layers(model.graph).items() if name not in keep}
    if not chosen:
        raise RequestError("no layer is left to compute in 8 bits; keep fewer in float32")
    weighted = [name for nodes in chosen.values() for name in nodes]
    carried = carrying(model.graph, weighted) if target == CPU else []
    known: dict[str, Any] = {
        name: TensorData(lowest=np.array(low, np.float32), highest=np.array(high, np.float32))
        for name, (low, high) in ranges.items()
    }
    with tempfile.TemporaryDirectory(prefix="saccade-int8-") as folder:
        path = Path(folder) / "model.onnx"
        ir.save(model, path)
        quantizer: Any = QDQQuantizer(
            load_model_with_shape_infer(path),
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            tensors_range=TensorsData(CalibrationMethod.MinMax, known),
            nodes_to_quantize=[*weighted, *carried],
            nodes_to_exclude=[],
            op_types_to_quantize=sorted(WEIGHTED | CARRYING),
            **TARGETS[target],
        )
        quantizer.quantize_model()
        quantised = ir.from_proto(quantizer.model.model)
    quantised.graph.sort()  # the library puts what it adds at the end
    return quantised, list(chosen)
