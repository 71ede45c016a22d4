"""Files that ``torch.save`` wrote, read without running what they hold."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from saccade.errors import WeightsError


def read_torch_file(path: Path) -> Any:
    """Tensors, numbers, strings and containers of them, on the CPU. Raises ``WeightsError`` for anything else."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} holds more than tensors and plain values, which could run code when loaded, or is damaged; "
            "save the state dict alone: torch.save(network.state_dict(), path), or safetensors"
        ) from error
    except Exception as error:  # a file that is no checkpoint makes torch fail in ways of its own
        raise WeightsError(f"{path} cannot be read as a PyTorch file: {type(error).__name__}: {error}") from error
