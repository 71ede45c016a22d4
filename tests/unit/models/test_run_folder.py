"""Run folders: what resuming takes from them, and what it refuses."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from saccade.errors import CheckError, RequestError, WeightsError
from saccade_models.train import run_folder

pytestmark = pytest.mark.torch


@dataclass(frozen=True)
class Config:
    data: str
    size_hw: tuple[int, int] = (64, 96)


@dataclass(frozen=True)
class YoungerConfig(Config):
    mixup: float = 0.0


@dataclass(frozen=True)
class Schedule:
    epochs: int = 2
    learning_rate: float = 0.1
    warmup_steps: int = 1


def fresh_state() -> run_folder.State:
    return run_folder.new_state(nn.Linear(2, 1), 0.1, 0.0, averaging=0.5)


def save_run(out: Path, config: Config) -> run_folder.State:
    """A run of one step."""
    state = fresh_state()
    run_folder.open_run(out, state, config, resume=False)
    run_folder.step(state, state.network(torch.ones(1, 2)).sum(), clip=1.0)
    state.epoch, state.best = 3, 0.5
    run_folder.save(state, config, out / "last.pt")
    return state


def test_a_run_comes_back_whole(tmp_path: Path) -> None:
    saved, resumed = save_run(tmp_path, Config("a")), fresh_state()
    run_folder.open_run(tmp_path, resumed, Config("a"), resume=True)
    assert (resumed.epoch, resumed.best) == (3, 0.5)
    for mine, theirs in ((saved.network, resumed.network), (saved.averaged, resumed.averaged)):
        assert all(value.equal(theirs.state_dict()[name]) for name, value in mine.state_dict().items())
    assert str(saved.optimizer.state_dict()) == str(resumed.optimizer.state_dict())


def test_a_setting_younger_than_the_run_had_its_default(tmp_path: Path) -> None:
    save_run(tmp_path, Config("a"))
    run_folder.open_run(tmp_path, fresh_state(), YoungerConfig("a"), resume=True)
    with pytest.raises(RequestError, match="other settings of mixup; resume with the same"):
        run_folder.open_run(tmp_path, fresh_state(), YoungerConfig("a", mixup=0.5), resume=True)


def test_other_settings_are_named(tmp_path: Path) -> None:
    save_run(tmp_path, Config("a"))
    with pytest.raises(RequestError, match="other settings of data, size_hw"):
        run_folder.open_run(tmp_path, fresh_state(), Config("b", (64, 64)), resume=True)


def test_the_first_runs_called_their_best_score_by_its_name(tmp_path: Path) -> None:
    save_run(tmp_path, Config("a"))
    content = torch.load(tmp_path / "last.pt", weights_only=True)
    content["best_miou"] = content.pop("best")
    torch.save(content, tmp_path / "last.pt")
    state = fresh_state()
    run_folder.open_run(tmp_path, state, Config("a"), resume=True)
    assert state.best == 0.5


def test_a_folder_is_checked_before_the_work(tmp_path: Path) -> None:
    run_folder.check_folder(tmp_path, resume=False)
    with pytest.raises(RequestError, match="nothing to resume"):
        run_folder.check_folder(tmp_path, resume=True)
    save_run(tmp_path, Config("a"))
    run_folder.check_folder(tmp_path, resume=True)
    with pytest.raises(RequestError, match="already holds a run; pass --resume"):
        run_folder.check_folder(tmp_path, resume=False)


@pytest.mark.parametrize("content", [b"", b"no checkpoint"], ids=["empty", "garbage"])
def test_a_damaged_run_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(WeightsError, match=r"last\.pt"):
        run_folder.open_run(tmp_path, fresh_state(), Config("a"), resume=True)


def test_the_learning_rate_warms_up_and_falls_to_zero() -> None:
    optimizer = fresh_state().optimizer
    rates = []
    for step in range(101):
        run_folder.set_learning_rate(optimizer, 1.0, step, 100, warmup=10)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[0] == pytest.approx(0.1)
    assert rates[:9] == sorted(rates[:9])
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[50] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0.0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_changes_nothing(bad: float) -> None:
    state = fresh_state()
    before = {name: value.clone() for name, value in state.network.state_dict().items()}
    with pytest.raises(CheckError, match=r"gradient norm is (nan|inf) in epoch 1"):
        run_folder.step(state, state.network(torch.full((1, 2), bad)).sum(), clip=1.0)
    assert all(value.equal(before[name]) for name, value in state.network.state_dict().items())


def test_convolutions_decay_and_norms_do_not() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    decayed, plain = run_folder.new_state(network, 0.1, 0.02, 0.5).optimizer.param_groups
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.02, 0.0)
    assert [parameter.ndim for parameter in decayed["params"]] == [4]
    assert [parameter.ndim for parameter in plain["params"]] == [1, 1, 1]


def test_the_better_of_weights_and_average_is_kept_with_what_it_scored(tmp_path: Path) -> None:
    config, state = Config("data/train"), fresh_state()

    def keep(weights: float, average: float) -> float:
        values = {id(state.network): weights, id(state.averaged.module): average}
        return run_folder.keep_best(
            state, config, tmp_path, lambda network: values[id(network)], value=float, metrics=lambda v: {"iou": v}
        )

    best = tmp_path / "best.safetensors"
    assert keep(0.0, 0.0) == 0.0
    assert not best.exists()
    with torch.no_grad():
        state.averaged.module.weight += 1.0
    assert keep(0.2, 0.3) == 0.3
    kept = load_file(best)
    assert kept["weight"].equal(state.averaged.module.state_dict()["weight"])
    assert not kept["weight"].equal(state.network.state_dict()["weight"])
    assert keep(0.25, 0.1) == 0.25
    assert load_file(best)["weight"].equal(kept["weight"])  # 0.3 stays
    with safe_open(best, "pt") as file:
        assert json.loads(file.metadata()["metrics"]) == {"iou": 0.3}
        assert json.loads(file.metadata()["config"])["data"] == "train"
    (tmp_path / "plain").touch()
    assert best.stat().st_mode == (tmp_path / "plain").stat().st_mode  # others may read it


def test_a_log_keeps_the_columns_that_it_began_with(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    run_folder.log({"epoch": 1, "loss": 2.5}, ("epoch", "loss"), path)
    run_folder.log({"epoch": 2, "loss": 2.0, "val_iou": 0.1}, ("epoch", "val_iou", "loss"), path)
    assert path.read_text().split() == ["epoch,loss", "1,2.5", "2,2.0"]


def test_an_epoch_goes_through_its_batches(tmp_path: Path) -> None:
    config, state = Schedule(), fresh_state()
    seen: list[float] = []

    def loss_of(batch: torch.Tensor) -> torch.Tensor:
        seen.append(float(batch.sum()))
        return state.network(batch).square().sum()

    loss = run_folder.train_epoch(state, config, torch.ones(6, 2).split(2), loss_of, clip=1.0)
    assert (seen, state.epoch) == ([4.0, 4.0, 4.0], 1)
    assert loss > 0
    assert state.optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * 0.5 * (1 + math.cos(math.pi * 2 / 6)))
