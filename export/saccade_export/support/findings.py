"""What a rule says of a node, and what a rule is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from saccade_export.support.seen import Seen
    from saccade_export.support.targets import Target

Severity = Literal["refused", "slow", "unsure"]


@dataclass(frozen=True)
class Fault:
    """A sentence about a node: what was found, what the target takes, what to do."""

    sentence: str
    severity: Severity = "refused"


@dataclass(frozen=True)
class Finding:
    """A fault with its place: ``node`` is empty for what is wrong with the graph as a whole."""

    node: str
    operation: str
    rule: str
    severity: Severity
    sentence: str


@dataclass(frozen=True)
class Rule:
    """Looks at nodes of ``operations``, of all where that is empty, for ``engines``."""

    look: Callable[[Seen, Target], Iterator[Fault]]
    operations: frozenset[str] = field(default_factory=frozenset)
    engines: frozenset[str] = frozenset({"tensorrt", "tensorrt-rtx"})


def rule(look: Callable[[Seen, Target], Iterator[Fault]], *operations: str) -> Rule:
    """A rule of TensorRT and TensorRT-RTX about ``operations``, about all without them."""
    return Rule(look, frozenset(operations))
