"""``saccade run``: a bundle over images, a video or rendered scenes."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from saccade.bundle import open_bundle
from saccade.cli import INTERRUPTED, emit_json
from saccade.cli.options import (
    BundlePath,
    FiniteRange,
    detect_option,
    detect_options,
    engine_options,
    json_option,
    parse_steps,
    refuse_options_of_other_kinds,
    restore_options,
    segment_option,
)
from saccade.errors import RequestError
from saccade.gain_table import read_gain_table
from saccade.kinds import restore
from saccade.kinds.detect import DetectRequest, check_request, pick_classes
from saccade.kinds.look import Look
from saccade.opening import open_task
from saccade.running import Outputs, Pixels, Request, RequestOf, Summary, expected_length, run_source
from saccade.sources import Source, open_source
from saccade.sources.images import MaskFolder, read_mask
from saccade.tasks import RestoreTask, Task
from saccade.tasks.restore_request import RestoreRequest, Sigma

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar


@click.command(short_help="Run a bundle over images, a folder, a glob, a video or scenes:.")
@click.argument("bundle", type=BundlePath)
@click.option(
    "--source", required=True, help="Image, folder, glob, video file, or scenes:seed=0,frames=100,light=night."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder for results; files of their names are overwritten.  [default: runs/run-1, or the next that is free]",
)
@engine_options
@click.option("--limit", type=click.IntRange(1), help="Stop after this many frames.")
@click.option(
    "--overlays/--no-overlays",
    default=True,
    help="Overlay pictures, or overlay.mp4 for a video; of restoration, the restored ones.",
)
@click.option("--contact-sheet", is_flag=True, help="Nine overlays on one PNG.")
@click.option("--legend/--no-legend", "has_names", default=True, help="Class names on overlays.")
@segment_option("--class-maps", is_flag=True, help="class maps as palette PNGs whose pixel values are class ids.")
@segment_option("--opacity", type=FiniteRange(0, 1), default=0.5, help="of the class colours on overlays.")
@detect_options
@detect_option(
    "--blur",
    multiple=True,
    help="classes to make unrecognisable where they were detected: blurred.mp4 or blurred pictures, "
    "and overlays drawn over them.",
)
@restore_options
@json_option
def run(
    bundle: Path,
    source: str,
    output: Path | None,
    engine: str,
    device: str,
    variant: str,
    threads: int | None,
    cache: Path | None,
    limit: int | None,
    overlays: bool,
    contact_sheet: bool,
    has_names: bool,
    class_maps: bool,
    opacity: float,
    conf: float | None,
    iou: float | None,
    max_det: int | None,
    classes: tuple[str, ...],
    agnostic_nms: bool,
    blur: tuple[str, ...],
    sigma: str | None,
    mask: Path | None,
    seed: int | None,
    steps: str,
    tile: int | None,
    before_after: bool,
    gain: float | None,
    gamma: float | None,
    shot: float | None,
    gain_table: Path | None,
    camera_gain: float | None,
    as_json: bool,
) -> None:
    """Run BUNDLE over a source and write results.jsonl, overlays and what else is asked for into a folder.

    What cannot be read is reported and the run goes on, with exit code 1 at its end. Ctrl-C leaves valid files.
    """
    opened = open_bundle(bundle)
    spec = opened.manifest.task
    refuse_options_of_other_kinds(spec.kind)
    request: Request | RequestOf | None = None
    asked: RestoreRequest | None = None
    blurred: tuple[str, ...] = ()
    if spec.kind == "detect":
        wanted = pick_classes(classes, spec.classes)
        request = DetectRequest(conf, iou, max_det, wanted or None, agnostic_nms or None)
        blurred = pick_classes(blur, spec.classes)
    elif spec.kind == "restore":
        level = _sigma(sigma, gain_table, camera_gain)
        asked = RestoreRequest(level, _one_mask(mask), parse_steps(steps), tile, seed, gain, gamma, shot)
        request = asked if mask is None or not mask.is_dir() else _by_frame(asked, MaskFolder(mask))
    outputs = Outputs(
        output or _next_folder(Path("runs")),
        overlays=overlays,
        class_maps=class_maps,
        contact_sheet=contact_sheet,
        blurred=blurred,
        look=Look(has_names, opacity, before_after),
    )
    with (
        open_source(source) as frames,
        open_task(opened, engine=engine, device=device, variant=variant, threads=threads, cache=cache) as task,
    ):
        if isinstance(request, DetectRequest) and spec.kind == "detect":
            check_request(request, spec, opened.variant(task.variant))
        if asked is not None and isinstance(task, RestoreTask):
            restore.check_asked(asked, task)
            task.prepare(asked.steps)
        if not as_json:
            chosen = task.describe()
            click.echo(
                f"{task.variant} on {chosen.name} {chosen.version}, {chosen.device}, {chosen.threads} threads", err=True
            )
        summary = _run_with_progress(task, frames, outputs, request, limit)
    _report(summary, task, as_json)


def _report(summary: Summary, task: Task, as_json: bool) -> None:
    """Say how the run went, and end with the code for it where something was wrong."""
    for fault in summary.faults:
        click.echo(f"could not read {fault.name}: {fault.reason}", err=True)
    if as_json:
        emit_json(_content(summary, task))
    else:
        _print(summary)
    if summary.interrupted:
        raise SystemExit(INTERRUPTED)
    if summary.faults or summary.not_finite:
        raise SystemExit(1)


def _sigma(text: str | None, table: Path | None, camera_gain: float | None) -> Sigma:
    """``--sigma``, or what takes its place, as the task takes it."""
    if table is not None and camera_gain is not None and text is None:
        return read_gain_table(table).at(camera_gain)
    if table is not None or camera_gain is not None:
        raise RequestError("--gain-table and --camera-gain give sigma together; pass both, and no --sigma")
    if text is None or text == "measured" or text == "tiles":  # a set of them would be any text to the type checker
        return text
    try:
        return float(text)
    except ValueError as error:
        raise RequestError(f"--sigma must be a number, measured or tiles, but got {text!r}") from error


def _one_mask(path: Path | None) -> Pixels | None:
    """The mask of all frames; of a folder's own ones a stand-in."""
    if path is None:
        return None
    if path.is_dir():
        return np.zeros((1, 1), np.uint8)
    mask = read_mask(path)
    if not mask.any():
        raise RequestError(f"--mask {path} has no holes: all of it is black; make them white")
    return mask


