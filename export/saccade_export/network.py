"""Find the user's network and put the user's weights into it."""

from __future__ import annotations

import importlib
import json
import math
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from saccade.errors import RequestError, WeightsError

SIZES = ("widths", "blocks", "width")
"""Settings of training that are arguments of networks here."""

NESTED_KEYS = ("state_dict", "model_state_dict", "model", "network", "ema")
"""Where training scripts put the state dict inside a checkpoint, in the order of looking."""

PREFIXES = ("module.", "_orig_mod.", "model.")
"""What DataParallel, torch.compile and Lightning put before every key; dropped where every key has it."""

SHOWN_KEYS = 5


def build_network(reference: str, arguments: Mapping[str, Any]) -> nn.Module:
    """The network that ``reference`` ("package.module:name") names: a module, or a callable that makes one.

    The current folder is importable, as with ``python -m``. Raises ``RequestError`` that says what is missing.
    """
    module_name, colon, attribute = reference.partition(":")
    if not colon or not module_name or not attribute:
        raise RequestError(f"a network is named as package.module:callable, but got {reference!r}")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise RequestError(f"module {module_name!r} cannot be imported: {error}") from error
    if not hasattr(module, attribute):
        raise RequestError(f"module {module_name!r} has no {attribute!r}")
    return _made(getattr(module, attribute), reference, arguments)


def load_weights(network: nn.Module, path: Path) -> None:
    """Fill ``network`` with the state dict at ``path``: safetensors, or a pickle that holds only tensors.

    An ONNX file is taken by networks that know how, by a method ``load_onnx(path)``. Raises ``WeightsError`` when the
    file cannot be read, or its keys or shapes do not fit; nothing is then changed.
    """
    if path.suffix == ".onnx":
        if not hasattr(network, "load_onnx"):
            raise WeightsError(
                f"{type(network).__name__} cannot take weights from {path.name}; export the file itself instead: "
                f"saccade export {path.name} …"
            )
        network.load_onnx(path)  # type: ignore[operator]
        return
    weights = without_prefix(read_state_dict(path), network)
    wanted = network.state_dict()
    missing = sorted(set(wanted) - set(weights))
    unexpected = sorted(set(weights) - set(wanted))
    if missing or unexpected:
        raise WeightsError(
            f"{path.name} does not fit the network: {len(missing)} keys missing ({_few(missing)}), "
            f"{len(unexpected)} unexpected ({_few(unexpected)}); check the network and its arguments{_made_with(path)}"
        )
    misfits = [
        f"{key}: network {tuple(wanted[key].shape)}, file {tuple(weights[key].shape)}"
        for key in wanted
        if wanted[key].shape != weights[key].shape
    ]
    if misfits:
        raise WeightsError(
            f"{path.name} has {len(misfits)} tensors of other shapes: {_few(misfits, '; ')}; check the network's "
            f"arguments{_made_with(path)}"
        )
    network.load_state_dict(weights)


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The state dict in a file, out of the nesting that training scripts add. Raises ``WeightsError``."""
    try:
        content = load_file(path) if path.suffix == ".safetensors" else _read_pickle(path)
    except (OSError, SafetensorError, RuntimeError, EOFError) as error:
        raise WeightsError(f"{path} cannot be read as weights: {error}") from error
    while isinstance(content, Mapping):
        nested = next((key for key in NESTED_KEYS if isinstance(content.get(key), Mapping)), None)
        if nested is None:
            break
        content = content[nested]
    tensors = (
        {key: value for key, value in content.items() if isinstance(value, Tensor)}
        if isinstance(content, Mapping)
        else {}
    )
    if not tensors:
        raise WeightsError(
            f"{path.name} holds no state dict: no tensors at the top, nor under {', '.join(NESTED_KEYS)}"
        )
    return tensors


def _made_with(path: Path) -> str:
    """What the weights say that their network was made with, where it may be an argument of it."""
    config = recorded_config(path)
    arguments = [f"--arg {name}={json.dumps(config[name], separators=(',', ':'))}" for name in SIZES if name in config]
    return f": it was trained with {' '.join(arguments)}" if arguments else ""


def recorded_config(path: Path) -> dict[str, Any]:
    """The settings that training left in a safetensors file, as JSON under the metadata key ``config``; or none."""
    try:
        found = json.loads(_metadata(path).get("config", "{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _metadata(path: Path) -> dict[str, str]:
    if path.suffix != ".safetensors":
        return {}
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}
    except (OSError, SafetensorError):
        return {}  # reading the weights says why


def recorded_metrics(path: Path) -> dict[str, float]:
    """Scores that training left in a safetensors file: numbers by name, as JSON under the metadata key ``metrics``."""
    text = _metadata(path).get("metrics", "{}")
    try:
        found = json.loads(text)
        numbers = {str(name): float(value) for name, value in found.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path.name} has metadata 'metrics' that is no JSON object of numbers") from error
    if wrong := [name for name, value in numbers.items() if not math.isfinite(value)]:
        raise WeightsError(
            f"{path.name} has metadata 'metrics' of which {wrong[0]!r} is {numbers[wrong[0]]}, no number"
        )
    return numbers


def without_prefix(weights: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """The weights without a prefix that wrapping added to every key, unless the network's own keys have it."""
    own = set(network.state_dict())
    stripped = True
    while stripped and not own & set(weights):
        stripped = False
        for prefix in PREFIXES:
            if all(key.startswith(prefix) for key in weights):
                weights = {key.removeprefix(prefix): value for key, value in weights.items()}
                stripped = True
    return weights


def _made(found: Any, reference: str, arguments: Mapping[str, Any]) -> nn.Module:
    if isinstance(found, nn.Module):
        if arguments:
            raise RequestError(f"{reference} is a network already; arguments {', '.join(arguments)} cannot be passed")
        return found
    if not callable(found):
        raise RequestError(
            f"{reference} must be a torch.nn.Module or a callable that makes one, but is {type(found).__name__}"
        )
    try:
        network = found(**arguments)
    except Exception as error:  # a constructor may raise anything
        raise RequestError(f"{reference} cannot be called with {dict(arguments)}: {error}") from error
    if not isinstance(network, nn.Module):
        raise RequestError(f"{reference} must make a torch.nn.Module, but made {type(network).__name__}")
    return network


def _read_pickle(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path.name} holds more than tensors, which could run code when loaded; "
            "save the state dict alone: torch.save(network.state_dict(), path), or safetensors"
        ) from error
    except Exception as error:  # a file that is no checkpoint makes torch fail in ways of its own
        raise WeightsError(f"{path} cannot be read as weights: {type(error).__name__}: {error}") from error


def _few(keys: list[str], separator: str = ", ") -> str:
    more = f"{separator}and {len(keys) - SHOWN_KEYS} more" if len(keys) > SHOWN_KEYS else ""
    return separator.join(keys[:SHOWN_KEYS]) + more if keys else "none"
