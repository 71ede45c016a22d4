"""A benchmark's document: everything that was measured, raw samples included, as JSON that later versions read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from saccade.errors import RequestError
from saccade_bench.samples import Percentile, Ratio, percentiles, ratio_of
from saccade_bench.stream_report import StreamReport, Window

SCHEMA = 1
WHAT = ("wall", "cpu", "engine")
"""By the clock, of all the process's threads, and inside the engine by the clock."""


@dataclass(frozen=True)
class ArmReport:
    """An arm. Samples are milliseconds, by round, none of rounds that it sat out, or of ``engine`` if it cannot tell.

    ``role`` is "arm", "network" for the first arm's network alone, which gives no result, "again" for the second
    process of the first arm, or "yardstick". ``agreement`` says how near its first result is to the first arm's, None
    where results cannot be compared. ``scores`` are those of this very artefact, where data was given; ``stream`` is
    there before a camera of constant rate alone.
    """

    name: str
    role: str
    about: Mapping[str, Any]
    wall: Sequence[Sequence[float]]
    cpu: Sequence[Sequence[float]]
    engine: Sequence[Sequence[float]]
    imported_ms: float
    opened_ms: float
    first_ms: float
    peak_mb: float
    agreement: float | None = None
    scores: Mapping[str, float] | None = None
    limit: Mapping[str, Any] | None = None
    stream: StreamReport | None = None

    def samples(self, what: str) -> list[float]:
        return [sample for turn in getattr(self, what) for sample in turn]

    def percentiles(self, what: str) -> list[Percentile]:
        return percentiles(self.samples(what))


@dataclass(frozen=True)
class Difference:
    """The first arm's time over another's: above 1 the other one is faster, so many times."""

    name: str
    what: str
    ratio: Ratio
    is_detected: bool


@dataclass(frozen=True)
class Document:
    """One run. ``settings`` are what was asked for, ``machine`` is what ran it and how it was meanwhile.

    ``floors`` are what two processes of the first arm differ by: see ``Ratio.floor``.
    """

    settings: Mapping[str, Any]
    machine: Mapping[str, Any]
    arms: Sequence[ArmReport]
    schema: int = SCHEMA
    floors: Mapping[str, float] = field(default_factory=dict)
    differences: Sequence[Difference] = ()

    def arm(self, name: str) -> ArmReport | None:
        return next((arm for arm in self.arms if arm.name == name), None)

    def by_role(self, role: str) -> list[ArmReport]:
        return [arm for arm in self.arms if arm.role == role]


def document(settings: Mapping[str, Any], machine: Mapping[str, Any], arms: Sequence[ArmReport]) -> Document:
    """The document of ``arms``, whose first one the others are compared with."""
    first = arms[0]
    again = next(arm for arm in arms if arm.role == "again")
    known = [what for what in WHAT if first.samples(what)]
    floors = {what: ratio_of(getattr(first, what), getattr(again, what)).floor for what in known}
    differences = [
        Difference(arm.name, what, ratio, ratio.is_detected(floors[what]))
        for arm in arms[1:]
        if arm.role in ("arm", "network")
        for what in known
        if arm.samples(what)
        for ratio in [ratio_of(getattr(first, what), getattr(arm, what))]
    ]
    return Document(settings, machine, list(arms), floors=floors, differences=differences)


def as_content(made: Document) -> dict[str, Any]:
    """The document as JSON has it."""
    return asdict(made)


def to_json(made: Document) -> str:
    return json.dumps(as_content(made), indent=1, allow_nan=False) + "\n"


def content_of(path: Path, whose: str = "saccade bench") -> Any:
    """A file's JSON. Raises ``RequestError`` for a file that has none, naming ``whose`` document it is not."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RequestError(f"{path} is no document of {whose}: {error}") from error


def read(path: Path) -> Document:
    """Raises ``RequestError`` for a file that is no document of a benchmark, or of another version."""
    return parsed(path, content_of(path))


def parsed(path: Path, content: Any) -> Document:
    """The document that ``path`` holds as ``content``. Raises ``RequestError`` as ``read`` does."""
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        found = content.get("schema") if isinstance(content, dict) else None
        raise RequestError(f"{path} has schema {found}, and this version reads {SCHEMA}; run saccade bench again")
    try:
        return Document(
            content["settings"],
            content["machine"],
            [_arm(arm) for arm in content["arms"]],
            floors=content["floors"],
            differences=[_difference(each) for each in content["differences"]],
        )
    except (KeyError, TypeError) as error:
        raise RequestError(f"{path} is no document of saccade bench: {error!r} is not as it should be") from error


def _arm(content: dict[str, Any]) -> ArmReport:
    arm = ArmReport(**content)
    return arm if arm.stream is None else replace(arm, stream=_stream(content["stream"]))


def _stream(content: dict[str, Any]) -> StreamReport:
    age, service = ([Percentile(**each) for each in content[name]] for name in ("age", "service"))
    windows = [Window(**each) for each in content["windows"]]
    return replace(StreamReport(**content), age=age, service=service, windows=windows)


def _difference(content: dict[str, Any]) -> Difference:
    return Difference(content["name"], content["what"], Ratio(**content["ratio"]), content["is_detected"])