def _by_frame(asked: RestoreRequest, masks: MaskFolder) -> RequestOf:
    return lambda name: replace(asked, mask=masks.of(name))


def _next_folder(parent: Path) -> Path:
    """The first of run-1, run-2, ... that does not exist, so that one run's files are never among another's."""
    return next(folder for number in itertools.count(1) if not (folder := parent / f"run-{number}").exists())


def _run_with_progress(
    task: Task, source: Source, outputs: Outputs, request: Request | RequestOf | None, limit: int | None
) -> Summary:
    def speed(summary: Summary | None) -> str | None:
        return f"{summary.task_fps:.1f} fps" if summary else None

    bar: ProgressBar[Summary] = click.progressbar(
        length=expected_length(source, limit),
        label="frames",
        file=sys.stderr,
        item_show_func=speed,
    )
    with bar:

        def advance(summary: Summary) -> None:
            bar.update(1, summary)

        return run_source(task, source, outputs, request=request, limit=limit, progress=advance)


def _print(summary: Summary) -> None:
    if summary.interrupted:
        click.echo("interrupted; what was done so far is kept")
    click.echo(
        f"{summary.frames} frames in {summary.wall_s:.1f} s: {summary.task_fps:.1f} fps frame to result, "
        f"{summary.fps:.1f} fps with reading, drawing and writing"
    )
    if summary.not_finite:
        click.echo(f"{summary.not_finite} frames gave scores that are not finite: their results mean nothing")
    for path in summary.files:
        click.echo(f"wrote {path}")


def _content(summary: Summary, task: Task) -> dict[str, object]:
    chosen = task.describe()
    return {
        "frames": summary.frames,
        "faults": [{"name": fault.name, "reason": fault.reason} for fault in summary.faults],
        "not_finite": summary.not_finite,
        "interrupted": summary.interrupted,
        "fps": round(summary.fps, 2),
        "task_fps": round(summary.task_fps, 2),
        "engine": chosen.name,
        "engine_version": chosen.version,
        "device": chosen.device,
        "variant": task.variant,
        "files": [str(path) for path in summary.files],
    }
