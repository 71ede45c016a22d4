"""Small segmentation and detection networks, and bundles made from them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from saccade.classes import spread_color
from saccade.spec import DetectSpec, Restoring, SegmentSpec, Tiling
from saccade_export.contract import detect_spec, restore_spec, segment_spec
from saccade_export.detection import DetectPlan
from saccade_export.exporting import ExportRequest, Report, export_bundle
from saccade_export.heads import HEADS
from saccade_export.restoration import RestorePlan
from saccade_export.segmentation import SegmentPlan
from saccade_export.source import NetworkRequest
from saccade_export.step_tables import bridge_table

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


class TinyShares(TinyNet):
    """The same, but scores are each class's share of a pixel."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image).softmax(1)


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


def segment_request(
    weights: Path, spec: SegmentSpec | None = None, name: str = "tiny", network: str = "TinyNet", **more: Any
) -> ExportRequest:
    """A request for a bundle of one of the networks here. ``more``: arguments, output, equal_pixels, and what
    ``ExportRequest`` takes."""
    output = (more.pop("output"),) if "output" in more else ()
    tolerance = {"equal_pixels": more.pop("equal_pixels")} if "equal_pixels" in more else {}
    source = NetworkRequest(f"tests.tiny:{network}", weights, more.pop("arguments", None) or {}, output)
    return ExportRequest(source, SegmentPlan(spec or tiny_spec(), **tolerance), name, **more)


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
    export_bundle(segment_request(weights, spec, name, factory.__name__, arguments=arguments, **request), path)
    return path


DETECTOR_SIZE_HW = (64, 96)
CELLS = 8 * 12 + 4 * 6 + 2 * 3


class TinyDetector(nn.Module):
    """Three grids of cells from strided convolutions, in the layout of ``head`` for ``DETECTOR_SIZE_HW``."""

    def __init__(self, classes: int = 3, head: str = "yolox") -> None:
        super().__init__()
        self.head = head
        self.objectness = int(head in ("yolox", "yolov5"))
        self.stem = nn.Conv2d(3, 12, 8, stride=8)
        self.down = nn.ModuleList(nn.Conv2d(12, 12, 3, stride=2, padding=1) for _ in range(2))
        self.predict = nn.ModuleList(nn.Conv2d(12, 4 + self.objectness + classes, 1) for _ in range(3))

    def forward(self, image: Tensor) -> Any:
        features = [torch.sin(self.stem(image / 64))]
        for layer in self.down:
            features.append(torch.sin(3 * layer(features[-1])))
        rows = torch.cat([p(f).flatten(2).transpose(1, 2) for p, f in zip(self.predict, features, strict=True)], 1)
        cells = torch.cat((rows[..., :4].tanh(), (2 * rows[..., 4:] - 1).sigmoid()), dim=-1)
        return cells if self.head.startswith("yolox") else self._decoded(cells)

    def _decoded(self, cells: Tensor) -> Any:
        pixels = torch.tensor([DETECTOR_SIZE_HW[1], DETECTOR_SIZE_HW[0]] * 2)
        fractions = (cells[..., :4] * torch.tensor([0.5, 0.5, 0.2, 0.2]) + torch.tensor([0.5, 0.5, 0.25, 0.25])).abs()
        centre, half = fractions[..., :2] * pixels[:2], fractions[..., 2:] * pixels[2:] / 2
        xyxy, scores = torch.cat((centre - half, centre + half), dim=-1), cells[..., 4 + self.objectness :]
        best, class_id = scores.max(-1, keepdim=True)
        return {
            "yolov5": lambda: torch.cat((centre, 2 * half, cells[..., 4:]), dim=-1),
            "yolov8": lambda: torch.cat((centre, 2 * half, scores), dim=-1).transpose(1, 2),
            "yolov10": lambda: torch.cat((xyxy, best, class_id.float()), dim=-1),
            "xyxy+scores": lambda: (xyxy, scores),
            "detr": lambda: (scores.logit(), fractions),
        }[self.head]()


def detector_spec(head: str = "yolox", classes: int = 3, **options: Any) -> DetectSpec:
    made = HEADS[head](classes, DETECTOR_SIZE_HW)
    usual = {
        "size_hw": DETECTOR_SIZE_HW,
        "channel_order": made.input_defaults.channel_order,
        "scale": 1.0,
        "resize": made.input_defaults.resize,
        "confidence": 0.25,
        "iou": 0.5,
        "max_detections": 50,
        "suppression": "class" if made.needs_suppression else "none",
    }
    names = tuple(f"class{index}" for index in range(classes))
    return detect_spec(names, tuple(spread_color(index) for index in range(classes)), **{**usual, **options})


def export_detector(
    folder: Path, head: str = "yolox", *, name: str = "tiny", seed: int = 0, spec: DetectSpec | None = None
) -> Report:
    """Export a tiny detector to ``folder/<name>.saccade``."""
    spec = spec or detector_spec(head)
    arguments = {"classes": len(spec.classes), "head": head}
    weights = save_weights(seeded(TinyDetector, seed, **arguments), folder / f"{name}.safetensors")
    source = NetworkRequest("tests.tiny:TinyDetector", weights, arguments)
    return export_bundle(ExportRequest(source, DetectPlan(spec, head), name), folder / f"{name}.saccade")


def export_tiny_detector(folder: Path, head: str = "yolox", **options: Any) -> Path:
    """Export a tiny detector and return the bundle's path. Takes what ``export_detector`` takes."""
    return export_detector(folder, head, **options).bundle.path


class TinyBridge(nn.Module):
    """A bridge's velocity from two convolutions at half size, which depends on state, map and time."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(16, 24, 3, padding=1)
        self.time = nn.Linear(1, 24)
        self.second = nn.Conv2d(24, 12, 3, padding=1)

    def forward(self, state: Tensor, map: Tensor, time: Tensor) -> Tensor:  # noqa: A002 - the input's name
        seen = nn.functional.pixel_unshuffle(torch.cat([state, map], dim=1), 2)
        features = torch.relu(self.first(seen) + self.time(time[:, None])[:, :, None, None])
        return nn.functional.pixel_shuffle(self.second(features), 2) * 3 * map


def export_tiny_restorer(folder: Path, mode: Restoring = "denoise", *, seed: int = 0, **spec: Any) -> Path:
    """Export a tiny restorer into ``folder``, in 1, 2 and 4 steps unless ``tables`` are given; the bundle's path."""
    weights = save_weights(seeded(TinyBridge, seed), folder / f"{mode}.safetensors")
    tables = spec.pop("tables", {str(steps): bridge_table(steps) for steps in (1, 2, 4)})
    contract = restore_spec(mode, tables, **{"tiling": Tiling(128, 48), **spec})
    request = ExportRequest(NetworkRequest("tests.tiny:TinyBridge", weights), RestorePlan(contract), mode)
    path = folder / f"{mode}.saccade"
    export_bundle(request, path)
    return path
