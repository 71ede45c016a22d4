"""``saccade export``. PyTorch is imported when the command runs, never for its help."""

from __future__ import annotations

import json
import re
import sys
import warnings
from contextlib import redirect_stdout
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from saccade.cli import emit_json
from saccade.cli.options import FiniteRange, json_option
from saccade.engines import installed
from saccade.errors import RequestError
from saccade.kinds import KINDS
from saccade.manifest import NAME
from saccade.spec import MAX_DETECTIONS, RESTORING, Variant

if TYPE_CHECKING:
    from saccade_export.exporting import ExportRequest, Report

HEADS = ("yolox", "yolox-one-to-one", "yolov5", "yolov8", "yolov10", "xyxy+scores", "detr")
PRECISIONS = ("fp32", "fp16", "bf16", "int8")
METHODS = ("minmax", "entropy", "percentile", "mse")
CALIBRATION_IMAGES = 64
"""Frames that values are measured on, unless more are asked for."""

LEAST_CALIBRATION_IMAGES = 32
LEAST_IMAGES_HELP = "Ranges of 8 bits on fewer images are refused."

RESIZES = ("stretch", "letterbox", "letterbox-centre")


@click.command(short_help="Turn a network, PyTorch or ONNX, into a sealed, proven bundle.")
@click.argument("network")
@click.option("--weights", type=click.Path(path_type=Path), help="safetensors, a pickled state dict, or ONNX.")
@click.option(
    "--task", type=click.Choice(["segment", "detect", "restore"]), default="segment", help="What the network does."
)
@click.option(
    "--classes",
    type=click.Path(path_type=Path),
    help="segment, detect: text file, a class a line: name [#rrggbb].",
)
@click.option("--imgsz", help="segment, detect: the network's input, HEIGHTxWIDTH, or one number for a square.")
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="The bundle to write, *.saccade.")
@click.option(
    "--mean",
    help="Per channel in the network's order, in units of pixel / scale.  [default: ImageNet's; for detect 0,0,0]",
)
@click.option("--std", help="Likewise.  [default: ImageNet's; for detect 1,1,1]")
@click.option(
    "--scale",
    type=FiniteRange(0, min_open=True),
    help="Pixels are divided by this before mean and std; 1 for 0..255.  [default: 255, or the head's]",
)
@click.option(
    "--color",
    type=click.Choice(["rgb", "bgr"]),
    help="Channel order the network was trained with.  [default: rgb, or the head's]",
)
@click.option("--arg", "arguments", multiple=True, metavar="NAME=VALUE", help="Argument for the network's callable.")
@click.option(
    "--output",
    "outputs",
    multiple=True,
    help="Which output, by key or index (ONNX: by name), when the network returns several; repeat in the head's order.",
)
@click.option("--scores", type=click.Choice(["logits", "probabilities"]), help="segment: what it returns.  [logits]")
@click.option(
    "--threshold", type=FiniteRange(0, 1, True, True), help="segment, one class: probability.  [default: 0.5]"
)
@click.option("--confidence", is_flag=True, help="segment: also give the probability of each pixel's class.")
@click.option("--equal-pixels", type=FiniteRange(0.5, 1), help="segment: least share equal to PyTorch's.  [0.999]")
@click.option("--head", type=click.Choice(HEADS), help="detect: what the network gives, see below.")
@click.option("--resize", type=click.Choice(RESIZES), help="detect: how frames meet the input.  [default: the head's]")
@click.option("--pad", type=click.IntRange(0, 255), help="detect: grey beside a letterboxed frame.  [114]")
@click.option("--conf", type=FiniteRange(0, 1), help="detect: default least confidence.  [0.25]")
@click.option("--iou", type=FiniteRange(0, 1), help="detect: default overlap that suppresses.  [0.65]")
@click.option("--max-det", type=click.IntRange(1, MAX_DETECTIONS), help="detect: default most boxes a frame.  [300]")
@click.option("--nms/--no-nms", default=None, help="detect: suppress overlapping boxes.  [default: the head's]")
@click.option("--agnostic-nms", is_flag=True, help="detect: boxes of other classes suppress too.")
@click.option("--box-px", type=FiniteRange(0, 64), help="detect: how far corners may be from PyTorch's.  [0.5]")
@click.option("--box-confidence", type=FiniteRange(0, 0.5), help="detect: likewise, confidences.  [0.005]")
@click.option("--mode", type=click.Choice(RESTORING), help="restore: what it undoes.  [denoise]")
@click.option("--steps", metavar="N,N,…", help="restore: the numbers of steps to carry.  [1,2,4]")
@click.option(
    "--sigma", type=FiniteRange(0), help="restore: default noise or blur.  [noise is measured; a blur of 1.6 pixels]"
)
@click.option(
    "--sigma-range",
    nargs=2,
    type=FiniteRange(0),
    metavar="LOW HIGH",
    help="restore: what the network was trained for.  [noise 0 to 60 grey levels, blur 1 to 2.2 pixels]",
)
@click.option("--dead-zone", type=FiniteRange(0), help="restore: frames of less noise stay as they are.  [3]")
@click.option("--multiple", type=click.IntRange(1, 256), help="restore: what height and width are multiples of.  [8]")
@click.option("--tile", type=click.IntRange(64, 1 << 14), help="restore: side of tiles of large frames.  [1024]")
@click.option("--overlap", type=click.IntRange(0, 1024), help="restore: pixels that tiles share.  [64]")
@click.option("--grey-levels", type=click.IntRange(0, 64), help="restore: how far pixels may be from PyTorch's.  [1]")
@click.option("--images", help="Image, folder, glob or video to prove the bundle on, beside rendered scenes.")
@click.option(
    "--precision",
    default="fp32",
    metavar="P,P,…",
    help="Variants beside fp32: fp16 and bf16 for GPUs, int8 for both. saccade quantize finds what is worth having.",
)
@click.option(
    "--int8-method", type=click.Choice(METHODS), default="mse", help="How ranges of 8 bits follow from --images."
)
@click.option("--least-images", type=click.IntRange(1), default=LEAST_CALIBRATION_IMAGES, help=LEAST_IMAGES_HELP)
@click.option("--golden-from-images", is_flag=True, help="Put some of --images into the bundle as golden frames.")
@click.option("--name", help="Name in the manifest.  [default: the output's stem]")
@click.option("--license", "license_", default="not stated", help="Terms of the weights, shown by saccade info.")
@click.option("--dataset", default="not stated", help="What the weights were trained on.")
@click.option(
    "--metric", "metrics", multiple=True, metavar="NAME=VALUE", help="Measured score to record, such as val_miou=0.7."
)
@json_option
def export(network: str, weights: Path | None, task: str, out: Path, as_json: bool, **options: Any) -> None:
    """Turn NETWORK, package.module:callable with its weights or an .onnx file, into a sealed bundle.

    The bundle takes uint8 frames of any size and gives class maps, boxes or restored frames; it is proven against the
    network, frame by frame, before it gets its name. Examples:

    \b
    saccade export mypackage.nets:build --weights w.pth --classes classes.txt --imgsz 360x480 -o road.saccade
    saccade export yolox_nano.onnx --task detect --head yolox --classes coco.txt --imgsz 416 -o yolox-nano.saccade
    saccade export saccade_models.bridge_unet:BridgeUNet --task restore --weights w.safetensors -o denoise.saccade

    \b
    Heads, by the outputs of a network of C classes with A boxes:
      yolox             (N, A, 5+C) offset xy, log size, objectness, classes   BGR 0..255, letterbox
      yolox-one-to-one  (N, A, 4+C) the same without objectness or suppression
      yolov5            (N, A, 5+C) centre xy, size in pixels, objectness, classes
      yolov8            (N, 4+C, A) centre xy, size in pixels, classes          RGB 0..1, letterbox-centre
      yolov10           (N, A, 6)   xyxy in pixels, score, class; no suppression
      xyxy+scores       (N, A, 4) and (N, A, C), pixels and probabilities
      detr              (N, A, C) and (N, A, 4), logits and fractions; no suppression, stretch
    """
    warnings.filterwarnings("ignore", category=FutureWarning)
    from saccade_export.exporting import ExportRequest
    from saccade_export.plan_options import plan_of
    from saccade_export.source import NetworkRequest

    if options["golden_from_images"] and not options["images"]:
        raise RequestError("--golden-from-images needs --images to take the golden frames from")
    request = ExportRequest(
        network=NetworkRequest(
            network, weights, dict(_argument(text) for text in options["arguments"]), options["outputs"]
        ),
        plan=plan_of(task, options),
        name=_name(options["name"] or out.stem),
        images=options["images"],
        golden_from_images=options["golden_from_images"],
        provenance={"license": options["license_"], "dataset": options["dataset"]},
        metrics=dict(_metric(text) for text in options["metrics"]),
    )
    precisions = chosen_names("--precision", options["precision"], PRECISIONS)
    with redirect_stdout(sys.stderr):  # what the network's own code prints is no result
        report = _export(request, out, precisions, options["int8_method"], options["least_images"])
    if as_json:
        emit_json(_content(report, out))
    else:
        _print(report, out, request.plan.agreement_noun)


