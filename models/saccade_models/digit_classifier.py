"""A small classifier of digits, to judge what a generator of digits makes."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from saccade_models.mnist import CLASSES
from saccade_models.train import run_folder

EPOCHS = 15
LEARNING_RATE = 3e-3
BATCH = 128

LARGEST_TURN = math.radians(10)
LARGEST_SHIFT = 2 / 14
"""Two pixels, where half the image is 1."""

LARGEST_GROWTH = 0.1


class DigitClassifier(nn.Sequential):
    """Digits (N, 1, 28, 28), black -1 and white 1, to logits (N, 10)."""

    def __init__(self) -> None:
        super().__init__(
            *_stage(1, 16),
            nn.MaxPool2d(2),
            *_stage(16, 32),
            *_stage(32, 32),
            nn.MaxPool2d(2),
            *_stage(32, 64),
            *_stage(64, 64),
            nn.Flatten(),
            nn.Linear(64 * 7 * 7, CLASSES),
        )


def train_classifier(digits: Tensor, labels: Tensor, *, epochs: int = EPOCHS, seed: int = 0) -> DigitClassifier:
    """A classifier of ``digits`` (N, 1, 28, 28), augmented anew every time it is seen."""
    torch.manual_seed(seed)
    network = DigitClassifier().train()
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.01)
    count = max(1, len(digits) // BATCH)
    for epoch in tqdm(range(epochs), desc="classifier"):
        for number, chosen in enumerate(torch.randperm(len(digits)).chunk(count)):
            run_folder.set_learning_rate(optimizer, LEARNING_RATE, epoch * count + number, epochs * count, warmup=20)
            loss = functional.cross_entropy(network(augmented(digits[chosen])), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.eval()


@torch.inference_mode()
def probabilities(classifier: nn.Module, digits: Tensor) -> Tensor:
    """Of each digit (N, 1, 28, 28) how likely it is each of the ten, (N, 10)."""
    return torch.cat([classifier(part).softmax(dim=1) for part in digits.split(500)])


def accuracy(classifier: nn.Module, digits: Tensor, labels: Tensor) -> float:
    """The share of digits (N, 1, 28, 28) whose labels (N,) it predicts."""
    return (probabilities(classifier, digits).argmax(dim=1) == labels).float().mean().item()


def augmented(digits: Tensor) -> Tensor:
    """Digits (N, 1, 28, 28) turned, shifted and scaled by at most 10 degrees, two pixels and a tenth, on black."""
    turn, across, down, growth = 2 * torch.rand(4, len(digits)) - 1
    scale = 1 + LARGEST_GROWTH * growth
    cosine, sine = scale * (LARGEST_TURN * turn).cos(), scale * (LARGEST_TURN * turn).sin()
    rows = [cosine, -sine, LARGEST_SHIFT * across, sine, cosine, LARGEST_SHIFT * down]
    grid = functional.affine_grid(torch.stack(rows, dim=1).view(-1, 2, 3), list(digits.shape), align_corners=False)
    return functional.grid_sample(digits + 1, grid, align_corners=False) - 1  # zeros come in where the image ends


def _stage(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
