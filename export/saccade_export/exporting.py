"""Export a network: load, capture, lower for each target, prove, seal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx_ir as ir

from saccade import open as open_task
from saccade.bundle import Bundle
from saccade.engines import engine_module
from saccade.errors import CheckError, SourceError
from saccade.sources import open_source
from saccade.sources.base import SourceFault
from saccade.spec import Golden, Manifest, StoredArray, Variant
from saccade.verify import verify
from saccade_export.capture import OPSET
from saccade_export.plan import Frame, Plan, PlannedVariant
from saccade_export.prove import Case, Proof, prove, scene_frames
from saccade_export.seal import seal
from saccade_export.simplify import fold_focus
from saccade_export.source import LoadedNetwork, NetworkRequest, load_network
from saccade_export.weights import LOCATION, WeightStore

MAX_PROOF_IMAGES = 30
RECORDED_PACKAGES = ("saccade", "torch", "onnx", "onnxscript")


@dataclass(frozen=True)
class ExportRequest:
    """Everything that decides a bundle's bytes, beside the versions of what makes it."""

    network: NetworkRequest
    plan: Plan
    name: str
    images: str | None = None
    golden_from_images: bool = False
    provenance: Mapping[str, str] = field(default_factory=dict[str, str])
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True)
class Report:
    """What was made, and how each variant agreed with PyTorch. ``capture_fallback`` is empty when dynamo captured."""

    bundle: Bundle
    proofs: tuple[Proof, ...]
    capture_fallback: str


def export_bundle(request: ExportRequest, path: Path, say: Callable[[str], None] = lambda _: None) -> Report:
    """Write the bundle of ``request`` to ``path``; ``say`` is told each step.

    Raises a ``SaccadeError`` when a step fails, and then leaves nothing at ``path`` that was not there before.
    """
    plan = request.plan
    loaded = load_network(request.network, plan.spec.image.size_hw, plan.output_names, say)
    planned = plan.variants(loaded.captured.shapes, loaded.captured.single_images)

    rendered, given = scene_frames(), _image_frames(request.images)
    named = [(f"scene {index}", frame) for index, frame in enumerate(rendered)] + given
    say(f"computing what PyTorch gives for {len(named)} frames, and what shuffled weights give")
    cases = [Case(n, f, plan.expect(loaded.network, f), plan.expect(loaded.control, f)) for n, f in named]
    golden, members = _golden(
        cases[len(rendered) :][: len(rendered)] if request.golden_from_images else cases[: len(rendered)]
    )
    graphs, weights = _graphs(loaded, planned)
    manifest = _manifest(request, loaded, planned, golden, bool(weights))
    members |= {f"graphs/main.{name}.onnx": data for name, data in graphs.items()}
    if weights:
        members[f"graphs/{LOCATION}"] = weights

    proofs: list[Proof] = []

    def check(bundle: Bundle) -> None:
        for variant in bundle.manifest.variants:
            say(f"proving {variant.name} on {len(cases)} frames against PyTorch")
            with open_task(bundle, engine="onnxruntime", device="cpu", variant=variant.name) as task:
                proofs.append(prove(task, plan, cases))
                if not all(result.passed for result in verify(bundle, task)):
                    raise CheckError(f"variant {variant.name} does not repeat its golden frames")

    say(f"sealing {path.name}")
    return Report(seal(manifest, members, path, check), tuple(proofs), loaded.captured.fallback_reason)


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


def _golden(cases: list[Case]) -> tuple[tuple[Golden, ...], dict[str, bytes]]:
    entries: list[Golden] = []
    members: dict[str, bytes] = {}
    for index, case in enumerate(cases):
        stored: dict[str, StoredArray] = {}
        for name, array in {"frame": case.frame, **case.expected.results}.items():
            stored[name] = StoredArray(f"golden/{index:03}.{name}", str(array.dtype), array.shape)  # type: ignore[arg-type]
            members[stored[name].member] = np.ascontiguousarray(array).tobytes()
        entries.append(Golden({"frame": stored.pop("frame")}, stored, case.expected.parameters))
    return tuple(entries), members


def _graphs(loaded: LoadedNetwork, planned: list[PlannedVariant]) -> tuple[dict[str, bytes], bytes]:
    """One serialized graph for each variant, by name, and the weights that they share."""
    store = WeightStore()
    graphs: dict[str, bytes] = {}
    network = loaded.captured.model.clone()
    fold_focus(network)
    for variant in planned:
        model = variant.lower(network.clone())
        store.take_from(model)
        graphs[variant.name] = ir.to_proto(model).SerializeToString(deterministic=True)
    return graphs, store.data


def _manifest(
    request: ExportRequest,
    loaded: LoadedNetwork,
    planned: list[PlannedVariant],
    golden: tuple[Golden, ...],
    has_weights: bool,
) -> Manifest:
    variants = tuple(
        Variant(
            name=variant.name,
            target=variant.target,
            precision="fp32",
            graphs={"main": f"graphs/main.{variant.name}.onnx"},
            weights=(f"graphs/{LOCATION}",) if has_weights else (),
            opset=OPSET,
            tolerances=request.plan.tolerances,
            parameters=dict(variant.parameters),
        )
        for variant in planned
    )
    return Manifest(
        name=request.name,
        task=request.plan.spec,
        stages=("main",),
        variants=variants,
        golden=golden,
        members={},
        provenance=_provenance(request, loaded),
        metrics={**loaded.metrics, **request.metrics},
    )


def _provenance(request: ExportRequest, loaded: LoadedNetwork) -> dict[str, str]:
    made_with = {f"version.{package}": version(package) for package in RECORDED_PACKAGES}
    return {
        **made_with,
        "version.onnxruntime": engine_module("onnxruntime").version(),  # of whichever build is installed
        **request.provenance,
        **loaded.provenance,
    }
