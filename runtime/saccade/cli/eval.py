"""``saccade eval``: what a bundle reaches on images whose truth is known."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from saccade.bundle import Bundle, open_bundle
from saccade.cli import emit_json
from saccade.cli.eval_bounds import Bound, Ceiling, Floor, read_ceiling, read_floor
from saccade.cli.eval_detect import BoxOptions, box_options, reserved, score_boxes
from saccade.cli.eval_outcome import Outcome
from saccade.cli.eval_restore import RestoreOptions, Told, restoring_options, score_restored
from saccade.cli.eval_segment import score_maps
from saccade.cli.options import BundlePath, engine_options, json_option, refuse_options_of_other_kinds, segment_option
from saccade.errors import RequestError
from saccade.evaluation.report import content, number, summary, table
from saccade.evaluation.restore import PERCEIVED
from saccade.metrics.quality import HOW_TO_INSTALL, quality_library
from saccade.opening import open_task
from saccade.tasks import DetectTask, RestoreTask, SegmentTask, Task


@click.command("eval", short_help="Score a bundle on images whose truth is known.")
@click.argument("bundle", type=BundlePath)
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="Boxes: a COCO json, or a folder with images/ and labels/*.txt (YOLO). Class maps: the folder of the splits. "
    "Restoration: a folder of clean images.",
)
@engine_options
@click.option("--limit", type=click.IntRange(1), help="Score only the first images.")
@segment_option("--split", default="val", help="the folder in --data, with images/ and labels/*.png.")
@box_options
@restoring_options
@click.option("--at-least", multiple=True, metavar="SCORE=VALUE", help="Exit with 1 below this. May be repeated.")
@click.option(
    "--at-most", multiple=True, metavar="SCORE=VALUE", help="Exit with 1 above this, of scores that are better low."
)
@json_option
def eval_command(
    bundle: Path,
    data: Path,
    engine: str,
    device: str,
    variant: str,
    threads: int | None,
    cache: Path | None,
    limit: int | None,
    split: str,
    images: Path | None,
    iou: float | None,
    false_alarms: float,
    drop_bad_boxes: bool,
    classes_by_order: bool,
    results: Path | None,
    degraded: Path | None,
    noise_sigma: tuple[float, ...],
    gain: tuple[float, ...],
    blur_sigma: tuple[float, ...],
    holes: tuple[float, ...],
    sigma: Told | None,
    entry: str | None,
    steps: str,
    tile: int | None,
    at_least: tuple[str, ...],
    at_most: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run BUNDLE on images and give COCO's box scores, the IoU of class maps, or how near restored images are.

    Classes are matched by name; YOLO files and class maps hold the bundle's class ids. Restorers are scored on clean
    images that are degraded here: noise as in published tables (each image from numpy's seed 0, grey ones too in three
    channels, not clipped), darkness, random holes, a Gaussian blur, or a lower resolution (bicubic). Exit code 1: a
    score is below its --at-least or above its --at-most, at any level of degradation, or a result is not finite.
    """
    opened = open_bundle(bundle)
    kind = opened.manifest.task.kind
    refuse_options_of_other_kinds(kind)
    bounds = _bounds(at_least, at_most, kind)
    boxes = BoxOptions(images, iou, false_alarms, drop_bad_boxes, classes_by_order, results)
    levels = {"--noise-sigma": noise_sigma, "--gain": gain, "--blur-sigma": blur_sigma, "--holes": holes}
    restored = RestoreOptions(degraded, levels, sigma, entry, steps, tile)
    with (
        reserved(results),
        open_task(opened, engine=engine, device=device, variant=variant, threads=threads, cache=cache) as task,
    ):
        if isinstance(task, SegmentTask):
            outcome = score_maps(task, data, split, limit)
        elif isinstance(task, RestoreTask):
            outcome = score_restored(task, data, restored, limit)
        else:
            assert isinstance(task, DetectTask)
            outcome = score_boxes(task, data, boxes, limit)
        heading = _heading(opened, task, data)
    passed = not outcome.evaluation.not_finite and all(bound.holds(outcome.evaluation) for bound in bounds)
    if as_json:
        emit_json({**heading, **_content(outcome, bounds), "passed": passed})
    else:
        _print(heading, outcome, bounds)
    if not passed:
        raise SystemExit(1)


def _bounds(at_least: tuple[str, ...], at_most: tuple[str, ...], kind: str) -> list[Bound]:
    floors: list[Bound] = [read_floor(text, kind) for text in at_least]
    bounds = [*floors, *(read_ceiling(text, kind) for text in at_most)]
    if any(bound.score in PERCEIVED for bound in bounds) and quality_library() is None:
        raise RequestError(f"{' and '.join(PERCEIVED)} {HOW_TO_INSTALL}")
    return bounds


def _heading(bundle: Bundle, task: Task, data: Path) -> dict[str, Any]:
    chosen = task.describe()
    return {
        "bundle": bundle.manifest.name,
        "identity": bundle.identity,
        "task": bundle.manifest.task.kind,
        "data": str(data),
        "engine": chosen.name,
        "engine_version": chosen.version,
        "device": chosen.device,
        "variant": task.variant,
    }


def _content(outcome: Outcome, bounds: list[Bound]) -> dict[str, Any]:
    scores = outcome.evaluation.scores

    def checks(of: type[Bound]) -> list[dict[str, Any]]:
        return [
            {**asdict(bound), "value": number(scores[bound.score]), "passed": bound.holds(outcome.evaluation)}
            for bound in bounds
            if isinstance(bound, of)
        ]

    return {
        **content(outcome.evaluation),
        "left_out_boxes": list(outcome.left_out),
        "at_least": checks(Floor),
        "at_most": checks(Ceiling),
        "files": [str(path) for path in outcome.files],
    }


def _print(heading: dict[str, Any], outcome: Outcome, bounds: list[Bound]) -> None:
    evaluation = outcome.evaluation
    engine = f"{heading['variant']} on {heading['engine']} {heading['engine_version']}, {heading['device']}"
    click.echo(f"{heading['bundle']} ({engine}) on {heading['data']}")
    click.echo(f"{summary(evaluation)}\n")
    click.echo("\n".join(table(evaluation)))
    if outcome.left_out:
        click.echo(f"\n{len(outcome.left_out)} bad boxes were left out, the first: {outcome.left_out[0]}")
    if evaluation.not_finite:
        click.echo(f"\n{evaluation.not_finite} results are not finite: what they say means nothing")
    for bound in bounds:
        verdict = "holds" if bound.holds(evaluation) else "FAILED"
        click.echo(f"{verdict}: {bound.score} {evaluation.scores[bound.score]:.4f}, {bound.sentence}")
    for path in outcome.files:
        click.echo(f"wrote {path}")
