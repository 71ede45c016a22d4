"""``saccade eval``: what a bundle reaches on labelled images."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from saccade.bundle import Bundle, open_bundle
from saccade.cli import emit_json
from saccade.cli.options import BundlePath, FiniteRange, engine_options, json_option
from saccade.datasets import BoxDataset, list_maps, read_coco, read_yolo
from saccade.datasets.coco import write_results
from saccade.errors import RequestError
from saccade.evaluation import coco_entries, detect, evaluate_detection, evaluate_segmentation, segment
from saccade.evaluation.report import Evaluation, content, number, summary, table
from saccade.opening import open_task
from saccade.tasks import DetectTask, SegmentTask, Task
from saccade.writers.files import begin_part

SCORES = {"detect": detect.SCORES, "segment": segment.SCORES}
OWN_OPTIONS = {
    "detect": ("images", "iou", "false_alarms", "drop_bad_boxes", "classes_by_order", "results"),
    "segment": ("split",),
}
"""Options that mean nothing to another kind of bundle."""


@dataclass(frozen=True)
class Floor:
    """A score, and the least that it must be."""

    score: str
    at_least: float

    def holds(self, evaluation: Evaluation) -> bool:
        """Whether the score is as high; one that is NaN is not."""
        return evaluation.scores[self.score] >= self.at_least


@dataclass(frozen=True)
class BoxOptions:
    """What is asked about boxes beside the data."""

    images: Path | None
    iou: float | None
    false_alarms: float
    drop_bad_boxes: bool
    classes_by_order: bool
    results: Path | None


@dataclass(frozen=True)
class Outcome:
    """An evaluation, what was wrong with the boxes that were left out of it, and the files that were written."""

    evaluation: Evaluation
    left_out: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()


@click.command("eval", short_help="Score a bundle on labelled images.")
@click.argument("bundle", type=BundlePath)
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="Boxes: a COCO json, or a folder with images/ and labels/*.txt (YOLO). Class maps: the folder of the splits.",
)
@click.option("--images", type=click.Path(path_type=Path), help="Folder of a COCO json's images.  [default: beside it]")
@click.option("--split", default="val", help="Class maps: the folder in --data, with images/ and labels/*.png.")
@engine_options
@click.option("--limit", type=click.IntRange(1), help="Score only the first images.")
@click.option("--iou", type=FiniteRange(0, 1), help="Overlap that suppression allows.  [default: the bundle's]")
@click.option("--false-alarms", type=FiniteRange(0), default=detect.FALSE_ALARMS, help="Most an image, for recall.")
@click.option("--drop-bad-boxes", is_flag=True, help="Leave out boxes without area or out of their image.")
@click.option("--classes-by-order", is_flag=True, help="Match classes by their place instead of their name.")
@click.option("--results", type=click.Path(path_type=Path), help="Write the boxes found, as COCO result entries.")
@click.option("--at-least", multiple=True, metavar="SCORE=VALUE", help="Exit with 1 below this. May be repeated.")
@json_option
def eval_command(
    bundle: Path,
    data: Path,
    images: Path | None,
    split: str,
    engine: str,
    device: str,
    variant: str,
    threads: int | None,
    limit: int | None,
    iou: float | None,
    false_alarms: float,
    drop_bad_boxes: bool,
    classes_by_order: bool,
    results: Path | None,
    at_least: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run BUNDLE on labelled images and give COCO's box scores, or the IoU of class maps.

    Classes are matched by name; YOLO files and class maps hold the bundle's class ids. Exit code 1: a score is below
    its --at-least, or a result is not finite.
    """
    opened = open_bundle(bundle)
    kind = opened.manifest.task.kind
    if kind not in SCORES:
        raise RequestError(f"eval scores {' and '.join(SCORES)} bundles, but this is a {kind} bundle")
    _refuse_options_of_others(kind)
    floors = [_floor(text, SCORES[kind]) for text in at_least]
    options = BoxOptions(images, iou, false_alarms, drop_bad_boxes, classes_by_order, results)
    with (
        _reserved(results),
        open_task(opened, engine=engine, device=device, variant=variant, threads=threads) as task,
    ):
        if isinstance(task, SegmentTask):
            outcome = _score_maps(task, data, split, limit)
        else:
            assert isinstance(task, DetectTask)
            outcome = _score_boxes(task, data, options, limit)
        heading = _heading(opened, task, data)
    passed = not outcome.evaluation.not_finite and all(floor.holds(outcome.evaluation) for floor in floors)
    if as_json:
        emit_json({**heading, **_content(outcome, floors), "passed": passed})
    else:
        _print(heading, outcome, floors)
    if not passed:
        raise SystemExit(1)


