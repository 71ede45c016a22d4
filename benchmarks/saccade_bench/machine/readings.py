"""What a machine says of itself, or why it does not: every reading has a value or a reason, and none raises."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

Kind = TypeVar("Kind")

ROOT = Path("/")


@dataclass(frozen=True)
class Reading(Generic[Kind]):
    """A fact, or None and the reason why it is not known."""

    value: Kind | None
    reason: str | None = None


@dataclass(frozen=True)
class Source:
    """Something that can be read again and again; ``read`` is None where this machine does not give it, for ``reason``.

    ``read`` gives None where it could not be read this time.
    """

    name: str
    unit: str
    read: Callable[[], float | None] | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Series:
    """What a source gave at each sample, None where it gave nothing; or no values, and the reason."""

    unit: str
    values: tuple[float | None, ...]
    reason: str | None = None

    @property
    def known(self) -> list[float]:
        return [value for value in self.values if value is not None]

    @property
    def median(self) -> float | None:
        return statistics.median(self.known) if self.known else None

    @property
    def highest(self) -> float | None:
        return max(self.known, default=None)


def text_of(path: Path) -> str | None:
    """A small file's text, None where it cannot be read; the kernel's files fail in many ways."""
    try:
        return path.read_text(errors="replace").strip("\0\n ")
    except OSError:
        return None


def number_of(path: Path) -> float | None:
    """The number that a file holds, None where it cannot be read or holds none."""
    try:
        return float(text_of(path) or "")
    except ValueError:
        return None
