"""Where an exported network comes from: PyTorch code with weights, or an ONNX file made elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from saccade.errors import RequestError
from saccade_export.capture import Captured, ChosenOutputs, capture
from saccade_export.network import build_network, load_weights, recorded_metrics
from saccade_export.onnx_network import OnnxNetwork, read_onnx
from saccade_export.shuffling import shuffled
from saccade_export.twin import Network


@dataclass(frozen=True)
class NetworkRequest:
    """What the user says about a network: ``reference`` is "package.module:callable", or the path of an ONNX file."""

    reference: str
    weights: Path | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    outputs: tuple[str, ...] = ()

    @property
    def is_onnx(self) -> bool:
        return self.reference.endswith(".onnx")


@dataclass(frozen=True)
class BuiltNetwork:
    """A PyTorch network in evaluation mode with its weights, where they come from, and what they scored."""

    network: nn.Module
    provenance: dict[str, str]
    metrics: dict[str, float]


@dataclass(frozen=True)
class LoadedNetwork:
    """A network ready to lower and to be held against.

    ``network`` computes it outside our graphs; ``control`` is the same with its weights shuffled; ``metrics`` are
    scores that training recorded in the weights.
    """

    network: Network
    control: Network
    captured: Captured
    provenance: dict[str, str]
    metrics: dict[str, float]


def load_network(
    request: NetworkRequest, size_hw: tuple[int, int], names: Sequence[str], say: Callable[[str], None]
) -> LoadedNetwork:
    """The network of ``request`` as a graph for images of ``size_hw``, its outputs called ``names``.

    Raises ``RequestError``, ``WeightsError`` or ``CaptureError``.
    """
    if request.is_onnx:
        return _load_onnx(request, size_hw, names, say)
    built = build(request, say)
    network = ChosenOutputs(built.network, request.outputs, len(names)).eval()
    say(f"capturing for images of {size_hw[0]}x{size_hw[1]}")
    captured = capture(network, size_hw, names)
    if captured.fallback_reason:
        say(f"dynamo cannot capture this network, so TorchScript did: {captured.fallback_reason}")
    return LoadedNetwork(network, shuffled(network), captured, built.provenance, built.metrics)


def build(request: NetworkRequest, say: Callable[[str], None]) -> BuiltNetwork:
    """The PyTorch network of ``request`` with its weights. Raises ``RequestError`` or ``WeightsError``."""
    if request.weights is None:
        raise RequestError(f"{request.reference} is PyTorch code, which needs --weights")
    say(f"building {request.reference} with {request.weights.name}")
    network = build_network(request.reference, request.arguments)
    load_weights(network, request.weights)
    provenance = {
        "network": request.reference,
        "network_arguments": ", ".join(f"{key}={value}" for key, value in request.arguments.items()),
        "weights_sha256": _sha256(request.weights),
    }
    return BuiltNetwork(network.eval(), provenance, recorded_metrics(request.weights))


def _load_onnx(
    request: NetworkRequest, size_hw: tuple[int, int], names: Sequence[str], say: Callable[[str], None]
) -> LoadedNetwork:
    if request.weights is not None or request.arguments:
        raise RequestError(f"{request.reference} holds its own weights; drop --weights and --arg")
    path = Path(request.reference)
    say(f"reading {path.name}")
    captured = read_onnx(path, size_hw, names, request.outputs)
    if captured.single_images:
        say("the file's batch is fixed at 1 and cannot be freed: the bundle takes one frame at a time")
    network = OnnxNetwork(captured, names)
    provenance = {"network": path.name, "network_arguments": "", "weights_sha256": _sha256(path)}
    return LoadedNetwork(network, network.shuffled(), captured, provenance, {})


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
