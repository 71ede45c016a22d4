"""Weights out of an ONNX file: the convolutions of an exported network, matched by the order in which they run.

Exporters fold BatchNorm into the convolution before it and rename what they folded, so names are of no use. Order is:
the same network computes the same convolutions in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from saccade.errors import RequestError, WeightsError


@dataclass(frozen=True)
class FoldedConvolution:
    """A convolution of the file: ``weight`` (out, in / groups, h, w) and ``bias`` (out,), with its node's name."""

    name: str
    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class _Place:
    """A convolution of the network, with its name and the BatchNorm that runs right after it."""

    name: str
    convolution: nn.Conv2d
    norm: nn.BatchNorm2d | None


def load_folded(network: nn.Module, path: Path, example: Tensor) -> None:
    """Fill ``network`` with the convolutions of an ONNX file, in the order in which ``example`` runs them.

    A BatchNorm after a convolution becomes the addition of the folded bias: the network then computes in evaluation
    what the file computes. Raises ``WeightsError`` when counts or shapes differ; nothing is then changed.
    """
    wanted, found = _places_in_order(network, example), read_convolutions(path)
    if len(wanted) != len(found):
        raise WeightsError(f"{path.name} has {len(found)} convolutions, but the network runs {len(wanted)}")
    pairs = list(zip(wanted, found, strict=True))
    for place, stored in pairs:
        _check_fit(path, place, stored)
    with torch.no_grad():
        for place, stored in pairs:
            _fill(place, stored)


def read_convolutions(path: Path) -> list[FoldedConvolution]:
    """The convolutions of an ONNX file with stored weights, in the file's order.

    Raises ``WeightsError``, also when a BatchNorm was not folded, and ``RequestError`` without onnx.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise RequestError("reading an ONNX file needs onnx: pip install 'saccade[export]'") from error
    try:
        graph = onnx.load(path).graph
    except Exception as error:  # protobuf has errors of its own, and files that are no ONNX raise several
        raise WeightsError(f"{path} cannot be read as ONNX: {type(error).__name__}: {error}") from error
    if any(node.op_type == "BatchNormalization" for node in graph.node):
        raise WeightsError(f"{path.name} has BatchNorms of its own; export it in evaluation mode, which folds them")
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    found = []
    for node in graph.node:
        if node.op_type == "Conv" and node.input[1] in stored:
            weight = torch.from_numpy(stored[node.input[1]].copy())
            bias = torch.from_numpy(stored[node.input[2]].copy()) if len(node.input) > 2 else torch.zeros(len(weight))
            found.append(FoldedConvolution(node.name, weight, bias))
    if not found:
        raise WeightsError(f"{path.name} holds no convolution with stored weights")
    return found


@torch.no_grad()
def estimate_statistics(
    network: nn.Module, batches: Sequence[Tensor], run: Callable[[Tensor], object] | None = None
) -> None:
    """Give each BatchNorm the statistics of what it sees, and change its scale and shift so that nothing else changes.

    Folded weights need this before training: their norms normalise nothing, and would start to in training mode.
    ``run`` is what to call with a batch where the network itself does not run all of its norms; one that does not run
    is a ``ValueError``. The network is in evaluation mode afterwards.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    seen: dict[nn.Module, list[tuple[Tensor, Tensor]]] = {norm: [] for norm in norms}
    hooks = [
        norm.register_forward_pre_hook(lambda norm, inputs: seen[norm].append(_moments(inputs[0]))) for norm in norms
    ]
    network.eval()
    for batch in batches:
        (run or network)(batch)
    for hook in hooks:
        hook.remove()
    asleep = [name for name, module in network.named_modules() if module in seen and not seen[module]]
    if asleep:
        raise ValueError(f"{len(asleep)} norms did not run, {asleep[0]} first; pass as `run` what runs all of them")
    for norm in norms:
        mean, square = (torch.stack(values).mean(0) for values in zip(*seen[norm], strict=True))
        _renormalise(norm, mean, (square - mean**2).clamp(1e-6))


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and mean square of each channel."""
    return x.mean((0, 2, 3)), x.square().mean((0, 2, 3))


def _renormalise(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Other statistics, same function."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    slope = norm.weight / (norm.running_var + norm.eps).sqrt()
    shift = norm.bias - slope * norm.running_mean
    norm.weight.copy_(slope * (variance + norm.eps).sqrt())
    norm.bias.copy_(shift + slope * mean)
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)


def _check_fit(path: Path, place: _Place, stored: FoldedConvolution) -> None:
    wanted, found = tuple(place.convolution.weight.shape), tuple(stored.weight.shape)
    if wanted != found:
        raise WeightsError(
            f"{path.name} does not fit the network: {place.name} is {wanted}, but {stored.name} in its place is {found}"
        )
    if place.convolution.bias is None and place.norm is None and stored.bias.any():
        raise WeightsError(
            f"{path.name} does not fit the network: {stored.name} has a bias, which {place.name} has no place for"
        )


def _fill(place: _Place, stored: FoldedConvolution) -> None:
    convolution, norm = place.convolution, place.norm
    convolution.weight.copy_(stored.weight)
    if convolution.bias is not None:
        convolution.bias.copy_(stored.bias if norm is None else torch.zeros_like(stored.bias))
    if norm is not None:
        _become_addition(norm, stored.bias)


def _become_addition(norm: nn.BatchNorm2d, bias: Tensor) -> None:
    norm.reset_running_stats()
    norm.weight.fill_((1.0 + norm.eps) ** 0.5)
    norm.bias.copy_(bias)


@torch.no_grad()
def _places_in_order(network: nn.Module, example: Tensor) -> list[_Place]:
    """The convolutions as one pass of ``example`` meets them."""
    names = {module: name for name, module in network.named_modules()}
    met: list[nn.Module] = []
    kinds = (nn.Conv2d, nn.BatchNorm2d)
    hooks = [m.register_forward_hook(lambda m, *_: met.append(m)) for m in names if isinstance(m, kinds)]
    was_training = network.training
    network.eval()
    network(example)
    network.train(was_training)
    for hook in hooks:
        hook.remove()
    places = []
    for module, following in zip(met, [*met[1:], None], strict=True):
        if isinstance(module, nn.Conv2d):
            places.append(_Place(names[module], module, following if isinstance(following, nn.BatchNorm2d) else None))
    return places
