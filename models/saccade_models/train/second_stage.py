"""The second stage of a restorer's training: what looks right, beside what is near to the pixels.

A network with the least error smooths what it cannot know. Two terms beside the error of pixels make up for that, at
the price of some error: the distance of features, and a judge of patches that learns to tell restored images from
clean ones while the restorer learns to be taken for clean.

Sources: perceptual loss, Johnson, Alahi, Fei-Fei 2016 (arXiv 1603.08155), its features normalised as in LPIPS, Zhang
et al. 2018 (arXiv 1801.03924); the judge, PatchGAN, Isola et al. 2017 (arXiv 1611.07004), with spectral normalisation
(arXiv 1802.05957) and the hinge loss (arXiv 1705.02894).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from saccade.errors import WeightsError
from saccade_models.edanet import EDANet
from saccade_models.train.segmentation import MEAN, STD

FEATURES = Path(__file__).parents[1] / "weights" / "edanet-camvid.safetensors"
DEPTHS = (1, 2, 5)
"""After the first halving, the second, and the first dense modules, none of them dilated."""

JUDGE_RATE, JUDGE_BETAS = 2e-4, (0.5, 0.99)
_LEAST_LENGTH = 1e-6


class Features(nn.Module):
    """What the first layers of the shipped segmenter see in images; it is not trained. Raises ``WeightsError``."""

    def __init__(self) -> None:
        super().__init__()
        network = EDANet()
        if not FEATURES.exists():
            raise WeightsError(
                f"a second stage needs the shipped segmenter's weights as {FEATURES}; they are in the repository and "
                "not in its wheels: train in a checkout, installed with pip install -e"
            )
        network.load_state_dict(load_file(FEATURES))
        layers = list(network.encoder)
        self.parts = nn.ModuleList(nn.Sequential(*layers[low:high]) for low, high in pairwise((0, *DEPTHS)))
        self.eval().requires_grad_(False)

    def forward(self, state: Tensor) -> list[Tensor]:
        """Features of a state (N, 3, H, W) in -1..1 at each of ``DEPTHS``, of length 1 at every place."""
        mean, std = (torch.tensor(values, device=state.device)[:, None, None] for values in (MEAN, STD))
        seen = ((state + 1) / 2 - mean) / std
        found: list[Tensor] = []
        for part in self.parts:
            seen = part(seen)
            found.append(seen / seen.norm(dim=1, keepdim=True).clamp(min=_LEAST_LENGTH))
        return found

    def distance(self, image: Tensor, clean: Tensor) -> Tensor:
        """The squared distance of features, 0 to 4, the mean over places and depths."""
        pairs = zip(self(image), self(clean), strict=True)
        return torch.stack([(mine - true).square().sum(dim=1).mean() for mine, true in pairs]).mean()


class Judge(nn.Module):
    """States (N, 3, H, W) to how clean each of their patches looks, (N, 1, H/8, W/8); 0.16 M parameters."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        widths = (3, width, 2 * width, 3 * width)
        halvings = (
            layer
            for inputs, outputs in pairwise(widths)
            for layer in (spectral_norm(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)), nn.LeakyReLU(0.2))
        )
        self.layers = nn.Sequential(*halvings, spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1)))

    def forward(self, state: Tensor) -> Tensor:
        return self.layers(state)


class Opponent:
    """A judge and how it learns. ``state_dict`` and ``load_state_dict`` hold all of it."""

    def __init__(self, device: str = "cpu") -> None:
        self.judge = Judge().to(device)
        self.optimizer = torch.optim.Adam(self.judge.parameters(), lr=JUDGE_RATE, betas=JUDGE_BETAS)

    def learn(self, restored: Tensor, clean: Tensor) -> None:
        """One step towards telling them apart."""
        self.optimizer.zero_grad(set_to_none=True)
        true, false = self.judge(clean), self.judge(restored.detach())
        (functional.relu(1 - true).mean() + functional.relu(1 + false).mean()).backward()
        self.optimizer.step()

    def reproach(self, restored: Tensor) -> Tensor:
        """The loss of a restorer: how little its images look clean. No gradient goes to the judge's weights."""
        self.judge.requires_grad_(False)
        try:
            return -self.judge(restored).mean()
        finally:
            self.judge.requires_grad_(True)

    def state_dict(self) -> dict[str, Any]:
        return {"judge": self.judge.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, content: dict[str, Any]) -> None:
        self.judge.load_state_dict(content["judge"])
        self.optimizer.load_state_dict(content["optimizer"])


@dataclass(frozen=True)
class Looks:
    """The terms of a second stage, by their weights in the loss; ``opponent`` is None without an adversarial one."""

    perceptual: float
    adversarial: float
    features: Features
    opponent: Opponent | None

    @classmethod
    def of(cls, perceptual: float, adversarial: float, device: str = "cpu") -> Looks:
        return cls(perceptual, adversarial, Features().to(device), Opponent(device) if adversarial > 0 else None)

    def loss(self, restored: Tensor, clean: Tensor) -> Tensor:
        """What to add to the error of restored states; the opponent first learns from them."""
        total = (
            self.perceptual * self.features.distance(restored, clean) if self.perceptual > 0 else restored.new_zeros(())
        )
        if self.opponent is None:
            return total
        self.opponent.learn(restored, clean)
        return total + self.adversarial * self.opponent.reproach(restored)
