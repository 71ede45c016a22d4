"""The classic U-Net: Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image
Segmentation", arXiv 1505.04597, with padded convolutions and batch normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

DOWNSAMPLINGS = 4


class UNet(nn.Module):
    """Image (N, 3, H, W) to class logits (N, classes, H, W).

    Four downsamplings (224 → 112 → 56 → 28 → 14) and skip connections by concatenation. ``width`` is the
    number of channels of the first stage; each stage doubles it. H and W are any size of at least 16:
    where a size is odd, the decoder's features are stretched to the skip connection's.
    """

    def __init__(self, classes: int = 11, width: int = 64) -> None:
        super().__init__()
        widths = [width * 2**stage for stage in range(DOWNSAMPLINGS + 1)]
        self.encoder = nn.ModuleList(
            [_double_convolution(before, after) for before, after in zip([3, *widths], widths, strict=False)]
        )
        self.upsamplings = nn.ModuleList(
            [nn.ConvTranspose2d(2 * width_out, width_out, 2, stride=2) for width_out in reversed(widths[:-1])]
        )
        self.decoder = nn.ModuleList(
            [_double_convolution(2 * width_out, width_out) for width_out in reversed(widths[:-1])]
        )
        self.classifier = nn.Conv2d(width, classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        features = image
        skips: list[Tensor] = []
        for stage in self.encoder:
            if skips:
                features = functional.max_pool2d(features, 2)
            features = stage(features)
            skips.append(features)
        skips.pop()
        for upsampling, stage in zip(self.upsamplings, self.decoder, strict=True):
            skip = skips.pop()
            features = _match_size(upsampling(features), skip)
            features = stage(torch.cat([skip, features], dim=1))
        return self.classifier(features)


def _double_convolution(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [nn.Conv2d(channels, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(True)]
    return nn.Sequential(*layers)


def _match_size(features: Tensor, like: Tensor) -> Tensor:
    if features.shape[-2:] == like.shape[-2:]:
        return features
    return functional.interpolate(features, size=like.shape[-2:], mode="bilinear", align_corners=False)
