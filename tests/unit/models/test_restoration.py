"""The bridge restorer: its network, its degradations, and a training that learns and goes on where it stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from saccade import scenes
from saccade.errors import DatasetError, RequestError
from saccade_models.bridge import restore, state_at, uniform_times
from saccade_models.bridge_unet import Block, BridgeUNet
from saccade_models.train import run_folder
from saccade_models.train.degradations import DEGRADATIONS, HOLE_SPREAD, blurred_by, noise
from saccade_models.train.muon import MuonAndAdamW
from saccade_models.train.restoration import Config, bridge_loss, train

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifty small scenes, the fewest that leave one for validation."""
    folder = tmp_path_factory.mktemp("images")
    for index in range(50):
        Image.fromarray(scenes.render(seed=index % 5, frame=index, size_hw=(64, 72)).image).save(
            folder / f"{index:02}.png"
        )
    return folder


def config(images: Path, **more: object) -> Config:
    usual = {"widths": (8, 8, 8), "blocks": (1, 1, 1), "crop": 32, "views_per_image": 1, "warmup_steps": 2}
    return Config(str(images), **{**usual, "epochs": 2, "score_every": 1, **more})  # type: ignore[arg-type]


class TestNetwork:
    def test_the_shipped_size_is_small_enough(self) -> None:
        assert sum(parameter.numel() for parameter in BridgeUNet().parameters()) <= 1_500_000

    def test_what_the_map_calls_exact_stays(self) -> None:
        network = BridgeUNet(widths=(8, 8, 8))
        torch.nn.init.normal_(network.head.weight)
        state, map_ = torch.randn(2, 3, 16, 24), torch.ones(2, 1, 16, 24)
        map_[..., :12] = 0
        velocity = network(state, map_, torch.tensor([1.0, 0.5]))
        assert velocity.shape == state.shape
        assert not velocity[..., :12].any()
        assert velocity[..., 12:].abs().min() > 0

    def test_time_matters(self) -> None:
        network = BridgeUNet(widths=(8, 8, 8))
        torch.nn.init.normal_(network.head.weight)
        state = torch.randn(1, 3, 16, 16)

        def apart() -> float:
            """How far outputs are apart when map times time, which the stem sees, stays the same."""
            found = [network(state, torch.full((1, 1, 16, 16), 0.5 / t), torch.tensor([t])) * t for t in (1.0, 0.5)]
            return float((found[0] - found[1]).abs().max() / found[0].abs().max())

        assert apart() > 1e-3
        for module in network.modules():
            if isinstance(module, Block):
                torch.nn.init.zeros_(module.time.weight)
                torch.nn.init.zeros_(module.time.bias)
        assert apart() < 1e-5


class TestBridge:
    @pytest.mark.parametrize("steps", [1, 2, 4])
    def test_the_true_velocity_leads_to_the_clean_image(self, steps: int) -> None:
        clean, degraded = torch.randn(2, 2, 3, 8, 8)

        def velocity(state: Tensor, map_: Tensor, time: Tensor) -> Tensor:
            assert torch.allclose(state, state_at(clean, degraded, time), atol=1e-5)
            return degraded - clean

        found = restore(velocity, degraded, torch.ones(2, 1, 8, 8), uniform_times(steps))
        assert torch.allclose(found, clean, atol=1e-5)

    def test_no_steps_are_refused(self) -> None:
        with pytest.raises(ValueError, match="at least one step"):
            uniform_times(0)


class TestDegradations:
    @pytest.mark.parametrize("mode", sorted(DEGRADATIONS))
    def test_images_and_maps_have_the_clean_ones_size(self, mode: str) -> None:
        torch.manual_seed(0)
        clean = torch.rand(4, 3, 32, 48) * 2 - 1
        degraded = DEGRADATIONS[mode](clean)
        assert degraded.image.shape == clean.shape
        assert degraded.map.shape == (4, 1, 32, 48)
        assert degraded.map.min() >= 0
        assert not torch.allclose(degraded.image, clean)

    def test_the_map_of_noise_is_its_deviation(self) -> None:
        torch.manual_seed(0)
        clean = torch.zeros(64, 3, 32, 32)
        degraded = noise(clean)
        ratio = (degraded.image - clean).std((1, 2, 3)) / degraded.map.square().mean((1, 2, 3)).sqrt()
        assert ratio.median() == pytest.approx(1, abs=0.02)
        assert ((ratio > 0.95) & (ratio < 1.05)).float().mean() > 0.6

    def test_holes_are_noise_and_the_rest_is_exact(self) -> None:
        torch.manual_seed(0)
        clean = torch.full((8, 3, 64, 64), 0.9)
        degraded = DEGRADATIONS["inpaint"](clean)
        is_hole = degraded.map.expand_as(clean) > 0
        assert (degraded.image[~is_hole] == 0.9).all()
        assert degraded.image[is_hole].std() == pytest.approx(HOLE_SPREAD, rel=0.05)

    def test_a_blur_is_scipys(self) -> None:
        cv2 = pytest.importorskip("cv2")
        image = np.random.default_rng(0).random((40, 50, 3)).astype(np.float32)
        wanted = cv2.GaussianBlur(image, (13, 13), 1.6, borderType=cv2.BORDER_REFLECT_101)
        found = blurred_by(torch.from_numpy(image).movedim(-1, 0)[None], 1.6)[0].movedim(0, -1).numpy()
        np.testing.assert_allclose(found, wanted, atol=2e-3)


