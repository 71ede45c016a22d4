"""The decoupled heads of YOLOX, plain and with a one-to-one twin, and the geometry of their cells.

Boxes are predicted for the cells of three grids (strides 8, 16, 32): centre offset from the cell's corner and log size,
both in units of the stride (arXiv 2107.08430, section 2). The one-to-one twin follows YOLOv10 (arXiv 2405.14458,
section 3.1): same shape, other matching, and its gradient stops at the features, which learn from the many alone. Of
neighbouring cells of a level only the highest speaks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDES = (8, 16, 32)
PRIOR = 0.01
"""Probability that a fresh head gives everywhere, so that the first steps are not lost on the background."""

NEIGHBOURS = 7
"""Cells across, of which the one-to-one head lets one speak for a class."""

SILENT = -30.0
"""The logit of a cell that is no peak: a probability of 1e-13."""

MakeConvolution = Callable[[int, int], nn.Module]


@dataclass(frozen=True)
class RawOutput:
    """What a head gives for A cells: ``offsets`` (N, A, 4), logits ``classes`` (N, A, C), ``objectness`` (N, A, 1)."""

    offsets: Tensor
    classes: Tensor
    objectness: Tensor | None

    def probabilities(self) -> Tensor:
        """Side by side, (N, A, 4 + C) or with objectness (N, A, 5 + C): offsets as they are, the rest in 0..1."""
        logits = [self.classes] if self.objectness is None else [self.objectness, self.classes]
        return torch.cat([self.offsets, *(part.sigmoid() for part in logits)], dim=-1)


class Branches(nn.Module):
    """Class and box branches over three levels, without the stems before them."""

    def __init__(self, classes: int, hidden: int, conv: MakeConvolution, objectness: bool) -> None:
        super().__init__()
        self.cls_convs = nn.ModuleList(nn.Sequential(conv(hidden, hidden), conv(hidden, hidden)) for _ in STRIDES)
        self.reg_convs = nn.ModuleList(nn.Sequential(conv(hidden, hidden), conv(hidden, hidden)) for _ in STRIDES)
        self.cls_preds = nn.ModuleList(nn.Conv2d(hidden, classes, 1) for _ in STRIDES)
        self.reg_preds = nn.ModuleList(nn.Conv2d(hidden, 4, 1) for _ in STRIDES)
        self.obj_preds = nn.ModuleList(nn.Conv2d(hidden, 1, 1) for _ in STRIDES) if objectness else None
        for prediction in (*self.cls_preds, *(self.obj_preds or ())):
            nn.init.constant_(cast(Tensor, prediction.bias), -math.log((1 - PRIOR) / PRIOR))

    def level(self, level: int, feature: Tensor, *, only_peaks: bool = False) -> RawOutput:
        """One level's features (N, hidden, h, w) to its h·w cells, computed in the order of official files."""
        classes = self.cls_preds[level](self.cls_convs[level](feature))
        classes = peaks(classes) if only_peaks else classes
        boxes = self.reg_convs[level](feature)
        offsets = self.reg_preds[level](boxes)
        objectness = None if self.obj_preds is None else _cells(self.obj_preds[level](boxes))
        return RawOutput(_cells(offsets), _cells(classes), objectness)


class Head(Branches):
    """YOLOX's own head. Its boxes overlap, so suppression must follow."""

    def __init__(
        self,
        classes: int,
        channels: Sequence[int],
        hidden: int,
        stem: MakeConvolution,
        conv: MakeConvolution,
        objectness: bool = True,
    ) -> None:
        super().__init__(classes, hidden, conv, objectness)
        self.stems = nn.ModuleList(stem(inputs, hidden) for inputs in channels)

    def forward(self, features: Sequence[Tensor]) -> RawOutput:
        return _joined([self.level(i, self.stems[i](feature)) for i, feature in enumerate(features)])


class DualHead(Head):
    """One-to-many branches, and a one-to-one twin whose boxes need no suppression. Neither has objectness."""

    def __init__(
        self, classes: int, channels: Sequence[int], hidden: int, stem: MakeConvolution, conv: MakeConvolution
    ) -> None:
        super().__init__(classes, channels, hidden, stem, conv, objectness=False)
        self.one = Branches(classes, hidden, conv, objectness=False)

    def one_to_one(self, features: Sequence[Tensor]) -> RawOutput:
        """The twin alone, which is all that a shipped network runs; only peaks speak."""
        stemmed = [self.stems[i](feature) for i, feature in enumerate(features)]
        return _joined([self.one.level(i, feature, only_peaks=True) for i, feature in enumerate(stemmed)])

    def both(self, features: Sequence[Tensor], *, only_peaks: bool = False) -> tuple[RawOutput, RawOutput]:
        """The many and the one, for training: no gradient passes from the one to the stems.

        ``only_peaks`` gives the one as it is in use; without it every cell learns.
        """
        stemmed = [self.stems[i](feature) for i, feature in enumerate(features)]
        many = _joined([self.level(i, feature) for i, feature in enumerate(stemmed)])
        one = [self.one.level(i, feature.detach(), only_peaks=only_peaks) for i, feature in enumerate(stemmed)]
        return many, _joined(one)


def peaks(logits: Tensor) -> Tensor:
    """Logits (N, C, h, w) where they are the highest of the ``NEIGHBOURS`` cells around, ``SILENT`` elsewhere.

    One class beside another counts for itself. After the max filter of DeFCN (arXiv 2012.03544, section 3.3).
    """
    highest = functional.max_pool2d(logits, NEIGHBOURS, stride=1, padding=NEIGHBOURS // 2)
    return torch.where(logits < highest, logits.new_full((), SILENT), logits)


@dataclass(frozen=True)
class Cells:
    """The A cells of an input of one size: ``corner`` (A, 2), x and y in pixels, and ``stride`` (A, 1)."""

    corner: Tensor
    stride: Tensor

    @classmethod
    def of(cls, size_hw: tuple[int, int], device: torch.device | str = "cpu") -> Cells:
        """Row by row, stride 8 first."""
        corners, strides = [], []
        for stride in STRIDES:
            rows, columns = (torch.arange(length // stride, device=device) * stride for length in size_hw)
            y, x = torch.meshgrid(rows, columns, indexing="ij")
            corners.append(torch.stack((x, y), dim=-1).reshape(-1, 2).float())
            strides.append(torch.full((len(corners[-1]), 1), float(stride), device=device))
        return cls(torch.cat(corners), torch.cat(strides))

    @property
    def centre(self) -> Tensor:
        """(A, 2) in pixels."""
        return self.corner + self.stride / 2

    def decode(self, offsets: Tensor) -> Tensor:
        """Offsets (..., A, 4) to boxes xyxy in pixels of the input."""
        centre = offsets[..., :2] * self.stride + self.corner
        half = offsets[..., 2:].exp() * self.stride / 2
        return torch.cat((centre - half, centre + half), dim=-1)


def _cells(level: Tensor) -> Tensor:
    """(N, C, h, w) to (N, h·w, C)."""
    return level.flatten(2).transpose(1, 2)


def _joined(levels: Sequence[RawOutput]) -> RawOutput:
    objectness = [level.objectness for level in levels if level.objectness is not None]
    return RawOutput(
        torch.cat([level.offsets for level in levels], dim=1),
        torch.cat([level.classes for level in levels], dim=1),
        torch.cat(objectness, dim=1) if objectness else None,
    )
