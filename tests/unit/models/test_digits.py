"""MNIST's files read, damaged ones refused; the split; and the report on samples, from data to pictures."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from tests.unit.models.tiny_digits import idx, write_digits
from torch import Tensor, nn

from saccade.errors import CheckError, DatasetError, RequestError, WeightsError
from saccade_models import digits as command
from saccade_models.digit_classifier import accuracy, augmented, train_classifier
from saccade_models.digit_report import (
    AT_ONCE,
    DiffusionModel,
    Findings,
    Judge,
    Sampler,
    check_controls,
    nearest,
    new_judge,
    save_grid,
    table,
)
from saccade_models.digits import judge_run
from saccade_models.mnist import read_digits, read_idx, split
from saccade_models.train.generation import Config, states, train

pytestmark = pytest.mark.torch

SHORT = (Sampler("ddpm-10", "ddpm", 10), Sampler("ddim-5", "ddim", 5))


def test_digits_are_read_as_written(tmp_path: Path) -> None:
    first = write_digits(tmp_path, 12, seed=1, name="a")
    second = write_digits(tmp_path, 5, seed=2, name="b")
    digits = read_digits(tmp_path)
    assert len(digits) == 17
    for found, *written in zip((digits.images, digits.labels), first, second, strict=True):
        assert found.dtype == np.uint8
        assert np.array_equal(found, np.concatenate(written))


IMAGES = idx(np.zeros((3, 28, 28), np.uint8))
LABELS = idx(np.arange(3, dtype=np.uint8))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("images", b"", "begins b''"),
        ("images", b"no gzip", "cannot be read as a gzip file"),
        ("images", gzip.compress(IMAGES)[:-12], "cannot be read as a gzip file"),
        ("images", gzip.compress(IMAGES)[:10] + b"\xff" * 20, "cannot be read as a gzip file"),
        ("images", gzip.compress(IMAGES[:9]), "must be an idx file of bytes in 3 dimensions"),
        ("images", gzip.compress(LABELS), "must be an idx file of bytes in 3 dimensions"),
        ("images", gzip.compress(b"\0\0\x0d\3" + IMAGES[4:]), "must be an idx file of bytes"),
        ("images", gzip.compress(IMAGES[:-1]), "must hold 2352 values, as its header says, but holds 2351"),
        ("images", gzip.compress(IMAGES + b"\0"), "must hold 2352 values, as its header says, but holds more"),
        ("images", gzip.compress(IMAGES[:4] + b"\xff" * 12 + IMAGES[16:]), "more than 1073741824"),
        ("images", gzip.compress(idx(np.zeros((3, 32, 30), np.uint8))), "images of 28x28, but they are 32x30"),
        ("images", gzip.compress(idx(np.zeros((4, 28, 28), np.uint8))), "holds 4 images, but .* 3 labels"),
        ("labels", gzip.compress(idx(np.array([1, 2, 10], np.uint8))), "labels 0 to 9, but one is 10"),
        ("labels", None, "cannot be read as a gzip file: .*No such file"),
    ],
    ids=[
        *("empty", "garbage", "cut", "broken", "cut-header", "labels-as-images", "floats", "too-short", "too-long"),
        *("hostile-shape", "other-size", "other-count", "bad-label", "absent"),
    ],
)
def test_damaged_files_are_refused_and_named(tmp_path: Path, name: str, content: bytes | None, reason: str) -> None:
    paths = {"images": tmp_path / "x-images-idx3-ubyte.gz", "labels": tmp_path / "x-labels-idx1-ubyte.gz"}
    paths["images"].write_bytes(gzip.compress(IMAGES))
    paths["labels"].write_bytes(gzip.compress(LABELS))
    assert len(read_digits(tmp_path)) == 3
    if content is None:
        paths[name].unlink()
    else:
        paths[name].write_bytes(content)
    with pytest.raises(DatasetError, match=reason) as raised:
        read_digits(tmp_path)
    assert paths[name].name in str(raised.value)


def test_a_folder_without_digits_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(DatasetError, match=r"must hold MNIST's files, such as t10k-images-idx3-ubyte\.gz"):
            read_digits(folder)


def test_one_digit_in_ten_of_each_label_is_held_out(tmp_path: Path) -> None:
    write_digits(tmp_path, 205)
    digits = read_digits(tmp_path)
    digits = replace(digits, images=np.arange(205, dtype=np.uint8)[:, None, None] + np.zeros_like(digits.images))
    training, held_out = split(digits)
    numbers = [set(part.images[:, 0, 0].tolist()) for part in (training, held_out)]
    assert not numbers[0] & numbers[1]
    assert numbers[0] | numbers[1] == set(range(205))
    assert set(np.bincount(held_out.labels, minlength=10)) <= {2, 3}
    for part in (training, held_out):
        assert np.array_equal(part.labels, digits.labels[part.images[:, 0, 0]])
    assert np.array_equal(split(digits)[1].images, held_out.images)
    assert not np.array_equal(split(digits, seed=1)[1].images, held_out.images)


@pytest.mark.data
def test_the_real_digits_are_split_by_label(data: Path) -> None:
    if not (data / "mnist_t10k").is_dir():
        pytest.skip(f"MNIST is not in {data}")
    training, held_out = split(read_digits(data / "mnist_t10k"))
    assert (len(training), len(held_out)) == (9000, 1000)
    shares = [np.bincount(part.labels) / len(part) for part in (training, held_out)]
    assert np.abs(shares[0] - shares[1]).max() < 0.002
    assert read_idx(data / "mnist_t10k" / "t10k-labels-idx1-ubyte.gz", 1)[:5].tolist() == [7, 2, 1, 0, 4]


def test_the_classifier_learns_and_knows_augmented_digits(tmp_path: Path) -> None:
    write_digits(tmp_path, 200)
    training, held_out = split(read_digits(tmp_path))
    labels = [torch.from_numpy(part.labels.astype(np.int64)) for part in (training, held_out)]
    classifier = train_classifier(states(training), labels[0], epochs=25)
    assert accuracy(classifier, states(held_out), labels[1]) == 1
    assert accuracy(classifier, augmented(states(held_out)), labels[1]) >= 0.9
    assert accuracy(classifier, states(held_out), (labels[1] + 1) % 10) == 0


def test_augmentation_moves_a_digit_a_little_and_brings_in_black(tmp_path: Path) -> None:
    write_digits(tmp_path, 20)
    torch.manual_seed(0)
    digits = states(read_digits(tmp_path))
    moved = augmented(digits)
    assert moved.shape == digits.shape
    assert moved.min() == -1
    assert (moved - digits).abs().mean() > 0.01
    assert (moved + 1).sum().item() == pytest.approx((digits + 1).sum().item(), rel=0.1)


def sure_of_a_3(digits: Tensor) -> Tensor:
    """Logits that say 3 of all that has white in it, and nothing of the rest."""
    has_white = digits.amax(dim=(1, 2, 3)) > 0.9
    return 20.0 * has_white[:, None] * nn.functional.one_hot(torch.full((len(digits),), 3), 10)


def judge_of(training: Tensor, reach: float) -> Judge:
    classifier: Callable[[Tensor], Tensor] = sure_of_a_3
    return Judge(classifier, training, reach)  # type: ignore[arg-type]


def half_white() -> Tensor:
    """One image, white above and black below: an ink of 255 / sqrt(2) grey levels."""
    image = torch.full((1, 1, 28, 28), -1.0)
    image[:, :, :14] = 1
    return image


def test_a_sample_is_recognised_when_the_classifier_is_sure_and_a_digit_is_near() -> None:
    copied = half_white()
    dimmed = (copied + 1) * 0.8 - 1
    inverted, black = -copied, torch.full_like(copied, -1)
    samples = torch.cat([copied, dimmed, inverted, black])
    found = judge_of(copied, reach=0.5).findings("some", samples, seconds=1.0)
    assert (found.confident, found.near, found.recognised) == (0.5, 0.5, 0.25)
    assert found.digits == (2, 0, 0, 2, 0, 0, 0, 0, 0, 0)
    assert found.distance == pytest.approx(255 * (0 + 0.2 / 2**0.5 + 1 + 1 / 2**0.5) / 4, abs=0.01)
    assert found.closest_distance == pytest.approx(0.15 * 0.2 / 2**0.5 * 255, abs=0.01)  # 0.05 of four: 0.15 of one
    assert found.seconds_per_100 == pytest.approx(25)


def test_distances_are_in_grey_levels_and_of_the_ink_of_the_nearest() -> None:
    white = torch.ones(1, 1, 28, 28)
    distances, shares = nearest(white * (230 / 127.5 - 1), torch.cat([half_white(), white]))
    assert distances.tolist() == pytest.approx([25])
    assert shares.tolist() == pytest.approx([25 / 255])


def test_a_copy_of_a_training_digit_is_at_no_distance(tmp_path: Path) -> None:
    write_digits(tmp_path, 60)
    training, held_out = map(states, split(read_digits(tmp_path)))
    for copies in (training, training[-1:]):  # with many cdist would multiply matrices, and round
        assert nearest(copies, training)[0].max() == 0
    assert nearest(held_out, training)[0].min() > 5


class Recorded(nn.Module):
    """Predicts no noise, and keeps the states of each call."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, state: Tensor, timesteps: Tensor) -> Tensor:
        self.seen.append(state)
        return torch.zeros_like(state)


