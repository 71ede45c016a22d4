"""``saccade.open``: from a file to a task that takes frames."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from saccade import engines
from saccade.bundle import Bundle, open_bundle
from saccade.engines.base import Engine, EngineOptions, Graph, ImageGraph
from saccade.engines.frame_range import frame_range
from saccade.errors import DeviceError, RequestError
from saccade.frames import check_pixel_format
from saccade.machine import cache_folder
from saccade.spec import IMAGE_STAGE, ImageSpec, PixelFormat, Variant
from saccade.tasks import DetectTask, RestoreTask, SegmentTask, Task
from saccade.tasks.restore_forms import Load
from saccade.tuned import Setting, tuned


def open_task(
    path: str | os.PathLike[str] | Bundle,
    *,
    engine: str = "auto",
    device: str = "auto",
    variant: str = "auto",
    pixel_format: str = "rgb24",
    threads: int | None = None,
    allow_fallback: bool = False,
    cache: str | os.PathLike[str] | None = None,
) -> Task:
    """Verify the bundle at ``path`` and open it on this machine.

    ``engine``: "auto" or one of ``saccade.engines.ENGINES``. ``device``: "auto", "cpu" or "cuda";
    what is asked for is used or refused. An engine that has to be built is built as ``saccade build`` was last asked
    to, and kept. ``variant``: "auto" takes the first that is made for the device and can run here. ``pixel_format``:
    what the caller's frames are, "rgb24" or "bgr24". ``threads``: CPU threads, None for all usable cores.
    Where ``saccade tune`` has measured the bundle here, "auto" with threads None takes what was fastest.
    ``allow_fallback`` lets nodes that a GPU cannot run go to the CPU. ``cache``: folder that built engines are kept in,
    as ``saccade build --cache`` has it; None for ``$SACCADE_CACHE``, else the user's own.

    Raises ``BundleError``, ``DeviceError``, ``EngineError``, ``OutputError`` or ``RequestError``.
    """
    bundle = path if isinstance(path, Bundle) else open_bundle(path)
    declared = check_pixel_format(pixel_format, bundle.manifest.task.image.pixel_formats)
    if threads is not None and threads < 1:
        raise RequestError(f"threads must be at least 1, but got {threads}")
    engine_name, device_name, chosen = choose(bundle, engine, device, variant)
    folder = None if cache is None else Path(cache)
    setting = Setting(engine_name, threads)
    if engine == "auto" and threads is None:
        setting = tuned(bundle, chosen, device_name, folder) or setting
    variants = alike(bundle, chosen, variant)
    return open_with(
        bundle, variants, setting, device_name, pixel_format=declared, allow_fallback=allow_fallback, cache=folder
    )


def open_with(
    bundle: Bundle,
    variants: Sequence[Variant],
    setting: Setting,
    device: str,
    *,
    pixel_format: PixelFormat = "rgb24",
    allow_fallback: bool = False,
    cache: Path | None = None,
) -> Task:
    """The task of ``variants`` on ``setting``'s engine, threads and settings, which go before the variant's own."""
    frames, folder = frame_range(bundle.manifest), cache
    if folder is None:
        with suppress(RuntimeError):  # a user without a home, for whom nothing can be kept
            folder = cache_folder()

    def load(part: Variant, stage: str) -> Engine:
        settings = {**(part.engine_options.get(setting.engine) or {}), **setting.settings}
        options = EngineOptions(device, setting.threads, allow_fallback, settings, frames, folder)
        return engines.load(setting.engine, graph_of(bundle, part, stage), options)

    return task_of(bundle, variants, load, pixel_format)


def task_of(bundle: Bundle, variants: Sequence[Variant], load: Load, pixel_format: PixelFormat = "rgb24") -> Task:
    """The task of a bundle's ``variants``, on engines that ``load`` opens. But for restoration, the first one runs."""
    task, chosen = bundle.manifest.task, variants[0]
    if task.kind == "restore":
        return RestoreTask(task, load, variants, pixel_format=pixel_format)
    loaded = load(chosen, "main")
    if task.kind == "detect":
        return DetectTask(task, loaded, chosen, pixel_format=pixel_format)
    return SegmentTask(task, loaded, chosen, pixel_format=pixel_format)


