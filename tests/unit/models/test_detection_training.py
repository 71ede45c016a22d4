"""Whole small training runs of a detector: it learns, it resumes, and it refuses what does not fit."""

from __future__ import annotations

import csv
import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tests.unit.models.rectangles import rectangles, with_wrong_labels

from saccade.datasets import BoxDataset
from saccade.errors import CheckError, DatasetError, RequestError
from saccade_models.onnx_weights import estimate_statistics
from saccade_models.train.detecting import as_input
from saccade_models.train.detection import Config, train
from saccade_models.yolox import SIZES, YOLOX

pytestmark = pytest.mark.torch


@pytest.fixture(autouse=True)
def tiny_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A YOLOX that trains in seconds."""
    monkeypatch.setitem(SIZES, "pico", (0.33, 0.125))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rectangles")


@pytest.fixture(scope="module")
def training(folder: Path) -> BoxDataset:
    return rectangles(folder, seed=1, count=32)


@pytest.fixture(scope="module")
def validation(folder: Path) -> BoxDataset:
    return rectangles(folder, seed=2, count=12)


def few(dataset: BoxDataset) -> BoxDataset:
    return dataset.first(8)


CONFIG = Config(
    data="rectangles", classes=("square",), size="pico", size_hw=(64, 64), view_hw=(64, 64), epochs=2, batch=4,
    learning_rate=5e-3, warmup_steps=5, averaging=0.9, scale=(0.8, 1.25), mosaic=0.0, score_every=2,
)  # fmt: skip


def init_for(one_to_one: bool, training: BoxDataset, folder: Path) -> str:
    """Random weights whose norms know the images: a short run has no time to measure them."""
    torch.manual_seed(0)
    network = YOLOX(1, "pico", one_to_one=one_to_one)
    images = torch.from_numpy(np.stack([image.read() for image in training.images]))
    estimate_statistics(network, [as_input(images)], network.raw)
    save_file(network.state_dict(), folder / "init.safetensors")
    return str(folder / "init.safetensors")


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "log.csv").open() as file:
        return list(csv.DictReader(file))


def longer(one_to_one: bool, training: BoxDataset, folder: Path) -> Config:
    init = init_for(one_to_one, training, folder)
    return replace(CONFIG, one_to_one=one_to_one, init=init, epochs=14, score_every=14)


@pytest.mark.slow
@pytest.mark.parametrize("one_to_one", [True, False], ids=["one-to-one", "yolox"])
def test_a_run_learns_logs_and_keeps_its_best_weights(
    training: BoxDataset, validation: BoxDataset, tmp_path: Path, one_to_one: bool
) -> None:
    config = longer(one_to_one, training, tmp_path)
    best = train(config, training, validation, tmp_path / "run")
    rows = rows_of(tmp_path / "run")
    assert [int(row["epoch"]) for row in rows] == list(range(1, 15))
    assert [row["epoch"] for row in rows if row["val_ap"]] == ["14"]
    assert float(rows[-1]["val_ap50"]) > 0.5
    assert float(rows[-1]["loss"]) < 0.5 * float(rows[0]["loss"])
    assert best == pytest.approx(float(rows[-1]["val_ap"]), abs=1e-4)
    with safe_open(tmp_path / "run" / "best.safetensors", "pt") as weights:
        assert json.loads(weights.metadata()["metrics"])["val_ap"] == pytest.approx(best, abs=1e-4)
        recorded = json.loads(weights.metadata()["config"])
    assert (recorded["init"], recorded["one_to_one"]) == ("init.safetensors", one_to_one)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["view_hw"] == [64, 64]


@pytest.mark.slow
def test_wrong_labels_teach_nothing(training: BoxDataset, validation: BoxDataset, tmp_path: Path) -> None:
    train(longer(True, training, tmp_path), with_wrong_labels(training), validation, tmp_path / "run")
    assert float(rows_of(tmp_path / "run")[-1]["val_ap50"]) < 0.3


@pytest.mark.parametrize("views", [{}, {"mosaic": 1.0, "mixup": 0.5, "calm": 0.5}], ids=["plain", "mosaic"])
def test_a_stopped_run_resumes_to_the_same_weights(
    training: BoxDataset, validation: BoxDataset, tmp_path: Path, views: dict[str, Any]
) -> None:
    config = replace(CONFIG, init=init_for(True, training, tmp_path), **views)
    train(config, few(training), few(validation), tmp_path / "whole")
    train(config, few(training), few(validation), tmp_path / "parts", time_limit_s=0.001)
    assert torch.load(tmp_path / "parts" / "last.pt", weights_only=True)["epoch"] == 1
    assert not (tmp_path / "parts" / "best.safetensors").exists()
    Path(config.init).unlink()  # resuming needs nothing but the run
    train(config, few(training), few(validation), tmp_path / "parts", resume=True)
    whole, parts = (torch.load(tmp_path / name / "last.pt", weights_only=True) for name in ("whole", "parts"))
    assert all(torch.equal(whole["network"][key], parts["network"][key]) for key in whole["network"])
    assert all(torch.equal(whole["averaged"][key], parts["averaged"][key]) for key in whole["averaged"])
    assert (tmp_path / "parts" / "best.safetensors").exists()


@pytest.mark.parametrize("changes", [{"seed": 1}, {"mosaic": 1.0}, {"learning_rate": 1e-3}], ids=str)
def test_settings_change_the_outcome(
    training: BoxDataset, validation: BoxDataset, tmp_path: Path, changes: dict[str, Any]
) -> None:
    weights = []
    for name, config in (("plain", CONFIG), ("changed", replace(CONFIG, **changes))):
        train(replace(config, epochs=1), few(training), few(validation), tmp_path / name)
        weights.append(torch.load(tmp_path / name / "last.pt", weights_only=True)["network"])
    stem = "backbone.backbone.stem.conv.conv.weight"
    assert not torch.equal(weights[0][stem], weights[1][stem])


def test_the_one_to_one_head_can_learn_alone(training: BoxDataset, validation: BoxDataset, tmp_path: Path) -> None:
    init = init_for(True, training, tmp_path)
    train(replace(CONFIG, init=init, only_one_to_one=True), few(training), few(validation), tmp_path / "run")
    before, last = load_file(init), torch.load(tmp_path / "run" / "last.pt", weights_only=True)
    averaged = {name.removeprefix("module."): value for name, value in last["averaged"].items()}
    for after in (last["network"], averaged):
        many = {name.replace("head.", "head.one.", 1): before[name] for name in before if "head.one." not in name}
        begun = {name: many[name] if "head.one." in name else value for name, value in before.items()}
        changed = {name for name, value in begun.items() if not torch.allclose(value, after[name], atol=1e-7)}
        assert changed
        assert all(name.startswith("head.one.cls_") for name in changed)  # boxes stay those of the many
    assert {name.rpartition(".")[2] for name in changed} == {"weight", "bias"}


def test_a_run_says_what_starts_fresh_and_warns_of_nothing(
    training: BoxDataset, validation: BoxDataset, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    save_file(YOLOX(80, "pico").state_dict(), tmp_path / "many.safetensors")
    config, said = replace(CONFIG, epochs=1, init=str(tmp_path / "many.safetensors")), list[str]()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(config, few(training), few(validation), tmp_path / "run", say=said.append)
    assert said == [
        "many.safetensors: 12 tensors start fresh: head.cls_preds.0.bias, head.cls_preds.0.weight, "
        "head.cls_preds.1.bias and 9 more"
    ]


def test_a_gradient_that_is_not_finite_stops_the_run(
    training: BoxDataset, validation: BoxDataset, tmp_path: Path
) -> None:
    with pytest.raises(CheckError, match="gradient norm is"):
        train(replace(CONFIG, learning_rate=1e30), few(training), few(validation), tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"size": "giant"}, "size 'giant' of YOLOX is not known; choose from nano, tiny, s"),
        ({"size_hw": (64, 80)}, "input 64x80 and the training view 64x64 must be multiples of 32"),
        ({"only_one_to_one": True}, "needs a network that has one, and --init"),
        ({"only_one_to_one": True, "one_to_one": False, "init": "w.pth"}, "needs a network that has one, and --init"),
        ({"view_hw": (0, 64)}, "input 64x64 and the training view 0x64 must be multiples of 32"),
    ],
)
def test_configs_that_do_not_fit_the_network_are_refused(
    training: BoxDataset, validation: BoxDataset, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(RequestError, match=said):
        train(replace(CONFIG, **changes), training, validation, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_datasets_that_do_not_fit_are_refused(training: BoxDataset, validation: BoxDataset, tmp_path: Path) -> None:
    def refused(training: BoxDataset, validation: BoxDataset, said: str) -> None:
        with pytest.raises(DatasetError, match=said):
            train(CONFIG, training, validation, tmp_path / "run")

    circles, empty = replace(validation, classes=("circle",)), replace(validation, images=())
    refused(training, circles, r"network's classes \(square\) in its order, but have square and circle")
    refused(training, empty, "the validation split has no labelled box in its 0 images")
    refused(empty, validation, "the training split has no labelled box")
    turned = replace(training.images[3], size_hw=(32, 64))
    Image.new("RGB", (64, 48)).save(tmp_path / "other.png")
    swapped = replace(validation.images[0], path=tmp_path / "other.png")
    refused(replace(training, images=(turned,)), validation, r"1-3\.png is 64x64 .* annotations are for 64x32")
    refused(training, replace(validation, images=(swapped,)), r"other\.png is 64x48 .* annotations are for 64x64")
    assert not (tmp_path / "run").exists()


def test_a_run_is_not_overwritten_nor_resumed_with_other_settings(
    training: BoxDataset, validation: BoxDataset, tmp_path: Path
) -> None:
    config = replace(CONFIG, epochs=1)
    train(config, few(training), few(validation), tmp_path / "run")
    with pytest.raises(RequestError, match="already holds a run"):
        train(config, few(training), few(validation), tmp_path / "run")
    with pytest.raises(RequestError, match="other settings of epochs, mosaic"):
        train(replace(config, epochs=2, mosaic=0.1), few(training), few(validation), tmp_path / "run", resume=True)
