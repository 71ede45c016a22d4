"""Training diffusion on tiny digits: it learns, and a stopped run resumes to the same weights."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from tests.unit.models.tiny_digits import write_digits
from torch import Tensor

from saccade.errors import CheckError, DatasetError, RequestError
from saccade_models.diffusion import PARAMETERISATIONS, forward_process
from saccade_models.pixel_unet import PixelUNet
from saccade_models.train.generation import Config, diffusion_loss, new_network, read_states, score, train

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 digits, 8 of them held out."""
    folder = tmp_path_factory.mktemp("digits")
    write_digits(folder, 80)
    return folder


def config_of(folder: Path) -> Config:
    return Config(
        data=str(folder), widths=(16, 16), blocks=1, epochs=2, batch=24, learning_rate=0.01, warmup_steps=2,
        averaging=0.5, score_every=1,
    )  # fmt: skip


def test_a_run_learns_logs_and_keeps_its_best_weights(folder: Path, tmp_path: Path) -> None:
    config = replace(config_of(folder), epochs=12, score_every=6)
    best = train(config, tmp_path / "run")
    rows = list(csv.DictReader((tmp_path / "run" / "log.csv").open()))
    assert [int(row["epoch"]) for row in rows] == list(range(1, 13))
    assert float(rows[-1]["loss"]) < 0.7 * float(rows[0]["loss"])
    scores = [float(row["val_explained"]) for row in rows if row["val_explained"]]
    assert len(scores) == 2
    assert best == pytest.approx(max(scores), abs=1e-5)
    assert 0.2 < best < 1
    assert json.loads((tmp_path / "run" / "config.json").read_text())["schedule"] == "linear"
    with safe_open(tmp_path / "run" / "best.safetensors", "pt") as weights:
        assert json.loads(weights.metadata()["metrics"])["val_explained"] == pytest.approx(best, abs=1e-5)
        assert str(folder.parent) not in weights.metadata()["config"]
        network = new_network(config)
        network.load_state_dict({name: weights.get_tensor(name) for name in weights.keys()})  # noqa: SIM118
    kept = score(network, forward_process("linear", "epsilon"), read_states(folder)[1])
    assert kept == pytest.approx(best, abs=1e-5)


def test_a_stopped_run_resumes_to_the_same_weights(folder: Path, tmp_path: Path) -> None:
    config = config_of(folder)
    best = train(config, tmp_path / "whole")
    train(config, tmp_path / "parts", time_limit_s=0.001)
    assert torch.load(tmp_path / "parts" / "last.pt", weights_only=True)["epoch"] == 1
    assert train(config, tmp_path / "parts", resume=True) == best
    train(replace(config, seed=1), tmp_path / "other")
    whole, parts, other = (
        torch.load(tmp_path / name / "last.pt", weights_only=True) for name in ("whole", "parts", "other")
    )
    for kind in ("network", "averaged"):
        assert all(torch.equal(whole[kind][key], parts[kind][key]) for key in whole[kind])
        assert not all(torch.equal(whole[kind][key], other[kind][key]) for key in whole[kind])


@pytest.mark.parametrize("parameterisation", PARAMETERISATIONS)
def test_a_network_that_says_all_scores_1_and_one_that_says_nothing_0(folder: Path, parameterisation: str) -> None:
    process, digits = forward_process("cosine", parameterisation), read_states(folder)[0]

    def says_all(state: Tensor, timesteps: Tensor) -> Tensor:
        """The digits are known, so the noise in a state is too."""
        assert torch.equal(timesteps, torch.arange(len(digits)) * 1000 // len(digits))
        signal, left = (table[timesteps][:, None, None, None] for table in (process.signal, process.noise))
        return process.target(digits, (state - signal * digits) / left, timesteps)

    assert score(says_all, process, digits) == pytest.approx(1, abs=1e-5)
    assert score(lambda state, _: torch.zeros_like(state), process, digits) == 0
    assert score(PixelUNet(widths=(8, 8), blocks=1), process, digits) == 0  # untrained


@pytest.mark.parametrize("parameterisation", PARAMETERISATIONS)
def test_the_loss_is_none_for_a_network_that_says_all(folder: Path, parameterisation: str) -> None:
    process, digits = forward_process("linear", parameterisation), read_states(folder)[0]
    seen: list[Tensor] = []

    def says_all(state: Tensor, timesteps: Tensor) -> Tensor:
        seen.append(timesteps)
        signal, left = (table[timesteps][:, None, None, None] for table in (process.signal, process.noise))
        return process.target(digits, (state - signal * digits) / left, timesteps)

    torch.manual_seed(0)
    assert diffusion_loss(says_all, process, digits).item() == pytest.approx(0, abs=1e-6)
    assert diffusion_loss(lambda state, times: says_all(state, times) + 0.5, process, digits).item() == pytest.approx(
        0.25, rel=1e-3
    )
    assert seen[0].unique().numel() > 0.9 * len(digits)  # each has a timestep of its own, and all are drawn from
    assert seen[0].min() < 50
    assert seen[0].max() > 950


def test_gradients_in_mixed_precision_point_where_those_in_full_do(folder: Path) -> None:
    process, digits = forward_process("linear", "epsilon"), read_states(folder)[0]
    torch.manual_seed(0)
    network = PixelUNet(widths=(16, 16), blocks=1)
    torch.nn.init.normal_(network.head[-1].weight, std=0.05)  # type: ignore[arg-type]  # it begins as zero

    def gradient(seed: int, bfloat16: bool) -> Tensor:
        torch.manual_seed(seed)
        network.zero_grad()
        diffusion_loss(network, process, digits, bfloat16).backward()
        return torch.cat([parameter.grad.flatten() for parameter in network.parameters() if parameter.grad is not None])

    full, mixed, other = (gradient(*arguments) for arguments in ((0, False), (0, True), (1, False)))
    along = torch.cosine_similarity(full, mixed, dim=0)
    assert not torch.equal(full, mixed)
    assert along > 0.99
    assert torch.cosine_similarity(full, other, dim=0) < along


def test_what_does_not_fit_is_refused(folder: Path, tmp_path: Path) -> None:
    config = config_of(folder)
    with pytest.raises(RequestError, match="schedule 'quadratic' of diffusion is not known"):
        train(replace(config, schedule="quadratic"), tmp_path / "run")
    with pytest.raises(DatasetError, match="must hold MNIST's files"):
        train(replace(config, data=str(tmp_path)), tmp_path / "run")
    write_digits(tmp_path / "one", 1)
    with pytest.raises(DatasetError, match="holds 1 digits, too few"):
        train(replace(config, data=str(tmp_path / "one")), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(CheckError, match="gradient norm is"):
        train(replace(config, learning_rate=1e30), tmp_path / "run")


def test_the_network_takes_any_multiple_of_4_and_knows_the_time() -> None:
    torch.manual_seed(0)
    network = PixelUNet(channels=3, widths=(8, 16), blocks=1)
    for parameter in network.parameters():  # the last layer begins as zero
        torch.nn.init.normal_(parameter, std=0.1)
    images = torch.randn(2, 3, 12, 20)
    early, late = (network(images, torch.full((2,), timestep)) for timestep in (0, 999))
    assert early.shape == images.shape
    assert (early - late).abs().max() > 1e-3
    assert 0.5e6 < sum(parameter.numel() for parameter in PixelUNet().parameters()) < 1e6
