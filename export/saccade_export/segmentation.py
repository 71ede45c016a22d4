"""Export a segmentation network: build, load, capture, lower for each target, prove, seal."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from saccade import open as open_task
from saccade.bundle import Bundle
from saccade.engines import engine_module
from saccade.errors import CheckError, RequestError, SourceError
from saccade.sources import open_source
from saccade.sources.base import SourceFault
from saccade.spec import Golden, Manifest, SegmentSpec, StoredArray, Variant
from saccade.verify import verify
from saccade_export.capture import OPSET, Captured, SingleOutput, capture
from saccade_export.lower.segment_cpu import lower_segment_cpu
from saccade_export.lower.segment_gpu import lower_segment_gpu
from saccade_export.network import build_network, load_weights, recorded_metrics
from saccade_export.prove import Proof, prove, scene_frames
from saccade_export.seal import seal
from saccade_export.twin import SegmentTwin
from saccade_export.weights import LOCATION, WeightStore

Frame = npt.NDArray[np.uint8]

LOWERINGS: dict[str, Callable[[ir.Model, SegmentSpec], ir.Model]] = {
    "cpu": lower_segment_cpu,
    "gpu": lower_segment_gpu,
}
MAX_PROOF_IMAGES = 30
EQUAL_PIXELS = 0.999
RECORDED_PACKAGES = ("saccade", "torch", "onnx", "onnxscript")


@dataclass(frozen=True)
class SegmentRequest:
    """Everything that decides a segmentation bundle's bytes, beside the versions of what makes it."""

    network: str
    weights: Path
    spec: SegmentSpec
    name: str
    network_arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    output: str | None = None
    images: str | None = None
    golden_from_images: bool = False
    equal_pixels: float = EQUAL_PIXELS
    provenance: Mapping[str, str] = field(default_factory=dict[str, str])
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True)
class Report:
    """What was made, and how each variant agreed with PyTorch. ``capture_fallback`` is empty when dynamo captured."""

    bundle: Bundle
    proofs: tuple[Proof, ...]
    capture_fallback: str


def export_segmentation(request: SegmentRequest, path: Path, say: Callable[[str], None] = lambda _: None) -> Report:
    """Write the bundle of ``request`` to ``path``; ``say`` is told each step.

    Raises a ``SaccadeError`` when a step fails, and then leaves nothing at ``path`` that was not there before.
    """
    say(f"building {request.network} with {request.weights.name}")
    network = build_network(request.network, request.network_arguments)
    load_weights(network, request.weights)
    network = SingleOutput(network, request.output).eval()

    say(f"capturing for images of {request.spec.image.size_hw[0]}x{request.spec.image.size_hw[1]}")
    captured = capture(network, request.spec.image.size_hw)
    if captured.fallback_reason:
        say(f"dynamo cannot capture this network, so TorchScript did: {captured.fallback_reason}")
    _check_classes(request.spec, captured)

    twin = SegmentTwin(network, request.spec)
    rendered, given = scene_frames(), _image_frames(request.images)
    frames = [(f"scene {index}", frame) for index, frame in enumerate(rendered)] + given
    golden_frames = [frame for _, frame in given[: len(rendered)]] if request.golden_from_images else rendered
    golden, golden_members = _golden(golden_frames, twin)
    graphs, weights = _graphs(captured, request.spec)
    manifest = _manifest(request, golden, tuple(graphs), bool(weights))
    members = {f"graphs/main.{name}.onnx": data for name, data in graphs.items()} | golden_members
    if weights:
        members[f"graphs/{LOCATION}"] = weights

    proofs: list[Proof] = []

    def check(bundle: Bundle) -> None:
        for variant in bundle.manifest.variants:
            say(f"proving {variant.name} on {len(frames)} frames against PyTorch")
            with open_task(bundle, engine="onnxruntime", device="cpu", variant=variant.name) as task:
                proofs.append(prove(task, twin, frames, request.equal_pixels))
                if not all(result.passed for result in verify(bundle, task)):
                    raise CheckError(f"variant {variant.name} does not repeat its golden frames")

    say(f"sealing {path.name}")
    return Report(seal(manifest, members, path, check), tuple(proofs), captured.fallback_reason)


