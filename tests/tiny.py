"""A small segmentation network, and bundles made from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from saccade.classes import spread_color
from saccade.spec import SegmentSpec
from saccade_export.contract import segment_spec
from saccade_export.segmentation import SegmentRequest, export_segmentation

SIZE_HW = (32, 48)
MEAN = (0.4, 0.5, 0.6)
STD = (0.2, 0.25, 0.3)


class TinyNet(nn.Module):
    """Scores at a quarter of the input, from two strided convolutions; random weights from the global seed."""

    def __init__(self, classes: int = 3, width: int = 8) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, width, 3, stride=2, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, 4 * width, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        self.head = nn.Conv2d(4 * width, classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.body(image))


class TinyDict(TinyNet):
    """The same, but it returns a dict of two outputs, as torchvision's segmentation networks do."""

    def forward(self, image: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        scores = super().forward(image)
        return {"out": scores, "aux": -scores}


class TinyTuple(TinyNet):
    """The same, but it returns a tuple of two outputs."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        scores = super().forward(image)
        return scores, -scores


class TinyDynamic(TinyNet):
    """The same, but a Python branch on a tensor's value, which dynamo refuses and TorchScript takes as it is traced."""

    def forward(self, image: Tensor) -> Tensor:
        scores = super().forward(image)
        return scores * 2 if float(image.abs().sum()) >= 0 else scores


def seeded(factory: type[nn.Module], seed: int = 0, **arguments: Any) -> nn.Module:
    """A network whose scores differ clearly between pixels, so that its class map shows every class."""
    torch.manual_seed(seed)
    network = factory(**arguments).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2)
    return network


def save_weights(network: nn.Module, path: Path) -> Path:
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, path)
    return path


def tiny_spec(classes: int = 3, **options: Any) -> SegmentSpec:
    names = tuple(f"class{index}" for index in range(classes))
    colors = tuple(spread_color(index) for index in range(classes))
    return segment_spec(names, colors, **{"size_hw": SIZE_HW, "mean": MEAN, "std": STD, **options})


def export_tiny(
    folder: Path,
    factory: type[nn.Module] = TinyNet,
    *,
    name: str = "tiny",
    seed: int = 0,
    spec: SegmentSpec | None = None,
    arguments: Mapping[str, Any] | None = None,
    **request: Any,
) -> Path:
    """Export a tiny network into ``folder`` and return the bundle's path."""
    arguments = arguments or {}
    weights = save_weights(seeded(factory, seed, **arguments), folder / f"{name}.safetensors")
    path = folder / f"{name}.saccade"
    export_segmentation(
        SegmentRequest(
            network=f"tests.tiny:{factory.__name__}",
            weights=weights,
            spec=spec or tiny_spec(),
            name=name,
            network_arguments=arguments,
            **request,
        ),
        path,
    )
    return path
