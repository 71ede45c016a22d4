"""What a head adapter must know: the raw output of a kind of detector, as ONNX nodes and as eager PyTorch.

Both forms stand side by side and share no arithmetic: the one ships, the other proves it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import onnx_ir as ir
from torch import Tensor

from saccade.errors import RequestError
from saccade.spec import ChannelOrder, Resize
from saccade_export.lower.graph import GraphWriter

Shape = tuple[int, ...]


@dataclass(frozen=True)
class InputDefaults:
    """How detectors of this kind see images, unless the user says otherwise."""

    channel_order: ChannelOrder
    scale: float
    resize: Resize


class Head(Protocol):
    """The raw output of a network for images of one size and a number of classes.

    ``N`` images, ``A`` boxes an image, ``C`` classes, ``K`` boxes chosen. Boxes are xyxy in pixels of the network's
    input; scores are probabilities.
    """

    @property
    def name(self) -> str: ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names for the network's outputs, in its order."""
        ...

    @property
    def needs_suppression(self) -> bool: ...

    @property
    def input_defaults(self) -> InputDefaults: ...

    @property
    def objectness_column(self) -> int | None:
        """Where the only output (N, A, ...) holds what no score of a box exceeds; None where nothing does."""
        ...

    def check(self, shapes: Sequence[Shape]) -> int:
        """A, from the outputs' shapes without N. Raises ``RequestError`` with the shapes found and expected."""
        ...

    def best_scores(self, graph: GraphWriter, outputs: Sequence[ir.Value]) -> ir.Value:
        """Each box's score of its best class, (N, A)."""
        ...

    def decode(self, graph: GraphWriter, outputs: Sequence[ir.Value], chosen: ir.Value) -> tuple[ir.Value, ir.Value]:
        """Boxes (N, K, 4) and class ids int64 (N, K) of the boxes at ``chosen``, int64 (N, K)."""
        ...

    def eager(self, outputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """All boxes (N, A, 4) and their scores by class (N, A, C), in PyTorch."""
        ...


def misfit(head: str, expected: str, shapes: Sequence[Shape], advice: str = "") -> RequestError:
    """The error for outputs that are not this head's."""
    found = " and ".join(str(("N", *shape)).replace("'", "") for shape in shapes)
    return RequestError(
        f"head {head!r} expects {expected}, but the network gives {found}"
        + (f"; {advice}" if advice else "; check --head, --imgsz and the class list")
    )


def take_rows(graph: GraphWriter, name: str, values: ir.Value, chosen: ir.Value) -> ir.Value:
    """Rows of ``values`` (N, A, ...) at ``chosen`` int64 (N, K): (N, K, ...)."""
    index = graph.add("Unsqueeze", f"{name}_index", chosen, graph.axes(2))
    return graph.add("GatherND", name, values, index, batch_dims=1)


def take_columns(graph: GraphWriter, name: str, values: ir.Value, count: int, chosen: ir.Value) -> ir.Value:
    """Columns of ``values`` (N, ``count``, A) at ``chosen`` int64 (N, K), as rows: (N, K, ``count``)."""
    index = graph.add("Unsqueeze", f"{name}_index", chosen, graph.axes(1))
    each = graph.add("Expand", f"{name}_indices", index, graph.axes(1, count, 1))
    taken = graph.add("GatherElements", f"{name}_columns", values, each, axis=2)
    return graph.add("Transpose", name, taken, perm=[0, 2, 1])


def columns(graph: GraphWriter, name: str, values: ir.Value, start: int, stop: int) -> ir.Value:
    """``values[..., start:stop]`` of three dimensions."""
    bounds = (graph.axes(start), graph.axes(stop), graph.axes(2))
    return graph.add("Slice", name, values, *bounds)


def best_class(graph: GraphWriter, scores: ir.Value) -> ir.Value:
    """Class ids int64 (N, K) of the highest scores (N, K, C)."""
    return graph.add("ArgMax", "best_class", scores, axis=2, keepdims=0)


def corners(graph: GraphWriter, centre: ir.Value, half: ir.Value) -> ir.Value:
    """Boxes xyxy (N, K, 4) from centres and half sizes (N, K, 2)."""
    least = graph.add("Sub", "box_left_top", centre, half)
    return graph.add("Concat", "box_xyxy", least, graph.add("Add", "box_right_bottom", centre, half), axis=2)
