"""A graph against the table: every node, in branches and bodies of loops and in local functions too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir
from onnx_ir.passes.common import InlinePass, ShapeInferencePass

from saccade_export.support import control, dla, moving, onnxruntime_cuda, operations, quantising, values, windows
from saccade_export.support.findings import Finding, Rule
from saccade_export.support.seen import OWN_DOMAINS, Seen
from saccade_export.support.targets import OPSETS, Target

Verdict = Literal["supported", "unsure", "refused"]

RULES: dict[str, Rule] = {
    **operations.RULES,
    **values.RULES,
    **windows.RULES,
    **moving.RULES,
    **quantising.RULES,
    **control.RULES,
    **dla.RULES,
    **onnxruntime_cuda.RULES,
}

ESTIMATES = {"dla": dla.ESTIMATE, "onnxruntime-cuda": onnxruntime_cuda.ESTIMATE}
"""What to say of targets that nothing here can ask."""


@dataclass(frozen=True)
class Checked:
    """What the table says of one graph."""

    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        found = {finding.severity for finding in self.findings}
        return "refused" if "refused" in found else "unsure" if "unsure" in found else "supported"


def check(model: ir.Model, target: Target, rules: Mapping[str, Rule] = RULES) -> Checked:
    """What ``rules`` say of ``model`` for ``target``. The model that is given stays as it is."""
    model = _prepared(model)
    opset = next((model.opset_imports[domain] for domain in OWN_DOMAINS if domain in model.opset_imports), 1)
    asked = {name: rule for name, rule in rules.items() if target.engine in rule.engines}
    found = [*_of_opset(opset, target)]
    if target.engine in ESTIMATES:
        found.append(Finding("", "", "estimate", "unsure", ESTIMATES[target.engine]))
    else:
        found += _of_edges(model.graph)
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        found += _of_node(Seen(node, opset), target, asked)
    return Checked(tuple(found))


def _prepared(model: ir.Model) -> ir.Model:
    """A copy with its functions in place and its types told: many exporters leave them to engines."""
    model = model.clone()
    if model.functions:
        InlinePass()(model)
    with suppress(Exception):  # ONNX's inference raises what it likes; rules then see fewer types
        ShapeInferencePass(check_type=False, strict_mode=False)(model)
    return model


def _of_opset(opset: int, target: Target) -> Iterator[Finding]:
    for version in target.versions:
        least, newest = OPSETS.get(version, (opset, opset))
        if not least <= opset <= newest:
            sentence = f"opset {opset} is outside {least} to {newest}, which TensorRT {version} documents; it may warn"
            yield Finding("", "", "opset", "unsure", sentence)


def _of_edges(graph: ir.Graph) -> Iterator[Finding]:
    """Inputs and outputs, those that no node takes too: the parser reads them all."""
    for value in (*graph.inputs, *graph.outputs):
        shape = values.shape_of(value)
        name = value.name or ""
        if value.dtype is not None and value.dtype in values.NEVER:
            kind = value.dtype.name.lower()
            yield Finding(
                name, "", "value type", "refused", f"{kind} is no type of TensorRT; use int32, int64 or a float"
            )
        if shape is not None and len(shape) > values.MOST_AXES:
            sentence = f"a value of {len(shape)} axes, but TensorRT takes {values.MOST_AXES}; merge some by Reshape"
            yield Finding(name, "", "axes", "refused", sentence)


def _of_node(seen: Seen, target: Target, rules: Mapping[str, Rule]) -> Iterator[Finding]:
    name = seen.node.name or next((str(value.name) for value in seen.node.outputs if value.name), "")
    for title, rule in rules.items():
        if rule.operations and seen.operation not in rule.operations:
            continue
        for fault in rule.look(seen, target):
            yield Finding(name, seen.operation, title, fault.severity, fault.sentence)
