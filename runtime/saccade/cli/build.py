"""``saccade build``: make the engines that a bundle needs on this device, ahead of the first frame."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from saccade.building import Builder, BuiltGraph, Replayed, build_variants, choose_builder, replay, variants_for
from saccade.bundle import Bundle, open_bundle
from saccade.cli import emit_json
from saccade.cli.options import BundlePath, json_option
from saccade.cli.progress_line import ProgressLine
from saccade.engines.cache import LIMIT_BYTES, EngineCache
from saccade.engines.frame_range import Size, frame_range
from saccade.engines.tensorrt.library import MODULES
from saccade.engines.tensorrt.progress import Progress
from saccade.engines.tensorrt.request import BuildOptions
from saccade.errors import RequestError
from saccade.spec import Variant

MIB = 1 << 20
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class _FrameSize(click.ParamType):  # pyright: ignore[reportMissingTypeArgument]
    """``1280x720`` as (720, 1280)."""

    name = "WxH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Size:
        found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", str(value))
        if found is None:
            self.fail(f"{value!r} is no size; give width and height, as in 1280x720", param, ctx)
        return int(found[2]), int(found[1])


class _Bytes(click.ParamType):  # pyright: ignore[reportMissingTypeArgument]
    """``4G`` as a number of bytes."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"(\d{1,9})([KMG]?)", str(value))
        if found is None:
            self.fail(f"{value!r} is no size; give a number of bytes, or of K, M or G, as in 4G", param, ctx)
        return int(found[1]) * UNITS[found[2]]


@click.command("build", short_help="Build a bundle's engines on this device, and check them.")
@click.argument("bundle", type=BundlePath, required=False)
@click.option("--engine", type=click.Choice(("auto", *MODULES)), default="auto", help="auto: the first installed.")
@click.option("--variant", default="auto", help="By name; auto: all that opening the bundle may choose among.")
@click.option("--min-frame", type=_FrameSize(), show_default="1x1", help="Smallest frame.")
@click.option("--opt-frame", type=_FrameSize(), show_default="1280x720", help="Frame to be fastest at.")
@click.option("--max-frame", type=_FrameSize(), show_default="1920x1080, or a tile", help="Largest frame.")
@click.option("--batch", type=click.IntRange(1, 4096), default=1, help="Most frames at once.")
@click.option("--workspace", type=_Bytes(), show_default="the library's", help="Most scratch memory of a layer.")
@click.option("--dla/--no-dla", default=False, help="On a Jetson: layers that its DLA can run go there.")
@click.option("--target-sm", show_default="all usual", help="TensorRT-RTX: GPUs to compile for, as in 86,89.")
@click.option("--cache", type=click.Path(path_type=Path), show_default="~/.cache/saccade", help="Where engines go.")
@click.option("--cache-limit", type=_Bytes(), default=f"{LIMIT_BYTES >> 30}G", help="The longest unused go beyond it.")
@click.option("--rebuild", is_flag=True, help="Build again what is there.")
@click.option("--list", "lists", is_flag=True, help="List what is kept, and build nothing.")
@click.option("--clear", "clears", is_flag=True, help="Remove all that is kept, and build nothing.")
@json_option
def build_command(
    bundle: Path | None,
    *,
    engine: str,
    variant: str,
    min_frame: Size | None,
    opt_frame: Size | None,
    max_frame: Size | None,
    batch: int,
    workspace: int | None,
    dla: bool,
    target_sm: str | None,
    cache: Path | None,
    cache_limit: int,
    rebuild: bool,
    lists: bool,
    clears: bool,
    as_json: bool,
) -> None:
    """Build the TensorRT engines of BUNDLE into the cache that opening it reads, then run its golden frames on them.

    TensorRT builds on the GPU that it will run on; TensorRT-RTX needs none to build. What is asked for here is
    remembered: opening the bundle asks for the same, also after an update of the driver.

    Exit code 0: built, and equal to PyTorch where a GPU is here. 1: a graph is refused, or a frame differs.
    """
    kept = EngineCache(cache, limit_bytes=cache_limit)
    if lists or clears:
        if bundle is not None or (lists and clears):
            raise RequestError("--list and --clear are for the whole cache, one at a time; leave the bundle out")
        _list(kept, as_json=as_json) if lists else _clear(kept, as_json=as_json)
        return
    if bundle is None:
        raise click.UsageError("Missing argument 'BUNDLE'.")
    opened = open_bundle(bundle)
    frames = frame_range(opened.manifest, min_frame, opt_frame, max_frame, batch)
    options = BuildOptions(frames, workspace, dla, _targets(target_sm))
    builder = choose_builder(engine)
    variants = variants_for(opened, variant)
    graphs = _built(opened, variants, builder, options, kept, rebuild=rebuild, as_json=as_json)
    replayed = replay(opened, variants, builder, options, kept)
    if as_json:
        emit_json(_document(opened, builder, options, graphs, replayed))
    else:
        for name, check in replayed.checks:
            click.echo(f"{name}  {check.frame}  {'equal' if check.passed else 'DIFFERS'}: {check.sentence}")
        click.echo(_verdict(graphs, replayed, builder))
    if not replayed.passed:
        raise SystemExit(1)