class TestTraining:
    def test_the_loss_of_the_truth_is_zero(self) -> None:
        clean = torch.rand(4, 3, 16, 16)
        degraded = noise(clean)
        truth = degraded.image - clean
        for squared in (False, True):
            config = Config(data="", squared=squared)
            assert bridge_loss(lambda *_: truth, clean, degraded, config) == 0
            assert bridge_loss(lambda *_: truth * 0, clean, degraded, config) > 0.001

    def test_muon_turns_a_step_into_an_orthogonal_one(self) -> None:
        def spread(make: Callable[[torch.nn.Module], Any]) -> tuple[float, torch.nn.Conv2d, Any]:
            """The largest over the smallest singular value of a layer's first step."""
            torch.manual_seed(0)
            layer = torch.nn.Conv2d(4, 8, 3)
            before = layer.weight.detach().clone()
            optimizer = make(layer)
            layer(torch.randn(2, 4, 8, 8)).square().sum().backward()
            optimizer.step()
            scales = torch.linalg.svdvals((layer.weight.detach() - before).reshape(8, -1))
            return float(scales.max() / scales.min()), layer, optimizer

        found, layer, optimizer = spread(lambda layer: MuonAndAdamW(layer, 0.01, 0.0))
        plain, _, _ = spread(lambda layer: torch.optim.AdamW(layer.parameters(), lr=0.01, weight_decay=0.0))
        assert found < 2 < plain
        optimizer.zero_grad()
        assert layer.weight.grad is None
        assert layer.bias is not None
        assert layer.bias.grad is None

    def test_a_run_that_stops_goes_on_as_if_it_had_not(self, images: Path, tmp_path: Path) -> None:
        whole = train(config(images), tmp_path / "whole")
        train(config(images), tmp_path / "parts", time_limit_s=0)
        parts = train(config(images), tmp_path / "parts", resume=True)
        assert parts == whole
        found, expected = (torch.load(tmp_path / name / "last.pt", weights_only=False) for name in ("parts", "whole"))
        for part in ("network", "averaged"):
            assert all(torch.equal(value, expected[part][name]) for name, value in found[part].items()), part
        assert (tmp_path / "whole" / "best.safetensors").is_file()

    def test_an_image_that_no_crop_fits_into_is_named(self, images: Path, tmp_path: Path) -> None:
        folder = tmp_path / "mixed"
        folder.mkdir()
        for index, size in enumerate(((40, 12), (64, 64), (64, 64))):  # the first is scored on
            Image.new("RGB", size, (200, 90, 30)).save(folder / f"{index}.png")
        with pytest.raises(DatasetError, match=r"crops of 32 pixels were asked for, but .*0.png is 12x40; choose"):
            train(config(folder), tmp_path / "run")

    def test_images_without_texture_have_no_share_of_it(self, tmp_path: Path) -> None:
        folder = tmp_path / "flat"
        folder.mkdir()
        for index in range(2):
            Image.new("RGB", (48, 48), (200, 90, 30)).save(folder / f"{index}.png")
        train(config(folder, epochs=1), tmp_path / "run")
        assert set(run_folder.kept_metrics(tmp_path / "run")) == {"val_psnr"}

    def test_what_does_not_fit_is_refused(self, images: Path, tmp_path: Path) -> None:
        with pytest.raises(RequestError, match="choose from denoise"):
            train(config(images, mode="polish"), tmp_path / "a")
        with pytest.raises(RequestError, match="multiple of 16"):
            train(config(images, crop=40), tmp_path / "b")
        with pytest.raises(DatasetError, match="crops of 128 pixels"):
            train(config(images, crop=128), tmp_path / "c")