def test_every_sampler_begins_with_the_same_noise_in_every_batch() -> None:
    def beginnings(sampler: Sampler, seed: int) -> Tensor:
        network = Recorded()
        drawn = DiffusionModel(network, "linear", "epsilon").draw(sampler, AT_ONCE + 3, seed, "cpu")
        assert drawn.shape == (AT_ONCE + 3, 1, 28, 28)
        return torch.cat([network.seen[0], network.seen[sampler.steps]])

    found = [beginnings(sampler, seed=5) for sampler in SHORT]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0][:3], found[0][AT_ONCE:])
    assert not torch.equal(found[0], beginnings(SHORT[0], seed=6))


def test_black_is_as_far_from_a_digit_as_its_ink() -> None:
    thin = torch.full((1, 1, 28, 28), -1.0)
    thin[..., 4:24, 14] = 1
    distances, shares = nearest(torch.full_like(thin, -1), torch.cat([half_white(), thin]))
    assert distances.item() < 50
    assert shares.item() == pytest.approx(1)


def test_held_out_digits_say_what_is_near() -> None:
    white = torch.ones(1, 1, 28, 28)
    held_out = white - torch.arange(101)[:, None, None, None] / 127.5
    assert new_judge(nn.Identity(), white, held_out).reach == pytest.approx(99 / 255, abs=2e-3)