def _built(
    bundle: Bundle,
    variants: Sequence[Variant],
    builder: Builder,
    options: BuildOptions,
    cache: EngineCache,
    *,
    rebuild: bool,
    as_json: bool,
) -> list[BuiltGraph]:
    """Build with a line on the terminal that says how far it is, and a line for each engine that is done."""
    line, graphs = ProgressLine(), list[BuiltGraph]()

    def show(title: str, progress: Progress) -> None:
        line.show(title, progress.share, progress.seconds_left(time.monotonic()), progress.phase)

    for graph in build_variants(bundle, variants, builder, options, cache, rebuild=rebuild, show=show):
        line.clear()
        graphs.append(graph)
        if not as_json:
            click.echo(_line(graph))
    return graphs


def _line(graph: BuiltGraph) -> str:
    obtained = graph.obtained
    done = f"built in {obtained.seconds:.1f} s" if obtained.is_new else "was there"
    refused = f"; the kept one was not used: {obtained.refused}" if obtained.refused else ""
    dla = f"; {obtained.coverage}" if obtained.coverage else ""
    size = f"{len(obtained.engine) / MIB:.1f} MiB"
    return f"{graph.variant}  {graph.stage}  {done}, {size}, {obtained.path.name[:12]}{dla}{refused}"


def _verdict(graphs: Sequence[BuiltGraph], replayed: Replayed, builder: Builder) -> str:
    by = f"{len(graphs)} engine{'s' if len(graphs) > 1 else ''} of {builder.library.name} {builder.library.version}"
    if not replayed.checks:
        return f"{by} built; not run: {replayed.why_not}"
    verdict = "passed" if replayed.passed else "FAILED"
    return (
        f"{verdict}: {len(replayed.checks)} golden frames on {by}{'; ' if replayed.why_not else ''}{replayed.why_not}"
    )


def _document(
    bundle: Bundle, builder: Builder, options: BuildOptions, graphs: Sequence[BuiltGraph], replayed: Replayed
) -> dict[str, Any]:
    return {
        "identity": bundle.identity,
        "engine": {"name": builder.library.name, "version": builder.library.version},
        "gpu": None if builder.gpu is None else asdict(builder.gpu),
        "options": asdict(options),
        "graphs": [_row(graph) for graph in graphs],
        "ran": bool(replayed.checks),
        "why_not": replayed.why_not or None,
        "passed": replayed.passed if replayed.checks else None,
        "frames": [{"variant": name, "passed": check.passed, **asdict(check)} for name, check in replayed.checks],
    }


def _row(graph: BuiltGraph) -> dict[str, Any]:
    obtained = graph.obtained
    coverage = None if obtained.coverage is None else asdict(obtained.coverage)
    return {
        "variant": graph.variant,
        "stage": graph.stage,
        "built": obtained.is_new,
        "seconds": obtained.seconds,
        "bytes": len(obtained.engine),
        "path": str(obtained.path),
        "refused": obtained.refused,
        "dla": coverage,
    }


def _targets(text: str | None) -> tuple[str, ...]:
    return tuple(f"SM{part.strip().replace('.', '')}" for part in text.split(",")) if text else ()


def _list(cache: EngineCache, *, as_json: bool) -> None:
    entries = cache.entries()
    if as_json:
        emit_json(
            {"folder": str(cache.folder), "kept": [{"path": str(p), "bytes": s, "key": k} for p, s, k in entries]}
        )
        return
    for path, size, key in entries:
        library: Any = key.get("library", "unreadable")
        name = library if isinstance(library, str) else f"{library['name']} {library['version']}"
        frames: Any = key.get("frames")
        most = f", up to {frames['most_hw'][1]}x{frames['most_hw'][0]}" if frames else ""
        click.echo(f"{path.name[:12]}  {size / MIB:8.1f} MiB  {key.get('kind', '?')}, {name}{most}")
    click.echo(f"{len(entries)} files, {sum(size for _, size, _ in entries) / MIB:.1f} MiB in {cache.folder}")


def _clear(cache: EngineCache, *, as_json: bool) -> None:
    count = cache.clear()
    if as_json:
        emit_json({"folder": str(cache.folder), "removed": count})
    else:
        click.echo(f"{count} files removed from {cache.folder}")
