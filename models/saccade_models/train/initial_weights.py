"""Where a detector starts: from the weights of another YOLOX of its size, as far as they fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from saccade.errors import WeightsError
from saccade_models.torch_files import read_torch_file
from saccade_models.yolox import YOLOX

OFFICIAL_CLASSES = 80
ONE = "head.one."
MANY = "head."


def load_init(network: YOLOX, path: Path) -> list[str]:
    """Fill what fits of ``network`` from weights of a YOLOX of its size; returns the names of what stays fresh.

    ``path`` is an official ONNX file (see ``estimate_statistics`` for what must follow), an official PyTorch
    checkpoint, or safetensors. Class predictions for other classes stay fresh; a one-to-one head without weights of its
    own takes those of the one-to-many head. Raises ``WeightsError`` for a file that cannot be read or whose backbone
    does not fit; nothing is then changed.
    """
    own = network.state_dict()
    weights = _with_twin(read_weights(path, network.size), own)
    fitting = {name: value for name, value in weights.items() if name in own and own[name].shape == value.shape}
    fresh = sorted(set(own) - set(fitting))
    foreign = [name for name in fresh if not name.startswith(MANY)]
    if foreign:
        raise WeightsError(
            f"{path.name} holds no YOLOX-{network.size}: {len(foreign)} tensors of the backbone are missing or of "
            f"another shape, {foreign[0]} first; give weights of this size, or another --network"
        )
    network.load_state_dict(fitting, strict=False)
    return fresh


def is_folded(path: Path) -> bool:
    """Whether the norms of a network with these weights normalise nothing yet: exporters to ONNX fold them."""
    return path.suffix == ".onnx"


def read_weights(path: Path, size: str) -> dict[str, Tensor]:
    """The state dict in a file, whatever its format. Raises ``WeightsError``."""
    if path.suffix == ".onnx":
        official = YOLOX(OFFICIAL_CLASSES, size)
        official.load_onnx(path)
        return dict(official.state_dict())
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (OSError, SafetensorError) as error:
            raise WeightsError(f"{path} cannot be read as safetensors: {error}") from error
    content = read_torch_file(path)
    nested = content.get("model", content) if isinstance(content, Mapping) else content
    if not isinstance(nested, Mapping) or not all(isinstance(value, Tensor) for value in nested.values()):
        raise WeightsError(f"{path} holds no state dict: neither at the top nor under 'model', as official files do")
    return dict(nested)


def _with_twin(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights, and for a one-to-one head that they lack those of the one-to-many head."""
    lacking = [name for name in own if name.startswith(ONE) and name not in weights]
    twins = {name: MANY + name.removeprefix(ONE) for name in lacking}
    return {**weights, **{name: weights[twin] for name, twin in twins.items() if twin in weights}}
