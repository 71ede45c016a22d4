"""``saccade train`` before its first epoch: help, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.commands import call

pytestmark = pytest.mark.torch

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder of one small image and class map a split."""
    for split in ("train", "val"):
        for kind, pixels in (("images", np.zeros((40, 48, 3), np.uint8)), ("labels", np.zeros((40, 48), np.uint8))):
            (tmp_path / "data" / split / kind).mkdir(parents=True)
            Image.fromarray(pixels).save(tmp_path / "data" / split / kind / "0001.png")
    return tmp_path / "data"


def test_help_says_what_it_needs_and_gives_an_example(capfd: Capture) -> None:
    called = call(capfd, "train", "--help")
    assert called.code == 0
    for word in ("--data", "--network [edanet|unet|fcn]", "--resume", "saccade train --data camvid"):
        assert word in called.out


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
def test_a_data_folder_that_is_not_there_is_code_3_and_named(
    capfd: Capture, tmp_path: Path, options: tuple[str, ...]
) -> None:
    called = call(capfd, "train", "--data", tmp_path / "absent", "-o", tmp_path / "run", *options)
    assert called.code == 3
    assert f"{tmp_path / 'absent' / 'train'} must hold the folders 'images' and 'labels'" in called.err
    assert "Traceback" not in called.err
    if options:
        assert called.document["error"]["kind"] == "DatasetError"
        assert called.document["exit_code"] == 3
    else:
        assert called.out == ""


def test_a_class_map_that_is_missing_is_code_3_and_named(capfd: Capture, data: Path, tmp_path: Path) -> None:
    (data / "train" / "labels" / "0001.png").unlink()
    called = call(capfd, "train", "--data", data, "-o", tmp_path / "run")
    assert called.code == 3
    assert "image 0001.png has no class map" in called.err


def test_an_image_that_cannot_be_read_is_code_3_and_named(capfd: Capture, data: Path, tmp_path: Path) -> None:
    (data / "val" / "images" / "0001.png").write_bytes(b"no PNG")
    called = call(capfd, "train", "--data", data, "-o", tmp_path / "run")
    assert called.code == 3
    assert str(data / "val" / "images" / "0001.png") in called.err


def test_an_unknown_network_is_code_2_with_those_that_are_known(capfd: Capture, data: Path, tmp_path: Path) -> None:
    called = call(capfd, "train", "--data", data, "-o", tmp_path / "run", "--network", "resnet", "--json")
    assert called.code == called.document["exit_code"] == 2
    assert all(name in called.document["error"]["message"] for name in ("edanet", "unet", "fcn"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--width", "3"),
        ("--width", "16"),  # EDANet has one width
        ("--epochs", "0"),
        ("--batch", "none"),
        ("--crop", "8", "8"),
        ("--lovasz", "-1"),
        ("--lr", "nan"),
        ("--lr", "0"),
        ("--time-limit", "0"),
        ("--time-limit", "nan"),
        ("--fast",),
    ],
    ids=" ".join,
)
def test_misuse_is_code_2(capfd: Capture, data: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    called = call(capfd, "train", "--data", data, "-o", tmp_path / "run", *options)
    assert (called.code, called.out) == (2, "")
    assert options[0] in called.err


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "gpu"])
def test_a_device_that_pytorch_cannot_use_is_code_2(
    capfd: Capture, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    called = call(capfd, "train", "--data", data, "-o", tmp_path / "run", "--device", device)
    assert called.code == 2
    assert f"'{device}'" in called.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_class_list_that_cannot_be_read_is_code_3(
    capfd: Capture, data: Path, tmp_path: Path, content: bytes | None
) -> None:
    classes = tmp_path / "classes.txt"
    if content is not None:
        classes.write_bytes(content)
    called = call(capfd, "train", "--data", data, "-o", tmp_path / "run", "--classes", classes)
    assert called.code == 3
    assert "classes.txt cannot be read" in called.err


def test_a_folder_that_cannot_be_written_is_code_3(capfd: Capture, data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    called = call(capfd, "train", "--data", data, "-o", tmp_path / "file" / "run", "--json")
    assert called.code == called.document["exit_code"] == 3
    assert called.document["error"]["kind"] == "OutputError"


def test_a_run_that_is_there_is_neither_overwritten_nor_resumed_unasked(
    capfd: Capture, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "last.pt").write_bytes(b"the run of yesterday")
    called = call(capfd, "train", "--data", data, "-o", tmp_path / "run")
    assert called.code == 2
    assert "already holds a run; pass --resume" in called.err
    assert (tmp_path / "run" / "last.pt").read_bytes() == b"the run of yesterday"


def test_nothing_to_resume_is_code_2(capfd: Capture, data: Path, tmp_path: Path) -> None:
    called = call(capfd, "train", "--data", data, "-o", tmp_path / "run", "--resume", "--classes", two(tmp_path))
    assert called.code == 2
    assert "nothing to resume" in called.err


def two(folder: Path) -> Path:
    path = folder / "classes.txt"
    path.write_text("road #804080\nsky\n")
    return path
