"""EDANet, a real-time segmentation network of 0.68 M parameters.

Lo, Hang, Chan, Lin: "Efficient Dense Modules of Asymmetric Convolution for Real-Time Semantic Segmentation",
arXiv 1809.06323 (66.4 mIoU on CamVid's test split, trained from scratch). Every convolution is followed by
batch normalisation and ReLU, which inference engines fuse into it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

GROWTH = 40
FIRST_DILATIONS = (1, 1, 1, 2, 2)
SECOND_DILATIONS = (2, 2, 4, 4, 8, 8, 16, 16)


class EDANet(nn.Module):
    """Image (N, 3, H, W) to class logits (N, classes, ceil(H/8), ceil(W/8)); any H and W.

    The factor 8 is left to the caller: training and inference upsample once, straight to the size they need.
    """

    def __init__(self, classes: int = 11, dropout: float = 0.02) -> None:
        super().__init__()
        first = _dense_block(60, FIRST_DILATIONS, dropout)
        second = _dense_block(130, SECOND_DILATIONS, dropout)
        self.encoder = nn.Sequential(
            Downsample(3, 15),
            Downsample(15, 60),
            *first,
            Downsample(60 + GROWTH * len(first), 130),
            *second,
        )
        self.classifier = nn.Conv2d(130 + GROWTH * len(second), classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.classifier(self.encoder(image))


class Downsample(nn.Module):
    """Half the size: a strided convolution, joined with max pooling where channels grow (section 3.2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.keeps_input = outputs > inputs
        filters = outputs - inputs if self.keeps_input else outputs
        self.convolution = nn.Conv2d(inputs, filters, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, features: Tensor) -> Tensor:
        halved = self.convolution(features)
        if self.keeps_input:
            halved = torch.cat([halved, functional.max_pool2d(features, 2, ceil_mode=True)], dim=1)
        return functional.relu(self.norm(halved))


class DenseModule(nn.Module):
    """The EDA module: a bottleneck, two factorised 3x3 convolutions (one dilated), joined to its input."""

    def __init__(self, inputs: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(inputs, GROWTH, 1, bias=False),
            *_norm_relu(),
            *_factorised(1),
            *_norm_relu(),
            *_factorised(dilation),
            *_norm_relu(),
            nn.Dropout(dropout),
        )

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat([features, self.path(features)], dim=1)


def _dense_block(inputs: int, dilations: tuple[int, ...], dropout: float) -> list[nn.Module]:
    return [DenseModule(inputs + GROWTH * i, dilation, dropout) for i, dilation in enumerate(dilations)]


def _factorised(dilation: int) -> list[nn.Module]:
    vertical = nn.Conv2d(GROWTH, GROWTH, (3, 1), padding=(dilation, 0), dilation=(dilation, 1), bias=False)
    horizontal = nn.Conv2d(GROWTH, GROWTH, (1, 3), padding=(0, dilation), dilation=(1, dilation), bias=False)
    return [vertical, horizontal]


def _norm_relu() -> list[nn.Module]:
    return [nn.BatchNorm2d(GROWTH), nn.ReLU(inplace=True)]
