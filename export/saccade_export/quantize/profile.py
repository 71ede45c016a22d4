"""Where a graph's time goes in ONNX Runtime on this machine, by layer and by operation."""

from __future__ import annotations

import json
import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx_ir as ir

from saccade.machine import usable_cores
from saccade_export.precision.body import WEIGHTED, body, layers
from saccade_export.precision.recorded import Feed
from saccade_export.session import open_session

RUNS = 10
_KERNEL = "_kernel_time"
_ADDED = r"_nchwc$|_token_\d+$"
"""What the runtime puts behind the names of nodes that it makes of others."""


@dataclass(frozen=True)
class Profile:
    """Milliseconds a run, of each layer's own nodes and of each kind of operation."""

    by_layer: dict[str, float]
    by_operation: dict[str, float]

    def share(self, *operations: str) -> float:
        """What part of the whole these operations take, 0 to 1."""
        whole = sum(self.by_operation.values())
        return sum(self.by_operation.get(name, 0.0) for name in operations) / whole if whole else 0.0


def profile(graph: bytes, feeds: Sequence[Feed], threads: int | None = None, runs: int = RUNS) -> Profile:
    """Run ``graph``, its weights inside, ``runs`` times and more, and say how long its nodes took."""
    with tempfile.TemporaryDirectory(prefix="saccade-profile-") as folder:
        session = open_session(graph, threads=threads or usable_cores(), profile_prefix=str(Path(folder) / "run"))
        for index in range(runs + 1):
            session.run(None, dict(feeds[index % len(feeds)]))
        events = json.loads(Path(session.end_profiling()).read_text())
    owners = _owners(ir.from_proto(onnx.load_model_from_string(graph)).graph)
    by_layer, by_operation = Counter[str](), Counter[str]()
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(_KERNEL):
            operation, milliseconds = event["args"]["op_name"], event["dur"] / 1e3 / (runs + 1)
            by_operation[operation] += milliseconds
            name = re.sub(_ADDED, "", event["name"].removesuffix(_KERNEL))
            if name in owners and any(weighted in operation for weighted in WEIGHTED):
                by_layer[owners[name]] += milliseconds
    return Profile(dict(by_layer), dict(by_operation.most_common()))


def _owners(graph: ir.Graph) -> dict[str, str]:
    """The layer of each weighted node, and of the values that follow from it: the runtime names nodes by either."""
    owners = {node: name for name, nodes in layers(graph).items() for node in nodes}
    of_value: dict[str, str] = {}
    for node in body(graph):
        before = [of_value[str(value.name)] for value in node.inputs if value and str(value.name) in of_value]
        layer = owners.get(str(node.name)) or (before[0] if before else None)
        if layer is not None:
            of_value.update({str(value.name): layer for value in node.outputs})
    return {**of_value, **owners}
