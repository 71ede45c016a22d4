"""Repeat a bundle's golden frames on this machine and hold the results against PyTorch's."""

from __future__ import annotations

from collections.abc import Iterator

from saccade.bundle import Bundle
from saccade.kinds import KINDS, Check
from saccade.kinds.segment import equal_share
from saccade.tasks import Task

__all__ = ["Check", "equal_share", "verify"]


def verify(bundle: Bundle, task: Task) -> Iterator[Check]:
    """Check every golden frame of ``bundle`` with ``task``, which may run any of its variants."""
    kind = KINDS[bundle.manifest.task.kind]
    for golden in bundle.manifest.golden:
        yield kind.check(bundle, golden, task)
