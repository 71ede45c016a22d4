"""Which arms a command line asks for: bundles by variant, engine and threads, or all that this machine can compute."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from saccade import engines
from saccade.bundle import Bundle, open_bundle
from saccade.errors import RequestError
from saccade.opening import choose
from saccade.spec import TaskSpec, Variant
from saccade_bench.arms import Arm, saved_frames
from saccade_bench.calls import steps_asked, usual_calls

BUNDLE_WAY = "saccade_bench.ways.bundle"
ASKED = re.compile(r"(?P<path>.+?\.saccade)(?::(?P<variant>[^@*]+))?(?:@(?P<engine>[^*]+))?(?:\*(?P<threads>\d+))?")

Frame = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Asked:
    """One arm of a command line: ``bundle.saccade:variant@engine*threads``, of which all but the bundle may lack."""

    bundle: Bundle
    variant: str | None
    engine: str | None
    threads: int | None


def read_asked(text: str) -> Asked:
    """Raises ``RequestError`` for what is no arm, ``BundleError`` for a bundle that cannot be read."""
    found = ASKED.fullmatch(text)
    if found is None:
        raise RequestError(f"an arm is BUNDLE.saccade[:VARIANT][@ENGINE][*THREADS], but got {text!r}")
    threads = int(found["threads"]) if found["threads"] else None
    if threads == 0:
        raise RequestError(f"{text!r} asks for 0 threads; ask for 1 or more, or leave them out for all cores")
    bundle = open_bundle(Path(found["path"]))
    if found["variant"]:
        bundle.variant(found["variant"])
    return Asked(bundle, found["variant"], found["engine"], threads)


def bundle_arms(asked: Sequence[Asked], frames: Sequence[Frame], folder: Path, threads: int | None) -> list[Arm]:
    """The arms of what was asked for; a bundle without variant and engine stands for all that can run here.

    ``folder`` takes what the arms' processes read. Raises ``RequestError`` for bundles of different tasks.
    """
    kinds = {each.bundle.manifest.task.kind for each in asked}
    if len(kinds) > 1:
        raise RequestError(f"arms must do the same work, but these are for {' and '.join(sorted(kinds))}")
    given = frames_for(asked[0].bundle.manifest.task, frames, folder)
    arms = [
        Arm(_name(each, variant, engine), BUNDLE_WAY, _spec(each, variant, engine, given, each.threads or threads))
        for each in asked
        for variant, engine in _expanded(each)
    ]
    names = [arm.name for arm in arms]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise RequestError(f"{', '.join(twice)} was asked for twice; its second process is measured anyway")
    return arms


def frames_for(task: TaskSpec, frames: Sequence[Frame], folder: Path) -> dict[str, Any]:
    """What every arm is given: frames as a file, and for restorers what they are told beside them."""
    degraded, asked = usual_calls(task, frames)
    given: dict[str, Any] = {"frames": str(saved_frames(degraded, folder))}
    if "mask" in asked:
        np.save(folder / "mask.npy", asked.pop("mask"))
        given["mask"] = str(folder / "mask.npy")
    return {**given, "asked": asked} if asked else given


def _expanded(asked: Asked) -> list[tuple[Variant, str]]:
    """Variants with the engine of each."""
    if asked.variant or asked.engine:
        engine, _, variant = choose(asked.bundle, asked.engine or "auto", "auto", asked.variant or "auto")
        return [(variant, engine)]
    _, device, _ = choose(asked.bundle, "auto", "auto", "auto")
    target = "cpu" if device == "cpu" else "gpu"
    found = [
        (variant, engine)
        for variant in asked.bundle.manifest.variants
        if variant.target == target and "step" not in variant.graphs
        if variant.parameters.get("entry", "uint8") == "uint8"
        for engine in engines.installed()
        if variant.engine in (None, engine)
        and device in engines.engine_module(engine).devices()
        and engines.lacks(engine, variant, device) is None
    ]
    if not found:
        raise RequestError(f"{asked.bundle.path.name} has no variant that this machine can compute")
    return found


def _name(asked: Asked, variant: Variant, engine: str) -> str:
    threads = f"*{asked.threads}" if asked.threads else ""
    return f"{asked.bundle.path.stem}:{variant.name}@{engine}{threads}"


def _spec(asked: Asked, variant: Variant, engine: str, given: Mapping[str, Any], threads: int | None) -> dict[str, Any]:
    spec = {**given, "bundle": str(asked.bundle.path), "variant": variant.name, "engine": engine, "threads": threads}
    told = {**given.get("asked", {}), **steps_asked(asked.bundle.manifest.task, variant)}
    return {**spec, "asked": told} if told else spec
