"""``saccade train``. PyTorch is imported when the command runs, never for its help."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from saccade.cli import emit_json
from saccade.cli.options import json_option
from saccade.writers import ensure_folder
from saccade_models.cli_options import (
    check_device,
    data_options,
    detect_options,
    refuse_options_of_other_tasks,
    restore_options,
    run_options,
    schedule_options,
    segment_options,
)
from saccade_models.cli_tasks import prepare_detection, prepare_restoration, prepare_segmentation

PREPARE = {"segment": prepare_segmentation, "detect": prepare_detection, "restore": prepare_restoration}
SCORES = {"segment": ("miou", "mIoU {:.4f}"), "detect": ("ap", "AP {:.4f}"), "restore": ("psnr", "PSNR {:.2f} dB")}
"""The validation score of each task, in JSON and in words."""


@click.command(short_help="Train a segmentation network, a detector or a restorer.")
@data_options
@schedule_options
@segment_options
@detect_options
@restore_options
@run_options
@json_option
def train(task: str, data: Path, out: Path, as_json: bool, **options: Any) -> None:
    """Train a network into a run folder: config.json, log.csv, last.pt (resume from it), best.safetensors.

    The weights kept are those with the best validation score: mIoU, COCO's AP, or the PSNR of one
    step; in a second stage of restoration, the distance of features. Examples:

    saccade train --data camvid --network edanet --epochs 300 -o runs/edanet

    saccade train --task detect --data train.json --val val.json --init yolox_nano.onnx -o runs/plates

    saccade train --task restore --mode denoise --data photos --epochs 100 --bfloat16 -o runs/denoise
    """
    refuse_options_of_other_tasks(task, options["network"])
    check_device(options["device"])
    config, run = PREPARE[task](data, options)
    ensure_folder(out)
    click.echo(json.dumps(asdict(config), indent=2), err=True)
    best = run(
        out,
        resume=options["resume"],
        compiled=options["compiled"],
        time_limit_s=60 * options["time_limit"] if options["time_limit"] else math.inf,
        device=options["device"],
    )
    _report(task, best, out, as_json)


def _report(task: str, best: float, out: Path, as_json: bool) -> None:
    key, words = SCORES[task]
    weights, log = out / "best.safetensors", out / "log.csv"
    is_scored = weights.exists()
    if as_json:
        emit_json(
            {
                f"best_val_{key}": best if is_scored else None,
                "weights": str(weights) if is_scored else None,
                "log": str(log),
            }
        )
    elif is_scored:
        click.echo(f"best validation {words.format(best)}: {weights}, log {log}")
    else:
        click.echo(f"stopped before the first validation, log {log}; go on with --resume")
