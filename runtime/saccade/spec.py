"""What a bundle promises: the task contract, said once and lowered for each target.

frame uint8 (H, W, 3) ──► resized (bilinear, half-pixel centres, edges clamped, no antialiasing; in float32, or
      letterboxed in whole numbers, see ``saccade.letterbox``)
      ──► channels in the network's order ──► (pixel / scale - mean) / std ──► the network

segment: scores (N, C, h, w) resized to (H, W) the same way ──► one class a pixel: argmax, or a threshold for one class
detect:  a box and a best class for each cell ──► the most confident ones ──► suppression, where the network needs it
      ──► boxes in the frame's pixels
restore: the frame at its own size, channels in the network's order ──► state ``pixel / 127.5 - 1``, and a map of how
      far each pixel may be off ──► for each step the network's velocity, see ``saccade.step_table`` ──► the frame
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from saccade.letterbox import Anchor
from saccade.step_table import StepTable

PixelFormat = Literal["rgb24", "bgr24", "nv12"]
ChannelOrder = Literal["rgb", "bgr"]
Decision = Literal["argmax", "threshold"]
Scores = Literal["logits", "probabilities"]
Suppression = Literal["class", "agnostic", "none"]
Restoring = Literal["denoise", "low-light", "deblur", "inpaint", "super-resolution"]
Scalar = str | int | float | bool

PIXEL_FORMATS: tuple[PixelFormat, ...] = ("rgb24", "bgr24", "nv12")
"""Formats that the contract knows. A bundle lists those that its graphs take."""

SUPPRESSIONS: tuple[Suppression, ...] = ("class", "agnostic", "none")
RESTORING: tuple[Restoring, ...] = ("denoise", "low-light", "deblur", "inpaint", "super-resolution")
MEASURED: tuple[Restoring, ...] = ("denoise", "low-light")
"""Modes whose sigma the runtime can measure."""

MAX_DETECTIONS = 1000
"""The most boxes that a frame may give, and the most candidates that suppression compares."""

MAX_CLASSES = 255
"""Class ids are uint8, and 255 is kept for void."""


@dataclass(frozen=True)
class Stretch:
    """A frame of another shape is resized to the network's, which changes its aspect."""

    mode: Literal["stretch"] = "stretch"


@dataclass(frozen=True)
class Letterbox:
    """A frame keeps its aspect, see ``saccade.letterbox``; the rest of the input has the grey ``pad``, 0 to 255."""

    pad: int = 114
    anchor: Anchor = "start"
    mode: Literal["letterbox"] = "letterbox"


Resize = Stretch | Letterbox
"""How a frame of another shape meets the network's."""


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
    resize: Resize = field(default_factory=lambda: Stretch())


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


@dataclass(frozen=True)
class DetectSpec:
    """Objects as boxes, each with its best class.

    ``confidence``, ``iou`` and ``max_detections`` are defaults that a call may change. ``suppression`` compares boxes
    of one class ("class"), all boxes ("agnostic"), or is not needed ("none": the network gives one box an object).
    """

    image: ImageSpec
    classes: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    confidence: float = 0.25
    iou: float = 0.65
    max_detections: int = 300
    suppression: Suppression = "class"

    kind: Literal["detect"] = "detect"


@dataclass(frozen=True)
class FullImageSpec:
    """A network that takes frames of any size, their sides padded to multiples of ``multiple``."""

    channel_order: ChannelOrder
    multiple: int = 8
    pixel_formats: tuple[PixelFormat, ...] = ("rgb24", "bgr24")


@dataclass(frozen=True)
class Tiling:
    """Frames of more than ``size`` x ``size`` pixels are cut into tiles of that side that share ``overlap`` pixels."""

    size: int = 1024
    overlap: int = 64


@dataclass(frozen=True)
class LightSpec:
    """How dark frames are lifted before they are restored, and the ranges that the network was trained for.

    Light u in 0..1 becomes (gain * u) ** gamma. The variance of its noise is sigma**2 + shot * 255 * u in squared grey
    levels: photons come at random, the more of them the more so. ``exposure`` is what a frame's mean light becomes
    where no gain is given.
    """

    gain_range: tuple[float, float] = (1.0, 16.0)
    gamma_range: tuple[float, float] = (0.4, 1.0)
    shot_range: tuple[float, float] = (0.0, 1.0)
    gamma: float = 0.45
    exposure: float = 0.18


