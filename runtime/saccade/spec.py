"""What a bundle promises: the task contract, said once and lowered for each target.

frame uint8 (H, W, 3) ──► resized (bilinear, half-pixel centres, edges clamped, no antialiasing, in float32)
      ──► channels in the network's order ──► (pixel / scale - mean) / std ──► scores (N, C, h, w)
      ──► scores resized to (H, W) the same way ──► one class a pixel: argmax, or a threshold for one class
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PixelFormat = Literal["rgb24", "bgr24", "nv12"]
ChannelOrder = Literal["rgb", "bgr"]
Decision = Literal["argmax", "threshold"]
Scores = Literal["logits", "probabilities"]
Target = Literal["cpu", "gpu"]

PIXEL_FORMATS: tuple[PixelFormat, ...] = ("rgb24", "bgr24", "nv12")
"""Formats that the contract knows. A bundle lists those that its graphs take."""

MAX_CLASSES = 255
"""Class ids are uint8, and 255 is kept for void."""


@dataclass(frozen=True)
class ImageSpec:
    """How a frame becomes the network's input, float32 (N, 3, *size_hw).

    ``mean`` and ``std`` are per channel in the network's own order, in units of ``pixel / scale``.
    """

    size_hw: tuple[int, int]
    channel_order: ChannelOrder
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    pixel_formats: tuple[PixelFormat, ...] = ("rgb24", "bgr24")
    resize: Literal["stretch"] = "stretch"


@dataclass(frozen=True)
class SegmentSpec:
    """Semantic segmentation: one class id for each pixel of the frame.

    With ``decision`` "argmax" the network has one score a class. With "threshold" it has a single score, ``classes``
    are (background, the class), and ``threshold`` is the probability from which a pixel belongs to it.
    """

    image: ImageSpec
    classes: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    decision: Decision = "argmax"
    scores: Scores = "logits"
    threshold: float | None = None
    has_confidence: bool = False

    kind: Literal["segment"] = "segment"

    @property
    def score_channels(self) -> int:
        return len(self.classes) if self.decision == "argmax" else 1


TaskSpec = SegmentSpec
"""The contracts of all tasks; more join as a union."""


@dataclass(frozen=True)
class Variant:
    """One way to run a bundle's network: a graph for each stage, made for one target at one precision."""

    name: str
    target: Target
    precision: str
    graphs: dict[str, str]
    weights: tuple[str, ...]
    opset: int
    engine_options: dict[str, dict[str, str | int | float | bool]]
    metrics: dict[str, float]


@dataclass(frozen=True)
class GoldenFrame:
    """A raw frame and the result that PyTorch gave for it: members of uint8 bytes, row-major."""

    frame: str
    height: int
    width: int
    pixel_format: PixelFormat
    results: dict[str, str]


@dataclass(frozen=True)
class Member:
    """Size in bytes and SHA-256 (hexadecimal) of one member of the bundle."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """``manifest.json``, checked. Its own SHA-256 is the bundle's identity."""

    name: str
    task: TaskSpec
    stages: tuple[str, ...]
    variants: tuple[Variant, ...]
    golden: tuple[GoldenFrame, ...]
    tolerances: dict[str, float]
    members: dict[str, Member]
    provenance: dict[str, str]
    metrics: dict[str, float]
    latency_budget_ms: float | None = None
