"""``saccade info``: what a bundle is."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from saccade.bundle import Bundle, open_bundle
from saccade.cli import emit_json
from saccade.cli.options import BundlePath, json_option
from saccade.kinds import KINDS
from saccade.manifest import Manifest
from saccade.spec import FullImageSpec, ImageSpec, Letterbox, Resize


@click.command(short_help="Show what a bundle is, after checking every byte of it.")
@click.argument("bundle", type=BundlePath)
@json_option
def info(bundle: Path, as_json: bool) -> None:
    """Show task, classes, variants, provenance and licence of BUNDLE, after checking every byte of it.

    The identity is the SHA-256 of the manifest, which states that of every other part.
    """
    opened = open_bundle(bundle)
    if as_json:
        emit_json(
            {"path": str(bundle), "identity": opened.identity, "bytes": opened.size_bytes, **asdict(opened.manifest)}
        )
        return
    lines = _lines(opened)
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        click.echo(f"{name:<{width}} {value}")


def _lines(bundle: Bundle) -> list[tuple[str, str]]:
    manifest, task = bundle.manifest, bundle.manifest.task
    kind = KINDS[task.kind]
    lines = [
        ("bundle", f"{manifest.name} ({bundle.size_bytes / 1e6:.1f} MB, all parts intact)"),
        ("identity", bundle.identity),
        *kind.describe(task),
        ("frames", f"{_types(manifest)} (H, W, 3) of any size, {' or '.join(task.image.pixel_formats)}"),
        ("input", _input(task.image)),
        ("golden", f"{len(manifest.golden)} frames, each held against PyTorch's result"),
    ]
    if manifest.metrics:
        lines.append(("measured", ", ".join(f"{name} {value:.4g}" for name, value in sorted(manifest.metrics.items()))))
    for variant in manifest.variants:
        held = kind.held_to(variant.tolerances)
        scores = ", ".join(f"{name} {value:.4g}" for name, value in sorted(variant.metrics.items()))
        lines.append(
            ("variant", f"{variant.name}: for {variant.target}, opset {variant.opset}, {held}  {scores}".rstrip())
        )
    stated = {name: value for name, value in sorted(manifest.provenance.items()) if value}
    lines += [(name.replace("_", " "), value) for name, value in stated.items() if not name.startswith("version.")]
    made_with = {n.partition(".")[2]: v for n, v in stated.items() if n.startswith("version.")}
    return [*lines, ("made with", ", ".join(f"{name} {value}" for name, value in sorted(made_with.items())))]


def _types(manifest: Manifest) -> str:
    """The types of frames that variants take: restorers say it of each, others take bytes."""
    return " or ".join(dict.fromkeys(str(each.parameters.get("entry", "uint8")) for each in manifest.variants))


def _input(image: ImageSpec | FullImageSpec) -> str:
    if isinstance(image, FullImageSpec):
        return f"the frame's own size up to multiples of {image.multiple}, {image.channel_order}"
    height, width = image.size_hw
    return f"{height}x{width} (height x width), {image.channel_order}, {_resize(image.resize)}"


def _resize(resize: Resize) -> str:
    if isinstance(resize, Letterbox):
        place = {"start": "at the top left", "centre": "in the centre"}[resize.anchor]
        return f"resize letterbox ({place}, the rest {resize.pad} grey)"
    return f"resize {resize.mode}"
