"""``saccade train``. PyTorch is imported when the command runs, never for its help."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from saccade.cli import emit_json
from saccade.cli.options import FiniteRange, json_option
from saccade.errors import DeviceError, RequestError
from saccade.writers import ensure_folder
from saccade_models.cli_tasks import prepare_detection, prepare_segmentation

PREPARE = {"segment": prepare_segmentation, "detect": prepare_detection}
NETWORKS = {"segment": ("edanet", "unet", "fcn"), "detect": ("yolox-nano", "yolox-tiny", "yolox-s")}
OWN_OPTIONS = {
    "segment": ("width", "lovasz"),
    "detect": (
        *("val", "images", "one_to_one", "only_one_to_one", "init", "imgsz"),
        *("mosaic", "mixup", "calm", "averaging", "warmup", "scale", "drop_bad_boxes"),
    ),
}
"""Options that mean nothing to another task."""

SCORES = {"segment": ("miou", "mIoU"), "detect": ("ap", "AP")}
NETWORK_METAVAR = "|".join(f"[{'|'.join(names)}]" for names in NETWORKS.values())


@click.command(short_help="Train a segmentation network, or a detector.")
@click.option("--task", type=click.Choice(tuple(PREPARE)), default="segment", help="Class maps, or boxes.")
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder with train/ and val/, each images/ and labels/. "
    "Detection: what to train on, a COCO json or a folder with images/ and labels/*.txt (YOLO).",
)
@click.option("--val", type=click.Path(path_type=Path), help="Detection: what to score on, in the form of --data.")
@click.option(
    "--images", type=click.Path(path_type=Path), help="Detection: folder of a COCO json's images.  [default: beside it]"
)
@click.option(
    "--network",
    type=click.Choice([name for names in NETWORKS.values() for name in names]),
    metavar=NETWORK_METAVAR,
    help="EDANet is the real-time one. Detection: the size of YOLOX.  [default: edanet; yolox-nano]",
)
@click.option("--width", type=click.IntRange(4, 256), help="Segmentation: channels of the first stage (unet, fcn).")
@click.option(
    "--one-to-one/--no-one-to-one",
    default=True,
    help="Detection: with a head that gives each object one box, so that no suppression follows.",
)
@click.option(
    "--only-one-to-one",
    is_flag=True,
    help="Detection: teach that head what suppression leaves of the other head of --init, which stays as it is.",
)
@click.option(
    "--init",
    type=click.Path(path_type=Path),
    help="Detection: weights of a YOLOX of this size to start from; official .onnx and .pth, or .safetensors.",
)
@click.option(
    "--classes",
    type=click.Path(path_type=Path),
    help="Text file, a class a line; detection: for YOLO folders.  [default: CamVid's eleven]",
)
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder of the run.")
@click.option(
    "--imgsz", default="416", metavar="HEIGHTxWIDTH", help="Detection: the network's input in use; multiples of 32."
)
@click.option(
    "--crop",
    nargs=2,
    type=click.IntRange(32),
    metavar="HEIGHT WIDTH",
    help="Size of a training view.  [default: 288 384; detection: as --imgsz]",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    help="The learning rate falls to zero over these.  [default: 300; detection: 100]",
)
@click.option("--batch", type=click.IntRange(1), default=8, help="Views a step.")
@click.option(
    "--lr",
    type=FiniteRange(0, min_open=True),
    help="Highest learning rate of AdamW.  [default: 0.002; detection: 0.001]",
)
@click.option(
    "--lovasz",
    type=FiniteRange(0),
    default=0.5,
    help="Segmentation: weight of the Lovász loss beside cross-entropy.",
)
@click.option("--mosaic", type=FiniteRange(0, 1), default=0.6, help="Detection: share of views made of four images.")
@click.option("--mixup", type=FiniteRange(0, 1), default=0.0, help="Detection: share of views averaged with another.")
@click.option("--calm", type=FiniteRange(0, 1), default=0.15, help="Detection: last share of epochs without either.")
@click.option(
    "--averaging", type=FiniteRange(0, 1), default=0.998, help="Detection: how much of the average a step keeps."
)
@click.option(
    "--scale",
    nargs=2,
    type=FiniteRange(0, min_open=True),
    default=(0.5, 1.6),
    metavar="LOW HIGH",
    help="Detection: a view's pixels for one of the image.",
)
@click.option("--warmup", type=click.IntRange(1), default=300, help="Detection: steps until --lr is reached.")
@click.option("--drop-bad-boxes", is_flag=True, help="Detection: leave out boxes without area or out of their image.")
@click.option("--score-every", type=click.IntRange(1), default=10, help="Epochs between validations.")
@click.option("--bfloat16", is_flag=True, help="Mixed precision: about 1.5 times faster on CPUs with AVX512-BF16.")
@click.option("--compile", "compiled", is_flag=True, help="Use torch.compile (a minute to start, then faster).")
@click.option("--device", default="cpu", help="cpu, or cuda where PyTorch has it.")
@click.option("--seed", type=click.IntRange(0), default=0)
@click.option(
    "--time-limit", type=float, metavar="MINUTES", help="Stop after the epoch that ends past this; resume later."
)
@click.option("--resume", is_flag=True, help="Go on with the run in --out.")
@json_option
def train(task: str, data: Path, out: Path, as_json: bool, **options: Any) -> None:
    """Train a network into a run folder: config.json, log.csv, last.pt (resume from it), best.safetensors.

    The weights kept are those with the best validation score: mIoU, or COCO's AP. Examples:

    saccade train --data camvid --network edanet --epochs 300 -o runs/edanet

    saccade train --task detect --data train.json --val val.json --init yolox_nano.onnx -o runs/plates
    """
    _refuse_options_of_others(task, options["network"])
    _check_device(options["device"])
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


def _refuse_options_of_others(task: str, network: str | None) -> None:
    context = click.get_current_context()
    for other, names in OWN_OPTIONS.items():
        given = [name for name in names if context.get_parameter_source(name) is not ParameterSource.DEFAULT]
        if other != task and given:
            option = f"--{given[0].replace('_', '-')}"
            raise RequestError(f"{option} is for --task {other}, but the task is {task}; drop it, or change the task")
    if network is not None and network not in NETWORKS[task]:
        raise RequestError(f"--network for --task {task} must be one of {', '.join(NETWORKS[task])}, but got {network}")


def _check_device(device: str) -> None:
    import torch

    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise RequestError(f"--device must be cpu or cuda, but got {device!r}") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise DeviceError(f"device {device!r} was asked for, but PyTorch {torch.__version__} finds no GPU; take cpu")


def _report(task: str, best: float, out: Path, as_json: bool) -> None:
    key, name = SCORES[task]
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
        click.echo(f"best validation {name} {best:.4f}: {weights}, log {log}")
    else:
        click.echo(f"stopped before the first validation, log {log}; go on with --resume")
