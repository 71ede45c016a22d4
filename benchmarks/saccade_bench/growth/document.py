"""What was measured along the axes, as JSON that later versions read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from saccade.errors import RequestError
from saccade_bench.document import content_of
from saccade_bench.growth.words import WORDS

KIND, SCHEMA = "growth", 1
WHOSE = "saccade_bench.growth"

FLAT_SHARE = 0.1
"""Of the memory of the shortest clip. Clips of 30 to 300 frames differed by up to 6 % with no order in it; 10 % of
210 MB over the 1,080 frames that the quick tier's longer clip has more in all its runs are 19 kB a frame."""


@dataclass(frozen=True)
class Spread:
    """The median of samples with their 10th and 90th percentile; of a few samples the least and the largest."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Point:
    """A point of an axis: ``amount`` is how much work it is, ``label`` how it is called.

    Milliseconds are of a frame, ``outside_ms`` of all but the engine, where it tells its time. ``rounds_ms`` are the
    medians of each round, of ``samples`` in all. ``peak_mb`` is the most memory that the process had at once, of which
    the frames that it was given take ``given_mb``.
    """

    label: str
    amount: int
    ms: Spread
    outside_ms: Spread | None
    frames_per_s: Spread
    peak_mb: float
    given_mb: float
    threads: int | None
    rounds_ms: Sequence[float]
    samples: int


@dataclass(frozen=True)
class Axis:
    """An axis with its points, the least work first; without points, ``left_out`` says why.

    ``memory_growth_mb`` is the last point's peak less the first one's.
    """

    name: str
    points: Sequence[Point]
    memory_growth_mb: float | None = None
    left_out: str | None = None

    @property
    def is_flat(self) -> bool:
        """Whether memory stays within ``FLAT_SHARE`` of the first point's."""
        return self.memory_growth_mb is None or self.memory_growth_mb <= FLAT_SHARE * self.points[0].peak_mb


@dataclass(frozen=True)
class Document:
    """One run. ``settings`` are what was asked for, ``about`` is what ran, ``machine`` what it ran on."""

    settings: Mapping[str, Any]
    about: Mapping[str, Any]
    machine: Mapping[str, Any]
    axes: Sequence[Axis]
    kind: str = KIND
    schema: int = SCHEMA

    def axis(self, name: str) -> Axis | None:
        return next((axis for axis in self.axes if axis.name == name), None)

    @property
    def is_flat_in_clip_length(self) -> bool:
        """Whether a longer clip takes no more memory; true where that was not measured."""
        found = self.axis("clip")
        return found is None or found.is_flat


def spread_of(samples: Sequence[float]) -> Spread:
    low, high = np.percentile(samples, 10, method="lower"), np.percentile(samples, 90, method="higher")
    return Spread(float(np.median(samples)), float(low), float(high))


def axis_of(name: str, points: Sequence[Point]) -> Axis:
    """The axis of points that were measured."""
    return Axis(name, points, points[-1].peak_mb - points[0].peak_mb)


def as_content(made: Document) -> dict[str, Any]:
    """The document as JSON has it."""
    return asdict(made)


def to_json(made: Document) -> str:
    return json.dumps(as_content(made), indent=1, allow_nan=False) + "\n"


def is_growth(content: Any) -> bool:
    """Whether a file's JSON says that it is such a document."""
    return isinstance(content, dict) and content.get("kind") == KIND


def read(path: Path) -> Document:
    """Raises ``RequestError`` for a file that is no such document, or of another version."""
    return parsed(path, content_of(path, WHOSE))


def parsed(path: Path, content: Any) -> Document:
    """The document that ``path`` holds as ``content``. Raises ``RequestError`` as ``read`` does."""
    found = (content.get("kind"), content.get("schema")) if isinstance(content, dict) else (None, None)
    if found != (KIND, SCHEMA):
        raise RequestError(
            f"{path} must be of kind {KIND} and schema {SCHEMA}, but got {found[0]} and {found[1]}; measure again"
        )
    try:
        axes = [_axis(each) for each in content["axes"]]
        return Document(content["settings"], content["about"], content["machine"], axes)
    except (KeyError, TypeError, IndexError) as error:
        told = f"{error!r} is not as it should be"
        raise RequestError(f"{path} is no document of {WHOSE}: {told}") from error


def _axis(content: dict[str, Any]) -> Axis:
    """Raises ``KeyError`` for an axis that is not known, ``TypeError`` for one that lacks something."""
    WORDS[content["name"]]
    points = [_point(each) for each in content["points"]]
    known: dict[str, Any] = {**content, "points": points}
    return Axis(**known)


def _point(content: dict[str, Any]) -> Point:
    outside = content["outside_ms"]
    known: dict[str, Any] = {
        **content,
        "ms": Spread(**content["ms"]),
        "outside_ms": None if outside is None else Spread(**outside),
        "frames_per_s": Spread(**content["frames_per_s"]),
    }
    return Point(**known)