def _export(request: ExportRequest, out: Path, precisions: tuple[str, ...], method: str, least_images: int) -> Report:
    """Export, and add what is asked for beside float32: ``out`` gets its name when all of it is proven."""
    from saccade_export.exporting import export_bundle

    more = [precision for precision in precisions if precision != "fp32"]
    if not more:
        return export_bundle(request, out, say)
    from saccade_export.precision.calibration import read_calibration
    from saccade_export.precision.exporting import add_precisions
    from saccade_export.precision.reduced import NEEDS_OPENVINO
    from saccade_export.prove import scene_frames
    from saccade_export.user_frames import spread_frames

    if "bf16" in more and "openvino" not in installed():
        raise RequestError(f"--precision bf16 is proven by running it, and {NEEDS_OPENVINO}")
    provenance: dict[str, str] = {}
    if "int8" in more:
        if request.images is None:
            raise RequestError("--precision int8 needs --images: the frames that ranges of 8 bits are measured on")
        calibration = read_calibration(request.images, least=least_images, most=max(least_images, CALIBRATION_IMAGES))
        frames, provenance["calibration"] = list(calibration.frames), calibration.sentence
    elif request.images is not None:
        frames = [frame for _, frame in spread_frames(request.images, CALIBRATION_IMAGES)]
    else:
        frames = scene_frames()
    with TemporaryDirectory(prefix="saccade-export-") as folder:
        report = export_bundle(request, Path(folder) / out.name, say)
        written = add_precisions(report.bundle, more, method, frames, provenance, out, say)
    return replace(report, bundle=written)