def test_a_control_that_is_recognised_is_an_error() -> None:
    def found(name: str, recognised: float) -> Findings:
        return Findings(name, 100, 1.0, 1.0, recognised, (10,) * 10, 30.0, 20.0, None)

    check_controls([found("ddim-50", 0.9), found("pure-noise", 0.05), found("shuffled-weights", 0.0)])
    for control in ("pure-noise", "shuffled-weights", "black"):
        with pytest.raises(CheckError, match=f"20% of {control} are recognised as digits"):
            check_controls([found("ddim-50", 0.9), found(control, 0.2)])


def test_a_grid_shows_ten_digits_a_row(tmp_path: Path) -> None:
    digits = torch.linspace(-1, 1, 12)[:, None, None, None].expand(12, 1, 28, 28)
    save_grid(digits, tmp_path / "grid.png")
    grid = np.asarray(Image.open(tmp_path / "grid.png"))
    assert grid.shape == (2 * 30 + 2, 10 * 30 + 2)
    assert grid[2:30, 2:30].max() == 0
    assert grid[32:60, 32:60].min() == 255
    assert (grid[:2] == 128).all()
    assert (grid[30:, 62:] == 128).all()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Path]:
    """A trained run on tiny digits: its config and folder."""
    root = tmp_path_factory.mktemp("run")
    write_digits(root / "data", 300)
    config = Config(
        data=str(root / "data"), widths=(16, 32), blocks=1, epochs=6, batch=32, learning_rate=0.01, warmup_steps=5,
        averaging=0.5, score_every=6,
    )  # fmt: skip
    train(config, root / "out")
    return config, root / "out"


