"""``saccade eval`` for boxes: COCO's scores, and recall at a false-alarm rate."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from saccade.cli.eval_outcome import Outcome, progress_bar
from saccade.cli.options import Command, FiniteRange, detect_option
from saccade.datasets import BoxDataset, read_coco, read_yolo
from saccade.datasets.coco import write_results
from saccade.errors import RequestError
from saccade.evaluation import coco_entries, detect, evaluate_detection
from saccade.tasks import DetectTask
from saccade.writers.files import begin_part


@dataclass(frozen=True)
class BoxOptions:
    """What is asked about boxes beside the data."""

    images: Path | None
    iou: float | None
    false_alarms: float
    drop_bad_boxes: bool
    classes_by_order: bool
    results: Path | None


def box_options(command: Command) -> Command:
    """``--images --iou --false-alarms --drop-bad-boxes --classes-by-order --results``."""
    folder = click.Path(path_type=Path)
    for option in (
        detect_option("--results", type=folder, help="write the boxes found, as COCO result entries."),
        detect_option("--classes-by-order", is_flag=True, help="match classes by their place instead of their name."),
        detect_option("--drop-bad-boxes", is_flag=True, help="leave out boxes without area or out of their image."),
        detect_option(
            "--false-alarms", type=FiniteRange(0), default=detect.FALSE_ALARMS, help="most an image, for recall."
        ),
        detect_option("--iou", type=FiniteRange(0, 1), show_default="the bundle's", help="overlap that may stay."),
        detect_option("--images", type=folder, show_default="beside it", help="folder of a COCO json's images."),
    ):
        command = option(command)
    return command


@contextmanager
def reserved(results: Path | None) -> Generator[None]:
    """Lets a place that cannot be written show before the work."""
    part = None if results is None else begin_part(results)
    try:
        yield
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def score_boxes(task: DetectTask, data: Path, options: BoxOptions, limit: int | None) -> Outcome:
    """Run ``task`` on labelled images, and write what it found where that was asked for.

    Raises ``RequestError`` for options that do not fit, ``DatasetError``, and ``OutputError``.
    """
    dataset = _read_boxes(data, task.classes, options).first(limit)
    with progress_bar(len(dataset)) as progress:
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
