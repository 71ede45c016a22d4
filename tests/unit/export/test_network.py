"""The user's network and weights, in the shapes that users bring them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.tiny import TinyNet, seeded
from torch import nn

from saccade.errors import RequestError, WeightsError
from saccade_export.network import build_network, load_weights

pytestmark = pytest.mark.torch


def equal(first: nn.Module, second: nn.Module) -> bool:
    return all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


WRAPPINGS: dict[str, Any] = {
    "plain": lambda state: state,
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "model": lambda state: {"model": state, "optimizer": {"lr": 0.1}},
    "nested twice": lambda state: {"model": {"state_dict": state}},
    "DataParallel": lambda state: {f"module.{key}": value for key, value in state.items()},
    "compiled": lambda state: {f"_orig_mod.{key}": value for key, value in state.items()},
    "both": lambda state: {"state_dict": {f"module._orig_mod.{key}": value for key, value in state.items()}},
}


@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=WRAPPINGS.keys())
def test_checkpoints_of_usual_shapes_are_loaded(wrap: Any, tmp_path: Path) -> None:
    source, target = seeded(TinyNet, 1), seeded(TinyNet, 2)
    torch.save(wrap(source.state_dict()), tmp_path / "w.pth")
    assert not equal(source, target)
    load_weights(target, tmp_path / "w.pth")
    assert equal(source, target)


def test_safetensors_are_loaded(tmp_path: Path) -> None:
    source, target = seeded(TinyNet, 1), seeded(TinyNet, 2)
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    load_weights(target, tmp_path / "w.safetensors")
    assert equal(source, target)


def test_keys_that_do_not_fit_are_listed_a_few_of_each(tmp_path: Path) -> None:
    state = {f"other.{index}": torch.zeros(1) for index in range(9)}
    torch.save(state, tmp_path / "w.pth")
    target = seeded(TinyNet, 2)
    before = {key: value.clone() for key, value in target.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_weights(target, tmp_path / "w.pth")
    message = str(caught.value)
    assert "11 keys missing (body.0.bias, " in message
    assert "and 6 more" in message
    assert "9 unexpected (other.0, " in message
    assert all(torch.equal(before[key], value) for key, value in target.state_dict().items())


def test_shapes_that_do_not_fit_are_listed(tmp_path: Path) -> None:
    torch.save(seeded(TinyNet, 1, classes=5).state_dict(), tmp_path / "w.pth")
    with pytest.raises(
        WeightsError, match=r"2 tensors of other shapes: head\.weight: network \(3, 32, 1, 1\), file \(5,"
    ):
        load_weights(seeded(TinyNet, 2), tmp_path / "w.pth")


def test_pickles_that_could_run_code_are_refused(tmp_path: Path) -> None:
    torch.save({"model": seeded(TinyNet, 1)}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="save the state dict alone"):
        load_weights(seeded(TinyNet, 2), tmp_path / "w.pth")


@pytest.mark.parametrize("data", [b"", b"garbage" * 100, b"PK\x03\x04broken"])
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_files_that_are_no_weights_are_refused(data: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(WeightsError):
        load_weights(seeded(TinyNet), tmp_path / name)


def test_missing_and_empty_checkpoints_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be read"):
        load_weights(seeded(TinyNet), tmp_path / "absent.pth")
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    with pytest.raises(WeightsError, match="no state dict"):
        load_weights(seeded(TinyNet), tmp_path / "empty.pth")


INSTANCE = nn.Conv2d(3, 2, 1)


@pytest.mark.parametrize(
    ("reference", "arguments", "reason"),
    [
        ("tests.tiny", {}, "package.module:callable"),
        ("no.such.package:build", {}, "cannot be imported"),
        ("tests.tiny:Absent", {}, "has no 'Absent'"),
        ("tests.tiny:SIZE_HW", {}, "torch.nn.Module or a callable"),
        ("tests.tiny:TinyNet", {"depth": 3}, "cannot be called with"),
        ("tests.tiny:tiny_spec", {}, "made SegmentSpec"),
    ],
)
def test_references_that_name_no_network_are_refused(reference: str, arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(RequestError, match=reason):
        build_network(reference, arguments)


def test_arguments_reach_the_network() -> None:
    assert build_network("tests.tiny:TinyNet", {"classes": 7}).head.out_channels == 7
