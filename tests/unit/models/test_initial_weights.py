"""Where a detector starts: what fits is taken, the one-to-one head inherits, and strangers are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from saccade.errors import WeightsError
from saccade_models.train.initial_weights import load_init
from saccade_models.yolox import YOLOX

pytestmark = pytest.mark.torch


def network(seed: int, classes: int = 3, **arguments: object) -> YOLOX:
    torch.manual_seed(seed)
    return YOLOX(classes, **arguments)  # type: ignore[arg-type]


def saved(network: YOLOX, path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file(network.state_dict(), path)
    else:
        torch.save(
            {"start_epoch": 300, "model": network.state_dict()} if path.stem == "official" else network.state_dict(),
            path,
        )
    return path


def differing(network: YOLOX, weights: dict[str, Tensor]) -> list[str]:
    return [name for name, value in network.state_dict().items() if not value.equal(weights[name])]


@pytest.mark.parametrize("name", ["official.pth", "plain.pt", "own.safetensors"])
def test_weights_of_the_same_network_come_whole(tmp_path: Path, name: str) -> None:
    source, target = network(1, one_to_one=True), network(2, one_to_one=True)
    assert differing(target, source.state_dict())
    assert load_init(target, saved(source, tmp_path / name)) == []
    assert differing(target, source.state_dict()) == []


def test_predictions_of_other_classes_stay_fresh(tmp_path: Path) -> None:
    source, target = network(1, classes=80), network(2, classes=3)
    fresh = load_init(target, saved(source, tmp_path / "w.pth"))
    assert fresh == sorted(f"head.cls_preds.{level}.{part}" for level in range(3) for part in ("weight", "bias"))
    untouched = network(2, classes=3).state_dict()
    wanted = {name: (untouched if name in fresh else source.state_dict())[name] for name in untouched}
    assert differing(target, wanted) == []


def test_the_one_to_one_head_inherits_from_the_many(tmp_path: Path) -> None:
    source, target = network(1), network(2, one_to_one=True)
    assert load_init(target, saved(source, tmp_path / "w.pth")) == []
    weights = target.state_dict()
    twins = {name: name.replace("head.one.", "head.") for name in weights if name.startswith("head.one.")}
    assert all(weights[one].equal(weights[many]) for one, many in twins.items())
    assert all(weights[many].equal(source.state_dict()[many]) for many in twins.values())


def test_a_one_to_one_head_of_its_own_is_kept(tmp_path: Path) -> None:
    source, target = network(1, one_to_one=True), network(2, one_to_one=True)
    load_init(target, saved(source, tmp_path / "w.pth"))
    weights = target.state_dict()
    assert not weights["head.one.cls_preds.0.weight"].equal(weights["head.cls_preds.0.weight"])


def test_the_plain_head_takes_objectness_only_from_a_plain_head(tmp_path: Path) -> None:
    fresh = load_init(network(2), saved(network(1, one_to_one=True), tmp_path / "w.pth"))
    assert fresh == sorted(f"head.obj_preds.{level}.{part}" for level in range(3) for part in ("weight", "bias"))


def test_a_strangers_weights_change_nothing(tmp_path: Path) -> None:
    target = network(2)
    before = {name: value.clone() for name, value in target.state_dict().items()}
    save_file({"conv.weight": torch.zeros(3, 3)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=r"other\.safetensors holds no YOLOX-nano: .* tensors of the backbone"):
        load_init(target, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=r"tiny\.pth holds no YOLOX-nano"):
        load_init(target, saved(network(1, size="tiny"), tmp_path / "tiny.pth"))
    assert differing(target, before) == []


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".onnx"])
@pytest.mark.parametrize("content", [None, b"", b"garbage"], ids=["absent", "empty", "garbage"])
def test_files_that_cannot_be_read_are_named(tmp_path: Path, suffix: str, content: bytes | None) -> None:
    path = tmp_path / f"weights{suffix}"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match="weights"):
        load_init(network(2), path)


@pytest.mark.parametrize("content", [[1, 2], {"model": 3}, {"epoch": 3, "name": "x"}], ids=str)
def test_checkpoints_without_a_state_dict_are_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="holds no state dict"):
        load_init(network(2), tmp_path / "w.pth")


def test_nothing_in_a_checkpoint_is_run(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "harm",)  # type: ignore[return-value]

    torch.save({"model": Harm()}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="holds more than tensors"):
        load_init(network(2), tmp_path / "w.pth")
    assert not (tmp_path / "harm").exists()


@pytest.mark.data
def test_the_official_file_fills_all_but_the_class_predictions(data: Path) -> None:
    target = network(2, classes=1, one_to_one=True)
    fresh = load_init(target, data / "weights" / "yolox_nano_coco.onnx")
    heads = ("head.cls_preds", "head.one.cls_preds")
    assert fresh == sorted(
        f"{head}.{level}.{part}" for head in heads for level in range(3) for part in ("weight", "bias")
    )
    weights = target.state_dict()
    assert weights["head.one.reg_preds.1.weight"].equal(weights["head.reg_preds.1.weight"])