def _refuse_options_of_others(kind: str) -> None:
    context = click.get_current_context()
    for other, names in OWN_OPTIONS.items():
        given = [name for name in names if context.get_parameter_source(name) is not ParameterSource.DEFAULT]
        if other != kind and given:
            option = f"--{given[0].replace('_', '-')}"
            raise RequestError(f"{option} is for {other} bundles, but this is a {kind} bundle; drop it")


def _floor(text: str, names: tuple[str, ...]) -> Floor:
    name, _, value = text.partition("=")
    if name not in names:
        raise RequestError(f"--at-least {text}: there is no score {name!r}; there are {', '.join(names)}")
    try:
        least = float(value)
    except ValueError:
        least = -1.0
    if not 0 <= least <= 1:
        raise RequestError(f"--at-least {text}: the score must be a number from 0 to 1, as in {name}=0.5")
    return Floor(name, least)


@contextmanager
def _reserved(results: Path | None) -> Generator[None]:
    """Lets a place that cannot be written show before the work."""
    part = None if results is None else begin_part(results)
    try:
        yield
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


@contextmanager
def _progress(length: int) -> Generator[Callable[[int], None]]:
    with click.progressbar(length=length, label="images", file=sys.stderr) as bar:
        yield lambda _: bar.update(1)


def _score_maps(task: SegmentTask, data: Path, split: str, limit: int | None) -> Outcome:
    maps = list_maps(data, split)[:limit]
    with _progress(len(maps)) as progress:
        return Outcome(evaluate_segmentation(task, (item.read() for item in maps), progress=progress))


def _score_boxes(task: DetectTask, data: Path, options: BoxOptions, limit: int | None) -> Outcome:
    dataset = _read_boxes(data, task.classes, options).first(limit)
    with _progress(len(dataset)) as progress:
        evaluation = evaluate_detection(
            task,
            dataset,
            iou=options.iou,
            max_detections=min(task.candidates, detect.SCORED_DETECTIONS),
            false_alarms=options.false_alarms,
            classes_by_order=options.classes_by_order,
            progress=progress,
        )
    if options.results is None:
        return Outcome(evaluation, dataset.left_out)
    write_results(coco_entries(dataset, evaluation), options.results)
    return Outcome(evaluation, dataset.left_out, (options.results,))


def _read_boxes(data: Path, classes: tuple[str, ...], options: BoxOptions) -> BoxDataset:
    if not data.is_dir():
        return read_coco(data, options.images, drop_bad_boxes=options.drop_bad_boxes)
    if options.images is not None:
        raise RequestError(f"--images is for a COCO json, but {data} is a folder; drop it, or give the json as --data")
    return read_yolo(data, classes, drop_bad_boxes=options.drop_bad_boxes)


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


def _content(outcome: Outcome, floors: list[Floor]) -> dict[str, Any]:
    scores = outcome.evaluation.scores
    checks = [
        {**asdict(floor), "value": number(scores[floor.score]), "passed": floor.holds(outcome.evaluation)}
        for floor in floors
    ]
    return {
        **content(outcome.evaluation),
        "left_out_boxes": list(outcome.left_out),
        "at_least": checks,
        "files": [str(path) for path in outcome.files],
    }


def _print(heading: dict[str, Any], outcome: Outcome, floors: list[Floor]) -> None:
    evaluation = outcome.evaluation
    engine = f"{heading['variant']} on {heading['engine']} {heading['engine_version']}, {heading['device']}"
    click.echo(f"{heading['bundle']} ({engine}) on {heading['data']}")
    click.echo(f"{summary(evaluation)}\n")
    click.echo("\n".join(table(evaluation)))
    if outcome.left_out:
        click.echo(f"\n{len(outcome.left_out)} bad boxes were left out, the first: {outcome.left_out[0]}")
    if evaluation.not_finite:
        click.echo(f"\n{evaluation.not_finite} results are not finite: what they say means nothing")
    for floor in floors:
        verdict = "holds" if floor.holds(evaluation) else "FAILED"
        click.echo(f"{verdict}: {floor.score} {evaluation.scores[floor.score]:.4f}, at least {floor.at_least:g}")
    for path in outcome.files:
        click.echo(f"wrote {path}")