def choose(bundle: Bundle, engine: str, device: str, variant: str) -> tuple[str, str, Variant]:
    """The engine, the device and the variant to use for what was asked, "auto" or a name each.

    "auto" takes the first variant whose target is the device's, whose engine is installed and that this machine can
    compute. Raises ``RequestError`` or ``DeviceError`` for what does not go together, or is not here.
    """
    if variant != "auto":
        return _choose_for(bundle.variant(variant), engine, device)
    name, device_name = engines.choose(engine, device)
    target = "cpu" if device_name == "cpu" else "gpu"
    usable = engines.installed() if engine == "auto" else (name,)
    for candidate in bundle.manifest.variants:
        used = candidate.engine or name
        if candidate.target == target and used in usable and engines.lacks(used, candidate, device_name) is None:
            return used, device_name, candidate
    names = ", ".join(f"{each.name} ({each.target}{_for(each)})" for each in bundle.manifest.variants)
    raise RequestError(
        f"device {device_name!r} with {' or '.join(usable)} needs a variant made for {target}, but {bundle.path.name} "
        f"holds {names}"
    )


def _choose_for(named: Variant, engine: str, device: str) -> tuple[str, str, Variant]:
    """The engine and device for a variant that was asked for by name: the first engine that can compute it."""
    if named.engine is not None and engine not in ("auto", named.engine):
        raise RequestError(
            f"variant {named.name!r} is for {named.engine}, but engine {engine!r} was asked for; leave one of them out"
        )
    name, device_name = engines.choose(named.engine or engine, device)
    reason = engines.lacks(name, named, device_name)
    others = engines.installed() if reason and engine == "auto" and named.engine is None else ()
    for other in others:
        with suppress(DeviceError):  # a broken one is no reason against the next
            if engines.lacks(other, named, device_name) is None:
                return *engines.choose(other, device), named
    if reason is not None:
        raise DeviceError(f"variant {named.name!r} cannot run here: {reason}; choose another variant")
    return name, device_name, named


def _for(variant: Variant) -> str:
    return "" if variant.engine is None else f", {variant.engine}"


def alike(bundle: Bundle, chosen: Variant, asked: str) -> list[Variant]:
    """The variants that a call may choose among: ``chosen`` alone if it was asked for, else all of its kind."""
    if asked != "auto":
        return [chosen]

    def kind(variant: Variant) -> tuple[Any, ...]:
        return variant.target, variant.precision, variant.engine, variant.engine_options

    return [variant for variant in bundle.manifest.variants if kind(variant) == kind(chosen)]


def graph_of(bundle: Bundle, variant: Variant, stage: str = "main") -> Graph:
    """One stage's graph of a variant, with its weights under the locations that the graph uses: their file names.

    The main one has what prepares its image, where that is a stage of its own.
    """
    member = variant.graphs[stage]
    weights = {name.rpartition("/")[2]: bundle.member(name) for name in variant.weights}
    graph = Graph(member.rpartition("/")[2], bundle.member(member), weights, variant.opset, variant.precision)
    if stage != "main" or IMAGE_STAGE not in variant.graphs:
        return graph
    return prepared_by(graph, graph_of(bundle, variant, IMAGE_STAGE), bundle)


def prepared_by(graph: Graph, first: Graph, bundle: Bundle) -> Graph:
    """``graph``, which begins at the image of ``bundle``'s network, with what prepares that before it."""
    image = bundle.manifest.task.image
    assert isinstance(image, ImageSpec)
    return replace(graph, prepare=ImageGraph(first, image.size_hw))
