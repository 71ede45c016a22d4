"""Export a network: load, capture, lower for each target, prove, seal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx_ir as ir

from saccade import open as open_task
from saccade.bundle import Bundle
from saccade.engines import engine_module
from saccade.errors import CheckError
from saccade.spec import Golden, Manifest, StoredArray, Variant, stages_of
from saccade.verify import verify
from saccade_export.capture import OPSET
from saccade_export.plan import Plan, PlannedVariant, Prepared
from saccade_export.prove import Case, Proof, prove, scene_frames
from saccade_export.seal import seal
from saccade_export.source import NetworkRequest
from saccade_export.user_frames import spread_frames
from saccade_export.weights import WEIGHTS, WeightStore

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
    prepared = plan.prepare(request.network, say)

    rendered, given = scene_frames(), spread_frames(request.images, MAX_PROOF_IMAGES) if request.images else []
    named = [(f"scene {index}", frame) for index, frame in enumerate(rendered)] + given
    frames = [(name, plan.frame_for_proof(frame)) for name, frame in named]
    say(f"computing what PyTorch gives for {len(named)} frames, and what shuffled weights give")
    cases = [Case(n, f, plan.expect(prepared.network, f), plan.expect(prepared.control, f)) for n, f in frames]
    golden, members = _golden(
        cases[len(rendered) :][: len(rendered)] if request.golden_from_images else cases[: len(rendered)]
    )
    made = _made(prepared.variants)
    manifest = _manifest(request, prepared, made, golden)
    members |= made.members

    proofs: list[Proof] = []

    def check(bundle: Bundle) -> None:
        for variant in bundle.manifest.variants:
            say(f"proving {variant.name} on {len(cases)} frames against PyTorch")
            with open_task(bundle, engine="onnxruntime", device="cpu", variant=variant.name) as task:
                proofs.append(prove(task, plan, cases))
                if not all(result.passed for result in verify(bundle, task)):
                    raise CheckError(f"variant {variant.name} does not repeat its golden frames")

    say(f"sealing {path.name}")
    return Report(seal(manifest, members, path, check), tuple(proofs), prepared.capture_fallback)


def _golden(cases: list[Case]) -> tuple[tuple[Golden, ...], dict[str, bytes]]:
    entries: list[Golden] = []
    members: dict[str, bytes] = {}
    for index, case in enumerate(cases):
        stored: dict[str, StoredArray] = {}
        inputs = {"frame": case.frame, **case.expected.inputs}
        for name, array in {**inputs, **case.expected.results}.items():
            stored[name] = StoredArray(f"golden/{index:03}.{name}", str(array.dtype), array.shape)  # type: ignore[arg-type]
            members[stored[name].member] = np.ascontiguousarray(array).tobytes()
        given = {name: stored.pop(name) for name in inputs}
        entries.append(Golden(given, stored, case.expected.parameters))
    return tuple(entries), members


@dataclass(frozen=True)
class _Made:
    """Graphs and weights as members, and the member that is each variant's graph of each stage."""

    members: dict[str, bytes]
    graphs: dict[str, dict[str, str]]

    @property
    def weights(self) -> tuple[str, ...]:
        return (WEIGHTS,) if WEIGHTS in self.members else ()


def _made(variants: Sequence[PlannedVariant]) -> _Made:
    """Every graph, and the weights that they share. Variants with equal graphs share them."""
    store = WeightStore()
    named: dict[bytes, str] = {}
    graphs: dict[str, dict[str, str]] = {}
    for variant in variants:
        graphs[variant.name] = {}
        for stage, make in variant.stages.items():
            model = make()
            store.take_from(model)
            data = ir.to_proto(model).SerializeToString(deterministic=True)
            graphs[variant.name][stage] = named.setdefault(data, f"graphs/{stage}.{variant.name}.onnx")
    members = {name: data for data, name in named.items()}
    return _Made({**members, WEIGHTS: store.data} if store.data else members, graphs)


def _manifest(request: ExportRequest, prepared: Prepared, made: _Made, golden: tuple[Golden, ...]) -> Manifest:
    variants = tuple(
        Variant(
            name=variant.name,
            target=variant.target,
            precision="fp32",
            graphs=made.graphs[variant.name],
            weights=made.weights,
            opset=OPSET,
            tolerances=request.plan.tolerances,
            parameters=dict(variant.parameters),
        )
        for variant in prepared.variants
    )
    return Manifest(
        name=request.name,
        task=request.plan.spec,
        stages=stages_of(variants),
        variants=variants,
        golden=golden,
        members={},
        provenance=_provenance(request, prepared),
        metrics={**prepared.metrics, **request.metrics},
    )


def _provenance(request: ExportRequest, prepared: Prepared) -> dict[str, str]:
    made_with = {f"version.{package}": version(package) for package in RECORDED_PACKAGES}
    return {
        **made_with,
        "version.onnxruntime": engine_module("onnxruntime").version(),  # of whichever build is installed
        **request.provenance,
        **prepared.provenance,
    }
