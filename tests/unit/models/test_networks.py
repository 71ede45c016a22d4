"""Shapes, sizes and gradients of the networks."""

from __future__ import annotations

import pytest
import torch

from saccade_models.edanet import EDANet
from saccade_models.networks import SEGMENTATION
from saccade_models.unet import UNet

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("name", SEGMENTATION)
@pytest.mark.parametrize("size", [(64, 96), (67, 93), (33, 32)])
def test_any_size_gives_scores_for_each_class(name: str, size: tuple[int, int]) -> None:
    arguments = {} if name == "edanet" else {"width": 4}
    network = SEGMENTATION[name](5, **arguments).eval()
    with torch.inference_mode():
        scores = network(torch.rand(2, 3, *size))
    stride = 1 if name == "unet" else 8
    assert scores.shape == (2, 5, *(-(-length // stride) for length in size))


@pytest.mark.parametrize("name", SEGMENTATION)
def test_every_parameter_learns(name: str) -> None:
    arguments = {} if name == "edanet" else {"width": 4}
    network = SEGMENTATION[name](3, **arguments)
    torch.manual_seed(0)
    network(torch.rand(2, 3, 64, 64)).square().sum().backward()
    still = [key for key, parameter in network.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert not still


def test_the_real_time_network_has_the_papers_size() -> None:
    parameters = sum(parameter.numel() for parameter in EDANet(19).parameters())
    assert parameters < 1_500_000
    assert parameters == pytest.approx(680_000, rel=0.02)  # table 1 of the paper: 0.68 M


def test_the_u_net_halves_four_times() -> None:
    sizes: list[int] = []
    network = UNet(2, width=4).eval()
    for stage in network.encoder:
        stage.register_forward_hook(lambda _, __, output: sizes.append(output.shape[-1]))
    with torch.inference_mode():
        network(torch.rand(1, 3, 224, 224))
    assert sizes == [224, 112, 56, 28, 14]
