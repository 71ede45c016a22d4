"""A small U-Net for diffusion over small images: the time of the process goes in beside the noisy state.

Residual blocks with group norms, time as a bias of each and attention where the image is coarsest, after DDPM (arXiv
2006.11239, appendix B); pixel-unshuffle in place of a first stage, as in FFDNet (arXiv 1710.04026), because a stage at
full size would cost most of the time.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

MULTIPLE = 4
"""Height and width of the input must be multiples of this: two by the stem, two by the downsampling."""

_GROUPS = 8
_SINUSOIDS = 64
_EMBEDDING = 128


class PixelUNet(nn.Module):
    """(state (N, C, H, W), timesteps (N,) from 0 on) to an output (N, C, H, W); H and W are multiples of 4.

    What the output says, noise, image or velocity, is for ``saccade_models.diffusion`` to decide. It begins as zero.
    ``widths`` are the channels at half and at quarter size, multiples of 8; ``blocks`` how many residual blocks the
    encoder and the decoder have. As it is, 0.94 M parameters and 0.135 GFLOP for an image of 28x28.
    """

    def __init__(self, channels: int = 1, widths: tuple[int, int] = (48, 128), blocks: int = 2) -> None:
        super().__init__()
        fine, coarse = widths
        self.embedding = nn.Sequential(
            nn.Linear(_SINUSOIDS, _EMBEDDING), nn.SiLU(), nn.Linear(_EMBEDDING, _EMBEDDING), nn.SiLU()
        )
        self.stem = nn.Conv2d(4 * channels, fine, 3, padding=1)
        self.encoder = nn.ModuleList([Block(fine) for _ in range(blocks)])
        self.downsampling = nn.Conv2d(fine, coarse, 2, stride=2)
        self.before, self.attention, self.after = Block(coarse), Attention(coarse), Block(coarse)
        self.upsampling = nn.Conv2d(coarse, fine, 1)
        self.decoder = nn.ModuleList([Block(fine) for _ in range(blocks)])
        self.head = nn.Sequential(nn.GroupNorm(_GROUPS, fine), nn.SiLU(), nn.Conv2d(fine, 4 * channels, 3, padding=1))
        nn.init.zeros_(self.head[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.head[-1].bias)  # type: ignore[arg-type]

    def forward(self, state: Tensor, timesteps: Tensor) -> Tensor:
        embedding = self.embedding(_sinusoids(timesteps))
        features = self.stem(functional.pixel_unshuffle(state, 2))
        for block in self.encoder:
            features = block(features, embedding)
        coarse = self.before(self.downsampling(features), embedding)
        coarse = self.after(self.attention(coarse), embedding)
        features = features + functional.interpolate(self.upsampling(coarse), scale_factor=2, mode="nearest")
        for block in self.decoder:
            features = block(features, embedding)
        return functional.pixel_shuffle(self.head(features), 2)


class Block(nn.Module):
    """A residual block: features (N, width, H, W) and the time's embedding (N, 128) to features.

    Two convolutions, each after a norm and SiLU; time shifts the first one's result.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first_norm, self.second_norm = nn.GroupNorm(_GROUPS, width), nn.GroupNorm(_GROUPS, width)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.time = nn.Linear(_EMBEDDING, width)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:
        inner = self.first(functional.silu(self.first_norm(features)))
        inner = inner + self.time(embedding)[:, :, None, None]
        return features + self.second(functional.silu(self.second_norm(inner)))


class Attention(nn.Module):
    """Self-attention over all positions of (N, width, H, W), in one head, added to what came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(_GROUPS, width)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)

    def forward(self, features: Tensor) -> Tensor:
        positions = self.norm(features).flatten(2).transpose(1, 2)
        queries, keys, values = self.queries_keys_values(positions).chunk(3, dim=-1)
        found = self.projection(functional.scaled_dot_product_attention(queries, keys, values))
        return features + found.transpose(1, 2).reshape(features.shape)


def _sinusoids(timesteps: Tensor) -> Tensor:
    """Sines and cosines of wavelengths from 2π to 20,000π steps, in float32: (N,) to (N, 64).

    Half precision would round timesteps near 1000 to halves.
    """
    half = _SINUSOIDS // 2
    frequencies = torch.exp(-math.log(10_000) / half * torch.arange(half, device=timesteps.device))
    angles = timesteps.float()[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)
