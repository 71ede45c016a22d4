"""A fully convolutional baseline after Long, Shelhamer, Darrell: "Fully Convolutional Networks for Semantic
Segmentation", arXiv 1411.4038: scores at strides 8, 16 and 32, summed from coarse to fine (FCN-8s)."""

from __future__ import annotations

import itertools

from torch import Tensor, nn
from torch.nn import functional


class FCN(nn.Module):
    """Image (N, 3, H, W) to class logits (N, classes, ceil(H/8), ceil(W/8)); any H and W.

    ``width`` is the number of channels at stride 2; each of the five stages has at most eight times as many.
    """

    def __init__(self, classes: int = 11, width: int = 32) -> None:
        super().__init__()
        widths = [3, width, 2 * width, 4 * width, 8 * width, 8 * width]
        self.stages = nn.ModuleList([_stage(a, b) for a, b in itertools.pairwise(widths)])
        self.classifiers = nn.ModuleList([nn.Conv2d(channels, classes, 1) for channels in widths[3:]])

    def forward(self, image: Tensor) -> Tensor:
        features, scores = image, []
        for index, stage in enumerate(self.stages):
            features = stage(features)
            if index >= 2:
                scores.append(self.classifiers[index - 2](features))
        total = scores.pop()
        while scores:
            finer = scores.pop()
            total = finer + functional.interpolate(total, size=finer.shape[-2:], mode="bilinear", align_corners=False)
        return total


def _stage(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(True),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(True),
    )