def _check_classes(spec: SegmentSpec, captured: Captured) -> None:
    found = captured.scores_shape[0]
    if found == spec.score_channels:
        return
    if spec.decision == "threshold":
        raise RequestError(f"a threshold needs a network with one score, but this one has {found}; drop --threshold")
    raise RequestError(
        f"{len(spec.classes)} classes were given ({', '.join(spec.classes[:4])}, …), "
        f"but the network gives {found} scores; the class list must have one line for each"
    )


def _image_frames(images: str | None) -> list[tuple[str, Frame]]:
    """Up to ``MAX_PROOF_IMAGES`` frames, spread over what the user gave. One that cannot be read ends the export."""
    if images is None:
        return []
    found: list[tuple[str, Frame]] = []
    distance = 1
    with open_source(images) as source:
        for index, item in enumerate(source):
            if isinstance(item, SourceFault):
                raise SourceError(f"{item.name} cannot be used for the proof: {item.reason}")
            if index % distance == 0:
                found.append((item.name, item.image))
            if len(found) == 2 * MAX_PROOF_IMAGES:  # keep every other, so that long sources are never held whole
                found, distance = found[::2], 2 * distance
    step = -(-len(found) // MAX_PROOF_IMAGES) if found else 1
    return found[::step]


def _golden(frames: list[Frame], twin: SegmentTwin) -> tuple[tuple[Golden, ...], dict[str, bytes]]:
    entries: list[Golden] = []
    members: dict[str, bytes] = {}
    for index, frame in enumerate(frames):
        class_map = twin(frame)
        given = StoredArray(f"golden/{index:03}.frame", "uint8", frame.shape)
        expected = StoredArray(f"golden/{index:03}.class_map", "uint8", class_map.shape)
        members |= {given.member: frame.tobytes(), expected.member: class_map.tobytes()}
        entries.append(Golden({"frame": given}, {"class_map": expected}, {"pixel_format": "rgb24"}))
    return tuple(entries), members


def _graphs(captured: Captured, spec: SegmentSpec) -> tuple[dict[str, bytes], bytes]:
    """One serialized graph for each target, by variant name, and the weights that they share."""
    store = WeightStore()
    graphs: dict[str, bytes] = {}
    for target, lower in LOWERINGS.items():
        model = lower(captured.model.clone(), spec)
        store.take_from(model)
        graphs[f"fp32-{target}"] = ir.to_proto(model).SerializeToString(deterministic=True)
    return graphs, store.data


def _manifest(
    request: SegmentRequest, golden: tuple[Golden, ...], names: tuple[str, ...], has_weights: bool
) -> Manifest:
    variants = tuple(
        Variant(
            name=name,
            target=target,
            precision="fp32",
            graphs={"main": f"graphs/main.{name}.onnx"},
            weights=(f"graphs/{LOCATION}",) if has_weights else (),
            opset=OPSET,
            tolerances={"equal_pixels": request.equal_pixels},
        )
        for name, target in zip(names, LOWERINGS, strict=True)
    )
    return Manifest(
        name=request.name,
        task=request.spec,
        stages=("main",),
        variants=variants,
        golden=golden,
        members={},
        provenance=_provenance(request),
        metrics={**recorded_metrics(request.weights), **request.metrics},
    )


def _provenance(request: SegmentRequest) -> dict[str, str]:
    made_with = {f"version.{package}": version(package) for package in RECORDED_PACKAGES}
    return {
        **made_with,
        "version.onnxruntime": engine_module("onnxruntime").version(),  # of whichever build is installed
        **request.provenance,
        "network": request.network,
        "network_arguments": ", ".join(f"{key}={value}" for key, value in request.network_arguments.items()),
        "weights_sha256": hashlib.sha256(request.weights.read_bytes()).hexdigest(),
    }
