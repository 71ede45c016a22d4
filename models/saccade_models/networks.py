"""The networks that `saccade train` knows by name."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from saccade_models.edanet import EDANet
from saccade_models.fcn import FCN
from saccade_models.unet import UNet

SEGMENTATION: dict[str, Callable[..., nn.Module]] = {"edanet": EDANet, "unet": UNet, "fcn": FCN}