def say(step: str) -> None:
    """Tell on standard error what is being done."""
    click.echo(f"· {step}", err=True)


def chosen_names(option: str, text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """The names in a list at commas, each once. Raises ``RequestError`` for one that is not ``known``, and for none."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise RequestError(f"{option} must be of {', '.join(known)}, but got {', '.join(unknown) or 'nothing'}")
    return names


def _content(report: Report, out: Path) -> dict[str, Any]:
    return {
        "bundle": str(out),
        "identity": report.bundle.identity,
        "bytes": report.bundle.size_bytes,
        "capture_fallback": report.capture_fallback,
        "proofs": [asdict(proof) for proof in report.proofs],
        "tolerances": {variant.name: variant.tolerances for variant in _reduced(report)},
    }


def _print(report: Report, out: Path, noun: str) -> None:
    for proof in report.proofs:
        deviations = "".join(f", {name} off by {value:.2g} at most" for name, value in proof.deviations.items())
        click.echo(
            f"{proof.variant}: {proof.worst:.4%} of {noun} on the worst of {proof.frames} frames{deviations} "
            f"(shuffled weights: at most {proof.control_best:.1%})"
        )
    held = KINDS[report.bundle.manifest.task.kind].held_to
    for variant in _reduced(report):
        click.echo(f"{variant.name}: golden frames are held to {held(variant.tolerances)}")
    click.echo(f"wrote {out} ({report.bundle.size_bytes / 1e6:.1f} MB), identity {report.bundle.identity}")


def _reduced(report: Report) -> list[Variant]:
    return [variant for variant in report.bundle.manifest.variants if variant.precision != "fp32"]


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
    from saccade_export.plan_options import finite

    name, _, value = text.partition("=")
    try:
        return name, finite(f"--metric {name}", float(value))
    except ValueError as error:
        raise RequestError(f"--metric must be NAME=NUMBER, but got {text!r}") from error
