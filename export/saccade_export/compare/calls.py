"""The frames that both sides are given, and what each call is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from saccade.errors import RequestError
from saccade_export.compare.sides import Side
from saccade_export.user_frames import Frame, spread_frames

FLOOR = 0.25
"""Boxes are compared from this confidence on, where the frame does not say from which."""


@dataclass(frozen=True)
class Call:
    """A frame with its name, and the arguments beside it."""

    name: str
    frame: Frame
    asked: dict[str, Any] = field(default_factory=dict)

    @property
    def floor(self) -> float:
        """The confidence from which boxes are compared: twice what is asked for, so that none is missed at the edge."""
        return 2 * float(self.asked.get("confidence", FLOOR / 2))


def calls_of(side: Side, source: str | None, most: int) -> list[Call]:
    """Up to ``most`` frames, spread over ``source``; without one the bundle's golden frames, as they were recorded.

    Raises ``RequestError`` where a source has not all that the task needs, ``SourceError`` for what cannot be read.
    """
    if source is None:
        return _golden(side)[:most]
    task = side.bundle.manifest.task
    if task.kind == "restore" and task.takes_mask:
        raise RequestError("--source has no masks, which this bundle needs; leave it out for the golden frames")
    asked = {"confidence": FLOOR / 2} if task.kind == "detect" else {}
    return [Call(name, frame, asked) for name, frame in spread_frames(source, most)]


def _golden(side: Side) -> list[Call]:
    found: list[Call] = []
    for golden in side.bundle.manifest.golden:
        asked = {name: value for name, value in golden.parameters.items() if name not in ("floor",)}
        asked |= {name: side.bundle.array(array) for name, array in golden.inputs.items() if name != "frame"}
        frame = golden.inputs["frame"]
        found.append(Call(frame.member, side.bundle.array(frame), asked))
    return found
