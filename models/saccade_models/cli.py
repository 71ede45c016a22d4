"""``saccade train``. PyTorch is imported when the command runs, never for its help."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from saccade.classes import read_classes
from saccade.cli import emit_json
from saccade.cli.options import FiniteRange, json_option
from saccade.errors import DeviceError, RequestError
from saccade.scenes.classes import CLASSES
from saccade.writers import ensure_folder

NETWORKS = ("edanet", "unet", "fcn")


@click.command(short_help="Train a segmentation network from scratch.")
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder with train/ and val/, each images/ and labels/.",
)
@click.option("--network", type=click.Choice(NETWORKS), default="edanet", help="EDANet is the real-time one.")
@click.option("--width", type=click.IntRange(4, 256), help="Channels of the first stage (unet, fcn).")
@click.option(
    "--classes", type=click.Path(path_type=Path), help="Text file, a class a line.  [default: CamVid's eleven]"
)
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder of the run.")
@click.option("--epochs", type=click.IntRange(1), default=300, help="The learning rate falls to zero over these.")
@click.option("--batch", type=click.IntRange(1), default=8, help="Views a step.")
@click.option(
    "--crop", nargs=2, type=click.IntRange(32), default=(288, 384), metavar="HEIGHT WIDTH", help="Size of a view."
)
@click.option("--lr", type=FiniteRange(0, min_open=True), default=2e-3, help="Highest learning rate of AdamW.")
@click.option("--lovasz", type=FiniteRange(0), default=0.5, help="Weight of the Lovász loss beside cross-entropy.")
@click.option("--score-every", type=click.IntRange(1), default=10, help="Epochs between validations.")
@click.option("--bfloat16", is_flag=True, help="Mixed precision: about 1.5 times faster on CPUs with AVX512-BF16.")
@click.option("--compile", "compiled", is_flag=True, help="Use torch.compile (a minute to start, then faster).")
@click.option("--device", default="cpu", help="cpu, or cuda where PyTorch has it.")
@click.option("--seed", type=int, default=0)
@click.option(
    "--time-limit", type=float, metavar="MINUTES", help="Stop after the epoch that ends past this; resume later."
)
@click.option("--resume", is_flag=True, help="Go on with the run in --out.")
@json_option
def train(data: Path, out: Path, as_json: bool, **options: Any) -> None:
    """Train a network into a run folder: config.json, log.csv, last.pt (resume from it), best.safetensors.

    The weights kept are those with the best validation mIoU. Example:

    saccade train --data camvid --network edanet --epochs 300 -o runs/edanet
    """
    from saccade_models.train.segmentation import Config
    from saccade_models.train.segmentation import train as run

    _check_device(options["device"])
    if options["width"] and options["network"] == "edanet":
        raise RequestError("--width is for unet and fcn; edanet has one width, so drop it or choose another --network")
    arguments = (("width", options["width"]),) if options["width"] else ()
    config = Config(
        data=str(data),
        network=options["network"],
        network_arguments=arguments,
        epochs=options["epochs"],
        batch=options["batch"],
        crop_hw=options["crop"],
        learning_rate=options["lr"],
        lovasz=options["lovasz"],
        score_every=options["score_every"],
        bfloat16=options["bfloat16"],
        seed=options["seed"],
        classes=read_classes(options["classes"])[0] if options["classes"] else CLASSES,
    )
    ensure_folder(out)
    click.echo(json.dumps(asdict(config), indent=2), err=True)
    best = run(
        config,
        out,
        resume=options["resume"],
        compiled=options["compiled"],
        time_limit_s=60 * options["time_limit"] if options["time_limit"] else math.inf,
        device=options["device"],
    )
    if as_json:
        emit_json({"best_val_miou": best, "weights": str(out / "best.safetensors"), "log": str(out / "log.csv")})
    else:
        click.echo(f"best validation mIoU {best:.4f}: {out / 'best.safetensors'}, log {out / 'log.csv'}")


def _check_device(device: str) -> None:
    import torch

    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise RequestError(f"--device must be cpu or cuda, but got {device!r}") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise DeviceError(f"device {device!r} was asked for, but PyTorch {torch.__version__} finds no GPU; take cpu")
