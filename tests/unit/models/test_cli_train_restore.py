"""``saccade train --task restore``: what it reads, refuses, says and leaves behind."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from tests.commands import Called, call

from saccade_models.bridge_unet import BridgeUNet
from saccade_models.cli_options import NETWORKS
from saccade_models.cli_tasks import BRIDGE_WIDTHS
from saccade_models.train.degradations import DEGRADATIONS
from saccade_models.train.restoration import VALIDATE_EVERY, Config

pytestmark = pytest.mark.torch

Capture = pytest.CaptureFixture[str]
SMALL = ("--network", "bridge-unet-small", "--crop", "32", "32", "--views-per-image", "1", "--warmup", "2")


def write_images(folder: Path, count: int) -> Path:
    """Waves of colour, 40x48 pixels."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for index in range(count):
        phases = np.linspace(0, 6, 48)[None, :, None] * random.random(3) + np.linspace(0, 6, 40)[:, None, None]
        Image.fromarray((127.5 + 127.5 * np.sin(phases)).astype(np.uint8)).save(folder / f"{index:03}.png")
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven to train on and one to score on."""
    return write_images(tmp_path_factory.mktemp("clean") / "images", 8)


@pytest.fixture
def train(capfd: Capture, images: Path, tmp_path: Path):
    """``saccade train --task restore`` on the images into ``tmp_path / "run"``."""

    def train(*options: str | Path, data: Path = images) -> Called:
        return call(capfd, "train", "--task", "restore", "--data", data, "-o", tmp_path / "run", *options)

    return train


def config_said(called: Called) -> dict[str, Any]:
    """The config that the command prints before it begins."""
    return json.JSONDecoder().raw_decode(called.err)[0]


def test_the_networks_are_those_that_there_are() -> None:
    assert set(NETWORKS["restore"]) == set(BRIDGE_WIDTHS)


def test_help_tells_the_modes_the_images_and_an_example(capfd: Capture) -> None:
    out = " ".join(call(capfd, "train", "--help").out.split())
    assert all(mode in out.partition("--mode [")[2].partition("]")[0].split("|") for mode in DEGRADATIONS)
    assert f"a folder of clean images, the first and every {VALIDATE_EVERY}th of which are kept" in out
    assert "saccade train --task restore --mode denoise --data photos" in out


def test_what_is_not_given_is_the_configs_default(train, tmp_path: Path) -> None:
    called = train(data=tmp_path / "absent")
    assert called.code == 3
    assert f"{tmp_path / 'absent'} is no folder; --data must be one of clean images" in called.err
    assert config_said(called) == json.loads(json.dumps(asdict(Config(str(tmp_path / "absent")))))


def test_every_option_reaches_the_config(train, tmp_path: Path) -> None:
    given = {
        "--mode": "deblur", "--network": "bridge-unet-small", "--init": "w.safetensors", "--epochs": "3",
        "--views-per-image": "4", "--batch": "2", "--lr": "0.01", "--warmup": "7", "--averaging": "0", "--at-one": "0",
        "--score-every": "2", "--seed": "5", "--perceptual": "0.5", "--adversarial": "0.02",
    }  # fmt: skip
    options = [word for pair in given.items() for word in pair]
    called = train(*options, "--crop", "64", "64", "--squared", "--bfloat16", data=tmp_path / "absent")
    expected = Config(
        data=str(tmp_path / "absent"), mode="deblur", widths=(32, 48, 64), init="w.safetensors", epochs=3,
        views_per_image=4, batch=2, crop=64, learning_rate=0.01, warmup_steps=7, averaging=0.0, at_one=0.0,
        squared=True, perceptual=0.5, adversarial=0.02, score_every=2, bfloat16=True, seed=5,
    )  # fmt: skip
    assert config_said(called) == json.loads(json.dumps(asdict(expected)))


def test_a_run_stops_resumes_and_reports(train, tmp_path: Path) -> None:
    init, run = tmp_path / "init.safetensors", tmp_path / "run"
    save_file(BridgeUNet(widths=BRIDGE_WIDTHS["bridge-unet-small"]).state_dict(), init)
    options = (*SMALL, "--epochs", "2", "--init", init)
    stopped = train(*options, "--time-limit", "0.00001", "--json")
    assert stopped.code == 0
    assert (stopped.document["best_val_psnr"], stopped.document["weights"]) == (None, None)
    init.unlink()
    resumed = train(*options, "--resume", "--json")
    assert resumed.code == 0
    assert resumed.document["weights"] == str(run / "best.safetensors")
    with (run / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert resumed.document["best_val_psnr"] == pytest.approx(float(rows[1]["val_psnr"]), abs=1e-3)
    with safe_open(run / "best.safetensors", "pt") as weights:
        assert json.loads(weights.metadata()["metrics"])["val_psnr"] == float(rows[1]["val_psnr"])
    again = train(*options)
    assert again.code == 2
    assert "already holds a run; pass --resume" in again.err


@pytest.mark.parametrize("mode", sorted(DEGRADATIONS))
def test_every_mode_trains_and_says_its_psnr_in_db(train, mode: str) -> None:
    called = train(*SMALL, "--mode", mode, "--epochs", "1", "--batch", "49")
    assert called.code == 0
    assert called.out.startswith("best validation PSNR ")
    assert " dB: " in called.out


def test_a_run_goes_on_with_the_same_settings_only(train) -> None:
    options = (*SMALL, "--epochs", "2", "--batch", "49")
    assert train(*options, "--time-limit", "0.00001").code == 0
    other = train(*options, "--resume", "--mode", "inpaint")
    assert other.code == 2
    assert "was made with other settings of mode; resume with the same" in other.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--lovasz", "0.1"), "--lovasz is for --task segment, but the task is restore"),
        (("--width", "8"), "--width is for --task segment, but the task is restore"),
        (("--val", "clean"), "--val is for --task detect, but the task is restore"),
        (("--mosaic", "0"), "--mosaic is for --task detect, but the task is restore"),
        (("--classes", "c.txt"), "--classes is for --task segment or detect, but the task is restore"),
        (("--network", "unet"), "must be one of bridge-unet, bridge-unet-small, but got unet"),
        (("--crop", "64", "96"), "--crop for --task restore must be a square, because crops are turned, but got 64 96"),
        (("--crop", "40", "40"), "crops must be a multiple of 16 from 32 on, but are 40"),
        (("--crop", "16", "16"), "--crop"),
        (("--perceptual", "1"), "are of a second stage, but there are no weights of a first; give them as --init"),
        (("--adversarial", "-1"), "--adversarial"),
        (("--mode", "polish"), "'polish' is not one of 'denoise'"),
        (("--at-one", "1.5"), "--at-one"),
        (("--averaging", "nan"), "--averaging"),
        (("--views-per-image", "0"), "--views-per-image"),
        (("--resume",), "nothing to resume"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_misuse_is_code_2_and_explained(train, tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    called = train(*options)
    assert (called.code, called.out) == (2, "")
    assert said in called.err
    assert not (tmp_path / "run" / "last.pt").exists()


@pytest.mark.parametrize("task", ["segment", "detect"])
@pytest.mark.parametrize(
    "options",
    [("--mode", "denoise"), ("--views-per-image", "10"), ("--at-one", "0.5"), ("--squared",)],
    ids=" ".join,
)
def test_options_of_restoration_are_refused_for_other_tasks(
    capfd: Capture, tmp_path: Path, task: str, options: tuple[str, ...]
) -> None:
    called = call(capfd, "train", "--task", task, "--data", tmp_path, "-o", tmp_path / "run", *options)
    assert called.code == 2
    assert f"{options[0]} is for --task restore, but the task is {task}" in called.err


@pytest.mark.parametrize("options", [("--init", "w"), ("--averaging", "0.9"), ("--warmup", "1")], ids=" ".join)
def test_what_two_tasks_take_the_third_refuses(capfd: Capture, tmp_path: Path, options: tuple[str, ...]) -> None:
    called = call(capfd, "train", "--data", tmp_path, "-o", tmp_path / "run", *options)
    assert called.code == 2
    assert f"{options[0]} is for --task detect or restore, but the task is segment" in called.err


def test_images_that_do_not_do_are_code_3_and_named(train, images: Path, tmp_path: Path) -> None:
    few = train(*SMALL, data=write_images(tmp_path / "few", 1))
    assert few.code == 3
    assert "few holds 1 images, but one to train on and one to score on are needed" in few.err
    small = train("--crop", "64", "64", data=images)
    assert small.code == 3
    assert "crops of 64 pixels were asked for, but " in small.err
    assert "000.png is 40x48; choose smaller ones with --crop" in small.err


def test_weights_of_another_size_are_code_3_and_named(train, tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_file(BridgeUNet(widths=(8, 8, 8)).state_dict(), tmp_path / "other.safetensors")
    for name in ("other.safetensors", "absent.safetensors"):
        called = train(*SMALL, "--init", tmp_path / name, "--json")
        assert called.code == called.document["exit_code"] == 3
        assert called.document["error"]["kind"] == "WeightsError"
        assert f"{name} does not hold weights of this network" in called.document["error"]["message"]
