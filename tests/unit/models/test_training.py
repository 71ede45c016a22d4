"""Losses, views, data folders, and a whole small training run that is stopped and resumed."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from saccade import scenes
from saccade.datasets import SegmentationFolder
from saccade.errors import CheckError, DatasetError, RequestError
from saccade_models.train.augment import IGNORED, Augmentation, random_view
from saccade_models.train.losses import class_weights, cross_entropy, lovasz_softmax
from saccade_models.train.segmentation import Config, normalise, train

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve rendered scenes to train on, three to score."""
    root = tmp_path_factory.mktemp("scenes")
    for split, seeds in (("train", range(12)), ("val", range(12, 15))):
        (root / split / "images").mkdir(parents=True)
        (root / split / "labels").mkdir()
        for seed in seeds:
            scene = scenes.render(seed, 0, (96, 128))
            Image.fromarray(scene.image).save(root / split / "images" / f"{seed:02}.png")
            Image.fromarray(scene.class_map).save(root / split / "labels" / f"{seed:02}.png")
    return root


def config_of(folder: Path) -> Config:
    return Config(
        data=str(folder), network="fcn", network_arguments=(("width", 4),), epochs=4, batch=4, crop_hw=(64, 96),
        warmup_steps=2, averaging=0.5, score_every=2,
    )  # fmt: skip


def test_a_run_learns_logs_and_keeps_its_best_weights(folder: Path, tmp_path: Path) -> None:
    config = replace(config_of(folder), epochs=10, learning_rate=0.01)
    best = train(config, tmp_path / "run")
    rows = list(csv.DictReader((tmp_path / "run" / "log.csv").open()))
    assert [int(row["epoch"]) for row in rows] == list(range(1, 11))
    assert float(rows[-1]["loss"]) < 0.9 * float(rows[0]["loss"])
    assert json.loads((tmp_path / "run" / "config.json").read_text())["seed"] == 0
    with safe_open(tmp_path / "run" / "best.safetensors", "pt") as weights:
        assert json.loads(weights.metadata()["metrics"])["val_miou"] == pytest.approx(best, abs=1e-4)
        assert str(folder.parent) not in weights.metadata()["config"]


def test_a_stopped_run_resumes_to_the_same_weights(folder: Path, tmp_path: Path) -> None:
    # EDANet drops features at random, so this holds the random numbers too.
    config = replace(config_of(folder), network="edanet", network_arguments=())
    train(config, tmp_path / "whole")
    train(config, tmp_path / "parts", time_limit_s=0.001)
    assert torch.load(tmp_path / "parts" / "last.pt", weights_only=True)["epoch"] == 1
    train(config, tmp_path / "parts", resume=True)
    whole, parts = (torch.load(tmp_path / name / "last.pt", weights_only=True) for name in ("whole", "parts"))
    assert all(torch.equal(whole["network"][key], parts["network"][key]) for key in whole["network"])
    assert all(torch.equal(whole["averaged"][key], parts["averaged"][key]) for key in whole["averaged"])


def test_a_run_is_not_overwritten_nor_resumed_with_other_settings(folder: Path, tmp_path: Path) -> None:
    config = replace(config_of(folder), epochs=1)
    train(config, tmp_path / "run")
    with pytest.raises(RequestError, match="already holds a run"):
        train(config, tmp_path / "run")
    with pytest.raises(RequestError, match="other settings of epochs, seed"):
        train(replace(config, epochs=2, seed=1), tmp_path / "run", resume=True)
    with pytest.raises(RequestError, match="nothing to resume"):
        train(config, tmp_path / "other", resume=True)


def test_a_gradient_that_is_not_finite_stops_the_run(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckError, match="gradient norm is"):
        train(replace(config_of(folder), learning_rate=1e30), tmp_path / "run")


