"""``saccade export``. PyTorch is imported when the command runs, never for its help."""

from __future__ import annotations

import json
import math
import re
import sys
import warnings
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from saccade.classes import read_classes
from saccade.cli import emit_json
from saccade.cli.options import FiniteRange, json_option
from saccade.errors import RequestError
from saccade.manifest import MAX_SIZE, NAME
from saccade.spec import SegmentSpec

IMAGENET_MEAN = "0.485,0.456,0.406"
IMAGENET_STD = "0.229,0.224,0.225"


@click.command(short_help="Turn a PyTorch network and its weights into a sealed, proven bundle.")
@click.argument("network")
@click.option("--weights", required=True, type=click.Path(path_type=Path), help="safetensors, or a pickled state dict.")
@click.option("--task", type=click.Choice(["segment"]), default="segment", help="What the network does.")
@click.option(
    "--classes", required=True, type=click.Path(path_type=Path), help="Text file, a class a line: name [#rrggbb]."
)
@click.option("--imgsz", required=True, help="The network's input, HEIGHTxWIDTH, or one number for a square.")
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="The bundle to write, *.saccade.")
@click.option("--mean", default=IMAGENET_MEAN, help="Per channel in the network's order, in units of pixel / scale.")
@click.option("--std", default=IMAGENET_STD, help="Likewise.")
@click.option(
    "--scale",
    type=FiniteRange(0, min_open=True),
    default=255.0,
    help="Pixels are divided by this before mean and std; 1 for 0..255.",
)
@click.option(
    "--color", type=click.Choice(["rgb", "bgr"]), default="rgb", help="Channel order the network was trained with."
)
@click.option("--arg", "arguments", multiple=True, metavar="NAME=VALUE", help="Argument for the network's callable.")
@click.option("--output", help="Which output, by key or index, when the network returns several.")
@click.option(
    "--scores", type=click.Choice(["logits", "probabilities"]), default="logits", help="What the network returns."
)
@click.option(
    "--threshold", type=FiniteRange(0, 1, True, True), help="One-class networks: probability.  [default: 0.5]"
)
@click.option("--confidence", is_flag=True, help="Also give the probability of each pixel's class.")
@click.option("--images", help="Image, folder, glob or video to prove the bundle on, beside rendered scenes.")
@click.option("--golden-from-images", is_flag=True, help="Put some of --images into the bundle as golden frames.")
@click.option("--equal-pixels", type=FiniteRange(0.5, 1), default=0.999, help="Least share that must equal PyTorch's.")
@click.option("--name", help="Name in the manifest.  [default: the output's stem]")
@click.option("--license", "license_", default="not stated", help="Terms of the weights, shown by saccade info.")
@click.option("--dataset", default="not stated", help="What the weights were trained on.")
@click.option(
    "--metric", "metrics", multiple=True, metavar="NAME=VALUE", help="Measured score to record, such as val_miou=0.7."
)
@json_option
def export(network: str, weights: Path, out: Path, as_json: bool, **options: Any) -> None:
    """Turn NETWORK (package.module:callable) and its weights into a sealed bundle.

    The bundle takes uint8 frames of any size and gives class maps at their size; it is proven against PyTorch, frame by
    frame, before it gets its name. Example:

    saccade export mypackage.nets:build --weights w.pth --classes classes.txt --imgsz 360x480 -o road.saccade
    """
    warnings.filterwarnings("ignore", category=FutureWarning)
    from saccade_export.segmentation import SegmentRequest, export_segmentation

    if options["golden_from_images"] and not options["images"]:
        raise RequestError("--golden-from-images needs --images to take the golden frames from")
    request = SegmentRequest(
        network=network,
        weights=weights,
        spec=_spec(options),
        name=_name(options["name"] or out.stem),
        network_arguments=dict(_argument(text) for text in options["arguments"]),
        output=options["output"],
        images=options["images"],
        golden_from_images=options["golden_from_images"],
        equal_pixels=options["equal_pixels"],
        provenance={"license": options["license_"], "dataset": options["dataset"]},
        metrics=dict(_metric(text) for text in options["metrics"]),
    )
    with redirect_stdout(sys.stderr):  # what the network's own code prints is no result
        report = export_segmentation(request, out, lambda step: click.echo(f"· {step}", err=True))
    if as_json:
        emit_json(
            {
                "bundle": str(out),
                "identity": report.bundle.identity,
                "bytes": report.bundle.size_bytes,
                "capture_fallback": report.capture_fallback,
                "proofs": [asdict(proof) for proof in report.proofs],
            }
        )
        return
    for proof in report.proofs:
        click.echo(
            f"{proof.variant}: {proof.worst:.4%} of pixels equal to PyTorch on the worst of {proof.frames} frames "
            f"(shuffled weights: at most {proof.control_best:.1%})"
        )
    click.echo(f"wrote {out} ({report.bundle.size_bytes / 1e6:.1f} MB), identity {report.bundle.identity}")


def _spec(options: dict[str, Any]) -> SegmentSpec:
    from saccade_export.contract import segment_spec

    names, colors = read_classes(options["classes"])
    return segment_spec(
        names,
        colors,
        size_hw=_size(options["imgsz"]),
        channel_order=options["color"],
        scale=options["scale"],
        mean=_triple("--mean", options["mean"]),
        std=_triple("--std", options["std"]),
        scores=options["scores"],
        threshold=options["threshold"],
        has_confidence=options["confidence"],
    )


def _size(text: str) -> tuple[int, int]:
    parts = text.lower().split("x")
    if not all(part.isdecimal() and len(part) < 7 and 0 < int(part) <= MAX_SIZE for part in parts) or len(parts) > 2:
        raise RequestError(
            f"--imgsz must be HEIGHTxWIDTH such as 360x480, or one number, each at most {MAX_SIZE}, but got {text!r}"
        )
    return int(parts[0]), int(parts[-1])


def _triple(option: str, text: str) -> tuple[float, float, float]:
    try:
        first, second, third = (_finite(option, float(part)) for part in text.split(","))
    except ValueError as error:
        raise RequestError(f"{option} must be three numbers such as 0.5,0.5,0.5, but got {text!r}") from error
    return first, second, third


def _finite(option: str, value: float) -> float:
    if not math.isfinite(value):
        raise RequestError(f"{option} must be finite, but got {value}")
    return value


def _name(text: str) -> str:
    if not re.fullmatch(NAME, text):
        raise RequestError(
            f"a bundle's name has letters, digits, '.', '_' and '-' alone, but got {text!r}; give --name"
        )
    return text


def _argument(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise RequestError(f"--arg must be NAME=VALUE, but got {text!r}")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def _metric(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, _finite(f"--metric {name}", float(value))
    except ValueError as error:
        raise RequestError(f"--metric must be NAME=NUMBER, but got {text!r}") from error
