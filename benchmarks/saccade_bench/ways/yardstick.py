"""A fixed piece of work that no change to Saccade touches: what two runs, on two days, are measured by.

Convolutions and additions of float32 in ONNX Runtime, as much as a small network at 192 by 256 pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from saccade_bench.serving import Way, serve

CHANNELS, LAYERS, SIZE_HW = 32, 6, (192, 256)


def open_way(spec: dict[str, Any]) -> Way:
    """``spec``: threads, None for all."""
    import onnxruntime

    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads = spec.get("threads") or 0
    session: Any = onnxruntime.InferenceSession(network(), options, providers=["CPUExecutionProvider"])
    given = {"x": np.random.default_rng(0).random((1, CHANNELS, *SIZE_HW), np.float32)}
    return Way(lambda _: session.run(None, given), about={"engine": "onnxruntime", "task": "yardstick"})


def network() -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    shape = (1, CHANNELS, *SIZE_HW)
    random = np.random.default_rng(0)
    nodes, weights, value = [], [], "x"
    for layer in range(LAYERS):
        kernel = random.standard_normal((CHANNELS, CHANNELS, 3, 3)).astype(np.float32) / 17
        weights.append(numpy_helper.from_array(kernel, f"w{layer}"))
        nodes.append(helper.make_node("Conv", [value, f"w{layer}"], [f"c{layer}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Add", [f"c{layer}", value], [f"y{layer}"]))
        value = f"y{layer}"
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", value)]
    graph = helper.make_graph(nodes, "yardstick", ends[:1], ends[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10).SerializeToString()


if __name__ == "__main__":
    serve(open_way)
