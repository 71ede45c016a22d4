"""``saccade quantize``: the fastest variant here within an accuracy budget, and why the others are not it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from saccade.bundle import Bundle, open_bundle
from saccade.cli import emit_json
from saccade.cli.options import BundlePath, FiniteRange, json_option
from saccade.errors import RequestError
from saccade.writers.files import output_errors
from saccade_export.cli import (
    CALIBRATION_IMAGES,
    LEAST_CALIBRATION_IMAGES,
    LEAST_IMAGES_HELP,
    METHODS,
    chosen_names,
    say,
)

if TYPE_CHECKING:
    from saccade_export.quantize.scoring import Scorer
    from saccade_export.quantize.search import Findings

PRECISIONS = ("int8", "bf16", "fp16")


@click.command(short_help="Find the fastest variant here within an accuracy budget, and add it to a bundle.")
@click.argument("bundle", type=BundlePath)
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="What variants are scored on, as for saccade eval. Boxes: a COCO json, or a YOLO folder. Class maps: the "
    "folder of the splits. Restoration: a folder of clean images.",
)
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="The bundle to write, *.saccade.")
@click.option("--budget", type=FiniteRange(0), help="Most that may be lost.  [0.5 points of mIoU or AP, 0.15 dB]")
@click.option(
    "--calibration",
    help="Images, glob or video to measure ranges on.  [class maps: the split 'train'; else the images of --data]",
)
@click.option("--calibration-images", type=click.IntRange(1), default=CALIBRATION_IMAGES, help="Most to take of them.")
@click.option("--least-images", type=click.IntRange(1), default=LEAST_CALIBRATION_IMAGES, help=LEAST_IMAGES_HELP)
@click.option("--precision", default=",".join(PRECISIONS), metavar="P,P,…", help="What may be tried.")
@click.option("--methods", default=",".join(METHODS), metavar="M,M,…", help="How ranges may follow from what was seen.")
@click.option("--split", default="val", help="Class maps: the folder in --data.")
@click.option("--images", type=click.Path(path_type=Path), help="Folder of a COCO json's images.  [beside it]")
@click.option("--limit", type=click.IntRange(1), help="Score only the first images.")
@click.option("--rounds", type=click.IntRange(2), default=9, help="Turns that each variant is timed for.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads.  [default: all usable cores]")
@click.option("--report", type=click.Path(path_type=Path), help="Folder of report.json and pareto.svg.  [OUT-report]")
@json_option
def quantize(bundle: Path, data: Path, out: Path, report: Path | None, as_json: bool, **options: Any) -> None:
    """Try BUNDLE in less precision, and write it with the fastest variant of those that lose no more than --budget.

    Each candidate is scored on --data by the task's own metric (mIoU, AP, PSNR) and timed here against float32, in
    processes that take turns. 8 bits are calibrated by every method; where they lose too much, the blocks that lose
    most for their time stay in float32. What is chosen comes first in the bundle, so that it is what runs on a CPU;
    half and 8 bits for GPUs come last, scored but not timed. Exit code 1: nothing is worth adding, and nothing is
    written but the report.

    \b
    saccade quantize road.saccade --data camvid -o road-fast.saccade
    saccade quantize plates.saccade --data val.json --images plates/images --budget 0.5 -o plates-fast.saccade
    """
    from saccade_export.precision.calibration import read_calibration
    from saccade_export.precision.calls import calls_for
    from saccade_export.precision.exporting import seal_with
    from saccade_export.precision.reduced import Reducer
    from saccade_export.quantize.report import content, plot, table
    from saccade_export.quantize.scoring import scorer_of
    from saccade_export.quantize.search import Search, Settings

    opened = open_bundle(bundle)
    _refuse_reduced(opened)
    folder = report or out.with_name(f"{out.stem}-report")
    scorer = scorer_of(opened.manifest, data, options["images"], options["split"], options["limit"])
    budget = scorer.budget if options["budget"] is None else options["budget"]
    settings = Settings(
        budget,
        chosen_names("--precision", options["precision"], PRECISIONS),
        chosen_names("--methods", options["methods"], METHODS),
        options["rounds"],
        options["threads"],
    )
    source = options["calibration"] or _calibration_source(opened, scorer, data, options["images"], options["split"])
    calibration = read_calibration(source, least=options["least_images"], most=options["calibration_images"])
    reducer = Reducer(opened, *calls_for(opened.manifest.task, calibration.frames))
    findings = Search(reducer, scorer, settings, say, _bar).run()
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        found = {**content(findings, scorer, settings), "calibration_sha256": calibration.sha256}
        (folder / "report.json").write_text(json.dumps(found, indent=2, allow_nan=False) + "\n")
        plot(findings, scorer, settings, folder / "pareto.svg")
    written = None
    if findings.first or findings.last:
        written = seal_with(opened, findings.first, findings.last, {"calibration": calibration.sentence}, out)
    if as_json:
        emit_json({**found, "bundle": str(out) if written else None, "identity": written and written.identity})
    else:
        click.echo("\n".join(table(findings, scorer, settings)))
        click.echo(f"wrote {folder / 'report.json'} and {folder / 'pareto.svg'}")
        _print_outcome(findings, written, out)
    if written is None:
        raise SystemExit(1)


def _print_outcome(findings: Findings, written: Bundle | None, out: Path) -> None:
    chosen = findings.chosen
    if chosen is None or chosen.timing is None:
        click.echo("nothing is faster on this CPU within the budget: float32 stays")
    else:
        click.echo(f"chose {chosen.name}: {chosen.timing.speedup:.2f} times as fast, {chosen.reason}")
    if written is not None:
        click.echo(f"wrote {out} ({written.size_bytes / 1e6:.1f} MB), identity {written.identity}")


def _refuse_reduced(bundle: Bundle) -> None:
    """Raise ``RequestError`` for a bundle that has been through this before."""
    reduced = [each.name for each in bundle.manifest.variants if each.precision != "fp32" or each.engine is not None]
    if reduced:
        raise RequestError(f"{bundle.path.name} holds {', '.join(reduced)} already; give the bundle as it was exported")


def _calibration_source(bundle: Bundle, scorer: Scorer, data: Path, images: Path | None, split: str) -> str:
    """Where frames of the kind that is scored lie: those that are not scored, if there are such."""
    if bundle.manifest.task.kind == "segment":
        train = data / "train" / "images"
        return str(train if train.is_dir() else data / split / "images")
    if bundle.manifest.task.kind == "detect":
        return str(images or scorer.folder)
    return str(data)


@contextmanager
def _bar(label: str, length: int) -> Generator[Callable[[], object]]:
    with click.progressbar(length=length, label=label, file=sys.stderr) as bar:
        yield lambda: bar.update(1)