def test_views_are_seeded_and_mark_what_lies_outside() -> None:
    scene = scenes.render(1, 0, (96, 128))
    small = Augmentation((64, 96), scale=(0.3, 0.4))
    first = random_view(scene.image, scene.class_map, small, np.random.default_rng(3))
    again = random_view(scene.image, scene.class_map, small, np.random.default_rng(3))
    other = random_view(scene.image, scene.class_map, small, np.random.default_rng(4))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    image, labels = first
    assert image.shape == (64, 96, 3)
    assert (labels == IGNORED).any()
    assert len(np.unique(image[labels == IGNORED], axis=0)) == 1
    assert set(np.unique(labels)) <= {*range(11), IGNORED}


def test_an_image_and_its_labels_move_together() -> None:
    labels = np.zeros((80, 100), np.uint8)
    labels[30:50, 20:70] = 1
    image = np.repeat((labels * 255)[..., None], 3, axis=2)
    view, view_labels = random_view(image, labels, Augmentation((64, 64), light=0.0), np.random.default_rng(0))
    agrees = (view[..., 0] > 127) == (view_labels == 1)
    assert agrees[view_labels != IGNORED].mean() > 0.97


def test_class_weights_favour_rare_classes() -> None:
    weights = class_weights(np.array([0.6, 0.39, 0.01]))
    assert weights[2] > weights[1] > weights[0]
    assert weights.mean() == pytest.approx(1.0)


def test_lovasz_is_the_jaccard_loss_at_certain_predictions() -> None:
    labels = torch.tensor([[[0, 0, 0, 1], [1, 1, 2, 2]]])
    predicted = torch.tensor([[[0, 0, 1, 1], [1, 2, 2, 2]]])
    logits = torch.nn.functional.one_hot(predicted, 3).movedim(-1, 1) * 100.0
    iou = torch.tensor([2 / 3, 2 / 4, 2 / 3])
    assert lovasz_softmax(logits, labels).item() == pytest.approx((1 - iou).mean().item(), abs=1e-5)
    assert lovasz_softmax(torch.zeros(1, 3, 2, 4), torch.full((1, 2, 4), IGNORED)).item() == 0.0


def test_ignored_pixels_are_in_no_loss() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(1, 3, 8, 8), torch.randint(0, 3, (1, 8, 8))
    labels[:, :4] = IGNORED
    changed = logits.clone()
    changed[..., :4, :] += torch.randn(1, 3, 4, 8)
    assert torch.equal(cross_entropy(logits, labels, torch.ones(3)), cross_entropy(changed, labels, torch.ones(3)))
    assert torch.equal(lovasz_softmax(logits, labels), lovasz_softmax(changed, labels))


def test_images_are_normalised_channel_by_channel() -> None:
    image = torch.tensor([[[[124, 116, 104]]]], dtype=torch.uint8)
    assert normalise(image, Config(data="")).flatten().abs().max() < 0.02


def break_split(folder: Path, root: Path) -> Path:
    import shutil

    return Path(shutil.copytree(folder, root / "broken"))


def test_data_folders_with_faults_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="must hold the folders"):
        SegmentationFolder(tmp_path, "train")
    root = break_split(folder, tmp_path)
    (root / "val" / "labels" / "12.png").unlink()
    with pytest.raises(DatasetError, match=r"12\.png has no class map"):
        SegmentationFolder(root, "val")
    Image.new("L", (5, 5)).save(root / "val" / "labels" / "12.png")
    with pytest.raises(DatasetError, match=r"is \(5, 5\), but its image is \(96, 128\)"):
        SegmentationFolder(root, "val")
    Image.new("RGB", (128, 96)).save(root / "val" / "labels" / "12.png")
    with pytest.raises(DatasetError, match="grey or palette PNG"):
        SegmentationFolder(root, "val")
    (root / "val" / "images" / "12.png").write_bytes(b"no image")
    with pytest.raises(DatasetError, match="cannot be read as an image"):
        SegmentationFolder(root, "val")
