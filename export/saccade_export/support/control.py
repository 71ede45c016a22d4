"""Control flow, recurrences and what is only for training."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from saccade_export.support.findings import Fault, Rule, rule
from saccade_export.support.seen import Seen, shape_of, sources
from saccade_export.support.targets import Target

RESHAPING = frozenset(
    {"Reshape", "Squeeze", "Unsqueeze", "Flatten", "DepthToSpace", "SpaceToDepth", "Softmax", "LogSoftmax", "Hardmax"}
)
"""Operations that are built with a reshaping; the last three before opset 13 flatten all axes into two."""

ONE_AXIS = frozenset({"Conv", "ConvTranspose", "MaxPool", "AveragePool"})
"""Windows that move along one axis are built as those along two, reshaped before and after."""


def branches_of_one_rank(seen: Seen, _: Target) -> Iterator[Fault]:
    then, otherwise = (_graph(seen, name) for name in ("then_branch", "else_branch"))
    if then is None or otherwise is None:
        return
    for one, other in zip(then.outputs, otherwise.outputs, strict=False):
        ranks = [None if (shape := shape_of(value)) is None else len(shape) for value in (one, other)]
        if None not in ranks and ranks[0] != ranks[1]:
            yield Fault(f"If gives {ranks[0]} axes in one branch and {ranks[1]} in the other; give both the same")


def branches_of_reshaped(seen: Seen, target: Target) -> Iterator[Fault]:
    """Measured: TensorRT-RTX 1.7 fails to build some branches that take what was reshaped before them."""
    if not target.is_rtx:
        return
    for name in ("then_branch", "else_branch"):
        graph = _graph(seen, name)
        for node in () if graph is None else ir.traversal.RecursiveGraphIterator(graph):
            outer = (value for value in node.inputs if value is not None and _made_outside(value, graph))
            if any(_is_reshaped(each) for value in outer for each in sources(value)):
                yield Fault(
                    "If has a branch that takes a reshaped value, which TensorRT-RTX 1.7 may not build; use Where",
                    "unsure",
                )
                return


def _made_outside(value: ir.Value, graph: ir.Graph | None) -> bool:
    producer = value.producer()
    return producer is not None and producer.graph is not graph


def _is_reshaped(value: ir.Value) -> bool:
    """Whether a value is built with a reshaping: by an operation that is one, or that changes the number of axes."""
    node, shape = value.producer(), shape_of(value)
    if node is None:
        return False
    before = shape_of(node.inputs[0]) if node.inputs else None
    changes_rank = shape is not None and before is not None and len(shape) != len(before)
    of_one_axis = node.op_type in ONE_AXIS and shape is not None and len(shape) == 3
    return of_one_axis or changes_rank or node.op_type in RESHAPING


def recurrences(seen: Seen, _: Target) -> Iterator[Fault]:
    if seen.attribute("layout", 0):
        yield Fault(f"{seen.operation} has layout 1, but TensorRT takes 0: sequence before batch; transpose around it")
    if seen.attribute("input_forget", 0):
        yield Fault("LSTM couples its input and forget gates, which TensorRT's does not")


def inference_only(seen: Seen, _: Target) -> Iterator[Fault]:
    if seen.attribute("training_mode", 0) or len([v for v in seen.node.outputs if v.name]) > 1:
        yield Fault(f"{seen.operation} is in training mode, or gives more than its result; export for inference")


def _graph(seen: Seen, name: str) -> ir.Graph | None:
    found = seen.attribute(name)
    return found if isinstance(found, ir.Graph) else None


RULES: dict[str, Rule] = {
    "branches": rule(branches_of_one_rank, "If"),
    "reshaped branch": rule(branches_of_reshaped, "If"),
    "recurrence": rule(recurrences, "LSTM", "GRU", "RNN"),
    "training": rule(inference_only, "BatchNormalization", "LayerNormalization"),
}
