"""A bridge from a degraded image y to the clean one x: x_t = (1 - t)·x + t·y, of velocity v = y - x.

InDI (Delbracio and Milanfar, arXiv 2303.11435), which is flow matching (arXiv 2210.02747) between paired images. A
network that sees x_t predicts v; x_t - t·v is then its estimate of x, and a step from t to s moves to x_t - (t - s)·v.
One step from t = 1 is a residual denoiser. Images are float32 (N, C, H, W), black -1, white 1.

The network does not see y beside x_t: x would be (x_t - t·y) / (1 - t), and there would be nothing to learn but that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Network = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(state (N, C, H, W), map (N, 1, H, W), time (N,)) to velocity (N, C, H, W), as ``BridgeUNet``."""


def state_at(clean: Tensor, degraded: Tensor, time: Tensor) -> Tensor:
    """x_t for a time of each image (N,)."""
    share = time[:, None, None, None]
    return (1 - share) * clean + share * degraded


def uniform_times(steps: int) -> tuple[float, ...]:
    """The times at which the network is asked: 1, …, 1/steps."""
    if steps < 1:
        raise ValueError(f"a bridge needs at least one step, but got {steps}")
    return tuple(1 - step / steps for step in range(steps))


def restore(network: Network, degraded: Tensor, map: Tensor, times: Sequence[float]) -> Tensor:  # noqa: A002
    """The estimate of the clean image after a step from each of ``times`` to the next, and from the last to 0."""
    state = degraded
    for time, following in zip(times, [*times[1:], 0.0], strict=True):
        velocity = network(state, map, torch.full((len(state),), time, device=state.device))
        state = state - (time - following) * velocity
    return state
