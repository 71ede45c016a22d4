"""A small U-Net that gives the velocity of a bridge from a degraded image to a clean one.

Pixel-unshuffle stem after FFDNet (arXiv 1710.04026), residual blocks without normalisation and skip connections by
addition after DRUNet (arXiv 2008.13751), time as a bias of each block after DDPM (arXiv 2006.11239). Nothing here
looks further than convolutions do: a tile and the whole image give the same, and int8 finds no statistics to miss.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

MULTIPLE = 8
"""Height and width of the input must be multiples of this: two by the stem, four by the two downsamplings."""

_EMBEDDING = 32
_RANGE = 3.0
"""What the map is multiplied by: noise seldom exceeds three standard deviations."""


class BridgeUNet(nn.Module):
    """(state (N, C, H, W), map (N, 1, H, W), time (N,)) to velocity (N, C, H, W); H and W are multiples of 8.

    ``state`` is x_t of ``saccade_models.bridge``, black -1 and white 1. ``map`` says how far each pixel of the degraded
    image may be off, in units of the state: the standard deviation of its noise, or 1 in holes and 0 beside them.
    ``time`` is 1 at the degraded image and falls to 0; ``time * map`` is what is left in the state.

    The network's own output is multiplied by the map: what the map calls exact is never changed, and one range of the
    output serves all noise levels.
    """

    def __init__(
        self,
        channels: int = 3,
        widths: tuple[int, int, int] = (64, 96, 96),
        blocks: tuple[int, int, int] = (2, 2, 2),
    ) -> None:
        super().__init__()
        coarse, depth = list(pairwise(widths)), list(zip(widths, blocks, strict=True))
        self.embedding = nn.Sequential(nn.Linear(_EMBEDDING, _EMBEDDING), nn.ReLU(), nn.Linear(_EMBEDDING, _EMBEDDING))
        self.stem = nn.Conv2d(4 * (channels + 1), widths[0], 3, padding=1)
        self.encoder = nn.ModuleList([_stage(width, count) for width, count in depth[:-1]])
        self.downsamplings = nn.ModuleList([nn.Conv2d(fine, wide, 2, stride=2) for fine, wide in coarse])
        self.bottom = _stage(*depth[-1])
        self.upsamplings = nn.ModuleList([nn.Conv2d(wide, fine, 1) for fine, wide in coarse])
        self.decoder = nn.ModuleList([_stage(width, count) for width, count in depth[:-1]])
        self.head = nn.Conv2d(widths[0], 4 * channels, 3, padding=1)
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)

    def forward(self, state: Tensor, map: Tensor, time: Tensor) -> Tensor:  # noqa: A002 - the input's name
        embedding = self.embedding(_sinusoids(time))
        left = map * time[:, None, None, None]
        first = self.stem(functional.pixel_unshuffle(torch.cat([state, left], dim=1), 2))
        features, skips = first, []
        for stage, downsampling in zip(self.encoder, self.downsamplings, strict=True):
            features = _through(stage, features, embedding)
            skips.append(features)
            features = downsampling(features)
        features = _through(self.bottom, features, embedding)
        levels = zip(self.decoder, self.upsamplings, skips, strict=True)
        for stage, upsampling, skip in reversed(list(levels)):
            features = skip + functional.interpolate(upsampling(features), scale_factor=2, mode="nearest")
            features = _through(stage, features, embedding)
        output = functional.pixel_shuffle(self.head(features + first), 2)
        return output * (_RANGE * map)


class Block(nn.Module):
    """Two convolutions around a rectifier, added to what came in; time shifts the first one's result."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.time = nn.Linear(_EMBEDDING, width)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:
        shift = self.time(embedding)[:, :, None, None]
        return features + self.second(functional.relu(self.first(features) + shift))


def _stage(width: int, count: int) -> nn.ModuleList:
    return nn.ModuleList([Block(width) for _ in range(count)])


def _through(stage: nn.Module, features: Tensor, embedding: Tensor) -> Tensor:
    for block in stage:  # type: ignore[attr-defined]
        features = block(features, embedding)
    return features


def _sinusoids(time: Tensor) -> Tensor:
    """Sines and cosines of ``time`` in 0..1 at octaves from a quarter wave on: (N,) to (N, 32)."""
    octaves = 0.5 * math.pi * 1.5 ** torch.arange(_EMBEDDING // 2, device=time.device)
    angles = time[:, None] * octaves
    return torch.cat([angles.sin(), angles.cos()], dim=1)
