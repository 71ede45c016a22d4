"""Networks from an image to raw outputs, segmenters and detectors: one graph a variant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import onnx_ir as ir

from saccade.spec import Scalar
from saccade_export.plan import PlannedVariant, Prepared
from saccade_export.simplify import fold_focus, spell_out_softmax
from saccade_export.source import LoadedNetwork


@dataclass(frozen=True)
class ImageVariant:
    """A variant whose graph is the captured network, lowered; ``lower`` uses up what it is given."""

    name: str
    target: str
    lower: Callable[[ir.Model], ir.Model]
    parameters: Mapping[str, Scalar] = field(default_factory=dict[str, Scalar])


def prepared_images(loaded: LoadedNetwork, variants: Sequence[ImageVariant]) -> Prepared:
    """The loaded network with these variants of it, simplified first."""
    network = loaded.captured.model.clone()
    fold_focus(network)
    planned = [
        PlannedVariant(v.name, v.target, {"main": partial(_lowered, network, v)}, v.parameters) for v in variants
    ]
    return Prepared(
        loaded.network,
        loaded.control,
        planned,
        loaded.provenance,
        loaded.metrics,
        loaded.captured.fallback_reason,
    )


def _lowered(network: ir.Model, variant: ImageVariant) -> ir.Model:
    own = network.clone()
    if variant.target == "cpu":  # GPUs' engines have it as one operation
        spell_out_softmax(own)
    return variant.lower(own)
