"""Muon for convolutions, AdamW for the rest."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

MOMENTUM = 0.95


class MuonAndAdamW:
    """An optimiser in two parts: PyTorch's Muon for convolutions of several channels, AdamW for what is left.

    Muon (Jordan, "Muon: An optimizer for hidden layers in neural networks", 2024) steps along the nearest orthogonal
    matrix of the momentum, so that all directions of a layer learn at one pace. PyTorch's takes matrices alone: a
    kernel is seen as one of (outputs, inputs x height x width), in the memory of the weights themselves. Steps are
    scaled to AdamW's, so that one learning rate serves both.
    """

    def __init__(self, network: nn.Module, learning_rate: float, weight_decay: float) -> None:
        self._kernels = [p for p in network.parameters() if p.ndim == 4]
        others = [p for p in network.parameters() if p.ndim != 4]
        self._matrices = [nn.Parameter(kernel.data.view(len(kernel), -1)) for kernel in self._kernels]
        self._muon = torch.optim.Muon(
            self._matrices,
            lr=learning_rate,
            weight_decay=weight_decay,
            momentum=MOMENTUM,
            adjust_lr_fn="match_rms_adamw",
        )
        self._adamw = torch.optim.AdamW(others, lr=learning_rate, weight_decay=0.0)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [*self._muon.param_groups, *self._adamw.param_groups]

    def zero_grad(self) -> None:
        for kernel in self._kernels:
            kernel.grad = None
        self._adamw.zero_grad()

    def step(self) -> None:
        for matrix, kernel in zip(self._matrices, self._kernels, strict=True):
            matrix.grad = None if kernel.grad is None else kernel.grad.reshape(matrix.shape)
        self._muon.step()
        self._adamw.step()

    def state_dict(self) -> dict[str, Any]:
        return {"muon": self._muon.state_dict(), "adamw": self._adamw.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._muon.load_state_dict(state["muon"])
        self._adamw.load_state_dict(state["adamw"])