@dataclass(frozen=True)
class RestoreSpec:
    """The frame as it would be without what a camera did to it, in one or a few steps.

    ``sigma_range`` is what the network knows: the standard deviation of noise in grey levels ("denoise"; "low-light":
    that part of it which does not depend on light), or of a Gaussian blur in pixels ("deblur"). ``sigma`` is the
    default, None where it is measured; at or below ``dead_zone`` a frame stays as it is. ``light`` is for "low-light".
    "inpaint" takes a mask instead, "super-resolution" neither. The network's map is ``map_per_sigma`` times sigma, or
    in holes.

    ``scale`` is the result's size over the frame's. ``hole_spread`` is the standard deviation of the noise that fills
    holes, in units of the state. ``tables`` are the steps, by their number.
    """

    image: FullImageSpec
    mode: Restoring
    map_per_sigma: float
    tables: dict[str, StepTable]
    sigma_range: tuple[float, float] = (0.0, 0.0)
    sigma: float | None = None
    dead_zone: float = 0.0
    scale: int = 1
    hole_spread: float = 0.0
    light: LightSpec | None = None
    tiling: Tiling = field(default_factory=lambda: Tiling())

    kind: Literal["restore"] = "restore"

    @property
    def steps(self) -> tuple[int, ...]:
        """The numbers of steps that there are, least first."""
        return tuple(sorted(int(name) for name in self.tables))

    @property
    def takes_sigma(self) -> bool:
        return self.mode in ("denoise", "low-light", "deblur")

    @property
    def unit(self) -> str:
        """What sigma is counted in."""
        return "pixels" if self.mode == "deblur" else "grey levels"

    @property
    def takes_mask(self) -> bool:
        return self.mode == "inpaint"


TaskSpec = SegmentSpec | DetectSpec | RestoreSpec
"""The contracts of all tasks."""


IMAGE_STAGE = "image"
"""The stage that turns frames into the network's image, where a variant has it apart: ONNX Runtime computes it."""


@dataclass(frozen=True)
class Variant:
    """One way to run a bundle's network: a graph for each stage, made for one target at one precision.

    ``target`` is "cpu" or "gpu"; variants for targets that a reader does not know are never chosen. ``parameters`` tell
    variants of one target apart (the number of steps, say), ``tolerances`` are what golden frames are held to. The
    parameter ``engine`` names the only engine that the variant is for; without it any will do.
    """

    name: str
    target: str
    precision: str
    graphs: dict[str, str]
    weights: tuple[str, ...]
    opset: int
    tolerances: dict[str, float]
    parameters: dict[str, Scalar] = field(default_factory=dict[str, Scalar])
    engine_options: dict[str, dict[str, Scalar]] = field(default_factory=dict[str, dict[str, Scalar]])
    metrics: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def engine(self) -> str | None:
        """The only engine that this variant is for, None where any will do."""
        named = self.parameters.get("engine")
        return None if named is None else str(named)


@dataclass(frozen=True)
class StoredArray:
    """An array in a bundle: the member that holds its bytes (little-endian, row-major), its type and shape."""

    member: str
    dtype: Literal["uint8", "int32", "int64", "float32"]
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Golden:
    """What a task was given and what PyTorch gave for it, array by array; ``parameters`` are the call's scalars."""

    inputs: dict[str, StoredArray]
    results: dict[str, StoredArray]
    parameters: dict[str, Scalar]


def stages_of(variants: Iterable[Variant]) -> tuple[str, ...]:
    """The stages that variants have, each once, in the order of their first."""
    return tuple(dict.fromkeys(stage for variant in variants for stage in variant.graphs))


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
    golden: tuple[Golden, ...]
    members: dict[str, Member]
    provenance: dict[str, str]
    metrics: dict[str, float]
    latency_budget_ms: float | None = None