def test_a_run_is_judged_beside_held_out_digits_and_controls(run: tuple[Config, Path]) -> None:
    config, out = run
    found, about = judge_run(config, out, samplers=SHORT, count=6)
    by_name = {one.name: one for one in found}
    assert list(by_name) == ["held-out", "ddpm-10", "ddim-5", "shuffled-weights", "pure-noise", "black"]
    assert {one.count for one in found[1:]} == {6}
    assert by_name["held-out"].recognised > 0.9
    assert by_name["held-out"].closest_distance > 5  # measured to digits that they are not among
    assert by_name["pure-noise"].near == by_name["shuffled-weights"].near == by_name["black"].near == 0
    assert all(sum(one.digits) == one.count for one in found)
    check_controls(found)
    assert all((out / f"{name}.png").exists() for name in by_name)
    assert by_name["ddim-5"].seconds_per_100 is not None
    assert by_name["pure-noise"].seconds_per_100 is None
    assert about["epochs"] == 6
    assert about["config"]["data"] == "data"
    assert about["classifier_accuracy"] >= 0.98
    assert len(table(found).splitlines()) == 1 + len(found)

    again, _ = judge_run(config, out, samplers=SHORT, count=6)  # with the classifier that was kept
    assert [replace(one, seconds_per_100=None) for one in again] == [
        replace(one, seconds_per_100=None) for one in found
    ]


def test_a_run_without_weights_or_with_damaged_ones_is_refused(run: tuple[Config, Path], tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"before it kept weights .*--resume"):
        judge_run(run[0], tmp_path)
    (tmp_path / "best.safetensors").write_bytes((run[1] / "best.safetensors").read_bytes())
    (tmp_path / "classifier.safetensors").write_bytes(b"damaged")
    with pytest.raises(WeightsError, match=r"classifier\.safetensors"):
        judge_run(run[0], tmp_path)


def test_a_classifier_that_is_often_wrong_may_not_judge(run: tuple[Config, Path], tmp_path: Path) -> None:
    (tmp_path / "best.safetensors").write_bytes((run[1] / "best.safetensors").read_bytes())
    write_digits(tmp_path / "few", 20)
    with pytest.raises(CheckError, match=r"right on .* of held-out digits, but must be on 98%"):
        judge_run(replace(run[0], data=str(tmp_path / "few")), tmp_path)


def test_the_command_reports_as_json_and_in_a_file(
    run: tuple[Config, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The whole command but for training and for steps by the thousand.
    monkeypatch.setattr(command, "train", lambda config, out, **_: 0.5)
    monkeypatch.setattr(
        command, "judge_run", lambda config, out, **given: judge_run(run[0], run[1], samplers=SHORT, **given)
    )
    arguments = [run[0].data, "-o", str(tmp_path), "--samples", "3", "--json"]
    called = CliRunner().invoke(command.main, arguments, catch_exceptions=False)
    assert called.exit_code == 0
    document = json.loads(called.stdout)
    assert document == json.loads((tmp_path / "report.json").read_text())
    assert not list(tmp_path.glob("*.tmp"))
    assert document["val_explained"] == 0.5
    assert document["findings"][1]["count"] == 3


def test_the_command_names_what_it_cannot_read(tmp_path: Path) -> None:
    called = CliRunner().invoke(command.main, [str(tmp_path), "-o", str(tmp_path / "out")])
    assert isinstance(called.exception, DatasetError)
    assert not (tmp_path / "out").exists()
