"""Documents of benchmarks that were never run, with numbers that are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from saccade_bench.document import ArmReport, Document, document
from saccade_bench.stream_report import Window, stream_report

SETTINGS = {"width": 640, "height": 360, "threads": 1, "tier": "quick", "source": "scenes:size=640x360"}
MACHINE = {"saccade": "0.1.0", "processor": "Abacus 9000", "cores": 2, "when": "2026-11-22T00:00:00Z"}
ROUNDS = 170


def rounds_of(milliseconds: float, seed: int, rounds: int = ROUNDS) -> list[list[float]]:
    """Four samples a round, within one per cent about ``milliseconds``."""
    return (milliseconds * (1 + 0.01 * np.random.default_rng(seed).uniform(-1, 1, (rounds, 4)))).tolist()


def arm(name: str, milliseconds: float, role: str = "arm", rounds: int = ROUNDS, **others: Any) -> ArmReport:
    wall = rounds_of(milliseconds, len(name), rounds)
    cpu = [[1.5 * sample for sample in turn] for turn in wall]
    engine = [] if others.pop("is_silent", False) else [[0.75 * sample for sample in turn] for turn in wall]
    about = {"task": "segment", "engine": "onnxruntime", "variant": name}
    known: dict[str, Any] = {"imported_ms": 111.0, "opened_ms": 222.0, "first_ms": 333.0, "peak_mb": 144.0}
    return ArmReport(name, role, about, wall, cpu, engine, **{**known, **others})


def made_up(
    arms: Sequence[ArmReport] | None = None, rounds: int = ROUNDS, is_silent: bool = False, **machine: Any
) -> Document:
    """Arms, of which two are ``road`` and ``fast``, twice as fast, unless told; a second process and a yardstick."""
    if arms is None:
        arms = [
            arm("road", 20.0, rounds=rounds, is_silent=is_silent, agreement=1.0),
            arm("fast", 10.0, rounds=rounds, is_silent=is_silent, agreement=0.9876),
        ]
    middle = float(np.median(arms[0].samples("wall")))
    again = arm(f"{arms[0].name} again", middle, "again", rounds, is_silent=is_silent)
    yardstick = arm("yardstick", 5.0, "yardstick", rounds, is_silent=True)
    return document(SETTINGS, {**MACHINE, **machine}, [*arms, again, yardstick])


def streamed(fps: float = 10.0) -> Document:
    """Forty frames of a camera before ``road`` and its second process: each fourth is dropped, three are late."""
    due = [1000 * frame / fps for frame in range(40)]
    frames = [frame for frame in range(40) if frame % 4]
    starts = [due[frame] for frame in frames]
    done = [due[frame] + (110.0 if frame in (9, 21, 33) else 20.0) for frame in frames]
    stream = stream_report([Window(fps, due, frames, starts, done, list(range(0, 40, 4)))], 100.0)
    none: dict[str, Any] = {"wall": [], "cpu": [], "engine": []}
    names = {"road": "arm", "road again": "again"}
    arms = [replace(arm(name, 20.0, role, agreement=1.0), stream=stream, **none) for name, role in names.items()]
    return document({**SETTINGS, "scenario": "constant-stream", "batch": 1}, MACHINE, arms)
