"""The second stage of a restorer's training: what its terms tell apart, and that a run with them goes on exactly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from saccade import scenes
from saccade.errors import RequestError
from saccade_models.bridge_unet import BridgeUNet
from saccade_models.train.degradations import blurred_by
from saccade_models.train.restoration import Config, train
from saccade_models.train.second_stage import Features, Looks, Opponent

pytestmark = pytest.mark.torch


def street(count: int = 4, side: int = 64) -> Tensor:
    """Rendered scenes as states, (N, 3, side, side)."""
    images = [scenes.render(seed=index, frame=0, size_hw=(side, side)).image for index in range(count)]
    return torch.stack([torch.from_numpy(image.copy()).movedim(-1, 0).float() / 127.5 - 1 for image in images])


def test_features_see_a_blur_before_a_change_of_brightness() -> None:
    clean, features = street(), Features()
    blurred = blurred_by(clean, 1.0)
    shifted = clean + (blurred - clean).square().mean().sqrt()
    assert features.distance(clean, clean) == 0
    assert features.distance(blurred, clean) > 3 * features.distance(shifted, clean) > 0


def test_features_are_not_trained_but_images_are() -> None:
    clean, features = street(), Features()
    image = (clean + 0.1 * torch.randn_like(clean)).requires_grad_()
    before = {name: value.clone() for name, value in features.state_dict().items()}
    features.distance(image, clean).backward()
    assert image.grad is not None
    assert image.grad.abs().max() > 0
    assert not any(parameter.requires_grad for parameter in features.parameters())
    assert all(value.equal(before[name]) for name, value in features.state_dict().items())


def test_an_opponent_learns_to_tell_blurred_from_clean() -> None:
    torch.manual_seed(0)
    clean, opponent = street(8), Opponent()
    blurred = blurred_by(clean, 1.5)
    for _ in range(150):
        opponent.learn(blurred, clean)
    with torch.no_grad():
        assert opponent.judge(clean).mean() > opponent.judge(blurred).mean() + 0.5
        assert opponent.reproach(blurred) > opponent.reproach(clean)


def test_a_reproach_goes_to_the_image_alone() -> None:
    opponent, image = Opponent(), street().requires_grad_()
    opponent.reproach(image).backward()
    assert image.grad is not None
    assert image.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in opponent.judge.parameters())
    assert all(parameter.requires_grad for parameter in opponent.judge.parameters())


def test_learning_gives_the_restorer_no_gradient() -> None:
    image = street().requires_grad_()
    Opponent().learn(image, street())
    assert image.grad is None


def test_terms_are_weighted() -> None:
    clean = street()
    image = blurred_by(clean, 1.0)
    once, twice = (Looks.of(weight, 0.0).loss(image, clean) for weight in (1.0, 2.0))
    assert twice == pytest.approx(2 * float(once))
    assert Looks.of(0.0, 1.0).opponent is not None
    assert Looks.of(1.0, 0.0).opponent is None


class TestRuns:
    @pytest.fixture(scope="class")
    def images(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("images")
        for index in range(8):
            image = scenes.render(seed=index % 5, frame=index, size_hw=(64, 72)).image
            Image.fromarray(image).save(folder / f"{index:02}.png")
        return folder

    @pytest.fixture(scope="class")
    def config(self, images: Path) -> Config:
        """A second stage of two epochs, on random weights of a first."""
        torch.manual_seed(3)
        network = BridgeUNet(widths=(8, 8, 8), blocks=(1, 1, 1))
        torch.nn.init.normal_(network.head.weight, std=0.02)
        init = images / "first.safetensors"
        save_file(network.state_dict(), init)
        return Config(
            str(images), init=str(init), widths=(8, 8, 8), blocks=(1, 1, 1), crop=32, views_per_image=4, epochs=2,
            warmup_steps=2, score_every=1, perceptual=1.0, adversarial=0.1,
        )  # fmt: skip

    def test_a_run_that_stops_goes_on_as_if_it_had_not(self, config: Config, tmp_path: Path) -> None:
        whole = train(config, tmp_path / "whole")
        train(config, tmp_path / "parts", time_limit_s=0)
        parts = train(config, tmp_path / "parts", resume=True)
        assert parts == whole
        found, expected = (torch.load(tmp_path / name / "last.pt", weights_only=False) for name in ("parts", "whole"))
        judges = found["beside"]["opponent"]["judge"], expected["beside"]["opponent"]["judge"]
        for mine, true in ((found["network"], expected["network"]), judges):
            assert all(torch.equal(value, true[name]) for name, value in mine.items())

    def test_the_nearest_in_features_are_kept(self, config: Config, tmp_path: Path) -> None:
        best = train(config, tmp_path / "run")
        with safe_open(tmp_path / "run" / "best.safetensors", "pt") as file:
            metrics = json.loads(file.metadata()["metrics"])
        assert set(metrics) == {"val_psnr", "val_high_band", "val_features"}
        assert metrics["val_psnr"] == best
        rows = (tmp_path / "run" / "log.csv").read_text().splitlines()
        assert rows[0] == "epoch,loss,val_psnr,val_high_band,val_features,seconds"
        logged = [float(row.split(",")[4]) for row in rows[1:]]
        assert metrics["val_features"] == pytest.approx(min(logged), rel=1e-3)

    def test_the_terms_change_what_is_learned(self, config: Config, tmp_path: Path) -> None:
        train(config, tmp_path / "both")
        for name, other in (
            ("first stage", replace(config, perceptual=0.0, adversarial=0.0)),
            ("features alone", replace(config, adversarial=0.0)),
            ("judge alone", replace(config, perceptual=0.0)),
        ):
            train(other, tmp_path / name)
            found, both = (load_file(tmp_path / run / "best.safetensors") for run in (name, "both"))
            assert any(not torch.equal(value, both[key]) for key, value in found.items())

    def test_it_needs_the_weights_of_a_first_stage(self, config: Config, tmp_path: Path) -> None:
        with pytest.raises(RequestError, match="no weights of a first; give them as --init"):
            train(replace(config, init=""), tmp_path / "run")
        assert not (tmp_path / "run").exists()
