"""The table of rules against NVIDIA's own parser and builder, over graphs that nobody wrote.

``SACCADE_GRAPHS`` sets how many are built, 300 unless it is given: 2,400 take about three minutes on two cores.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import onnx_ir as ir
import pytest
from tests.generated.graphs import Generated, generate

from saccade_export.support.check import RULES, Verdict, check
from saccade_export.support.differences import DIFFERENCES
from saccade_export.support.findings import Fault, Rule, rule
from saccade_export.support.oracle import Answer, Oracle, Shapes
from saccade_export.support.targets import parse_target

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")
pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.timeout(1800)]

COUNT = int(os.environ.get("SACCADE_GRAPHS", "300"))
FIRST = 6_000_000
"""Seeds from here on were not looked at while the rules were written."""

LEAST_PASSING = 0.30
MOST_REFUSED = 0.05
VARYING = (8, 12, 16)
"""The least, the usual and the largest of a size that varies."""

RTX, FULL = parse_target("tensorrt-rtx"), parse_target("tensorrt:11")


@dataclass(frozen=True)
class Case:
    """A graph and what the builder says of it."""

    generated: Generated
    answer: Answer
    usual: Verdict

    @property
    def is_built(self) -> bool:
        return self.answer.failed is None

    def verdict(self, rules: Mapping[str, Rule] = RULES) -> Verdict:
        return self.usual if rules is RULES else check(model_of(self.generated), RTX, rules).verdict

    def __str__(self) -> str:
        said = self.answer.sentence or "built"
        return f"seed {self.generated.seed} ({' '.join(self.generated.operations)}): {said}"


def model_of(generated: Generated) -> ir.Model:
    return ir.from_proto(generated.model)


def shapes(_: str, shape: tuple[int | None, ...]) -> Shapes:
    least, usual, most = (tuple(each if size is None else size for size in shape) for each in VARYING)
    return least, usual, most


def graphs(count: int) -> Iterator[Generated]:
    for seed in range(FIRST, FIRST + count):
        yield generate(seed)


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    with Oracle(timeout_s=120) as oracle:
        return [
            Case(each, oracle.ask(model_of(each), shapes, each.values), check(model_of(each), RTX).verdict)
            for each in graphs(COUNT)
        ]


def mismatches(cases: list[Case], rules: Mapping[str, Rule] = RULES) -> list[Case]:
    """Graphs that the table passes and the builder refuses."""
    return [case for case in cases if not case.is_built and case.verdict(rules) == "supported"]


def test_no_graph_passes_the_table_and_fails_the_builder(cases: list[Case]) -> None:
    found = mismatches(cases)
    assert not found, "\n".join(map(str, found))


def test_the_table_does_not_hide_behind_refusals(cases: list[Case]) -> None:
    """What is unsure counts as refused here."""
    passing = sum(case.verdict() == "supported" for case in cases)
    built = [case for case in cases if case.is_built]
    refused = [case for case in built if case.verdict() != "supported"]
    print(
        f"\n{len(cases)} graphs: {passing} pass the table ({passing / len(cases):.1%}), {len(built)} are built, "
        f"of which {len(refused)} do not pass ({len(refused) / len(built):.1%}), {len(mismatches(cases))} mismatches"
    )
    assert passing >= LEAST_PASSING * len(cases)
    assert len(refused) <= MOST_REFUSED * len(built), "\n".join(map(str, refused))


def test_what_full_tensorrt_takes_and_rtx_does_not_is_a_known_difference(cases: list[Case]) -> None:
    for case in cases:
        model = model_of(case.generated)
        if case.is_built or check(model, FULL).verdict != "supported":
            continue
        differing = {each.rule for each in check(model, RTX).findings if each.severity != "slow"}
        assert differing & set(DIFFERENCES), str(case)


def test_the_graphs_are_of_many_kinds(cases: list[Case]) -> None:
    operations = Counter(name for case in cases for name in case.generated.operations)
    assert len(operations) >= 80
    assert {case.generated.model.opset_import[0].version for case in cases} >= set(range(9, 23))
    lengths = Counter(len(case.generated.operations) for case in cases)
    assert set(range(1, 9)) <= set(lengths)


def test_a_seed_gives_one_graph() -> None:
    first, again = (generate(FIRST + 7).model.SerializeToString(deterministic=True) for _ in range(2))
    assert first == again
    assert generate(FIRST + 8).model.SerializeToString(deterministic=True) != first


@pytest.mark.parametrize("removed", ["operation", "plugin", "uint8"])
def test_a_table_without_a_rule_is_noticed(cases: list[Case], removed: str) -> None:
    """The twin that must fail, for rules that hardly any graph breaks together with another."""
    rest = {name: rule for name, rule in RULES.items() if name != removed}
    assert mismatches(cases, rest)


def test_a_table_that_refuses_more_is_noticed(cases: list[Case]) -> None:
    """The other twin: a wrong rule that refuses what everybody uses."""
    rules = {
        **RULES,
        "planted": rule(lambda _seen, _target: iter([Fault("no such thing")]), "Conv", "Transpose", "Slice"),
    }
    built = [case for case in cases if case.is_built]
    assert sum(case.verdict(rules) != "supported" for case in built) > MOST_REFUSED * len(built)
