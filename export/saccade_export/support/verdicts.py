"""The table and the builder together: one verdict for a graph, and where the two differ and why."""

from __future__ import annotations

from dataclasses import dataclass

from saccade_export.support.check import Verdict, check
from saccade_export.support.differences import DIFFERENCES
from saccade_export.support.findings import Finding
from saccade_export.support.oracle import Answer, Oracle
from saccade_export.support.reading import Given
from saccade_export.support.targets import Target, parse_target

RTX = parse_target("tensorrt-rtx")


@dataclass(frozen=True)
class Judged:
    """What is known of one graph. ``differences`` are what TensorRT-RTX lacks and the target has."""

    given: Given
    verdict: Verdict
    findings: tuple[Finding, ...]
    answer: Answer | None
    differences: tuple[Finding, ...]


def judge(given: Given, target: Target, oracle: Oracle | None) -> Judged:
    """Check ``given`` against the table and, with an ``oracle``, let it be built; the worse of the two counts.

    TensorRT-RTX's builder speaks for itself. For full TensorRT it is a witness: what it refuses and the table does not
    is unsure, unless the table knows the difference.
    """
    checked = check(given.model, target)
    differences: tuple[Finding, ...] = ()
    if target.engine == "tensorrt":
        refused = {(each.node, each.rule) for each in checked.findings if each.severity == "refused"}
        differences = tuple(
            each
            for each in check(given.model, RTX).findings
            if each.rule in DIFFERENCES and (each.node, each.rule) not in refused
        )
    answer = None if oracle is None else oracle.ask(given.model, given.shapes_of)
    return Judged(given, _verdict(checked.verdict, target, answer, differences), checked.findings, answer, differences)


def _verdict(table: Verdict, target: Target, answer: Answer | None, differences: tuple[Finding, ...]) -> Verdict:
    if answer is None or answer.failed is None or table == "refused":
        return table
    if target.is_rtx and answer.failed in ("parse", "build"):
        return "refused"
    return table if differences else "unsure"
