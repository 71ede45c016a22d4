"""Which provider computes which node of a session, and whether a GPU has all that it should."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saccade.engines.onnxruntime.sessions import PROVIDERS
from saccade.errors import DeviceError

RECORD = "session.record_ep_graph_assignment_info"

SHAPE_ARITHMETIC = frozenset(
    ("Add", "Cast", "Ceil", "Concat", "ConstantOfShape", "Div", "Equal", "Expand", "Floor", "Gather", "Greater", "Less",
     "Max", "Min", "Mod", "Mul", "Range", "ReduceProd", "Reshape", "Shape", "Size", "Slice", "Squeeze", "Sub",
     "Unsqueeze", "Where")
)  # fmt: skip
"""What ONNX Runtime itself leaves on the CPU, where what is computed is a shape: a few numbers, faster there."""

SHOWN = 5

Placement = Mapping[str, tuple[str, ...]]
"""By provider: its nodes, each as "name (operation)"."""


def placement_of(session: Any) -> Placement | None:
    """The placement that a session made with ``RECORD`` has written down, None before ONNX Runtime 1.24."""
    if not hasattr(session, "get_provider_graph_assignment_info"):
        return None
    placed: dict[str, list[str]] = {}
    for part in session.get_provider_graph_assignment_info():
        nodes = placed.setdefault(part.ep_name, [])
        nodes += [f"{node.name} ({node.op_type})" for node in part.get_nodes()]
    return {provider: tuple(nodes) for provider, nodes in placed.items()}


def computed_on_cpu(placement: Placement) -> tuple[str, ...]:
    """The nodes on the CPU that compute more than shapes."""
    nodes = placement.get(PROVIDERS["cpu"], ())
    return tuple(node for node in nodes if node.rpartition("(")[2].rstrip(")") not in SHAPE_ARITHMETIC)


def check_placement(placement: Placement | None, provider: str, *, allow_fallback: bool) -> None:
    """Raises ``DeviceError`` where nodes that ``provider`` should compute are on the CPU, unless that is allowed.

    ``placement`` None stands for one that the library does not tell, which is refused likewise.
    """
    if allow_fallback:
        return
    allowed = "; pass allow_fallback=True to let the CPU compute what the GPU cannot"
    if placement is None:
        raise DeviceError(
            f"this onnxruntime does not tell whether {provider} computes the whole network, and it cannot be recorded "
            f"in a CUDA graph, which would show it; install onnxruntime 1.24 or newer{allowed}"
        )
    if nodes := computed_on_cpu(placement):
        more = f" and {len(nodes) - SHOWN} more" if len(nodes) > SHOWN else ""
        raise DeviceError(
            f"{provider} leaves {len(nodes)} of the network's nodes to the CPU: {', '.join(nodes[:SHOWN])}{more}; run "
            f"saccade support --target onnxruntime-cuda to see why{allowed}"
        )
