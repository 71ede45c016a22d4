"""Which engine, how many threads and whether they spin is fastest for a bundle here: checked, then timed in turns."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from saccade import engines
from saccade.bundle import Bundle, open_bundle
from saccade.errors import CheckError, DeviceError, EngineError, RequestError
from saccade.kinds import KINDS
from saccade.machine import usable_cores
from saccade.opening import alike, open_with
from saccade.spec import Variant
from saccade.tuned import Setting
from saccade.turns import serve, take_turns, timing

SPINNING = "session.intra_op.allow_spinning"
AGAIN = "again"
FLOORS_APART = 2.0
"""A candidate is taken where it is faster than the usual one by so many times the noise."""


@dataclass(frozen=True)
class Tried:
    """A setting, and how it did. ``speedup`` is over the usual setting, the median over rounds, ``lowest`` its least.

    ``reason`` says why it was not timed: it failed, or its golden frames are not PyTorch's.
    """

    setting: Setting
    milliseconds: float | None = None
    speedup: float | None = None
    lowest: float | None = None
    highest: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Tuning:
    """All that was tried, the usual setting first, and the one that is taken.

    ``noise`` is how far two processes of the usual setting differ, the median over rounds.
    """

    tried: Sequence[Tried]
    chosen: Setting
    noise: float

    def to_content(self) -> dict[str, Any]:
        return {"noise": self.noise, "tried": [asdict(each) for each in self.tried]}


def tune(
    bundle: Bundle,
    variant: Variant,
    usual: Setting,
    device: str,
    rounds: int,
    tell: Callable[[str], None] = lambda _: None,
) -> Tuning:
    """Time every setting that can run ``variant`` here on the golden frames, in processes that take turns.

    ``usual`` is what is used without tuning. Raises ``CheckError`` where that fails, or a process ends early;
    ``RequestError`` for a bundle without golden frames.
    """
    if not bundle.manifest.golden:
        raise RequestError(f"{bundle.path.name} has no golden frames to time; export it again")
    rejected: list[Tried] = []
    settings: list[Setting] = []
    for setting in settings_for(variant, usual, device):
        tell(f"checking {setting.name}")
        reason = _why_not(bundle, variant, setting, device)
        if reason is None:
            settings.append(setting)
        elif setting == usual:
            raise CheckError(f"{bundle.path.name} does not run as it should with {setting.name}: {reason}")
        else:
            rejected.append(Tried(setting, reason=reason))
    tell(f"timing {len(settings)} settings in {rounds} rounds")
    ways = {setting.name: (_serve, (bundle.path, variant.name, setting, device)) for setting in settings}
    taken = take_turns({**ways, AGAIN: ways[usual.name]}, rounds)
    middles = {name: [statistics.median(turn) for turn in turns] for name, turns in taken.items()}
    first = middles[usual.name]
    tried = [_tried(setting, first, middles[setting.name]) for setting in settings]
    noise = statistics.median(abs(one / two - 1) for one, two in zip(middles[AGAIN], first, strict=True))
    return Tuning([*tried, *rejected], _fastest(usual, tried, noise), noise)


def settings_for(variant: Variant, usual: Setting, device: str) -> list[Setting]:
    """The usual setting, then every engine that can compute ``variant``, in 1, 2, 4 … threads, ONNX Runtime's still."""
    cores = usable_cores()
    powers = itertools.takewhile(lambda count: count < cores, (1 << shift for shift in itertools.count()))
    threads = [None] if device != "cpu" else [*powers, cores]
    found = [usual]
    for engine in engines.installed():
        if variant.engine not in (None, engine) or not _can_run(engine, variant, device):
            continue
        for count in threads:
            found.append(Setting(engine, count))
            if engine == "onnxruntime" and count is not None and count > 1:
                found.append(Setting(engine, count, {SPINNING: False}))
    same = Setting(usual.engine, cores)  # all cores, said in another way
    return [setting for index, setting in enumerate(found) if index == 0 or setting not in (usual, same)]


def _can_run(engine: str, variant: Variant, device: str) -> bool:
    try:
        return device in engines.engine_module(engine).devices() and engines.lacks(engine, variant, device) is None
    except DeviceError:  # a broken one is no reason against the others
        return False


def _why_not(bundle: Bundle, variant: Variant, setting: Setting, device: str) -> str | None:
    try:
        with open_with(bundle, alike(bundle, variant, "auto"), setting, device) as task:
            kind = KINDS[bundle.manifest.task.kind]
            checks = (kind.check(bundle, golden, task) for golden in bundle.manifest.golden)
            return next((check.sentence for check in checks if not check.passed), None)
    except (EngineError, DeviceError) as error:
        return str(error)


def _serve(connection: Connection, path: Path, name: str, setting: Setting, device: str) -> None:
    bundle = open_bundle(path)
    with open_with(bundle, alike(bundle, bundle.variant(name), "auto"), setting, device) as task:
        kind = KINDS[bundle.manifest.task.kind]
        golden = bundle.manifest.golden
        serve(connection, [lambda frame=frame: kind.check(bundle, frame, task) for frame in golden])


def _tried(setting: Setting, first: Sequence[float], own: Sequence[float]) -> Tried:
    found = timing(first, own)
    return Tried(setting, found.milliseconds, found.speedup, found.lowest, found.highest)


def _fastest(usual: Setting, tried: Sequence[Tried], noise: float) -> Setting:
    best = max(tried, key=lambda each: each.speedup or 0.0)
    assert best.speedup is not None
    return best.setting if best.speedup > 1 + FLOORS_APART * noise else usual
